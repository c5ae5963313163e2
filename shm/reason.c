/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of reasons; its rows are reason.def.
 */
#include "shm/reason.h"

const struct reason_info reason_table[REASON_COUNT] = {
#define REASON(NAME, status, word, title, detail) {#NAME, word, title, detail, status},
#include "shm/reason.def"
#undef REASON
};
