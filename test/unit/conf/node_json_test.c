/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON values as neutral trees: types, what is left out, what is refused and where.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include "conf/node_json.h"

struct kit {
	struct conf_check c;
	struct ws ws;
	json_t *j;
};

static int
setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	check_init(&k->c);
	ws_init(&k->ws, NULL, 0);
	k->c.ws = &k->ws;
	*state = k;
	return 0;
}

static int
teardown(void **state)
{
	struct kit *k = *state;

	json_decref(k->j);
	check_free(&k->c);
	ws_free(&k->ws);
	free(k);
	return 0;
}

static struct node *
tree(struct kit *k, const char *text)
{
	json_decref(k->j);
	k->j = json_loads(text, JSON_DECODE_ANY, NULL);
	assert_non_null(k->j);
	return node_json(k->j, &k->c);
}

static void
every_type_has_its_node(void **state)
{
	struct node *n = tree(*state,
	    "{\"i\":-9223372036854775808,\"f\":1.5,\"t\":true,\"f2\":false,\"s\":\"\\u00e9\","
	    "\"l\":[1,\"a\",[]],\"g\":{\"x\":{}}}");
	const struct node *list;

	assert_non_null(n);
	assert_int_equal(n->type, NODE_GROUP);
	assert_int_equal(n->n, 7);
	assert_null(n->file);
	assert_int_equal(node_get(n, STR("i"))->type, NODE_INT);
	assert_true(node_get(n, STR("i"))->i == INT64_MIN);
	assert_int_equal(node_get(n, STR("f"))->type, NODE_FLOAT);
	assert_true(node_get(n, STR("f"))->f == 1.5);
	assert_true(node_get(n, STR("t"))->b);
	assert_false(node_get(n, STR("f2"))->b);
	assert_int_equal(node_get(n, STR("f2"))->type, NODE_BOOL);
	assert_str(node_get(n, STR("s"))->s, "\xc3\xa9");
	list = node_get(n, STR("l"));
	assert_int_equal(list->type, NODE_LIST);
	assert_int_equal(list->n, 3);
	assert_int_equal(list->last->type, NODE_LIST);
	assert_int_equal(list->last->n, 0);
	assert_int_equal(node_get(node_get(n, STR("g")), STR("x"))->type, NODE_GROUP);
}

static void
meta_is_passed_over_at_the_top_alone(void **state)
{
	struct node *n = tree(*state, "{\"_meta\":{\"x\":null},\"g\":{\"_meta\":1}}");

	assert_non_null(n);
	assert_int_equal(n->n, 1);
	assert_int_equal(node_get(n, STR("g"))->n, 1);
}

static void
nulls_are_all_told(void **state)
{
	struct kit *k = *state;

	assert_null(tree(k, "{\"a\":null,\"b\":[1,{\"c\":null}]}"));
	assert_str(str_n(k->c.text.p, k->c.text.n),
	    "a: null: not a value; leave the setting out to have its default\n"
	    "b[1].c: null: not a value; leave the setting out to have its default\n");
	assert_int_equal(k->c.at.path.n, 0);
}

static void
depth_has_an_end(void **state)
{
	struct kit *k = *state;
	char text[256];

	for (unsigned deep = NODE_JSON_DEPTH; deep <= NODE_JSON_DEPTH + 1; deep++) {
		memset(text, '[', deep);
		memset(text + deep, ']', deep);
		text[2 * deep] = '\0';
		assert_int_equal(tree(k, text) != NULL, deep == NODE_JSON_DEPTH);
	}
	assert_int_equal(k->c.errors, 1);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(every_type_has_its_node, setup, teardown),
    TEST_WITH(meta_is_passed_over_at_the_top_alone, setup, teardown),
    TEST_WITH(nulls_are_all_told, setup, teardown),
    TEST_WITH(depth_has_an_end, setup, teardown),
};
RUN_TESTS(tests)
