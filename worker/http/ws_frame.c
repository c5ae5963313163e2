/* SPDX-License-Identifier: Apache-2.0
 *
 * See ws_frame.h. A header is looked at when the whole of it is there, so all state between calls
 * is what is left of the payload.
 */
#include "worker/http/ws_frame.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"

#define FIN         0x80
#define OPCODE      0x0f
#define MASK        0x80
#define LENGTH      0x7f
#define LENGTH_16   126
#define LENGTH_64   127
#define CODE_ABSENT 1005

static int
refuse(enum reason why, enum reason *why_r)
{
	*why_r = why;
	return -1;
}

static bool
is_control(unsigned opcode)
{
	return opcode >= WS_CLOSE;
}

static bool
rsv_fits(const struct ws_frames *f, unsigned first)
{
	unsigned rsv = first & WS_RSV_ALL, opcode = first & OPCODE;

	if ((rsv & ~(unsigned)f->rsv) != 0)
		return false;
	return rsv == 0 || (!is_control(opcode) && (opcode != WS_CONTINUATION || !f->rsv_first));
}

/* The two octets every header has. */
static int
frame_check(const struct ws_frames *f, unsigned first, unsigned second, enum reason *why_r)
{
	unsigned opcode = first & OPCODE;

	if (opcode > WS_PONG || (opcode > WS_BINARY && opcode < WS_CLOSE))
		return refuse(REASON_WS_OPCODE, why_r);
	if (!rsv_fits(f, first))
		return refuse(REASON_WS_RESERVED, why_r);
	if (((second & MASK) != 0) != f->masked)
		return refuse(REASON_WS_MASK, why_r);
	if (is_control(opcode)) {
		if ((first & FIN) == 0 || (second & LENGTH) > WS_CONTROL_MAX)
			return refuse(REASON_WS_CONTROL, why_r);
	} else if ((opcode == WS_CONTINUATION) != f->open) {
		return refuse(REASON_WS_FRAGMENT, why_r);
	}
	return 1;
}

/* Octets of the header, by its second one. */
static unsigned
header_size(unsigned second)
{
	unsigned n = second & LENGTH;

	return 2 + (n == LENGTH_16 ? 2 : n == LENGTH_64 ? 8 : 0) + (second & MASK ? 4 : 0);
}

/* In the shortest form there is, and below 2^63. */
static int
frame_length(const unsigned char *p, uint64_t *n_r, enum reason *why_r)
{
	unsigned form = p[1] & LENGTH, size = form == LENGTH_16 ? 2 : form == LENGTH_64 ? 8 : 0;
	uint64_t n = 0;

	for (unsigned i = 0; i < size; i++)
		n = n << 8 | p[2 + i];
	if ((size == 2 && n < LENGTH_16) || (size == 8 && (n <= UINT16_MAX || n > INT64_MAX)))
		return refuse(REASON_WS_LENGTH, why_r);
	*n_r = size == 0 ? form : n;
	return 1;
}

/* RFC 6455 7.4: those that may be sent. */
static bool
code_fits(unsigned code)
{
	if (code >= 3000)
		return code <= 4999;
	return code >= 1000 && code <= 1014 && code != 1004 && code != CODE_ABSENT && code != 1006;
}

static int
frame_close(struct ws_piece *p, enum reason *why_r)
{
	p->code = CODE_ABSENT;
	if (p->control_n == 0)
		return 1;
	if (p->control_n == 1)
		return refuse(REASON_WS_CLOSE, why_r);
	p->code = (uint16_t)(p->control[0] << 8 | p->control[1]);
	return code_fits(p->code) ? 1 : refuse(REASON_WS_CLOSE, why_r);
}

static int
frame_control(
    const unsigned char *h, unsigned size, struct str data, struct ws_piece *p, enum reason *why_r)
{
	const unsigned char *key = h + size - 4;
	bool masked = (h[1] & MASK) != 0;

	p->control_n = h[1] & LENGTH;
	if (data.n < size + p->control_n)
		return 0;
	p->n = size + p->control_n;
	for (unsigned i = 0; i < p->control_n; i++)
		p->control[i] = h[size + i] ^ (masked ? key[i % 4] : 0);
	return p->opcode == WS_CLOSE ? frame_close(p, why_r) : 1;
}

static void
frame_pass(struct ws_frames *f, uint64_t n)
{
	f->left -= n;
	if (f->left > 0 || !f->data || !f->last)
		return;
	f->messages++;
	f->message = 0;
	f->data = false;
}

static int
frame_data(struct ws_frames *f, const unsigned char *h, unsigned size, uint64_t length,
    struct str data, struct ws_piece *p, enum reason *why_r)
{
	if (f->max_frame && length > f->max_frame)
		return refuse(REASON_WS_TOO_LARGE, why_r);
	if (f->max_message && length > f->max_message - MIN(f->max_message, f->message))
		return refuse(REASON_WS_TOO_LARGE, why_r);
	f->data = true;
	f->last = (h[0] & FIN) != 0;
	f->open = !f->last;
	f->message += length;
	f->left = length;
	p->n = size + (uint32_t)MIN(length, data.n - size);
	frame_pass(f, p->n - size);
	return 1;
}

static int
frame_begin(struct ws_frames *f, struct str data, struct ws_piece *p, enum reason *why_r)
{
	const unsigned char *h = (const unsigned char *)data.p;
	uint64_t length;
	unsigned size;

	if (data.n < 2)
		return 0;
	if (frame_check(f, h[0], h[1], why_r) < 0)
		return -1;
	size = header_size(h[1]);
	if (data.n < size)
		return 0;
	p->opcode = h[0] & OPCODE;
	if (is_control(p->opcode))
		return frame_control(h, size, data, p, why_r);
	if (frame_length(h, &length, why_r) < 0)
		return -1;
	return frame_data(f, h, size, length, data, p, why_r);
}

int
ws_frame_next(struct ws_frames *f, struct str data, struct ws_piece *p_r, enum reason *why_r)
{
	p_r->n = 0;
	p_r->code = 0;
	p_r->opcode = WS_CONTINUATION;
	if (data.n == 0)
		return 0;
	if (f->left == 0)
		return frame_begin(f, data, p_r, why_r);
	p_r->n = (uint32_t)MIN(f->left, MIN(data.n, (size_t)UINT32_MAX));
	frame_pass(f, p_r->n);
	return 1;
}

unsigned
ws_frame_write(enum ws_opcode op, const void *payload, unsigned n, const uint8_t *key, char *out)
{
	const uint8_t *in = payload;
	char *p = out;

	BUG_ON(n > WS_CONTROL_MAX);
	*p++ = (char)(FIN | op);
	*p++ = (char)((key ? MASK : 0) | n);
	if (key) {
		memcpy(p, key, 4);
		p += 4;
	}
	for (unsigned i = 0; i < n; i++)
		*p++ = (char)(in[i] ^ (key ? key[i % 4] : 0));
	return (unsigned)(p - out);
}
