/* SPDX-License-Identifier: Apache-2.0
 *
 * What streams of every kind have in common.
 */
#include "worker/net/stream.h"

#include <errno.h>

#include "worker/net/tls.h"

void
stream_close(struct stream *s)
{
	if (s->ops != NULL && s->watch.fd >= 0)
		s->ops->close(s);
}

ssize_t
stream_peek(struct stream *s, void *p, size_t n)
{
	ssize_t got;

	if (s->layer != NULL) {
		s->err = EOPNOTSUPP;
		return STREAM_ERROR;
	}
	do {
		got = recv(s->watch.fd, p, n, MSG_PEEK | MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	if (got > 0)
		return got;
	if (got == 0)
		return STREAM_EOF;
	if (errno != EAGAIN && errno != EWOULDBLOCK) {
		s->err = errno;
		return STREAM_ERROR;
	}
	s->readable = false;
	return STREAM_AGAIN;
}

int
stream_idle_ok(struct stream *s)
{
	char c;

	if (s->layer != NULL)
		return tls_idle_ok(s);
	if (s->ops == NULL || s->watch.fd < 0 || s->connecting || s->eof || s->hup || s->err != 0)
		return 0;
	return recv(s->watch.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}
