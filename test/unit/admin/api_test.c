/* SPDX-License-Identifier: Apache-2.0
 *
 * S-AD-1, S-AD-2, F-K8S-02: calls of the admin API against a keeper and a redis process played by
 * the test: which document or question they get, and what becomes of their answers.
 */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <fcntl.h>

#include "admin/admin_priv.h"
#include "conf/ask.h"
#include "conf/boot.h"
#include "conf/document.h"
#include "conf/enclosed.h"
#include "conf/match.h"
#include "shm/base/clock.h"
#include "test/unit/conf/kit.h"

#define V1 "/api/gateway/v1"

struct fixture {
	struct kit kit;
	struct heritage h;
	struct admin a;
	struct procs *procs;
	struct gbuf boot;
	int listener, keeper, redis; /* the other ends */
	struct msg m;
	char name[64];
};

static struct fixture *here; /* CMocka gives the state to the test alone */

static void
accepted(struct session *s, int fd)
{
	assert_int_equal(peer_id_of(fd, &s->peer), 1);
	s->role = ROLE_ADMIN;
}

static void
on_line(struct watch *w, uint32_t events UNUSED)
{
	struct msg m;

	while (msg_recv(w->fd, &m) == 1) {
		if (m.type == MSG_CHANGED)
			api_on_changed(&here->a, &m);
		else if (m.type == MSG_ANSWER)
			api_on_answer(&here->a, &m);
		else
			api_on_hello(&here->a, &m);
		assert_int_equal(msg_end(&m), 1);
	}
}

static int
line_open(struct fixture *f, enum line line, struct watch *w)
{
	int fds[2];

	assert_int_equal(msg_pair(fds), 1);
	f->h.line[line] = fds[0];
	w->fn = on_line;
	assert_int_equal(loop_add(f->a.loop, w, fds[0], 1), 1);
	return fds[1];
}

static void
settings_write(struct fixture *f, bool publish)
{
	static const struct str address = STR("127.0.0.1:1");
	struct conf_settings s;
	struct ws ws;

	ws_init(&ws, NULL, 0);
	fields_default(&settings_fields, &s);
	s.redis.publish = publish;
	if (publish)
		s.redis.addresses = (struct strs){&address, 1};
	f->boot.n = 0;
	boot_encode(&s, &f->boot);
	f->h.boot = f->boot.p;
	f->h.boot_len = f->boot.n;
	ws_free(&ws);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	*state = here = f;
	kit_open(&f->kit);
	for (unsigned i = 0; i < LINE_COUNT; i++)
		f->h.line[i] = -1;
	f->a.h = &f->h;
	f->a.loop = loop_new();
	f->a.table = f->kit.table;
	f->procs = aligned_alloc(64, (sizeof(*f->procs) + 63) / 64 * 64);
	memset(f->procs, 0, sizeof(*f->procs));
	f->a.procs = f->procs;
	f->keeper = line_open(f, LINE_ADMIN_KEEPER, &f->a.keeper);
	f->redis = line_open(f, LINE_ADMIN_REDIS, &f->a.redis);
	settings_write(f, false);
	server_init(&f->a.server, f->a.loop, api_request, accepted, api_is_bulk);
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	snprintf(f->name, sizeof(f->name), "gw-api-test-%d", (int)getpid());
	memcpy(sun.sun_path + 1, f->name, strlen(f->name));
	assert_int_equal(bind(f->listener, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(f->listener, 16), 0);
	assert_int_equal(server_listen(&f->a.server, SERVER_UNIX, f->listener), 1);
	return 0;
}

static void
turns(struct fixture *f)
{
	for (unsigned i = 0; i < 6; i++)
		loop_turn(f->a.loop, 0);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	turns(f);
	close(f->listener);
	close(f->keeper);
	close(f->redis);
	close(f->h.line[LINE_ADMIN_KEEPER]);
	close(f->h.line[LINE_ADMIN_REDIS]);
	gbuf_free(&f->boot);
	kit_close(&f->kit);
	loop_free(&f->a.loop);
	free(f->procs);
	free(f);
	return 0;
}

/* --- the client ------------------------------------------------------------------------------- */

static int
client(struct fixture *f)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path + 1, f->name, strlen(f->name));
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	turns(f);
	return fd;
}

/* Sends a request; headers end with CRLF each. */
static int
request(
    struct fixture *f, const char *method, const char *path, const char *headers, const char *body)
{
	struct gbuf out = {0};
	int fd = client(f);

	gbuf_printf(&out,
	    "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%sContent-Length: "
	    "%zu\r\n\r\n%s",
	    method, path, headers, strlen(body), body);
	assert_int_equal(send(fd, out.p, out.n, 0), out.n);
	gbuf_free(&out);
	turns(f);
	return fd;
}

/* The whole answer, as text; the caller frees. Closes. */
static char *
answer(struct fixture *f, int fd)
{
	struct gbuf in = {0};
	char piece[4096];
	ssize_t n;

	turns(f);
	while ((n = recv(fd, piece, sizeof(piece), MSG_DONTWAIT)) > 0) {
		gbuf_put(&in, piece, (size_t)n);
		turns(f);
	}
	gbuf_u8(&in, 0);
	close(fd);
	turns(f);
	return in.p;
}

static unsigned
status_of(const char *text)
{
	return strncmp(text, "HTTP/1.1 ", 9) == 0 ? (unsigned)strtoul(text + 9, NULL, 10) : 0;
}

static void
expect_status(struct fixture *f, int fd, unsigned status, const char *words)
{
	char *text = answer(f, fd);

	if (status_of(text) != status || strstr(text, words) == NULL)
		fail_msg("not %u with \"%s\": %s", status, words, text);
	free(text);
}

/* --- keeper and redis ------------------------------------------------------------------------- */

/* The document it was sent, or NULL; f->m is the message. */
static json_t *
taken(struct fixture *f, int line, enum msg_type type)
{
	const char *error = NULL;
	struct enclosed e;
	json_t *j;

	assert_int_equal(msg_recv(line, &f->m), 1);
	assert_int_equal(f->m.type, type);
	assert_int_equal(enclosed_take(&f->m, &e, &error), 1);
	assert_int_equal(msg_end(&f->m), 1);
	j = json_loadb(e.text.p, e.text.n, 0, NULL);
	assert_non_null(j);
	enclosed_free(&e);
	return j;
}

/* With the body as the message's end. */
static void
send_with(int line, struct msg *m, const char *body)
{
	const char *error;
	int fd;

	assert_int_equal(enclosed_put(m, str_of(body), &fd, &error), 1);
	assert_int_equal(msg_send(line, m), 1);
	if (fd >= 0)
		close(fd);
}

static void
changed(struct fixture *f, uint32_t status, const char *body)
{
	uint32_t id = f->m.id;
	struct msg m;

	msg_begin(&m, MSG_CHANGED, id);
	msg_put_u32(&m, status);
	msg_put_u64(&m, 7);
	msg_put_u32(&m, 1);
	msg_put_u32(&m, 0);
	send_with(f->keeper, &m, body);
	turns(f);
}

static void
answered(struct fixture *f, int line, uint32_t status, const char *body)
{
	struct msg m;

	msg_begin(&m, MSG_ANSWER, f->m.id);
	msg_put_u32(&m, status);
	send_with(line, &m, body);
	turns(f);
}

static void
hello(struct fixture *f)
{
	struct msg m;

	msg_begin(&m, MSG_HELLO, 0);
	msg_put_u64(&m, 7);
	msg_put_str(&m, STR(""));
	assert_int_equal(msg_send(f->keeper, &m), 1);
	turns(f);
}

static uint64_t
asked(struct fixture *f, int line)
{
	uint64_t a;
	uint32_t what;

	assert_int_equal(msg_recv(line, &f->m), 1);
	assert_int_equal(f->m.type, MSG_ASK);
	what = msg_u32(&f->m);
	a = msg_u64(&f->m);
	(void)msg_u64(&f->m);
	(void)msg_str(&f->m);
	assert_int_equal(msg_end(&f->m), 1);
	return (uint64_t)what << 32 | a;
}

static bool
nothing_for(int line)
{
	struct msg m;

	return msg_recv(line, &m) == 0;
}

static const char *
text_at(json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

/* --- tests ------------------------------------------------------------------------------------ */

static void
put_becomes_a_document(void **state)
{
	struct fixture *f = *state;
	int fd = request(f, "PUT", V1 "/routes/a", "If-Match: \"17\"\r\n",
	    "{\"path\": \"/a\", \"_meta\": {\"version\": 3}, \"id\": \"a\"}");
	json_t *d = taken(f, f->keeper, MSG_CHANGE);
	json_t *one = json_array_get(json_object_get(d, "changes"), 0);

	assert_int_equal(json_array_size(json_object_get(d, "changes")), 1);
	assert_string_equal(text_at(one, "op"), "put");
	assert_string_equal(text_at(one, "kind"), "route");
	assert_string_equal(text_at(one, "id"), "a");
	assert_int_equal(json_integer_value(json_object_get(one, "if_match")), 17);
	assert_null(json_object_get(json_object_get(one, "value"), "_meta"));
	assert_non_null(strstr(text_at(d, "author"), "uid="));
	assert_null(json_object_get(d, "dry_run"));
	json_decref(d);
	changed(f, 200,
	    "{\"changes\":[{\"kind\":\"route\",\"id\":\"a\",\"result\":\"created\",\"version\":7}]"
	    "}");
	char *text = answer(f, fd);

	assert_int_equal(status_of(text), 201);
	assert_non_null(strstr(text, "\r\nETag: \"7\"\r\n"));
	free(text);
}

static void
conditions_and_dry_run(void **state)
{
	struct fixture *f = *state;
	int fd = request(f, "PUT", V1 "/services/s?dry_run=1",
	    "If-None-Match: *\r\nContent-Type: application/json; charset=utf-8\r\n", "{}");
	json_t *d = taken(f, f->keeper, MSG_CHANGE);
	json_t *one = json_array_get(json_object_get(d, "changes"), 0);

	assert_string_equal(text_at(one, "if_none_match"), "*");
	assert_true(json_is_true(json_object_get(d, "dry_run")));
	json_decref(d);
	changed(f, 412, "{\"status\":412}");
	expect_status(f, fd, 412, "application/problem+json");
	expect_status(
	    f, request(f, "PUT", V1 "/services/s", "If-Match: \"x\"\r\n", "{}"), 400, "If-Match");
	expect_status(f, request(f, "PUT", V1 "/services/s", "If-None-Match: \"3\"\r\n", "{}"), 400,
	    "only *");
	expect_status(f, request(f, "PUT", V1 "/services/s", "Content-Type: text/html\r\n", "{}"),
	    415, "text/html");
	expect_status(f, request(f, "PUT", V1 "/services/s", "", "["), 400, "not a JSON object");
	expect_status(
	    f, request(f, "PUT", V1 "/services", "", "{}"), 405, "Allow: GET, HEAD, POST");
	assert_true(nothing_for(f->keeper));
}

static void
what_only_others_may_say(void **state)
{
	static const char *const members[] = {"\"rollback\": 1", "\"whole\": true",
	    "\"console\": {}", "\"source\": \"console\"", "\"author\": \"root\"",
	    "\"allow_deletions\": true", "\"drop_override\": \"x\""};
	struct fixture *f = *state;

	for (unsigned i = 0; i < ARRAY_LEN(members); i++) {
		char body[128];

		snprintf(body, sizeof(body), "{\"changes\": [], %s}", members[i]);
		expect_status(
		    f, request(f, "POST", V1 "/changes", "", body), 400, "not understood here");
	}
	expect_status(f, request(f, "POST", V1 "/changes", "", "{}"), 400, "a list of changes");
	assert_true(nothing_for(f->keeper));
}

static void
endpoints_and_verdicts_are_documents(void **state)
{
	struct fixture *f = *state;
	int fd = request(f, "POST", V1 "/endpoints/s/10.0.0.1%3A80", "", "{\"verdict\": \"down\"}");
	json_t *d = taken(f, f->keeper, MSG_CHANGE);
	json_t *one = json_array_get(json_object_get(d, "changes"), 0);

	assert_string_equal(text_at(one, "kind"), "verdict");
	assert_string_equal(text_at(one, "id"), "s/10.0.0.1:80");
	json_decref(d);
	changed(f, 200, "{\"changed\": 1}");
	expect_status(f, fd, 200, "changed");
	expect_status(f,
	    request(f, "PUT", V1 "/services/none/endpoints", "", "{\"endpoints\": []}"), 404,
	    "no service");
	kit_begin(&f->kit);
	kit_object(&f->kit, CONF_SERVICE, 1, STR("s"));
	kit_commit(&f->kit);
	fd = request(f, "DELETE", V1 "/services/s/endpoints/10.0.0.1:80", "", "");
	d = taken(f, f->keeper, MSG_CHANGE);
	one = json_array_get(json_object_get(d, "changes"), 0);
	assert_string_equal(text_at(one, "op"), "remove");
	one = json_array_get(json_object_get(json_object_get(one, "value"), "endpoints"), 0);
	assert_string_equal(text_at(one, "url"), "http://10.0.0.1:80");
	json_decref(d);
	changed(f, 200, "{\"changed\": 1}");
	expect_status(f, fd, 200, "changed");
}

/* Until the session is answered: it waits a little for what the new keeper still has. */
static void
pass_grace(struct fixture *f)
{
	for (unsigned i = 0; i < 100 && f->a.server.n_sessions > 1; i++)
		loop_turn(f->a.loop, 50);
}

/* What the old keeper worked on: a change may have been done, a question is asked again. */
static void
the_keeper_is_replaced(void **state)
{
	struct fixture *f = *state;
	int change = request(f, "DELETE", V1 "/routes/a", "", "");
	int question = request(f, "GET", V1 "/generations?limit=5", "", "");
	uint64_t what;

	json_decref(taken(f, f->keeper, MSG_CHANGE));
	what = asked(f, f->keeper);
	assert_int_equal(what, (uint64_t)ASK_GENERATIONS << 32 | 5);
	hello(f);
	pass_grace(f);
	expect_status(f, change, 503, "look whether it was done");
	assert_int_equal(asked(f, f->keeper), what);
	answered(f, f->keeper, 200, "{\"generations\": []}");
	expect_status(f, question, 200, "generations");
}

/* It lay in the line when the old one died: the new one takes it after its greeting. */
static void
the_new_keeper_has_it(void **state)
{
	struct fixture *f = *state;
	int fd = request(f, "DELETE", V1 "/routes/a", "", "");

	json_decref(taken(f, f->keeper, MSG_CHANGE));
	hello(f);
	changed(f, 200, "{\"changed\": 1}");
	expect_status(f, fd, 200, "changed");
}

static void
an_answer_nobody_waits_for(void **state)
{
	struct fixture *f = *state;
	int fd = request(f, "DELETE", V1 "/routes/a", "", "");

	json_decref(taken(f, f->keeper, MSG_CHANGE));
	close(fd);
	turns(f);
	changed(f, 200, "{}");
	changed(f, 200, "{}");
	fd = request(f, "DELETE", V1 "/routes/a", "", "");
	json_decref(taken(f, f->keeper, MSG_CHANGE));
	changed(f, 200, "{}");
	expect_status(f, fd, 200, "{}");
}

static void
publishing(void **state)
{
	struct fixture *f = *state;
	int fd;
	json_t *d, *one;

	settings_write(f, true);
	expect_status(
	    f, request(f, "PUT", V1 "/routes/a", "", "{\"path\": \"/a\"}"), 503, "Redis is away");
	atomic_store(&f->procs->console.state, CONSOLE_LIVE);
	fd = request(f, "PUT", V1 "/routes/a", "If-Match: *\r\n", "{\"path\": \"/a\"}");
	d = taken(f, f->keeper, MSG_CHANGE);
	assert_true(json_is_true(json_object_get(d, "dry_run")));
	assert_true(json_is_true(json_object_get(d, "for_console")));
	json_decref(d);
	changed(f, 200, "{\"changed\": 1}");
	d = taken(f, f->redis, MSG_PUBLISH);
	one = json_array_get(json_object_get(d, "changes"), 0);
	assert_null(json_object_get(d, "dry_run"));
	assert_null(json_object_get(one, "if_match"));
	assert_string_equal(text_at(one, "op"), "put");
	assert_string_equal(text_at(json_object_get(one, "value"), "path"), "/a");
	json_decref(d);
	answered(f, f->redis, 202, "{\"number\": 4}");
	expect_status(f, fd, 202, "\"number\": 4");
	fd = request(f, "DELETE", V1 "/routes/a", "", "");
	json_decref(taken(f, f->keeper, MSG_CHANGE));
	changed(f, 422, "{\"status\": 422}");
	expect_status(f, fd, 422, "422");
	assert_true(nothing_for(f->redis));
}

static void
there_is_no_console(void **state)
{
	struct fixture *f = *state;

	expect_status(f, request(f, "GET", V1 "/rollout", "", ""), 409, "redis.addresses");
	expect_status(f, request(f, "POST", V1 "/reload?all=1", "", ""), 409, "redis.addresses");
}

/* Large bodies are for few at once, and for the one call that needs them. */
static void
large_bodies(void **state)
{
	static const char head[] = "POST " V1 "/changes HTTP/1.1\r\nHost: a\r\n"
				   "Content-Length: 3000000\r\n\r\n{";
	static const char other[] = "PUT " V1 "/routes/a HTTP/1.1\r\nHost: a\r\n"
				    "Content-Length: 3000000\r\n\r\n{";
	static const char most[] = "POST " V1 "/changes HTTP/1.1\r\nHost: a\r\n"
				   "Content-Length: 99000000\r\n\r\n{";
	struct fixture *f = *state;
	int fds[ADMIN_BULKS + 1];
	char piece[64];

	for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = client(f);
		assert_int_equal(send(fds[i], head, strlen(head), 0), strlen(head));
		turns(f);
	}
	assert_int_equal(recv(fds[0], piece, sizeof(piece), MSG_DONTWAIT), -1);
	expect_status(f, fds[ADMIN_BULKS], 503, "Retry-After");
	for (unsigned i = 0; i < ADMIN_BULKS; i++)
		close(fds[i]);
	turns(f);
	assert_int_equal(f->a.server.n_bulk, 0);
	fds[0] = client(f);
	assert_int_equal(send(fds[0], other, strlen(other), 0), strlen(other));
	expect_status(f, fds[0], 413, "");
	fds[0] = client(f);
	assert_int_equal(send(fds[0], most, strlen(most), 0), strlen(most));
	expect_status(f, fds[0], 413, "");
	assert_int_equal(f->a.server.n_bulk, 0);
}

/* Every reference in the description leads somewhere. */
static void
references(json_t *j, json_t *schemas)
{
	static const char prefix[] = "#/components/schemas/";
	const char *key, *ref = text_at(j, "$ref");
	json_t *v;
	size_t i;

	if (ref != NULL && strncmp(ref, prefix, strlen(prefix)) == 0 &&
	    json_object_get(schemas, ref + strlen(prefix)) == NULL)
		fail_msg("%s leads nowhere", ref);
	json_object_foreach(j, key, v) references(v, schemas);
	json_array_foreach(j, i, v) references(v, schemas);
}

static void
the_description_is_whole(void **state)
{
	struct fixture *f = *state;
	char *text = answer(f, request(f, "GET", V1 "/openapi.json", "", ""));
	json_t *j = json_loads(strstr(text, "\r\n\r\n") + 4, 0, NULL);

	assert_non_null(j);
	references(j, json_object_get(json_object_get(j, "components"), "schemas"));
	for (unsigned i = 0; i < api_table_n; i++)
		assert_non_null(json_object_get(json_object_get(j, "paths"), api_table[i].path));
	json_decref(j);
	free(text);
}

/* The lines outlive a process: an answer to its predecessor must not meet a session of its own. */
static void
ids_begin_anywhere(void **state)
{
	struct fixture *f = *state;
	struct server other;

	server_init(&other, f->a.loop, api_request, accepted, api_is_bulk);
	assert_int_not_equal(other.next_id, f->a.server.next_id);
}

/* S-SEC-4: certificates as people read them. */
static void
certificates_are_told(void **state)
{
	struct fixture *f = *state;
	struct gbuf text = {0};

	expect_status(
	    f, request(f, "GET", V1 "/tls/certificates", "", ""), 200, "\"certificates\"");
	gbuf_printf(&text,
	    "[{\"id\":\"a\",\"used_by\":\"certificate\",\"state\":\"ok\",\"not_before\":0,"
	    "\"not_after\":%lld}]",
	    (long long)(clock_wall_us() / 1000000) - 5);
	f->a.facts = json_loadb(text.p, text.n, 0, NULL);
	expect_status(
	    f, request(f, "GET", V1 "/tls/certificates", "", ""), 200, "\"days_left\": -1");
	json_array_clear(f->a.facts);
	json_decref(f->a.facts);
	f->a.facts = json_loads("[{\"id\":\"a\",\"not_after\":4102444800}]", 0, NULL);
	expect_status(f, request(f, "GET", V1 "/tls/certificates", "", ""), 200,
	    "\"not_after\": \"2100-01-01T00:00:00");
	json_decref(f->a.facts);
	f->a.facts = NULL;
	gbuf_free(&text);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(ids_begin_anywhere, setup, teardown),
    TEST_WITH(put_becomes_a_document, setup, teardown),
    TEST_WITH(conditions_and_dry_run, setup, teardown),
    TEST_WITH(what_only_others_may_say, setup, teardown),
    TEST_WITH(endpoints_and_verdicts_are_documents, setup, teardown),
    TEST_WITH(the_keeper_is_replaced, setup, teardown),
    TEST_WITH(the_new_keeper_has_it, setup, teardown),
    TEST_WITH(an_answer_nobody_waits_for, setup, teardown),
    TEST_WITH(publishing, setup, teardown),
    TEST_WITH(there_is_no_console, setup, teardown),
    TEST_WITH(large_bodies, setup, teardown),
    TEST_WITH(the_description_is_whole, setup, teardown),
    TEST_WITH(certificates_are_told, setup, teardown),
};
RUN_TESTS(tests)
