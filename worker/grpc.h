/* SPDX-License-Identifier: Apache-2.0
 *
 * What is particular about gRPC calls (PROTOCOL-HTTP2): their deadline, which is shortened and
 * passed on, and their status, which is in the trailers: the gateway's own errors are told that way
 * too, for a client of gRPC does not look at HTTP's.
 */
#ifndef GW_GRPC_H
#define GW_GRPC_H

#include "worker/req.h"

enum grpc_code {
#define GRPC(CODE, number) GRPC_##CODE = (number),
#include "shm/grpc.def"
#undef GRPC
	GRPC_CODE_COUNT
};

/* Is it a call, by its Content-Type? Not gRPC-Web, which a policy has to translate first. */
bool grpc_is(const struct head *h);
/* The head is there: notes the call and its deadline. False: grpc-timeout is malformed. */
bool grpc_begin(struct req *r);
/* Before the head goes to an upstream: the time that is left, where there is a limit. */
void grpc_forward(struct req *r);
/* Our own answer to a call becomes one of trailers only: r->reply is what was to be said. */
void grpc_answer(struct req *r);
/* What the call came to, for log and counters: enum grpc_code; -1 it is no call, or ended without.
 */
int grpc_status(const struct req *r);
struct str grpc_word(const struct req *r); /* "UNAVAILABLE"; "" */

#endif
