/* SPDX-License-Identifier: Apache-2.0
 *
 * F-CFG-01, R-8.3: random change sets and operations of three sources, with overrides, against a
 * model that is a table of twenty objects. After each commit, refusal and abort the map, the
 * matching, the numbers, the rows and the counts of references are compared with it.
 */
#include "test/unit/conf/apply_kit.h"

enum { LISTENERS = 3, SERVICES = 5, ROUTES = 12, THINGS = LISTENERS + SERVICES + ROUTES };
enum { PORTS = 4, PATHS = 3, HOSTS = 2 };
#define ROUNDS 6000

static const char *const sources[] = {"admin", "console", "file"};
enum { ADMIN, CONSOLE, THE_FILE };

/* All there is to say about an object. listener: a port. service: a set of addresses. route: path,
 * host, service and listener (past the last: none), priority. */
struct spec {
	uint8_t a, host, service, listener, priority;
};

struct thing {
	bool there, overridden;
	unsigned source;
	uint64_t version;
	struct spec spec;
};

/* An override stands before what the source says: this, or nothing. */
struct hold {
	bool on, absent;
	struct digest digest;
};

struct world {
	struct thing t[THINGS];
	uint64_t generation;
};

/* One object of a change set, or one operation. */
struct item {
	unsigned thing, source;
	bool put, override;
	uint32_t flags;
	uint64_t if_version;
	struct spec spec;
	struct digest digest;
	enum apply_outcome outcome; /* as the model sees it before it looks at references */
	bool ends;                  /* an override */
};

struct plan {
	struct item v[THINGS + 8];
	unsigned n, n_set; /* the first n_set are the file's change set */
	bool set, lenient;
	int whole; /* source of the operations, or -1 */
	uint64_t deletions_max;
};

struct model {
	struct fixture *f;
	struct world w;
	struct hold hold[THINGS];
	unsigned long seed;
	unsigned committed, refused;
};

static struct model model;

static unsigned
pick(unsigned n)
{
	model.seed = model.seed * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(model.seed >> 33) % n;
}

/* --- objects --------------------------------------------------------------------------------- */

static enum conf_kind
kind_of(unsigned thing)
{
	return thing < LISTENERS              ? CONF_LISTENER
	       : thing < LISTENERS + SERVICES ? CONF_SERVICE
					      : CONF_ROUTE;
}

static const char *
id_of(unsigned thing)
{
	static char id[4][8];
	static unsigned at;

	at = (at + 1) % 4;
	snprintf(id[at], sizeof(id[at]), "%c%02u", "?lsr"[kind_of(thing)], thing);
	return id[at];
}

static unsigned
thing_of(struct str id)
{
	return (unsigned)(id.p[1] - '0') * 10 + (unsigned)(id.p[2] - '0');
}

static struct spec
random_spec(unsigned thing)
{
	struct spec s = {0};
	unsigned listener = pick(LISTENERS * 3);

	if (kind_of(thing) == CONF_LISTENER)
		s.a = (uint8_t)pick(PORTS);
	else if (kind_of(thing) == CONF_SERVICE)
		s.a = (uint8_t)(1 + pick(7));
	else
		s = (struct spec){(uint8_t)pick(PATHS), (uint8_t)pick(HOSTS),
		    (uint8_t)pick(SERVICES + 1), (uint8_t)MIN(listener, (unsigned)LISTENERS),
		    (uint8_t)pick(2)};
	return s;
}

static void
make_route(struct sets *s, unsigned thing, const struct spec *spec)
{
	static const char *const paths[PATHS] = {"/one", "/two/*", "/{x}"};
	struct str path = str_of(paths[spec->a]), host = STR("a.test"), listener;
	struct conf_route r;

	fields_default(&route_fields, &r, &s->ws);
	r.path = (struct strs){.v = &path, .n = 1};
	r.host = (struct strs){.v = &host, .n = spec->host};
	r.priority = spec->priority;
	if (spec->service < SERVICES)
		r.service = ws_str(&s->ws, str_of(id_of(LISTENERS + spec->service)));
	if (spec->listener < LISTENERS) {
		listener = str_of(id_of(spec->listener));
		r.listener = (struct strs){.v = &listener, .n = 1};
	}
	sets_put(s, CONF_ROUTE, id_of(thing), &r);
}

static void
make(struct sets *s, unsigned thing, const struct spec *spec)
{
	char text[80] = "";
	size_t n = 0;

	if (kind_of(thing) == CONF_ROUTE) {
		make_route(s, thing, spec);
		return;
	}
	if (kind_of(thing) == CONF_LISTENER) {
		snprintf(text, sizeof(text), "127.0.0.1:%u", 8080u + spec->a);
		sets_listener(s, id_of(thing), text);
		return;
	}
	for (unsigned i = 0; i < 3; i++)
		if ((spec->a & 1u << i) != 0)
			n += (size_t)snprintf(
			    text + n, sizeof(text) - n, "%s10.0.0.%u:80", n > 0 ? " " : "", i);
	sets_service(s, id_of(thing), text, 1);
}

static struct digest
digest_for(unsigned thing, const struct spec *spec)
{
	struct batch b = {.n = 0};
	struct digest d;

	make(batch_begin(&b, "file", 0), thing, spec);
	d = b.v[0].o.digest;
	batch_end(&b);
	return d;
}

/* --- what is asked for ----------------------------------------------------------------------- */

static void
item_add(struct plan *p, unsigned thing, unsigned source)
{
	const struct thing *t = &model.w.t[thing];
	struct item *i = &p->v[p->n++];

	*i = (struct item){.thing = thing, .source = source, .put = pick(4) > 0};
	/* Mostly an own object, that there may be something to see. */
	i->spec = t->there && pick(4) == 0 ? t->spec : random_spec(thing);
	i->digest = digest_for(thing, &i->spec);
	if (p->set && p->n <= p->n_set)
		return;
	i->flags = p->lenient ? APPLY_LENIENT : 0;
	i->flags |= pick(12) == 0 ? APPLY_CREATE : pick(12) == 0 ? APPLY_EXISTS : 0;
	if (pick(12) == 0)
		i->if_version = pick(2) == 0 && t->there ? t->version : 1 + pick(5);
	if (p->whole < 0 && i->put && t->there && t->source != ADMIN && pick(6) == 0) {
		i->override = true;
		i->source = t->source;
	}
}

static struct plan
random_plan(void)
{
	struct plan p = {.whole = -1, .lenient = pick(2) == 0, .deletions_max = UINT64_MAX};
	unsigned from = pick(THINGS), step = 7, share;
	bool taken[THINGS] = {false};

	p.set = pick(4) == 0;
	share = p.set || pick(6) == 0 ? 10 : 2;
	if (p.set) {
		p.n_set = THINGS;
		for (unsigned k = 0; k < THINGS; k++)
			if (pick(20) < share) {
				unsigned thing = (from + k * step) % THINGS;

				taken[thing] = true;
				item_add(&p, thing, THE_FILE);
				p.v[p.n - 1].put = true;
			}
		p.n_set = p.n;
	}
	if (p.set && pick(2) == 0)
		return p;
	if (pick(4) == 0) {
		p.whole = CONSOLE;
		p.deletions_max = pick(3) == 0 ? pick(3) : UINT64_MAX;
	}
	for (unsigned k = 0; k < THINGS; k++)
		if (pick(20) < share && !taken[k])
			item_add(&p, k, p.whole >= 0 ? CONSOLE : pick(2));
	return p;
}

static enum override_says
says(void *arg UNUSED, enum conf_kind kind, struct str id, const struct digest *digest)
{
	const struct hold *h = &model.hold[thing_of(id)];

	assert_int_equal(kind_of(thing_of(id)), kind);
	if (!h->on)
		return OVERRIDE_NONE;
	if (digest == NULL)
		return h->absent ? OVERRIDE_HOLDS : OVERRIDE_ENDS;
	return !h->absent && digest_eq(digest, &h->digest) ? OVERRIDE_HOLDS : OVERRIDE_ENDS;
}

static struct apply *
compile(struct plan *p)
{
	struct fixture *f = model.f;
	struct apply_input in = {.changeset_fd = -1,
	    .deletions_max = p->deletions_max,
	    .capture = pick(2) == 0,
	    .override = says};
	struct apply *a;

	if (p->set) {
		sets_begin(&f->sets, "file", true);
		for (unsigned i = 0; i < p->n_set; i++)
			make(&f->sets, p->v[i].thing, &p->v[i].spec);
		in.changeset_fd = sets_end(&f->sets);
	}
	for (unsigned i = p->n_set; i < p->n; i++) {
		const struct item *it = &p->v[i];
		struct sets *s = batch_begin(&f->batch, sources[it->source], it->flags);

		if (it->override)
			f->batch.override = STR("rollback");
		if (it->put)
			make(s, it->thing, &it->spec);
		else
			sets_delete(s, kind_of(it->thing), id_of(it->thing));
		f->batch.v[f->batch.n - 1].if_version = it->if_version;
	}
	in.v = f->batch.v;
	in.n = f->batch.n;
	in.whole = p->whole >= 0 ? str_of(sources[p->whole]) : STR_NONE;
	check_free(&f->report);
	a = apply_compile(&f->store, &in, &f->report);
	if (in.changeset_fd >= 0)
		close(in.changeset_fd);
	return a;
}

/* --- what the model makes of it -------------------------------------------------------------- */

/* Who may not, by itself. */
static enum apply_outcome
judge(const struct item *i, const struct thing *t)
{
	enum override_says o = i->override ? OVERRIDE_NONE
					   : says(NULL, kind_of(i->thing), str_of(id_of(i->thing)),
						 i->put ? &i->digest : NULL);

	if (o == OVERRIDE_HOLDS)
		return OUTCOME_KEPT;
	if (t->there && t->source != i->source)
		return OUTCOME_OWNED;
	if (!t->there && (!i->put || (i->flags & APPLY_EXISTS) != 0))
		return OUTCOME_ABSENT;
	if (t->there && (i->flags & APPLY_CREATE) != 0)
		return OUTCOME_EXISTS;
	if (i->if_version != 0 && (!t->there || t->version != i->if_version))
		return OUTCOME_PRECONDITION;
	if (i->put && t->there && memcmp(&i->spec, &t->spec, sizeof(i->spec)) == 0 &&
	    t->overridden == i->override)
		return OUTCOME_UNCHANGED;
	return !i->put ? OUTCOME_DELETED : t->there ? OUTCOME_REPLACED : OUTCOME_CREATED;
}

static void
carry_out(struct world *w, const struct item *i)
{
	struct thing *t = &w->t[i->thing];

	*t = (struct thing){.there = i->put,
	    .overridden = i->override,
	    .source = i->source,
	    .version = w->generation + 1,
	    .spec = i->spec};
}

static bool
swept(const struct plan *p, unsigned thing)
{
	const struct thing *t = &model.w.t[thing];
	bool ours = t->there && ((p->set && t->source == THE_FILE) ||
				    (p->whole >= 0 && t->source == (unsigned)p->whole));

	for (unsigned i = 0; i < p->n; i++)
		ours &= p->v[i].thing != thing || p->v[i].source != t->source;
	return ours && says(NULL, kind_of(thing), str_of(id_of(thing)), NULL) != OVERRIDE_HOLDS;
}

static bool
names(const struct thing *route, unsigned thing)
{
	if (thing >= LISTENERS + SERVICES || !route->there)
		return false;
	return thing < LISTENERS ? route->spec.listener == thing
				 : route->spec.service + LISTENERS == (int)thing;
}

/* Does a world hold together? */
static bool
sound(const struct world *w)
{
	for (unsigned i = 0; i < LISTENERS; i++)
		for (unsigned k = 0; k < i; k++)
			if (w->t[i].there && w->t[k].there && w->t[i].spec.a == w->t[k].spec.a)
				return false;
	for (unsigned r = LISTENERS + SERVICES; r < THINGS; r++) {
		const struct spec *s = &w->t[r].spec;

		if (!w->t[r].there)
			continue;
		if (s->service < SERVICES && !w->t[LISTENERS + s->service].there)
			return false;
		if (s->listener < LISTENERS && !w->t[s->listener].there)
			return false;
	}
	return true;
}

static unsigned
count(const struct world *w, enum conf_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < THINGS; i++)
		n += w->t[i].there && kind_of(i) == kind;
	return n;
}

/* What nobody is lenient with: true and the new world, or false. */
static bool
all_or_nothing(struct plan *p, struct world *w_r)
{
	struct world w = model.w;
	uint64_t deletions = 0, max = model.f->store.max[CONF_ROUTE];
	unsigned fresh = 0, changed = 0;
	bool ok = true;

	for (unsigned i = 0; i < p->n; i++) {
		p->v[i].outcome = judge(&p->v[i], &model.w.t[p->v[i].thing]);
		ok &= p->v[i].outcome < OUTCOME_ABSENT;
		if (p->v[i].outcome < OUTCOME_CREATED || p->v[i].outcome > OUTCOME_DELETED)
			continue;
		fresh += p->v[i].outcome == OUTCOME_CREATED && kind_of(p->v[i].thing) == CONF_ROUTE;
		changed++;
		carry_out(&w, &p->v[i]);
	}
	for (unsigned i = 0; i < THINGS; i++)
		if (swept(p, i)) {
			w.t[i].there = false;
			changed++;
			deletions += p->whole >= 0 && model.w.t[i].source == (unsigned)p->whole;
		}
	ok &= deletions <= p->deletions_max && sound(&w);
	ok &= max == 0 || fresh == 0 || count(&w, CONF_ROUTE) <= max;
	w.generation += changed > 0;
	*w_r = w;
	return ok;
}

/* What came of the lenient ones, told by their outcomes; the rest follows from the map. */
static struct world
as_told(struct plan *p)
{
	struct world w = model.w;
	struct conf_object o;

	for (unsigned i = p->n_set; i < p->n; i++) {
		const struct apply_op *op = &model.f->batch.v[i - p->n_set];

		if (op->outcome == OUTCOME_REFUSED) {
			assert_in_range(p->v[i].outcome, OUTCOME_CREATED, OUTCOME_DELETED);
			assert_true(op->report_n > 0);
			continue;
		}
		assert_int_equal(op->outcome, p->v[i].outcome);
		if (op->outcome >= OUTCOME_CREATED && op->outcome <= OUTCOME_DELETED)
			carry_out(&w, &p->v[i]);
	}
	for (unsigned i = 0; i < p->n_set; i++)
		if (p->v[i].outcome >= OUTCOME_CREATED && p->v[i].outcome <= OUTCOME_DELETED)
			carry_out(&w, &p->v[i]);
	for (unsigned i = 0; i < THINGS; i++)
		if (swept(p, i))
			w.t[i].there =
			    table_find(model.f->table, kind_of(i), str_of(id_of(i)), &o) == 1;
	w.generation = table_generation(model.f->table);
	return w;
}

/* Nobody is refused, and nothing is kept from deletion, without need. */
static void
no_more_than_need_be(struct plan *p, const struct world *w)
{
	bool stays = false;

	for (unsigned i = 0; i < THINGS; i++)
		stays |= swept(p, i) && w->t[i].there;
	for (unsigned i = p->n_set; i < p->n; i++)
		stays |= !p->v[i].put && model.f->batch.v[i - p->n_set].outcome == OUTCOME_REFUSED;
	for (unsigned i = p->n_set; i < p->n; i++) {
		struct world with = *w;

		/* Somebody may be refused for the sake of one who then stayed himself. */
		if (model.f->batch.v[i - p->n_set].outcome != OUTCOME_REFUSED || stays ||
		    kind_of(p->v[i].thing) == CONF_LISTENER)
			continue;
		carry_out(&with, &p->v[i]);
		assert_true(
		    !sound(&with) || count(&with, CONF_ROUTE) > model.f->store.max[CONF_ROUTE]);
	}
	for (unsigned i = 0; i < THINGS; i++) {
		unsigned users = 0;

		for (unsigned r = LISTENERS + SERVICES; r < THINGS; r++)
			users += names(&w->t[r], i);
		if (swept(p, i))
			assert_int_equal(w->t[i].there, users > 0);
	}
}

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
