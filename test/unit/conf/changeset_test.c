/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects and change sets as bytes: what was put comes out, and bytes that lie are refused.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "conf/changeset.h"
#include "conf/route.h"

static struct conf_object
object(enum conf_kind kind, struct str id, struct str body)
{
	return (struct conf_object){.kind = kind,
	    .number = 7,
	    .id = id,
	    .source = STR("file"),
	    .file = STR("/etc/gateway/gateway.conf"),
	    .line = 12,
	    .version = 99,
	    .digest = object_digest(kind, id, body),
	    .body = body};
}

static void
ids_have_a_form(void **state)
{
	char longest[64];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_true(object_id_ok(STR("a")));
	assert_true(object_id_ok(STR("A.b_c-9")));
	assert_true(object_id_ok(str_n(longest, 63)));
	assert_false(object_id_ok(str_n(longest, 64)));
	assert_false(object_id_ok(STR("")));
	assert_false(object_id_ok(STR_NONE));
	assert_false(object_id_ok(STR("a b")));
	assert_false(object_id_ok(STR("a/b")));
	assert_false(object_id_ok(STR("a\0b")));
	assert_false(object_id_ok(STR("\xc3\xa4")));
}

static void
digest_is_of_kind_id_and_body(void **state)
{
	struct digest a = object_digest(CONF_ROUTE, STR("ab"), STR("c")), b;

	(void)state;
	b = object_digest(CONF_ROUTE, STR("ab"), STR("c"));
	assert_true(digest_eq(&a, &b));
	b = object_digest(CONF_SERVICE, STR("ab"), STR("c"));
	assert_false(digest_eq(&a, &b));
	b = object_digest(CONF_ROUTE, STR("a"), STR("bc"));
	assert_false(digest_eq(&a, &b));
	b = object_digest(CONF_ROUTE, STR("ab"), STR("d"));
	assert_false(digest_eq(&a, &b));
}

static void
an_object_comes_back(void **state)
{
	struct conf_object o = object(CONF_ROUTE, STR("r"), STR("body")), back;
	struct gbuf out = {0};

	(void)state;
	object_encode(&o, &out);
	assert_int_equal(object_decode(str_n(out.p, out.n), &back), 1);
	assert_int_equal(back.kind, CONF_ROUTE);
	assert_int_equal(back.number, 7);
	assert_int_equal(back.line, 12);
	assert_int_equal(back.version, 99);
	assert_str(back.id, "r");
	assert_str(back.source, "file");
	assert_str(back.file, "/etc/gateway/gateway.conf");
	assert_str(back.body, "body");
	assert_true(digest_eq(&back.digest, &o.digest));
	for (size_t n = 0; n < out.n; n++)
		assert_int_equal(object_decode(str_n(out.p, n), &back), -1);
	gbuf_u8(&out, 0);
	assert_int_equal(object_decode(str_n(out.p, out.n), &back), -1);
	gbuf_free(&out);
}

/* A length takes one octet, or five. */
static void
texts_of_any_length_come_back(void **state UNUSED)
{
	static char text[70000];
	const size_t lengths[] = {0, 1, 254, 255, 256, 65535, 65536, sizeof(text)};

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct conf_object o = object(CONF_ROUTE, STR("r"), str_n(text, lengths[i])), back;
		struct gbuf out = {0};

		o.file = o.body;
		object_encode(&o, &out);
		assert_int_equal(out.n, object_size(&o));
		assert_int_equal(object_decode(str_n(out.p, out.n), &back), 1);
		assert_true(str_eq(back.body, o.body) && str_eq(back.file, o.file));
		assert_int_equal(object_decode(str_n(out.p, out.n - 1), &back), -1);
		gbuf_free(&out);
	}
}

static void
objects_that_lie_are_refused(void **state)
{
	struct conf_object o = object(CONF_ROUTE, STR("r r"), STR("")), back;
	struct gbuf out = {0};
	struct ws ws;

	(void)state;
	object_encode(&o, &out); /* an id with a space */
	assert_int_equal(object_decode(str_n(out.p, out.n), &back), -1);
	out.n = 0;
	o = object(CONF_ROUTE, STR("r"), STR("\xff"));
	object_encode(&o, &out);
	out.p[0] = CONF_KIND_COUNT;
	assert_int_equal(object_decode(str_n(out.p, out.n), &back), -1);
	out.p[0] = CONF_ROUTE;
	assert_int_equal(object_decode(str_n(out.p, out.n), &back), 1);
	ws_init(&ws, NULL, 0);
	assert_null(object_body(&back, &ws)); /* no such row */
	back.body = STR_NONE;
	assert_non_null(object_body(&back, &ws));
	ws_free(&ws);
	ws_init(&ws, NULL, 32);
	assert_null(object_body(&back, &ws)); /* over the limit */
	ws_free(&ws);
	gbuf_free(&out);
}

static int
sealed(unsigned n)
{
	struct changeset_writer *w = changeset_new(STR("file"), STR("me"), true);
	const char *error = NULL;
	char id[16];

	for (unsigned i = 0; i < n; i++) {
		struct conf_object o;

		snprintf(id, sizeof(id), "r%u", i);
		o = object(CONF_ROUTE, str_of(id), STR("body"));
		changeset_put(w, i % 3 == 2 ? CHANGE_DELETE : CHANGE_PUT, &o);
	}
	return changeset_seal(&w, &error);
}

static void
read_all(struct changeset *c, unsigned n)
{
	struct conf_object o;
	enum change_op op;

	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(changeset_next(c, &op, &o), 1);
		assert_int_equal(op, i % 3 == 2 ? CHANGE_DELETE : CHANGE_PUT);
		assert_int_equal(o.body.n, op == CHANGE_PUT ? 4 : 0);
	}
	assert_int_equal(changeset_next(c, &op, &o), 0);
}

static void
a_change_set_comes_back(void **state)
{
	static const unsigned counts[] = {0, 1, 3, 50000}; /* the last is flushed in pieces */
	const char *error = NULL;
	struct changeset c;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
		int fd = sealed(counts[i]);

		assert_true(fd >= 0);
		assert_int_equal(changeset_open(fd, &c, &error), 1);
		close(fd);
		assert_str(c.source, "file");
		assert_str(c.author, "me");
		assert_true(c.whole);
		assert_int_equal(c.n, counts[i]);
		read_all(&c, counts[i]);
		changeset_rewind(&c);
		read_all(&c, counts[i]);
		changeset_close(&c);
		changeset_close(&c);
	}
}

static void
what_is_not_sealed_is_refused(void **state)
{
	const char *error = NULL;
	struct changeset c;
	int fd = memfd_create("x", MFD_ALLOW_SEALING), null = open("/dev/null", O_RDWR);

	(void)state;
	assert_int_equal(write(fd, "GWCHANGE", 8), 8);
	assert_int_equal(changeset_open(fd, &c, &error), -1);
	assert_string_equal(error, "not a sealed memory file");
	assert_int_equal(changeset_open(null, &c, &error), -1);
	assert_int_equal(changeset_open(-1, &c, &error), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, 0xf), 0);
	assert_int_equal(changeset_open(fd, &c, &error), -1);
	assert_string_equal(error, "change set: written by another version");
	close(fd);
	close(null);
}

/* The bytes of a change set with one octet changed or the end cut off, sealed again. */
static int
forged(struct str bytes, size_t at, unsigned char v)
{
	int fd = memfd_create("forged", MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
	if (at < bytes.n)
		assert_int_equal(pwrite(fd, &v, 1, (off_t)at), 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, 0xf), 0);
	return fd;
}

/* How many operations are read before the end or the first that is refused. */
static int
drain(int fd, int *rc_r)
{
	const char *error = NULL;
	struct conf_object o;
	struct changeset c;
	enum change_op op;
	int n = 0;

	*rc_r = changeset_open(fd, &c, &error);
	close(fd);
	if (*rc_r < 0)
		return 0;
	while ((*rc_r = changeset_next(&c, &op, &o)) == 1)
		n++;
	changeset_close(&c);
	return n;
}

static void
forged_bytes_are_refused(void **state)
{
	int fd = sealed(2), rc;
	char text[1024];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct str bytes = str_n(text, (size_t)n);

	(void)state;
	close(fd);
	assert_true(n > 100);
	assert_int_equal(drain(forged(bytes, SIZE_MAX, 0), &rc), 2);
	assert_int_equal(rc, 0);
	for (size_t i = 0; i < bytes.n; i++)
		for (unsigned v = 0; v < 256; v += 51)
			assert_true(drain(forged(bytes, i, (unsigned char)v), &rc) <= 2);
	for (size_t i = 1; i < bytes.n; i++) {
		assert_true(drain(forged(str_n(text, i), SIZE_MAX, 0), &rc) < 2);
		assert_int_equal(rc, -1);
	}
	/* The body's last octet: everything fits, but the content hash does not. */
	assert_int_equal(drain(forged(bytes, bytes.n - 1, 'x'), &rc), 1);
	assert_int_equal(rc, -1);
}

static const struct CMUnitTest tests[] = {
    TEST(ids_have_a_form),
    TEST(digest_is_of_kind_id_and_body),
    TEST(an_object_comes_back),
    TEST(texts_of_any_length_come_back),
    TEST(objects_that_lie_are_refused),
    TEST(a_change_set_comes_back),
    TEST(what_is_not_sealed_is_refused),
    TEST(forged_bytes_are_refused),
};
RUN_TESTS(tests)
