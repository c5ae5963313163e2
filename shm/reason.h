/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request ended other than by the upstream's own answer: one table for answers, log words and
 * metric labels.
 */
#ifndef GW_REASON_H
#define GW_REASON_H

#include "shm/base/base.h"

enum reason {
#define REASON(NAME, status, word, title, detail) REASON_##NAME,
#include "shm/reason.def"
#undef REASON
	REASON_COUNT
};

struct reason_info {
	const char *name, *word, *title, *detail;
	uint16_t status;
};
extern const struct reason_info reason_table[REASON_COUNT];

#endif
