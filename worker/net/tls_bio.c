/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenSSL's way to the socket: one BIO for both directions, that knows the edges, so that a call is
 * made only where it may do something, and that raises no SIGPIPE.
 */
#include <errno.h>
#include <sys/socket.h>

#include "worker/net/tls_priv.h"

/* As tcp_read: a short read has drained the socket, unless its end was announced. */
static int
bio_read(BIO *b, char *p, int n)
{
	struct tls *t = BIO_get_data(b);
	ssize_t got;

	BIO_clear_retry_flags(b);
	if (!t->raw_readable) {
		BIO_set_retry_read(b);
		return -1;
	}
	do {
		got = recv(t->s->watch.fd, p, (size_t)n, 0);
	} while (got < 0 && errno == EINTR);
	if (got > 0) {
		if (got < n && !t->s->hup)
			t->raw_readable = false;
		return (int)got;
	}
	if (got == 0) {
		t->raw_eof = true;
	} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
		t->raw_readable = false;
		BIO_set_retry_read(b);
	} else {
		t->io_err = errno;
	}
	return got == 0 ? 0 : -1;
}

static int
bio_write(BIO *b, const char *p, int n)
{
	struct tls *t = BIO_get_data(b);
	ssize_t put;

	BIO_clear_retry_flags(b);
	if (!t->raw_writable) {
		BIO_set_retry_write(b);
		return -1;
	}
	do {
		put = send(t->s->watch.fd, p, (size_t)n, MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	if (put >= 0)
		return (int)put;
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		t->raw_writable = false;
		BIO_set_retry_write(b);
	} else {
		t->io_err = errno;
	}
	return -1;
}

static long
bio_ctrl(BIO *b, int what, long arg UNUSED, void *p UNUSED)
{
	const struct tls *t = BIO_get_data(b);

	if (what == BIO_CTRL_EOF)
		return t->raw_eof;
	return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
method_new(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

	if (m != NULL && BIO_meth_set_read(m, bio_read) == 1 &&
	    BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		return m;
	BIO_meth_free(m);
	return NULL;
}

BIO *
tls_bio_new(struct tls *t)
{
	static BIO_METHOD *method; /* one per process, for its life */
	BIO *b;

	if (method == NULL)
		method = method_new();
	b = method != NULL ? BIO_new(method) : NULL;
	if (b == NULL)
		return NULL;
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	return b;
}
