#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The one list of packages against the spec: BuildRequires are the dnf names of the build rows, no more
# and no less. And the list itself: known purposes, three columns, no row twice.
list=$(mktemp) spec=$(mktemp)
trap 'rm -f "$list" "$spec"' EXIT
awk '!/^#/ && $1 == "build" && $3 != "-" { print $3 }' contrib/packages | sort >"$list"
sed -n 's/^BuildRequires:[[:space:]]*\([^[:space:]]*\).*/\1/p' gateway.spec | sort >"$spec"
found=0
diff "$list" "$spec" >/dev/null || {
	echo "contrib/packages (<, rows of build) and gateway.spec (>, BuildRequires) differ:"
	diff "$list" "$spec" | grep '^[<>]'
	found=1
}
awk '
	/^#/ || NF == 0 { next }
	NF != 3 || $1 !~ /^(run|build|test|lint|bench)$/ { print "contrib/packages:" NR ": not a row: " $0; bad = 1 }
	seen[$0]++ { print "contrib/packages:" NR ": twice: " $0; bad = 1 }
	END { exit bad }' contrib/packages || found=1
exit $found
