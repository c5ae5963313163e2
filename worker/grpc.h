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

/* Is it a call, by its Content-Type? Not one of gRPC-Web. */
bool grpc_is(const struct head *h);
/* The head is there: notes the call and its deadline. False: grpc-timeout is malformed, which
 * grpc_bad_timeout has words for. */
bool grpc_begin(struct req *r);
extern const struct str grpc_bad_timeout;
/* Before the head goes to an upstream: the time that is left, where there is a limit. */
void grpc_forward(struct req *r);
/* Is our own error to be told as gRPC's? Calls of gRPC-Web too, translated or not: their clients
 * understand nothing else. */
bool grpc_listens(struct req *r);
/* Our own answer to a call becomes one of trailers only: r->reply is what was to be said. */
void grpc_answer(struct req *r);
/* The same, when policies have had their say of r->out: gRPC-Web may want a body. */
void grpc_answered(struct req *r);
/* The answer has begun, and a limit of ours ends it: the client is told in trailers. False: it
 * cannot be (or the end is not of our making), and a reset has to do. */
bool grpc_break(struct req *r, enum reason why);
/* What the call came to, for log and counters: enum grpc_code; -1 it is no call, or ended without.
 */
int grpc_status(const struct req *r);
struct str grpc_word(const struct req *r); /* "UNAVAILABLE"; "" */

/* gRPC-Web (PROTOCOL-WEB): what browsers can say of it. Trailers are the last frame of the body;
 * the text form is base64 of it all. */
enum grpc_web { GRPC_WEB_NOT, GRPC_WEB_BINARY, GRPC_WEB_TEXT };
/* By the request's Content-Type and method. *suffix_r: "+proto", "". */
enum grpc_web grpc_web_is(const struct head *h, struct str *suffix_r);
/* Notes what the answer's Content-Type will be (r->web_type): as the request's, in the form that
 * Accept asks for where it names one. */
void grpc_web_begin(struct req *r, enum grpc_web form, struct str suffix);
bool grpc_web_text(const struct req *r); /* the answer's form */
/* The answer's last frame, in its form: its trailers, or the status in its head where a page of
 * another origin cannot read that; "" when there is nothing to add. From then on r->out has no
 * trailers. NULL over the workspace's limit. */
struct str grpc_web_end(struct req *r);

#endif
