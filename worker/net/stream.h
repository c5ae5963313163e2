/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte streams of one shape: tcp (and Unix sockets), and tls, which a tcp one is turned into. A
 * stream is registered once, edge-triggered, for its whole life: the owner reads until WOULD_BLOCK
 * and is called again when there is more.
 */
#ifndef GW_STREAM_H
#define GW_STREAM_H

#include <sys/uio.h>

#include "shm/base/addr.h"
#include "shm/base/loop.h"

struct stream;

/* Results of read and write besides a positive count. */
enum { STREAM_AGAIN = -1, STREAM_EOF = -2 /* read only */, STREAM_ERROR = -3 };

struct stream_ops {
	const char *name;
	/* > 0 octets, STREAM_AGAIN, STREAM_EOF (orderly end), STREAM_ERROR (errno kept in s->err)
	 */
	ssize_t (*read)(struct stream *s, void *p, size_t n);
	ssize_t (*write)(struct stream *s, const struct iovec *v, int n);
	void (*shutdown_write)(struct stream *s);
	void (*close)(struct stream *s); /* removes the watch, closes; with reset_on_close: RST */
};

struct stream {
	const struct stream_ops *ops;
	struct loop *loop;
	struct watch watch;
	int err;                 /* errno of the last STREAM_ERROR */
	bool readable, writable; /* as far as known: edges set, AGAIN clears */
	bool connecting;         /* reads and writes give AGAIN; when it failed, ERROR with err */
	bool refused;            /* the connection never came to be */
	bool eof;                /* read gave EOF */
	bool hup;                /* the peer's end was announced: a read will come to it */
	bool broken; /* nothing passes either way any more: a reset, or both ends closed */
	bool reset_on_close;
	void *layer; /* what stands between the socket and the owner: TLS's; NULL */
	/* Owner's callback: something changed (readable, writable, connected, failed). May close
	 * the stream. */
	void (*on_event)(struct stream *s);
};

/* Wraps an accepted, non-blocking socket. 1 or -1 (registration failed; fd is closed). */
int stream_tcp_accept(struct stream *s, struct loop *loop, int fd, bool urgent,
    void (*on_event)(struct stream *)) NODISCARD;
/* Starts connecting. 1 (connected or on its way: s->connecting), -1 with s->err. TCP_NODELAY
 * always. */
int stream_tcp_connect(struct stream *s, struct loop *loop, const struct addr *to,
    void (*on_event)(struct stream *)) NODISCARD;

static inline ssize_t
stream_read(struct stream *s, void *p, size_t n)
{
	return s->ops->read(s, p, n);
}
static inline ssize_t
stream_write(struct stream *s, const struct iovec *v, int n)
{
	return s->ops->write(s, v, n);
}
/* What the socket below holds, left where it is: as read, but never 0. Not for TLS:
 * ERROR with EOPNOTSUPP. */
ssize_t stream_peek(struct stream *s, void *p, size_t n);
void stream_close(struct stream *s); /* harmless when closed */
/* Is the peer still there and silent? For pooled connections before reuse: 1 fine, 0 readable or
 * closed. One recv(MSG_PEEK). */
int stream_idle_ok(struct stream *s);

#endif
