/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS handshakes of clients: how one begins, what is counted and said of its end. TLS itself is
 * worker/net/tls.h's, certificates are the keyring's.
 */
#ifndef GW_HANDSHAKE_H
#define GW_HANDSHAKE_H

#include "shm/base/base.h"

struct conn;
struct stream;

/* The stream of a connection in CONN_TLS has news; it begins with the first octet, so that a
 * connection that says nothing costs no more than a plain one. 1 the connection goes on to its
 * first request, -1 it is over (counted, and said where there is something to say), 0 not yet:
 * on_event is called. A client that speaks plain HTTP goes on too, c->misled, to be told so. */
int handshake_run(struct conn *c, void (*on_event)(struct stream *)) NODISCARD;
/* Its time is over. */
void handshake_late(struct conn *c);

#endif
