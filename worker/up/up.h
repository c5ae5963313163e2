/* SPDX-License-Identifier: Apache-2.0
 *
 * The upstream side of a worker: what its parts (endpoints, pick, pool, attempt) share. Made once
 * by the worker.
 */
#ifndef GW_UP_H
#define GW_UP_H

#include "shm/arena.h"
#include "shm/base/buf.h"
#include "shm/base/loop.h"
#include "shm/metric.h"

struct bundle;  /* conf/bundle.h */
struct epset;   /* endpoints.h */
struct h2_pool; /* worker/http/h2.h */
struct pool;    /* pool.h */
struct trust;   /* trust.h */

struct up {
	struct loop *loop;
	struct arena *arena;
	unsigned slot;
	struct metrics *metrics;
	struct buf_pool *bufs;

	struct h2_pool *h2; /* the worker's */
	struct pool *pool;
	struct trust *trust;
	uint64_t tls_logged_ms; /* a TLS failure */
	unsigned tls_unlogged;  /* and those since */
	struct epset **sets;    /* endpoint sets by service number */
	uint32_t n_sets;
	uint64_t endpoints_version; /* the arena's word as it was before the snapshot was taken */
	/* candidates of the pick that runs */
	const struct endpoint_ref **cand;
	uint32_t *cand_weight, *cand_scratch;
	uint32_t cand_cap;
	struct list free_attempts;
};

struct up *up_new(
    struct loop *l, struct arena *a, unsigned slot, struct metrics *m, struct buf_pool *bufs);
/* Certificates and keys as they are now: a reference is taken; what was made of the same content
 * stays. Idle connections made with what is not there any more are closed. */
void up_trust(struct up *u, struct bundle *b);
/* Right before the map's snapshot is renewed: what is cached is never younger than its mark. */
void up_before_renew(struct up *u);
/* Closes pooled connections and frees everything; no attempt may be under way. */
void up_free(struct up **u);

#endif
