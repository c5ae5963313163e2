#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# clang-tidy with the checks of .clang-tidy, in parallel. A file found clean is remembered by the hash of
# its preprocessed text, the checks and the flags, so that an unchanged file costs one preprocessor run.
. contrib/lint/files.sh
tidy=$(command -v clang-tidy-14 || command -v clang-tidy) || { echo "clang-tidy is not installed" && exit 77; }
compiler=$(command -v clang-14 || command -v clang) || { echo "clang is not installed" && exit 77; }
TIDY=$tidy CLANG=$compiler
TIDY_FLAGS="-std=gnu11 -I. -include contrib/lint/defines.h -Wall -Wextra"
export TIDY CLANG TIDY_FLAGS
mkdir -p build/lint/tidy

{ product_files && tree_files 'test/*.c'; } | grep '\.c$' |
	xargs -r -P "${LINT_JOBS:-2}" -n 1 sh -c '
	text=$("$CLANG" $TIDY_FLAGS -E "$1" 2>/dev/null) || text=$(date)
	key=$({ echo "$TIDY $TIDY_FLAGS"; cat .clang-tidy; echo "$text"; } | sha256sum | cut -d" " -f1)
	if [ -e "build/lint/tidy/$key" ]; then exit 0; fi
	out=$("$TIDY" --quiet --warnings-as-errors="*" "$1" -- $TIDY_FLAGS 2>/dev/null)
	code=$?
	if [ $code -eq 0 ]; then : >"build/lint/tidy/$key"; fi
	if [ -n "$out" ]; then echo "$out"; fi
	if [ $code -ne 0 ]; then exit 1; fi' tidy
