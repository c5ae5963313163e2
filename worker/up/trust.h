/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom connections to upstreams trust, and as whom they appear: a TLS profile for each content of
 * settings, certificates and keys. A bundle that brings the same again leaves all of them warm; one
 * that brings another certificate makes another profile at its first use, and connections keep
 * theirs. Owned by struct up; profiles are counted: connections hold theirs.
 */
#ifndef GW_TRUST_H
#define GW_TRUST_H

#include "conf/bundle.h"
#include "conf/service.h"
#include "shm/base/list.h"
#include "shm/base/ws.h"
#include "worker/net/tls.h"

#define TRUST_PROFILES 1024 /* kept; the one unused for longest goes first */

/* What a profile was made of: its bundle entry, as it was. */
struct trust_part {
	enum bundle_kind kind;
	struct str ref;
	int found; /* as bundle_get */
	struct digest digest;
};
enum { TRUST_CA, TRUST_CRL, TRUST_CHAIN, TRUST_KEY, TRUST_PARTS };

struct trust_profile {
	uint32_t refs;
	struct hnode node;
	struct list used;    /* longest unused first */
	struct digest key;   /* settings without the name, and the parts */
	struct tls_ctx *tls; /* NULL: none can be made, see error */
	const char *error;
	bool gone; /* not to be had any more: what was made with it serves nobody new */
	struct trust_part part[TRUST_PARTS];
	struct ws ws;
};

/* What a plan remembers, so that a request's look-up is a comparison. Zeroed at first; what it
 * names is borrowed and looked at only while nothing was forgotten since. */
struct trust_memo {
	uint64_t serial;
	struct trust_profile *profile;
};

struct trust;
struct trust *trust_new(void);
void trust_free(struct trust **t);
/* The bundle from now on: a reference is taken. Profiles whose parts changed are forgotten. */
void trust_adopt(struct trust *t, struct bundle *b);
/* The profile for these settings and protocols (enum tls_protocol), borrowed. NULL with *error_r:
 * no bundle yet, something it does not have, or settings that are no good. */
struct trust_profile *trust_profile(struct trust *t, const struct conf_service_tls *conf,
    unsigned protocols, struct trust_memo *memo, const char **error_r);
struct trust_profile *trust_ref(struct trust_profile *p);
void trust_unref(struct trust_profile **p);
unsigned trust_count(const struct trust *t);

#endif
