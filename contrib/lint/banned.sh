#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Functions the product does not call, and why; the third column lists who may all the same (prefixes).
# A call that has a reason carries the words "lint: allow" in a comment on its line, and the reason.
. contrib/lint/files.sh

table=$(mktemp)
trap 'rm -f "$table"' EXIT
cat >"$table" <<'TABLE'
strcpy strcat sprintf vsprintf gets stpcpy     | no length: snprintf or struct str            |
strtok localtime gmtime ctime asctime          | static buffer: the _r form                   |
inet_ntoa inet_addr gethostbyname              | no IPv6: shm/base/addr.h                     |
atoi atol atoll atof strtol sscanf             | no range, no error: shm/base/num.h           |
strtod                                         | takes hex, inf and nan                       | conf/field_text.c
strtoul strtoull strtoll                       | signs and spaces accepted: shm/base/num.h    | shm/base/num.c
system popen                                   | a shell                                      |
execl execlp execvp                            | only a client starts other programs          | admin/ctl admin/gatewayctl.c
rand srand random srandom drand48              | predictable: shm/base/rnd.h                  |
tmpnam mktemp tempnam                          | a race: mkostemp or memfd_create             |
alloca setjmp longjmp                          | hides where things end                       |
sleep usleep nanosleep                         | nothing blocks: a timer of the loop          |
clock_gettime gettimeofday time                | read once a turn: shm/base/clock.h           | shm/base/clock.c
getaddrinfo                                    | blocks: the loader resolves                  | conf/resolve
malloc calloc realloc strdup strndup           | x-forms of shm/base/bug.h, or a workspace    | shm/base/bug.c shm/base/ws.c shm/base/heap.c
exit                                           | children leave by _exit                      | master/main.c master/run.c admin/gatewayctl.c admin/ctl
setuid seteuid setgid setegid                  | all three ids at once: setresuid             |
TABLE

# Comments and string literals do not call anything.
product_files | xargs awk -v table="$table" '
	function starts(s, prefix) { return substr(s, 1, length(prefix)) == prefix }
	BEGIN {
		FS = "|"
		while ((getline row < table) > 0) {
			split(row, col, "|")
			n = split(col[1], names, " ")
			for (i = 1; i <= n; i++) {
				gsub(/^ +| +$/, "", col[2])
				why[names[i]] = col[2]
				may[names[i]] = col[3]
			}
		}
	}
	FNR == 1 { comment = 0 }
	{
		whole = $0
		text = $0
		gsub(/\\./, "", text)
		gsub(/"[^"]*"/, "\"\"", text)
		out = ""
		while (text != "") {
			if (comment) {
				at = index(text, "*/")
				if (!at) break
				text = substr(text, at + 2); comment = 0
			} else {
				at = index(text, "/*")
				line = index(text, "//")
				if (line && (!at || line < at)) { out = out substr(text, 1, line - 1); break }
				if (!at) { out = out text; break }
				out = out substr(text, 1, at - 1)
				text = substr(text, at + 2); comment = 1
			}
		}
		if (whole ~ /lint: allow/) next
		while (match(out, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
			name = substr(out, RSTART, RLENGTH)
			before = RSTART > 1 ? substr(out, RSTART - 1, 1) : ""
			out = substr(out, RSTART + RLENGTH)
			sub(/[ \t]*\($/, "", name)
			if (!(name in why) || before == "." || before == ">") continue
			ok = 0
			m = split(may[name], w, " ")
			for (i = 1; i <= m; i++)
				if (starts(FILENAME, w[i])) ok = 1
			if (!ok) { print FILENAME ":" FNR ": " name "(): " why[name]; bad = 1 }
		}
	}
	END { exit bad }'
