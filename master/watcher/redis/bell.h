/* SPDX-License-Identifier: Apache-2.0
 *
 * The subscriber's connection. It carries no truth: each ring, and each time it comes up, somebody
 * looks at the version. That it still hears is asked by PING on itself: Redis answers a subscriber
 * in the same order as it tells him messages, so that a connection cut in silence is noticed within
 * two intervals and costs nobody else a message.
 */
#ifndef GW_REDIS_BELL_H
#define GW_REDIS_BELL_H

#include "master/watcher/redis/link.h"
#include "shm/base/backoff.h"

struct bell {
	struct link link;
	struct str channel;
	struct addr addr; /* family 0: nobody is to be called */
	char host[256];
	bool heard;   /* subscribed */
	bool waiting; /* for the answer to PING */
	uint64_t interval_ms;
	struct timer timer;
	struct backoff backoff;
	void (*on_ring)(void *arg);
	/* heard: it is up; else why it is not, once for each time. */
	void (*on_change)(void *arg, bool heard, const char *why);
	void *arg;
};

void bell_init(struct bell *b, const struct link_opts *o, struct str channel, uint64_t min_ms,
    uint64_t max_ms);
/* Calls there until bell_close. */
void bell_open(struct bell *b, const struct addr *to, const char *host);
void bell_close(struct bell *b);

#endif
