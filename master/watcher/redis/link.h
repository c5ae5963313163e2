/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to one Redis server: connecting, TLS, log-in, commands in a row with a callback
 * and a deadline each. A deadline that is missed closes it: what came later would be taken for
 * another answer. The owner embeds it, opens it as often as he likes, and is told when it goes.
 *
 *	link_init -> link_open -> on_up -> link_send ... -> on_down -> link_open ...
 */
#ifndef GW_REDIS_LINK_H
#define GW_REDIS_LINK_H

#include "master/watcher/redis/resp.h"
#include "shm/base/list.h"
#include "shm/base/loop.h"
#include "worker/net/tls.h"

/* r: the last reply, or the first that is an error; NULL: the connection went before it came. */
typedef void link_reply_f(void *arg, const struct reply *r);

struct link_opts { /* borrowed for the link's life */
	struct loop *loop;
	struct str username, password; /* empty: none */
	int64_t database;
	struct str name;        /* CLIENT SETNAME; empty: no name */
	struct tls_ctx *tls;    /* NULL: plain */
	struct str server_name; /* TLS: empty: the host */
	uint64_t connect_ms, command_ms;
};

enum link_state { LINK_CLOSED, LINK_OPENING, LINK_UP };
enum link_end { LINK_FAILED, LINK_TIMEOUT };

struct link {
	const struct link_opts *o;
	enum link_state state;
	struct stream s;
	struct resp *resp;
	struct gbuf out;
	size_t out_at;
	struct list pending;
	struct timer timer;
	struct defer more;    /* there may be more to read */
	uint64_t deadline_ms; /* of opening */
	uint64_t serial;      /* counts openings */
	char why[256];
	void (*on_up)(struct link *l);
	/* After it every unanswered callback has had its NULL. l->why has the words. */
	void (*on_down)(struct link *l, enum link_end how);
	/* What comes unasked. NULL: nothing should. */
	void (*on_push)(struct link *l, const struct reply *r);
};

void link_init(struct link *l, const struct link_opts *o);
/* Closed before. 1; -1 l->why: it cannot even begin. */
int link_open(struct link *l, const struct addr *to, struct str host) NODISCARD;
/* Up, or not at all: fn gets NULL at once then. With on_push, fn may be NULL: no answer is due. */
void link_send(struct link *l, const struct command *c, link_reply_f *fn, void *arg);
/* It is no good: as if the peer had gone. */
void link_fail(struct link *l, enum link_end how, const char *fmt, ...) PRINTF(3, 4);
/* Quietly: callbacks get NULL, on_down is not called. */
void link_close(struct link *l);

#endif
