/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame of change documents: every member, every limit, every complaint with its place.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "conf/document.h"
#include "shm/base/bug.h"

struct kit {
	struct document d;
	struct conf_check c;
	struct ws ws;
	int rc;
	char report[16384];
};

static int
setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	check_init(&k->c);
	ws_init(&k->ws, NULL, 0);
	*state = k;
	return 0;
}

static void
reset(struct kit *k)
{
	if (k->rc == 1)
		document_free(&k->d);
	check_free(&k->c);
	ws_free(&k->ws);
	k->rc = 0;
}

static int
teardown(void **state)
{
	reset(*state);
	free(*state);
	return 0;
}

static void
read_n(struct kit *k, struct str text)
{
	reset(k);
	k->rc = document_read(text, &k->d, &k->ws, &k->c);
	snprintf(k->report, sizeof(k->report), "%.*s", (int)k->c.text.n,
	    k->c.text.n > 0 ? k->c.text.p : "");
	assert_int_equal(k->rc == 1, k->c.errors == 0);
}

static void
read_doc(struct kit *k, const char *text)
{
	read_n(k, str_of(text));
}

/* The document is refused, with exactly these lines. */
static void
refused(struct kit *k, const char *text, const char *report)
{
	read_doc(k, text);
	assert_string_equal(k->report, report);
	assert_int_equal(k->rc, -1);
}

#define HASH "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define PUT  "\"op\":\"put\",\"kind\":\"route\""

static void
everything_is_read(void **state)
{
	struct kit *k = *state;
	const struct document_change *v;

	read_doc(k,
	    "{\"schema\":1,\"author\":\"ann\",\"comment\":\"one\\ntwo\",\"dry_run\":true,"
	    "\"partial\":false,\"whole\":true,\"allow_deletions\":true,"
	    "\"console\":{\"epoch\":\"e1\",\"number\":17,\"hash\":\"" HASH "\"},"
	    "\"changes\":["
	    "{\"op\":\"create\",\"kind\":\"listener\",\"id\":\"a\",\"value\":{}},"
	    "{\"op\":\"put\",\"kind\":\"service\",\"id\":\"a\",\"if_match\":17,\"value\":{}},"
	    "{\"op\":\"patch\",\"kind\":\"route\",\"id\":\"a\",\"if_match\":\"*\",\"value\":{}},"
	    "{\"op\":\"put\",\"kind\":\"route\",\"id\":\"b\",\"if_none_match\":\"*\",\"value\":{}},"
	    "{\"op\":\"delete\",\"kind\":\"route\",\"id\":\"c\"},"
	    "{\"op\":\"put\",\"kind\":\"verdict\",\"id\":\"s/unix:/run/a.sock\",\"value\":{}},"
	    "{\"op\":\"delete\",\"kind\":\"verdict\",\"id\":\"s/*\"},"
	    "{\"op\":\"add\",\"kind\":\"endpoints\",\"id\":\"s\",\"value\":{}}]}");
	assert_string_equal(k->report, "");
	assert_str(k->d.author, "ann");
	assert_str(k->d.comment, "one\ntwo");
	assert_true(k->d.dry_run && !k->d.partial && k->d.whole && k->d.allow_deletions);
	assert_true(k->d.has_console);
	assert_str(k->d.console.epoch, "e1");
	assert_str(k->d.console.hash, HASH);
	assert_int_equal(k->d.console.number, 17);
	assert_int_equal(k->d.n, 8);
	v = k->d.v;
	assert_int_equal(v[0].op, DOC_CREATE);
	assert_int_equal(v[0].kind, CONF_LISTENER);
	assert_int_equal(v[1].if_match, 17);
	assert_true(v[2].if_match == IF_ANY);
	assert_true(v[3].if_none_match);
	assert_int_equal(v[4].op, DOC_DELETE);
	assert_null(v[4].value);
	assert_int_equal(v[5].kind, DOC_VERDICT);
	assert_str(v[5].id, "s/unix:/run/a.sock");
	assert_int_equal(v[7].op, DOC_ADD);
	assert_int_equal(v[7].kind, DOC_ENDPOINTS);
	for (uint32_t i = 0; i < k->d.n; i++)
		assert_int_equal(v[i].error.n, 0);
}

static void
instead_of_changes(void **state)
{
	struct kit *k = *state;

	read_doc(k, "{\"rollback\":12}");
	assert_int_equal(k->d.rollback, 12);
	read_doc(k, "{\"drop_override\":\"orders\"}");
	assert_str(k->d.drop_override, "orders");
	read_doc(k, "{\"whole\":true,\"changes\":[]}");
	assert_int_equal(k->rc, 1);
	assert_int_equal(k->d.n, 0);
	refused(k, "{}", "nothing to do; allowed: one of changes, rollback, drop_override\n");
	refused(k, "{\"rollback\":1,\"changes\":[]}",
	    "rollback: stands beside changes; one of the two is allowed\n");
	refused(k, "{\"rollback\":1,\"whole\":true}",
	    "whole: without changes it would delete everything\n");
}

static void
members_have_types(void **state)
{
	struct kit *k = *state;
	static const struct {
		const char *text, *report;
	} cases[] = {
	    {"[]", "the document is a list; allowed: an object\n"},
	    {"{\"changes\":{}}", "changes: an object; allowed: a list\n"},
	    {"{\"changes\":null}", "changes: null; allowed: a list\n"},
	    {"{\"schema\":2,\"changes\":[]}", "schema: 2: of another version; allowed: 1\n"},
	    {"{\"schema\":0,\"changes\":[]}", "schema: 0; allowed: a whole number from 1\n"},
	    {"{\"schema\":\"1\",\"changes\":[]}",
		"schema: a string; allowed: a whole number from 1\n"},
	    {"{\"schema\":1.0,\"changes\":[]}",
		"schema: a number; allowed: a whole number from 1\n"},
	    {"{\"author\":7,\"changes\":[]}", "author: a whole number; allowed: a string\n"},
	    {"{\"author\":\"a\\u0007\",\"changes\":[]}", "author: has a control character in it\n"},
	    {"{\"dry_run\":1,\"changes\":[]}", "dry_run: a whole number; allowed: true or false\n"},
	    {"{\"dryrun\":true,\"changes\":[]}",
		"dryrun: unknown member; did you mean \"dry_run\"?\n"},
	    {"{\"zebra\":true,\"changes\":[]}", "zebra: unknown member\n"},
	    {"{\"rollback\":0}", "rollback: 0; allowed: a whole number from 1\n"},
	    {"{\"rollback\":-3}", "rollback: -3; allowed: a whole number from 1\n"},
	    {"{\"drop_override\":\"\"}",
		"drop_override: empty; allowed: the name of an override\n"},
	    {"{\"schema\":1,\"console\":[],\"changes\":[]}",
		"console: a list; allowed: an object\n"},
	    {"{\"console\":{\"epoch\":\"e\",\"number\":1,\"hash\":\"" HASH "\"},\"changes\":[]}",
		"schema is missing; allowed: 1\n"},
	    {"{\"schema\":1,\"console\":{},\"changes\":[]}",
		"console: epoch is missing; allowed: a string\n"
		"console: number is missing; allowed: a whole number\n"
		"console: hash is missing; allowed: 64 hexadecimal digits\n"},
	    {"{\"schema\":1,\"console\":{\"epoch\":\"\",\"number\":-1,\"hash\":\"AB\",\"x\":1},"
	     "\"changes\":[]}",
		"console.x: unknown member\n"
		"console.epoch: empty; allowed: a string\n"
		"console.number: -1; allowed: a whole number from 0\n"
		"console.hash: not a content hash; allowed: 64 lower-case hex digits\n"},
	};

	for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
		refused(k, cases[i].text, cases[i].report);
}

/* One entry, `members` of it. */
static void
entry_refused(struct kit *k, const char *members, const char *report)
{
	char text[2048];

	snprintf(text, sizeof(text), "{\"changes\":[{%s}]}", members);
	refused(k, text, report);
}

static const struct {
	const char *members, *report;
} entry_cases[] = {
    {"", "changes[0]: op is missing; allowed: create, put, patch, delete, add, remove\n"
	 "changes[0]: kind is missing; allowed: listener, service, route, certificate, verdict, "
	 "endpoints\n"
	 "changes[0]: id is missing; allowed: a string\n"},
    {"\"op\":\"putt\",\"kind\":\"rout\",\"id\":\"a\"",
	"changes[0].op: \"putt\"; did you mean \"put\"?\n"
	"changes[0].kind: \"rout\"; did you mean \"route\"?\n"},
    {"\"op\":\"zap\",\"kind\":\"settings\",\"id\":\"a\"",
	"changes[0].op: \"zap\"; allowed: create, put, patch, delete, add, remove\n"
	"changes[0].kind: \"settings\"; allowed: listener, service, route, certificate, verdict, "
	"endpoints\n"},
    {"\"op\":1,\"kind\":[],\"id\":{}", "changes[0].op: a whole number; allowed: a string\n"
				       "changes[0].kind: a list; allowed: a string\n"
				       "changes[0].id: an object; allowed: a string\n"},
    {PUT ",\"id\":\"a/b\",\"value\":{}",
	"changes[0].id: \"a/b\": not an id; allowed: 1 to 63 letters, digits, \".\", "
	"\"_\", \"-\"\n"},
    {PUT ",\"id\":\"\",\"value\":{}",
	"changes[0].id: \"\": not an id; allowed: 1 to 63 letters, digits, \".\", "
	"\"_\", \"-\"\n"},
    {PUT ",\"id\":\"a\"", "changes[0]: value is missing; allowed: an object\n"},
    {PUT ",\"id\":\"a\",\"value\":null", "changes[0].value: null; allowed: an object\n"},
    {PUT ",\"id\":\"a\",\"value\":{},\"if-match\":1",
	"changes[0].if-match: unknown member; did you mean \"if_match\"?\n"},
    {PUT ",\"id\":\"a\",\"value\":{},\"if_match\":0",
	"changes[0].if_match: allowed: a version (a whole number from 1) or \"*\"\n"},
    {PUT ",\"id\":\"a\",\"value\":{},\"if_match\":\"7\"",
	"changes[0].if_match: allowed: a version (a whole number from 1) or \"*\"\n"},
    {PUT ",\"id\":\"a\",\"value\":{},\"if_none_match\":1",
	"changes[0].if_none_match: allowed: \"*\"\n"},
    {PUT ",\"id\":\"a\",\"value\":{},\"if_none_match\":\"*\",\"if_match\":\"*\"",
	"changes[0].if_none_match: stands beside if_match; one of the two is allowed\n"},
    {"\"op\":\"create\",\"kind\":\"route\",\"id\":\"a\",\"value\":{},\"if_match\":1",
	"changes[0].if_match: without meaning for op \"create\"\n"},
    {"\"op\":\"delete\",\"kind\":\"route\",\"id\":\"a\",\"if_none_match\":\"*\"",
	"changes[0].if_none_match: without meaning for op \"delete\"\n"},
    {"\"op\":\"delete\",\"kind\":\"route\",\"id\":\"a\",\"value\":{}",
	"changes[0].value: without meaning for op \"delete\"\n"},
    {"\"op\":\"add\",\"kind\":\"route\",\"id\":\"a\",\"value\":{}",
	"changes[0].op: \"add\" is not for kind \"route\"; allowed: create, put, patch, "
	"delete\n"},
    {"\"op\":\"patch\",\"kind\":\"verdict\",\"id\":\"a/*\",\"value\":{}",
	"changes[0].op: \"patch\" is not for kind \"verdict\"; allowed: put, delete\n"},
    {"\"op\":\"create\",\"kind\":\"endpoints\",\"id\":\"a\",\"value\":{}",
	"changes[0].op: \"create\" is not for kind \"endpoints\"; allowed: put, delete, "
	"add, remove\n"},
    {"\"op\":\"put\",\"kind\":\"verdict\",\"id\":\"a\",\"value\":{}",
	"changes[0].id: \"a\": allowed: \"SERVICE/ENDPOINT\" or \"SERVICE/*\"\n"},
    {"\"op\":\"put\",\"kind\":\"verdict\",\"id\":\"a/\",\"value\":{}",
	"changes[0].id: \"a/\": allowed: \"SERVICE/ENDPOINT\" or \"SERVICE/*\"\n"},
    {"\"op\":\"put\",\"kind\":\"verdict\",\"id\":\"a/*\",\"value\":{},\"if_match\":3",
	"changes[0].if_match: kind \"verdict\" has no versions\n"},
};

static void
entries_name_their_field(void **state)
{
	struct kit *k = *state;

	for (unsigned i = 0; i < ARRAY_LEN(entry_cases); i++)
		entry_refused(k, entry_cases[i].members, entry_cases[i].report);
	refused(k, "{\"changes\":[7]}", "changes[0]: a whole number; allowed: an object\n");
}

static void
an_object_stands_once(void **state)
{
	struct kit *k = *state;

	refused(k,
	    "{\"changes\":[{" PUT ",\"id\":\"a\",\"value\":{}},"
	    "{\"op\":\"put\",\"kind\":\"service\",\"id\":\"a\",\"value\":{}},"
	    "{\"op\":\"delete\",\"kind\":\"route\",\"id\":\"a\"}]}",
	    "changes[2].id: route \"a\" stands at changes[0] already\n");
}

static void
partial_documents_keep_bad_entries(void **state)
{
	struct kit *k = *state;

	read_doc(k, "{\"partial\":true,\"changes\":[{" PUT ",\"id\":\"a\",\"value\":{}},"
		    "{\"op\":\"put\",\"kind\":\"moon\",\"id\":\"/\",\"value\":{}},"
		    "{" PUT ",\"id\":\"a\",\"value\":{}},{" PUT ",\"id\":\"b\",\"value\":{}}]}");
	assert_int_equal(k->rc, 1);
	assert_int_equal(k->d.n, 4);
	assert_int_equal(k->d.v[0].error.n, 0);
	assert_int_equal(k->d.v[1].kind, -1);
	assert_str(k->d.v[1].error,
	    "changes[1].kind: \"moon\"; allowed: listener, service, route, certificate, verdict, "
	    "endpoints; "
	    "changes[1].id: \"/\": not an id; allowed: 1 to 63 letters, digits, \".\", \"_\", "
	    "\"-\"");
	assert_str(k->d.v[2].error, "changes[2].id: route \"a\" stands at changes[0] already");
	assert_int_equal(k->d.v[3].error.n, 0);
	/* The frame itself is not partial. */
	refused(k, "{\"partial\":true,\"author\":1,\"changes\":[]}",
	    "author: a whole number; allowed: a string\n");
}

static void
text_that_is_no_json(void **state)
{
	struct kit *k = *state;
	static const char *const texts[] = {"", "{", "{\"changes\":[]}x", "nul",
	    "{\"author\":\"\xff\",\"changes\":[]}", "{\"author\":\"\\ud800\",\"changes\":[]}",
	    "{\"author\":\"a\\u0000b\",\"changes\":[]}", "{\"author\":\"a\nb\",\"changes\":[]}",
	    "{\"rollback\":99999999999999999999}", "{\"rollback\":1e999}",
	    "{\"rollback\":1,\"rollback\":2}", "{\"rollback\":01}", "{'rollback':1}",
	    "{\"rollback\":NaN}"};

	for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
		read_doc(k, texts[i]);
		assert_int_equal(k->rc, -1);
		assert_int_equal(k->c.errors, 1);
		assert_memory_equal(k->report, "not JSON: line 1, column ", 25);
	}
	read_n(k, str_n("{\"rollback\":1}\0", 15));
	assert_int_equal(k->rc, -1);
}

static void
bombs_do_not_go_off(void **state)
{
	struct kit *k = *state;
	struct gbuf text = {0};

	for (unsigned i = 0; i < 1000000; i++)
		gbuf_u8(&text, '[');
	read_n(k, str_n(text.p, text.n));
	assert_string_equal(k->report, "the document is nested 1000000 deep; allowed: up to 32\n");
	text.n = 0;
	gbuf_str(&text, STR("{\"changes\":["));
	while (text.n < 16u << 20)
		gbuf_str(&text, STR("{},"));
	read_n(k, str_n(text.p, text.n));
	assert_int_equal(k->rc, -1);
	assert_non_null(strstr(k->report, " values; allowed: up to 4194304"));
	text.n = 0;
	gbuf_str(&text, STR("{\"changes\":[0"));
	for (unsigned i = 0; i < DOCUMENT_CHANGES; i++)
		gbuf_str(&text, STR(",0"));
	gbuf_str(&text, STR("]}"));
	read_n(k, str_n(text.p, text.n));
	assert_string_equal(k->report, "changes: 200001 of them; allowed: up to 200000\n");
	gbuf_free(&text);
}

static void
long_texts_are_refused(void **state)
{
	struct kit *k = *state;
	struct gbuf text = {0};
	char *big = calloc(1, DOCUMENT_MAX + 1);

	gbuf_str(&text, STR("{\"changes\":[],\"author\":\""));
	for (unsigned i = 0; i <= DOCUMENT_AUTHOR_MAX; i++)
		gbuf_u8(&text, 'a');
	gbuf_str(&text, STR("\"}"));
	read_n(k, str_n(text.p, text.n));
	assert_string_equal(k->report, "author: 129 octets; allowed: up to 128\n");
	read_n(k, str_n(big, DOCUMENT_MAX + 1));
	assert_string_equal(
	    k->report, "the document has 67108865 octets; allowed: up to 67108864\n");
	gbuf_free(&text);
	free(big);
}

static void
brackets_in_strings_do_not_count(void **state)
{
	struct kit *k = *state;

	read_doc(k, "{\"changes\":[],\"comment\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}");
	assert_int_equal(k->rc, 1);
}

static void
through_a_sealed_descriptor(void **state)
{
	const char *error = NULL;
	struct str text;
	int fd;

	(void)state;
	fd = document_seal(STR("{\"rollback\":1}"), &error);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(document_map(fd, &text, &error), 1);
	close(fd);
	assert_str(text, "{\"rollback\":1}");
	document_unmap(&text);
	assert_null(text.p);
	fd = memfd_create("open", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_int_equal(write(fd, "{}", 2), 2);
	assert_int_equal(document_map(fd, &text, &error), -1);
	assert_string_equal(error, "not a sealed memory file");
	assert_int_equal(ftruncate(fd, (off_t)DOCUMENT_MAX + 1), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, 0xf), 0);
	assert_int_equal(document_map(fd, &text, &error), -1);
	assert_string_equal(error, "its size is out of bounds");
	close(fd);
	assert_int_equal(document_map(-1, &text, &error), -1);
}

static void
kinds_have_words(void **state)
{
	static const int kinds[] = {
	    CONF_LISTENER, CONF_SERVICE, CONF_ROUTE, DOC_VERDICT, DOC_ENDPOINTS};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
		assert_int_equal(document_kind(str_of(document_kind_word(kinds[i]))), kinds[i]);
	assert_int_equal(document_kind(STR("settings")), -1);
	assert_int_equal(document_kind(STR("")), -1);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(everything_is_read, setup, teardown),
    TEST_WITH(instead_of_changes, setup, teardown),
    TEST_WITH(members_have_types, setup, teardown),
    TEST_WITH(entries_name_their_field, setup, teardown),
    TEST_WITH(an_object_stands_once, setup, teardown),
    TEST_WITH(partial_documents_keep_bad_entries, setup, teardown),
    TEST_WITH(text_that_is_no_json, setup, teardown),
    TEST_WITH(bombs_do_not_go_off, setup, teardown),
    TEST_WITH(long_texts_are_refused, setup, teardown),
    TEST_WITH(brackets_in_strings_do_not_count, setup, teardown),
    TEST(through_a_sealed_descriptor),
    TEST(kinds_have_words),
};
RUN_TESTS(tests)
