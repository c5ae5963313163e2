/* SPDX-License-Identifier: Apache-2.0
 *
 * A model of the configuration for apply_model_test.c: a table of twenty objects, random change
 * sets and operations, and what must come of them.
 */
#ifndef GW_TEST_CONF_APPLY_MODEL_H
#define GW_TEST_CONF_APPLY_MODEL_H

#include "test/unit/conf/apply_kit.h"

enum { LISTENERS = 3, SERVICES = 5, ROUTES = 12, THINGS = LISTENERS + SERVICES + ROUTES };
enum { PORTS = 4, PATHS = 3, HOSTS = 2 };

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

UNUSED static unsigned
pick(unsigned n)
{
	model.seed = model.seed * 6364136223846793005ul + 1442695040888963407ul;
	return (unsigned)(model.seed >> 33) % n;
}

/* --- objects --------------------------------------------------------------------------------- */

UNUSED static enum conf_kind
kind_of(unsigned thing)
{
	return thing < LISTENERS              ? CONF_LISTENER
	       : thing < LISTENERS + SERVICES ? CONF_SERVICE
					      : CONF_ROUTE;
}

UNUSED static const char *
id_of(unsigned thing)
{
	static char id[4][8];
	static unsigned at;

	at = (at + 1) % 4;
	snprintf(id[at], sizeof(id[at]), "%c%02u", "?lsr"[kind_of(thing)], thing);
	return id[at];
}

UNUSED static unsigned
thing_of(struct str id)
{
	return (unsigned)(id.p[1] - '0') * 10 + (unsigned)(id.p[2] - '0');
}

UNUSED static struct spec
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

UNUSED static void
make_route(struct sets *s, unsigned thing, const struct spec *spec)
{
	static const char *const paths[PATHS] = {"/one", "/two/*", "/{x}"};
	struct str path = str_of(paths[spec->a]), host = STR("a.test"), listener;
	struct conf_route r;

	fields_default(&route_fields, &r);
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

UNUSED static void
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

UNUSED static struct digest
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

UNUSED static void
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

UNUSED static struct plan
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

UNUSED static enum override_says
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

UNUSED static struct apply *
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
UNUSED static enum apply_outcome
judge(const struct item *i, const struct thing *t)
{
	struct str id = str_of(id_of(i->thing));

	if (t->there && t->source != i->source)
		return OUTCOME_OWNED;
	if (!t->there && (!i->put || (i->flags & APPLY_EXISTS) != 0))
		return OUTCOME_ABSENT;
	if (t->there && (i->flags & APPLY_CREATE) != 0)
		return OUTCOME_EXISTS;
	if (i->if_version != 0 && (!t->there || t->version != i->if_version))
		return OUTCOME_PRECONDITION;
	if (!i->override &&
	    says(NULL, kind_of(i->thing), id, i->put ? &i->digest : NULL) == OVERRIDE_HOLDS)
		return OUTCOME_KEPT;
	if (i->put && t->there && memcmp(&i->spec, &t->spec, sizeof(i->spec)) == 0 &&
	    t->overridden == i->override)
		return OUTCOME_UNCHANGED;
	return !i->put ? OUTCOME_DELETED : t->there ? OUTCOME_REPLACED : OUTCOME_CREATED;
}

UNUSED static void
carry_out(struct world *w, const struct item *i)
{
	struct thing *t = &w->t[i->thing];

	*t = (struct thing){.there = i->put,
	    .overridden = i->override,
	    .source = i->source,
	    .version = w->generation + 1,
	    .spec = i->spec};
}

UNUSED static bool
swept(const struct plan *p, unsigned thing)
{
	const struct thing *t = &model.w.t[thing];
	bool ours = t->there && ((p->set && t->source == THE_FILE) ||
				    (p->whole >= 0 && t->source == (unsigned)p->whole));

	for (unsigned i = 0; i < p->n; i++)
		ours &= p->v[i].thing != thing || p->v[i].source != t->source;
	return ours && says(NULL, kind_of(thing), str_of(id_of(thing)), NULL) != OVERRIDE_HOLDS;
}

UNUSED static bool
names(const struct thing *route, unsigned thing)
{
	if (thing >= LISTENERS + SERVICES || !route->there)
		return false;
	return thing < LISTENERS ? route->spec.listener == thing
				 : route->spec.service + LISTENERS == (int)thing;
}

/* Does a world hold together? */
UNUSED static bool
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

UNUSED static unsigned
count(const struct world *w, enum conf_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < THINGS; i++)
		n += w->t[i].there && kind_of(i) == kind;
	return n;
}

/* What nobody is lenient with: true and the new world, or false. */
UNUSED static bool
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
UNUSED static struct world
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
UNUSED static void
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

#endif
