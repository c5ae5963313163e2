/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents of the admin API on their way into Redis: the transaction, and others who are faster.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"
#include "master/watcher/redis/publisher.h"
#include "test/unit/master/watcher/redis/fake.h"

#define DOCUMENT                                                                                   \
	"{\"schema\":1,\"author\":\"ann\",\"changes\":["                                           \
	"{\"op\":\"put\",\"kind\":\"route\",\"id\":\"a\",\"value\":{\"x\":1}},"                    \
	"{\"op\":\"delete\",\"kind\":\"route\",\"id\":\"b\"}]}"

struct kit {
	struct fake f;
	struct publisher p;
	char sent[16][2048];
	link_reply_f *fn[16];
	void *arg[16];
	unsigned n_sent, n_done, later, answers;
	uint32_t status;
	json_t *body;
};

static void
kit_send(void *arg, const struct command *c, link_reply_f *fn, void *fn_arg)
{
	struct kit *k = arg;

	kit_words(c, k->sent[k->n_sent], sizeof(k->sent[0]));
	k->fn[k->n_sent] = fn;
	k->arg[k->n_sent++] = fn_arg;
}

static void
kit_answer(void *arg, uint32_t id, uint32_t status, json_t *body)
{
	struct kit *k = arg;

	(void)id;
	k->answers++;
	k->status = status;
	json_decref(k->body);
	k->body = body;
}

static void
kit_later(void *arg, uint64_t ms)
{
	(void)ms;
	((struct kit *)arg)->later++;
}

static const struct publisher_ops ops = {kit_send, kit_answer, kit_later};

static int
setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	fake_clock_at(0);
	keys_init(&k->f.keys, STR("p"), STR("gw1"));
	sync_init(&k->f.sync, &fake_ops, &k->f, &k->f.keys, 0.5);
	publisher_init(&k->p, &ops, k, &k->f.keys, &k->f.sync);
	*state = k;
	return 0;
}

static int
teardown(void **state)
{
	struct kit *k = *state;

	sync_free(&k->f.sync);
	keys_free(&k->f.keys);
	json_decref(k->body);
	free(k);
	return 0;
}

/* The answer to the oldest question. */
static void
reply(struct kit *k, const char *wire)
{
	struct reply *r = wire != NULL ? kit_reply(wire) : NULL;
	unsigned i = k->n_done++;

	assert_true(i < k->n_sent);
	k->fn[i](k->arg[i], r);
	reply_free(&r);
}

#define VERSION                                                                                    \
	"*5\r\n$2\r\ne1\r\n$1\r\n7\r\n$64\r\n"                                                     \
	"0000000000000000000000000000000000000000000000000000000000000000\r\n$-1\r\n$-1\r\n"
#define NO_VERSION "*5\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"
#define FIELDS     "*2\r\n$-1\r\n$-1\r\n"

static void
one_transaction(void **state)
{
	struct kit *k = *state;

	publisher_document(&k->p, 1, STR(DOCUMENT));
	assert_true(k->f.sync.held);
	assert_string_equal(k->sent[0], "WATCH {p}:version|HMGET {p}:version epoch number hash "
					"reload allow_deletions");
	reply(k, VERSION);
	assert_string_equal(k->sent[1], "HMGET {p}:objects route/a route/b");
	reply(k, FIELDS);
	assert_non_null(strstr(k->sent[2],
	    "MULTI|HSET {p}:objects route/a {\"schema\":1,\"value\":{\"x\":1}}|HDEL {p}:objects "
	    "route/b|HSET {p}:version epoch e1 number 8 hash "));
	assert_non_null(
	    strstr(k->sent[2], "|XADD {p}:changes MAXLEN ~ 10000 8-0 epoch e1 number 8"));
	assert_null(strstr(k->sent[2], "|DEL "));
	reply(k, "*1\r\n:1\r\n");
	assert_string_equal(k->sent[3], "PUBLISH {p}:bell {\"epoch\":\"e1\",\"number\":8}");
	assert_int_equal(k->status, 200);
	assert_int_equal(json_integer_value(json_object_get(k->body, "number")), 8);
	assert_false(k->f.sync.held);
}

/* Somebody else was faster, a bounded number of times. */
static void
contention(void **state)
{
	struct kit *k = *state;

	publisher_document(&k->p, 1, STR(DOCUMENT));
	for (unsigned i = 0; i < PUBLISH_TRIES; i++) {
		k->n_sent = k->n_done = 0;
		if (i > 0)
			publisher_again(&k->p);
		else
			k->n_sent = 1;
		reply(k, VERSION);
		reply(k, FIELDS);
		assert_int_equal(k->answers, 0);
		reply(k, "*-1\r\n");
	}
	assert_int_equal(k->later, PUBLISH_TRIES - 1);
	assert_int_equal(k->answers, 1);
	assert_int_equal(k->status, 503);
	assert_false(k->f.sync.held);
}

static void
a_new_epoch(void **state)
{
	struct kit *k = *state;

	publisher_document(&k->p, 1, STR(DOCUMENT));
	reply(k, NO_VERSION);
	assert_string_equal(k->sent[1], "HGETALL {p}:objects");
	reply(k, "*0\r\n");
	assert_non_null(strstr(k->sent[2], "|DEL {p}:changes|"));
	assert_non_null(strstr(k->sent[2], " number 1 "));
	reply(k, "*1\r\n:1\r\n");
	assert_int_equal(k->status, 200);
}

/* A flushed Redis is not begun anew by whoever changes something first. */
static void
a_lost_set_is_not_begun_anew(void **state)
{
	struct kit *k = *state;

	k->f.sync.at.known = true;
	memset(k->f.sync.at.hash, 'a', 64);
	publisher_document(&k->p, 1, STR(DOCUMENT));
	reply(k, NO_VERSION);
	assert_int_equal(k->status, 409);
}

static void
errors_and_lost_connections(void **state)
{
	struct kit *k = *state;

	publisher_document(&k->p, 1, STR(DOCUMENT));
	publisher_document(&k->p, 2, STR(DOCUMENT));
	assert_int_equal(k->n_sent, 1);
	reply(k, "-OOM command not allowed\r\n");
	assert_int_equal(k->status, 503);
	assert_non_null(strstr(json_string_value(json_object_get(k->body, "detail")), "OOM"));
	assert_int_equal(k->n_sent, 2); /* the next begins */
	reply(k, NULL);
	assert_int_equal(k->answers, 2);
	assert_false(k->f.sync.held);
	publisher_document(&k->p, 3, STR("{\"changes\":[{\"op\":\"patch\"}]}"));
	assert_int_equal(k->status, 422);
	publisher_document(&k->p, 4, STR("no"));
	assert_int_equal(k->answers, 4);
}

static const struct CMUnitTest tests[] = {
#define T(f) TEST_WITH(f, setup, teardown)
    T(one_transaction),
    T(contention),
    T(a_new_epoch),
    T(a_lost_set_is_not_begun_anew),
    T(errors_and_lost_connections),
};
RUN_TESTS(tests)
