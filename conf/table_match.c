/* SPDX-License-Identifier: Apache-2.0
 *
 * Which route takes a request. The rules are in README under "Precedence"; this is how they are
 * carried out without allocating anything:
 *
 * A walk down a host's trie follows the path segment by segment, the literal child before the one
 * that takes anything, and so meets nodes of one depth in the order of precedence. Nodes with
 * something to offer are noted, deepest first; then their candidates are tried in turn. Where a
 * walk meets more nodes than it can note, it is repeated for one depth after the other.
 *
 * A walk begins at the root, or further down where all that lies above was walked before and had
 * nothing to offer (table_shortcut.c).
 *
 * Who does not take the method is passed over at first. Only when nobody took the request is the
 * walk repeated to ask which of those stand otherwise: their methods make the 405.
 */
#include "conf/hosts.h"
#include "conf/shard.h"
#include "conf/table_priv.h"

#define HITS       32
#define WALK_NODES 65536 /* more in one walk is not a configuration any more, but damage */
#define LEVELS     128

enum walk_mode { WALK_PICK, WALK_ALLOW };

struct hit {
	struct shard shard;
	struct shard_node node;
	uint64_t any; /* bit n: segment n was taken by a node that takes anything */
	uint32_t at;  /* the path is used up to here */
	unsigned depth;
};

/* Where a walk stands. */
struct step {
	struct hit h;
	uint32_t node; /* in h.shard; h.node is loaded from it */
	size_t key_n;  /* the shard's key is so much of walk.key, */
	uint64_t hash; /* and has this hash */
};

struct walk {
	struct table *t;
	const struct match_query *q;
	struct match_result *r;
	struct str path;
	enum walk_mode mode;
	bool mismatch;  /* somebody was passed over for the method */
	bool one_depth; /* try nodes of `depth` at once, instead of noting all */
	unsigned depth;
	unsigned deepest;
	uint32_t budget;
	unsigned n;
	bool overflow;
	uint32_t host;
	struct shortcut *learn; /* NULL: none, or there was a choice above */
	char key[DB_KEY_MAX];   /* of the shard a step is in */
	struct hit hit[HITS];
};

/* --- trying the candidates of a node --------------------------------------------------------- */

static struct str
segment_at(struct str path, size_t at)
{
	size_t end = at + 1;

	while (end < path.n && path.p[end] != '/')
		end++;
	return str_n(path.p + at + 1, end - at - 1);
}

/* Values of the named parameters: the segments in `any`, in order. */
static int
params_take(struct walk *w, const struct hit *h, const struct candidate *c)
{
	struct str names = c->names;
	size_t at = 0;

	w->r->n_params = 0;
	if (c->n_params == 0)
		return 1;
	for (unsigned depth = 0; depth < h->depth; depth++) {
		struct str value = segment_at(w->path, at), name;

		at += 1 + value.n;
		if ((h->any & UINT64_C(1) << depth) == 0)
			continue;
		if (candidate_name(&names, &name) != 1)
			return -1;
		if (name.n > 0 && w->r->n_params < MATCH_PARAMS)
			w->r->params[w->r->n_params++] = (struct match_param){name, value};
	}
	return 1;
}

/* Does all but the method hold? */
static int
stands(struct walk *w, const struct hit *h, const struct candidate *c, enum path_sort sort)
{
	const struct match_query *q = w->q;

	if (c->listeners != 0 && (c->listeners & UINT64_C(1) << (q->listener & 63)) == 0)
		return 0;
	if (params_take(w, h, c) < 0)
		return -1;
	if (q->accept == NULL)
		return 1;
	return q->accept(q->arg, c->route, sort == PATH_REGEX, w->r->params, &w->r->n_params) == 1;
}

static int
candidate_try(struct walk *w, const struct hit *h, const struct candidate *c, enum path_sort sort)
{
	bool takes = candidate_takes(c, w->q->method, w->q->method_name);
	int got;

	if (w->mode == WALK_PICK && !takes) {
		w->mismatch = true;
		return 0;
	}
	if (w->mode == WALK_ALLOW && takes)
		return 0; /* was tried before */
	got = stands(w, h, c, sort);
	if (got <= 0)
		return got;
	if (w->mode == WALK_ALLOW) {
		w->r->allow |= c->methods;
		return 0;
	}
	w->r->route = c->route;
	w->r->rest = STR("");
	if (sort == PATH_PREFIX && h->at < w->path.n)
		w->r->rest = str_sub(w->path, h->at + 1, w->path.n);
	return 1;
}

static void explain(
    struct walk *w, const struct hit *h, const struct candidate *c, enum path_sort sort);

static int
list_try(struct walk *w, const struct hit *h, enum path_sort sort)
{
	struct shard_list l;
	struct candidate c;
	int got = shard_list(&h->shard, &h->node, sort, &l);

	if (got <= 0)
		return got;
	while ((got = shard_next(&l, &c)) == 1) {
		got = candidate_try(w, h, &c, sort);
		if (got == 1 && w->q->explain)
			explain(w, h, &c, sort);
		if (got != 0)
			return got;
	}
	return got;
}

static int
hit_try(struct walk *w, const struct hit *h)
{
	int got = 0;

	if (h->at == w->path.n)
		got = list_try(w, h, PATH_EXACT);
	if (got == 0)
		got = list_try(w, h, PATH_REGEX);
	if (got == 0)
		got = list_try(w, h, PATH_PREFIX);
	return got;
}

/* --- the walk -------------------------------------------------------------------------------- */

/* Kept deepest first; of equal depth in the order in which they were met. */
static void
hit_note(struct walk *w, const struct hit *h)
{
	unsigned i = w->n;

	if (w->n == HITS) {
		w->overflow = true;
		return;
	}
	for (; i > 0 && w->hit[i - 1].depth < h->depth; i--)
		w->hit[i] = w->hit[i - 1];
	w->hit[i] = *h;
	w->n++;
}

static int
node_meet(struct walk *w, const struct hit *h)
{
	const uint16_t *list = h->node.list;

	if (list[PATH_REGEX] == 0 && list[PATH_PREFIX] == 0 &&
	    (list[PATH_EXACT] == 0 || h->at != w->path.n))
		return 0;
	w->learn = NULL;
	w->deepest = MAX(w->deepest, h->depth);
	if (w->one_depth)
		return h->depth == w->depth ? hit_try(w, h) : 0;
	hit_note(w, h);
	return 0;
}

/* Into a child in a shard of its own. */
static int
step_outer(struct walk *w, struct step *s, struct str text, bool any)
{
	size_t key_n = shard_key_add(w->key, s->key_n, text, any);
	struct str value;
	int got;

	if (key_n == 0) /* longer than any pattern can be */
		return 0;
	s->hash = table_shard_hash(s->hash, str_n(w->key + s->key_n + 1, key_n - s->key_n - 1));
	s->key_n = key_n;
	got = table_shard(w->t, s->hash, str_n(w->key, key_n), &value);
	if (got != 1)
		return got;
	s->node = SHARD_ROOT;
	return shard_open(value, &s->h.shard);
}

static int
step_literal(struct walk *w, struct step *s, struct str text)
{
	if (s->h.shard.outer == 0)
		return shard_child(&s->h.shard, &s->h.node, text, &s->node);
	if (text.n == 1 && text.p[0] == SHARD_ANY)
		return 0;
	return step_outer(w, s, text, false);
}

static inline bool
takes_any(const struct hit *h)
{
	return h->shard.outer > 0 ? h->shard.outer_any : h->node.any != 0;
}

static int
step_any(struct walk *w, struct step *s, struct str text)
{
	s->h.any |= UINT64_C(1) << s->h.depth;
	return s->h.shard.outer > 0 ? step_outer(w, s, text, true)
				    : shard_any(&s->h.node, &s->node);
}

static inline void
step_done(struct step *s, struct str text)
{
	s->h.at += (uint32_t)text.n + 1;
	s->h.depth++;
}

static int walk_on(struct walk *w, struct step *s);

/* The literal child of a node that has one for anything as well: s comes back to it. */
static int
walk_aside(struct walk *w, const struct step *s, struct str text)
{
	struct step aside = *s;
	int got = step_literal(w, &aside, text);

	if (got <= 0)
		return got;
	step_done(&aside, text);
	return walk_on(w, &aside);
}

/* Nothing was to be chosen on the way to this shard. */
static void
shortcut_note(struct walk *w, const struct step *s)
{
	struct shortcut *c = w->learn;

	if (!table_shortcut_learn(w->t, c, w->host, str_n(w->path.p, s->h.at)))
		return;
	c->shard = s->h.shard;
	c->depth = (uint8_t)s->h.depth;
	c->hash = s->hash;
}

/* From a node down, itself included; s is used up. 1 when a candidate was taken on the way. */
static int
walk_on(struct walk *w, struct step *s)
{
	struct hit *h = &s->h;

	for (;;) {
		struct str text;
		int got;

		if (w->budget-- == 0 || shard_node(&h->shard, s->node, &h->node) < 0)
			return -1;
		got = node_meet(w, h);
		if (got != 0 || h->at == w->path.n || (w->one_depth && h->depth == w->depth))
			return got;
		if (h->depth == PATH_SEGMENTS)
			return 0;
		text = segment_at(w->path, h->at);
		if (text.n == 0 || !takes_any(h)) {
			got = step_literal(w, s, text);
		} else {
			w->learn = NULL;
			got = walk_aside(w, s, text);
			if (got != 0)
				return got;
			got = step_any(w, s, text);
		}
		if (got <= 0)
			return got;
		step_done(s, text);
		if (unlikely(w->learn != NULL) && h->shard.outer > 0)
			shortcut_note(w, s);
	}
}

static int
walk_root(struct walk *w)
{
	struct step s = {.node = SHARD_ROOT};
	struct str value;
	int got;

	s.key_n = shard_key_root(w->key, w->host);
	s.hash = table_shard_hash(0, str_n(w->key, s.key_n));
	got = table_shard(w->t, s.hash, str_n(w->key, s.key_n), &value);
	if (got <= 0)
		return got;
	return shard_open(value, &s.h.shard) == 1 ? walk_on(w, &s) : -1;
}

static int
walk_shortcut(struct walk *w, const struct shortcut *c)
{
	struct step s = {.h = {.shard = c->shard, .at = c->path_n, .depth = c->depth},
	    .node = SHARD_ROOT,
	    .hash = c->hash};

	s.key_n = shard_key_root(w->key, w->host);
	memcpy(w->key + s.key_n, c->path, sizeof(c->path));
	s.key_n += c->path_n;
	return walk_on(w, &s);
}

static int
walk_start(struct walk *w, uint32_t host)
{
	const struct shortcut *c = NULL;

	w->budget = WALK_NODES;
	w->host = host;
	w->learn = NULL;
	if (!w->one_depth)
		c = table_shortcut(w->t, host, w->path, &w->learn);
	return c != NULL ? walk_shortcut(w, c) : walk_root(w);
}

/* More nodes than could be noted: depth by depth, each in a walk of its own. */
static int
walk_depths(struct walk *w, uint32_t host)
{
	int got = 0;

	w->one_depth = true;
	for (unsigned depth = w->deepest + 1; depth-- > 0 && got == 0;) {
		w->depth = depth;
		got = walk_start(w, host);
	}
	w->one_depth = false;
	return got;
}

static int
walk_host(struct walk *w, uint32_t host, enum walk_mode mode)
{
	int got;

	w->mode = mode;
	w->n = 0;
	w->deepest = 0;
	w->overflow = false;
	got = walk_start(w, host);
	if (got != 0)
		return got;
	if (w->overflow)
		return walk_depths(w, host);
	for (unsigned i = 0; i < w->n && got == 0; i++)
		got = hit_try(w, &w->hit[i]);
	return got;
}

/* --- hosts ----------------------------------------------------------------------------------- */

/* 1 taken; 0 with allow: this host has the path for other methods, and nobody else is asked. */
static int
host_try(struct walk *w, uint32_t host)
{
	int got;

	w->mismatch = false;
	got = walk_host(w, host, WALK_PICK);
	if (got == 0 && w->mismatch)
		got = walk_host(w, host, WALK_ALLOW);
	return got;
}

/* The first half of match_result.pattern; explain() appends to it. */
static void
explain_host(struct table *t, struct str host, uint16_t from)
{
	snprintf(t->pattern, sizeof(t->pattern), "%s%.*s", from > 0 ? "*" : "",
	    STR_ARG(str_sub(host, from, host.n)));
}

int
table_match(struct table *t, const struct match_query *q, struct match_result *r)
{
	struct host_level level[LEVELS];
	struct str host = q->host;
	struct walk w; /* most of it is room for hits, which nobody needs zeroed */
	int n, got = 0;

	w.t = t;
	w.q = q;
	w.r = r;
	w.path = q->path;
	w.one_depth = false;
	r->allow = 0;
	r->n_params = 0;
	r->pattern = STR("");
	if (q->path.n == 0 || q->path.p[0] != '/' || q->path.n > UINT32_MAX / 2)
		return 0;
	if (host.n > 1 && host.p[host.n - 1] == '.')
		host.n--; /* the same name, written in full */
	n = table_host_levels(t, host, level, LEVELS);
	for (int i = 0; i < n && got == 0 && r->allow == 0; i++) {
		if (q->explain)
			explain_host(t, host, level[i].from);
		got = host_try(&w, level[i].id);
	}
	if (n < 0)
		return -1;
	if (got == 0 && r->allow == 0) {
		if (q->explain)
			t->pattern[0] = '\0';
		got = host_try(&w, HOST_ANY);
	}
	return got;
}

/* --- for people ------------------------------------------------------------------------------ */

static void
explain(struct walk *w, const struct hit *h, const struct candidate *c, enum path_sort sort)
{
	struct str names = c->names, name;
	struct gbuf out = {0};
	size_t at = 0, n;

	gbuf_printf(&out, "%s", w->t->pattern);
	for (unsigned depth = 0; depth < h->depth; depth++) {
		struct str value = segment_at(w->path, at);

		at += 1 + value.n;
		gbuf_u8(&out, '/');
		if ((h->any & UINT64_C(1) << depth) == 0)
			gbuf_str(&out, value);
		else if (candidate_name(&names, &name) == 1 && name.n > 0)
			gbuf_printf(&out, "{%.*s}", STR_ARG(name));
		else
			gbuf_u8(&out, '*');
	}
	gbuf_str(&out, sort == PATH_PREFIX  ? STR("/*")
		       : sort == PATH_REGEX ? STR("/ ~regex")
					    : STR(""));
	n = MIN(out.n, sizeof(w->t->pattern) - 1);
	memcpy(w->t->pattern, out.p == NULL ? "" : out.p, n);
	w->t->pattern[n] = '\0';
	gbuf_free(&out);
	w->r->pattern = str_n(w->t->pattern, n);
}
