/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy as it lives: its settings read from text, checked, encoded and decoded as they go
 * through the map, compiled, run on a request. What the worker gives a policy (replies, waits,
 * state) is here.
 */
#ifndef GW_POLICY_KIT_H
#define GW_POLICY_KIT_H

#include "test/unit/harness.h"

#include "conf/check.h"
#include "conf/field_read.h"
#include "conf/read.h"
#include "worker/plan.h"
#include "worker/policy/policy.h"

struct kit {
	struct ws ws; /* settings and plan */
	struct plan plan;
	struct policy_use use;
	struct req r;
	struct conf_check check;
	uint64_t waited_ms;
	void *state;
};
static struct kit kit;

void
req_reply(struct req *r, uint16_t status, enum reason why, struct str type, struct str body)
{
	r->reply = (struct reply){
	    .set = true, .status = status, .reason = why, .content_type = type, .body = body};
}

void
req_reply_reason(struct req *r, enum reason why)
{
	req_reply(r, reason_table[why].status, why, STR(""), STR(""));
}

void
req_wait_ms(struct req *r, uint64_t ms)
{
	(void)r;
	kit.waited_ms = ms;
}

void *
req_policy_state(struct req *r, unsigned index, size_t size)
{
	assert_int_equal(index, kit.use.index);
	if (kit.state == NULL)
		kit.state = ws_zalloc(&r->ws, size);
	return kit.state;
}

/* GET http://shop.example.com/users/7?q=1 from 192.0.2.1, route "users", which captured id = 7. */
UNUSED static void
kit_request(void)
{
	struct req *r = &kit.r;

	ws_free(&r->ws);
	*r = (struct req){.magic = REQ_MAGIC, .plan = &kit.plan};
	kit.state = NULL;
	kit.waited_ms = 0;
	ws_init(&r->ws, NULL, 1 << 20);
	head_init(&r->in, &r->ws, true);
	head_init(&r->out, &r->ws, false);
	r->in.method = METHOD_GET;
	r->in.method_text = STR("GET");
	r->in.host = r->in.authority = STR("shop.example.com");
	r->in.path = r->up_path = STR("/users/7");
	r->in.query = STR("q=1&x=%20y");
	r->in.has_query = true;
	r->id = STR("req-1");
	r->trace_id = STR("0af7651916cd43dd8448eb211c80319c");
	r->client = r->peer = (struct addr){.family = AF_INET, .ip = {192, 0, 2, 1}};
	r->match.n_params = 1;
	r->match.params[0].name = STR("id");
	r->match.params[0].value = STR("7");
	r->match.rest = STR("a/b");
	r->route = STR("users");
	kit.plan.service_id = STR("accounts");
	head_add(&r->in, STR("Host"), STR("shop.example.com"));
}

/* Reads settings such as "allow = \"10.0.0.0/8\";". The number of errors, whose words are in
 * kit.check.text. */
UNUSED static unsigned
kit_read(const struct policy_type *type, const char *text)
{
	static const struct policy_type *list[2];
	struct node *tree;
	void *conf;

	list[0] = type;
	policy_types_set(list);
	check_free(&kit.check);
	ws_free(&kit.ws);
	ws_init(&kit.ws, NULL, 0);
	check_init(&kit.check);
	kit.check.ws = &kit.ws;
	tree = read_text(str_of(text), "t", "/", &kit.ws, &kit.check);
	if (tree == NULL)
		fail_msg("%.*s", (int)kit.check.text.n, kit.check.text.p);
	conf = ws_zalloc(&kit.ws, type->fields->size);
	(void)field_enter(&kit.check, tree);
	field_read(type->fields, tree, NULL, conf, &kit.check);
	kit.use = (struct policy_use){.type = type, .conf = conf, .index = 3};
	return kit.check.errors;
}

/* Good settings, all the way to a request. */
UNUSED static void
kit_use(const struct policy_type *type, const char *text)
{
	struct gbuf bytes = {0};
	const char *error = NULL;
	void *conf;

	if (kit_read(type, text) != 0)
		fail_msg("%.*s", (int)kit.check.text.n, kit.check.text.p);
	fields_encode(type->fields, kit.use.conf, &bytes);
	conf = ws_zalloc(&kit.ws, type->fields->size);
	assert_int_equal(fields_decode(type->fields, str_n(bytes.p, bytes.n), conf, &kit.ws), 1);
	gbuf_free(&bytes);
	kit.use.conf = conf;
	if (type->hooks->compiled_size > 0) {
		kit.use.compiled = ws_zalloc(&kit.ws, type->hooks->compiled_size);
		if (type->hooks->compile(conf, kit.use.compiled, &kit.ws, &error) != 1)
			fail_msg("%s", error);
	}
	kit_request();
}

/* Bad settings: one error that has these words. */
UNUSED static void
kit_wrong(const struct policy_type *type, const char *text, const char *words)
{
	unsigned n = kit_read(type, text);
	struct str all = str_n(kit.check.text.p, kit.check.text.n);

	if (n == 0)
		fail_msg("taken: %s", text);
	if (str_find(all, str_of(words)) < 0)
		fail_msg("%s\nnot in: %.*s", words, STR_ARG(all));
}

UNUSED static enum verdict
kit_answer(void)
{
	return kit.use.type->hooks->answer(&kit.r, &kit.use);
}

UNUSED static int
kit_teardown(void **state)
{
	(void)state;
	ws_free(&kit.r.ws);
	ws_free(&kit.ws);
	check_free(&kit.check);
	kit = (struct kit){.waited_ms = 0};
	return 0;
}

UNUSED static void
assert_str(struct str s, const char *want)
{
	if (!str_eq(s, str_of(want)))
		fail_msg("\"%.*s\" instead of \"%s\"", STR_ARG(s), want);
}

/* "name: value\n" of all fields that are there. */
UNUSED static void
assert_head(const struct head *h, const char *want)
{
	char have[2048] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < h->n; i++)
		if (!h->h[i].gone)
			n += (size_t)snprintf(have + n, sizeof(have) - n, "%.*s: %.*s\n",
			    STR_ARG(h->h[i].name), STR_ARG(h->h[i].value));
	assert_string_equal(have, want);
}

#endif
