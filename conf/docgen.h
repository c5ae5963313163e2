/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway.conf(5) from the field tables: the manual cannot say anything else than the reader does.
 */
#ifndef GW_DOCGEN_H
#define GW_DOCGEN_H

#include <stdio.h>

/* The whole page in mdoc(7). Policies are those set by policy_types_set. Called by `gateway
 * --manual`. */
void docgen_manual(FILE *out);

#endif
