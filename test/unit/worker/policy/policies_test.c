/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of policies, and what a route finds out about them.
 */
#include "test/unit/harness.h"

#include "conf/check.h"
#include "conf/field_read.h"
#include "conf/read.h"
#include "conf/route.h"
#include "worker/policy/policy.h"
#include "worker/worker.h"

static struct ws ws;
static struct conf_check check;

static int
teardown(void **state)
{
	(void)state;
	check_free(&check);
	ws_free(&ws);
	return 0;
}

/* The errors of a route with these settings. */
static struct str
route_errors(const char *text)
{
	struct conf_route route;
	struct node *tree;

	policy_types_set(worker_policies);
	check_free(&check);
	ws_free(&ws);
	ws_init(&ws, NULL, 0);
	check.ws = &ws;
	tree = read_text(str_of(text), "t", "/", &ws, &check);
	if (tree == NULL)
		fail_msg("%.*s", (int)check.text.n, check.text.p);
	(void)field_enter(&check, tree);
	field_read(&route_fields, tree, NULL, &route, &check);
	return check.errors == 0 ? STR("") : str_n(check.text.p, check.text.n);
}

static void
good(const char *text)
{
	struct str errors = route_errors(text);

	if (errors.n > 0)
		fail_msg("%.*s", STR_ARG(errors));
}

static void
bad(const char *text, const char *words)
{
	struct str errors = route_errors(text);

	if (str_find(errors, str_of(words)) < 0)
		fail_msg("%s\nnot in: %.*s", words, STR_ARG(errors));
}

static const unsigned rows = 0
#define POLICY(name) +1
#include "worker/policy/policies.def"
#undef POLICY
    ;

static void
every_policy_is_whole(void **state)
{
	unsigned n = 0;

	(void)state;
	policy_types_set(worker_policies);
	for (; worker_policies[n] != NULL; n++) {
		const struct policy_type *t = worker_policies[n];

		assert_ptr_equal(policy_type_find(str_of(t->name)), t);
		assert_true(strlen(t->help) > 10);
		assert_non_null(t->hooks);
		assert_true((t->hooks->compile != NULL) == (t->hooks->compiled_size > 0));
		assert_true(t->hooks->answer != NULL || t->hooks->request != NULL);
		for (unsigned i = 0; i < t->fields->n; i++)
			assert_true(strlen(t->fields->v[i].help) > 10);
	}
	assert_int_equal(n, rows);
}

static void
templates_name_what_the_path_captures(void **state)
{
	(void)state;
	good("path = \"/u/{id}\"; service = \"s\"; policies = ( { policy = \"rewrite\"; path = "
	     "\"/{id}\"; } );");
	good(
	    "path = \"~^/u/(?<id>[0-9]+)$\"; service = \"s\"; policies = ( { policy = \"rewrite\"; "
	    "path = \"/{id}\"; } );");
	good("path = [ \"/a\", \"/u/{id}\" ]; policies = ( { policy = \"fixed_response\"; body = "
	     "\"{id} {host}\"; } );");
	bad("path = \"/u/{id}\"; service = \"s\"; policies = ( { policy = \"ip\"; deny = "
	    "\"10.0.0.1\"; "
	    "}, { policy = \"rewrite\"; path = \"/{ident}\"; } );",
	    "policies[1]: \"{ident}\": no path of this route captures it");
	bad("path = \"/u/{ids}\"; policies = ( { policy = \"fixed_response\"; location = "
	    "\"/{id}\"; } );",
	    "\"{id}\": no path");
	bad("path = \"/u\"; service = \"s\"; policies = ( { policy = \"headers\"; response = { add "
	    "= ( "
	    "{ name = \"A\"; value = \"{x}\"; } ); }; } );",
	    "\"{x}\": no path");
}

static void
somebody_must_answer(void **state)
{
	(void)state;
	good("path = \"/\"; policies = ( { policy = \"fixed_response\"; } );");
	bad("path = \"/\"; policies = ( { policy = \"ip\"; deny = \"::1\"; } );", "nobody answers");
	bad("path = \"/\"; policies = ( { policy = \"fixed_respons\"; } );", "fixed_response");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(every_policy_is_whole, NULL, teardown),
    TEST_WITH(templates_name_what_the_path_captures, NULL, teardown),
    TEST_WITH(somebody_must_answer, NULL, teardown),
};
RUN_TESTS(tests)
