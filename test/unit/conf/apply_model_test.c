/* SPDX-License-Identifier: Apache-2.0
 *
 * F-CFG-01, R-8.3: random change sets and operations of three sources, with overrides, against a
 * model that is a table of twenty objects. After each commit, refusal and abort the map, the
 * matching, the numbers, the rows and the counts of references are compared with it.
 */
#include "test/unit/conf/apply_model.h"

#define ROUNDS 6000

/* --- the map against the model --------------------------------------------------------------- */

static void
same_object(unsigned thing, uint32_t *numbers, unsigned *n)
{
	const struct thing *t = &model.w.t[thing];
	struct digest digest;
	struct conf_object o;
	int got = table_find(model.f->table, kind_of(thing), str_of(id_of(thing)), &o);

	assert_int_equal(got, t->there);
	if (got == 0)
		return;
	digest = digest_for(thing, &t->spec);
	assert_true(digest_eq(&o.digest, &digest));
	assert_int_equal(o.version, t->version);
	assert_true(str_eq(o.source, str_of(sources[t->source])));
	assert_int_equal(o.override.n > 0, t->overridden);
	for (unsigned i = 0; i < *n; i++)
		assert_true(numbers[i] != (kind_of(thing) << 16 | o.number));
	numbers[(*n)++] = kind_of(thing) << 16 | o.number;
}

/* The route that the documented order puts first. */
static int
expected(unsigned path, unsigned host, uint32_t listener)
{
	int best = -1;

	for (unsigned i = LISTENERS + SERVICES; i < THINGS; i++) {
		const struct thing *t = &model.w.t[i], *b = best < 0 ? NULL : &model.w.t[best];
		struct conf_object l;
		int order;

		if (!t->there || t->spec.a != path || t->spec.host != host)
			continue;
		if (t->spec.listener < LISTENERS &&
		    (table_find(
			 model.f->table, CONF_LISTENER, str_of(id_of(t->spec.listener)), &l) != 1 ||
			l.number != listener))
			continue;
		order = b == NULL ? 1 : t->spec.priority - b->spec.priority;
		if (order == 0)
			order = (t->spec.listener < LISTENERS) - (b->spec.listener < LISTENERS);
		if (order == 0)
			order = (int)b->source - (int)t->source;
		if (order > 0)
			best = (int)i;
	}
	return best;
}

static void
same_match(const char *text, const char *host_text, uint32_t listener)
{
	/* "/one" stands before "/{x}" in one host; a host before none. */
	static const unsigned order[2][2] = {{0, 2}, {1, 1}};
	unsigned which = text[1] == 't';
	struct match_query q = {.host = str_of(host_text),
	    .path = str_of(text),
	    .method = 1,
	    .method_name = STR("GET"),
	    .listener = listener};
	struct match_result r;
	struct conf_object o;
	int want = -1, got = table_match(model.f->table, &q, &r);

	for (unsigned host = host_text[0] == 'a'; want < 0; host--) {
		for (unsigned k = 0; k < 2 && want < 0; k++)
			want = expected(order[which][k], host, listener);
		if (host == 0)
			break;
	}
	assert_int_equal(got, want >= 0);
	if (got == 0)
		return;
	assert_int_equal(table_object(model.f->table, CONF_ROUTE, r.route, &o), 1);
	assert_true(str_eq(o.id, str_of(id_of((unsigned)want))));
}

static void
same_keeping(void)
{
	struct store *s = &model.f->store;
	unsigned rows = 0, used = 0;

	for (unsigned i = 0; i < LISTENERS + SERVICES; i++) {
		struct conf_object o;
		unsigned users = 0;

		if (!model.w.t[i].there)
			continue;
		for (unsigned r = LISTENERS + SERVICES; r < THINGS; r++)
			users += names(&model.w.t[r], i);
		assert_int_equal(table_find(model.f->table, kind_of(i), str_of(id_of(i)), &o), 1);
		assert_int_equal(refs_count(&s->refs, kind_of(i), o.number), users);
		if (kind_of(i) == CONF_SERVICE)
			rows += (unsigned)__builtin_popcount(model.w.t[i].spec.a);
	}
	assert_int_equal(arena_endpoints_used(s->arena), rows);
	for (unsigned kind = 0; kind < CONF_KIND_COUNT; kind++) {
		for (uint32_t number = 0; number < 100; number++)
			used += bits_has(&s->numbers.used[kind], number);
		assert_int_equal(
		    table_count(model.f->table, (enum conf_kind)kind), count(&model.w, kind));
	}
	assert_int_equal(used, count(&model.w, CONF_LISTENER) + count(&model.w, CONF_SERVICE) +
				   count(&model.w, CONF_ROUTE));
	assert_int_equal(s->refs.n, 0);
}

static void
same(void)
{
	static const char *const paths[] = {"/one", "/two/x"};
	uint32_t numbers[THINGS];
	unsigned n = 0;

	assert_int_equal(table_generation(model.f->table), model.w.generation);
	for (unsigned i = 0; i < THINGS; i++)
		same_object(i, numbers, &n);
	for (unsigned i = 0; i < 2; i++)
		for (uint32_t l = 1; l <= LISTENERS + 1; l++) {
			same_match(paths[i], "a.test", l);
			same_match(paths[i], "b.test", l);
		}
	same_keeping();
}

/* --- one round ------------------------------------------------------------------------------- */

/* Overrides begin and end with what was committed. */
static void
holds_follow(const struct plan *p, const struct world *before, const struct world *now)
{
	for (unsigned i = 0; i < p->n; i++) {
		const struct item *it = &p->v[i];
		struct hold *h = &model.hold[it->thing];
		bool done = now->t[it->thing].there == it->put &&
			    (!it->put || now->t[it->thing].version == now->generation);

		if (it->outcome < OUTCOME_CREATED || it->outcome > OUTCOME_DELETED || !done)
			continue;
		if (!it->override)
			h->on = false;
		else if (!h->on)
			*h = (struct hold){.on = true,
			    .digest = digest_for(it->thing, &before->t[it->thing].spec)};
	}
	for (unsigned i = 0; i < THINGS; i++)
		if (!now->t[i].there && before->t[i].there)
			model.hold[i].on = false;
}

static void
captured(const struct apply *a)
{
	struct conf_object old, new;

	for (uint32_t i = 0; apply_change_get(a, i, &old, &new) == 1; i++) {
		const struct conf_object *is = new.body.p != NULL ? &new : &old;
		const struct thing *t = &model.w.t[thing_of(is->id)];
		struct digest d;

		assert_int_equal(old.body.p != NULL, t->there);
		if (!t->there)
			continue;
		d = digest_for(thing_of(is->id), &t->spec);
		assert_true(digest_eq(&old.digest, &d));
		assert_int_equal(old.version, t->version);
		assert_int_equal(old.override.n > 0, t->overridden);
		assert_true(str_eq(old.source, str_of(sources[t->source])));
		d = object_digest(old.kind, old.id, old.body);
		assert_true(digest_eq(&old.digest, &d));
	}
}

static void
commit(struct plan *p, struct apply *a, const struct world *strict)
{
	struct fixture *f = model.f;
	struct world now;

	captured(a);
	assert_int_equal(apply_generation(a) != model.w.generation, apply_changed(a) > 0);
	assert_int_equal(apply_commit(&a, &f->report), 1);
	table_reset(f->table);
	assert_int_equal(table_renew(f->table), 1);
	now = strict != NULL ? *strict : as_told(p);
	assert_true(sound(&now));
	if (strict == NULL)
		no_more_than_need_be(p, &now);
	holds_follow(p, &model.w, &now);
	model.w = now;
	model.committed++;
}

static void
round_one(void)
{
	struct plan p = random_plan();
	struct world w;
	bool ok = all_or_nothing(&p, &w), lenient = p.lenient && p.n > p.n_set;
	struct apply *a = compile(&p);

	if (!lenient)
		assert_int_equal(a != NULL, ok);
	else if (ok)
		assert_non_null(a);
	if (a == NULL) {
		assert_true(model.f->report.errors > 0);
		model.refused++;
	} else if (pick(4) == 0) {
		apply_abort(&a);
	} else {
		commit(&p, a, lenient ? NULL : &w);
	}
	batch_end(&model.f->batch);
	same();
}

static void
reopened(void)
{
	struct fixture *f = model.f;
	uint64_t max = f->store.max[CONF_ROUTE];

	table_close(&f->table);
	store_close(&f->store);
	open_store(f, 256u << 20, 64);
	f->store.max[CONF_ROUTE] = max;
	assert_false(f->store.fresh);
	assert_int_equal(table_renew(f->table), 1);
	same();
}

static void
random_changes_do_as_the_model_does(void **state)
{
	model = (struct model){.f = *state, .seed = 20261121};
	model.f->store.max[CONF_ROUTE] = 9;
	assert_int_equal(table_renew(model.f->table), 1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		round_one();
		if (i % 500 == 499)
			reopened();
	}
	print_message("%u committed, %u refused\n", model.committed, model.refused);
	assert_true(model.committed > ROUNDS / 4 && model.refused > ROUNDS / 20);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(random_changes_do_as_the_model_does, setup, teardown),
};

RUN_TESTS(tests)
