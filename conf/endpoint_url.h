/* SPDX-License-Identifier: Apache-2.0
 *
 * An endpoint's URL, taken apart: "http://host:port/base", "https://host", "http://[::1]:80",
 * "unix:/path:/base".
 */
#ifndef GW_ENDPOINT_URL_H
#define GW_ENDPOINT_URL_H

#include "shm/base/addr.h"
#include "shm/base/str.h"

struct endpoint_url {
	bool tls;        /* https */
	struct str host; /* for the Host header: as written, without its scheme's port */
	struct str name; /* to be resolved; empty when `addr` is known already */
	uint16_t port;
	struct str base_path; /* "" or "/base", without a slash at the end */
	struct addr addr;     /* numeric host or Unix socket; family 0 else */
};

/* Slices are borrowed from `url`. -1 with *error_r: what is wrong. */
int endpoint_url_parse(struct str url, struct endpoint_url *u_r, const char **error_r) NODISCARD;

/* Two of the same place: scheme, and address or name with port. */
bool endpoint_url_same(const struct endpoint_url *a, const struct endpoint_url *b);

#endif
