/* SPDX-License-Identifier: Apache-2.0
 *
 * What this instance says of itself in Redis: {P}:ack:INSTANCE, which expires, and its time in
 * {P}:instances, which does not so soon. Failing to write it is counted and said once; reading goes
 * on.
 */
#ifndef GW_REDIS_ACK_H
#define GW_REDIS_ACK_H

#include "master/watcher/redis/conn.h"
#include "master/watcher/redis/sync.h"

#define ACK_ERRORS       20                        /* refused objects named */
#define ACK_REMEMBERED_S ((uint64_t)7 * 24 * 3600) /* a silent instance */

struct ack {
	struct conn *conn;
	const struct keys *keys;
	const struct sync *sync;
	const struct procs *procs; /* may be NULL */
	uint64_t expiry_ms;
	char host[256];
	char last[512];  /* what was said last, so that it is said once */
	char error[256]; /* the last one could not be written: why; empty: it could */
	/* One was refused (a->error), or is good again. */
	void (*on_change)(struct ack *a, bool refused);
};

/* Says it when it differs from what was said last, or always. */
void ack_write(struct ack *a, bool always);
/* The text: the caller frees. */
char *ack_text(const struct ack *a);

#endif
