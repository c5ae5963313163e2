/* SPDX-License-Identifier: Apache-2.0
 *
 * Listeners of this worker slot and accepting on them.
 */
#ifndef GW_ACCEPT_H
#define GW_ACCEPT_H

#include "conf/listener.h"
#include "shm/base/loop.h"
#include "shm/base/ws.h"

struct keyring_scope; /* keyring.h */
struct table;
struct tls_ctx; /* net/tls.h */
struct worker;

struct listener {
	struct list node;
	uint32_t refs; /* the list's and one per connection */
	struct worker *w;
	uint32_t number;
	char id[64];
	struct addr addr;
	struct watch watch;    /* fd -1: not accepting */
	int fd;                /* -1: withdrawn */
	struct addr next_addr; /* prepared: adopted when the map names this address */
	int next_fd;           /* -1: none */
	bool waited;           /* a generation went by that does not know it */
	unsigned n_conns;
	struct tls_ctx *tls;         /* its profile; NULL: plain, or none could be made yet */
	struct keyring_scope *scope; /* certificates it may show; the keyring's */
	struct ws ws;                /* owns conf */
	const struct conf_listener
	    *conf; /* NULL: its object is not in the map yet: accepts nothing */
};

/* A socket of this slot, owned from now on. A known listener goes on with its old one until the map
 * names the new address. */
void listener_add(
    struct worker *w, uint32_t number, const char *id, const struct addr *addr, int fd);
/* Settings of all listeners as the map has them; those it does not have any more are withdrawn. */
void listeners_settle(struct worker *w, struct table *t);
/* The bundle changed: their TLS profiles as they are now. One that cannot be made leaves the old.
 */
void listeners_trust(struct worker *w);
void listener_unref(struct listener **l);
/* A connection ended: there may be room again. */
void accept_resume(struct worker *w);
/* Takes what is queued on the sockets and closes them. */
void accept_stop(struct worker *w);
void accept_init(struct worker *w);
void accept_fini(struct worker *w);

#endif
