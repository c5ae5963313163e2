/* SPDX-License-Identifier: Apache-2.0
 *
 * The upstream side of one request, over all its tries: pick an endpoint and take its share,
 * connect or reuse, exchange, judge, maybe try again. The worker's steps drive it; it holds at most
 * one share and one connection at a time and gives both back exactly once, at the latest when the
 * request's workspace is freed.
 */
#ifndef GW_ATTEMPT_H
#define GW_ATTEMPT_H

#include "conf/service.h"
#include "worker/up/endpoints.h"
#include "worker/up/pick.h"
#include "worker/up/pool.h"
#include "worker/up/retry.h"

/* What a request asks of its upstream side. Times in ms, 0 = none. */
struct attempt_conf {
	const struct conf_service *service; /* NULL: the gateway's own upstream (management) */
	struct str service_id;
	uint32_t service_number, metric_row;
	uint64_t connect_ms, first_byte_ms, idle_ms;
	uint64_t total_at_ms; /* monotonic; 0 = none */
	bool idempotent, body;
	bool own_connection;      /* a new one, and nobody's afterwards */
	struct str greeting;      /* what a connection has to begin with; borrowed */
	struct trust_memo *trust; /* where its profile is remembered (https); borrowed */
};

enum attempt_state { ATTEMPT_IDLE, ATTEMPT_CONNECTING, ATTEMPT_READY, ATTEMPT_FAILED };
enum attempt_phase { PHASE_NONE, PHASE_CONNECT, PHASE_FIRST_BYTE, PHASE_IDLE };

struct attempt {
	struct list node;   /* among the free ones */
	struct timer timer; /* of its phase; what is free may hang in the wheel */

	/* attempt_new clears this. */
	struct list waiter; /* among those that wait for another's connection to share */
	struct up *up;
	struct attempt_conf conf;
	/* Something changed: connected, failed, timed out (a->why), or the exchange has news. */
	void (*on_event)(struct attempt *a);
	void *owner; /* so much of it is fetched ahead of on_event: */
#define ATTEMPT_OWNER_NEAR 704
	const void
	    *tally; /* what the owner counts in when it is done: METRIC_ROW_NEAR of that too */

	uint8_t state, phase;
	bool reused, taken, timed_out, body_used, fresh, fresh_used, counted;
	bool stood;        /* there was a connection, its handshake made */
	bool dialing;      /* others wait for what it connects */
	bool shaking;      /* TCP stands, TLS is on its way */
	bool ours;         /* it failed for want of what is ours to have */
	unsigned tries;    /* those that count */
	enum reason why;   /* of ATTEMPT_FAILED or a timeout */
	struct epset *set; /* held while `to` points into it */
	const struct endpoint_ref *to;
	struct upconn *c;      /* its own connection; NULL: none, or a shared one */
	struct shared *shared; /* HTTP/2; looked at between connecting and beginning only */
	struct h2_stream *hs;  /* its exchange there */

	/* From here on what is used is set. */
	struct tried tried;
	struct endpoint_ref own; /* the gateway's own upstream */
};

/* The exchange under way; NULL: none. */
struct xchg *attempt_xchg(const struct attempt *a);

/* Recycled; freed with ws. */
struct attempt *attempt_new(struct up *u, const struct attempt_conf *conf, struct ws *ws);
void attempts_free(struct up *u); /* those that lie about */

/* Picks the next endpoint and takes its share. 1; 0: none is usable. a->to names it. */
int attempt_pick(struct attempt *a, struct table *t) NODISCARD;
/* The gateway's own upstream: no share, no pool. */
void attempt_own(struct attempt *a, const struct addr *to, struct str name);
/* A connection to a->to. 1 ready (a->c), 0 on its way (on_event), -1 failed (a->why). */
int attempt_connect(struct attempt *a) NODISCARD;
/* Begins the exchange on the ready connection. NULL: it takes none after all. */
struct xchg *attempt_begin(struct attempt *a, struct head *rx);
/* The deadline that holds now; the whole request's holds in every phase. */
void attempt_phase(struct attempt *a, enum attempt_phase phase);

/* What to call it that the try ended so: an endpoint may say only after the handshake that it will
 * not have us. */
enum reason attempt_reason(struct attempt *a, enum reason why);
/* It ended before anybody looked at it (RFC 9113 8.7). Ask before attempt_failed. */
bool attempt_refused(const struct attempt *a);
/* The endpoint answered: its health is fine. */
void attempt_answered(struct attempt *a, unsigned status, uint64_t first_byte_us);
/* The try ended without a whole answer: counts against the endpoint where it is the endpoint's
 * fault, and says whether there may be another try. Ends this one. */
enum retry attempt_failed(struct attempt *a, enum reason why);
/* Gives share and connection back; the connection is kept when `reusable` and the exchange allows
 * it. Harmless twice. */
void attempt_end(struct attempt *a, bool reusable);

#endif
