/* SPDX-License-Identifier: Apache-2.0
 *
 * The names discovery looks up: each asked again when its answer is old, later and later while it
 * fails; whoever listens is told of the first answer and of changes. Knows no socket: discovery.c
 * gives it somebody to ask and somebody to tell.
 */
#ifndef GW_DISCOVERY_NAMES_H
#define GW_DISCOVERY_NAMES_H

#include "conf/resolver.h"
#include "shm/base/loop.h"

#define DISCOVERY_MIN_MS 1000  /* between two look-ups of a name, whatever its TTL says */
#define DISCOVERY_MAX_MS 30000 /* likewise */
#define DISCOVERY_NAMES  50000
#define DISCOVERY_FLIGHT 64 /* look-ups at a time: a resolver drops what floods it */

struct discovery_options {
	struct loop *loop;
	/* Answered by a call of fn with arg. */
	void (*ask)(void *self, const char *name, resolver_f *fn, void *arg);
	/* error: why the last look-up failed, or "". 1; 0: no room now, try again. */
	int (*tell)(
	    void *self, struct str name, const struct addr *v, uint32_t n, const char *error);
	void *self;
};

struct discovery_names;
struct discovery_names *discovery_names_new(const struct discovery_options *o);
/* No question may be open. */
void discovery_names_free(struct discovery_names **t);

/* The list comes in parts: begin each part, its names, end each part. all: a list begins whatever
 * went before, and known answers are to be told again. more: the list goes on in another part. */
void discovery_names_begin(struct discovery_names *t, bool all);
void discovery_names_add(struct discovery_names *t, struct str name);
void discovery_names_end(struct discovery_names *t, bool more);

#endif
