/* SPDX-License-Identifier: Apache-2.0
 *
 * Reports and the neutral tree under them.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include "conf/check.h"
#include "conf/node.h"

static void
a_line_has_its_place(void **state)
{
	struct conf_check c;
	struct conf_place at = {STR("f"), 3, STR("a.b")};
	size_t path;

	(void)state;
	check_init(&c);
	check_error(&c, NULL, "nowhere");
	check_error(&c, "x", "below nothing");
	check_error_at(&c, &at, "number %d", 7);
	check_warn_at(&c, &at, "careful");
	c.at.file = STR("g");
	c.at.line = 9;
	path = check_push(&c, STR("routes"));
	check_push_id(&c, STR("r"));
	check_push(&c, STR("policies"));
	check_push_index(&c, 2);
	check_error(&c, "allow", "no");
	check_cut(&c, path);
	check_warn(&c, NULL, "hm");
	assert_int_equal(c.errors, 4);
	assert_int_equal(c.warnings, 2);
	assert_str(str_n(c.text.p, c.text.n),
	    "nowhere\nx: below nothing\nf:3: a.b: number 7\nf:3: a.b: warning: careful\n"
	    "g:9: routes[r].policies[2].allow: no\ng:9: warning: hm\n");
	check_free(&c);
}

static void
a_line_is_one_line_and_not_too_long(void **state)
{
	char *book = malloc(100000);
	struct conf_check c;

	(void)state;
	memset(book, '\n', 100000);
	book[99999] = '\0';
	check_init(&c);
	check_error(&c, NULL, "%s", book);
	assert_true(c.text.n < 8192);
	assert_null(memchr(c.text.p, '\n', c.text.n - 1));
	assert_true(str_ends(str_n(c.text.p, c.text.n), STR("...\n")));
	for (unsigned i = 0; i < 1000; i++)
		check_push(&c, STR("long.enough.to.fill.the.path"));
	check_error(&c, NULL, "still standing");
	check_free(&c);
	free(book);
}

static struct node *
text_node(struct ws *ws, const char *name, const char *file, uint32_t line)
{
	struct node *n = node_new(ws, NODE_STRING, str_of(name), file, line);

	n->s = STR("v");
	return n;
}

static void
settings_know_their_lines(void **state)
{
	struct conf_check c;
	struct node *root, *list, *item;
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 0);
	root = node_new(&ws, NODE_GROUP, STR_NONE, "f", 1);
	list = node_new(&ws, NODE_LIST, STR("list"), "f", 2);
	item = node_new(&ws, NODE_GROUP, STR_NONE, "f", 3);
	node_add(root, list);
	node_add(list, node_new(&ws, NODE_GROUP, STR_NONE, "f", 99));
	node_add(list, item);
	node_add(item, text_node(&ws, "url", "g", 4));
	check_init(&c);
	c.node = root;
	c.at.file = STR("f");
	c.at.line = 1;
	assert_true(check_given(&c, "list[1].url"));
	assert_false(check_given(&c, "list[1].uri"));
	assert_false(check_given(&c, "list[2].url"));
	assert_false(check_given(&c, "list[x].url"));
	assert_false(check_given(&c, "url"));
	check_error(&c, "list[1].url", "a");
	check_error(&c, "list[1].uri", "b"); /* the nearest there is */
	check_error(&c, "other", "c");
	assert_str(
	    str_n(c.text.p, c.text.n), "g:4: list[1].url: a\nf:3: list[1].uri: b\nf:1: other: c\n");
	check_free(&c);
	ws_free(&ws);
}

static void
trees_merge(void **state)
{
	struct node *a, *b, *group, *list;
	struct conf_check c;
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 0);
	check_init(&c);
	a = node_new(&ws, NODE_GROUP, STR_NONE, "a", 1);
	b = node_new(&ws, NODE_GROUP, STR_NONE, "b", 1);
	for (unsigned i = 0; i < 2; i++) {
		struct node *root = i == 0 ? a : b;
		const char *file = i == 0 ? "a" : "b";

		group = node_new(&ws, NODE_GROUP, STR("g"), file, 2);
		node_add(group, text_node(&ws, i == 0 ? "x" : "y", file, 3));
		node_add(group, text_node(&ws, "z", file, 4));
		list = node_new(&ws, NODE_LIST, STR("l"), file, 5);
		node_add(list, text_node(&ws, "", file, 6));
		node_add(root, group);
		node_add(root, list);
		node_add(root, node_new(&ws, i == 0 ? NODE_LIST : NODE_INT, STR("t"), file, 7));
	}
	node_add(b, node_new(&ws, NODE_LIST, STR("new"), "b", 8));
	node_merge(a, b, &c);
	assert_int_equal(node_get(a, STR("g"))->n, 3);
	assert_int_equal(node_get(a, STR("l"))->n, 2);
	assert_non_null(node_get(a, STR("new")));
	assert_str(str_n(c.text.p, c.text.n),
	    "b:4: g.z: is set already at a:4; it may stand in one file only\n"
	    "b:7: t: is set already at a:7; it may stand in one file only\n");
	check_free(&c);
	ws_free(&ws);
}

static void
a_report_is_utf8(void **state)
{
	struct conf_check c;

	(void)state;
	check_init(&c);
	check_error(&c, NULL, "\xc3\xa9 \xff \xc3 %.1s", "\xc3\xa9");
	assert_str(str_n(c.text.p, c.text.n), "\xc3\xa9 \\xff \\xc3 \\xc3\n");
	check_free(&c);
}

static void
the_nearest_word_is_found(void **state)
{
	static const char *const names[] = {"connect", "first_byte", "idle", "to", NULL};

	(void)state;
	assert_string_equal(check_nearest(STR("conect"), names), "connect");
	assert_string_equal(check_nearest(STR("firstbyte"), names), "first_byte");
	assert_string_equal(check_nearest(STR("ilde"), names), "idle");
	assert_null(check_nearest(STR("something"), names));
	assert_null(check_nearest(STR("zz"), names));
	assert_null(check_nearest(STR(""), names));
}

static const struct CMUnitTest tests[] = {
    TEST(a_line_has_its_place),
    TEST(a_line_is_one_line_and_not_too_long),
    TEST(settings_know_their_lines),
    TEST(trees_merge),
    TEST(a_report_is_utf8),
    TEST(the_nearest_word_is_found),
};
RUN_TESTS(tests)
