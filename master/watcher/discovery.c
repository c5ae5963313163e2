/* SPDX-License-Identifier: Apache-2.0
 *
 * See discovery.h.
 */
#include "master/watcher/discovery.h"

#include <sys/epoll.h>

#include "conf/resolver.h"
#include "conf/boot.h"
#include "master/watcher/discovery_files.h"
#include "master/watcher/discovery_names.h"
#include "master/watcher/watcher.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/rnd.h"

#define HELLO_MS 200 /* the line is full: its reader is being replaced */

static struct discovery {
	struct watcher w;
	struct discovery_files *files; /* NULL: they are not watched */
	struct resolver *resolver;
	struct discovery_names *names;
	struct watch line;
	struct msg in, out;
	struct timer hello;
} discovery;

static int
on_message(struct watcher *w UNUSED, struct msg *m UNUSED)
{
	return 0;
}

/* --- out -------------------------------------------------------------------------------------- */

static int
tell(void *self, struct str name, const struct addr *v, uint32_t n, const char *error)
{
	struct discovery *d = self;
	char text[128];

	msg_begin(&d->out, MSG_RESOLVED, 0);
	msg_put_str(&d->out, name);
	msg_put_u32(&d->out, n);
	for (uint32_t i = 0; i < n; i++)
		msg_put_str(&d->out, str_n(text, addr_ip_text(&v[i], text, sizeof(text))));
	msg_put_str(&d->out, str_of(error));
	return msg_send(d->line.fd, &d->out) == 1;
}

static void
hello(struct timer *t)
{
	struct discovery *d = container_of(t, struct discovery, hello);

	if (tell(d, STR(""), NULL, 0, "") != 1)
		timer_set(loop_timers(d->w.loop), t, clock_ms() + HELLO_MS);
}

static void
ask(void *self, const char *name, resolver_f *fn, void *arg)
{
	resolver_ask(((struct discovery *)self)->resolver, name, fn, arg);
}

/* --- in --------------------------------------------------------------------------------------- */

static int
resolve(struct discovery *d, struct msg *m)
{
	bool all = msg_u32(m) != 0, more = msg_u32(m) != 0;
	uint32_t n = msg_u32(m);

	if (n > DISCOVERY_NAMES)
		return -1;
	discovery_names_begin(d->names, all);
	for (uint32_t i = 0; i < n && !m->bad; i++) {
		struct str name = msg_str(m);

		if (!m->bad && name.n > 0 && name.n < 256 && memchr(name.p, '\0', name.n) == NULL)
			discovery_names_add(d->names, name);
	}
	if (msg_end(m) < 0)
		return -1;
	discovery_names_end(d->names, more);
	return 1;
}

static void
on_line(struct watch *w, uint32_t events UNUSED)
{
	struct discovery *d = container_of(w, struct discovery, line);
	int got;

	while ((got = msg_recv(w->fd, &d->in)) == 1) {
		if (d->in.type == MSG_RESOLVE && resolve(d, &d->in) == 1)
			continue;
		log_error("discovery: a malformed message of the keeper");
		msg_drop(&d->in);
	}
	if (got == 0)
		return;
	log_error("discovery: the line to the keeper is closed");
	d->w.status = 1;
	loop_stop(d->w.loop);
}

/* --- files ------------------------------------------------------------------------------------ */

static void
files_changed(void *arg)
{
	struct discovery *d = arg;

	msg_begin(&d->w.msg, MSG_RING, 0);
	watcher_send(&d->w);
}

/* Not being able to watch is no reason to leave names alone. */
static void
files_start(struct discovery *d, const struct heritage *h)
{
	struct conf_settings s;
	const char *error = "";
	struct ws ws;

	ws_init(&ws, NULL, 0);
	if (boot_decode(str_n(h->boot, h->boot_len), &s, &ws) == 1 && s.watch_files) {
		d->files = discovery_files_new(d->w.loop, h->conf_file, files_changed, d, &error);
		if (d->files == NULL)
			log_error("discovery: the files cannot be watched: %s", error);
	}
	ws_free(&ws);
}

/* --- start ------------------------------------------------------------------------------------ */

static int
start(struct discovery *d, const struct heritage *h, const char **error_r)
{
	struct discovery_options o = {.ask = ask, .tell = tell, .self = d};

	rnd_init();
	if (watcher_start(&d->w, h, on_message, error_r) < 0)
		return -1;
	d->resolver = resolver_new(d->w.loop, getenv("GATEWAY_TEST_DNS"), error_r);
	if (d->resolver == NULL)
		return -1;
	o.loop = d->w.loop;
	d->names = discovery_names_new(&o);
	watch_init(&d->line, on_line);
	timer_init(&d->hello, hello);
	*error_r = "the line to the keeper cannot be watched";
	if (loop_add(d->w.loop, &d->line, h->line[LINE_DISCOVERY_KEEPER], EPOLLIN) < 0)
		return -1;
	hello(&d->hello);
	files_start(d, h);
	return 1;
}

int
discovery_main(const struct heritage *h)
{
	const char *error = "";

	if (start(&discovery, h, &error) < 0)
		return watcher_fail(h, error);
	return watcher_run(&discovery.w);
}
