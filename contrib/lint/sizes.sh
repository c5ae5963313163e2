#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# A function over 100 lines or a file over 1,000 fails; over 60 and 600 they are named, as a smell.
. contrib/lint/files.sh
command -v ctags >/dev/null 2>&1 || { echo "ctags is not installed" && exit 77; }

functions=$(tree_files '*.c' '*.h' | ctags -L - --languages=C --kinds-C=f --fields=+ne --quiet -f - 2>/dev/null |
	awk -F '\t' '
	{
		start = end = 0
		for (i = 4; i <= NF; i++) {
			if ($i ~ /^line:/) start = substr($i, 6)
			if ($i ~ /^end:/) end = substr($i, 5)
		}
		lines = end - start + 1
		if (lines > 100) { print $2 ":" start ": " $1 "() has " lines " lines, at most 100"; }
		else if (lines > 60) { print "warning: " $2 ":" start ": " $1 "() has " lines " lines" }
	}')
files=$(tree_files '*.c' '*.h' '*.def' '*.py' '*.sh' | xargs wc -l |
	awk '
	$2 == "total" { next }
	$1 > 1000 { print $2 ": " $1 " lines, at most 1000" }
	$1 > 600 && $1 <= 1000 { print "warning: " $2 ": " $1 " lines" }')
printf '%s\n%s\n' "$functions" "$files" | grep -v '^$' | sort
! printf '%s\n%s\n' "$functions" "$files" | grep -v '^warning:' | grep -q .
