/* SPDX-License-Identifier: Apache-2.0
 *
 * See watcher.h.
 */
#include "master/watcher/watcher.h"

#include <signal.h>
#include <sys/epoll.h>

#include "shm/base/log.h"

static void
leave(struct watcher *w, int status)
{
	w->status = status;
	loop_stop(w->loop);
}

static int
level_set(struct msg *m)
{
	uint32_t level = msg_u32(m);

	if (msg_end(m) < 0 || level > LOG_DEBUG_L)
		return -1;
	log_set_level(level);
	return 1;
}

static void
on_chan(struct watch *wt, uint32_t events UNUSED)
{
	struct watcher *w = container_of(wt, struct watcher, chan);
	int got, taken;

	while ((got = msg_recv(wt->fd, &w->msg)) == 1) {
		if (w->msg.type == MSG_LEVEL)
			taken = level_set(&w->msg);
		else
			taken = w->on_message(w, &w->msg);
		if (taken < 0) {
			log_error("a malformed message from the master");
			leave(w, 1);
			return;
		}
		if (taken == 0)
			msg_drop(&w->msg);
	}
	if (got < 0)
		leave(w, 1);
}

static void
on_term(void *arg, int signo UNUSED)
{
	leave(arg, 0);
}

int
watcher_start(struct watcher *w, const struct heritage *h, watcher_message_f *on_message,
    const char **error_r)
{
	w->h = h;
	w->on_message = on_message;
	w->loop = loop_new();
	loop_signal(w->loop, SIGTERM, on_term, w);
	watch_init(&w->chan, on_chan);
	if (loop_add(w->loop, &w->chan, h->chan, EPOLLIN) < 0) {
		*error_r = "cannot watch the channel to the master";
		return -1;
	}
	w->beat = beat_start(w->loop, h);
	return 1;
}

void
watcher_send(struct watcher *w)
{
	if (msg_send(w->h->chan, &w->msg) != 1) {
		log_error("cannot tell the master %s", msg_type_name(w->msg.type));
		leave(w, 1);
	}
}

int
watcher_run(struct watcher *w)
{
	msg_begin(&w->msg, MSG_READY, 0);
	if (msg_send(w->h->chan, &w->msg) != 1)
		return 1;
	loop_run(w->loop);
	return w->status;
}

int
watcher_fail(const struct heritage *h, const char *error)
{
	struct msg m;

	msg_begin(&m, MSG_FAILED, 0);
	msg_put_str(&m, str_of(error));
	(void)!msg_send(h->chan, &m);
	return 1;
}
