# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
#
# Sourced by the checks: the files of the tree, whether git knows them yet or not, or there is no git.

# Files matching the shell patterns given (all without one), one per line.
tree_files() {
	if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
		git ls-files -co --exclude-standard
	else
		find . -type f ! -path './build*' ! -path './.git/*' ! -path './rpmbuild/*' \
			! -path '*/__pycache__/*' ! -name config.mak | sed 's|^\./||'
	fi | sort | while read -r f; do
		if [ ! -f "$f" ]; then continue; fi # deleted, not committed yet
		if [ $# -eq 0 ]; then
			echo "$f"
			continue
		fi
		for p in "$@"; do
			# shellcheck disable=SC2254 # the patterns are patterns
			case $f in $p) echo "$f" && break ;; esac
		done
	done
}

# The C of the product: what goes into the programs.
product_files() {
	tree_files 'shm/*.[ch]' 'conf/*.[ch]' 'worker/*.[ch]' 'admin/*.[ch]' 'master/*.[ch]'
}

# Text whose first line names one of these interpreters: script_files sh bash
script_files() {
	tree_files | while read -r f; do
		IFS= read -r line <"$f" 2>/dev/null || continue
		for name in "$@"; do
			case $line in
			'#!'*"/$name" | '#!'*"/$name "* | '#!'*"env $name") echo "$f" ;;
			esac
		done
	done
}
