#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What cppcheck is sure of. "style" finds mostly taste; the compiler and clang-tidy cover the rest.
. contrib/lint/files.sh
command -v cppcheck >/dev/null 2>&1 || { echo "cppcheck is not installed" && exit 77; }
mkdir -p build/lint/cppcheck
{ product_files && tree_files 'test/*.c'; } | grep '\.c$' >build/lint/cppcheck.files
if [ ! -s build/lint/cppcheck.files ]; then exit 0; fi
cppcheck --quiet --error-exitcode=1 --std=c11 --language=c -j "${LINT_JOBS:-2}" \
	--enable=warning,performance,portability --inline-suppr \
	--cppcheck-build-dir=build/lint/cppcheck --suppressions-list=contrib/lint/cppcheck.suppress \
	--library=posix --library=contrib/lint/cppcheck.cfg -D__linux__ \
	--include=contrib/lint/defines.h -I. --file-list=build/lint/cppcheck.files
