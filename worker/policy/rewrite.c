/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `rewrite`: the path the upstream sees (G-FR-001, R-1.3). One of three ways: a prefix
 * replaced on a segment's boundary, a whole path from a template, a regular expression's match
 * replaced. The query stays. What comes out is normalised again, so that no value can climb out of
 * its place.
 */
#include "conf/check.h"
#include "shm/base/regex.h"
#include "worker/http/octet.h"
#include "worker/http/url.h"
#include "worker/policy/policy.h"
#include "worker/policy/template.h"

struct rewrite_conf {
	struct str prefix, path, regex, to;
};

static const struct field rows[] = {
    {.name = "prefix",
	.type = F_STRING,
	.offset = FIELD_AT(struct rewrite_conf, prefix),
	.help = "Whole segments at the beginning of the path that are replaced by `to`. \"/api/a\" "
		"is a prefix of \"/api/a/x\", not of \"/api/ab\". Other paths stay.",
	.example = "prefix = \"/api/service1\"; to = \"/api\";"},
    {.name = "path",
	.type = F_STRING,
	.offset = FIELD_AT(struct rewrite_conf, path),
	.help = "The whole new path, with values of the request in braces.",
	.example = "path = \"/v2/users/{id}\";"},
    {.name = "regex",
	.type = F_STRING,
	.offset = FIELD_AT(struct rewrite_conf, regex),
	.help = "A regular expression (PCRE2); the part of the path that matches first is replaced "
		"by `to`, in which $1 to $9 are its groups and $$ is a dollar. Other paths stay.",
	.example = "regex = \"^/old/([0-9]+)$\"; to = \"/new/$1\";"},
    {.name = "to",
	.type = F_STRING,
	.offset = FIELD_AT(struct rewrite_conf, to),
	.help = "What a prefix or the match of a regular expression is replaced by; \"\" removes "
		"it."},
};

struct rewrite {
	struct str prefix, to; /* without slash at the end */
	const struct template *path;
	struct regex *regex;
};

/* --- settings --------------------------------------------------------------------------------- */

static void
check_regex(const struct rewrite_conf *conf, struct conf_check *c)
{
	const char *error;
	struct regex *x = regex_new(conf->regex, &error);

	if (x == NULL)
		check_error(c, "regex", "\"%.*s\": %s; allowed: a PCRE2 pattern",
		    STR_ARG(conf->regex), error);
	regex_free(&x);
	for (size_t i = 0; i < conf->to.n; i++) {
		if (conf->to.p[i] != '$')
			continue;
		i++;
		if (i == conf->to.n ||
		    (conf->to.p[i] != '$' && (conf->to.p[i] < '1' || conf->to.p[i] > '9'))) {
			check_error(c, "to",
			    "\"%.*s\": a lone dollar; allowed: $1 to $9, and $$ for one",
			    STR_ARG(conf->to));
			return;
		}
	}
}

static void
check_plain(struct str path, const char *setting, struct conf_check *c)
{
	struct str out;

	if (path.n > 0 && url_path(path, false, c->ws, &out) < 0)
		check_error(c, setting,
		    "\"%.*s\" is not a path; allowed: one that begins with \"/\", other octets "
		    "percent-encoded",
		    STR_ARG(path));
}

static void
rewrite_check(void *self, struct conf_check *c)
{
	const struct rewrite_conf *conf = self;
	unsigned ways = (conf->prefix.n > 0) + (conf->path.n > 0) + (conf->regex.n > 0);

	if (ways != 1) {
		check_error(c, NULL, "%s; allowed: exactly one of prefix, path and regex",
		    ways == 0 ? "nothing says what to rewrite" : "more than one way to rewrite");
		return;
	}
	if (conf->path.n == 0 && !check_given(c, "to"))
		check_error(c, NULL, "`to` is missing; allowed: to = \"/path\", or \"\" to remove");
	if (conf->path.n > 0 && check_given(c, "to"))
		check_error(c, "to", "`path` is the whole new path; allowed: one of the two");
	if (conf->prefix.n > 0) {
		check_plain(conf->prefix, "prefix", c);
		check_plain(conf->to, "to", c);
	}
	if (conf->path.n > 0 && conf->path.p[0] != '/')
		check_error(c, "path", "\"%.*s\" does not begin with \"/\"", STR_ARG(conf->path));
	else if (conf->path.n > 0)
		template_check(conf->path, "path", c);
	if (conf->regex.n > 0)
		check_regex(conf, c);
}

static const struct fields fields = {
    .name = "rewrite",
    .help = "Changes the path that the upstream sees.",
    .size = sizeof(struct rewrite_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = rewrite_check,
};

static void
rewrite_params(const void *conf, void (*fn)(void *arg, struct str name), void *arg)
{
	template_params(((const struct rewrite_conf *)conf)->path, fn, arg);
}

/* --- once per plan ---------------------------------------------------------------------------- */

static struct str
no_slash(struct str s)
{
	while (str_ends(s, STR("/")))
		s.n--;
	return s;
}

static void
free_regex(void *arg)
{
	struct regex *x = arg;

	regex_free(&x);
}

static int
rewrite_compile(const void *conf_, void *compiled, struct ws *ws, const char **error_r)
{
	const struct rewrite_conf *conf = conf_;
	struct rewrite *rw = compiled;
	struct str bad;

	*rw = (struct rewrite){.prefix = no_slash(conf->prefix), .to = conf->to};
	if (conf->prefix.n > 0)
		rw->to = no_slash(conf->to);
	if (conf->path.n > 0)
		return template_compile(conf->path, ws, &rw->path, &bad, error_r);
	if (conf->regex.n == 0)
		return 1;
	rw->regex = regex_new(conf->regex, error_r);
	if (rw->regex == NULL)
		return -1;
	ws_on_free(ws, free_regex, rw->regex);
	return 1;
}

/* --- per request ------------------------------------------------------------------------------ */

static struct str
by_prefix(const struct rewrite *rw, struct str path, struct ws *ws)
{
	struct str rest = str_sub(path, rw->prefix.n, path.n);
	struct str parts[2] = {rw->to, rest};

	if (!str_starts(path, rw->prefix) || (rest.n > 0 && rest.p[0] != '/'))
		return path;
	if (rw->to.n == 0)
		return rest.n > 0 ? rest : STR("/");
	return rest.n > 0 ? ws_cat(ws, 2, parts) : rw->to;
}

/* `to` with its groups filled in. */
static size_t
substitute(struct str to, const struct str groups[REGEX_GROUPS], char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < to.n; i++) {
		struct str piece = str_n(to.p + i, 1);

		if (to.p[i] == '$' && i + 1 < to.n) {
			i++;
			piece = octet_is(to.p[i], OCT_DIGIT) ? groups[to.p[i] - '0'] : STR("$");
		}
		if (out != NULL && piece.n > 0)
			memcpy(out + n, piece.p, piece.n);
		n += piece.n;
	}
	return n;
}

static struct str
by_regex(const struct rewrite *rw, struct str path, struct ws *ws)
{
	struct str groups[REGEX_GROUPS] = {{NULL, 0}};
	struct str head, tail;
	size_t n;
	char *p;

	if (regex_match(rw->regex, path, groups) != 1)
		return path;
	head = str_n(path.p, (size_t)(groups[0].p - path.p));
	tail = str_sub(path, head.n + groups[0].n, path.n);
	n = substitute(rw->to, groups, NULL);
	p = ws_bytes(ws, head.n + n + tail.n + 1);
	if (p == NULL)
		return path;
	memcpy(p, head.p, head.n);
	substitute(rw->to, groups, p + head.n);
	memcpy(p + head.n + n, tail.p, tail.n);
	return str_n(p, head.n + n + tail.n);
}

/* A path that is none, or climbs over the root, becomes the root: better a wrong page than a wrong
 * place. */
static struct str
settled(struct str path, struct ws *ws)
{
	struct str out;

	return path.p != NULL && url_path(path, false, ws, &out) == 1 ? out : STR("/");
}

static void
rewrite_request(struct req *r, const struct policy_use *u)
{
	const struct rewrite *rw = u->compiled;
	struct str path = r->up_path;

	if (path.n == 0 || path.p[0] != '/') /* OPTIONS * */
		return;
	if (rw->path != NULL)
		path = template_eval(rw->path, r, TEMPLATE_PATH);
	else if (rw->regex != NULL)
		path = by_regex(rw, path, &r->ws);
	else
		path = by_prefix(rw, path, &r->ws);
	r->up_path = settled(path, &r->ws);
}

static const struct policy_hooks hooks = {
    .compiled_size = sizeof(struct rewrite),
    .compile = rewrite_compile,
    .request = rewrite_request,
};

const struct policy_type policy_rewrite = {
    .name = "rewrite",
    .help = "Changes the path: a prefix, the whole, or what a regular expression matches.",
    .fields = &fields,
    .hooks = &hooks,
    .params = rewrite_params,
};
