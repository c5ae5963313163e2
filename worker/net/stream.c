/* SPDX-License-Identifier: Apache-2.0
 *
 * What streams of every kind have in common.
 */
#include "worker/net/stream.h"

#include <errno.h>

void
stream_close(struct stream *s)
{
	if (s->ops != NULL && s->watch.fd >= 0)
		s->ops->close(s);
}

int
stream_idle_ok(struct stream *s)
{
	char c;

	if (s->ops == NULL || s->watch.fd < 0 || s->connecting || s->eof || s->hup || s->err != 0)
		return 0;
	return recv(s->watch.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}
