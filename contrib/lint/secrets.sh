#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# F-SEC-01: no secret in source, sample configuration or packages. Secrets come by reference (a file, an
# environment variable), and tests make their keys when they run. Known shapes of real secrets are refused
# wherever they stand, and so is a literal given to a setting that sounds like one. A line that must look
# so carries the words "lint: no secret"; references (secret://env/, secret://file/) may stand anywhere.
. contrib/lint/files.sh
shapes='-----BEGIN ([A-Z]+ )*PRIVATE KEY-----
(AKIA|ASIA)[0-9A-Z]{16}
gh[pousr]_[A-Za-z0-9]{36}
glpat-[A-Za-z0-9_-]{20}
xox[abprs]-[A-Za-z0-9-]{10}
hv[sb]\.[A-Za-z0-9_-]{24}
AIza[0-9A-Za-z_-]{35}
sk_live_[0-9A-Za-z]{20}
eyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}
(^|[^a-z_])(password|passwd|secret|api_?key|access_?key|private_?key|auth_?token)[a-z_]*[[:space:]]*[:=][[:space:]]*"[^"$@%{<]{6,}"
://[^/@:[:space:]"]+:[^/@[:space:]"$%{]{3,}@'
found=0
files=$(tree_files | grep -vE '^(contrib/lint/secrets\.sh|test/fuzz/corpus/)')
while read -r shape; do
	# shellcheck disable=SC2086
	if grep -nIiE -e "$shape" $files /dev/null |
		grep -v -e 'lint: no secret' -e '"secret://\(env\|file\)/'; then found=1; fi
done <<LIST
$shapes
LIST
if [ $found -ne 0 ]; then echo "these look like secrets"; fi
exit $found
