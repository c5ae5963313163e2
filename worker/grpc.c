/* SPDX-License-Identifier: Apache-2.0
 *
 * See grpc.h.
 */
#include "worker/grpc.h"

#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "shm/base/num.h"
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
		uint64_t ns;
	} units[] = {{'H', 3600000000000u}, {'M', 60000000000u}, {'S', 1000000000u},
	    {'m', 1000000u}, {'u', 1000u}, {'n', 1u}};
	const char *error;
	uint64_t v;

	if (s.n < 2 || s.n > 9 || num_u64(str_sub(s, 0, s.n - 1), 99999999, &v, &error) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (units[i].unit != s.p[s.n - 1])
			continue;
		*ms_r = MAX(v * units[i].ns / 1000000, UINT64_C(1));
		return 1;
	}
	return -1;
}

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
	head_set(&r->in, TIMEOUT,
	    at <= 99999999 ? ws_printf(&r->ws, "%llum", (unsigned long long)at)
			   : ws_printf(&r->ws, "%lluS", (unsigned long long)(at / 1000)));
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

void
grpc_answer(struct req *r)
{
	const struct reason_info *why = &reason_table[r->reply.reason];
	struct str detail = r->reply.detail.n ? r->reply.detail : str_of(why->detail);
	struct head *h = &r->out;

	head_add(h, STR("Content-Type"), STR("application/grpc"));
	head_add(h, STATUS, ws_printf(&r->ws, "%u", code_of(r->reply.status)));
	head_add(h, MESSAGE, message(&r->ws, detail));
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
