/* SPDX-License-Identifier: Apache-2.0
 *
 * One request, whatever protocol it came by: heads, route, attempt, timings. Data only; the steps
 * (worker/steps.def) move it, policies read and change the parts they may. Lives in its workspace
 * from first octet to log line.
 */
#ifndef GW_REQ_H
#define GW_REQ_H

#include "conf/table.h"
#include "shm/base/addr.h"
#include "shm/base/loop.h"
#include "shm/base/timer.h"
#include "shm/base/ws.h"
#include "shm/reason.h"
#include "worker/http/head.h"

struct plan;      /* worker/plan.h */
struct worker;    /* worker/worker_priv.h */
struct conn;      /* client side, worker/conn.h */
struct attempt;   /* upstream side, worker/up/attempt.h */
struct gen;       /* the settings it runs by, worker/generation.h */
struct tls_facts; /* worker/net/tls.h */
struct websocket;
struct xchg;   /* its exchange on either side, worker/http/proto.h */
struct filter; /* worker/filter.h */

/* Phase timings in monotonic nanoseconds; 0 = not reached. */
struct req_times {
	uint64_t start;                      /* first octet of the head */
	uint64_t head;                       /* head complete */
	uint64_t policies;                   /* request policies done */
	uint64_t connect_start, connect_end; /* last attempt; equal when reused */
	uint64_t sent; /* request head (and what body there was) handed to the upstream's socket */
	uint64_t request_body; /* last octet of the request body received */
	uint64_t first_byte;   /* upstream's response head complete */
	uint64_t end;          /* last octet handed to the client's socket */
};

/* An answer made here. body is borrowed (plan, ws or static). */
struct reply {
	bool set;
	uint16_t status;
	enum reason reason;
	struct str content_type; /* "" = application/problem+json made from reason */
	struct str body;
	struct str detail; /* overrides the reason's text in the problem body */
	struct str allow;  /* Allow for 405 */
	bool close;        /* and close the client connection */
};

/* What becomes of the client connection after the request. */
enum req_after {
	AFTER_KEEP,   /* the next request */
	AFTER_CLOSE,  /* nothing can be on its way to us: closed */
	AFTER_LINGER, /* closed when the client stopped sending, or after a while */
	AFTER_RESET   /* the response is broken: the client must not take it for whole */
};

enum { WAIT_NOTHING, WAIT_TIMER, WAIT_CLIENT, WAIT_UPSTREAM };
struct req {
	struct list node; /* among the free ones */
	uint32_t magic;
#define REQ_MAGIC 0x72657121u
	struct worker *worker;
	struct conn *conn;
	struct ws ws;

	uint8_t step;       /* enum step */
	uint8_t waiting;    /* WAIT_*: exactly one waker while a step waits */
	struct timer timer; /* the waker of WAIT_TIMER (fault, later queues) */
	unsigned policy_at; /* index in the chain of the policy that runs or waits */

	struct str up_path; /* path to forward (rewrite changes it); the endpoint's base path comes
			       before it */
	struct reply reply;

	const struct addr *via; /* who connected, where a PROXY header named another; else NULL */
	bool peer_trusted;
	const struct tls_facts *handshake; /* what TLS agreed with who connected; NULL: plain */
	bool tls; /* of the client connection as seen by it (X-Forwarded-Proto of a trusted peer
		     counts) */

	struct str id;          /* request id */
	struct str trace_id;    /* 32 hex digits */
	struct str traceparent; /* as forwarded */

	struct plan *plan;     /* one reference, dropped at the end; NULL when no route */
	struct str route;      /* its id, "" then */
	uint32_t metric_route; /* its row */
	uint64_t generation;   /* it was routed by */

	struct attempt *attempt;
	uint16_t attempts;
	struct xchg *cx, *ux; /* the client's exchange; the upstream's, NULL while there is none */
	struct filter *filter_in, *filter_out; /* what changes the bodies; NULL: nothing */
	struct websocket *websocket;           /* the handshake is one; worker/websocket.h */
	struct gen *gen;                       /* one reference */
	struct defer again;  /* much to relay: the rest when others had their turn */
	uint8_t after;       /* enum req_after: what becomes of the client connection */
	bool own_upstream;   /* management: goes to the admin process */
	bool grpc;           /* it is a call of gRPC */
	uint8_t grpc_told;   /* 1 + the grpc-status that went out in the body; 0: see the head */
	struct str web_type; /* call of gRPC-Web: Content-Type of its answer; else "" */
	bool te_trailers;    /* the client takes trailers: said to the upstream too */
	bool up_deaf;        /* the upstream takes no more of the request body */
	bool failing;        /* a try failed: fail_reason is the answer when there is no other */
	enum reason fail_reason;
	const char
	    *host_made; /* text of the Host field as the gateway made it: replaced per endpoint */
	void **policy_state; /* by index in the chain */
	struct str service;  /* for the log */
	struct str endpoint; /* last endpoint's name */
	enum reason reason;  /* why it ended otherwise than by the upstream's answer */
	struct str policy;   /* name of the policy that answered */

	uint64_t body_in, body_out;   /* payload octets received from and sent to the client */
	uint64_t bytes_in, bytes_out; /* with heads and framing */
	uint64_t deadline_ms;         /* the client's own, monotonic; 0: none */
	uint64_t body_limit;
	bool response_started, logged_off; /* logged_off: no access line (health) */
	uint16_t sent_status; /* of the head that went out, where the log says 499 instead */
	struct str stream;    /* what kind of stream the answer is, "" for none: for the log */
	struct req_times t;

	/* From here on set by req_new, as far as it is used; all before is cleared. */
	struct head in;           /* the request; policies change it, the upstream gets it */
	struct head out;          /* the response on its way to the client */
	const struct addr *local; /* the address it connected to */
	struct addr peer;         /* who connected, or whom the PROXY header of who did names */
	struct addr client;       /* the client after trusted proxies were believed */
	struct match_result match;
};

/* For policies (may answer): sets the reply; the policy then returns VERDICT_REPLY. */
void req_reply(
    struct req *r, uint16_t status, enum reason why, struct str content_type, struct str body);
void req_reply_reason(struct req *r, enum reason why); /* problem body, status from the table */
/* WAIT: the request sleeps for ms, then the same policy's `answer` runs again (r->policy_state
 * tells it). */
void req_wait_ms(struct req *r, uint64_t ms);
/* Per-request state of a policy: zeroed memory on first call, the same after. NULL over the
 * workspace limit. */
void *req_policy_state(struct req *r, unsigned index, size_t size);

#endif
