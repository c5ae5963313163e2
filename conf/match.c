/* SPDX-License-Identifier: Apache-2.0
 *
 * A route's conditions, compiled once per plan. Of a header any of its lines may satisfy a
 * condition; of query parameters and cookies the first of a name counts, compared as it was sent.
 */
#include "conf/match.h"

#include "shm/base/bug.h"

enum cond_place { PLACE_HEADER, PLACE_QUERY, PLACE_COOKIE, PLACES };

static const char *const place_words[PLACES] = {"header", "query parameter", "cookie"};
static const char *const match_words[] = {
    [COND_EXACT] = "is not",
    [COND_PREFIX] = "does not begin with",
    [COND_REGEX] = "does not match",
    [COND_PRESENT] = "is absent",
    [COND_ABSENT] = "is present",
};

struct condition {
	enum cond_place place;
	const struct conf_cond *c;
	struct regex *regex;
	const char *why; /* when it does not hold */
};

struct group_name {
	struct group_name *next;
	struct str name;
	unsigned group;
};

struct path_regex {
	struct regex *regex;
	struct group_name *names;
};

struct matcher {
	const struct conf_route *route;
	struct condition *cond;
	unsigned n_cond;
	struct path_regex *path;
	unsigned n_path;
};

/* --- compiling ------------------------------------------------------------------------------- */

static void
regex_drop(void *arg)
{
	struct regex *r = arg;

	regex_free(&r);
}

static struct regex *
compile(struct str pattern, struct ws *ws, const char **error_r)
{
	struct regex *r = regex_new(pattern, error_r);

	if (r != NULL)
		ws_on_free(ws, regex_drop, r);
	return r;
}

static const char *
why_of(const struct condition *k, struct ws *ws)
{
	bool bare = k->c->match == COND_PRESENT || k->c->match == COND_ABSENT;
	struct str s =
	    ws_printf(ws, "%s %.*s %s%s%.*s%s", place_words[k->place], STR_ARG(k->c->name),
		match_words[k->c->match], bare ? "" : " \"", bare ? 0 : (int)k->c->value.n,
		k->c->value.n > 0 ? k->c->value.p : "", bare ? "" : "\"");

	return s.p;
}

static int
conditions_add(struct matcher *m, enum cond_place place, const struct conf_list *list,
    struct ws *ws, const char **error_r)
{
	const struct conf_cond *c = list->v;

	for (uint32_t i = 0; i < list->n; i++) {
		struct condition *k = &m->cond[m->n_cond++];

		*k = (struct condition){.place = place, .c = &c[i]};
		if (c[i].match < 0 || (size_t)c[i].match >= ARRAY_LEN(match_words)) {
			*error_r = "a condition of an unknown sort";
			return -1;
		}
		k->why = why_of(k, ws);
		if (c[i].match == COND_REGEX)
			k->regex = compile(c[i].value, ws, error_r);
		if (c[i].match == COND_REGEX && k->regex == NULL)
			return -1;
	}
	return 1;
}

struct names {
	struct ws *ws;
	struct group_name **end;
};

static void
name_add(void *arg, struct str name, unsigned group)
{
	struct names *n = arg;
	struct group_name *g = ws_zalloc(n->ws, sizeof(*g));

	if (g == NULL || group >= REGEX_GROUPS)
		return;
	g->name = ws_str(n->ws, name);
	g->group = group;
	*n->end = g;
	n->end = &g->next;
}

static int
paths_add(struct matcher *m, struct ws *ws, const char **error_r)
{
	const struct strs *path = &m->route->path;

	for (uint32_t i = 0; i < path->n; i++) {
		struct path_regex *p = &m->path[m->n_path];
		struct names names = {.ws = ws, .end = &p->names};

		if (path->v[i].n == 0 || path->v[i].p[0] != '~')
			continue;
		p->names = NULL;
		p->regex = compile(str_sub(path->v[i], 1, path->v[i].n), ws, error_r);
		if (p->regex == NULL)
			return -1;
		regex_names(p->regex, name_add, &names);
		m->n_path++;
	}
	return 1;
}

struct matcher *
matcher_new(const struct conf_route *r, struct ws *ws, const char **error_r)
{
	struct matcher *m = ws_zalloc(ws, sizeof(*m));
	size_t n_cond = (size_t)r->headers.n + r->query.n + r->cookies.n;

	*error_r = "out of room";
	if (m == NULL)
		return NULL;
	m->route = r;
	m->cond = ws_alloc(ws, MAX(n_cond, (size_t)1) * sizeof(*m->cond));
	m->path = ws_alloc(ws, MAX(r->path.n, 1u) * sizeof(*m->path));
	if (m->cond == NULL || m->path == NULL ||
	    conditions_add(m, PLACE_HEADER, &r->headers, ws, error_r) < 0 ||
	    conditions_add(m, PLACE_QUERY, &r->query, ws, error_r) < 0 ||
	    conditions_add(m, PLACE_COOKIE, &r->cookies, ws, error_r) < 0 ||
	    paths_add(m, ws, error_r) < 0 || ws->overflow)
		return NULL;
	return m;
}

/* --- asking ---------------------------------------------------------------------------------- */

static int
value_holds(const struct condition *k, struct str value)
{
	switch (k->c->match) {
	case COND_EXACT:
		return str_eq(value, k->c->value);
	case COND_PREFIX:
		return str_starts(value, k->c->value);
	case COND_REGEX:
		return regex_match(k->regex, value, NULL);
	case COND_PRESENT:
		return 1;
	}
	return 0; /* absent */
}

static int
header_holds(const struct condition *k, const struct match_view *v)
{
	struct str value;
	unsigned nth = 0;
	int got = 0;

	for (; got == 0 && v->header(v->arg, k->c->name, nth, &value) == 1; nth++) {
		if (k->c->match == COND_ABSENT)
			return 0;
		got = value_holds(k, value);
	}
	return k->c->match == COND_ABSENT ? 1 : got;
}

static int
cookie_find(const struct match_view *v, struct str name, struct str *value_r)
{
	struct str header;

	for (unsigned nth = 0; v->header(v->arg, STR("cookie"), nth, &header) == 1; nth++)
		if (cookie_get(header, name, value_r) == 1)
			return 1;
	return 0;
}

static int
condition_holds(const struct condition *k, const struct match_view *v)
{
	struct str value;
	int got;

	if (k->place == PLACE_HEADER)
		return header_holds(k, v);
	got = k->place == PLACE_QUERY ? query_get(v->query, k->c->name, &value)
				      : cookie_find(v, k->c->name, &value);
	if (got == 0)
		return k->c->match == COND_ABSENT;
	return value_holds(k, value);
}

static bool
listener_holds(const struct conf_route *r, struct str id)
{
	for (uint32_t i = 0; i < r->listener.n; i++)
		if (str_eq(r->listener.v[i], id))
			return true;
	return r->listener.n == 0;
}

static int
path_holds(const struct matcher *m, struct str path, struct match_param *params, unsigned *n_params)
{
	struct str groups[REGEX_GROUPS];

	for (unsigned i = 0; i < m->n_path; i++) {
		int got = regex_match(m->path[i].regex, path, groups);

		if (got < 0)
			return -1;
		if (got == 0)
			continue;
		for (const struct group_name *g = m->path[i].names; g != NULL; g = g->next)
			if (*n_params < MATCH_PARAMS && groups[g->group].p != NULL)
				params[(*n_params)++] =
				    (struct match_param){g->name, groups[g->group]};
		return 1;
	}
	return 0;
}

static int
refused(const char **why_r, const char *why, int verdict)
{
	if (why_r != NULL)
		*why_r = why;
	return verdict;
}

int
matcher_accept(const struct matcher *m, const struct match_view *v, bool regex,
    struct match_param *params, unsigned *n_params, const char **why_r)
{
	int got;

	if (!listener_holds(m->route, v->listener_id))
		return refused(why_r, "it is for other listeners", 0);
	for (unsigned i = 0; i < m->n_cond; i++) {
		got = condition_holds(&m->cond[i], v);
		if (got <= 0)
			return refused(why_r, m->cond[i].why, got);
	}
	if (!regex)
		return 1;
	got = path_holds(m, v->path, params, n_params);
	if (got == 1)
		return 1;
	return refused(why_r,
	    got == 0 ? "no regular expression matches the path"
		     : "a regular expression took too long on the path",
	    got);
}

/* --- parts of a request ---------------------------------------------------------------------- */

int
query_get(struct str query, struct str name, struct str *value_r)
{
	struct str piece;

	while (str_cut(&query, '&', &piece)) {
		ssize_t eq = str_chr(piece, '=');
		size_t n = eq < 0 ? piece.n : (size_t)eq;

		if (!str_eq(str_sub(piece, 0, n), name) || (eq < 0 && n == 0))
			continue;
		*value_r = eq < 0 ? STR("") : str_sub(piece, n + 1, piece.n);
		return 1;
	}
	return 0;
}

int
cookie_get(struct str cookie_header, struct str name, struct str *value_r)
{
	struct str piece;

	while (str_cut(&cookie_header, ';', &piece)) {
		ssize_t eq;

		piece = str_trim(piece);
		eq = str_chr(piece, '=');
		if (eq <= 0 || !str_eq(str_trim(str_sub(piece, 0, (size_t)eq)), name))
			continue;
		*value_r = str_trim(str_sub(piece, (size_t)eq + 1, piece.n));
		return 1;
	}
	return 0;
}
