# SPDX-License-Identifier: Apache-2.0
#
#: make doc                  man pages into build/man
#: make install DESTDIR=     programs, man pages, sample configuration, unit files (BUILD=build-pgo: of make pgo)
#: make rpm                  the package, into rpmbuild/RPMS (RPM_ARGS="--without pgo": built in half the time)
mandir	?= $(prefix)/share/man
docdir	?= $(prefix)/share/doc/gateway
unitdir	?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
completiondir ?= $(prefix)/share/bash-completion/completions
INSTALL	?= install
MAN	:= $(addprefix $(BUILD)/man/,gateway.8 gateway.conf.5 gatewayctl.1)
SYSCONF	= $(DESTDIR)$(sysconfdir)

.PHONY: doc install rpm
doc: $(MAN)

$(BUILD)/man/gateway.8: contrib/man/gateway.8
	@mkdir -p $(@D)
	$(Q)cp $< $@
$(BUILD)/man/gateway.conf.5: $(BUILD)/gateway
	@mkdir -p $(@D)
	$(Q)$< --manual >$@
$(BUILD)/man/gatewayctl.1: $(BUILD)/gatewayctl
	@mkdir -p $(@D)
	$(Q)$< --manual >$@

# The sample's own defaults are the packaged paths, so it is installed as it is. A gateway.conf that is
# there already is kept.
install: all doc
	$(INSTALL) -d $(DESTDIR)$(prefix)/sbin $(DESTDIR)$(prefix)/bin $(DESTDIR)$(unitdir) \
		$(DESTDIR)$(sysusersdir) $(DESTDIR)$(completiondir) $(DESTDIR)$(docdir) \
		$(addprefix $(DESTDIR)$(mandir)/,man1 man5 man8) \
		$(addprefix $(SYSCONF)/,gateway/conf.d logrotate.d sysconfig)
	$(INSTALL) -m 755 $(BUILD)/gateway $(DESTDIR)$(prefix)/sbin/gateway
	$(INSTALL) -m 755 $(BUILD)/gatewayctl $(DESTDIR)$(prefix)/bin/gatewayctl
	$(INSTALL) -m 644 $(BUILD)/man/gatewayctl.1 $(DESTDIR)$(mandir)/man1/
	$(INSTALL) -m 644 $(BUILD)/man/gateway.conf.5 $(DESTDIR)$(mandir)/man5/
	$(INSTALL) -m 644 $(BUILD)/man/gateway.8 $(DESTDIR)$(mandir)/man8/
	$(INSTALL) -m 644 contrib/gateway.service contrib/gateway@.service $(DESTDIR)$(unitdir)/
	$(INSTALL) -m 644 contrib/gateway.sysusers $(DESTDIR)$(sysusersdir)/gateway.conf
	$(INSTALL) -m 644 contrib/gatewayctl.bash $(DESTDIR)$(completiondir)/gatewayctl
	test -e $(SYSCONF)/logrotate.d/gateway || \
		$(INSTALL) -m 644 contrib/gateway.logrotate $(SYSCONF)/logrotate.d/gateway
	test -e $(SYSCONF)/sysconfig/gateway || \
		$(INSTALL) -m 640 contrib/gateway.sysconfig $(SYSCONF)/sysconfig/gateway
	$(INSTALL) -m 644 README LICENSE SECURITY contrib/doc/* $(DESTDIR)$(docdir)/
	$(INSTALL) -m 644 conf/gateway.conf $(DESTDIR)$(docdir)/gateway.conf.sample
	test -e $(SYSCONF)/gateway/gateway.conf || \
		$(INSTALL) -m 644 conf/gateway.conf $(SYSCONF)/gateway/gateway.conf

# From the working tree as git sees it, so that what is packaged is what is committed. Debian has
# rpmbuild but not the BuildRequires by these names: --nodeps there.
RPM_TOP	:= $(CURDIR)/rpmbuild
RPM_ARGS ?=
rpm:
	@command -v rpmbuild >/dev/null || { echo 'rpmbuild is missing: contrib/deps test' >&2; exit 1; }
	@mkdir -p $(RPM_TOP)/SOURCES
	git archive --prefix=gateway-$(VERSION)/ -o $(RPM_TOP)/SOURCES/gateway-$(VERSION).tar.gz HEAD
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL rpmbuild --define '_topdir $(RPM_TOP)' $(RPM_ARGS) $(if $(wildcard /etc/debian_version),--nodeps) -bb gateway.spec
	@find $(RPM_TOP)/RPMS -name '*.rpm'
