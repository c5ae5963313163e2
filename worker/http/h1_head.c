/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads into struct head: the one door to http-parser, which cuts field lines into names and values
 * and gives a second opinion. It is told to stop after the head, always; bodies are not its
 * business. Before it, h1_scan.c has looked at every octet and h1_line.c has read the first line;
 * after it, h1_frame.c decides the framing, and where the two opinions differ the message is
 * refused.
 */
#include "worker/http/h1_priv.h"

/* Its enum of methods has the name of ours: renamed on the way in, not used here. */
#define http_method hp_method
#include <http_parser.h>

#include "worker/http/octet.h"

#define STOP_AFTER_HEAD 2          /* what on_headers_complete returns for that */
#define PARSER_LIMIT    (1u << 30) /* h1_scan has limited the head already */
#define STAND_IN        "GET / HTTP/1.1\r\n"

struct reader {
	struct head *h;
	uint32_t count; /* field lines allowed */
	struct str name, value;
	bool in_value, complete, chunked;
	uint64_t length; /* as the parser has it; UINT64_MAX: none */
	struct str url;
	enum reason why;
};

static void
extend(struct str *s, const char *p, size_t n)
{
	if (n == 0)
		return;
	if (s->n == 0)
		s->p = p;
	s->n += n;
}

static int
field_refused(struct reader *r, enum reason why)
{
	r->why = why;
	return 1;
}

/* A whole field line has been seen. A name that is in the table is a token, the others are looked
 * at. */
static int
field_flush(struct reader *r)
{
	struct head *h = r->h;
	struct str value = r->value.n == 0 ? STR("") : str_trim(r->value);
	const struct hdr *f;

	if (r->name.n == 0)
		return 0;
	if (h->n >= r->count || !head_add(h, r->name, value))
		return field_refused(r, REASON_HEADERS_TOO_LARGE);
	f = &h->h[h->n - 1];
	if (f->id == HDR_OTHER && !octet_token(r->name))
		return field_refused(r, REASON_BAD_HEADER);
	if (h->request && h->first[f->id] != f && (hdr_flags(f->id) & HDR_ONCE) != 0)
		return field_refused(r, f->id == HDR_HOST ? REASON_BAD_HOST : REASON_BAD_HEADER);
	r->name = r->value = STR_NONE;
	r->in_value = false;
	return 0;
}

static int
on_url(http_parser *p, const char *at, size_t n)
{
	extend(&((struct reader *)p->data)->url, at, n);
	return 0;
}

static int
on_field(http_parser *p, const char *at, size_t n)
{
	struct reader *r = p->data;

	if (r->in_value && field_flush(r) != 0)
		return 1;
	extend(&r->name, at, n);
	return 0;
}

static int
on_value(http_parser *p, const char *at, size_t n)
{
	struct reader *r = p->data;

	r->in_value = true;
	extend(&r->value, at, n);
	return 0;
}

static int
on_complete(http_parser *p)
{
	struct reader *r = p->data;

	if (field_flush(r) != 0)
		return 1;
	r->complete = true;
	r->chunked = (p->flags & F_CHUNKED) != 0;
	r->length = (p->flags & F_CONTENTLENGTH) != 0 ? p->content_length : UINT64_MAX;
	return STOP_AFTER_HEAD;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_complete,
};

static void
parser_start(http_parser *p, struct reader *r, enum http_parser_type type)
{
	http_parser_init(p, type);
	p->data = r;
	http_parser_set_max_header_size(PARSER_LIMIT);
}

/* The parser's words for what it refused, as ours. */
static enum reason
parser_reason(const http_parser *p, const struct reader *r)
{
	if (r->why != REASON_NONE)
		return r->why;
	switch (HTTP_PARSER_ERRNO(p)) {
	case HPE_INVALID_CONTENT_LENGTH:
	case HPE_UNEXPECTED_CONTENT_LENGTH:
	case HPE_INVALID_TRANSFER_ENCODING:
		return REASON_BAD_FRAMING;
	case HPE_INVALID_HEADER_TOKEN:
		return REASON_BAD_HEADER;
	case HPE_INVALID_URL:
	case HPE_INVALID_HOST:
	case HPE_INVALID_PATH:
		return REASON_BAD_TARGET;
	default:
		return REASON_BAD_REQUEST;
	}
}

/* Feeds the whole head. A method the parser has no number for is fed as another one: it is text to
 * us. */
static int
parser_feed(http_parser *p, struct reader *r, struct str line, struct str text)
{
	size_t used = http_parser_execute(p, &settings, text.p, text.n);

	if (HTTP_PARSER_ERRNO(p) == HPE_INVALID_METHOD) {
		text = str_sub(text, line.n + 2, text.n);
		parser_start(p, r, HTTP_REQUEST);
		used = http_parser_execute(p, &settings, STAND_IN, sizeof(STAND_IN) - 1);
		if (used == sizeof(STAND_IN) - 1)
			used = http_parser_execute(p, &settings, text.p, text.n);
		r->url = r->h->target;
	}
	return HTTP_PARSER_ERRNO(p) == HPE_OK && r->complete && used == text.n ? 1 : -1;
}

/* Does the parser see the message end where we do? HEAD and their like are ours alone to know. */
static bool
same_framing(const struct head *h, const struct reader *r)
{
	const struct hdr *cl = head_get(h, HDR_CONTENT_LENGTH);

	if (r->chunked != (head_get(h, HDR_TRANSFER_ENCODING) != NULL))
		return false;
	if (h->has_length)
		return r->length == h->length;
	return cl == NULL;
}

/* The head in the workspace, empty lines before it left out; *line_r without CRLF. */
static int
take_text(struct head *h, struct str data, struct str *text_r, struct str *line_r)
{
	const char *end;

	while (data.n > 0 && (data.p[0] == '\r' || data.p[0] == '\n'))
		data = str_sub(data, 1, data.n);
	*text_r = ws_str(h->ws, data);
	if (text_r->p == NULL)
		return -1;
	end = memchr(text_r->p, '\n', text_r->n);
	if (end == NULL || end == text_r->p || end[-1] != '\r')
		return 0;
	*line_r = str_n(text_r->p, (size_t)(end - 1 - text_r->p));
	return 1;
}

static int
refuse(enum reason why, enum reason *why_r)
{
	*why_r = why;
	return -1;
}

static int
read_fields(struct head *h, const struct h1_limits *l, struct str line, struct str text,
    struct reader *r, enum reason *why_r)
{
	http_parser p;

	*r = (struct reader){.h = h, .count = l->count, .length = UINT64_MAX};
	parser_start(&p, r, h->request ? HTTP_REQUEST : HTTP_RESPONSE);
	if (parser_feed(&p, r, line, text) < 0)
		return refuse(parser_reason(&p, r), why_r);
	return 1;
}

int
h1_parse_request(struct str data, const struct h1_limits *l, struct head *h, enum reason *why_r)
{
	struct str text, line;
	struct reader r;
	int got = take_text(h, data, &text, &line);

	if (got <= 0)
		return refuse(got < 0 ? REASON_HEADERS_TOO_LARGE : REASON_BAD_REQUEST, why_r);
	if (h1_request_line(line, l->merge_slashes, h, why_r) < 0 ||
	    read_fields(h, l, line, text, &r, why_r) < 0)
		return -1;
	if (!str_eq(r.url, h->target))
		return refuse(REASON_BAD_TARGET, why_r);
	if (h1_host(h, why_r) < 0 || h1_frame_request(h, why_r) < 0)
		return -1;
	return same_framing(h, &r) ? 1 : refuse(REASON_BAD_FRAMING, why_r);
}

int
h1_parse_response(struct str data, bool head_request, const struct h1_limits *l, struct head *h,
    enum reason *why_r)
{
	struct str text, line;
	struct reader r;

	*why_r = REASON_BAD_UPSTREAM;
	if (take_text(h, data, &text, &line) <= 0 || h1_status_line(line, h) < 0)
		return -1;
	if (read_fields(h, l, line, text, &r, why_r) < 0 || h1_frame_response(h, head_request) < 0)
		return refuse(REASON_BAD_UPSTREAM, why_r);
	return same_framing(h, &r) ? 1 : refuse(REASON_BAD_UPSTREAM, why_r);
}
