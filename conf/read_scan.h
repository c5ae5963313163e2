/* SPDX-License-Identifier: Apache-2.0
 *
 * A look through a configuration text before libconfig sees it: for what libconfig would take and
 * silently change (integers it cuts, NUL octets it stops at), and for where long lists may be cut
 * into pieces that are read one by one.
 */
#ifndef GW_READ_SCAN_H
#define GW_READ_SCAN_H

#include "conf/check.h"
#include "shm/base/str.h"

/* Members of a list of the top that can stand in a list of their own: the octets from the comma in
 * front of them up to the comma or the bracket behind. The first members of a list are in no cut.
 */
struct scan_cut {
	size_t from, to;
	uint32_t list;    /* of the top, written ( ), counted from 0 */
	uint32_t members; /* as many as there are, if it is well formed */
};

struct scan_cuts {
	size_t aim; /* octets of a cut, about; 0: none are wanted */
	struct scan_cut *v;
	uint32_t n, cap;
};

/* 1, or -1 after errors. No cuts are made of a text whose brackets do not fit one another, that
 * has a NUL or that may have an @include. Then scan_cuts_free. */
int read_scan(
    struct str text, const char *name, struct scan_cuts *cuts, struct conf_check *c) NODISCARD;
void scan_cuts_free(struct scan_cuts *cuts);

#endif
