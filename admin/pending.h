/* SPDX-License-Identifier: Apache-2.0
 *
 * What a session of the admin API waits for, while keeper or redis process work on it. Made by
 * api_change.c and api_ask.c, owned by the session.
 */
#ifndef GW_ADMIN_PENDING_H
#define GW_ADMIN_PENDING_H

#include "admin/admin_priv.h"
#include "conf/enclosed.h"

enum pending_what {
	PENDING_ASK,    /* ANSWER */
	PENDING_CHANGE, /* CHANGED: the answer */
	PENDING_CHECK,  /* CHANGED, of a dry run: if it is good the document is published */
	PENDING_PUBLISH /* ANSWER, from the redis process */
};

struct pending {
	enum pending_what what;
	enum line line;
	uint32_t ask; /* enum ask, to ask again */
	uint64_t n1, n2;
	char *document; /* CHECK: to be published */
	bool single;    /* one object: its version goes into ETag */
	bool dry_run;
	char author[128]; /* for the log */
	char doing[256];  /* "put route orders" */
};

struct pending *pending_new(enum pending_what what, enum line line);
void pending_free(void *pending);
const char *line_word(enum line line); /* "keeper" "redis" */

/* What another process made ready, of its message; for enclosed_free. */
struct enclosed pending_body(struct msg *m);
/* Answers with that; empty: it cannot be read. */
void answer_body(struct session *s, uint32_t status, struct str body);
void ask_reload_all(struct call *c);

#endif
