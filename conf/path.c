/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns into segments. Everybody who asks where a route hangs in the trie asks here: linking,
 * unlinking and the tests' reference matcher.
 */
#include "conf/path.h"

#include "shm/base/regex.h"

struct cutter {
	struct path *p;
	size_t names; /* octets used at the end of room */
	const char *error;
};

static void
name_add(struct cutter *c, struct str name)
{
	char *to = c->p->room + PATH_OCTETS + c->names;

	if (name.n > 255 || c->names + name.n + 1 > PATH_OCTETS) {
		c->error = "its {parameters} have names that are too long together";
		return;
	}
	to[0] = (char)(unsigned char)name.n;
	if (name.n > 0)
		memcpy(to + 1, name.p, name.n);
	c->names += name.n + 1;
	c->p->n_params++;
}

static bool
is_param(struct str s)
{
	return s.n >= 3 && s.p[0] == '{' && s.p[s.n - 1] == '}';
}

static void
segment_add(struct cutter *c, struct str text)
{
	struct path_segment *s;

	if (c->p->n == PATH_SEGMENTS) {
		c->error = "more than 64 segments";
		return;
	}
	s = &c->p->seg[c->p->n++];
	s->any = is_param(text) || str_eq(text, STR("*"));
	s->text = s->any ? STR_NONE : text;
	if (s->any)
		name_add(c, is_param(text) ? str_sub(text, 1, text.n - 1) : STR_NONE);
}

/* All of `rest`, which begins behind a "/". "/a/" has an empty last segment, "/" has only that. */
static void
segments_add(struct cutter *c, struct str rest)
{
	while (c->error == NULL) {
		ssize_t slash = str_chr(rest, '/');

		if (slash < 0 && str_eq(rest, STR("*"))) {
			c->p->sort = PATH_PREFIX;
			return;
		}
		segment_add(c, slash < 0 ? rest : str_sub(rest, 0, (size_t)slash));
		if (slash < 0)
			return;
		rest = str_sub(rest, (size_t)slash + 1, rest.n);
	}
}

static void
regex_cut(struct cutter *c, struct str pattern)
{
	struct str prefix = regex_prefix(pattern, c->p->room, PATH_OCTETS);

	c->p->sort = PATH_REGEX;
	while (prefix.n > 0 && prefix.p[prefix.n - 1] != '/')
		prefix.n--;
	if (prefix.n < 2 || prefix.p[0] != '/')
		return;
	prefix = str_sub(prefix, 1, prefix.n - 1);
	while (c->p->n < PATH_SEGMENTS) {
		ssize_t slash = str_chr(prefix, '/');
		struct path_segment *s = &c->p->seg[c->p->n++];

		s->any = false;
		s->text = slash < 0 ? prefix : str_sub(prefix, 0, (size_t)slash);
		if (slash < 0)
			return;
		prefix = str_sub(prefix, (size_t)slash + 1, prefix.n);
	}
}

int
path_cut(struct str pattern, struct path *p_r, const char **error_r)
{
	struct cutter c = {.p = p_r};

	p_r->sort = PATH_EXACT;
	p_r->n = 0;
	p_r->n_params = 0;
	if (pattern.n > PATH_OCTETS)
		c.error = "longer than 400 octets";
	else if (pattern.n > 0 && pattern.p[0] == '~')
		regex_cut(&c, str_sub(pattern, 1, pattern.n));
	else if (pattern.n > 0 && pattern.p[0] == '/')
		segments_add(&c, str_sub(pattern, 1, pattern.n));
	else
		c.error = "begins neither with \"/\" nor with \"~\"";
	p_r->names = str_n(p_r->room + PATH_OCTETS, c.names);
	if (c.error == NULL)
		return 1;
	*error_r = c.error;
	return -1;
}
