/* SPDX-License-Identifier: Apache-2.0
 *
 * Upstream connections: opened, used by one exchange at a time, kept idle for the next one to the
 * same endpoint. An idle one is watched: any octet or end that arrives closes it, for no answer was
 * asked for (of TLS: what TLS does not keep for itself). Identity is the arena row and its
 * incarnation, so a connection is never given to another endpoint that got the row later; what was
 * told where connections tell the endpoint who the client is; and what TLS it speaks.
 */
#ifndef GW_POOL_H
#define GW_POOL_H

#include "shm/base/addr.h"
#include "shm/base/timer.h"
#include "worker/http/h1_conn.h"
#include "worker/net/proxy_header.h"
#include "worker/up/secure.h"
#include "worker/up/up.h"

struct shared;

#define POOL_ROW_NONE UINT32_MAX /* not pooled: the gateway's own upstream */

struct upconn {
	struct h1_conn h1;
	struct up *up;
	struct list node;   /* among the idle ones of its row, newest first */
	struct timer timer; /* the end of its idleness */
	uint32_t row, incarnation;
	uint32_t requests;   /* begun on it */
	uint64_t idle_since; /* ms */
	uint64_t peer_idle;  /* ms the endpoint said it keeps it; 0 = it did not say */
	uint8_t greeting_n;  /* the PROXY header it began with: part of its identity */
	char greeting[PROXY_HEADER_OUT];
	struct secure *secure; /* NULL: plain; a reference */
	struct shared *shared; /* shared.h: it carries exchanges side by side; NULL */
};

/* What a connection is: one is reused where it would be made alike. All borrowed. */
struct pool_id {
	uint32_t row, incarnation;
	struct str greeting;   /* the PROXY header it begins with */
	struct secure *secure; /* pool_secure's; NULL: plain */
};

struct pool_limits {
	uint32_t idle;         /* kept per endpoint */
	uint64_t idle_timeout; /* ms; 0 = none */
	uint32_t requests;     /* per connection, 0 = any number */
};

struct pool *pool_new(struct up *u, uint32_t rows);
void pool_free(struct pool **p);

/* What TLS to this row is now: the same as long as profile and name are; where they are not,
 * another, and the idle connections of before are closed. Borrowed until the next call for the row.
 * NULL: there is no such row. */
struct secure *pool_secure(struct pool *p, uint32_t row, uint32_t incarnation,
    struct trust_profile *profile, struct str name);
/* An idle connection of that identity, or NULL. `careful`: the request could not be sent twice, so
 * only one that was used within the last second and is silent now (one system call more). */
struct upconn *pool_get(struct pool *p, const struct pool_id *id, bool careful);
/* A new one, connecting or connected; its greeting is to be sent, then its handshake made. NULL
 * with *errno_r. */
struct upconn *pool_connect(
    struct pool *p, const struct pool_id *id, const struct addr *to, int *errno_r);
/* The connection stands: sends what it is to begin with, and remembers it as its own. 1, or -1 when
 * it was not taken whole: the connection is of no use then. */
int pool_greet(struct upconn *c, struct str greeting) NODISCARD;
/* The exchange is over and the connection may serve another: kept, or closed where a limit says so.
 */
void pool_put(struct pool *p, struct upconn **c, const struct pool_limits *l);
void pool_close(struct pool *p, struct upconn **c);
unsigned pool_idle(const struct pool *p); /* idle connections in all */
/* Closes idle connections whose row has another incarnation by now, or whose TLS profile is not in
 * force any more. */
void pool_sweep(struct pool *p);
void pool_close_idle(struct pool *p);

/* For shared.c: a row's shared connections (NULL: there is no such row), all of them; one is idle
 * now, or not any more; is that incarnation the row's? */
struct list *pool_shared(struct pool *p, uint32_t row);
/* Connections to be shared that are on their way there: one more or fewer (0: just asked); when one
 * comes to be, or will not, those that wait are told in a turn of their own. Returns how many. */
unsigned pool_dialing(struct pool *p, uint32_t row, int by);
/* Waits for that. fn is called once, from the loop, unless list_del(waiter) came first. */
void pool_wait(struct pool *p, struct list *waiter, void (*fn)(struct list *waiter));
struct list *pool_shared_all(struct pool *p);
void pool_shared_idle(struct pool *p, bool idle);
bool pool_current(const struct pool *p, uint32_t row, uint32_t incarnation);

#endif
