/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads onto the wire: measured first, then written into one piece of the workspace. Framing fields
 * and Connection come from the head's own members, never from the list of fields.
 */
#include "worker/http/h1.h"

#include "shm/base/num.h"
#include "worker/http/octet.h"

static const struct {
	uint16_t status;
	const char *text;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

struct str
h1_reason_phrase(unsigned status)
{
	for (unsigned i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return str_of(reasons[i].text);
	return STR("");
}

static struct str
reason_of(const struct head *h)
{
	return h->reason.n > 0 ? h->reason : h1_reason_phrase(h->status);
}

/* Written by us from what the head says, whatever the list has. */
static inline bool
is_ours(unsigned id)
{
	static const uint64_t ours = UINT64_C(1) << HDR_CONTENT_LENGTH |
				     UINT64_C(1) << HDR_TRANSFER_ENCODING |
				     UINT64_C(1) << HDR_CONNECTION;

	_Static_assert(HDR_ID_COUNT <= 64, "a bit for each");
	return ours >> id & 1;
}

/* What came from the wire was checked there; what was made here is checked before it goes out. */
static bool
is_fit(const struct hdr *f)
{
	if (f->checked)
		return true;
	/* Known names are in the table. */
	return (f->id != HDR_OTHER || octet_token(f->name)) && octet_text(f->value);
}

/* Octets the fields take, or -1 when one is not fit for a head. */
static ssize_t
fields_size(const struct hdr *h, uint32_t n)
{
	size_t size = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct hdr *f = &h[i];

		if (f->gone || is_ours(f->id))
			continue;
		if (!is_fit(f))
			return -1;
		size += f->name.n + f->value.n + 4;
	}
	return (ssize_t)size;
}

static inline char *
put_field(char *p, struct str name, struct str value)
{
	p = str_put(str_put(p, name), STR(": "));
	return str_put(str_put(p, value), STR("\r\n"));
}

static char *
put_fields(char *p, const struct hdr *h, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!h[i].gone && !is_ours(h[i].id))
			p = put_field(p, h[i].name, h[i].value);
	return p;
}

#define OURS_MAX 160 /* more than put_ours writes, the extra connection options not counted */

static char *
put_ours(char *p, const struct head *h, bool chunked, struct str option, struct str extra)
{
	if (h->body == BODY_LENGTH || (h->body == BODY_NONE && h->has_length)) {
		p = str_put(p, STR("Content-Length: "));
		p += num_u64_text(h->length, p);
		p = str_put(p, STR("\r\n"));
	} else if (chunked) {
		p = put_field(p, STR("Transfer-Encoding"), STR("chunked"));
	}
	if (option.n == 0 && extra.n == 0)
		return p;
	p = str_put(p, STR("Connection: "));
	p = str_put(p, option);
	if (option.n > 0 && extra.n > 0)
		p = str_put(p, STR(", "));
	p = str_put(p, extra);
	return str_put(p, STR("\r\n"));
}

/* The whole head; `line` without CRLF. */
static struct str
write_head(const struct head *h, unsigned n_line, const struct str *line, bool chunked,
    struct str option, struct str extra)
{
	ssize_t fields = fields_size(h->h, h->n);
	size_t size = 0;
	char *start, *p;

	for (unsigned i = 0; i < n_line; i++)
		size += line[i].n;
	if (fields < 0 || (extra.n > 0 && !octet_text(extra)))
		return STR_NONE;
	size += (size_t)fields + OURS_MAX + extra.n;
	start = p = ws_bytes(h->ws, size);
	if (p == NULL)
		return STR_NONE;
	for (unsigned i = 0; i < n_line; i++)
		p = str_put(p, line[i]);
	p = str_put(p, STR("\r\n"));
	p = put_fields(p, h->h, h->n);
	p = put_ours(p, h, chunked, option, extra);
	p = str_put(p, STR("\r\n"));
	return str_n(start, (size_t)(p - start));
}

static bool
target_fit(struct str t)
{
	return t.n > 0 && ctl_find(t.p, 0, t.n) == t.n && memchr(t.p, ' ', t.n) == NULL;
}

struct str
h1_write_request(
    const struct head *h, struct str path_and_query, bool keepalive, struct str connection_extra)
{
	const struct str line[] = {h->method_text, STR(" "), path_and_query, STR(" HTTP/1.1")};

	if (!octet_token(h->method_text) || !target_fit(path_and_query))
		return STR_NONE;
	return write_head(h, ARRAY_LEN(line), line, h->body == BODY_CHUNKED,
	    keepalive ? STR("") : STR("close"), connection_extra);
}

/* A client of HTTP/1.0 knows no chunks: the end of the connection ends the body. */
struct str
h1_write_response(
    const struct head *h, uint8_t client_minor, bool keepalive, struct str connection_extra)
{
	bool streamed = h->body == BODY_CHUNKED || h->body == BODY_EOF;
	char status[3] = {(char)('0' + h->status / 100 % 10), (char)('0' + h->status / 10 % 10),
	    (char)('0' + h->status % 10)};
	const struct str line[] = {STR("HTTP/1.1 "), {status, 3}, STR(" "), reason_of(h)};
	struct str option = STR("");

	if (h->body == BODY_EOF || (streamed && client_minor == 0))
		keepalive = false;
	if (h->status < 200)
		option = STR("");
	else if (!keepalive)
		option = STR("close");
	else if (client_minor == 0)
		option = STR("keep-alive");
	if (!octet_text(line[3]))
		return STR_NONE;
	return write_head(h, ARRAY_LEN(line), line, h->body == BODY_CHUNKED && client_minor > 0,
	    option, connection_extra);
}

struct str
h1_write_trailers(const struct head *h)
{
	ssize_t fields = fields_size(h->trailers, h->n_trailers);
	char *start, *p;

	if (fields < 0)
		return STR_NONE;
	start = p = ws_bytes(h->ws, (size_t)fields + 5);
	if (p == NULL)
		return STR_NONE;
	p = str_put(p, STR("0\r\n"));
	p = put_fields(p, h->trailers, h->n_trailers);
	p = str_put(p, STR("\r\n"));
	return str_n(start, (size_t)(p - start));
}

unsigned
h1_chunk_line(uint64_t n, char out[20])
{
	static const char digits[] = "0123456789abcdef";
	unsigned len = n == 0 ? 1 : (67 - (unsigned)__builtin_clzll(n)) / 4;

	for (unsigned i = len; i > 0; i--, n >>= 4)
		out[i - 1] = digits[n & 15];
	out[len] = '\r';
	out[len + 1] = '\n';
	return len + 2;
}
