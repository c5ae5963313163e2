# SPDX-License-Identifier: Apache-2.0
#
#: make pgo                  build-pgo: compiled by a profile of the gateway at work, as one (gcc, python3)
#
# What the package is built by (contrib/doc/building): $(BUILD)-pgo is compiled to count what is run, is
# trained for PGO_SECONDS by contrib/pgo/train, and is compiled again by those counts, over all files
# together. The profile is made anew when a source, the compiler or its flags changed; what is compiled in
# build-pgo otherwise (make BUILD=build-pgo) uses what of it still fits.
PGO_SECONDS ?= 20
PGO_BUILD := $(BUILD:%-pgo=%)-pgo

.PHONY: pgo pgo-tools
pgo:
	@! $(CC) -dM -E -x c /dev/null | grep -q __clang__ || \
		{ echo 'make pgo needs gcc, and CC is $(CC): make all does without a profile' >&2; exit 1; }
	@$(MAKE) BUILD=$(PGO_BUILD) PROFILE=use $(PGO_BUILD)/profile
	@$(MAKE) BUILD=$(PGO_BUILD) PROFILE=use all

# Objects keep their names: a function's profile is found by that of its object. Hence one directory,
# compiled twice.
$(BUILD)/profile: $(SRC) $(sort $(wildcard $(DIRS:%=%/*.[hd]*) $(DIRS:%=%/*/*.[hd]*))) \
		$(wildcard contrib/pgo/*) test/lib/gcov_exit.c $(BUILD)/profile-flags
	@rm -f $@
	@$(MAKE) BUILD=$(BUILD)/tools PROFILE= LTO= bench-tools pgo-tools
	@$(MAKE) PROFILE=train LTO= all
	$(call say,TRAIN,$(BUILD)/gateway)
	$(Q)contrib/pgo/train $(BUILD) $(PGO_SECONDS)
	@touch $@

$(BUILD)/profile-flags: FORCE
	@mkdir -p $(@D)
	@{ $(CC) --version | head -n 1; printf '%s\n' '$(subst ','\'',$(OPT) $(HARDEN) $(CPPFLAGS) $(CFLAGS))'; } >$@.new
	@cmp -s $@ $@.new && rm $@.new || mv $@.new $@

PGO_BIN := $(patsubst %.c,$(BUILD)/%,$(wildcard contrib/pgo/*.c))
$(PGO_BIN): %: %.o
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcrypto
pgo-tools: $(PGO_BIN)
	@:
-include $(PGO_BIN:=.d)
