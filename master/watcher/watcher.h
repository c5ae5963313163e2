/* SPDX-License-Identifier: Apache-2.0
 *
 * The skeleton every watcher is built on: loop, channel to the master, heartbeat, log level,
 * leaving. A watcher brings its own messages and timers; shm/base/backoff.h tells it how long to
 * wait before it knocks again.
 *
 *	watcher_start -> own set-up -> watcher_run (READY, then the loop until TERM) -> exit status
 */
#ifndef GW_WATCHER_H
#define GW_WATCHER_H

#include "shm/base/loop.h"
#include "shm/base/msg.h"
#include "shm/beat.h"
#include "shm/heritage.h"

struct watcher;
/* A message from the master: 1 taken (msg_end called and good), 0 not one of mine, -1 malformed. */
typedef int watcher_message_f(struct watcher *w, struct msg *m);

struct watcher {
	const struct heritage *h;
	struct loop *loop;
	struct watch chan;
	struct beat *beat;
	watcher_message_f *on_message;
	int status;
	struct msg msg; /* to read into and to send from, one at a time */
};

/* 1, or -1 with *error_r. */
int watcher_start(struct watcher *w, const struct heritage *h, watcher_message_f *on_message,
    const char **error_r) NODISCARD;
/* Says READY and runs until it is told to leave. Returns the exit status. */
int watcher_run(struct watcher *w);
/* Says FAILED. Returns the exit status. */
int watcher_fail(const struct heritage *h, const char *error);
/* Sends w->msg to the master; a watcher that cannot leaves, and is replaced. */
void watcher_send(struct watcher *w);

#endif
