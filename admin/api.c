/* SPDX-License-Identifier: Apache-2.0
 *
 * Dispatch of the admin API: template, role, snapshot of the map, and the helpers every call uses.
 */
#include "admin/admin_priv.h"
#include "conf/boot.h"
#include "conf/match.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"

struct api_row {
	enum http_method method;
	const char *path;
	int role;
	api_f *fn;
};

static const struct api_row api_table[] = {
#define API(METHOD, path, role, fn, help) {METHOD_##METHOD, path, ROLE_##role, fn},
#include "admin/cmds.def"
#undef API
};

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
		if (!str_eq(t, STR("{}"))) {
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

/* Finds the row; *path_known_r tells a wrong method from an unknown path. */
static const struct api_row *
api_find(struct call *c, bool *path_known_r)
{
	const struct head *h = &c->s->head;

	*path_known_r = false;
	for (size_t i = 0; i < ARRAY_LEN(api_table); i++) {
		const struct api_row *row = &api_table[i];

		if (!template_fits(str_of(row->path), h->path, c))
			continue;
		*path_known_r = true;
		if (row->method == h->method ||
		    (row->method == METHOD_GET && h->method == METHOD_HEAD))
			return row;
	}
	return NULL;
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

void
api_request(struct session *s)
{
	struct admin *a = container_of(s->server, struct admin, server);
	struct call c = {.a = a, .s = s, .ws = &s->ws};
	bool known;
	const struct api_row *row = api_find(&c, &known);

	if (row == NULL && known) {
		session_problem(s, 405, "%.*s does not take %.*s", STR_ARG(s->head.path),
		    STR_ARG(s->head.method_text));
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

json_t *
call_body(struct call *c)
{
	json_error_t e;

	if (c->s->body.n == 0)
		return json_object();
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
