# SPDX-License-Identifier: Apache-2.0
#
#: make doc                  man pages into build/man
#: make install DESTDIR=     programs, man pages, sample configuration, unit file
#: make rpm                  the package, into rpmbuild/RPMS
#: make deps-check           says which packages are missing and exits 1
.PHONY: doc install rpm
doc install rpm:
	@echo "$@: no rule yet" >&2; exit 1
