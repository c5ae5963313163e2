/* SPDX-License-Identifier: Apache-2.0
 *
 * See redis.h. This file holds the parts together: set-up, the lines to keeper and admin, timers.
 *
 *	conn, bell	to Redis	sync	what to do	mirror	what is known
 *	ack, publish	to Redis	status	for status, metrics, log
 */
#include "master/watcher/redis/redis.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "conf/ask.h"
#include "conf/boot.h"
#include "conf/document.h"
#include "conf/enclosed.h"
#include "conf/secret.h"
#include "conf/stop.h"
#include "master/watcher/redis/ack.h"
#include "master/watcher/redis/bell.h"
#include "master/watcher/redis/publisher.h"
#include "master/watcher/redis/rollout.h"
#include "master/watcher/redis/status.h"
#include "master/watcher/watcher.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/rnd.h"
#include "worker/net/x509.h"

#define LINE_RETRY_MS 10   /* the keeper's line is full */
#define ASK_AGAIN_MS  2000 /* the keeper's position */

static struct redis {
	struct watcher w;
	struct ws ws;
	struct conf_settings s;
	struct secrets *secrets;
	struct tls_ctx *tls;
	struct keys keys;
	struct conn conn;
	struct bell bell;
	struct sync sync;
	struct ack ack;
	struct publisher publish;
	struct status status;
	struct watch keeper, admin;
	struct timer reconcile, acknowledge, later, resend, position, publish_later;
	int document; /* sealed, of the change with id; -1 */
	uint32_t document_id;
	struct msg in, out;
} redis;

static void
timer_in(struct timer *t, uint64_t ms)
{
	timer_set(loop_timers(redis.w.loop), t, clock_ms() + ms);
}

static const char *
server_text(void)
{
	static char text[TARGET_HOST + 8];

	endpoint_text(&redis.conn.now, text, sizeof(text));
	return text;
}

/* --- sync's wishes ---------------------------------------------------------------------------- */

static void
on_asked(void *arg UNUSED, const struct reply *r)
{
	sync_reply(&redis.sync, r);
}

static void
sync_asks(void *arg UNUSED, struct command *c)
{
	conn_send(&redis.conn, c, on_asked, NULL);
}

/* The line is as long as its socket's queue; a keeper that is being replaced reads it later. */
static void
send_document(void)
{
	int sent;

	if (redis.document < 0)
		return;
	msg_begin(&redis.out, MSG_CHANGE, redis.document_id);
	msg_put_str(&redis.out, STR("")); /* sealed, for it may have to be sent again */
	msg_put_fd(&redis.out, redis.document);
	sent = msg_send(redis.w.h->line[LINE_REDIS_KEEPER], &redis.out);
	if (sent == 0) {
		timer_in(&redis.resend, LINE_RETRY_MS);
		return;
	}
	if (sent < 0)
		log_error("console: the keeper's line is gone");
	(void)close(redis.document);
	redis.document = -1;
}

static void
on_resend(struct timer *t UNUSED)
{
	send_document();
}

static void
sync_changes(void *arg UNUSED, uint32_t id, struct str text)
{
	const char *error = "";

	if (redis.document >= 0)
		(void)close(redis.document);
	redis.document = document_seal(text, &error);
	redis.document_id = id;
	if (redis.document < 0) {
		log_error("console: a document cannot be handed over: %s", error);
		sync_changed(&redis.sync, id, 507, redis.sync.generation, STR(""));
		return;
	}
	send_document();
}

static void
sync_told(void *arg UNUSED)
{
	status_sync(&redis.status, &redis.sync, redis.ack.error);
	ack_write(&redis.ack, false);
}

static void
on_ack_change(struct ack *a, bool refused)
{
	if (refused)
		status_ack_refused(&redis.status);
	status_sync(&redis.status, &redis.sync, a->error);
}

static void
sync_rings(void *arg UNUSED)
{
	log_info("console: all instances are to load their files again");
	msg_begin(&redis.w.msg, MSG_RING, 0);
	watcher_send(&redis.w);
}

static void
sync_later(void *arg UNUSED, uint64_t ms)
{
	timer_in(&redis.later, ms);
}

static const struct sync_ops sync_ops = {.ask = sync_asks,
    .change = sync_changes,
    .told = sync_told,
    .ring = sync_rings,
    .later = sync_later};

/* --- publishing ------------------------------------------------------------------------------- */

static void
publish_sends(void *arg UNUSED, const struct command *c, link_reply_f *fn, void *fn_arg)
{
	conn_send(&redis.conn, c, fn, fn_arg);
}

static void
publish_answers(void *arg UNUSED, uint32_t id, uint32_t status, json_t *body)
{
	const struct answer to = {redis.w.h->line[LINE_ADMIN_REDIS], id};

	answer_json(&to, status, body);
}

static void
publish_waits(void *arg UNUSED, uint64_t ms)
{
	timer_in(&redis.publish_later, ms);
}

static const struct publisher_ops publish_ops = {
    .send = publish_sends, .answer = publish_answers, .later = publish_waits};

/* --- timers ----------------------------------------------------------------------------------- */

static void
on_later(struct timer *t UNUSED)
{
	sync_kick(&redis.sync);
}

/* Spread, so that a fleet does not ask as one. */
static uint64_t
spread(uint64_t ms)
{
	return ms - rnd_below(ms / 5 + 1);
}

static void
on_reconcile(struct timer *t)
{
	timer_in(t, spread(redis.s.redis.reconcile));
	conn_check(&redis.conn);
	sync_reconcile(&redis.sync);
}

static void
on_acknowledge(struct timer *t)
{
	timer_in(t, spread(redis.s.redis.acknowledge));
	ack_write(&redis.ack, true);
}

static void
on_publish_later(struct timer *t UNUSED)
{
	publisher_again(&redis.publish);
}

/* Until the keeper has said where it is. */
static void
on_position(struct timer *t)
{
	if (redis.sync.asked)
		return;
	msg_begin(&redis.out, MSG_ASK, UINT32_MAX);
	msg_put_u32(&redis.out, ASK_STATE);
	msg_put_u64(&redis.out, 0);
	msg_put_u64(&redis.out, 0);
	msg_put_str(&redis.out, STR(""));
	if (msg_send(redis.w.h->line[LINE_REDIS_KEEPER], &redis.out) < 0)
		log_error("console: the keeper's line is gone");
	timer_in(t, ASK_AGAIN_MS);
}

/* --- the connections -------------------------------------------------------------------------- */

static void
on_up(void *arg UNUSED)
{
	status_up(&redis.status, server_text());
	bell_open(&redis.bell, &redis.conn.addr, redis.conn.now.host);
	sync_connected(&redis.sync, true);
}

static void
on_down(void *arg UNUSED, enum link_end how, const char *why)
{
	status_down(&redis.status, server_text(), how, why);
	bell_close(&redis.bell);
	sync_broken(&redis.sync, why);
}

static void
on_ring(void *arg UNUSED)
{
	sync_kick(&redis.sync);
}

/* What was rung while nobody heard is looked up. */
static void
on_bell(void *arg UNUSED, bool heard, const char *why)
{
	status_bell(&redis.status, heard, why);
	if (heard)
		sync_kick(&redis.sync);
}

/* --- the keeper's line ------------------------------------------------------------------------ */

/* The body that came with a message, for enclosed_free; empty: none. */
static struct enclosed
take_body(struct msg *m)
{
	struct enclosed body;
	const char *error = "";

	if (enclosed_take(m, &body, &error) < 0)
		log_error("console: what came cannot be read: %s", error);
	return body;
}

static int
keeper_changed(struct msg *m)
{
	uint32_t id = m->id, status = msg_u32(m);
	uint64_t generation = msg_u64(m);
	struct enclosed body;

	(void)msg_u32(m);
	(void)msg_u32(m);
	body = take_body(m);
	if (msg_end(m) < 0)
		return -1;
	beat_generation(redis.w.beat, generation);
	sync_changed(&redis.sync, id, status, generation, body.text);
	enclosed_free(&body);
	return 1;
}

static int
keeper_answered(struct msg *m)
{
	uint32_t status = msg_u32(m);
	struct enclosed body = take_body(m);
	json_t *root;
	char *position;

	if (msg_end(m) < 0)
		return -1;
	if (status == 200) {
		root = json_loadb(body.text.n > 0 ? body.text.p : "", body.text.n, 0, NULL);
		position = json_dumps(json_object_get(root, "console"), JSON_ENCODE_ANY);
		sync_keeper(&redis.sync, str_of(position), false);
		free(position);
		json_decref(root);
	}
	enclosed_free(&body);
	return 1;
}

static int
keeper_hello(struct msg *m)
{
	uint64_t generation = msg_u64(m);
	struct str position = msg_str(m);

	if (msg_end(m) < 0)
		return -1;
	redis.sync.generation = generation;
	sync_keeper(&redis.sync, position, true);
	return 1;
}

static void
on_keeper(struct watch *w, uint32_t events UNUSED)
{
	int got, ok = 1;

	while (ok == 1 && (got = msg_recv(w->fd, &redis.in)) == 1) {
		if (redis.in.type == MSG_CHANGED)
			ok = keeper_changed(&redis.in);
		else if (redis.in.type == MSG_ANSWER)
			ok = keeper_answered(&redis.in);
		else if (redis.in.type == MSG_HELLO)
			ok = keeper_hello(&redis.in);
		else
			msg_drop(&redis.in);
	}
	if (ok == 1 && got == 0)
		return;
	log_error("console: the keeper's line is broken");
	redis.w.status = 1;
	loop_stop(redis.w.loop);
}

/* --- the admin API's line --------------------------------------------------------------------- */

static int
admin_asks(struct msg *m, const struct answer *to)
{
	uint32_t what = msg_u32(m);

	(void)msg_u64(m);
	(void)msg_u64(m);
	(void)msg_str(m);
	if (msg_end(m) < 0)
		return -1;
	if (what == ASK_ROLLOUT)
		rollout_ask(&redis.conn, &redis.keys, to);
	else if (what == ASK_RELOAD_ALL)
		rollout_reload(&redis.conn, &redis.keys, to);
	else
		answer_problem(to, 400, "the console is not asked that");
	return 1;
}

static int
admin_publishes(struct msg *m, const struct answer *to)
{
	struct enclosed body = take_body(m);

	if (msg_end(m) < 0)
		return -1;
	if (body.text.n == 0)
		answer_problem(to, 400, "a document that cannot be read");
	else
		publisher_document(&redis.publish, m->id, body.text);
	enclosed_free(&body);
	return 1;
}

static void
on_admin(struct watch *w, uint32_t events UNUSED)
{
	int got, ok = 1;

	while (ok == 1 && (got = msg_recv(w->fd, &redis.in)) == 1) {
		const struct answer to = {w->fd, redis.in.id};

		if (redis.in.type == MSG_ASK)
			ok = admin_asks(&redis.in, &to);
		else if (redis.in.type == MSG_PUBLISH)
			ok = admin_publishes(&redis.in, &to);
		else
			msg_drop(&redis.in);
	}
	if (ok == 1 && got == 0)
		return;
	log_error("console: the admin API's line is broken");
	redis.w.status = 1;
	loop_stop(redis.w.loop);
}

/* --- set-up ----------------------------------------------------------------------------------- */

static int
read_settings(const struct heritage *h, const char **error_r)
{
	ws_init(&redis.ws, NULL, 0);
	*error_r = "the settings cannot be decoded";
	if (boot_decode(str_n(h->boot, h->boot_len), &redis.s, &redis.ws) < 0)
		return -1;
	*error_r = "no Redis is configured";
	if (redis.s.redis.addresses.n == 0)
		return -1;
	return h->secrets_fd < 0 || secrets_open(h->secrets_fd, &redis.secrets, error_r) == 1 ? 1
											      : -1;
}

static struct str
secret(struct str ref)
{
	struct str value = STR_NONE;

	if (ref.n > 0 && (redis.secrets == NULL || secrets_get(redis.secrets, ref, &value) != 1))
		log_error("console: %.*s is not in the bundle of secrets", STR_ARG(ref));
	return value;
}

/* What a setting stands for is PEM, TLS takes DER. Kept for the process's life, as the secrets are.
 */
static int
pem(const char *what, struct str setting,
    int (*to_der)(struct str pem, struct gbuf *der_r, const char **error_r), struct str *der_r,
    const char **error_r)
{
	static char words[256];
	struct str text = secret(secret_path_ref(setting, &redis.ws));
	struct gbuf der = {.n = 0};
	const char *error = "";

	if (text.n == 0)
		return 1;
	if (to_der(text, &der, &error) < 0) {
		snprintf(words, sizeof(words), "%s: %s", what, error);
		*error_r = words;
		return -1;
	}
	*der_r = ws_str(&redis.ws, str_n(der.p, der.n));
	explicit_bzero(der.p, der.n);
	gbuf_free(&der);
	return 1;
}

static int
make_tls(const char **error_r)
{
	const struct conf_service_tls conf = {
	    .verify = redis.s.redis.tls.verify, .min_version = TLS_1_2};
	struct tls_client_opts o = {.conf = &conf};

	if (!redis.s.redis.tls.enabled)
		return 1;
	if (pem("CA certificates", redis.s.redis.tls.ca, x509_chain, &o.ca, error_r) < 0 ||
	    pem("client certificate", redis.s.redis.tls.certificate, x509_chain, &o.chain,
		error_r) < 0 ||
	    pem("client key", redis.s.redis.tls.key, x509_key, &o.key, error_r) < 0)
		return -1;
	redis.tls = tls_client_new(&o, error_r);
	return redis.tls != NULL ? 1 : -1;
}

static struct link_opts
link_opts(struct str username, struct str password, int64_t database)
{
	struct link_opts o = {.loop = redis.w.loop,
	    .username = username,
	    .password = password,
	    .database = database,
	    .tls = redis.tls,
	    .server_name = redis.s.redis.tls.server_name,
	    .connect_ms = redis.s.redis.timeouts.connect,
	    .command_ms = redis.s.redis.timeouts.command};

	o.name = ws_printf(&redis.ws, "gateway-%.*s", STR_ARG(redis.keys.instance));
	for (size_t i = 0; i < o.name.n; i++)
		if (o.name.p[i] <= ' ' || o.name.p[i] > '~')
			o.name = STR("gateway"); /* Redis takes no blanks there */
	return o;
}

static int
make_connections(const char **error_r)
{
	struct conn_opts o = {.s = &redis.s, .on_up = on_up, .on_down = on_down};

	o.link = link_opts(
	    redis.s.redis.username, secret(redis.s.redis.password), redis.s.redis.database);
	o.sentinel =
	    link_opts(redis.s.redis.sentinel.username, secret(redis.s.redis.sentinel.password), 0);
	if (conn_init(&redis.conn, &o, error_r) < 0)
		return -1;
	bell_init(&redis.bell, &redis.conn.o.link, redis.keys.bell, redis.s.redis.retry_min,
	    redis.s.redis.retry_max);
	redis.bell.on_ring = on_ring;
	redis.bell.on_change = on_bell;
	return 1;
}

static void
make_parts(void)
{
	sync_init(&redis.sync, &sync_ops, NULL, &redis.keys, redis.s.redis.deletions);
	/* What a predecessor asked is not ours. */
	redis.sync.id = (uint32_t)rnd_u64();
	publisher_init(&redis.publish, &publish_ops, NULL, &redis.keys, &redis.sync);
	redis.ack = (struct ack){.conn = &redis.conn,
	    .keys = &redis.keys,
	    .sync = &redis.sync,
	    .procs = redis.w.beat != NULL ? beat_procs(redis.w.beat) : NULL,
	    .expiry_ms = redis.s.redis.acknowledge_expiry,
	    .on_change = on_ack_change};
	if (gethostname(redis.ack.host, sizeof(redis.ack.host) - 1) < 0)
		snprintf(redis.ack.host, sizeof(redis.ack.host), "unknown");
	redis.status.s = redis.w.beat != NULL ? &beat_procs(redis.w.beat)->console : NULL;
	status_start(&redis.status);
}

static void
make_timers(void)
{
	timer_init(&redis.reconcile, on_reconcile);
	timer_init(&redis.acknowledge, on_acknowledge);
	timer_init(&redis.later, on_later);
	timer_init(&redis.resend, on_resend);
	timer_init(&redis.position, on_position);
	timer_init(&redis.publish_later, on_publish_later);
	timer_in(&redis.reconcile, spread(redis.s.redis.reconcile));
	timer_in(&redis.acknowledge, spread(redis.s.redis.acknowledge));
	timer_in(&redis.position, 0);
}

static int
watch_lines(const struct heritage *h)
{
	watch_init(&redis.keeper, on_keeper);
	watch_init(&redis.admin, on_admin);
	return loop_add(redis.w.loop, &redis.keeper, h->line[LINE_REDIS_KEEPER], EPOLLIN) == 1 &&
	       loop_add(redis.w.loop, &redis.admin, h->line[LINE_ADMIN_REDIS], EPOLLIN) == 1;
}

static int
on_message(struct watcher *w UNUSED, struct msg *m UNUSED)
{
	return 0;
}

static int
start(const struct heritage *h, const char **error_r)
{
	redis.document = -1;
	rnd_init();
	if (watcher_start(&redis.w, h, on_message, error_r) < 0 || read_settings(h, error_r) < 0 ||
	    make_tls(error_r) < 0)
		return -1;
	stop_process("GATEWAY_TEST_REDIS_STOP", beat_restarts(redis.w.beat) == 0);
	stop_arm(true);
	keys_init(&redis.keys, redis.s.redis.prefix, redis.s.instance);
	make_timers();
	make_parts();
	if (make_connections(error_r) < 0)
		return -1;
	*error_r = "the lines to keeper and admin cannot be watched";
	if (!watch_lines(h))
		return -1;
	conn_start(&redis.conn);
	return 1;
}

int
redis_main(const struct heritage *h)
{
	const char *error = "";

	if (start(h, &error) < 0)
		return watcher_fail(h, error);
	return watcher_run(&redis.w);
}
