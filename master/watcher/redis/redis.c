/* SPDX-License-Identifier: Apache-2.0
 *
 * See redis.h.
 */
#include "master/watcher/redis/redis.h"

#include "master/watcher/watcher.h"

static struct redis {
	struct watcher w;
} redis;

static int
on_message(struct watcher *w UNUSED, struct msg *m UNUSED)
{
	return 0;
}

int
redis_main(const struct heritage *h)
{
	const char *error = "";

	if (watcher_start(&redis.w, h, on_message, &error) < 0)
		return watcher_fail(h, error);
	return watcher_run(&redis.w);
}
