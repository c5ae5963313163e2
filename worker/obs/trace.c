/* SPDX-License-Identifier: Apache-2.0
 *
 * Request ids and trace context. Ids made here are 128 random bits; they need to be unique, not
 * secret.
 */
#include "worker/obs/trace.h"

#include "shm/base/enc.h"
#include "shm/base/rnd.h"

#define PARENT_LEN 55

#define ONES (~UINT64_C(0) / 255) /* one in each octet */
#define TOPS (ONES << 7)

/* Which of eight octets, none above 0x7f, lie between two others: their highest bits. */
static inline uint64_t
between8(uint64_t w, unsigned char low, unsigned char high)
{
	return (w + ONES * (0x80u - low)) & ~(w + ONES * (0x7fu - high)) & TOPS;
}

/* Lower-case hex digits, not all of them zero. Eight at a time, and the rest. */
static bool
hex_id(struct str s)
{
	bool any = false;
	uint64_t w;

	for (; s.n >= 8; s = str_n(s.p + 8, s.n - 8)) {
		memcpy(&w, s.p, 8);
		if ((w & TOPS) != 0 || (between8(w, '0', '9') | between8(w, 'a', 'f')) != TOPS)
			return false;
		any |= w != ONES * '0';
	}
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((c < '0' || c > '9') && (c < 'a' || c > 'f'))
			return false;
		any |= c != '0';
	}
	return any;
}

static bool
hex_pair(struct str s)
{
	static const struct str zero = {"00", 2};

	return str_eq(s, zero) || hex_id(s);
}

/* Versions after 00 may have more after the flags, behind a dash; ff is none. */
static bool
version_fits(struct str s)
{
	struct str v = str_n(s.p, 2);

	if (!hex_pair(v) || str_eq(v, STR("ff")))
		return false;
	if (str_eq(v, STR("00")))
		return s.n == PARENT_LEN;
	return s.n == PARENT_LEN || s.p[PARENT_LEN] == '-';
}

int
trace_parse(struct str s, struct str *trace_id_r)
{
	if (s.n < PARENT_LEN || !version_fits(s))
		return 0;
	if (s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
		return 0;
	if (!hex_id(str_n(s.p + 3, 32)) || !hex_id(str_n(s.p + 36, 16)) ||
	    !hex_pair(str_n(s.p + 53, 2)))
		return 0;
	*trace_id_r = str_n(s.p + 3, 32);
	return 1;
}

/* Random, and not all zero. */
static void
put_random(char *out, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		uint64_t v = rnd_u64() | (i == 0);

		enc_hex(&v, sizeof(v), out + 16 * i);
	}
}

/* Marked as sampled: whoever samples behind the gateway must not be told that somebody decided
 * against. */
void
trace_make(char out[PARENT_LEN])
{
	memcpy(out, "00-", 3);
	put_random(out + 3, 2);
	out[35] = '-';
	put_random(out + 36, 1);
	memcpy(out + 52, "-01", 3);
}

/* The version we speak, with the client's ids. */
static void
trace_keep(struct req *r, struct str value)
{
	char *p;

	r->traceparent = value;
	if (str_starts(value, STR("00")))
		return;
	p = ws_bytes(&r->ws, PARENT_LEN);
	r->traceparent = STR("");
	if (p == NULL)
		return;
	memcpy(p, value.p, PARENT_LEN);
	p[0] = p[1] = '0';
	r->traceparent = str_n(p, PARENT_LEN);
}

void
trace_begin(struct req *r)
{
	const struct hdr *f = head_get(&r->in, HDR_TRACEPARENT);
	char *p;

	if (f != NULL && head_next(&r->in, f) == NULL && trace_parse(f->value, &r->trace_id) == 1) {
		trace_keep(r, f->value);
		return;
	}
	r->trace_id = r->traceparent = STR("");
	p = ws_bytes(&r->ws, PARENT_LEN);
	if (p == NULL)
		return;
	trace_make(p);
	r->traceparent = str_n(p, PARENT_LEN);
	r->trace_id = str_n(p + 3, 32);
}

void
trace_forward(struct req *r)
{
	struct hdr *f = head_get(&r->in, HDR_TRACEPARENT);

	if (r->traceparent.n == 0)
		return;
	if (f != NULL && head_next(&r->in, f) == NULL &&
	    str_ends(r->traceparent, str_sub(f->value, 2, PARENT_LEN))) {
		f->value = r->traceparent;
		return;
	}
	head_remove_id(&r->in, HDR_TRACESTATE);
	head_remove_id(&r->in, HDR_TRACEPARENT);
	head_add_made(&r->in, HDR_TRACEPARENT, r->traceparent);
}
