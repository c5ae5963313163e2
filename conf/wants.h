/* SPDX-License-Identifier: Apache-2.0
 *
 * Which objects name keys and certificates, and which references they name: kept by the keeper in
 * memory, as refs.h, so that a change costs what it changes. Counted once when the store is opened,
 * changed within a transaction, undone when that is aborted.
 *
 *	certificate	always: it is in the bundle by its id
 *	listener	with tls.enabled: CA, CRL, the secret of tickets
 *	service		with an endpoint at https:// or a reference of its own: CA (or the
 *system's), CRL, certificate with its key settings	with tls.ticket_secret
 *
 * What is in force has been read (it is in the bundle) under the references that are counted. So a
 * transaction has to wait for the secrets process only when it brings one that nobody had, or
 * changes what is judged by its content.
 */
#ifndef GW_WANTS_H
#define GW_WANTS_H

#include "conf/map.h"
#include "shm/base/hash.h"

struct want;
struct want_step;
struct wants {
	struct htab refs, objects;
	uint64_t n; /* objects */
	/* Of the transaction under way. */
	struct want_step *log;
	size_t n_log, cap;
	bool needed;
};

/* Does a service's settings name anything, so that the bundle has what its connections at https://
 * are judged by? */
struct conf_service;
bool wants_service(const struct conf_service *c);

/* Counts what the map's objects name. 1 or -1. */
int wants_load(struct wants *w, struct db_txn *t, const struct map *m) NODISCARD;
void wants_fini(struct wants *w);

/* The object has these settings now (body NULL: it is gone). */
void wants_set(struct wants *w, enum conf_kind kind, uint32_t number, const void *body);
/* Must what the transaction leaves be sealed before it may be committed? */
bool wants_needed(const struct wants *w);
/* Is there anything to seal, or was there before the transaction? */
bool wants_any(const struct wants *w);
/* Ends the transaction: what was set stays, or not. */
void wants_commit(struct wants *w);
void wants_abort(struct wants *w);

/* A sealed change set (conf/changeset.h) of all objects that name something, as the transaction
 * has them, in order of kinds and numbers. The descriptor, or -1 with *error_r. */
int wants_seal(
    const struct wants *w, struct db_txn *t, const struct map *m, const char **error_r) NODISCARD;

#endif
