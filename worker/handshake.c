/* SPDX-License-Identifier: Apache-2.0
 *
 * See handshake.h. Scanners fail handshakes all day: each is counted, one a second is a line.
 */
#include "worker/handshake.h"

#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/conn.h"
#include "worker/net/tls.h"
#include "worker/worker_priv.h"

#define LOG_EVERY_MS 1000

static void
handshake_failed(struct conn *c, enum metric_all why, const char *words)
{
	struct worker *w = c->w;
	char peer[128];
	struct addr a;

	metric_add(w->metrics, why, 1);
	if (w->tls_logged_ms != 0 && clock_ms() < w->tls_logged_ms + LOG_EVERY_MS) {
		w->tls_unlogged++;
		return;
	}
	addr_kept_get(&c->peer, &a);
	addr_text(&a, peer, sizeof(peer));
	log_info("listener %s: TLS handshake of %s: %s (%u more since the last such line)",
	    c->listener->id, peer, words, w->tls_unlogged);
	w->tls_logged_ms = clock_ms();
	w->tls_unlogged = 0;
}

static enum metric_all
failure_metric(enum tls_failure f)
{
	static const enum metric_all of[TLS_FAIL_COUNT] = {
	    [TLS_FAIL_NONE] = M_PROC_TLS_FAIL_OTHER,
	    [TLS_FAIL_PROTOCOL] = M_PROC_TLS_FAIL_PROTOCOL,
	    [TLS_FAIL_VERSION] = M_PROC_TLS_FAIL_VERSION,
	    [TLS_FAIL_NAME] = M_PROC_TLS_FAIL_NAME,
	    [TLS_FAIL_ALPN] = M_PROC_TLS_FAIL_ALPN,
	    [TLS_FAIL_CERTIFICATE] = M_PROC_TLS_FAIL_CERTIFICATE,
	    [TLS_FAIL_REFUSED] = M_PROC_TLS_FAIL_REFUSED,
	    [TLS_FAIL_CLOSED] = M_PROC_TLS_FAIL_CLOSED,
	    [TLS_FAIL_OTHER] = M_PROC_TLS_FAIL_OTHER,
	};

	return f < TLS_FAIL_COUNT ? of[f] : M_PROC_TLS_FAIL_OTHER;
}

void
handshake_late(struct conn *c)
{
	handshake_failed(c, M_PROC_TLS_FAIL_TIMEOUT, "not complete in time");
}

/* Does a request of plain HTTP begin here? 1 or 0, -1: not to be told yet. */
static int
is_http(struct str s)
{
	static const struct str methods[] = {STR("GET "), STR("HEAD "), STR("POST "), STR("PUT "),
	    STR("DELETE "), STR("OPTIONS "), STR("PATCH "), STR("TRACE "), STR("CONNECT ")};

	for (unsigned i = 0; i < ARRAY_LEN(methods); i++) {
		if (str_starts(s, methods[i]))
			return 1;
		if (str_starts(methods[i], s))
			return -1;
	}
	return 0;
}

static int
handshake_accept(struct conn *c, void (*on_event)(struct stream *))
{
	struct listener *l = c->listener;
	const char *error = "";

	if (l->tls == NULL) {
		handshake_failed(c, M_PROC_TLS_FAIL_UNREADY,
		    "no certificates, or settings that cannot be put to use");
		return -1;
	}
	if (tls_accept(&c->h1.stream, l->tls, l, on_event, &error) > 0)
		return 1;
	handshake_failed(c, M_PROC_TLS_FAIL_OTHER, error);
	return -1;
}

/* The first octets are looked at where the kernel has them. 1 TLS has begun, or plain HTTP goes on.
 */
static int
handshake_begin(struct conn *c, void (*on_event)(struct stream *))
{
	struct stream *s = &c->h1.stream;
	char first[8];
	ssize_t n = stream_peek(s, first, sizeof(first));
	int http;

	if (n < 0) /* who leaves without an octet leaves without a word */
		return n == STREAM_AGAIN ? 0 : -1;
	http = is_http(str_n(first, (size_t)n));
	if (http < 0 && !s->hup)
		return 0;
	if (http <= 0)
		return handshake_accept(c, on_event);
	handshake_failed(c, M_PROC_TLS_FAIL_PROTOCOL, "plain HTTP");
	c->misled = true;
	return 1;
}

static int
handshake_end(struct conn *c)
{
	struct stream *s = &c->h1.stream;
	const struct tls_facts *f;

	if (s->connecting)
		return 0;
	f = s->refused ? NULL : tls_facts(s);
	if (f == NULL) {
		handshake_failed(c, failure_metric(tls_failure(s)), tls_error(s));
		return -1;
	}
	metric_add(c->w->metrics, f->resumed ? M_PROC_TLS_RESUMED : M_PROC_TLS_FULL, 1);
	return 1;
}

int
handshake_run(struct conn *c, void (*on_event)(struct stream *))
{
	int rc;

	if (c->h1.stream.layer == NULL) {
		rc = handshake_begin(c, on_event);
		if (rc != 1 || c->misled)
			return rc;
	}
	return handshake_end(c);
}
