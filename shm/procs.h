/* SPDX-License-Identifier: Apache-2.0
 *
 * The process table region: one row per process the master looks after. The master writes
 * everything but the heartbeat words, which belong to the row's process.
 */
#ifndef GW_PROCS_H
#define GW_PROCS_H

#include "shm/base/base.h"
#include "shm/region.h"
#include "shm/heritage.h"

#define PROCS_MAX (SLOT_MAX + 16)

enum proc_state { PROC_EMPTY, PROC_STARTING, PROC_UP, PROC_DRAINING, PROC_DEAD };

struct proc_row {
	alignas(CACHE_LINE) _Atomic uint32_t state; /* enum proc_state */
	_Atomic uint32_t kind;
	_Atomic uint32_t slot;
	_Atomic int32_t pid;
	_Atomic uint32_t restarts;
	_Atomic uint32_t last_status; /* wait status of the predecessor */
	_Atomic uint64_t started_us;  /* wall */
	/* monotonic; written by the process each turn, at most once a ms */
	alignas(CACHE_LINE) _Atomic uint64_t beat_ms;
	_Atomic uint64_t generation;       /* the generation it runs by */
	_Atomic uint64_t endpoints;        /* worker: endpoints_version it has seen; 0: none yet */
	_Atomic uint64_t rss, cpu_us, fds; /* refreshed by the process about once a second */
};

/* How it stands with the console, written by the redis process alone (gateway_console_* metrics,
 * status). Torn reads of the texts are harmless. */
enum console_state { CONSOLE_OFF, CONSOLE_CONNECTING, CONSOLE_LIVE, CONSOLE_STATE_COUNT };
struct console_status {
	alignas(CACHE_LINE) _Atomic uint32_t state; /* enum console_state */
	_Atomic uint32_t in_sync;                   /* 1: what Redis has is what is in force here */
	_Atomic uint64_t since_us;                  /* wall: of the state */
	_Atomic uint64_t number, seen;              /* applied here; last seen in Redis */
	_Atomic uint64_t applied_us;                /* wall: the last change applied */
	_Atomic uint64_t refused;                   /* objects refused now */
	_Atomic uint64_t connects, failures, timeouts, changes, snapshots, reconciles,
	    guard_refusals;
	char epoch[64], hash[65], server[128], error[256];
};

struct procs {
	alignas(CACHE_LINE) _Atomic uint64_t reloads_ok, reloads_failed;
	_Atomic uint64_t last_reload_us; /* wall */
	_Atomic uint32_t last_reload_ok;
	_Atomic uint32_t ready; /* 1: every kind is up; /health answers 200 only then */
	/* 1: QUIT or drain: /health answers 503 at once, in every worker */
	_Atomic uint32_t draining;
	_Atomic uint32_t log_level;
	_Atomic uint32_t overrides; /* written by the keeper: objects that do not say what their
				       source says */
	/* first error of the last failed reload, NUL-terminated; torn reads are harmless text */
	char last_reload_error[512];
	struct console_status console;
	struct proc_row row[PROCS_MAX];
};

static inline struct procs *
procs_of(const struct region *r)
{
	return r->data;
}
size_t procs_size(void);
uint64_t procs_layout(void);

#endif
