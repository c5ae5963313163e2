#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Every source names its licence in its first lines, is ASCII, and leaves nothing for later. (The words
# are put together here so that this file does not name itself.)
. contrib/lint/files.sh
found=0

sources() {
	{
		tree_files '*.c' '*.h' '*.def' '*.py' '*.sh' '*.mk' '*.spec' 'GNUmakefile' '.ci/*' \
			'contrib/packages' '*/Containerfile'
		script_files sh bash python3
	} | sort -u
}

for f in $(sources); do
	if ! head -n 5 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0'; then
		echo "$f: no SPDX line in the first five"
		found=1
	fi
done

later="TO""DO|FIX""ME|XX""X|not imple""mented|unimple""mented"
if tree_files | grep -vE '^(LICENSE|test/fuzz/corpus/)' | xargs grep -nIE "\\b($later)\\b" /dev/null; then
	echo "left for later: say it in the issue, or do it"
	found=1
fi

if sources | xargs env LC_ALL=C grep -nIP '[^\x00-\x7F]' /dev/null; then
	echo "not ASCII"
	found=1
fi

if tree_files | grep -vE '^test/fuzz/corpus/|\.(vtc|txt)$' | xargs grep -nIE '[[:blank:]]+$' /dev/null; then
	echo "blanks at the end of a line"
	found=1
fi
exit $found
