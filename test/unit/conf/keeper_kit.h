/* SPDX-License-Identifier: Apache-2.0
 *
 * A keeper process with its master, admin, redis and one worker's mailbox played by the test.
 */
#ifndef GW_TEST_CONF_KEEPER_KIT_H
#define GW_TEST_CONF_KEEPER_KIT_H

#include "test/unit/conf/objects.h"

#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "conf/boot.h"
#include "conf/document.h"
#include "conf/enclosed.h"
#include "conf/keeper.h"
#include "conf/store_priv.h"
#include "conf/table.h"
#include "shm/base/bug.h"
#include "shm/base/msg.h"
#include "shm/procs.h"

struct fixture {
	char dir[64], state[80];
	struct gbuf boot;
	struct heritage h;
	int chan, admin, redis, mailbox; /* our ends */
	uint32_t asked;                  /* id of the last question */
	pid_t pid;
	struct sets sets;
	struct msg m;
	char report[4096];
};

UNUSED static void
start(struct fixture *f, const char *stop)
{
	int pair[2];

	assert_int_equal(msg_pair(pair), 1);
	if (f->chan >= 0)
		close(f->chan);
	f->chan = pair[0];
	f->h.chan = pair[1];
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0) {
		close(f->chan);
		if (stop != NULL)
			setenv("GATEWAY_TEST_KEEPER_STOP", stop, 1);
		_exit(keeper_main(&f->h));
	}
	close(pair[1]);
}

/* Greetings, and answers to what a keeper before was asked, where something else is awaited. */
static bool
passed_over(struct fixture *f, enum msg_type type)
{
	bool over = (f->m.type == MSG_HELLO && type != MSG_HELLO) ||
		    (f->m.type == MSG_CHANGED && type == MSG_ANSWER);

	if (over)
		msg_drop(&f->m);
	return over;
}

UNUSED static void
expect(struct fixture *f, int fd, enum msg_type type)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	do {
		if (poll(&p, 1, 20000) != 1)
			fail_msg("no %s came", msg_type_name(type));
		assert_int_equal(msg_recv(fd, &f->m), 1);
	} while (passed_over(f, type));
	if (f->m.type == MSG_FAILED && type != MSG_FAILED)
		fail_msg("FAILED: %.*s", STR_ARG(msg_str(&f->m)));
	assert_string_equal(msg_type_name(f->m.type), msg_type_name(type));
}

UNUSED static void
ready(struct fixture *f)
{
	expect(f, f->chan, MSG_READY);
	assert_int_equal(msg_end(&f->m), 1);
}

UNUSED static int
wait_gone(struct fixture *f)
{
	int status;

	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	f->pid = 0;
	return status;
}

/* What the master says of the worker of a slot. */
UNUSED static void
worker_state(struct fixture *f, unsigned slot, enum proc_state state)
{
	const char *error;
	struct region r;

	assert_int_equal(region_attach(f->h.region_fd[REGION_PROCS], REGION_PROCS, procs_layout(),
			     true, &r, &error),
	    1);
	atomic_store(&procs_of(&r)->row[16 + slot].kind, PROC_WORKER);
	atomic_store(&procs_of(&r)->row[16 + slot].slot, slot);
	atomic_store(&procs_of(&r)->row[16 + slot].state, state);
	region_detach(&r);
}

UNUSED static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct conf_settings s;
	int pair[2];
	const char *error;
	struct ws ws;

	snprintf(f->dir, sizeof(f->dir), "/dev/shm/gw-keeper-test-XXXXXX");
	if (mkdtemp(f->dir) == NULL) {
		snprintf(f->dir, sizeof(f->dir), "/tmp/gw-keeper-test-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	snprintf(f->state, sizeof(f->state), "%s/state.d", f->dir);
	assert_int_equal(mkdir(f->state, 0700), 0);
	ws_init(&ws, NULL, 0);
	fields_default(&settings_fields, &s);
	s.limits.endpoints = 64;
	s.limits.services = 16;
	s.limits.map_size = 16u << 20;
	boot_encode(&s, &f->boot);
	ws_free(&ws);
	f->chan = -1;
	f->h = (struct heritage){.kind = PROC_KEEPER,
	    .proc = 3,
	    .master = getpid(),
	    .mailbox = -1,
	    .log_fd = STDERR_FILENO,
	    .log_level = LOG_ERROR_L,
	    .run_dir = f->dir,
	    .state_dir = f->state,
	    .boot = f->boot.p,
	    .boot_len = f->boot.n,
	    .started_wall_us = 4711,
	    .event_fd = -1};
	log_init("keeper", STDERR_FILENO, LOG_ERROR_L);
	for (unsigned i = 0; i < SLOT_MAX; i++)
		f->h.mailbox_send[i] = -1;
	for (unsigned i = 0; i < REGION_COUNT; i++)
		f->h.region_fd[i] = -1;
	for (unsigned i = 0; i < LINE_COUNT; i++)
		f->h.line[i] = -1;
	f->h.region_fd[REGION_PROCS] =
	    region_create(REGION_PROCS, procs_size(), procs_layout(), &error);
	assert_int_equal(msg_pair(pair), 1);
	f->admin = pair[0];
	f->h.line[LINE_ADMIN_KEEPER] = pair[1];
	assert_int_equal(msg_pair(pair), 1);
	f->redis = pair[0];
	f->h.line[LINE_REDIS_KEEPER] = pair[1];
	assert_int_equal(msg_pair(pair), 1);
	f->mailbox = pair[0];
	f->h.mailbox_send[0] = pair[1];
	worker_state(f, 0, PROC_UP);
	*state = f;
	return 0;
}

UNUSED static int
teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[160];

	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		wait_gone(f);
	}
	close(f->chan);
	close(f->admin);
	close(f->h.line[LINE_ADMIN_KEEPER]);
	close(f->redis);
	close(f->h.line[LINE_REDIS_KEEPER]);
	close(f->mailbox);
	close(f->h.mailbox_send[0]);
	close(f->h.region_fd[REGION_PROCS]);
	gbuf_free(&f->boot);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", f->dir);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

/* --- what a master sends --------------------------------------------------------------------- */

UNUSED static int
config(struct fixture *f, unsigned version)
{
	char path[32];

	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	sets_service(&f->sets, "one", "10.0.0.1:80 10.0.0.2:80", 1);
	snprintf(path, sizeof(path), "/v%u/*", version);
	sets_route(&f->sets, "r", path, "one", NULL, NULL);
	return sets_end(&f->sets);
}

UNUSED static void
send_apply(struct fixture *f, uint32_t id, int fd, bool check_only)
{
	msg_begin(&f->m, MSG_APPLY, id);
	msg_put_u32(&f->m, check_only);
	msg_put_u32(&f->m, 0);
	msg_put_str(&f->m, STR("test"));
	msg_put_fd(&f->m, fd);
	assert_int_equal(msg_send(f->chan, &f->m), 1);
	close(fd);
}

UNUSED static void
send_commit(struct fixture *f, uint32_t id)
{
	msg_begin(&f->m, MSG_COMMIT, id);
	assert_int_equal(msg_send(f->chan, &f->m), 1);
}

/* The listeners in it. */
UNUSED static uint32_t
prepared(struct fixture *f, uint32_t id)
{
	uint32_t n;

	expect(f, f->chan, MSG_PREPARE);
	assert_int_equal(f->m.id, id);
	n = msg_u32(&f->m);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(msg_u32(&f->m) > 0);
		assert_true(str_eq(msg_str(&f->m), STR("main")));
		assert_true(str_eq(msg_str(&f->m), STR("127.0.0.1:8080")));
		assert_int_equal(msg_u32(&f->m), 4096);
		assert_int_equal(msg_u32(&f->m), 0);
		assert_true(str_eq(msg_str(&f->m), STR("gateway.conf:2")));
	}
	assert_int_equal(msg_end(&f->m), 1);
	return n;
}

struct outcome {
	bool ok;
	uint64_t generation;
	uint32_t changed;
};

UNUSED static struct outcome
applied(struct fixture *f, uint32_t id)
{
	struct outcome o;
	ssize_t n;
	int fd;

	expect(f, f->chan, MSG_APPLIED);
	assert_int_equal(f->m.id, id);
	o.ok = msg_u32(&f->m) != 0;
	o.generation = msg_u64(&f->m);
	o.changed = msg_u32(&f->m);
	fd = msg_fd(&f->m);
	n = pread(fd, f->report, sizeof(f->report) - 1, 0);
	f->report[MAX(n, 0)] = '\0';
	close(fd);
	assert_int_equal(msg_end(&f->m), 1);
	return o;
}

UNUSED static struct outcome
change_all(struct fixture *f, uint32_t id, int fd)
{
	send_apply(f, id, fd, false);
	assert_int_equal(prepared(f, id), 1);
	send_commit(f, id);
	return applied(f, id);
}

/* --- what a worker sees ---------------------------------------------------------------------- */

struct seen {
	uint64_t generation, epoch;
	unsigned version, endpoints;
	uint32_t row, incarnation, verdict, weight;
	ino_t arena, map;
};

UNUSED static ino_t
inode(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

UNUSED static void
see_map(struct fixture *f, struct arena *a, struct seen *s)
{
	struct match_query q = {.method = 1, .method_name = STR("GET")};
	const char *error = NULL;
	struct endpoint_set set;
	struct endpoint_ref e;
	struct match_result r;
	struct conf_object o;
	struct table *t;
	char path[16];

	if (table_open(f->dir, s->epoch, &t, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(table_renew(t), 1);
	s->generation = table_generation(t);
	for (unsigned v = 1; v < 50; v++) {
		snprintf(path, sizeof(path), "/v%u/x", v);
		q.path = str_of(path);
		if (table_match(t, &q, &r) == 1)
			s->version = v;
	}
	if (table_find(t, CONF_SERVICE, STR("one"), &o) == 1) {
		assert_int_equal(table_endpoints(t, o.number, &set), 1);
		assert_int_equal(endpoint_set_get(&set, 0, &e), 1);
		s->row = e.row;
		s->incarnation = e.incarnation;
		assert_int_equal(
		    atomic_load(&arena_endpoint(a, e.row)->incarnation), e.incarnation);
		s->verdict = atomic_load(&arena_endpoint(a, e.row)->verdict);
		s->weight = atomic_load(&arena_endpoint(a, e.row)->weight);
	}
	table_close(&t);
}

/* What `see` finds, from a child: environments are opened once per process. */
UNUSED static void
from_child(struct fixture *f, void (*see)(struct fixture *f, void *shared, const void *arg),
    const void *arg, void *out, size_t size)
{
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	assert_ptr_not_equal(shared, MAP_FAILED);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		see(f, shared, arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	memcpy(out, shared, size);
	munmap(shared, size);
}

static void
see_arena(struct fixture *f, void *shared, const void *arg)
{
	struct seen *s = shared;
	const char *error = NULL;
	char path[200];
	struct arena *a;

	(void)arg;
	snprintf(path, sizeof(path), "%s/arena", f->dir);
	if (arena_open(path, &a, &error) < 0)
		_exit(1);
	s->epoch = atomic_load(&arena_head(a)->epoch);
	s->endpoints = arena_endpoints_used(a);
	see_map(f, a, s);
	if (s->generation != atomic_load(&arena_head(a)->generation))
		_exit(2);
}

UNUSED static struct seen
look(struct fixture *f)
{
	struct seen s;
	char path[200];

	from_child(f, see_arena, NULL, &s, sizeof(s));
	snprintf(path, sizeof(path), "%s/arena/data.mdb", f->dir);
	s.arena = inode(path);
	snprintf(path, sizeof(path), "%s/map-%d-%llu/data.mdb", f->dir, MAP_FORMAT,
	    (unsigned long long)s.epoch);
	s.map = inode(path);
	return s;
}

/* --- what admin and redis send --------------------------------------------------------------- */

/* Sends JSON with ' for "; printf-like. */
UNUSED static void PRINTF(3, 4) send_document(struct fixture *f, int fd, const char *fmt, ...)
{
	static char text[24 << 20];
	const char *error = NULL;
	va_list ap;
	int doc, n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	assert_true(n > 0 && n < (int)sizeof(text));
	for (char *p = text; *p != '\0'; p++)
		if (*p == '\'')
			*p = '"';
	msg_begin(&f->m, MSG_CHANGE, ++f->asked);
	assert_int_equal(enclosed_put(&f->m, str_of(text), &doc, &error), 1);
	assert_int_equal(msg_send(fd, &f->m), 1);
	if (doc >= 0)
		close(doc);
}

struct reply {
	uint32_t status, changed, refused;
	uint64_t generation;
	json_t *body;
	char text[4096]; /* of the body */
};

UNUSED static json_t *
json_of_body(struct msg *m, char *text, size_t cap)
{
	struct enclosed e;
	const char *error;
	json_t *j;

	assert_int_equal(enclosed_take(m, &e, &error), 1);
	j = json_loadb(e.text.p, e.text.n, 0, NULL);
	assert_non_null(j);
	snprintf(text, cap, "%.*s", STR_ARG(e.text));
	enclosed_free(&e);
	return j;
}

UNUSED static struct reply
answer(struct fixture *f, int fd, uint32_t id)
{
	struct reply r = {0};

	expect(f, fd, MSG_CHANGED);
	assert_int_equal(f->m.id, id);
	r.status = msg_u32(&f->m);
	r.generation = msg_u64(&f->m);
	r.changed = msg_u32(&f->m);
	r.refused = msg_u32(&f->m);
	r.body = json_of_body(&f->m, r.text, sizeof(r.text));
	assert_int_equal(msg_end(&f->m), 1);
	json_decref(r.body);
	return r;
}

/* Sends, and holds the answer's status against what is expected. */
#define CHANGE(f, fd, want, ...)                                                                   \
	({                                                                                         \
		struct reply reply_;                                                               \
		send_document(f, fd, __VA_ARGS__);                                                 \
		reply_ = answer(f, fd, (f)->asked);                                                \
		if (reply_.status != (want))                                                       \
			fail_msg("%u: %s", reply_.status, reply_.text);                            \
		reply_;                                                                            \
	})

/* The caller's reference. */
UNUSED static json_t *
ask(struct fixture *f, uint32_t what, uint64_t a, uint64_t b, uint32_t want)
{
	char text[4096];
	uint32_t status;
	json_t *j;

	msg_begin(&f->m, MSG_ASK, ++f->asked);
	msg_put_u32(&f->m, what);
	msg_put_u64(&f->m, a);
	msg_put_u64(&f->m, b);
	msg_put_str(&f->m, STR(""));
	assert_int_equal(msg_send(f->admin, &f->m), 1);
	expect(f, f->admin, MSG_ANSWER);
	assert_int_equal(f->m.id, f->asked);
	status = msg_u32(&f->m);
	j = json_of_body(&f->m, text, sizeof(text));
	assert_int_equal(msg_end(&f->m), 1);
	if (status != want)
		fail_msg("%u: %s", status, text);
	return j;
}

#define VALUE_MAX 8192 /* of what SEES compares */

struct wanted {
	uint64_t epoch;
	enum conf_kind kind;
	const char *id;
};

static void
see_object(struct fixture *f, void *shared, const void *arg)
{
	const struct wanted *w = arg;
	const char *error = NULL;
	struct conf_object o;
	struct table *t;

	if (table_open(f->dir, w->epoch, &t, &error) < 0 || table_renew(t) < 0)
		_exit(1);
	if (table_find(t, w->kind, str_of(w->id), &o) == 1)
		snprintf(shared, VALUE_MAX, "%s", document_text(document_value(&o, false)));
}

/* The settings of an object in force; "" none. */
UNUSED static void
see_value(struct fixture *f, enum conf_kind kind, const char *id, char out[VALUE_MAX])
{
	struct wanted w = {look(f).epoch, kind, id};

	from_child(f, see_object, &w, out, VALUE_MAX);
}

#define SEES(f, kind, id, want)                                                                    \
	do {                                                                                       \
		char seen_[VALUE_MAX];                                                             \
		see_value(f, kind, id, seen_);                                                     \
		for (char *p_ = seen_; *p_ != '\0'; p_++)                                          \
			if (*p_ == '"')                                                            \
				*p_ = '\'';                                                        \
		assert_string_equal(seen_, want);                                                  \
	} while (0)

UNUSED static void
end(struct fixture *f)
{
	kill(f->pid, SIGTERM);
	assert_int_equal(wait_gone(f), 0);
}

/* A keeper with the files' first configuration in force. */
UNUSED static void
begun(struct fixture *f)
{
	start(f, NULL);
	ready(f);
	assert_true(change_all(f, 1, config(f, 1)).ok);
}

#endif
