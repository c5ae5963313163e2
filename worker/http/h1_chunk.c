/* SPDX-License-Identifier: Apache-2.0
 *
 * The chunked coding, decoded octet by octet where it is syntax and by the range where it is
 * payload. Exact CRLFs, no white space before extensions, extensions and leading zeros limited by
 * what they come with. What the other side gets is coded anew, so nothing but payload and trailer
 * fields passes through.
 */
#include "worker/http/h1.h"

#include "worker/http/octet.h"

enum chunk_state {
	CHUNK_SIZE, /* first digit of a size */
	CHUNK_DIGITS,
	CHUNK_EXT,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER, /* at the start of a trailer line */
	CHUNK_DONE
};

#define OVERHEAD_MAX     1024 /* of extensions and leading zeros, beyond the payload's octets */
#define TRAILER_LINE_MAX 4096
#define TRAILERS_MAX     8192
#define TRAILERS_COUNT   64
#define SIZE_MAX_CHUNK   ((uint64_t)INT64_MAX)

void
h1_chunk_init(struct h1_chunk *c)
{
	*c = (struct h1_chunk){.state = CHUNK_SIZE};
}

static int
overhead(struct h1_chunk *c)
{
	return ++c->overhead > OVERHEAD_MAX ? -1 : 1;
}

static int
digit(struct h1_chunk *c, char ch)
{
	if (!octet_is(ch, OCT_HEX))
		return -1;
	if (c->state == CHUNK_DIGITS && c->left == 0 && overhead(c) < 0)
		return -1;
	if (c->left > SIZE_MAX_CHUNK >> 4)
		return -1;
	c->left = c->left << 4 | octet_hex(ch);
	c->state = CHUNK_DIGITS;
	return 1;
}

/* After the digits, or within the extension. */
static int
size_end(struct h1_chunk *c, char ch)
{
	if (ch == '\r') {
		c->state = CHUNK_SIZE_LF;
		return 1;
	}
	if (c->state == CHUNK_DIGITS && ch != ';')
		return -1;
	if (!octet_is(ch, OCT_TEXT))
		return -1;
	c->state = CHUNK_EXT;
	return overhead(c);
}

static int
expect(struct h1_chunk *c, char ch, char wanted, enum chunk_state next)
{
	c->state = (uint8_t)next;
	return ch == wanted ? 1 : -1;
}

/* One octet of syntax. */
static int
syntax(struct h1_chunk *c, char ch)
{
	switch (c->state) {
	case CHUNK_SIZE:
		return digit(c, ch);
	case CHUNK_DIGITS:
		return octet_is(ch, OCT_HEX) ? digit(c, ch) : size_end(c, ch);
	case CHUNK_EXT:
		return size_end(c, ch);
	case CHUNK_SIZE_LF:
		return expect(c, ch, '\n', c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER);
	case CHUNK_DATA_CR:
		return expect(c, ch, '\r', CHUNK_DATA_LF);
	case CHUNK_DATA_LF:
		return expect(c, ch, '\n', CHUNK_SIZE);
	default:
		return -1;
	}
}

/* Fields that say how a message is read, routed or trusted have no place after it (RFC 9110 6.5.1).
 */
static bool
trailer_forbidden(struct str name)
{
	static const struct str more[] = {
	    {"age", 3},
	    {"cache-control", 13},
	    {"content-range", 13},
	    {"expires", 7},
	    {"max-forwards", 12},
	    {"pragma", 6},
	    {"range", 5},
	    {"vary", 4},
	    {"www-authenticate", 16},
	    {"set-cookie2", 11},
	};

	if (hdr_lookup_alike(name) != HDR_OTHER)
		return true;
	for (unsigned i = 0; i < ARRAY_LEN(more); i++)
		if (hdr_alike(name, more[i]))
			return true;
	return str_istarts(name, STR("if-")) || str_istarts(name, STR("x-forwarded-"));
}

static bool
is_power_of_2(uint32_t n)
{
	return (n & (n - 1)) == 0;
}

static int
trailer_add(struct head *h, struct str name, struct str value)
{
	struct hdr *v;

	if (h->n_trailers >= TRAILERS_COUNT)
		return -1;
	if (h->n_trailers == 0 || (h->n_trailers >= 8 && is_power_of_2(h->n_trailers))) {
		v = ws_alloc(h->ws, MAX(8u, h->n_trailers * 2) * sizeof(*v));
		if (v == NULL)
			return -1;
		if (h->n_trailers > 0)
			memcpy(v, h->trailers, h->n_trailers * sizeof(*v));
		h->trailers = v;
	}
	name = ws_str(h->ws, name);
	value = ws_str(h->ws, value);
	if (name.p == NULL || value.p == NULL)
		return -1;
	h->trailers[h->n_trailers++] =
	    (struct hdr){.name = name, .value = value, .id = (uint16_t)HDR_OTHER};
	return 1;
}

static int
trailer_line(struct head *h, struct str line)
{
	ssize_t colon = str_chr(line, ':');
	struct str name, value;

	if (colon < 0)
		return -1;
	name = str_sub(line, 0, (size_t)colon);
	value = str_trim(str_sub(line, (size_t)colon + 1, line.n));
	if (!octet_token(name) || !octet_text(value))
		return -1;
	return h == NULL || trailer_forbidden(name) ? 1 : trailer_add(h, name, value);
}

/* Trailer lines are taken whole: 0 leaves the part of one to the caller. */
static int
trailers(struct h1_chunk *c, struct str data, struct head *h, uint32_t *used_r)
{
	while (c->state == CHUNK_TRAILER) {
		ssize_t lf = str_chr(str_sub(data, *used_r, data.n), '\n');
		size_t have = lf < 0 ? data.n - *used_r : (size_t)lf + 1;
		struct str line = str_sub(data, *used_r, *used_r + have);

		if (have > TRAILER_LINE_MAX || c->trailer_len + have > TRAILERS_MAX)
			return -1;
		if (lf < 0)
			return 0;
		if (line.n < 2 || line.p[line.n - 2] != '\r')
			return -1;
		*used_r += (uint32_t)have;
		c->trailer_len += (uint32_t)have;
		line.n -= 2;
		if (line.n == 0)
			c->state = CHUNK_DONE;
		else if (trailer_line(h, line) < 0)
			return -1;
	}
	return 2;
}

/* Payload at the start of data. */
static int
payload(struct h1_chunk *c, struct str data, struct str *part_r, uint32_t *used_r)
{
	size_t n = MIN(c->left, data.n - *used_r);

	if (n == 0)
		return 0;
	*part_r = str_n(data.p + *used_r, n);
	*used_r += (uint32_t)n;
	c->left -= n;
	c->overhead -= (uint32_t)MIN(n, c->overhead);
	if (c->left == 0)
		c->state = CHUNK_DATA_CR;
	return 1;
}

int
h1_chunk_next(
    struct h1_chunk *c, struct str data, struct head *h, struct str *part_r, uint32_t *used_r)
{
	uint32_t used = 0;
	int r = 0;

	data.n = MIN(data.n, (size_t)UINT32_MAX);
	while (c->state != CHUNK_DATA && c->state < CHUNK_TRAILER && used < data.n)
		if (syntax(c, data.p[used++]) < 0)
			return -1;
	if (c->state == CHUNK_DATA)
		r = payload(c, data, part_r, &used);
	else if (c->state >= CHUNK_TRAILER)
		r = trailers(c, data, h, &used);
	if (r >= 0)
		*used_r = used;
	return r;
}
