/* SPDX-License-Identifier: Apache-2.0
 *
 * Upstream connections that requests share: HTTP/2. One is made by the attempt that finds none with
 * room; others to the same endpoint have their exchanges beside its own. It is known by the same
 * identity as pooled ones (pool.h), closed when it has been without an exchange for the pool's idle
 * time, and given no new ones when the endpoint or a setting says so.
 */
#ifndef GW_SHARED_H
#define GW_SHARED_H

#include "worker/http/h2.h"
#include "worker/up/pool.h"

struct attempt;

struct shared {
	struct list node; /* among its row's */
	struct list all;  /* among the pool's */
	struct pool *pool;
	struct upconn *base; /* the connection itself */
	struct h2_conn h2;
	struct timer timer; /* the end of its idleness */
	struct pool_limits limits;
	bool idle;
};

/* One of that identity with room for an exchange, or NULL. */
struct shared *shared_find(struct pool *p, const struct pool_id *id);
/* The connection stands, and speaks HTTP/2: it is shared from now on, and taken over. NULL: it
 * could not be, and is closed. */
struct shared *shared_new(struct pool *p, struct upconn **c, const struct pool_limits *l);
/* A new exchange; NULL: there is no room after all. */
struct h2_stream *shared_begin(struct shared *sh, struct head *rx);
/* Those of an endpoint that is gone, or made with certificates that are: no new exchanges. */
void shared_sweep(struct pool *p);
void shared_close_all(struct pool *p);

#endif
