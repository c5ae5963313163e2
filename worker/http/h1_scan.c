/* SPDX-License-Identifier: Apache-2.0
 *
 * The look at a head's octets before anything is parsed: every line ends in CRLF and only there, no
 * control octets, no folds. What http-parser makes of such octets (and it accepts most of them) can
 * then not matter. Looks at each octet once, however the head arrives.
 */
#include "worker/http/h1.h"

#include "worker/http/octet.h"

enum { SCAN_START, SCAN_FIRST, SCAN_LINE_START, SCAN_LINE };

#define LEADING_MAX 8 /* octets of empty lines before a request (RFC 9112 2.2) */

static int
refuse(bool request, enum reason why, enum reason *why_r)
{
	*why_r = request ? why : REASON_BAD_UPSTREAM;
	return -1;
}

/* Skips empty lines before a request. 1 when the first line begins at s->at. */
static int
scan_start(struct h1_scan *s, struct str d, bool request, enum reason *why_r)
{
	while (request && s->at < d.n && d.p[s->at] == '\r') {
		if (s->at + 1 == d.n)
			return 0;
		if (d.p[s->at + 1] != '\n' || s->at + 2 > LEADING_MAX)
			return refuse(request, REASON_BAD_REQUEST, why_r);
		s->at += 2;
	}
	if (s->at == d.n)
		return 0;
	if (!octet_is(d.p[s->at], OCT_TOKEN))
		return refuse(request, REASON_BAD_REQUEST, why_r);
	s->line = s->at; /* where it begins, until its length is known */
	s->state = SCAN_FIRST;
	return 1;
}

/* At the start of a field line. 2: the head ends here. */
static int
scan_line_start(struct h1_scan *s, struct str d, bool request, enum reason *why_r)
{
	if (s->at == d.n || (d.p[s->at] == '\r' && s->at + 1 == d.n))
		return 0;
	if (d.p[s->at] == '\r' && d.p[s->at + 1] == '\n') {
		s->at += 2;
		return 2;
	}
	if (!octet_is(d.p[s->at], OCT_TOKEN)) /* a fold too */
		return refuse(request, REASON_BAD_HEADER, why_r);
	s->state = SCAN_LINE;
	return 1;
}

/* To the end of a line, its CRLF included. */
static int
scan_line(struct h1_scan *s, struct str d, bool request, enum reason *why_r)
{
	enum reason bad = s->state == SCAN_FIRST ? REASON_BAD_REQUEST : REASON_BAD_HEADER;
	size_t at = s->at;

	while ((at = ctl_find(d.p, at, d.n)) < d.n && d.p[at] == '\t')
		at++;
	s->at = (uint32_t)at;
	if (at == d.n)
		return 0;
	if (d.p[at] != '\r')
		return refuse(request, bad, why_r);
	if (at + 1 == d.n)
		return 0;
	if (d.p[at + 1] != '\n')
		return refuse(request, bad, why_r);
	if (s->state == SCAN_FIRST)
		s->line = s->at - s->line;
	s->at += 2;
	s->state = SCAN_LINE_START;
	return 1;
}

static int
scan_step(struct h1_scan *s, struct str d, bool request, enum reason *why_r)
{
	switch (s->state) {
	case SCAN_START:
		return scan_start(s, d, request, why_r);
	case SCAN_LINE_START:
		return scan_line_start(s, d, request, why_r);
	default:
		return scan_line(s, d, request, why_r);
	}
}

static int
scan_limits(const struct h1_scan *s, bool request, const struct h1_limits *l, enum reason *why_r)
{
	uint32_t line = s->state == SCAN_FIRST ? s->at - s->line : s->line;

	if (s->state != SCAN_START && line > l->request_line)
		return refuse(request, REASON_URI_TOO_LONG, why_r);
	if (s->at > l->headers)
		return refuse(request, REASON_HEADERS_TOO_LARGE, why_r);
	return 1;
}

int
h1_scan(struct h1_scan *s, struct str data, bool request, const struct h1_limits *l,
    uint32_t *len_r, enum reason *why_r)
{
	int r;

	do {
		r = scan_step(s, data, request, why_r);
		if (r >= 0 && scan_limits(s, request, l, why_r) < 0)
			r = -1;
	} while (r == 1);
	if (r == 2) {
		*len_r = s->at;
		return 1;
	}
	return r;
}
