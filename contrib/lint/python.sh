#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. contrib/lint/files.sh
python=${PYTHON:-/usr/bin/python3}
"$python" -c 'import pyflakes' 2>/dev/null || { echo "pyflakes is not installed" && exit 77; }
{ tree_files '*.py' && script_files python3; } | sort -u | xargs -r "$python" -m pyflakes
