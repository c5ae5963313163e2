/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy for fuzz targets that read configuration: a setting of each form a policy's have.
 */
#ifndef GW_FUZZ_POLICY_H
#define GW_FUZZ_POLICY_H

#include "conf/policy.h"

struct rewrite {
	struct str prefix;
	struct strs list;
	double share;
};
static const struct field rewrite_rows[] = {
    {.name = "prefix",
	.type = F_STRING,
	.offset = FIELD_AT(struct rewrite, prefix),
	.help = "A string."},
    {.name = "to", .type = F_STRINGS, .offset = FIELD_AT(struct rewrite, list), .help = "Strings."},
    {.name = "share",
	.type = F_FLOAT,
	.offset = FIELD_AT(struct rewrite, share),
	.def = "0.5",
	.help = "A share."},
};
static const struct fields rewrite_fields = {.name = "rewrite",
    .help = "A policy.",
    .size = sizeof(struct rewrite),
    .v = rewrite_rows,
    .n = ARRAY_LEN(rewrite_rows)};
static const struct policy_type rewrite_type = {
    .name = "rewrite", .help = "A policy.", .fields = &rewrite_fields, .answers = true};
static const struct policy_type *const policies[] = {&rewrite_type, NULL};

#endif
