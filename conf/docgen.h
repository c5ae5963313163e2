/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway.conf(5) from the field tables: the manual cannot say anything else than the reader does.
 */
#ifndef GW_DOCGEN_H
#define GW_DOCGEN_H

#include <stdio.h>

/* A table that the layers above own: one paragraph, then its rows. */
struct docgen_section {
	const char *title, *intro;
	const struct docgen_row {
		const char *name, *help;
	} * rows;
	unsigned n;
};

/* The whole page in mdoc(7). Policies are those set by policy_types_set; `more` ends with a title
 * that is NULL, or is NULL. Called by `gateway --manual`. */
void docgen_manual(FILE *out, const struct docgen_section *more);

#endif
