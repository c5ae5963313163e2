/* SPDX-License-Identifier: Apache-2.0
 *
 * Templates: a text is cut into parts, each a literal or a row of the table with an argument;
 * giving it a value is adding up the parts.
 */
#include "worker/policy/template.h"

#include "shm/base/enc.h"
#include "worker/http/octet.h"
#include "worker/net/tls.h"
#include "worker/plan.h"

#define PARTS_MAX 32

enum { ARG = 1, PATH = 2, URL = 4 };

typedef struct str value_f(struct req *r, struct str arg);

/* --- the values ------------------------------------------------------------------------------- */

static struct str
client_ip(struct req *r, struct str arg)
{
	char *p = ws_bytes(&r->ws, 64);

	(void)arg;
	return p == NULL ? STR_NONE : str_n(p, addr_ip_text(&r->client, p, 64));
}

static struct str
cookie(struct req *r, struct str arg)
{
	struct hdr *f = head_get(&r->in, HDR_COOKIE);
	struct str v;

	for (; f != NULL; f = head_next(&r->in, f))
		if (cookie_get(f->value, arg, &v) == 1)
			return v;
	return STR("");
}

static struct str
header(struct req *r, struct str arg)
{
	const struct hdr *f = head_find(&r->in, arg);

	return f == NULL ? STR("") : f->value;
}

static struct str
param(struct req *r, struct str arg)
{
	for (unsigned i = 0; i < r->match.n_params; i++)
		if (str_eq(r->match.params[i].name, arg))
			return r->match.params[i].value;
	return STR("");
}

static struct str
query(struct req *r, struct str arg)
{
	struct str v;

	return query_get(r->in.query, arg, &v) == 1 ? v : STR("");
}

/* Those that only look. */
#define LOOK(name, value)                                                                          \
	static struct str name(struct req *r, struct str arg)                                      \
	{                                                                                          \
		(void)arg;                                                                         \
		return value;                                                                      \
	}
LOOK(host, r->in.host)
LOOK(method, r->in.method_text)
LOOK(path, r->in.path)
LOOK(request_id, r->id)
LOOK(rest, r->match.rest)
LOOK(route, r->route)
LOOK(scheme, r->tls ? STR("https") : STR("http"))
LOOK(service, r->plan != NULL ? r->plan->service_id : STR(""))
LOOK(trace_id, r->trace_id)
/* Of the connection itself: what a proxy in front says of its own client is another's word. */
#define LOOK_TLS(name, member) LOOK(name, r->handshake != NULL ? r->handshake->member : STR(""))
LOOK_TLS(tls_version, version)
LOOK_TLS(tls_cipher, cipher)
LOOK_TLS(tls_sni, sni)
LOOK_TLS(cert_subject, subject)
LOOK_TLS(cert_issuer, issuer)
LOOK_TLS(cert_serial, serial)
LOOK_TLS(cert_fingerprint, fingerprint)
LOOK_TLS(cert_spiffe, spiffe)
LOOK_TLS(cert_dns, dns)
LOOK_TLS(cert_email, email)
LOOK(cert_verified, r->handshake != NULL && r->handshake->peer ? STR("true") : STR(""))

static const struct value {
	struct str name;
	unsigned flags;
	value_f *get;
} values[] = {
#define VALUE(text, f, fn, help) {{text, sizeof(text) - 1}, f, fn},
#include "worker/policy/template.def"
#undef VALUE
};
static const struct value param_value = {{"param", 5}, ARG | PATH | URL, param};

const char template_names[] = ""
#define VALUE(text, f, fn, help) "{" text "} "
#include "worker/policy/template.def"
#undef VALUE
			      "and parameters of the path";

/* --- compiling -------------------------------------------------------------------------------- */

struct part {
	const struct value *value; /* NULL: a literal */
	struct str text;           /* the literal, or the argument */
};

struct template
{
	unsigned n;
	struct part v[];
};

struct parts {
	struct part v[PARTS_MAX];
	unsigned n;
	struct str bad;
	const char *error;
};

static int
wrong(struct parts *p, struct str bad, const char *error)
{
	p->bad = bad;
	p->error = error;
	return -1;
}

static int
push(struct parts *p, const struct value *value, struct str text)
{
	if (value == NULL && text.n == 0)
		return 1;
	if (p->n == PARTS_MAX)
		return wrong(p, text, "more than 32 pieces");
	p->v[p->n++] = (struct part){value, text};
	return 1;
}

/* A row whose name is the whole, or, with an argument, what stands before the dot. */
static const struct value *
value_find(struct str name, struct str *arg_r)
{
	for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
		const struct value *v = &values[i];

		if ((v->flags & ARG) == 0 && str_eq(v->name, name))
			return v;
		if ((v->flags & ARG) == 0 || !str_starts(name, v->name))
			continue;
		if (name.n == v->name.n || name.p[v->name.n] == '.') {
			*arg_r = str_sub(name, v->name.n + 1, name.n);
			return v;
		}
	}
	return NULL;
}

static bool
plain_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!octet_is(s.p[i], OCT_UNRESERVED) || s.p[i] == '.' || s.p[i] == '~')
			return false;
	return s.n > 0;
}

static int
push_name(struct parts *p, struct str name)
{
	struct str arg = STR_NONE;
	const struct value *v = value_find(name, &arg);

	if (v == NULL && !plain_name(name))
		return wrong(p, name, "no such value");
	if (v == NULL)
		return push(p, &param_value, name);
	if ((v->flags & ARG) != 0 && !octet_token(arg))
		return wrong(p, name, "a name is needed after the dot, as in {header.X-Name}");
	return push(p, v, arg);
}

static int
parse(struct str text, struct parts *p)
{
	*p = (struct parts){.n = 0};
	while (text.n > 0) {
		ssize_t open = str_chr(text, '{'), close;

		if (open < 0)
			return push(p, NULL, text);
		if (str_starts(str_sub(text, (size_t)open, text.n), STR("{{"))) {
			if (push(p, NULL, str_sub(text, 0, (size_t)open + 1)) < 0)
				return -1;
			text = str_sub(text, (size_t)open + 2, text.n);
			continue;
		}
		if (push(p, NULL, str_sub(text, 0, (size_t)open)) < 0)
			return -1;
		text = str_sub(text, (size_t)open + 1, text.n);
		close = str_chr(text, '}');
		if (close < 0)
			return wrong(p, text, "no closing brace (a brace itself is written {{)");
		if (push_name(p, str_sub(text, 0, (size_t)close)) < 0)
			return -1;
		text = str_sub(text, (size_t)close + 1, text.n);
	}
	return 1;
}

int
template_compile(struct str text, struct ws *ws, const struct template **t_r, struct str *bad_r,
    const char **error_r)
{
	struct parts p;
	struct template *t;

	if (parse(text, &p) < 0) {
		*bad_r = p.bad;
		*error_r = p.error;
		return -1;
	}
	t = ws_alloc(ws, sizeof(*t) + p.n * sizeof(p.v[0]));
	if (t == NULL) {
		*bad_r = text;
		*error_r = "too much memory needed";
		return -1;
	}
	t->n = p.n;
	memcpy(t->v, p.v, p.n * sizeof(p.v[0]));
	*t_r = t;
	return 1;
}

bool
template_check(struct str text, const char *setting, struct conf_check *c)
{
	struct parts p;

	if (parse(text, &p) > 0)
		return true;
	check_error(
	    c, setting, "\"%.*s\": %s; allowed: %s", STR_ARG(p.bad), p.error, template_names);
	return false;
}

void
template_params(struct str text, void (*fn)(void *arg, struct str name), void *arg)
{
	struct parts p;

	if (parse(text, &p) < 0)
		return;
	for (unsigned i = 0; i < p.n; i++)
		if (p.v[i].value != NULL && p.v[i].value->get == param)
			fn(arg, p.v[i].text);
}

/* --- giving it a value ------------------------------------------------------------------------ */

static struct str
no_controls(struct str s, struct ws *ws)
{
	size_t n = 0;
	char *p;

	if (octet_text(s))
		return s;
	p = ws_bytes(ws, s.n);
	if (p == NULL)
		return STR_NONE;
	for (size_t i = 0; i < s.n; i++)
		if (octet_is(s.p[i], OCT_TEXT))
			p[n++] = s.p[i];
	return str_n(p, n);
}

/* Percent-encoded but for the unreserved. A segment of dots only would name another path: dropped.
 */
static struct str
percent(struct str s, struct ws *ws)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t n = 0;
	char *p;

	if (str_eq(s, STR(".")) || str_eq(s, STR("..")))
		return STR("");
	if (octet_all(s, OCT_UNRESERVED))
		return s;
	p = ws_bytes(ws, s.n * 3);
	if (p == NULL)
		return STR_NONE;
	for (size_t i = 0; i < s.n; i++) {
		if (octet_is(s.p[i], OCT_UNRESERVED)) {
			p[n++] = s.p[i];
			continue;
		}
		p[n++] = '%';
		p[n++] = digits[(uint8_t)s.p[i] >> 4];
		p[n++] = digits[(uint8_t)s.p[i] & 15];
	}
	return str_n(p, n);
}

static struct str
json(struct str s, struct ws *ws)
{
	size_t cap = s.n * 6;
	char *p = ws_bytes(ws, cap);
	ssize_t n = p == NULL ? -1 : enc_json(s, p, cap);

	return n < 0 ? STR_NONE : str_n(p, (size_t)n);
}

static struct str
html(struct str s, struct ws *ws)
{
	size_t n = 0;
	char *p = ws_bytes(ws, s.n * 6);

	if (p == NULL)
		return STR_NONE;
	for (size_t i = 0; i < s.n; i++) {
		const char *as = s.p[i] == '<'    ? "&lt;"
				 : s.p[i] == '>'  ? "&gt;"
				 : s.p[i] == '&'  ? "&amp;"
				 : s.p[i] == '"'  ? "&quot;"
				 : s.p[i] == '\'' ? "&#39;"
						  : NULL;

		if (as == NULL) {
			p[n++] = s.p[i];
			continue;
		}
		memcpy(p + n, as, strlen(as));
		n += strlen(as);
	}
	return str_n(p, n);
}

static struct str
put_in_place(struct str s, unsigned flags, enum template_place place, struct ws *ws)
{
	switch (place) {
	case TEMPLATE_PATH:
		return (flags & PATH) != 0 ? s : percent(s, ws);
	case TEMPLATE_URL:
		return (flags & URL) != 0 ? s : percent(s, ws);
	case TEMPLATE_JSON:
		return json(s, ws);
	case TEMPLATE_HTML:
		return html(s, ws);
	default:
		return s;
	}
}

static struct str
part_eval(const struct part *part, struct req *r, enum template_place place)
{
	struct str s;

	if (part->value == NULL)
		return part->text;
	s = part->value->get(r, part->text);
	if (s.n == 0)
		return STR("");
	return put_in_place(no_controls(s, &r->ws), part->value->flags, place, &r->ws);
}

struct str
template_eval(const struct template *t, struct req *r, enum template_place place)
{
	struct str v[PARTS_MAX];

	for (unsigned i = 0; i < t->n; i++) {
		v[i] = part_eval(&t->v[i], r, place);
		if (v[i].p == NULL)
			return STR_NONE;
	}
	if (t->n == 0)
		return STR("");
	return t->n == 1 ? v[0] : ws_cat(&r->ws, t->n, v);
}
