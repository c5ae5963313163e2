/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of endpoints: which there are goes to discovery as one list, what they stand for comes back
 * one by one. Each side may be replaced at any time: a keeper that is new sends the list and asks
 * for every answer, a discovery that is new says a nameless RESOLVED and gets the list.
 */
#include "conf/endpoint_sets_priv.h"

#include <sys/epoll.h>

#include "conf/endpoint_url.h"
#include "conf/resolve.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

#define RESEND_MS   200 /* the line is full */
#define LIST_OCTETS (MSG_MAX - 1024)
#define FAILING_MAX 100

/* --- names ----------------------------------------------------------------------------------- */

static bool
named_is(const struct hnode *n, const void *key)
{
	const struct named *nm = container_of(n, struct named, node);

	return str_eq(str_n(nm->name, nm->len), *(const struct str *)key);
}

static struct named *
named_find(const struct endpoint_sets *s, struct str name)
{
	struct hnode *n = htab_get(&s->names, hash_keyed(name), named_is, &name);

	return n == NULL ? NULL : container_of(n, struct named, node);
}

static struct named *
named_ref(struct endpoint_sets *s, struct str name)
{
	struct named *nm = named_find(s, name);

	if (nm == NULL) {
		nm = xcalloc(1, sizeof(*nm) + name.n + 1);
		memcpy(nm->name, name.p, name.n);
		nm->len = name.n;
		htab_put(&s->names, &nm->node, hash_keyed(name));
		s->names_changed = true;
	}
	nm->refs++;
	return nm;
}

static void
named_unref(struct endpoint_sets *s, struct named *nm)
{
	if (--nm->refs > 0)
		return;
	htab_del(&s->names, &nm->node);
	free(nm->v);
	free(nm);
	s->names_changed = true;
}

bool
names_wanted(const struct conf_endpoint *e, char name_r[256], uint16_t *port_r)
{
	struct endpoint_url u;
	const char *error;

	if (e->addresses.n > 0 ||
	    (e->resolve_error.n > 0 && !str_eq(e->resolve_error, STR(SERVICE_NOT_LOOKED_UP))) ||
	    endpoint_url_parse(e->url, &u, &error) < 0 || u.name.n == 0 || u.name.n > 255)
		return false;
	for (size_t i = 0; i < u.name.n; i++)
		name_r[i] = u.name.p[i] >= 'A' && u.name.p[i] <= 'Z' ? (char)(u.name.p[i] + 32)
								     : u.name.p[i];
	name_r[u.name.n] = '\0';
	*port_r = u.port;
	return true;
}

/* New ones first, so that a name that stays is never let go of. */
void
names_of(struct endpoint_sets *s, struct entry *e, const struct conf_service *c)
{
	const struct conf_endpoint *v = c->endpoints.v;
	struct named **names = NULL;
	uint32_t n = 0;
	char name[256];
	uint16_t port;

	for (uint32_t i = 0; i < c->endpoints.n; i++) {
		if (!names_wanted(&v[i], name, &port))
			continue;
		if (names == NULL)
			names = xcalloc(c->endpoints.n, sizeof(*names));
		names[n++] = named_ref(s, str_of(name));
	}
	names_none(s, e);
	e->names = names;
	e->n_names = n;
}

void
names_none(struct endpoint_sets *s, struct entry *e)
{
	for (uint32_t i = 0; i < e->n_names; i++)
		named_unref(s, e->names[i]);
	free(e->names);
	e->names = NULL;
	e->n_names = 0;
}

/* --- into a service -------------------------------------------------------------------------- */

static void
addresses_put(
    struct conf_endpoint *e, const struct addr *v, uint32_t n, uint16_t port, struct ws *ws)
{
	struct conf_endpoint_addr *to = ws_zalloc(ws, n * sizeof(*to));

	if (to == NULL)
		oom_fail(n * sizeof(*to));
	for (uint32_t i = 0; i < n; i++) {
		to[i].addr = v[i];
		to[i].addr.port = port;
	}
	e->addresses = (struct conf_list){to, n};
	e->resolve_error = STR_NONE;
}

/* As the map has it, from whoever looked it up before; else why there is nothing. */
static void
addresses_keep(struct conf_endpoint *e, const struct endpoint_set *old, uint16_t port,
    struct str error, struct ws *ws)
{
	struct addr v[RESOLVE_ADDRS];
	struct endpoint_ref have;
	uint32_t n = 0;

	for (uint32_t i = 0; old != NULL && i < old->n && n < RESOLVE_ADDRS; i++)
		if (endpoint_set_get(old, i, &have) == 1 && !have.unresolved &&
		    str_ieq(have.host, e->host) && have.addr.port == port)
			v[n++] = have.addr;
	if (n > 0)
		addresses_put(e, v, n, port, ws);
	else
		e->resolve_error = error.n > 0 ? ws_str(ws, error) : STR(SERVICE_NOT_LOOKED_UP);
}

void
names_fill(
    struct endpoint_sets *s, struct conf_service *c, const struct endpoint_set *old, struct ws *ws)
{
	struct conf_endpoint *v = c->endpoints.v;
	char name[256];
	uint16_t port;

	for (uint32_t i = 0; i < c->endpoints.n; i++) {
		const struct named *nm;

		if (!names_wanted(&v[i], name, &port))
			continue;
		nm = named_find(s, str_of(name));
		if (nm != NULL && nm->n > 0)
			addresses_put(&v[i], nm->v, nm->n, port, ws);
		else
			addresses_keep(
			    &v[i], old, port, nm != NULL ? str_of(nm->error) : STR_NONE, ws);
	}
}

/* --- to discovery ---------------------------------------------------------------------------- */

struct listing {
	struct endpoint_sets *s;
	const struct named **v;
	size_t n;
};

static void
listing_add(struct hnode *n, void *arg)
{
	struct listing *l = arg;

	l->v[l->n++] = container_of(n, struct named, node);
}

/* Names from `from` on that go into one message. */
static size_t
part_of(const struct listing *l, size_t from)
{
	size_t octets = 0, n = from;

	while (n < l->n && octets + l->v[n]->len + 8 <= LIST_OCTETS)
		octets += l->v[n++]->len + 8;
	return n;
}

static int
part_send(struct listing *l, size_t from, size_t to)
{
	struct endpoint_sets *s = l->s;

	msg_begin(&s->msg, MSG_RESOLVE, 0);
	msg_put_u32(&s->msg, from == 0 ? !s->greeted : 0);
	msg_put_u32(&s->msg, to < l->n);
	msg_put_u32(&s->msg, (uint32_t)(to - from));
	for (size_t i = from; i < to; i++)
		msg_put_str(&s->msg, str_n(l->v[i]->name, l->v[i]->len));
	return msg_send(s->o.line, &s->msg);
}

/* One whose end did not go out is sent again from its beginning: a name twice does no harm. */
static int
list_send(struct listing *l)
{
	size_t at = 0, to;

	do {
		to = part_of(l, at);
		if (part_send(l, at, to) != 1)
			return -1;
		at = to;
	} while (at < l->n);
	return 1;
}

void
names_send(struct endpoint_sets *s)
{
	struct listing l = {.s = s};

	if (!s->names_changed || s->o.line < 0)
		return;
	if (s->names.n > 0 && s->o.want != NULL)
		s->o.want(s->o.arg);
	l.v = xcalloc(s->names.n + 1, sizeof(*l.v));
	htab_each(&s->names, listing_add, &l);
	s->names_changed = list_send(&l) < 0;
	free(l.v);
	if (s->names_changed)
		timer_set(loop_timers(s->o.loop), &s->resend, clock_ms() + RESEND_MS);
	else
		s->greeted = true;
}

static void
resend(struct timer *t)
{
	names_send(container_of(t, struct endpoint_sets, resend));
}

/* --- from discovery -------------------------------------------------------------------------- */

struct answer {
	struct str name, error;
	struct addr v[RESOLVE_ADDRS];
	uint32_t n;
};

static int
answer_read(struct msg *m, struct answer *a)
{
	a->name = msg_str(m);
	a->n = msg_u32(m);
	if (a->n > RESOLVE_ADDRS)
		return -1;
	for (uint32_t i = 0; i < a->n; i++)
		if (addr_ip(msg_str(m), &a->v[i]) != 1)
			return -1;
	a->error = msg_str(m);
	return msg_end(m);
}

static bool
answer_same(const struct named *nm, const struct answer *a)
{
	if (nm->n != a->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!addr_eq(&nm->v[i], &a->v[i]))
			return false;
	/* The words are the endpoint's where it has no address. */
	return a->n > 0 || str_eq(str_of(nm->error), a->error);
}

struct naming {
	struct endpoint_sets *s;
	const struct named *nm;
};

static void
touch_if_named(struct hnode *n, void *arg)
{
	struct entry *e = container_of(n, struct entry, node);
	const struct naming *g = arg;

	for (uint32_t i = 0; i < e->n_names; i++)
		if (e->names[i] == g->nm) {
			batch_touch(g->s, e);
			return;
		}
}

static void
answer_take(struct endpoint_sets *s, struct answer *a)
{
	struct named *nm = named_find(s, a->name);
	bool same;

	if (nm == NULL)
		return; /* nobody has it any more */
	/* A discovery that is new has no last good answer; we have. */
	if (a->n == 0 && nm->n > 0) {
		a->n = nm->n;
		memcpy(a->v, nm->v, nm->n * sizeof(*a->v));
	}
	a->error.n = MIN(a->error.n, sizeof(nm->error) - 1);
	same = answer_same(nm, a);
	snprintf(nm->error, sizeof(nm->error), "%.*s", STR_ARG(a->error));
	if (a->error.n > 0)
		snprintf(s->last_error, sizeof(s->last_error), "%s: %s", nm->name, nm->error);
	if (same)
		return;
	free(nm->v);
	nm->v = xcalloc(a->n + 1, sizeof(*nm->v));
	nm->n = a->n;
	memcpy(nm->v, a->v, a->n * sizeof(*nm->v));
	htab_each(&s->entries, touch_if_named, &(struct naming){s, nm});
}

static int
answer(struct endpoint_sets *s)
{
	struct answer a;

	if (s->msg.type != MSG_RESOLVED) {
		msg_drop(&s->msg);
		return -1;
	}
	if (answer_read(&s->msg, &a) < 0) {
		msg_drop(&s->msg);
		return -1;
	}
	if (a.name.n > 0) {
		answer_take(s, &a);
		return 1;
	}
	s->names_changed = true; /* a new discovery */
	names_send(s);
	return 1;
}

static void
on_line(struct watch *w, uint32_t events UNUSED)
{
	struct endpoint_sets *s = container_of(w, struct endpoint_sets, line);
	int got;

	while ((got = msg_recv(w->fd, &s->msg)) == 1)
		if (answer(s) < 0)
			log_warn("keeper: a malformed message from discovery");
	if (got < 0) {
		log_error("keeper: the line to discovery is spoilt");
		loop_del(s->o.loop, w);
	}
}

void
names_start(struct endpoint_sets *s)
{
	watch_init(&s->line, on_line);
	timer_init(&s->resend, resend);
	if (s->o.line >= 0 && loop_add(s->o.loop, &s->line, s->o.line, EPOLLIN) < 0)
		log_error("keeper: the line to discovery cannot be watched");
}

void
names_stop(struct endpoint_sets *s)
{
	timer_stop(&s->resend);
	loop_del(s->o.loop, &s->line);
	htab_free(&s->names);
}

/* --- for people ------------------------------------------------------------------------------ */

struct telling {
	struct endpoint_sets_status st;
	json_t *failing;
};

static void
tell_name(struct hnode *n, void *arg)
{
	const struct named *nm = container_of(n, struct named, node);
	struct telling *t = arg;

	t->st.names++;
	t->st.unresolved += nm->n == 0;
	t->st.failing += nm->error[0] != '\0';
	if (nm->error[0] != '\0' && t->failing != NULL && json_array_size(t->failing) < FAILING_MAX)
		json_array_append_new(t->failing, json_pack("{s:s, s:s, s:b}", "name", nm->name,
						      "error", nm->error, "addresses", nm->n > 0));
}

void
endpoint_sets_status(const struct endpoint_sets *s, struct endpoint_sets_status *st_r)
{
	struct telling t = {
	    .st = {.sets = s->n_sets, .commits = s->commits, .changes = s->changes}};

	htab_each((struct htab *)(uintptr_t)&s->names, tell_name, &t);
	snprintf(t.st.last_error, sizeof(t.st.last_error), "%s", s->last_error);
	*st_r = t.st;
}

json_t *
endpoint_sets_json(const struct endpoint_sets *s)
{
	struct telling t = {.failing = json_array()};
	struct endpoint_sets_status st;

	endpoint_sets_status(s, &st);
	htab_each((struct htab *)(uintptr_t)&s->names, tell_name, &t);
	return json_pack("{s:I, s:I, s:I, s:o, s:I, s:I, s:s}", "sets", (json_int_t)st.sets,
	    "names", (json_int_t)st.names, "unresolved", (json_int_t)st.unresolved, "failing",
	    t.failing, "commits", (json_int_t)st.commits, "changes", (json_int_t)st.changes,
	    "last_error", st.last_error);
}
