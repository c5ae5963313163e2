/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection commands go by: finds the server (target.h), stays connected to it, follows a
 * cluster's redirections. MOVED moves the connection, ASK sends that one command to the other node.
 */
#ifndef GW_REDIS_CONN_H
#define GW_REDIS_CONN_H

#include "conf/resolver.h"
#include "master/watcher/redis/link.h"
#include "master/watcher/redis/target.h"

enum conn_phase { CONN_REST, CONN_RESOLVE, CONN_OPEN, CONN_UP };

struct conn_opts {
	const struct conf_settings *s;
	struct link_opts link, sentinel;
	void (*on_up)(void *arg);
	/* From up, or from one try: l->why in words. Every unanswered callback has had its NULL. */
	void (*on_down)(void *arg, enum link_end how, const char *why);
	void *arg;
};

struct conn {
	struct conn_opts o;
	struct target target;
	struct resolver *resolver;
	enum conn_phase phase;
	bool to_sentinel; /* the one being called */
	struct endpoint now;
	struct addr addr;
	struct link main, ask, side;
	struct endpoint asked; /* the sentinel of a check */
	bool checking;         /* ask: is the master still that one? */
	struct endpoint side_to;
	struct list side_units; /* waiting for side to be up, or for its answer */
	struct timer retry;
	uint64_t serial; /* of look-ups: later ones make earlier answers stale */
	uint64_t restarted_ms;
	char why[256];
};

/* 1; -1 with words. */
int conn_init(struct conn *c, const struct conn_opts *o, const char **error_r) NODISCARD;
void conn_start(struct conn *c);
/* One command, or one transaction: what else is sent together fails while a cluster moves the keys.
 * Not up: fn gets NULL at once. */
void conn_send(struct conn *c, const struct command *cmd, link_reply_f *fn, void *arg);
/* Sentinels are asked whether the master is still that one. */
void conn_check(struct conn *c);

#endif
