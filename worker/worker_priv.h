/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's one struct, for the files of this folder.
 */
#ifndef GW_WORKER_PRIV_H
#define GW_WORKER_PRIV_H

#include "conf/table.h"
#include "shm/arena.h"
#include "shm/base/buf.h"
#include "shm/base/loop.h"
#include "shm/base/msg.h"
#include "shm/base/ws.h"
#include "shm/beat.h"
#include "shm/heritage.h"
#include "shm/metric.h"
#include "shm/procs.h"
#include "shm/ring.h"
#include "worker/conn.h"
#include "worker/net/pipe.h"

struct gen;     /* generation.h */
struct h2_pool; /* http/h2.h */
struct keyring; /* keyring.h */
struct plans;   /* plan.h */
struct up;      /* up/up.h */

enum drain_state { DRAIN_NO, DRAIN_MIN /* still accepting */, DRAIN_CLOSING };

struct worker {
	uint32_t magic;
#define WORKER_MAGIC 0x776f726bu
	const struct heritage *h;
	struct loop *loop;
	struct timers *timers;
	struct beat *beat;
	struct procs *procs; /* NULL outside the gateway */
	struct region metrics_region, access_region;
	struct metrics *metrics;
	struct ring *ring;
	struct arena *arena;
	struct table *table;
	uint64_t epoch;             /* of the map that is open */
	uint64_t endpoints_version; /* seen, and told the keeper */
	bool reading;               /* the map's snapshot is held this turn */
	struct defer unread;        /* and given back at its end */

	struct gen *gen;
	struct keyring *keyring;
	struct plans *plans;
	struct up *up;
	struct ws_pool ws_pool;
	struct buf_pool bufs;
	struct buf_pool bulk; /* of bufs */
	struct pipe_pool pipes;
	struct h2_pool *h2_pool;
	uint64_t h2_logged_ms; /* a connection that was ended for abuse */
	struct addr admin;     /* the admin process's socket */

	struct list listeners; /* struct listener */
	struct list conns[CONN_STATE_COUNT];
	struct list free_reqs;
	struct list websockets; /* struct websocket, the open ones */
	struct timer trim_timer;
	unsigned n_conns;
	unsigned max_conns;
	bool paused; /* accepting: for want of descriptors, or at the limit */
	struct timer accept_timer;
	uint64_t pause_logged_ms;
	uint64_t proxy_logged_ms; /* a PROXY header that was refused */
	unsigned proxy_unlogged;  /* and those since */
	uint64_t tls_logged_ms;   /* a handshake that failed */
	unsigned tls_unlogged;

	enum drain_state drain;
	uint64_t drain_deadline_ms; /* monotonic */
	struct timer drain_timer;
	struct watch chan, mailbox;
	struct msg msg; /* the one being sent or read */
	bool hearing;   /* the channel is being read */
	bool leaving;   /* nothing new is taken up */
	int status;     /* what worker_main returns */
};

/* The map as of this turn, renewed at the first call in it. NULL: it cannot be read any more, the
 * worker leaves. */
struct table *worker_table(struct worker *w);
/* Lets go of a snapshot taken earlier in this turn: the next call takes one of now. Not within a
 * request. */
void worker_unread(struct worker *w);
/* Reads what the master has sent so far. */
void worker_hear(struct worker *w);
/* The keyring's bundle changed: the upstream side goes by it from now on. */
void worker_trust(struct worker *w);
void worker_stop(struct worker *w, int status);

#endif
