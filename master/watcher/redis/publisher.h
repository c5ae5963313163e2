/* SPDX-License-Identifier: Apache-2.0
 *
 * A document of this instance's admin API, written to the console's keys for all instances: under
 * WATCH, so that of two publishers one tries again. One at a time; sync asks nothing meanwhile, for
 * its EXEC would end our WATCH.
 */
#ifndef GW_REDIS_PUBLISHER_H
#define GW_REDIS_PUBLISHER_H

#include "master/watcher/redis/answer.h"
#include "master/watcher/redis/conn.h"
#include "master/watcher/redis/sync.h"

#define PUBLISH_TRIES 20
#define PUBLISH_QUEUE 256 /* documents waiting */

struct publisher_ops {
	void (*send)(void *arg, const struct command *c, link_reply_f *fn, void *fn_arg);
	void (*answer)(void *arg, uint32_t id, uint32_t status, json_t *body); /* steals body */
	void (*later)(void *arg, uint64_t ms); /* publisher_again then */
};

struct publisher {
	const struct publisher_ops *ops;
	void *arg;
	const struct keys *keys;
	struct sync *sync;
	struct list queue; /* first: under way */
	unsigned queued;
};

void publisher_init(struct publisher *p, const struct publisher_ops *ops, void *arg,
    const struct keys *keys, struct sync *sync);
/* Answered by ops->answer, once. */
void publisher_document(struct publisher *p, uint32_t id, struct str text);
void publisher_again(struct publisher *p);

#endif
