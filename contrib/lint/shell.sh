#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
. contrib/lint/files.sh
command -v shellcheck >/dev/null 2>&1 || { echo "shellcheck is not installed" && exit 77; }
script_files sh bash | xargs -r shellcheck -x -e SC1091,SC2016
