/* SPDX-License-Identifier: Apache-2.0
 *
 * See discovery.h.
 */
#include "master/watcher/discovery.h"

#include "master/watcher/watcher.h"

static struct discovery {
	struct watcher w;
} discovery;

static int
on_message(struct watcher *w UNUSED, struct msg *m UNUSED)
{
	return 0;
}

int
discovery_main(const struct heritage *h)
{
	const char *error = "";

	if (watcher_start(&discovery.w, h, on_message, &error) < 0)
		return watcher_fail(h, error);
	return watcher_run(&discovery.w);
}
