/* SPDX-License-Identifier: Apache-2.0
 *
 * See proxied.h. A header is looked at where the kernel has it, and only its own octets are taken:
 * what stands behind it is whose protocol comes next, HTTP or a handshake.
 */
#include "worker/proxied.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/conn.h"
#include "worker/forwarded.h"
#include "worker/net/proxy_header.h"
#include "worker/plan.h"
#include "worker/req.h"
#include "worker/worker_priv.h"

#define LOG_EVERY_MS 1000

struct proxied *
proxied_expect(const struct conf_listener *l, const struct addr *peer)
{
	const struct cidrs *from = &l->proxy_protocol.from;
	struct proxied *p;

	if (from->n > 0 && !forwarded_trusted(from, peer))
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->mode = (uint8_t)l->proxy_protocol.mode;
	return p;
}

static int
proxied_fail(const char **error_r, const char *text)
{
	*error_r = text;
	return -1;
}

/* As parse, for what has come so far. `left_r`: octets behind the header are here too. */
static ssize_t
proxied_look(const struct proxied *p, struct stream *s, char *buf, struct proxy_header *h,
    bool *left_r, const char **error_r)
{
	ssize_t n = stream_peek(s, buf, PROXY_HEADER_MAX), used;

	if (n == STREAM_AGAIN)
		return 0;
	if (n < 0)
		return proxied_fail(error_r, NULL);
	used = proxy_header_parse(p->mode, str_n(buf, (size_t)n), h, error_r);
	if (used == 0 && s->hup)
		return proxied_fail(error_r, "the connection ended within the header");
	*left_r = used < n;
	return used;
}

int
proxied_read(struct proxied **pp, struct stream *s, struct addr *peer, const char **error_r)
{
	char buf[PROXY_HEADER_MAX];
	struct proxied *p = *pp;
	struct proxy_header h;
	bool left = false;
	ssize_t n = proxied_look(p, s, buf, &h, &left, error_r);

	if (n <= 0)
		return (int)n;
	if (stream_read(s, buf, (size_t)n) != n)
		return proxied_fail(error_r, "the header could not be read");
	/* More is an event of its own, and an end that was announced is one no more. */
	s->readable = left || s->hup;
	if (h.named) {
		p->via = *peer;
		p->local = h.to;
		*peer = h.from;
	} else {
		free(p);
		*pp = NULL;
	}
	return 1;
}

void
proxied_refused(struct worker *w, const struct conn *c, const char *error, bool late)
{
	char peer[128];
	struct addr a;

	metric_reason(w->metrics, late ? REASON_PROXY_TIMEOUT : REASON_PROXY_HEADER);
	if (w->proxy_logged_ms != 0 && clock_ms() < w->proxy_logged_ms + LOG_EVERY_MS) {
		w->proxy_unlogged++;
		return;
	}
	addr_kept_get(&c->peer, &a);
	addr_text(&a, peer, sizeof(peer));
	log_warn("listener %s: PROXY header of %s: %s (%u more since the last such line)",
	    c->listener->id, peer, error, w->proxy_unlogged);
	w->proxy_logged_ms = clock_ms();
	w->proxy_unlogged = 0;
}

/* The address the client connected to: of a listener for every address the socket knows it. */
static void
proxied_local(const struct req *r, struct addr *a_r)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (!r->via &&
	    getsockname(conn_stream(r->conn)->watch.fd, (struct sockaddr *)&ss, &len) == 0)
		addr_from_sockaddr((struct sockaddr *)&ss, len, a_r);
	else
		*a_r = *r->local;
}

int
proxied_greeting(struct req *r, struct str *greeting_r)
{
	const struct conf_service *s = r->plan ? r->plan->service : NULL;
	struct addr local;
	char *p;

	if (r->own_upstream || !s || s->proxy_protocol == PROXY_OFF) {
		*greeting_r = STR_NONE;
		return 1;
	}
	p = ws_bytes(&r->ws, PROXY_HEADER_OUT + 1);
	if (!p)
		return -1;
	proxied_local(r, &local);
	*greeting_r = str_n(
	    p, proxy_header_format((enum proxy_mode)s->proxy_protocol, &r->client, &local, p));
	return 1;
}
