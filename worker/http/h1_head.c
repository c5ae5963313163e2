/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads into struct head. h1_scan.c has looked at every octet, so a line here is a line to
 * everybody; h1_line.c reads the first one, this file cuts the others into names and values,
 * h1_frame.c decides the framing. http-parser, whose only door this is, is asked for a second
 * opinion: it reads the first line and every field that has a say in framing, and where the two
 * differ the message is refused. It is told to stop after the head, always. (Fields without a say
 * are not fed to it: that was 60 % of a head's cost. Nor is a head whose framing is plain, which is
 * nearly every one: that was a tenth of a request's. The fuzz target asks about those too.)
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
	http_parser p;
	const struct head *h;
	bool complete, chunked;
	uint64_t length; /* as the parser has it; UINT64_MAX: none */
	struct str url;
};

static int
on_url(http_parser *p, const char *at, size_t n)
{
	((struct reader *)p->data)->url = str_n(at, n);
	return 0;
}

static int
on_complete(http_parser *p)
{
	struct reader *r = p->data;

	r->complete = true;
	r->chunked = (p->flags & F_CHUNKED) != 0;
	r->length = (p->flags & F_CONTENTLENGTH) != 0 ? p->content_length : UINT64_MAX;
	return STOP_AFTER_HEAD;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_headers_complete = on_complete,
};

/* The parser's words for what it refused, as ours. */
static enum reason
parser_reason(const http_parser *p)
{
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

static int
refuse(enum reason why, enum reason *why_r)
{
	*why_r = why;
	return -1;
}

static void
parser_start(struct reader *r)
{
	http_parser_init(&r->p, r->h->request ? HTTP_REQUEST : HTTP_RESPONSE);
	r->p.data = r;
	http_parser_set_max_header_size(PARSER_LIMIT);
}

static int
parser_feed(struct reader *r, struct str text, enum reason *why_r)
{
	size_t used = http_parser_execute(&r->p, &settings, text.p, text.n);

	if (HTTP_PARSER_ERRNO(&r->p) == HPE_OK && used == text.n)
		return 1;
	return refuse(parser_reason(&r->p), why_r);
}

/* The first line with its CRLF. A method the parser has no number for is fed as another one: to us
 * it is text. */
static int
parser_feed_first(struct reader *r, struct str line, enum reason *why_r)
{
	parser_start(r);
	if (parser_feed(r, line, why_r) > 0)
		return 1;
	if (HTTP_PARSER_ERRNO(&r->p) != HPE_INVALID_METHOD)
		return -1;
	parser_start(r);
	if (parser_feed(r, STR(STAND_IN), why_r) < 0)
		return -1;
	r->url = r->h->target;
	return 1;
}

static bool
frames(unsigned id)
{
	return id == HDR_CONTENT_LENGTH || id == HDR_TRANSFER_ENCODING || id == HDR_CONNECTION ||
	       id == HDR_UPGRADE;
}

/* The fields that frame the message, each from its name to its CRLF. */
static int
parser_feed_fields(struct reader *r, struct str text, enum reason *why_r)
{
	const struct head *h = r->h;

	for (uint32_t i = 0; i < h->n; i++) {
		const char *at = h->h[i].name.p, *lf;

		if (!frames(h->h[i].id))
			continue;
		lf = memchr(at, '\n', (size_t)(text.p + text.n - at));
		if (lf == NULL || parser_feed(r, str_n(at, (size_t)(lf + 1 - at)), why_r) < 0)
			return -1;
	}
	if (parser_feed(r, STR("\r\n"), why_r) < 0)
		return -1;
	return r->complete ? 1 : refuse(REASON_BAD_REQUEST, why_r);
}

/* Does the parser see the message end where we do? HEAD and their like are ours alone to know. */
static bool
same_framing(const struct head *h, const struct reader *r)
{
	if (r->chunked != (h->first[HDR_TRANSFER_ENCODING] > 0))
		return false;
	if (h->has_length)
		return r->length == h->length;
	return head_get(h, HDR_CONTENT_LENGTH) == NULL;
}

/* In one line, with nothing behind it. */
static bool
plain_line(const struct head *h, const struct hdr *f)
{
	return f->value.n > 0 && f->value.p[f->value.n] == '\r' && head_next(h, f) == NULL;
}

/* None, or one of two words. */
static bool
plain_connection(const struct head *h)
{
	const struct hdr *f = head_first(h, HDR_CONNECTION);

	if (f == NULL)
		return true;
	return plain_line(h, f) &&
	       (str_ieq(f->value, STR("keep-alive")) || str_ieq(f->value, STR("close")));
}

/* Framing that two readers cannot understand differently: no coding, one length of digits or none,
 * and a first line of the usual shape. */
static bool
plain(const struct head *h)
{
	const struct hdr *cl = head_first(h, HDR_CONTENT_LENGTH);

	if (h->first[HDR_TRANSFER_ENCODING] > 0 || h->first[HDR_UPGRADE] > 0)
		return false;
	if (h->request && (h->method >= METHOD_COUNT || h->target.p[0] != '/'))
		return false;
	if (cl != NULL && (!plain_line(h, cl) || !octet_all(cl->value, OCT_DIGIT)))
		return false;
	return plain_connection(h);
}

/* What http-parser makes of a head that is all right to us. */
static int
second_opinion(const struct head *h, const struct h1_limits *l, struct str line, struct str text,
    enum reason *why_r)
{
	struct reader r;

	if (plain(h) && !l->ask_always)
		return 1;
	r = (struct reader){.h = h, .length = UINT64_MAX};
	if (parser_feed_first(&r, str_n(line.p, line.n + 2), why_r) < 0 ||
	    parser_feed_fields(&r, text, why_r) < 0)
		return -1;
	if (h->request && !str_eq(r.url, h->target))
		return refuse(REASON_BAD_TARGET, why_r);
	return same_framing(h, &r) ? 1 : refuse(REASON_BAD_FRAMING, why_r);
}

/* One field line, its CRLF included. */
static int
read_field(struct head *h, uint32_t count, struct str line, enum reason *why_r)
{
	ssize_t n = str_chr(line, ':');
	struct str name = str_n(line.p, n < 0 ? 0 : (size_t)n);
	enum hdr_id id = hdr_lookup(name);

	if (name.n == 0 || name.n + 3 > line.n || line.p[line.n - 2] != '\r')
		return refuse(REASON_BAD_HEADER, why_r);
	if (id == HDR_OTHER && !octet_token(name))
		return refuse(REASON_BAD_HEADER, why_r);
	if (h->n >= count ||
	    !head_add_checked(h, id, name, str_trim(str_n(line.p + n + 1, line.n - name.n - 3))))
		return refuse(REASON_HEADERS_TOO_LARGE, why_r); /* its octets: h1_scan saw them */
	if (h->request && h->first[id] != h->n && (hdr_flags(id) & HDR_ONCE) != 0)
		return refuse(id == HDR_HOST ? REASON_BAD_HOST : REASON_BAD_HEADER, why_r);
	return 1;
}

/* `text` from its first field to the empty line that ends it. */
static int
read_fields(struct head *h, uint32_t count, struct str text, enum reason *why_r)
{
	while (text.n > 2) {
		const char *lf = memchr(text.p, '\n', text.n);
		size_t n = lf == NULL ? 0 : (size_t)(lf + 1 - text.p);

		if (n < 3)
			return refuse(REASON_BAD_HEADER, why_r);
		if (read_field(h, count, str_n(text.p, n), why_r) < 0)
			return -1;
		text = str_n(text.p + n, text.n - n);
	}
	return str_eq(text, STR("\r\n")) ? 1 : refuse(REASON_BAD_REQUEST, why_r);
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

int
h1_parse_request(struct str data, const struct h1_limits *l, struct head *h, enum reason *why_r)
{
	struct str text, line;
	int got = take_text(h, data, &text, &line);

	if (got <= 0)
		return refuse(got < 0 ? REASON_HEADERS_TOO_LARGE : REASON_BAD_REQUEST, why_r);
	if (h1_request_line(line, l->merge_slashes, h, why_r) < 0 ||
	    read_fields(h, l->count, str_sub(text, line.n + 2, text.n), why_r) < 0)
		return -1;
	if (h1_host(h, why_r) < 0 || h1_frame_request(h, why_r) < 0)
		return -1;
	return second_opinion(h, l, line, text, why_r);
}

int
h1_parse_response(struct str data, bool head_request, const struct h1_limits *l, struct head *h,
    enum reason *why_r)
{
	struct str text, line;

	*why_r = REASON_BAD_UPSTREAM;
	if (take_text(h, data, &text, &line) <= 0 || h1_status_line(line, h) < 0)
		return -1;
	if (read_fields(h, l->count, str_sub(text, line.n + 2, text.n), why_r) < 0 ||
	    h1_frame_response(h, head_request) < 0 || second_opinion(h, l, line, text, why_r) < 0)
		return refuse(REASON_BAD_UPSTREAM, why_r);
	return 1;
}
