# SPDX-License-Identifier: Apache-2.0
#
# Tests. Every runner prints its own findings and appends one line "name passed failed skipped" to
# $(BUILD)/test-results; test/totals adds them up and decides the exit code.
#
#: make unit                 CMocka programs, one per test/unit/**/*_test.c
#: make scen                 wire scenarios, test/scen/*.vtc by varnishtest (SCEN=name for some)
#: make system               whole-system tests, test/system by pytest (PYTEST_ARGS= for some)
#: make fuzz FUZZ_TIME=60    libFuzzer targets, test/fuzz/fuzz_*.c, that many seconds each
#: make lint                 layers, sizes, banned functions, format, clang-tidy, cppcheck ...
#: make requirements         every requirement with the tests that name it
#: make coverage             line coverage by gcovr, in build-cov
#: make bench                CPU per request, handshake and message, memory; against a relay, nginx, HAProxy,
#:                           nghttpx; measures what make pgo builds (BENCH_PROGRAM=); text, JSON, a chart
#: make bench-changes        how fast a change is in force: admin API, Redis (part of make bench)
#: make bench-load           100,000 routes: time to load and check, memory (part of make bench)
#: make bench-latency        p99 added at half the saturation rate; requests a second of a core (MORE_ARGS=--quick)
#: make bench-storm          ten reloads a second, 1,000 changes a second, while serving (the same)
#: make bench-overload       twice what a core takes: memory, /health (the same)
#: make bench-modes          beside a lock in Redis per request and full reloads (the same; all part of make bench)
#: make bench-compare        two commits or builds in one run, or two results, latest.json (A=, B=)
#: make torture-reload       1,000 reloads under load (TORTURE_ARGS=--tls: certificates, streams over TLS; --h2)
#: make chaos                children killed and stopped under load
RESULTS	:= $(BUILD)/test-results
FUZZ_TIME ?= 60
CHECK_FUZZ_TIME ?= 4
SCEN	?=
PYTEST_ARGS ?=

# --- unit: each program links the library, so only what it calls ----------------------------------
UNIT_SRC := $(sort $(shell find $(DIRS:%=test/unit/%) -name '*_test.c' 2>/dev/null))
UNIT_LIB := $(call obj,$(sort $(filter-out %_test.c,$(wildcard test/unit/*.c))))
UNIT_BIN := $(patsubst %.c,$(BUILD)/%,$(UNIT_SRC))

$(UNIT_BIN): %: %.o $(UNIT_LIB) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

.PHONY: unit-bins unit
unit-bins: $(UNIT_BIN)
unit: unit-bins
	@test/unit/run $(RESULTS) $(JOBS) $(UNIT_BIN)

# --- fuzz: the library once more, by clang, in build-fuzz -----------------------------------------
FUZZ_BIN := $(patsubst %.c,$(BUILD)/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
$(FUZZ_BIN): %: %.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

.PHONY: fuzz-bins fuzz
fuzz-bins: $(FUZZ_BIN)
fuzz:
	@$(MAKE) BUILD=build-fuzz CC=clang SAN=fuzzer-no-link,address,undefined OPT="-O1 -g" fuzz-bins
	@test/fuzz/run $(RESULTS) $(FUZZ_TIME) $(JOBS) build-fuzz

# --- against the real binary ----------------------------------------------------------------------
.PHONY: scen system torture-reload chaos
scen: all
	@test/scen/run $(RESULTS) $(JOBS) $(BUILD) $(SCEN)
system: all bench-tools
	@env -u MAKEFLAGS -u MAKELEVEL -u SAN -u COV -u BUILD \
		GW_BUILD=$(BUILD) GW_RESULTS=$(RESULTS) GW_SAN=$(SAN) \
		$(PYTHON) -m pytest -c test/system/pytest.ini -n $(JOBS) test/system $(PYTEST_ARGS)
torture-reload: all bench-tools
	@GW_BUILD=$(BUILD) $(PYTHON) test/system/torture_reload.py $(TORTURE_ARGS)
chaos: all bench-tools
	@GW_BUILD=$(BUILD) $(PYTHON) test/system/chaos.py $(CHAOS_ARGS)

# --- everything -----------------------------------------------------------------------------------
# One runner's failure does not keep the others from running: the totals say all of it at the end.
.PHONY: check check-tests
check:
	@contrib/deps run build test lint
	@mkdir -p $(BUILD) && : >$(RESULTS)
	@$(MAKE) all unit-bins || { echo 'build 0 1 0' >>$(RESULTS); test/totals $(RESULTS); exit 1; }
	-@$(MAKE) lint
	-@$(MAKE) unit
	-@$(MAKE) scen
	-@$(MAKE) system
	-@$(MAKE) fuzz FUZZ_TIME=$(CHECK_FUZZ_TIME)
	@test/totals $(RESULTS)

# The running tests alone, for another build (SAN=): the fuzz targets are sanitized in any case.
check-tests:
	@mkdir -p $(BUILD) && : >$(RESULTS)
	@$(MAKE) all unit-bins || { echo 'build 0 1 0' >>$(RESULTS); test/totals $(RESULTS); exit 1; }
	-@$(MAKE) unit
	-@$(MAKE) scen
	-@$(MAKE) system
	@test/totals $(RESULTS)

# --- looking at the tree --------------------------------------------------------------------------
BENCH_MORE := latency storm overload modes
.PHONY: lint requirements coverage bench bench-changes bench-load bench-compare bench-tools $(BENCH_MORE:%=bench-%)
lint:
	@contrib/lint/lint $(RESULTS) $(JOBS)
requirements:
	@test/requirements
coverage:
	@$(MAKE) COV=1 coverage-run
.PHONY: coverage-run
coverage-run: all unit-bins
	@test/coverage prepare $(BUILD)
	@: >$(RESULTS)
	-@$(MAKE) unit
	-@$(MAKE) scen
	-@$(MAKE) system
	@test/coverage report $(BUILD) $(RESULTS)

# Each file is a program, but for what one of them has in a second.
BENCH_PART := $(BUILD)/test/bench/locked_redis
BENCH_BIN := $(filter-out $(BENCH_PART),$(patsubst %.c,$(BUILD)/%,$(wildcard test/bench/*.c)))
$(BUILD)/test/bench/locked: $(BENCH_PART).o
$(BENCH_BIN): %: %.o
	$(call say,LD,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lssl -lcrypto -lnghttp2 -lconfig -pthread
bench-tools: $(BENCH_BIN)
# The package's build is measured, or another: BENCH_PROGRAM=build/gateway. A bar that is missed keeps nothing
# from being measured.
BENCH_PROGRAM ?= $(PGO_BUILD)/gateway
bench:
	@contrib/deps run build bench
	@$(MAKE) all bench-tools
	@$(if $(filter $(PGO_BUILD)/gateway,$(BENCH_PROGRAM)),$(MAKE) pgo)
	@rc=0; test/bench/bench --build $(BUILD) --program $(BENCH_PROGRAM) $(BENCH_ARGS) || rc=1; \
	test/bench/changes --build $(BUILD) --program $(BENCH_PROGRAM) $(CHANGES_ARGS) || rc=1; \
	test/bench/load --build $(BUILD) --program $(BENCH_PROGRAM) $(LOAD_ARGS) || rc=1; \
	for p in $(BENCH_MORE); do \
		test/bench/$$p --build $(BUILD) --program $(BENCH_PROGRAM) $(MORE_ARGS) || rc=1; \
	done; exit $$rc
$(BENCH_MORE:%=bench-%): bench-%:
	@contrib/deps run build test bench
	@$(MAKE) all bench-tools
	@$(if $(filter $(PGO_BUILD)/gateway,$(BENCH_PROGRAM)),$(MAKE) pgo)
	@test/bench/$* --build $(BUILD) --program $(BENCH_PROGRAM) $(MORE_ARGS)
bench-changes:
	@contrib/deps run build test bench
	@$(MAKE) all bench-tools
	@$(if $(filter $(PGO_BUILD)/gateway,$(BENCH_PROGRAM)),$(MAKE) pgo)
	@test/bench/changes --build $(BUILD) --program $(BENCH_PROGRAM) $(CHANGES_ARGS)
bench-load:
	@contrib/deps run build bench
	@$(MAKE) all bench-tools
	@$(if $(filter $(PGO_BUILD)/gateway,$(BENCH_PROGRAM)),$(MAKE) pgo)
	@test/bench/load --build $(BUILD) --program $(BENCH_PROGRAM) $(LOAD_ARGS)
bench-compare:
	@$(if $(filter %.json,$(A)),,contrib/deps run build bench && $(MAKE) bench-tools)
	@test/bench/compare --build $(BUILD) "$(A)" "$(B)" $(BENCH_ARGS)

-include $(patsubst %,%.d,$(UNIT_BIN) $(FUZZ_BIN) $(BENCH_BIN) $(BENCH_PART)) $(UNIT_LIB:.o=.d)
