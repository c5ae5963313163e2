/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the access line where the line before stood, which is in the cache, and copies it into the
 * ring, which is not. Nothing is allocated, nothing goes through printf.
 */
#include "worker/obs/access.h"

#include <unistd.h>

#include "shm/base/clock.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"
#include "worker/grpc.h"
#include "worker/net/tls.h"
#include "worker/plan.h"
#include "worker/websocket.h"

#define TEXT_MAX   1024 /* octets of one text that are looked at */
#define ESCAPE     6    /* an octet becomes at most so many */
#define NUMBER_MAX 24
#define IP_MAX     64

#define NO_SPAN UINT64_MAX

/* --- what the values of fields.def are made of -------------------------------------------------
 */

static uint64_t
span(uint64_t from, uint64_t to)
{
	return from == 0 || to < from ? NO_SPAN : to - from;
}

static const struct addr *
peer_of(const struct req *r)
{
	static const struct addr none;
	const struct addr *peer = r->via ? r->via : &r->peer;
	bool same = peer->family == r->client.family &&
		    memcmp(peer->ip, r->client.ip, peer->family == AF_INET ? 4 : 16) == 0;

	return same ? &none : peer;
}

static const struct tls_facts *
tls_of(const struct req *r)
{
	static const struct tls_facts none;

	return r->handshake != NULL ? r->handshake : &none;
}

static struct str
scheme_of(const struct req *r)
{
	return r->tls ? STR("https") : STR("http");
}

/* Of a head that was refused there is the target, if anything. */
static struct str
path_of(const struct req *r)
{
	struct str s = r->in.target;
	ssize_t query;

	if (r->in.path.n > 0)
		return r->in.path;
	query = str_chr(s, '?');
	return query < 0 ? s : str_sub(s, 0, (size_t)query);
}

static struct str
protocol_of(const struct req *r)
{
	if (r->in.method_text.n == 0)
		return STR("");
	if (websocket_was_open(r))
		return STR("websocket");
	return r->in.minor == 2   ? STR("HTTP/2")
	       : r->in.minor == 1 ? STR("HTTP/1.1")
				  : STR("HTTP/1.0");
}

static uint64_t
status_of(const struct req *r)
{
	return r->response_started || r->reason == REASON_CLIENT_GONE ? r->out.status : 0;
}

static struct str
reason_of(const struct req *r)
{
	return str_of(reason_table[r->reason].word);
}

static struct str
route_of(const struct req *r)
{
	return r->route;
}

static bool
was_reused(const struct req *r)
{
	return r->attempts > 0 && r->t.connect_start != 0 && r->t.connect_start == r->t.connect_end;
}

/* --- the forms ---------------------------------------------------------------------------------
 */

static inline char *
put_quoted(char *p, struct str name, struct str text)
{
	p = str_put(p, name);
	*p++ = '"';
	p = str_put(p, text);
	*p++ = '"';
	return p;
}

static inline char *
put_PLAIN(char *p, struct str name, struct str s)
{
	return s.n == 0 || s.n > TEXT_MAX ? p : put_quoted(p, name, s);
}

static inline char *
put_TEXT(char *p, struct str name, struct str s)
{
	ssize_t n;

	if (s.n == 0)
		return p;
	p = str_put(p, name);
	*p++ = '"';
	s.n = MIN(s.n, (size_t)TEXT_MAX);
	n = enc_json(s, p, s.n * ESCAPE);
	p += MAX(n, 0);
	*p++ = '"';
	return p;
}

static inline char *
put_TIME(char *p, struct str name, uint64_t wall_us)
{
	char text[25];

	clock_rfc3339(wall_us, text);
	return put_quoted(p, name, str_n(text, 24));
}

static inline char *
put_NUMBER(char *p, struct str name, uint64_t v)
{
	p = str_put(p, name);
	return p + num_u64_text(v, p);
}

static inline char *
put_SOME(char *p, struct str name, uint64_t v)
{
	return v == 0 ? p : put_NUMBER(p, name, v);
}

static inline char *
put_BOOL(char *p, struct str name, bool v)
{
	return str_put(str_put(p, name), v ? STR("true") : STR("false"));
}

static inline char *
put_YES(char *p, struct str name, bool v)
{
	return v ? put_BOOL(p, name, v) : p;
}

static inline char *
put_MS(char *p, struct str name, uint64_t ns)
{
	uint64_t us = ns / 1000;

	if (ns == NO_SPAN)
		return p;
	p = str_put(p, name);
	p += num_u64_text(us / 1000, p);
	*p++ = '.';
	*p++ = (char)('0' + us / 100 % 10);
	*p++ = (char)('0' + us / 10 % 10);
	*p++ = (char)('0' + us % 10);
	return p;
}

static inline char *
put_IP(char *p, struct str name, const struct addr *a)
{
	if (a->family == 0)
		return p;
	p = str_put(p, name);
	*p++ = '"';
	p += addr_ip_text(a, p, IP_MAX);
	*p++ = '"';
	return p;
}

/* --- the line ----------------------------------------------------------------------------------
 */

/* What a form adds to its name at most. */
#define ROOM_TEXT   (TEXT_MAX * ESCAPE + 2)
#define ROOM_PLAIN  (TEXT_MAX + 2)
#define ROOM_TIME   (NUMBER_MAX + 4)
#define ROOM_NUMBER NUMBER_MAX
#define ROOM_SOME   NUMBER_MAX
#define ROOM_BOOL   NUMBER_MAX
#define ROOM_YES    NUMBER_MAX
#define ROOM_MS     (NUMBER_MAX + 4)
#define ROOM_IP     (IP_MAX + 2)

#define FIELD(name, form, value, help) +sizeof(",\"" #name "\":") + ROOM_##form
enum {
	LINE_ROOM = 4 /* braces, end of line */
#include "worker/obs/fields.def"
};
#undef FIELD

static char *
line_write(const struct req *r, char *p)
{
	char *start = p;

#define FIELD(name, form, value, help) p = put_##form(p, STR(",\"" #name "\":"), value);
#include "worker/obs/fields.def"
#undef FIELD
	*start = '{'; /* the first comma's place */
	*p++ = '}';
	*p++ = '\n';
	return p;
}

void
access_log(const struct req *r, struct ring *ring, struct metrics *m, int event_fd)
{
	static const uint64_t one = 1;
	static char line[LINE_ROOM]; /* most of it is never touched */
	size_t n = (size_t)(line_write(r, line) - line);
	char *to = ring_reserve(ring, n);

	if (to == NULL) {
		metric_add(m, M_PROC_LOG_DROPPED, 1);
		return;
	}
	memcpy(to, line, n);
	ring_commit(ring, n);
	/* Full means that the logger has been rung for already. */
	if (ring_should_wake(ring) && event_fd >= 0 && write(event_fd, &one, sizeof(one)) < 0)
		return;
}
