/* SPDX-License-Identifier: Apache-2.0
 *
 * See grpc.h.
 */
#include "worker/grpc.h"

#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"
#include "worker/conn.h"
#include "worker/filter.h"
#include "worker/http/proto.h"
#include "worker/plan.h"

#define STATUS  STR("grpc-status")
#define MESSAGE STR("grpc-message")
#define TIMEOUT STR("grpc-timeout")

static const char *const words[GRPC_CODE_COUNT] = {
#define GRPC(CODE, number) [number] = #CODE,
#include "shm/grpc.def"
#undef GRPC
};

bool
grpc_is(const struct head *h)
{
	static const struct str type = {"application/grpc", 16};
	struct str s = head_value(h, HDR_CONTENT_TYPE);

	return str_istarts(s, type) && (s.n == type.n || s.p[type.n] == '+' || s.p[type.n] == ';');
}

/* --- deadlines -------------------------------------------------------------------------------- */

/* 1 to 8 digits and a unit; ms, at least 1 of them: a time that is over is answered all the same.
 */
static int
timeout_parse(struct str s, uint64_t *ms_r)
{
	static const struct {
		char unit;
		uint32_t ms, part; /* in milliseconds, or how many make one */
	} units[] = {{'H', 3600000, 1}, {'M', 60000, 1}, {'S', 1000, 1}, {'m', 1, 1},
	    {'u', 1, 1000}, {'n', 1, 1000000}};
	const char *error;
	uint64_t v;

	if (s.n < 2 || s.n > 9 || num_u64(str_sub(s, 0, s.n - 1), 99999999, &v, &error) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].unit != s.p[s.n - 1])
			continue;
		*ms_r = MAX(v * units[i].ms / units[i].part, UINT64_C(1));
		return 1;
	}
	return -1;
}

/* As finely as eight digits allow. */
static struct str
timeout_text(struct ws *ws, uint64_t ms)
{
	static const struct {
		uint64_t ms;
		char unit;
	} units[] = {{1, 'm'}, {1000, 'S'}, {60000, 'M'}, {3600000, 'H'}};
	size_t i = 0;

	while (i + 1 < ARRAY_LEN(units) && ms / units[i].ms > 99999999)
		i++;
	return ws_printf(ws, "%llu%c",
	    (unsigned long long)MIN(ms / units[i].ms, UINT64_C(99999999)), units[i].unit);
}

const struct str grpc_bad_timeout = {
    "grpc-timeout is malformed: 1 to 8 digits and one of H, M, S, m, u, n.", 69};

bool
grpc_begin(struct req *r)
{
	const struct hdr *f = head_find(&r->in, TIMEOUT);
	uint64_t ms;

	r->grpc = true;
	if (f == NULL)
		return true;
	if (timeout_parse(f->value, &ms) < 0)
		return false;
	r->deadline_ms = r->t.start / 1000000 + ms;
	return true;
}

void
grpc_forward(struct req *r)
{
	uint64_t now = clock_ms(), at = r->deadline_ms;

	if (r->plan && r->plan->total_ms)
		at = MIN(at ? at : UINT64_MAX, r->t.start / 1000000 + r->plan->total_ms);
	if (at == 0)
		return;
	at = at > now ? at - now : 1;
	head_set(&r->in, TIMEOUT, timeout_text(&r->ws, at));
}

/* --- status ----------------------------------------------------------------------------------- */

/* Of an answer that would have had this status over HTTP. */
static enum grpc_code
code_of(unsigned status)
{
	static const struct {
		uint16_t status;
		uint8_t code;
	} table[] = {
	    {400, GRPC_INTERNAL},
	    {401, GRPC_UNAUTHENTICATED},
	    {403, GRPC_PERMISSION_DENIED},
	    {404, GRPC_UNIMPLEMENTED},
	    {405, GRPC_UNIMPLEMENTED},
	    {408, GRPC_DEADLINE_EXCEEDED},
	    {413, GRPC_RESOURCE_EXHAUSTED},
	    {429, GRPC_UNAVAILABLE},
	    {431, GRPC_RESOURCE_EXHAUSTED},
	    {500, GRPC_INTERNAL},
	    {501, GRPC_UNIMPLEMENTED},
	    {502, GRPC_UNAVAILABLE},
	    {503, GRPC_UNAVAILABLE},
	    {504, GRPC_DEADLINE_EXCEEDED},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].status == status)
			return (enum grpc_code)table[i].code;
	return GRPC_UNKNOWN;
}

/* Percent-encoded where it is no printable ASCII. */
static struct str
message(struct ws *ws, struct str text)
{
	char *p = ws_bytes(ws, text.n * 3 + 1);
	size_t n = 0;

	for (size_t i = 0; p && i < text.n; i++) {
		uint8_t c = (uint8_t)text.p[i];

		if (c >= ' ' && c <= '~' && c != '%') {
			p[n++] = (char)c;
			continue;
		}
		p[n++] = '%';
		p[n++] = "0123456789ABCDEF"[c >> 4];
		p[n++] = "0123456789ABCDEF"[c & 15];
	}
	return p ? str_n(p, n) : STR("");
}

bool
grpc_listens(struct req *r)
{
	enum grpc_web form;
	struct str suffix;

	if (r->grpc || !r->cx->rx_head)
		return r->grpc;
	form = grpc_web_is(&r->in, &suffix);
	if (form == GRPC_WEB_NOT)
		return false;
	grpc_web_begin(r, form, suffix);
	r->grpc = true;
	return true;
}

void
grpc_answer(struct req *r)
{
	const struct reason_info *why = &reason_table[r->reply.reason];
	struct str detail = r->reply.detail.n ? r->reply.detail : str_of(why->detail);
	struct head *h = &r->out;

	head_add(h, STR("Content-Type"), r->web_type.n ? r->web_type : STR("application/grpc"));
	head_add(h, STATUS, ws_printf(&r->ws, "%u", code_of(r->reply.status)));
	head_add(h, MESSAGE, message(&r->ws, detail));
}

void
grpc_answered(struct req *r)
{
	if (r->web_type.n == 0)
		return;
	r->reply.body = grpc_web_end(r);
	r->out.length = r->reply.body.n;
	r->out.has_length = true;
	if (r->reply.body.n > 0)
		r->out.body = BODY_LENGTH;
}

/* Only what is ours to say: a service that breaks off is passed on as that. */
static bool
ours(enum reason why)
{
	return why == REASON_TOTAL_TIMEOUT || why == REASON_UPSTREAM_IDLE ||
	       why == REASON_TOO_LARGE;
}

/* What a filter still has goes before the end, as far as the client takes it at once. */
static bool
break_filtered(struct filter *f, struct xchg *x)
{
	for (;;) {
		struct str out = filter_ready(f);
		struct iovec v = {(void *)(uintptr_t)out.p, out.n};
		ssize_t took = x->ops->send_body(x, &v, out.n > 0 ? 1 : 0, f->done);
		size_t unused;

		if (took < 0)
			return false;
		filter_sent(f, (size_t)took);
		if (x->tx_end || (size_t)took < out.n || f->done)
			return x->tx_end;
		if (filter_feed(f, NULL, 0, true, &unused) < 0)
			return false;
	}
}

bool
grpc_break(struct req *r, enum reason why)
{
	const struct reason_info *info = &reason_table[why];
	struct head *h = &r->out;
	struct xchg *x = r->cx;
	struct hdr *v;

	if (!r->grpc || (!r->conn->carrier && r->web_type.n == 0) || !r->response_started ||
	    !ours(why) || x->gone || x->tx_dead || x->tx_end || h->body != BODY_CHUNKED)
		return false;
	v = ws_alloc(h->ws, 2 * sizeof(*v));
	if (v == NULL)
		return false;
	v[0] = (struct hdr){.name = STATUS,
	    .value = ws_printf(
		h->ws, "%u", info->status ? code_of(info->status) : GRPC_DEADLINE_EXCEEDED)};
	v[1] = (struct hdr){.name = MESSAGE, .value = message(h->ws, str_of(info->detail))};
	h->trailers = v;
	h->n_trailers = 2;
	if (r->filter_out)
		return break_filtered(r->filter_out, x);
	return x->ops->send_body(x, NULL, 0, true) >= 0 && x->tx_end;
}

static int
status_in(const struct hdr *f)
{
	const char *error;
	uint64_t v;

	return f && num_u64(f->value, GRPC_CODE_COUNT - 1, &v, &error) == 1 ? (int)v : -1;
}

int
grpc_status(const struct req *r)
{
	if (!r->grpc || !r->response_started)
		return -1;
	if (r->grpc_told)
		return r->grpc_told - 1;
	for (uint32_t i = 0; i < r->out.n_trailers; i++)
		if (str_ieq(r->out.trailers[i].name, STATUS))
			return status_in(&r->out.trailers[i]);
	return status_in(head_find(&r->out, STATUS));
}

struct str
grpc_word(const struct req *r)
{
	int code = grpc_status(r);

	return code < 0 ? STR("") : str_of(words[code]);
}

/* --- gRPC-Web --------------------------------------------------------------------------------- */

static const struct str web = {"application/grpc-web", 20};
static const struct str web_text = {"application/grpc-web-text", 25};

/* One media type: "+proto", without parameters. */
static enum grpc_web
web_form(struct str s, struct str *suffix_r)
{
	bool text = str_istarts(s, web_text);
	ssize_t end;

	if (!str_istarts(s, web))
		return GRPC_WEB_NOT;
	s = str_sub(s, text ? web_text.n : web.n, s.n);
	end = str_chr(s, ';');
	s = str_trim(end < 0 ? s : str_n(s.p, (size_t)end));
	if (s.n > 0 && s.p[0] != '+')
		return GRPC_WEB_NOT;
	*suffix_r = s;
	return text ? GRPC_WEB_TEXT : GRPC_WEB_BINARY;
}

enum grpc_web
grpc_web_is(const struct head *h, struct str *suffix_r)
{
	if (h->method != METHOD_POST)
		return GRPC_WEB_NOT;
	return web_form(head_value(h, HDR_CONTENT_TYPE), suffix_r);
}

void
grpc_web_begin(struct req *r, enum grpc_web form, struct str suffix)
{
	struct str accept = head_value(&r->in, HDR_ACCEPT), type, unused;

	while (str_list_next(&accept, &type) == 1) {
		enum grpc_web wanted = web_form(type, &unused);

		if (wanted == GRPC_WEB_NOT)
			continue;
		form = wanted;
		break;
	}
	r->web_type =
	    ws_cat(&r->ws, 2, (struct str[]){form == GRPC_WEB_TEXT ? web_text : web, suffix});
}

bool
grpc_web_text(const struct req *r)
{
	return str_istarts(r->web_type, web_text);
}

/* A page of another origin sees the fields it is shown, and no others. */
static bool
web_hidden(const struct head *h)
{
	const struct hdr *shown = head_find(h, STR("Access-Control-Expose-Headers"));
	struct str list = shown ? shown->value : STR("");

	if (!head_find(h, STR("Access-Control-Allow-Origin")) || str_list_has(list, STATUS))
		return false;
	return !str_list_has(list, STR("*")) ||
	       head_find(h, STR("Access-Control-Allow-Credentials"));
}

static bool
web_tells(const struct hdr *f, bool trailer)
{
	static const struct str prefix = {"grpc-", 5};

	return !f->gone && (trailer || str_istarts(f->name, prefix));
}

/* "name: value" lines; all of a message's trailers, or what a head says of the call. */
static size_t
web_lines(const struct hdr *v, uint32_t n, bool trailers, char *p)
{
	size_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!web_tells(&v[i], trailers))
			continue;
		for (size_t k = 0; p && k < v[i].name.n; k++) {
			char c = v[i].name.p[k];

			p[at + k] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		}
		at += v[i].name.n;
		if (p) {
			memcpy(p + at, ": ", 2);
			memcpy(p + at + 2, v[i].value.p, v[i].value.n);
			memcpy(p + at + 2 + v[i].value.n, "\r\n", 2);
		}
		at += v[i].value.n + 4;
	}
	return at;
}

static struct str
web_frame(struct ws *ws, const struct hdr *v, uint32_t n, bool trailers)
{
	size_t size = web_lines(v, n, trailers, NULL);
	char *p = ws_bytes(ws, size + 5);

	if (p == NULL)
		return STR_NONE;
	p[0] = (char)0x80;
	for (unsigned i = 0; i < 4; i++)
		p[1 + i] = (char)(size >> (24 - 8 * i));
	web_lines(v, n, trailers, p + 5);
	return str_n(p, size + 5);
}

static struct str
web_base64(struct ws *ws, struct str s)
{
	char *p = s.p ? ws_bytes(ws, (s.n + 2) / 3 * 4) : NULL;

	return p ? str_n(p, enc_base64(s.p, s.n, p)) : STR_NONE;
}

/* The trailers; a service that ended without a status did not end well, which clients would not
 * see. */
static struct str
web_trailers(struct req *r)
{
	static const struct hdr lost[] = {{.name = {"grpc-status", 11}, .value = {"2", 1}},
	    {.name = {"grpc-message", 12}, .value = {"the service told no status", 26}}};
	struct head *h = &r->out;
	uint32_t n = h->n_trailers;
	struct hdr *v;

	for (uint32_t i = 0; i < n; i++) {
		if (!str_ieq(h->trailers[i].name, STATUS))
			continue;
		r->grpc_told = (uint8_t)(status_in(&h->trailers[i]) + 1);
		return web_frame(&r->ws, h->trailers, n, true);
	}
	v = ws_alloc(&r->ws, (n + ARRAY_LEN(lost)) * sizeof(*v));
	if (v == NULL)
		return STR_NONE;
	if (n > 0)
		memcpy(v, h->trailers, n * sizeof(*v));
	memcpy(v + n, lost, sizeof(lost));
	r->grpc_told = GRPC_UNKNOWN + 1;
	return web_frame(&r->ws, v, n + ARRAY_LEN(lost), true);
}

struct str
grpc_web_end(struct req *r)
{
	struct head *h = &r->out;
	struct str frame;

	if (h->n_trailers > 0 || !head_find(h, STATUS))
		frame = web_trailers(r);
	else if (web_hidden(h))
		frame = web_frame(&r->ws, h->h, h->n, false);
	else
		return STR("");
	h->n_trailers = 0;
	return grpc_web_text(r) ? web_base64(&r->ws, frame) : frame;
}
