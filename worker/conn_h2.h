/* SPDX-License-Identifier: Apache-2.0
 *
 * Client connections that speak HTTP/2. One carries many requests, and each has a struct conn of
 * its own, a member: with its states, its deadlines and its request, as if it had come alone. The
 * carrier is the connection that was accepted, in state CONN_H2 while it has members and CONN_IDLE
 * while it has none.
 */
#ifndef GW_CONN_H2_H
#define GW_CONN_H2_H

#include "shm/base/str.h"

struct conn;
struct req;
struct worker;

struct conn_h2;

/* Does what has come look like the preface (RFC 9113 3.4)? 1 all of it, 0 as far as it goes, -1
 * no; where the listener does not take it by prior knowledge, -1. */
int conn_h2_looks(const struct conn *c, struct str octets) NODISCARD;
/* The connection speaks HTTP/2 from here on; `first` was read already. 1; -1 it cannot: to be
 * closed. */
int conn_h2_start(struct conn *c, struct str first) NODISCARD;
/* The request that is under way asks to go on in HTTP/2 (Upgrade: h2c): its connection becomes a
 * carrier, and the request one of its members. 1 done, 0 it does not ask, or may not; -1 the
 * connection is of no use any more. */
int conn_h2_upgrade(struct req *r) NODISCARD;
/* A carrier is closed: says so to the peer, if it can. Members are gone already. */
void conn_h2_end(struct conn *c);
/* Its stream will be ended as one that was not looked at: the client may send it again. False: it
 * is no member, or has its answer's head. */
bool conn_h2_refuse(struct req *r) NODISCARD;
/* In so many ms it is due, 0 for never: or before, when it is as old as it may be. */
uint64_t conn_h2_deadline(struct conn *c, uint64_t ms);
/* It is due. True: by its age, and it was told that there will be no more requests; it goes on
 * until it has none. */
bool conn_h2_aged(struct conn *c);
/* A member's request is over. */
void conn_h2_leave(struct conn *member);
/* Nothing waits to go out, or to be told: an idle carrier may be closed. */
bool conn_h2_quiet(const struct conn *c);
/* No new requests; closed when those under way are through. */
void conn_h2_drain(struct conn *c);
void conn_h2_drain_all(struct worker *w);

#endif
