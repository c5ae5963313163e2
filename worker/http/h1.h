/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 on the wire (RFC 9112): heads in and out, chunked coding in and out. Pure functions over
 * octets: no sockets, no timers. What is refused, and why, stands in the folder's README.
 */
#ifndef GW_H1_H
#define GW_H1_H

#include <sys/uio.h>

#include "shm/reason.h"
#include "worker/http/head.h"

struct h1_limits {
	uint32_t request_line, headers; /* octets; headers counts the whole head */
	uint32_t count;
	bool merge_slashes;
	bool ask_always; /* http-parser is asked about plain heads too: tests */
};

/* Where the head ends: incremental, remembers how far it looked. */
struct h1_scan {
	uint32_t at;   /* octets looked at */
	uint32_t line; /* length of the first line, once seen */
	uint8_t state;
};
/* Looks for the end of the head in data (from its first octet each time). 1 and its length (leading
 * CRLFs of a request included), 0 more is needed, -1 with *why_r: over a limit (URI_TOO_LONG,
 * HEADERS_TOO_LARGE), a bare LF or CR, a NUL, a fold: every octet rule that can be decided before
 * the end. */
int h1_scan(struct h1_scan *s, struct str data, bool request, const struct h1_limits *l,
    uint32_t *len_r, enum reason *why_r) NODISCARD;

/* Parses a whole head (as h1_scan delimited it); the text is copied into h's workspace first, so
 * `data` may be reused. Sets every field of `h`, decides framing itself and, where that is not
 * plain, compares with http-parser's. 1; -1 with *why_r. After -1 h->minor and h->method_text are
 * set where they could be read (for the log). */
int h1_parse_request(
    struct str data, const struct h1_limits *l, struct head *h, enum reason *why_r) NODISCARD;
/* head_request: the response answers HEAD (or CONNECT when `connect`): decides body_kind. 1xx is
 * returned as any other head. */
int h1_parse_response(struct str data, bool head_request, const struct h1_limits *l, struct head *h,
    enum reason *why_r) NODISCARD;

/* Decodes a chunked body in place: one range of payload at a time. */
struct h1_chunk {
	uint64_t left; /* of the current chunk */
	uint8_t state;
	uint32_t
	    overhead; /* octets of extensions and leading zeros beyond those of payload: limited */
	uint32_t trailer_len;
};
void h1_chunk_init(struct h1_chunk *c);
/* Consumes from data. Returns 1 with a payload range in *part_r (may be shorter than the chunk) and
 * *used_r octets consumed up to its END; 0 more octets needed (*used_r consumed of pure syntax); 2
 * the body is complete, trailers included (*used_r); -1 malformed. Trailer fields are parsed into
 * h->trailers (never merged), forbidden ones dropped. Extensions are refused beyond 1 KiB a
 * message. */
int h1_chunk_next(struct h1_chunk *c, struct str data, struct head *h, struct str *part_r,
    uint32_t *used_r) NODISCARD;

/* "Not Found" for 404 (RFC 9110 15); empty for a status that has no phrase here. */
struct str h1_reason_phrase(unsigned status);

/* Writers: into ws, contiguous. STR_NONE over the limit. Only parsed fields are written, never raw
 * input; names and values are checked again for CR, LF and NUL. They add Content-Length or
 * Transfer-Encoding from h->body, and Connection as told. */
struct str h1_write_request(
    const struct head *h, struct str path_and_query, bool keepalive, struct str connection_extra);
struct str h1_write_response(
    const struct head *h, uint8_t client_minor, bool keepalive, struct str connection_extra);
struct str h1_write_trailers(const struct head *h); /* "0\r\n" trailers "\r\n" */
unsigned h1_chunk_line(uint64_t n, char out[20]);   /* "1a\r\n"; returns length */

#endif
