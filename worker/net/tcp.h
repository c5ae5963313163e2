/* SPDX-License-Identifier: Apache-2.0
 *
 * What the layers above a plain socket share with tcp.c. For owners of streams: stream.h.
 */
#ifndef GW_TCP_H
#define GW_TCP_H

#include "worker/net/stream.h"

/* An event while a connection is on its way: 1 it stands, 0 not yet, -1 it failed (s->refused). */
int tcp_connected(struct stream *s, uint32_t events) NODISCARD;
/* What an event says of the socket, into s (hup, broken) and the two marks, which are only ever
 * set. */
void tcp_edges(struct stream *s, uint32_t events, bool *readable, bool *writable);
/* As stream_ops.read and write, into a pipe and out of one; n is not 0. The pipe is empty, or else
 * AGAIN may be its word instead of the socket's. */
ssize_t tcp_splice_from(struct stream *s, int pipe, size_t n) NODISCARD;
ssize_t tcp_splice_to(struct stream *s, int pipe, size_t n) NODISCARD;
/* As stream_ops.close. */
void tcp_close(struct stream *s);

#endif
