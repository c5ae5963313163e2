#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# .clang-format is the law, as version 14 reads it. Mend with: clang-format-14 -i FILE
. contrib/lint/files.sh
command -v clang-format-14 >/dev/null 2>&1 || { echo "clang-format-14 is not installed" && exit 77; }
tree_files '*.c' '*.h' | xargs -r -P "${LINT_JOBS:-2}" -n 20 clang-format-14 --dry-run -Werror
