/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing: from objects that name files and references (a change set, conf/changeset.h, of
 * certificates, listeners, services and settings) to the bundle and to what people may know of it.
 * Used by the secrets process and by `gateway -t`.
 *
 * The facts are JSON, one array for admin's answers and metrics:
 *	[{"id", "names": [], "subject", "issuer", "serial", "fingerprint", "key", "spiffe"?,
 *	  "not_before", "not_after" (seconds since 1970), "chain": certificates, "ocsp_until"?,
 *	  "used_by": "certificate" | "listener" | "service", "file", "state": "ok" | "kept",
 *	  "error"? (of a file that is worse than the one kept)}]
 */
#ifndef GW_SEAL_H
#define GW_SEAL_H

#include "conf/bundle.h"
#include "conf/check.h"
#include "shm/beat.h"

struct seal_in {
	int objects;               /* sealed change set; -1: none */
	const struct bundle *kept; /* what is in force; NULL: nothing */
	/* Files changed by themselves: a pair that is no good keeps what `kept` has, and is told as
	 * a warning. Otherwise it is an error. */
	bool lenient;
	int64_t now;       /* seconds since 1970 */
	struct beat *beat; /* told that we live; may be NULL */
};
struct seal_out {
	int bundle, facts; /* sealed memfds */
	bool same;         /* the bundle is `kept` octet for octet */
	uint32_t kept;     /* files that are worse than what was kept, where that is allowed */
};

/* 1; -1: `report` has the reasons, each with its object's place. */
int seal_make(
    const struct seal_in *in, struct seal_out *out_r, struct conf_check *report) NODISCARD;

#endif
