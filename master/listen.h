/* SPDX-License-Identifier: Apache-2.0
 *
 * The listening sockets. The master owns every one for life: per address a group of SO_REUSEPORT
 * sockets, one per worker slot, so that what waits in a dead worker's queue is accepted by its
 * successor. A group is found by its address, so a listener that is renamed or renumbered keeps its
 * sockets. Unix sockets have one descriptor for all slots.
 *
 * Two lists name them: the committed listeners, and those of a reload under way. listens_prepare
 * makes what is missing, listens_commit or listens_abort ends it, listens_withdraw closes what no
 * list names any more.
 */
#ifndef GW_LISTEN_H
#define GW_LISTEN_H

#include "master/reload.h"
#include "shm/heritage.h"

struct listens;

struct listens *listens_new(void);
void listens_free(struct listens **l); /* closes everything, removes the files of Unix sockets */

/* Binds what is not bound yet, `slots` sockets each. -1 with *error_r ("cannot bind 0.0.0.0:80:
 * ..."): nothing has changed. */
int listens_prepare(struct listens *l, const struct listen_want *v, unsigned n, unsigned slots,
    const char **error_r) NODISCARD;
/* Those of the prepared list that workers do not have yet: calls fn for each with a slot's socket.
 */
typedef void listens_f(void *arg, const struct listen_want *w, int fd);
void listens_fresh(struct listens *l, unsigned slot, listens_f *fn, void *arg);
void listens_commit(struct listens *l); /* nothing, where nothing was prepared */
void listens_abort(struct listens *l);
void listens_withdraw(struct listens *l);
void listens_end(struct listens *l); /* closes all: nobody is let in any more */

/* More slots: sockets for them in every group. -1 with *error_r; what was there goes on. */
int listens_grow(struct listens *l, unsigned slots, const char **error_r) NODISCARD;
/* Connections go to these slots from now on. Returns how many groups did not take it (errno of the
 * last). */
unsigned listens_steer(struct listens *l, const bool *live, unsigned n);
/* What a worker of this slot inherits: committed listeners, and those of a reload under way.
 * Returns how many. */
unsigned listens_heritage(struct listens *l, unsigned slot, struct heritage_listen out[LISTEN_MAX]);
unsigned listens_count(const struct listens *l); /* committed */

#endif
