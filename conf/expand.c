/* SPDX-License-Identifier: Apache-2.0
 *
 * Expanding ${VAR}. What a variable holds is taken as it is, never expanded again; a default may
 * hold further variables.
 */
#include "conf/expand.h"

#define EXPAND_MAX   (64 * 1024)
#define EXPAND_DEPTH 4

static int expand_into(struct str s, struct gbuf *out, unsigned depth, struct conf_check *c);

bool
expand_name_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char k = s.p[i];
		bool letter = (k >= 'a' && k <= 'z') || (k >= 'A' && k <= 'Z') || k == '_';

		if (!letter && (i == 0 || k < '0' || k > '9'))
			return false;
	}
	return s.n > 0 && s.n < 128;
}

static const char *
environment(struct str name)
{
	char word[128];

	memcpy(word, name.p, name.n);
	word[name.n] = '\0';
	return getenv(word);
}

/* Length up to the brace that closes the one at s[1], or -1. */
static ssize_t
closing(struct str s)
{
	unsigned open = 0;

	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '{' && s.p[i - 1] == '$')
			open++;
		else if (s.p[i] == '}' && --open == 0)
			return (ssize_t)i;
	}
	return -1;
}

static int
fail(struct conf_check *c, struct str what, const char *why)
{
	check_error(c, NULL, "\"%.*s\": %s; allowed: ${VAR}, ${VAR:-default}, $$ for a dollar",
	    STR_ARG(what), why);
	return -1;
}

/* `s` is "${...}". */
static int
expand_one(struct str s, struct gbuf *out, unsigned depth, struct conf_check *c)
{
	struct str body = str_sub(s, 2, s.n - 1), name = body;
	ssize_t mark = str_find(body, STR(":-"));
	const char *value;

	if (mark >= 0)
		name = str_sub(body, 0, (size_t)mark);
	if (!expand_name_ok(name))
		return fail(c, s, "not the name of a variable");
	value = environment(name);
	if (mark >= 0 && (value == NULL || *value == '\0'))
		return expand_into(str_sub(body, (size_t)mark + 2, body.n), out, depth + 1, c);
	if (value == NULL)
		return fail(c, s, "the variable is not set, and there is no default");
	gbuf_str(out, str_of(value));
	return 1;
}

static int
expand_into(struct str s, struct gbuf *out, unsigned depth, struct conf_check *c)
{
	if (depth > EXPAND_DEPTH)
		return fail(c, s, "defaults within defaults go too deep");
	for (size_t i = 0; i < s.n;) {
		struct str rest = str_sub(s, i, s.n);
		ssize_t end;

		if (str_starts(rest, STR("$$"))) {
			gbuf_u8(out, '$');
			i += 2;
		} else if (!str_starts(rest, STR("${"))) {
			gbuf_u8(out, (uint8_t)s.p[i++]);
		} else {
			end = closing(rest);
			if (end < 0)
				return fail(c, rest, "the closing brace is missing");
			if (expand_one(str_sub(rest, 0, (size_t)end + 1), out, depth, c) < 0)
				return -1;
			i += (size_t)end + 1;
		}
	}
	return 1;
}

int
expand(struct str s, struct ws *ws, struct conf_check *c, struct str *out_r)
{
	struct gbuf out = {0};
	int rc;

	if (s.n == 0 || memchr(s.p, '$', s.n) == NULL) {
		*out_r = s;
		return 1;
	}
	rc = expand_into(s, &out, 0, c);
	if (rc == 1 && out.n > EXPAND_MAX)
		rc = fail(c, str_sub(s, 0, 64), "longer than 64 KiB when expanded");
	if (rc == 1)
		*out_r = ws_str(ws, str_n(out.p, out.n));
	gbuf_free(&out);
	return rc;
}
