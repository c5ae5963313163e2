/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin process: its set-up, its two sockets, its channels to master and keeper. Everything it
 * shows it reads from shared memory; everything it changes it asks for.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <unistd.h>

#include "admin/admin.h"
#include "admin/admin_priv.h"
#include "conf/boot.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/proc.h"
#include "shm/beat.h"

static void
admin_fail(const struct heritage *h, const char *what, const char *error)
{
	struct msg m;

	log_error("admin: %s: %s", what, error);
	msg_begin(&m, MSG_FAILED, 0);
	msg_put_str(&m, str_of(error));
	if (msg_send(h->chan, &m) != 1)
		log_error("admin: the master could not be told");
}

/* Who connects: the kernel says. The metrics listener knows nobody. */
static void
admin_accepted(struct session *s, int fd)
{
	struct admin *a = container_of(s->server, struct admin, server);
	const struct conf_settings *set;

	s->role = ROLE_NONE;
	if (s->metrics_only || peer_id_of(fd, &s->peer) < 0 || table_renew(a->table) < 0)
		return;
	set = admin_settings(a, &s->ws);
	if (set != NULL)
		s->role = role_of(&s->peer, set, a->procs, getuid(), getgid());
	table_reset(a->table);
}

static void
admin_message(struct admin *a, struct msg *m)
{
	switch (m->type) {
	case MSG_VERDICT:
		api_on_verdict(a, m);
		break;
	case MSG_CHANGED:
		api_on_changed(a, m);
		break;
	case MSG_ANSWER:
		api_on_answer(a, m);
		break;
	case MSG_HELLO:
		api_on_hello(a, m);
		break;
	case MSG_FACTS:
		admin_facts(a, msg_fd(m));
		break;
	case MSG_LEVEL:
		log_set_level(msg_u32(m));
		break;
	default:
		log_warn("admin: unexpected message %s", msg_type_name(m->type));
		msg_drop(m);
		return;
	}
	if (msg_end(m) < 0)
		log_error("admin: malformed message %s", msg_type_name(m->type));
}

/* -1 when the peer is gone. */
static int
admin_drain_channel(struct admin *a, int fd)
{
	struct msg m;
	int got;

	while ((got = msg_recv(fd, &m)) == 1)
		admin_message(a, &m);
	return got;
}

static void
admin_on_master(struct watch *w, uint32_t events UNUSED)
{
	struct admin *a = container_of(w, struct admin, chan);

	if (admin_drain_channel(a, w->fd) < 0)
		loop_stop(a->loop); /* the master is gone: so are we */
}

static void
admin_on_line(struct admin *a, struct watch *w, const char *whom)
{
	if (admin_drain_channel(a, w->fd) < 0) {
		log_error("admin: the channel to the %s process is closed", whom);
		loop_del(a->loop, w);
	}
}

static void
admin_on_keeper(struct watch *w, uint32_t events UNUSED)
{
	admin_on_line(container_of(w, struct admin, keeper), w, "keeper");
}

static void
admin_on_redis(struct watch *w, uint32_t events UNUSED)
{
	admin_on_line(container_of(w, struct admin, redis), w, "redis");
}

static void
admin_on_signal(void *arg, int signo UNUSED)
{
	struct admin *a = arg;

	loop_stop(a->loop);
}

static int
admin_attach(struct admin *a, const char **error_r)
{
	const int *fd = a->h->region_fd;

	if (region_attach(fd[REGION_PROCS], REGION_PROCS, procs_layout(), true, &a->procs_region,
		error_r) < 0 ||
	    region_attach(
		fd[REGION_METRICS], REGION_METRICS, 0, false, &a->metrics_region, error_r) < 0 ||
	    region_attach(fd[REGION_ACCESS], REGION_ACCESS, 0, false, &a->access_region, error_r) <
		0)
		return -1;
	a->procs = procs_of(&a->procs_region);
	a->metrics = metrics_open(&a->metrics_region, 0);
	return 1;
}

static int
admin_open_maps(struct admin *a, const char **error_r)
{
	char dir[512];
	uint64_t epoch;

	snprintf(dir, sizeof(dir), "%s/arena", a->h->run_dir);
	if (arena_open(dir, &a->arena, error_r) < 0)
		return -1;
	epoch = atomic_load_explicit(&arena_head(a->arena)->epoch, memory_order_acquire);
	return table_open(a->h->run_dir, epoch, &a->table, error_r);
}

static int
admin_bind_metrics(struct str where, const char **error_r)
{
	struct addr addr;
	struct sockaddr_storage ss;
	int one = 1, fd;

	if (addr_parse(where, 0, &addr, error_r) < 0)
		return -1;
	socklen_t len = addr_sockaddr(&addr, &ss);

	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 64) < 0) {
		*error_r = strerror(errno);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* A metrics port that is taken does not stop the gateway: it is said in log and status. */
static void
admin_listen_metrics(struct admin *a, struct str where)
{
	const char *error = NULL;
	int fd;

	if (where.n == 0)
		return;
	fd = admin_bind_metrics(where, &error);
	if (fd >= 0 && server_listen(&a->server, SERVER_METRICS, fd) < 0)
		error = strerror(errno);
	if (error == NULL)
		return;
	a->metrics_error = error;
	log_error("admin: metrics_listen %.*s: %s", STR_ARG(where), error);
}

/* The admin socket is the master's, and outlives this process. */
static int
admin_listen(struct admin *a, const char **error_r)
{
	struct conf_settings s;
	struct ws ws;
	int done = -1;

	ws_init(&ws, NULL, 0);
	if (boot_decode(str_n(a->h->boot, a->h->boot_len), &s, &ws) < 0) {
		*error_r = "boot settings are malformed";
	} else if (a->h->n_listens < 1) {
		*error_r = "the master gave no admin socket";
	} else if (server_listen(&a->server, SERVER_UNIX, a->h->listens[0].fd) < 0) {
		*error_r = strerror(errno);
	} else {
		admin_listen_metrics(a, s.admin.metrics_listen);
		done = 1;
	}
	ws_free(&ws);
	return done;
}

static int
admin_watch(struct admin *a)
{
	loop_signal(a->loop, SIGTERM, admin_on_signal, a);
	loop_signal(a->loop, SIGQUIT, admin_on_signal, a);
	a->chan.fn = admin_on_master;
	a->keeper.fn = admin_on_keeper;
	a->redis.fn = admin_on_redis;
	if (loop_add(a->loop, &a->chan, a->h->chan, EPOLLIN) < 0)
		return -1;
	if (a->h->line[LINE_ADMIN_KEEPER] >= 0 &&
	    loop_add(a->loop, &a->keeper, a->h->line[LINE_ADMIN_KEEPER], EPOLLIN) < 0)
		return -1;
	if (a->h->line[LINE_ADMIN_REDIS] >= 0 &&
	    loop_add(a->loop, &a->redis, a->h->line[LINE_ADMIN_REDIS], EPOLLIN) < 0)
		return -1;
	return 1;
}

static int
admin_start(struct admin *a, const char **error_r)
{
	a->loop = loop_new();
	server_init(&a->server, a->loop, api_request, admin_accepted, api_is_bulk);
	if (admin_attach(a, error_r) < 0 || admin_open_maps(a, error_r) < 0 ||
	    admin_listen(a, error_r) < 0)
		return -1;
	*error_r = "cannot watch the channels";
	admin_facts(a, a->h->facts_fd);
	return admin_watch(a);
}

int
admin_main(const struct heritage *h)
{
	static struct admin admin;
	const char *error = NULL;
	struct msg m;

	admin.h = h;
	admin.chan.fd = admin.keeper.fd = admin.redis.fd = -1;
	if (admin_start(&admin, &error) < 0) {
		admin_fail(h, "cannot start", error);
		return 1;
	}
	beat_start(admin.loop, h);
	msg_begin(&m, MSG_READY, 0);
	if (msg_send(h->chan, &m) != 1)
		return 1;
	loop_run(admin.loop);
	return 0;
}
