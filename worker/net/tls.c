/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream with TLS on it: the handshake, octets both ways, the end. See tls.h.
 */
#include <errno.h>
#include <openssl/err.h>

#include "shm/base/bug.h"
#include "worker/net/tcp.h"
#include "worker/net/tls_priv.h"

static struct tls *
layer_of(struct stream *s)
{
	return s->layer;
}

/* The owner is to try, and to learn. */
static ssize_t
failed(struct tls *t, int why)
{
	tls_fail_ssl(t, why);
	t->s->readable = t->s->writable = true;
	return STREAM_ERROR;
}

/* --- in --------------------------------------------------------------------------------------- */

/* After octets there may be more, in a record that was begun or in the socket. Knowing it saves the
 * call that would say that there is nothing. */
static ssize_t
read_some(struct tls *t, ssize_t got)
{
	t->s->readable = t->raw_readable || SSL_has_pending(t->ssl) == 1;
	return got;
}

static ssize_t
read_none(struct tls *t, int why)
{
	if (why == SSL_ERROR_ZERO_RETURN) {
		t->s->eof = true;
		return STREAM_EOF;
	}
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		t->read_failed = true;
		return failed(t, why);
	}
	t->read_wants_write = why == SSL_ERROR_WANT_WRITE;
	t->s->readable = false;
	return STREAM_AGAIN;
}

/* As of a socket: a failed write does not end reading. */
static ssize_t
tls_read(struct stream *s, void *p, size_t n)
{
	struct tls *t = layer_of(s);
	int got;

	if (s->connecting)
		return STREAM_AGAIN;
	if (s->refused || t->read_failed)
		return STREAM_ERROR;
	if (s->eof || n == 0)
		return s->eof ? STREAM_EOF : 0;
	ERR_clear_error();
	got = SSL_read(t->ssl, p, (int)MIN(n, (size_t)INT32_MAX));
	return got > 0 ? read_some(t, got) : read_none(t, SSL_get_error(t->ssl, got));
}

int
tls_idle_ok(struct stream *s)
{
	struct tls *t = layer_of(s);
	char c;
	int got;

	if (s->watch.fd < 0 || s->connecting || s->eof || s->err != 0 || t->sealed > 0)
		return 0;
	if (SSL_has_pending(t->ssl) == 0) {
		got = (int)recv(s->watch.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return s->hup ? 0 : 1;
	}
	t->raw_readable = true;
	ERR_clear_error();
	got = SSL_peek(t->ssl, &c, 1);
	if (got > 0)
		return 0;
	return read_none(t, SSL_get_error(t->ssl, got)) == STREAM_AGAIN && !s->hup;
}

/* --- out -------------------------------------------------------------------------------------- */

/* At most a record, from `skip` octets on: small pieces go into one. */
static size_t
record_gather(const struct iovec *v, int n, size_t skip, size_t max, char room[TLS_RECORD_MAX],
    const char **p_r)
{
	size_t have = 0;

	for (; n > 0 && skip >= v->iov_len; v++, n--)
		skip -= v->iov_len;
	if (n == 0)
		return 0;
	*p_r = (const char *)v->iov_base + skip;
	if (n == 1 || v->iov_len - skip >= max)
		return MIN(v->iov_len - skip, max);
	for (; n > 0 && have < max; v++, n--, skip = 0) {
		size_t part = MIN(v->iov_len - skip, max - have);

		if (part > 0)
			memcpy(room + have, (const char *)v->iov_base + skip, part);
		have += part;
	}
	*p_r = room;
	return have;
}

/* OpenSSL wants to hear of its stuck record in the same words, and no more: octets are not looked
 * at. Longer than any record. */
static const char stuck[TLS_RECORD_MAX];

static ssize_t
write_none(struct tls *t, int why)
{
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		return failed(t, why);
	t->s->writable = false;
	return STREAM_AGAIN;
}

/* TLS's own words (an answer to a key update) go first, while nothing of the owner's is sealed: 1
 * or as write. The first call begins them, and has nothing of the owner's to seal. */
static ssize_t
write_own(struct tls *t)
{
	size_t put;
	int rc;

	if (SSL_get_key_update_type(t->ssl) != SSL_KEY_UPDATE_NONE && !SSL_in_init(t->ssl)) {
		ERR_clear_error();
		rc = SSL_write_ex(t->ssl, stuck, 0, &put);
		if (rc <= 0 && !SSL_in_init(t->ssl))
			return write_none(t, SSL_get_error(t->ssl, rc));
	}
	if (!SSL_in_init(t->ssl))
		return 1;
	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	return rc == 1 ? 1 : write_none(t, SSL_get_error(t->ssl, rc));
}

/* Of a record that waited all but the last octet was taken: 1 (that one) or as write. */
static ssize_t
write_stuck(struct tls *t)
{
	int put;

	ERR_clear_error();
	put = SSL_write(t->ssl, stuck, t->sealed);
	if (put <= 0)
		return write_none(t, SSL_get_error(t->ssl, put));
	BUG_ON(put != t->sealed);
	t->sealed = 0;
	return 1;
}

/* One record: octets taken, or as write. A record that waits is taken but for its last octet, so
 * that the owner comes again: 0 where it has but one. */
static ssize_t
write_record(struct tls *t, const char *p, size_t n)
{
	ssize_t rc = write_own(t);
	int put;

	if (rc != 1)
		return rc;
	ERR_clear_error();
	put = SSL_write(t->ssl, p, (int)n);
	if (put > 0)
		return put;
	rc = write_none(t, SSL_get_error(t->ssl, put));
	if (rc == STREAM_ERROR)
		return rc;
	t->sealed = (uint16_t)n;
	return (ssize_t)n - 1;
}

static ssize_t
tls_write(struct stream *s, const struct iovec *v, int n)
{
	struct tls *t = layer_of(s);
	char room[TLS_RECORD_MAX];
	const char *p = room;
	size_t sent = 0, part;
	ssize_t put = 0;

	if (s->connecting)
		return STREAM_AGAIN;
	if (s->err != 0)
		return STREAM_ERROR;
	while ((part = record_gather(v, n, sent, t->record_max, room, &p)) > 0) {
		put = t->sealed > 0 ? write_stuck(t) : write_record(t, p, part);
		if (put > 0)
			sent += (size_t)put;
		if (put <= 0 || t->sealed > 0)
			break;
	}
	if (sent > 0)
		return (ssize_t)sent;
	return put == 0 && t->sealed > 0 ? STREAM_AGAIN : put;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* close_notify: true when it is out, or never will be. A second SSL_shutdown would read. */
static bool
notify(struct tls *t)
{
	struct stream *s = t->s;

	if (s->connecting || s->err != 0 || t->read_failed || t->notified)
		return true;
	if (t->sealed > 0)
		return false;
	ERR_clear_error();
	t->notified = SSL_shutdown(t->ssl) >= 0 || t->raw_writable;
	ERR_clear_error();
	return t->notified;
}

/* TCP stays open for what is yet to be read. */
static void
tls_shutdown_write(struct stream *s)
{
	struct tls *t = layer_of(s);

	if (s->watch.fd < 0 || s->connecting)
		return;
	t->notify_due = !notify(t);
	if (!t->notify_due)
		shutdown(s->watch.fd, SHUT_WR);
}

/* What lies in the socket unread would make a reset of our end, and might take our last words with
 * it. Not asked for where the peer has said that nothing comes. */
static void
drain(struct tls *t)
{
	char rest[4096];

	for (unsigned i = 0; i < 16 && t->raw_readable; i++)
		if (recv(t->s->watch.fd, rest, sizeof(rest), MSG_DONTWAIT) < (ssize_t)sizeof(rest))
			t->raw_readable = false;
}

static void
tls_free(struct tls *t)
{
	if (t->server)
		tls_accept_done(t);
	else
		free(t->whose);
	SSL_free(t->ssl);
	free(t->words);
	tls_kept_free(&t->kept);
	tls_ctx_unref(&t->ctx);
	free(t);
}

static void
tls_close(struct stream *s)
{
	struct tls *t = layer_of(s);

	if (!s->reset_on_close && !t->dialing) {
		(void)notify(t);
		if ((SSL_get_shutdown(t->ssl) & SSL_RECEIVED_SHUTDOWN) == 0)
			drain(t);
	}
	s->layer = NULL;
	tls_free(t);
	tcp_close(s);
}

static const struct stream_ops tls_ops = {
    .name = "tls",
    .read = tls_read,
    .write = tls_write,
    .shutdown_write = tls_shutdown_write,
    .close = tls_close,
};

/* --- the handshake ---------------------------------------------------------------------------- */

/* The longest record the peer takes (RFC 6066 4). */
static uint16_t
record_max(const SSL *ssl)
{
	uint8_t code = SSL_SESSION_get_max_fragment_length(SSL_get0_session(ssl));

	return code >= 1 && code <= 4 ? (uint16_t)(256u << code) : TLS_RECORD_MAX;
}

static void
established(struct tls *t)
{
	t->s->connecting = false;
	t->s->writable = true;
	t->record_max = record_max(t->ssl);
	if (t->server)
		tls_accept_done(t);
	SSL_free_buffers(t->ssl);
	(void)read_some(t, 1);
}

static void
refused(struct tls *t)
{
	t->s->refused = true;
	t->s->connecting = false;
	t->s->readable = t->s->writable = true;
}

void
tls_handshake(struct tls *t)
{
	int rc, why;

	ERR_clear_error();
	rc = SSL_do_handshake(t->ssl);
	why = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return;
	/* Whom a server is was proved when the session began; what is asked of it may be more. */
	if (why == SSL_ERROR_NONE && !t->server && SSL_session_reused(t->ssl) &&
	    tls_peer_fits(t, SSL_get0_peer_certificate(t->ssl)) < 0)
		why = SSL_ERROR_SSL;
	if (why == SSL_ERROR_NONE) {
		established(t);
		return;
	}
	tls_fail_ssl(t, why);
	if (!t->server)
		tls_connect_failed(t);
	refused(t);
}

static bool
dialed(struct tls *t, uint32_t events)
{
	struct stream *s = t->s;
	int rc = tcp_connected(s, events);

	if (rc == 0)
		return false;
	t->dialing = false;
	s->connecting = rc > 0;
	if (rc < 0)
		tls_fail(t, s->err, TLS_FAIL_NONE, "%s", strerror(s->err));
	return true;
}

static void
tls_event(struct watch *w, uint32_t events)
{
	struct stream *s = container_of(w, struct stream, watch);
	struct tls *t = layer_of(s);

	if (t->dialing && !dialed(t, events))
		return;
	tcp_edges(s, events, &t->raw_readable, &t->raw_writable);
	if (s->connecting) {
		tls_handshake(t);
		if (!s->connecting)
			s->on_event(s);
		return;
	}
	if (t->notify_due && t->raw_writable)
		tls_shutdown_write(s);
	s->readable |= t->raw_readable || (t->read_wants_write && t->raw_writable);
	s->writable |= t->raw_writable;
	s->on_event(s);
}

struct tls *
tls_layer(
    struct stream *s, struct tls_ctx *c, void (*on_event)(struct stream *), const char **error_r)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	BIO *b;

	BUG_ON(s->ops == NULL || s->watch.fd < 0 || s->layer != NULL);
	ERR_clear_error();
	*t = (struct tls){.s = s, .ctx = tls_ctx_ref(c), .server = c->server};
	t->ssl = SSL_new(c->ssl);
	b = t->ssl != NULL ? tls_bio_new(t) : NULL;
	if (b == NULL || SSL_set_app_data(t->ssl, t) != 1) {
		(void)tls_wrong("TLS", tls_reason(), error_r);
		BIO_free(b);
		tls_free(t);
		return NULL;
	}
	SSL_set_bio(t->ssl, b, b);
	t->record_max = TLS_RECORD_MAX;
	t->dialing = s->connecting;
	t->raw_readable = s->readable;
	t->raw_writable = s->writable || !s->connecting;
	s->connecting = true;
	s->readable = s->writable = false;
	s->layer = t;
	s->ops = &tls_ops;
	s->watch.fn = tls_event;
	s->on_event = on_event;
	return t;
}
