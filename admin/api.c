/* SPDX-License-Identifier: Apache-2.0
 *
 * Dispatch of the admin API: template, role, snapshot of the map, and the helpers every call uses.
 */
#include <inttypes.h>

#include "admin/admin_priv.h"
#include "conf/boot.h"
#include "conf/document.h"
#include "conf/match.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"

const struct api_row api_table[] = {
#define API(METHOD, path, role, fn, params, body, answers, help)                                   \
	{METHOD_##METHOD, path, ROLE_##role, fn, params, body, answers, help},
#include "admin/cmds.def"
#undef API
};
const unsigned api_table_n = ARRAY_LEN(api_table);

/* Does the path fit the template? Arguments go to c. */
static bool
template_fits(struct str template, struct str path, struct call *c)
{
	struct str t, p;

	c->n_args = 0;
	for (;;) {
		int more = str_cut(&template, '/', &t), also = str_cut(&path, '/', &p);

		if (more != also)
			return false;
		if (more == 0)
			return true;
		if (!str_starts(t, STR("{"))) {
			if (!str_eq(t, p))
				return false;
			continue;
		}
		if (p.n == 0 || c->n_args == ARRAY_LEN(c->arg) ||
		    enc_unpercent(p, c->ws, &c->arg[c->n_args]) < 0)
			return false;
		c->n_args++;
	}
}

static bool
row_takes(const struct api_row *row, const struct head *h)
{
	return row->method == h->method || (row->method == METHOD_GET && h->method == METHOD_HEAD);
}

/* The kind whose list the path names, "/api/gateway/v1/routes/...". */
static enum conf_kind
row_kind(const struct api_row *row)
{
	struct str rest = str_of(row->path), piece;

	while (str_cut(&rest, '/', &piece) == 1)
		for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++)
			if (str_eq(piece, str_of(object_kinds[k].list)))
				return (enum conf_kind)k;
	return CONF_SETTINGS;
}

/* Finds the row; *known_r: another with that path, when the method is wrong. */
static const struct api_row *
api_find(struct call *c, const struct api_row **known_r)
{
	const struct head *h = &c->s->head;

	*known_r = NULL;
	for (unsigned i = 0; i < api_table_n; i++) {
		const struct api_row *row = &api_table[i];

		if (!template_fits(str_of(row->path), h->path, c))
			continue;
		*known_r = row;
		if (!row_takes(row, h))
			continue;
		c->row = row;
		c->kind = row_kind(row);
		return row;
	}
	return NULL;
}

/* The methods a path has, with the words for one it has not. */
static void
api_wrong_method(struct session *s, const struct api_row *known)
{
	char allow[128];
	size_t n = 0;

	allow[0] = '\0';
	for (unsigned i = 0; i < api_table_n; i++)
		if (strcmp(api_table[i].path, known->path) == 0 && n < sizeof(allow))
			n += (size_t)snprintf(allow + n, sizeof(allow) - n, "%s%.*s%s",
			    n > 0 ? ", " : "", STR_ARG(method_name(api_table[i].method)),
			    api_table[i].method == METHOD_GET ? ", HEAD" : "");
	session_header(s, "Allow: %s", allow);
	session_problem(s, 405, "%.*s does not take %.*s; allowed: %s", STR_ARG(s->head.path),
	    STR_ARG(s->head.method_text), allow);
}

static bool
api_allowed(struct session *s, const struct api_row *row)
{
	if (s->metrics_only)
		return row->fn == api_metrics;
	return s->role >= row->role;
}

static void
api_refuse(struct session *s, const struct api_row *row)
{
	if (s->metrics_only)
		session_problem(s, 404, "only /metrics is answered here");
	else if (s->role == ROLE_NONE)
		session_problem(s, 401, "uid %u has no role here", (unsigned)s->peer.uid);
	else
		session_problem(s, 403, "%s needs role %s, you have %s", row->path,
		    role_name(row->role), role_name(s->role));
}

bool
api_is_bulk(struct session *s)
{
	struct admin *a = container_of(s->server, struct admin, server);
	struct call c = {.a = a, .s = s, .ws = &s->ws};
	const struct api_row *known, *row = api_find(&c, &known);

	return row != NULL && row->fn == api_changes && api_allowed(s, row);
}

/* Bodies are JSON, whatever PATCH calls it; without a word on it they are taken for that. */
static bool
api_takes_type(struct session *s)
{
	struct str type = str_trim(head_value(&s->head, HDR_CONTENT_TYPE));
	ssize_t semicolon = str_chr(type, ';');

	if (semicolon >= 0)
		type = str_trim(str_sub(type, 0, (size_t)semicolon));
	if (s->body.n == 0 || type.n == 0 || str_ieq(type, STR("application/json")))
		return true;
	if (s->head.method == METHOD_PATCH && str_ieq(type, STR("application/merge-patch+json")))
		return true;
	session_problem(s, 415, "a body of type \"%.*s\"; allowed: application/json%s",
	    STR_ARG(type), s->head.method == METHOD_PATCH ? ", application/merge-patch+json" : "");
	return false;
}

void
api_request(struct session *s)
{
	struct admin *a = container_of(s->server, struct admin, server);
	struct call c = {.a = a, .s = s, .ws = &s->ws};
	const struct api_row *known, *row = api_find(&c, &known);

	if (row == NULL && known != NULL) {
		if (api_allowed(s, known))
			api_wrong_method(s, known);
		else
			api_refuse(s, known);
		return;
	}
	if (row == NULL) {
		session_problem(s, 404, "no such call: %.*s", STR_ARG(s->head.path));
		return;
	}
	if (!api_allowed(s, row)) {
		api_refuse(s, row);
		return;
	}
	if (!api_takes_type(s))
		return;
	if (table_renew(a->table) < 0) {
		session_problem(s, 503, "the map cannot be read");
		return;
	}
	row->fn(&c);
	table_reset(a->table);
}

void
call_json(struct call *c, unsigned status, json_t *j)
{
	char *text = json_dumps(j, JSON_INDENT(2));

	json_decref(j);
	if (text == NULL) {
		session_problem(c->s, 500, "the answer could not be written as JSON");
		return;
	}
	session_answer(c->s, status, "application/json", str_of(text));
	free(text);
}

int
call_query(struct call *c, const char *name, unsigned nth, struct str *value_r)
{
	struct str rest = c->s->head.query, pair;

	while (str_cut(&rest, '&', &pair) == 1) {
		ssize_t eq = str_chr(pair, '=');
		struct str key = eq < 0 ? pair : str_sub(pair, 0, (size_t)eq);

		if (!str_eq(key, str_of(name)) || nth-- > 0)
			continue;
		struct str raw = eq < 0 ? STR("") : str_sub(pair, (size_t)eq + 1, pair.n);

		return enc_unpercent(raw, c->ws, value_r) < 0 ? 0 : 1;
	}
	return 0;
}

bool
call_flag(struct call *c, const char *name)
{
	struct str v;

	return call_query(c, name, 0, &v) == 1 && !str_eq(v, STR("0")) && !str_eq(v, STR("false"));
}

int
call_number(
    struct call *c, const char *name, uint64_t min, uint64_t max, uint64_t without, uint64_t *n_r)
{
	const char *error = "too small";
	struct str v;

	if (call_query(c, name, 0, &v) != 1) {
		*n_r = without;
		return 1;
	}
	if (num_u64(v, max, n_r, &error) == 1 && *n_r >= min)
		return 1;
	session_problem(c->s, 400, "%s: \"%.*s\"; allowed: a whole number from %" PRIu64, name,
	    STR_ARG(v), min);
	return -1;
}

int
call_condition(struct call *c, struct str header, uint64_t *version_r)
{
	const struct hdr *h = head_find(&c->s->head, header);
	const char *error;
	struct str v;

	*version_r = 0;
	if (h == NULL)
		return 1;
	v = str_trim(h->value);
	if (str_eq(v, STR("*"))) {
		*version_r = IF_ANY;
		return 1;
	}
	if (v.n > 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
		v = str_sub(v, 1, v.n - 1);
	if (num_u64(v, UINT64_MAX - 1, version_r, &error) == 1 && *version_r > 0)
		return 1;
	session_problem(c->s, 400, "%.*s: \"%.*s\"; allowed: *, or a version as ETag says it",
	    STR_ARG(header), STR_ARG(h->value));
	return -1;
}

/* False after a 400 was answered. */
static bool
body_measured(struct call *c)
{
	struct conf_check check;
	bool good;

	check_init(&check);
	good = document_measure(str_n(c->s->body.p, c->s->body.n), &check) == 1;
	if (!good)
		session_problem(c->s, 400, "the body is refused: %.*s",
		    (int)str_trim(str_n(check.text.p, check.text.n)).n, check.text.p);
	check_free(&check);
	return good;
}

json_t *
call_body(struct call *c)
{
	json_error_t e;

	if (c->s->body.n == 0)
		return json_object();
	if (!body_measured(c))
		return NULL;
	json_t *j = json_loadb(c->s->body.p, c->s->body.n, JSON_REJECT_DUPLICATES, &e);

	if (json_is_object(j))
		return j;
	session_problem(c->s, 400, "the body is not a JSON object: line %d, column %d: %s",
	    j == NULL ? e.line : 1, j == NULL ? e.column : 1, j == NULL ? e.text : "another type");
	json_decref(j);
	return NULL;
}

const struct conf_settings *
admin_settings(struct admin *a, struct ws *ws)
{
	struct conf_object o;
	struct conf_settings *s = NULL;

	if (a->table != NULL && table_find(a->table, CONF_SETTINGS, STR("gateway"), &o) == 1)
		s = object_body(&o, ws);
	if (s != NULL)
		return s;
	s = ws_zalloc(ws, sizeof(*s));
	if (s == NULL || boot_decode(str_n(a->h->boot, a->h->boot_len), s, ws) < 0)
		return NULL;
	return s;
}

json_t *
json_of_str(struct str s)
{
	json_t *j = json_stringn(s.n > 0 ? s.p : "", s.n);
	struct gbuf g = {0};

	if (j != NULL)
		return j;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x80)
			gbuf_u8(&g, (uint8_t)s.p[i]);
		else
			gbuf_printf(&g, "%%%02X", (unsigned char)s.p[i]);
	j = json_stringn(g.p, g.n);
	gbuf_free(&g);
	return j;
}

json_t *
json_of_wall(uint64_t us)
{
	char text[25];

	if (us == 0)
		return json_null();
	clock_rfc3339(us, text);
	return json_string(text);
}
