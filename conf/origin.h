/* SPDX-License-Identifier: Apache-2.0
 *
 * Web origins as configuration names them: for WebSockets and for CORS.
 *
 * The form is scheme://host:port, and stands for that origin alone; a star for the first label of
 * the host stands for all below it, and without a scheme for all of those whatever scheme and port;
 * "null" is the origin of documents that have none.
 */
#ifndef GW_ORIGIN_H
#define GW_ORIGIN_H

#include "conf/field.h"

#define ORIGIN_ALLOWED                                                                             \
	"allowed: \"https://example.com\", \"https://*.example.com\", \"*.example.com\""

/* NULL, or what is wrong with a pattern. */
const char *origin_wrong(struct str pattern);
bool origin_fits(struct str pattern, struct str origin);
/* Does one of them fit? None fits where there are none. */
bool origin_among(const struct strs *patterns, struct str origin);

#endif
