#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Who may include whom. README draws the arrows; this table is what is checked. The longest prefix of a
# file's path is its layer; what follows are prefixes of what it may include. "!" forbids a prefix to it.
# Third-party headers stay behind few files of ours, so that each library can be replaced.
. contrib/lint/files.sh

table=$(mktemp)
trap 'rm -f "$table"' EXIT
cat >"$table" <<'TABLE'
layer shm/base          shm/base/
layer shm               shm/
layer conf              conf/ shm/
# Libraries that know no route: of conf they see the names of the methods, what TLS is set to and
# shown, and nothing else.
layer worker/net        worker/net/ shm/ conf/tls.h conf/bundle.h
layer worker/http       worker/http/ worker/net/ shm/ conf/method.h
# One of these never includes another; what they share is the request and the plan. Of conf: what reads.
layer worker/up         worker/up/ worker/req.h worker/plan.h worker/http/ worker/net/ shm/ conf/ !conf/load !conf/keeper.h !conf/changeset.h
layer worker/policy     worker/policy/ worker/req.h worker/plan.h worker/grpc.h worker/filter.h worker/http/ worker/net/ shm/ conf/ !conf/load !conf/keeper.h !conf/changeset.h
layer worker/obs        worker/obs/ worker/req.h worker/plan.h worker/websocket.h worker/grpc.h worker/http/ worker/net/ shm/ conf/ !conf/load !conf/keeper.h !conf/changeset.h
layer worker            worker/ shm/ conf/ !conf/load !conf/keeper.h !conf/changeset.h
layer admin             admin/ conf/ worker/net/ worker/http/ shm/
layer master/logger     master/logger/ shm/
layer master/watcher    master/watcher/ shm/ conf/ worker/net/ worker/http/
layer master            master/ admin/admin.h worker/ conf/ shm/
layer test              test/ master/ admin/ worker/ conf/ shm/

# Single files, with their reason.
# where the logger's files lie, and nothing else of the configuration
allow master/logger/logger.c        conf/boot.h
# the list of policies, which worker.h promises to main
allow worker/policy/policies.c      worker/worker.h

header lmdb.h           shm/db.c
header libconfig.h      conf/read.c
header http_parser.h    worker/http/h1_head.c
header pcre2.h          shm/base/regex.c
header nghttp2/         worker/http/h2_priv.h test/bench/h2origin.c
header openssl/         test/bench/dial.c shm/base/hash.c worker/net/tls worker/net/x509
header jansson.h        conf/show conf/document conf/node_json admin/ master/watcher/redis/ master/watcher/secrets/
header ares.h           conf/resolve
header hiredis/         master/watcher/redis/resp.c
header seccomp.h        shm/base/sandbox
header cmocka.h         test/
TABLE

tree_files 'shm/*' 'conf/*' 'worker/*' 'admin/*' 'master/*' 'test/*' |
	grep -E '\.(c|h|def)$' | xargs grep -nE '^[[:space:]]*#[[:space:]]*include' /dev/null |
	awk -v table="$table" '
	function starts(s, prefix) { return substr(s, 1, length(prefix)) == prefix }
	function complain(what) { print file ":" line ": " what; bad = 1 }
	BEGIN {
		while ((getline row < table) > 0) {
			n = split(row, w, " ")
			if (w[1] == "layer") {
				rules[w[2]] = ""
				for (i = 3; i <= n; i++)
					rules[w[2]] = rules[w[2]] " " w[i]
			} else if (w[1] == "allow") {
				for (i = 3; i <= n; i++)
					allow[w[2], w[i]] = 1
			} else if (w[1] == "header") {
				third[w[2]] = ""
				for (i = 3; i <= n; i++)
					third[w[2]] = third[w[2]] " " w[i]
			}
		}
	}
	{
		split($0, part, ":")
		file = part[1]; line = part[2]
		if (match($0, /"[^"]+"/)) {
			ours($0)
		} else if (match($0, /<[^>]+>/)) {
			theirs(substr($0, RSTART + 1, RLENGTH - 2))
		}
	}
	function ours(text,    name, layer, best, w, n, i, ok) {
		name = substr(text, RSTART + 1, RLENGTH - 2)
		for (layer in rules)
			if (starts(file, layer "/") && length(layer) > length(best))
				best = layer
		n = split(rules[best], w, " ")
		for (i = 1; i <= n; i++)
			if (starts(name, w[i]))
				ok = 1
		for (i = 1; i <= n; i++)
			if (substr(w[i], 1, 1) == "!" && starts(name, substr(w[i], 2)))
				ok = 0
		if (!ok && !((file, name) in allow))
			complain(best " may not include \"" name "\" (allowed:" rules[best] ")")
	}
	function theirs(name,    h, w, n, i, ok) {
		for (h in third) {
			if (!starts(name, h) || starts(file, "test/"))
				continue
			ok = 0
			n = split(third[h], w, " ")
			for (i = 1; i <= n; i++)
				if (starts(file, w[i]))
					ok = 1
			if (!ok)
				complain("<" name "> belongs behind" third[h])
		}
	}
	END { exit bad }'
