#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# C-2: the top level is a fixed list. Whatever else is wanted has a place in one of the folders.
. contrib/lint/files.sh
allowed=' master worker shm admin conf test contrib GNUmakefile gateway.spec README .ci LICENSE SECURITY '
found=0
for name in $(tree_files | cut -d/ -f1 | sort -u); do
	case $name in .*) continue ;; esac
	case $allowed in
	*" $name "*) ;;
	*) echo "$name: not one of the names of the top level" && found=1 ;;
	esac
done
for name in $allowed; do
	if [ ! -e "$name" ]; then echo "$name: missing at the top level" && found=1; fi
done
exit $found
