/* SPDX-License-Identifier: Apache-2.0
 *
 * What an object names that has to be read: one row for each path or reference.
 */
#ifndef GW_NAMED_H
#define GW_NAMED_H

#include "conf/bundle.h"
#include "conf/object.h"

/* What it is to be: enum bundle_kind, and what goes into a certificate only. */
enum { NAMED_OCSP = BUNDLE_KIND_COUNT };

struct named {
	unsigned what;
	const char *setting; /* "tls.client.ca" */
	struct str ref;      /* tls_ref(); never empty */
	bool idle; /* nobody uses it as things are set: that it is no good is only warned of */
};

#define NAMED_MAX 4

/* body: object_body's. Returns how many; a certificate has its chain and its key first. */
unsigned named_of(
    enum conf_kind kind, const void *body, struct named v_r[NAMED_MAX], struct ws *ws);

/* The path a reference leads to, terminated, the caller's to free; NULL: it is none. */
char *named_path(struct str ref);

#endif
