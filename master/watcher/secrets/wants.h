/* SPDX-License-Identifier: Apache-2.0
 *
 * What an object names that has to be read: one row for each path or reference.
 */
#ifndef GW_WANTS_H
#define GW_WANTS_H

#include "conf/bundle.h"
#include "conf/object.h"

/* What it is to be: enum bundle_kind, and what goes into a certificate only. */
enum { WANT_OCSP = BUNDLE_KIND_COUNT };

struct want {
	unsigned what;
	const char *setting; /* "tls.client.ca" */
	struct str ref;      /* tls_ref(); never empty */
};

#define WANTS_MAX 4

/* body: object_body's. Returns how many; a certificate has its chain and its key first. */
unsigned wants_of(enum conf_kind kind, const void *body, struct want v_r[WANTS_MAX], struct ws *ws);

/* The path a reference leads to, terminated, the caller's to free; NULL: it is none. */
char *want_path(struct str ref);

#endif
