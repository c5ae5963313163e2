/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are read in runs (conf/read.h): whatever stands in them, it is the same as when they
 * are read at once, every member at its line. F-PERF-02
 */
#include "conf/read.h"

#include <stdio.h>

#include "shm/base/rnd.h"
#include "test/lib/libconfig_leak.h"
#include "test/unit/harness.h"

struct kit {
	struct ws ws;
	struct conf_check check;
	char path[64];
	struct gbuf text;
};

static int
setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));
	int fd;

	ws_init(&k->ws, NULL, 0);
	check_init(&k->check);
	strcpy(k->path, "/tmp/gw-read-XXXXXX");
	fd = mkstemp(k->path);
	assert_true(fd >= 0);
	close(fd);
	*state = k;
	return 0;
}

static int
teardown(void **state)
{
	struct kit *k = *state;

	unlink(k->path);
	ws_free(&k->ws);
	check_free(&k->check);
	gbuf_free(&k->text);
	free(k);
	return 0;
}

static void
write_file(struct kit *k, struct str text)
{
	FILE *f = fopen(k->path, "w");

	assert_non_null(f);
	assert_true(fwrite(text.p, 1, text.n, f) == text.n);
	fclose(f);
}

/* --- a tree as text ------------------------------------------------------------------------------
 */

static int put_node(struct kit *k, const struct node *n, struct gbuf *out);

static int
put_run(struct kit *k, const struct node *n, struct gbuf *out)
{
	struct run_reading run;

	k->check.ws = &k->ws;
	if (read_run(n, &run, &k->check) < 0)
		return -1;
	for (uint32_t i = 0; i < n->run->members; i++)
		assert_int_equal(put_node(k, read_run_member(&run, i, &k->ws, &k->check), out), 1);
	run_give(n->run);
	return 1;
}

static int
put_members(struct kit *k, const struct node *n, struct gbuf *out)
{
	gbuf_printf(out, "%u\n", n->n);
	for (const struct node *m = n->first; m != NULL; m = m->next)
		if (put_node(k, m, out) < 0)
			return -1;
	return 1;
}

static int
put_node(struct kit *k, const struct node *n, struct gbuf *out)
{
	if (n->type == NODE_RUN)
		return put_run(k, n, out);
	gbuf_printf(out, "%s:%u: %.*s %s ", n->file, n->line, STR_ARG(n->name), node_word(n));
	switch (n->type) {
	case NODE_GROUP:
	case NODE_LIST:
		return put_members(k, n, out);
	case NODE_STRING:
		gbuf_printf(out, "%.*s\n", STR_ARG(n->s));
		return 1;
	case NODE_FLOAT:
		gbuf_printf(out, "%f\n", n->f);
		return 1;
	case NODE_BOOL:
		gbuf_printf(out, "%d\n", n->b);
		return 1;
	default:
		gbuf_printf(out, "%lld\n", (long long)n->i);
		return 1;
	}
}

/* The file's tree as text, or false; aim 0: read at once. */
static bool
read_as(struct kit *k, size_t aim, struct gbuf *out)
{
	struct runs *runs = aim > 0 ? read_runs_new(&k->ws, aim) : NULL;
	struct node *root = read_file(k->path, "/", runs, &k->ws, &k->check);

	out->n = 0;
	return root != NULL && put_node(k, root, out) == 1;
}

/* With every aim what it is without; returns whether it could be read. */
static bool
same_in_runs(struct kit *k, struct str text)
{
	static const size_t aims[] = {1, 10, 60, 500};
	struct gbuf whole = {0}, in_runs = {0};
	bool ok;

	write_file(k, text);
	ok = read_as(k, 0, &whole);
	for (size_t i = 0; i < ARRAY_LEN(aims); i++) {
		assert_int_equal(read_as(k, aims[i], &in_runs), ok);
		assert_true(!ok || str_eq(str_n(whole.p, whole.n), str_n(in_runs.p, in_runs.n)));
	}
	gbuf_free(&whole);
	gbuf_free(&in_runs);
	ws_free(&k->ws);
	return ok;
}

/* --- by hand -------------------------------------------------------------------------------------
 */

static const char odd[] =
    "a = 1; // ( { \" \n"
    "empty = ( ); numbers = [ 1, 2,\n 3 ]; group = { of : ( { x = 1; }, { x = 2; } ); };\n"
    "/* routes = ( */ routes : ( # { },\n"
    "  { id = \"a\"; s = \"),({}\\\",\"; }, // , {\n"
    "  { id = \"b\"; l = ( ( 1, 2 ), { n = { m = 1.5; }; }, \"x\" \"y\" ); } /* , ( */ ,\n\n"
    "  { }, { id = \"c\"; b = true; }\n"
    "  , { id = \"d\"; n = 0x10; big = 5000000000L; },\n"
    "  ( 1, 2 ), \"text\", 7,\n"
    "  { id = \"e\"; a = [ \"}\", \"{\" ]; }\n"
    ");\n"
    "more = ( { y = 1; }, { y = 2; },\n { y = 3; } ), last = ( { z = 1; }, { z = 2; } );\n";

static void
odd_members(void **state)
{
	assert_true(same_in_runs(*state, str_of(odd)));
}

static void
bad_members(void **state)
{
	static const char *const texts[] = {
	    "l = ( { a = 1; }, , { a = 2; } );",
	    "l = ( , { a = 1; }, { a = 2; } );",
	    "l = ( { a = 1; }, { a = 2; }, , { a = 2; } );",
	    "l = ( { a = 1; } { a = 2; } );",
	    "l = ( { a = 1; }, \"x\" { a = 2; } );",
	    "l = ( { a = 1; }, { a = 2; a = 3; } );",
	    "l = ( { a = 1; }, { a = ; }, { a = 2; } );",
	    "l = ( { a = 1; }, { a = 2; };",
	    "l = ( { a = 1; }, { a = 2; ) };",
	    "l = ( { a = 1; }, { a = 2; } ); l = ( { a = 1; }, { a = 2; } );",
	    "l = ( { a = 1; }, { a = 2; } ) m",
	    "( { a = 1; }, { a = 2; } );",
	    "l = ( { a = 1; }, { a = 2; } ) ( { a = 1; }, { a = 2; } );",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_false(same_in_runs(*state, str_of(texts[i])));
}

/* Which of these can be read is libconfig's to say, and has changed. */
static void
members_of_any_version(void **state)
{
	static const char *const texts[] = {
	    "l = ( { a = 1; }, { a = 2; }, );",
	    "l = ( { a = 1; }, { a = 2; }, . );",
	    "l = ( { a = 1; }, ., { a = 2; }, .5, -., { a = 3; } );",
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		(void)same_in_runs(*state, str_of(texts[i]));
}

/* The line is the file's, and what comes behind it does not hide it. */
static void
error_has_its_line(void **state)
{
	struct kit *k = *state;
	struct gbuf out = {0};
	char expected[128];

	write_file(k, STR("l = (\n{ a = 1; },\n{ a = 2; },\n\n{ a = ; },\n{ a = 3; } );\n"));
	assert_false(read_as(k, 1, &out));
	snprintf(expected, sizeof(expected), "%s:5: syntax error", k->path);
	assert_memory_equal(k->check.text.p, expected, strlen(expected));
	gbuf_free(&out);
}

/* Included files bring lines of their own, so nothing is cut. */
static void
includes_are_read_at_once(void **state)
{
	struct kit *k = *state;
	struct gbuf out = {0};
	const struct node *root, *list;

	write_file(k, STR("l = ( { a = 1; }, { a = 2; } );\n#@include\n\"x\" = 1;"));
	assert_false(read_as(k, 1, &out));
	write_file(k, STR("l = ( { a = 1; }, { a = \"@\"; } );\n@include \"/dev/null\"\n"));
	root = read_file(k->path, "/", read_runs_new(&k->ws, 1), &k->ws, &k->check);
	list = root != NULL ? node_get(root, STR("l")) : NULL;
	assert_true(root == NULL || list->last->type == NODE_GROUP);
	gbuf_free(&out);
}

/* --- at random ----------------------------------------------------------------------------------
 */

static const char *const values[] = {"1", "-2", "0xff", "3.5", "true", "\"a,b\"", "\"(\" \")\"",
    "[ 1, 2 ]", "( )", "( { q = 1; }, 2 )", "{ }", "{ r = \"}\"; }", "\"\\\\\"", "\"\\\"{\""};
static const char *const gaps[] = {" ", "\n", "", "\n\n", " /* , { ( */ ", " # ) }\n", " // \"\n"};

static const char *
any_of(const char *const *v, size_t n)
{
	return v[rnd_below(n)];
}

static void
put_group(struct gbuf *out)
{
	uint32_t n = (uint32_t)rnd_below(5);

	gbuf_str(out, STR("{"));
	for (uint32_t i = 0; i < n; i++) {
		gbuf_str(out, str_of(any_of(gaps, ARRAY_LEN(gaps))));
		gbuf_printf(out, " s%u = %s;", i, any_of(values, ARRAY_LEN(values)));
	}
	gbuf_str(out, STR("}"));
}

static void
put_list(struct gbuf *out, uint32_t name)
{
	uint32_t n = 1 + (uint32_t)rnd_below(12);

	gbuf_printf(out, "list%u = (", name);
	for (uint32_t i = 0; i < n; i++) {
		gbuf_str(out, str_of(any_of(gaps, ARRAY_LEN(gaps))));
		if (rnd_below(8) == 0)
			gbuf_str(out, str_of(any_of(values, ARRAY_LEN(values))));
		else
			put_group(out);
		gbuf_str(out, str_of(any_of(gaps, ARRAY_LEN(gaps))));
		gbuf_str(out, i + 1 < n ? STR(",") : STR(""));
	}
	gbuf_str(out, STR(");\n"));
}

/* A quote, a slash or a hash makes something else of all that follows: they stay. */
static void
spoil(struct gbuf *out)
{
	static const char shapes[] = "(){}[],;=";
	size_t at = rnd_below(out->n);

	for (size_t i = 0; i < out->n; i++, at = (at + 1) % out->n) {
		if (strchr(shapes, out->p[at]) == NULL)
			continue;
		out->p[at] = shapes[rnd_below(sizeof(shapes) - 1)];
		return;
	}
}

static void
random_texts(void **state)
{
	struct kit *k = *state;
	unsigned read = 0;

	for (unsigned turn = 0; turn < 400; turn++) {
		k->text.n = 0;
		for (uint32_t i = 0, n = 1 + (uint32_t)rnd_below(3); i < n; i++) {
			gbuf_printf(&k->text, "v%u = %s;\n", i, any_of(values, ARRAY_LEN(values)));
			put_list(&k->text, i);
		}
		if (turn % 2 == 1)
			spoil(&k->text);
		read += same_in_runs(k, str_n(k->text.p, k->text.n));
	}
	assert_true(read >= 200);
}

/* Many runs, so that some are parsed ahead, and others by who asks. */
static void
many_runs(void **state)
{
	struct kit *k = *state;
	struct gbuf whole = {0}, in_runs = {0};

	gbuf_str(&k->text, STR("l = ("));
	for (unsigned i = 0; i < 20000; i++)
		gbuf_printf(&k->text, "%s\n{ id = \"%u\"; v = [ 1, 2 ]; }", i > 0 ? "," : "", i);
	gbuf_str(&k->text, STR(");"));
	write_file(k, str_n(k->text.p, k->text.n));
	assert_true(read_as(k, 0, &whole));
	assert_true(read_as(k, 2048, &in_runs));
	assert_true(str_eq(str_n(whole.p, whole.n), str_n(in_runs.p, in_runs.n)));
	gbuf_free(&whole);
	gbuf_free(&in_runs);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(odd_members, setup, teardown),
    TEST_WITH(bad_members, setup, teardown),
    TEST_WITH(members_of_any_version, setup, teardown),
    TEST_WITH(error_has_its_line, setup, teardown),
    TEST_WITH(includes_are_read_at_once, setup, teardown),
    TEST_WITH(random_texts, setup, teardown),
    TEST_WITH(many_runs, setup, teardown),
};
RUN_TESTS(tests)
