/* SPDX-License-Identifier: Apache-2.0
 *
 * See tls_client.h. OpenSSL reads and writes the inner stream through a BIO of our own, so that
 * edges, errno and SIGPIPE are dealt with in one place, tcp.c.
 */
#include "worker/net/tls_client.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "shm/base/bug.h"

#define RECORD_MAX 16384

struct tls_client_ctx {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	bool verify;
};

/* Words live until the next call that fails: they are copied or logged at once. */
static struct tls_client_words {
	char text[512];
} words;

/* --- the inner stream as a BIO --- */

static int
bio_result(BIO *b, ssize_t n, int retry)
{
	BIO_clear_retry_flags(b);
	if (n > 0)
		return (int)n;
	if (n == STREAM_AGAIN)
		BIO_set_flags(b, retry | BIO_FLAGS_SHOULD_RETRY);
	return n == STREAM_EOF ? 0 : -1;
}

static int
bio_read(BIO *b, char *p, int n)
{
	return bio_result(b, stream_read(BIO_get_data(b), p, (size_t)n), BIO_FLAGS_READ);
}

static int
bio_write(BIO *b, const char *p, int n)
{
	struct iovec v = {.iov_base = (void *)(uintptr_t)p, .iov_len = (size_t)n};

	return bio_result(b, stream_write(BIO_get_data(b), &v, 1), BIO_FLAGS_WRITE);
}

static long
bio_ctrl(BIO *b, int what, long arg UNUSED, void *p UNUSED)
{
	const struct stream *tcp = BIO_get_data(b);

	if (what == BIO_CTRL_EOF)
		return tcp->eof;
	return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

	if (m && BIO_meth_set_read(m, bio_read) == 1 && BIO_meth_set_write(m, bio_write) == 1 &&
	    BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		return m;
	BIO_meth_free(m);
	return NULL;
}

/* --- contexts --- */

static const char *
reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = e != 0 ? ERR_reason_error_string(e) : NULL;

	return text ? text : "no reason given";
}

static int
fail(const char *what, const char *why, const char **error_r)
{
	snprintf(words.text, sizeof(words.text), "%s: %s", what, why);
	*error_r = words.text;
	ERR_clear_error();
	return -1;
}

/* Nobody is there to be asked. */
static int
no_passphrase(char *buf UNUSED, int size UNUSED, int rw UNUSED, void *arg UNUSED)
{
	return -1;
}

typedef int cert_f(SSL_CTX *ssl, X509 *cert, unsigned n);

/* Every certificate of a PEM text. The end is an error to OpenSSL: "no start line". */
static int
certs_each(SSL_CTX *ssl, struct str pem, cert_f *fn, const char *what, const char **error_r)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)MIN(pem.n, (size_t)INT32_MAX));
	unsigned n = 0;
	bool taken = true;
	X509 *cert;

	while (b && taken && (cert = PEM_read_bio_X509(b, NULL, no_passphrase, NULL)) != NULL) {
		taken = fn(ssl, cert, n++) == 1;
		X509_free(cert);
	}
	BIO_free(b);
	if (!taken || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return fail(what, reason(), error_r);
	ERR_clear_error();
	return n > 0 ? 1 : fail(what, "there is no certificate in it", error_r);
}

static int
cert_trust(SSL_CTX *ssl, X509 *cert, unsigned n UNUSED)
{
	return X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), cert);
}

static int
cert_own(SSL_CTX *ssl, X509 *cert, unsigned n)
{
	if (n == 0)
		return SSL_CTX_use_certificate(ssl, cert);
	return (int)SSL_CTX_add1_chain_cert(ssl, cert);
}

static int
key_own(SSL_CTX *ssl, struct str pem, const char **error_r)
{
	BIO *b = BIO_new_mem_buf(pem.p, (int)MIN(pem.n, (size_t)INT32_MAX));
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
	bool ok = key && SSL_CTX_use_PrivateKey(ssl, key) == 1;

	EVP_PKEY_free(key);
	BIO_free(b);
	if (!ok)
		return fail("client key (PEM, without a passphrase)", reason(), error_r);
	if (SSL_CTX_check_private_key(ssl) != 1)
		return fail("client key", "it does not belong to the certificate", error_r);
	return 1;
}

static int
ctx_fill(SSL_CTX *ssl, const struct tls_client_opts *o, const char **error_r)
{
	if (o->verify && o->ca.n == 0 && SSL_CTX_set_default_verify_paths(ssl) != 1)
		return fail("the system's certificates", reason(), error_r);
	if (o->ca.n > 0 && certs_each(ssl, o->ca, cert_trust, "CA certificates", error_r) < 0)
		return -1;
	if ((o->certificate.n > 0) != (o->key.n > 0))
		return fail(
		    "client certificate and key", "one is there without the other", error_r);
	if (o->certificate.n == 0)
		return 1;
	if (certs_each(ssl, o->certificate, cert_own, "client certificate", error_r) < 0)
		return -1;
	return key_own(ssl, o->key, error_r);
}

struct tls_client_ctx *
tls_client_ctx_new(const struct tls_client_opts *o, const char **error_r)
{
	struct tls_client_ctx *c = xcalloc(1, sizeof(*c));

	ERR_clear_error();
	c->verify = o->verify;
	c->bio = bio_method();
	c->ssl = SSL_CTX_new(TLS_client_method());
	if (!c->bio || !c->ssl || SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION) != 1) {
		(void)fail("TLS", reason(), error_r);
		tls_client_ctx_free(&c);
		return NULL;
	}
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* What is retried after AGAIN is the same octets, at another place maybe. */
	SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				     SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(c->ssl, o->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (ctx_fill(c->ssl, o, error_r) < 0)
		tls_client_ctx_free(&c);
	return c;
}

void
tls_client_ctx_free(struct tls_client_ctx **cp)
{
	struct tls_client_ctx *c = *cp;

	*cp = NULL;
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->bio);
	free(c);
}

/* --- what went wrong --- */

/* The first cause stays. For errno, whatever is nearest. */
static void
broken(struct tls_client *t, int err, const char *what, const char *why)
{
	if (t->s.err != 0)
		return;
	t->s.err = err != 0 ? err : EPROTO;
	snprintf(t->error, sizeof(t->error), "%s%s%s", what, why[0] ? ": " : "", why);
}

static void
broken_tls(struct tls_client *t)
{
	long verdict = t->verify ? SSL_get_verify_result(t->ssl) : X509_V_OK;

	if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		broken(t, ECONNRESET,
		    t->s.connecting ? "the server closed the connection during the TLS handshake"
				    : "the server closed the connection without ending TLS",
		    "");
	else if (verdict != X509_V_OK)
		broken(t, EPROTO, "the server's certificate is refused",
		    X509_verify_cert_error_string(verdict));
	else
		broken(t, EPROTO, "TLS", reason());
}

static ssize_t
failed(struct tls_client *t, int why)
{
	if (why == SSL_ERROR_SSL)
		broken_tls(t);
	else if (t->tcp.err != 0)
		broken(t, t->tcp.err, strerror(t->tcp.err), "");
	else
		broken(t, ECONNRESET, "the server closed the connection", "");
	ERR_clear_error();
	t->s.readable = t->s.writable = true; /* so that the owner tries and learns */
	return STREAM_ERROR;
}

const char *
tls_client_error(const struct tls_client *t)
{
	return t->error;
}

/* --- the stream --- */

static struct tls_client *
client_of(struct stream *s)
{
	return container_of(s, struct tls_client, s);
}

static ssize_t
tls_read(struct stream *s, void *p, size_t n)
{
	struct tls_client *t = client_of(s);
	int got, why;

	if (s->connecting)
		return STREAM_AGAIN;
	if (s->err != 0)
		return STREAM_ERROR;
	if (s->eof || n == 0)
		return s->eof ? STREAM_EOF : 0;
	ERR_clear_error();
	got = SSL_read(t->ssl, p, (int)MIN(n, (size_t)INT32_MAX));
	if (got > 0)
		return got;
	why = SSL_get_error(t->ssl, got);
	if (why == SSL_ERROR_ZERO_RETURN) {
		s->eof = true;
		return STREAM_EOF;
	}
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		return failed(t, why);
	t->read_wants_write = why == SSL_ERROR_WANT_WRITE;
	s->readable = false;
	return STREAM_AGAIN;
}

/* At most a record: what is retried after AGAIN must not be shorter than it was, however the
 * owner's pieces lie by then. Small pieces go into one record. */
static size_t
record_gather(const struct iovec *v, int n, size_t skip, char room[RECORD_MAX], const char **p_r)
{
	size_t have = 0;

	for (; n > 0 && skip >= v->iov_len; v++, n--)
		skip -= v->iov_len;
	if (n == 0)
		return 0;
	*p_r = (const char *)v->iov_base + skip;
	if (n == 1 || v->iov_len - skip >= RECORD_MAX)
		return MIN(v->iov_len - skip, (size_t)RECORD_MAX);
	for (; n > 0 && have < RECORD_MAX; v++, n--, skip = 0) {
		size_t part = MIN(v->iov_len - skip, RECORD_MAX - have);

		if (part > 0)
			memcpy(room + have, (const char *)v->iov_base + skip, part);
		have += part;
	}
	*p_r = room;
	return have;
}

static ssize_t
write_stopped(struct tls_client *t, int why, size_t sent)
{
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		(void)failed(t, why);
		return sent > 0 ? (ssize_t)sent : STREAM_ERROR;
	}
	t->write_wants_read = why == SSL_ERROR_WANT_READ;
	t->s.writable = false;
	return sent > 0 ? (ssize_t)sent : STREAM_AGAIN;
}

static ssize_t
tls_write(struct stream *s, const struct iovec *v, int n)
{
	struct tls_client *t = client_of(s);
	char room[RECORD_MAX];
	const char *p = room;
	size_t sent = 0, part;

	if (s->connecting)
		return STREAM_AGAIN;
	if (s->err != 0)
		return STREAM_ERROR;
	while ((part = record_gather(v, n, sent, room, &p)) > 0) {
		int put;

		ERR_clear_error();
		put = SSL_write(t->ssl, p, (int)part);
		if (put <= 0)
			return write_stopped(t, SSL_get_error(t->ssl, put), sent);
		sent += (size_t)put;
	}
	return (ssize_t)sent;
}

/* close_notify, if there is room for it; TCP stays open for what is yet to be read. */
static void
tls_shutdown_write(struct stream *s)
{
	struct tls_client *t = client_of(s);

	if (s->connecting || s->err != 0 || s->watch.fd < 0)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

static void
tls_close(struct stream *s)
{
	struct tls_client *t = client_of(s);

	if (!s->reset_on_close)
		tls_shutdown_write(s);
	SSL_free(t->ssl);
	t->ssl = NULL;
	t->tcp.reset_on_close = s->reset_on_close;
	stream_close(&t->tcp);
	s->watch.fd = -1;
	s->readable = s->writable = s->connecting = false;
}

static const struct stream_ops tls_ops = {
    .name = "tls",
    .read = tls_read,
    .write = tls_write,
    .shutdown_write = tls_shutdown_write,
    .close = tls_close,
};

/* --- the handshake --- */

static void
handshake(struct tls_client *t)
{
	int done, why;

	if (t->tcp.connecting)
		return;
	ERR_clear_error();
	done = SSL_do_handshake(t->ssl);
	if (done == 1) {
		t->s.connecting = false;
		t->s.readable = t->s.writable = true;
		return;
	}
	why = SSL_get_error(t->ssl, done);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return;
	(void)failed(t, why);
	t->s.refused = true;
	t->s.connecting = false;
}

static void
tls_event(struct stream *tcp)
{
	struct tls_client *t = container_of(tcp, struct tls_client, tcp);
	struct stream *s = &t->s;

	if (s->connecting) {
		handshake(t);
		s->hup = tcp->hup;
		if (!s->connecting)
			s->on_event(s);
		return;
	}
	s->hup = tcp->hup;
	s->readable |= tcp->readable || (t->read_wants_write && tcp->writable);
	s->writable |= tcp->writable || (t->write_wants_read && tcp->readable);
	s->on_event(s);
}

/* For an address the certificate must name that very address, and SNI says nothing (RFC 6066). */
static int
name_set(SSL *ssl, struct str name, const char **error_r)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char z[256];

	if (name.n == 0 || name.n >= sizeof(z) || memchr(name.p, '\0', name.n))
		return fail("TLS", "the server's name is empty or too long", error_r);
	snprintf(z, sizeof(z), "%.*s", STR_ARG(name));
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_ip_asc(param, z) == 1)
		return 1;
	if (X509_VERIFY_PARAM_set1_host(param, z, 0) != 1 || SSL_set_tlsext_host_name(ssl, z) != 1)
		return fail(z, "not a server's name", error_r);
	return 1;
}

static SSL *
ssl_make(struct tls_client *t, struct tls_client_ctx *c, struct str name, const char **error_r)
{
	SSL *ssl = SSL_new(c->ssl);
	BIO *bio = ssl ? BIO_new(c->bio) : NULL;

	if (!bio || name_set(ssl, name, error_r) < 0) {
		if (!bio)
			(void)fail("TLS", reason(), error_r);
		BIO_free(bio);
		SSL_free(ssl);
		return NULL;
	}
	BIO_set_data(bio, &t->tcp);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_connect_state(ssl);
	return ssl;
}

int
tls_client_start(struct tls_client *t, struct tls_client_ctx *c, struct str name,
    void (*on_event)(struct stream *), const char **error_r)
{
	BUG_ON(t->tcp.ops == NULL || t->tcp.watch.fd < 0);
	ERR_clear_error();
	t->s = (struct stream){.ops = &tls_ops, .loop = t->tcp.loop, .on_event = on_event};
	t->s.watch.fd = t->tcp.watch.fd; /* watched through t->tcp */
	t->s.connecting = true;
	t->verify = c->verify;
	t->read_wants_write = t->write_wants_read = false;
	t->error[0] = '\0';
	t->tcp.on_event = tls_event;
	t->ssl = ssl_make(t, c, name, error_r);
	if (!t->ssl) {
		stream_close(&t->tcp);
		t->s.watch.fd = -1;
		return -1;
	}
	handshake(t);
	if (!t->s.refused)
		return 1;
	*error_r = t->error;
	stream_close(&t->s);
	return -1;
}

const char *
tls_client_version(const struct tls_client *t)
{
	return SSL_get_version(t->ssl);
}
