/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `grpc_web`: calls of pages (R-5.5; PROTOCOL-WEB) become native gRPC towards the service,
 * and its answers what a page can read: trailers as the body's last frame, base64 in the text form.
 * A message leaves when it came: in text each is padded, so that nothing waits for the next.
 */
#include "shm/base/enc.h"
#include "worker/filter.h"
#include "worker/grpc.h"
#include "worker/policy/policy.h"

struct grpc_web_conf {
	bool text;
};

static const struct field rows[] = {
    {.name = "text",
	.type = F_BOOL,
	.offset = FIELD_AT(struct grpc_web_conf, text),
	.def = "true",
	.help = "The text form (application/grpc-web-text, base64) too, which pages need for "
		"server streaming; false: it passes as it is."},
};

static const struct fields fields = {
    .name = "grpc_web",
    .help = "Translates gRPC-Web (POST with Content-Type: application/grpc-web or -text, over any "
	    "version of HTTP) to gRPC; all else passes as it is. The service needs protocol = "
	    "\"http2\". For pages of other origins put cors before it, and in its `expose` "
	    "\"grpc-status\" and \"grpc-message\": "
	    "policies = ( { policy = \"cors\"; origins = [ \"https://shop.example.com\" ]; "
	    "expose = [ \"grpc-status\", \"grpc-message\" ]; }, { policy = \"grpc_web\"; } );",
    .size = sizeof(struct grpc_web_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
};

struct web_state {
	enum grpc_web form; /* of the request, when it is translated */
	struct str suffix;
};

/* --- the request's body: base64, as a stream ---------------------------------------------------
 */

#define PAD 64u

struct web_in {
	struct filter f;
	uint8_t group[4]; /* six bits each; PAD */
	unsigned n;
};

static uint8_t
six_bits(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint8_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0' + 52);
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return c == '=' ? PAD : 0xff;
}

/* Four of them are there: one to three octets. Padding may be in the middle of the body, where
 * pieces were encoded one by one. */
static bool
group_out(struct web_in *d)
{
	const uint8_t *g = d->group;
	unsigned n = g[2] == PAD ? 1 : g[3] == PAD ? 2 : 3;
	uint32_t v = (uint32_t)g[0] << 18 | (uint32_t)g[1] << 12 | (g[2] & 63u) << 6 | (g[3] & 63u);
	uint8_t out[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	if (g[0] >= PAD || g[1] >= PAD || (g[2] == PAD && g[3] != PAD))
		return false;
	d->n = 0;
	return buf_put(&d->f.out, out, n);
}

static int
web_decode(struct filter *f, struct str in, bool end, size_t *used_r)
{
	struct web_in *d = (struct web_in *)f;
	size_t i;

	for (i = 0; i < in.n && buf_room(&f->out) >= 3; i++) {
		uint8_t v = six_bits(in.p[i]);

		if (v > PAD)
			return -1;
		d->group[d->n++] = v;
		if (d->n == 4 && !group_out(d))
			return -1;
	}
	*used_r = i;
	if (!end || i < in.n)
		return 0;
	return d->n == 0 ? 1 : -1;
}

static const struct filter_ops decode_ops = {.feed = web_decode};

/* --- the answer's body -------------------------------------------------------------------------
 */

struct web_out {
	struct filter f;
	bool text;
	/* Where in a message it is: octets of its head that came, then those to come. */
	uint8_t head[5];
	unsigned n_head;
	uint32_t left;
	uint8_t held[3];
	unsigned n_held;
	bool ended; /* the service's part is over: */
	struct str tail;
};

static void
held_out(struct web_out *e)
{
	char out[4];

	if (e->n_held == 0)
		return;
	(void)buf_put(&e->f.out, out, (uint32_t)enc_base64(e->held, e->n_held, out));
	e->n_held = 0;
}

/* One octet of a message. True: its last. */
static bool
message_step(struct web_out *e, uint8_t c)
{
	if (e->n_head == sizeof(e->head)) {
		e->left--;
	} else {
		e->head[e->n_head++] = c;
		if (e->n_head < sizeof(e->head))
			return false;
		e->left = (uint32_t)e->head[1] << 24 | (uint32_t)e->head[2] << 16 |
			  (uint32_t)e->head[3] << 8 | e->head[4];
	}
	if (e->left > 0)
		return false;
	e->n_head = 0;
	return true;
}

/* Whole groups from within a message, at once; how many octets. */
static size_t
groups_out(struct web_out *e, struct str in)
{
	struct buf *b = &e->f.out;
	size_t n = MIN(in.n, buf_room(b) / 4 * 3);

	if (e->n_held > 0 || e->n_head < sizeof(e->head))
		return 0;
	n = MIN(n, (size_t)(e->left - 1)); /* its last octet is seen below */
	n -= n % 3;
	b->w += (uint32_t)enc_base64(in.p, n, b->p + b->w);
	e->left -= (uint32_t)n;
	return n;
}

static size_t
encode(struct web_out *e, struct str in)
{
	size_t i = 0;

	while (i < in.n && buf_room(&e->f.out) >= 4) {
		size_t n = groups_out(e, str_sub(in, i, in.n));
		uint8_t c;

		i += n;
		if (n > 0)
			continue;
		c = (uint8_t)in.p[i++];
		e->held[e->n_held++] = c;
		if (message_step(e, c) || e->n_held == 3)
			held_out(e);
	}
	return i;
}

static size_t
put(struct buf *b, struct str s)
{
	size_t n = MIN(s.n, (size_t)buf_room(b));

	return n > 0 && buf_put(b, s.p, (uint32_t)n) ? n : 0;
}

/* Binary: as they are. */
static size_t
pass(struct web_out *e, struct str in)
{
	size_t n = put(&e->f.out, in), i = 0;

	while (i < n) {
		if (e->n_head == sizeof(e->head) && e->left > 1) {
			size_t skip = MIN((size_t)e->left - 1, n - i);

			e->left -= (uint32_t)skip;
			i += skip;
		} else {
			message_step(e, (uint8_t)in.p[i++]);
		}
	}
	return n;
}

/* The trailers are there. Within a message they would be taken for a part of it. */
static int
tail_make(struct web_out *e)
{
	if (e->ended)
		return 1;
	if (e->n_head > 0) {
		e->f.why = REASON_BODY_ABORTED;
		return -1;
	}
	e->tail = grpc_web_end(e->f.r);
	if (e->tail.p == NULL) {
		e->f.why = REASON_INTERNAL;
		return -1;
	}
	e->ended = true;
	return 1;
}

static int
web_answer_feed(struct filter *f, struct str in, bool end, size_t *used_r)
{
	struct web_out *e = (struct web_out *)f;
	int rc;

	*used_r = e->text ? encode(e, in) : pass(e, in);
	if (!end || *used_r < in.n)
		return 0;
	rc = tail_make(e);
	if (rc != 1)
		return rc;
	e->tail = str_sub(e->tail, put(&f->out, e->tail), e->tail.n);
	return e->tail.n == 0;
}

static const struct filter_ops answer_ops = {.feed = web_answer_feed};

/* --- the heads ---------------------------------------------------------------------------------
 */

/* From here on it is a call, whoever answers it. */
static enum verdict
web_take(struct req *r, const struct policy_use *u)
{
	const struct grpc_web_conf *conf = u->conf;
	struct str suffix;
	enum grpc_web form = grpc_web_is(&r->in, &suffix);
	struct web_state *s;

	if (form == GRPC_WEB_NOT || r->web_type.n || (form == GRPC_WEB_TEXT && !conf->text))
		return VERDICT_PASS;
	s = req_policy_state(r, u->index, sizeof(*s));
	if (s == NULL)
		return VERDICT_PASS;
	*s = (struct web_state){.form = form, .suffix = suffix};
	grpc_web_begin(r, form, suffix);
	r->te_trailers = true;
	if (grpc_begin(r))
		return VERDICT_PASS;
	req_reply_reason(r, REASON_BAD_HEADER);
	r->reply.detail = grpc_bad_timeout;
	return VERDICT_REPLY;
}

static void
drop_length(struct head *h)
{
	head_remove_id(h, HDR_CONTENT_LENGTH);
	h->has_length = false;
	h->length = 0;
	h->body = BODY_CHUNKED;
}

static void
web_request(struct req *r, const struct policy_use *u)
{
	const struct web_state *s = req_policy_state(r, u->index, sizeof(*s));

	if (s == NULL || s->form == GRPC_WEB_NOT)
		return;
	head_set(&r->in, STR("Content-Type"),
	    ws_cat(&r->ws, 2, (struct str[]){STR("application/grpc"), s->suffix}));
	if (r->in.body == BODY_NONE)
		return;
	drop_length(&r->in);
	if (s->form == GRPC_WEB_TEXT)
		r->filter_in = filter_new(r, &decode_ops, sizeof(struct web_in));
}

/* What is no answer of gRPC is not made to look like one. Our own: grpc_answer. */
static void
web_response(struct req *r, const struct policy_use *u)
{
	const struct web_state *s = req_policy_state(r, u->index, sizeof(*s));
	struct web_out *e;

	if (s == NULL || s->form == GRPC_WEB_NOT || r->reply.set || !grpc_is(&r->out))
		return;
	head_set(&r->out, STR("Content-Type"), r->web_type);
	drop_length(&r->out);
	e = filter_new(r, &answer_ops, sizeof(*e));
	if (e == NULL)
		return;
	e->text = grpc_web_text(r);
	r->filter_out = &e->f;
}

static const struct policy_hooks hooks = {
    .answer = web_take, .request = web_request, .response = web_response};

const struct policy_type policy_grpc_web = {
    .name = "grpc_web",
    .help = "gRPC-Web of browsers to gRPC of services.",
    .fields = &fields,
    .hooks = &hooks,
};
