/* SPDX-License-Identifier: Apache-2.0
 *
 * A text that goes with a message: in it where it is short, else in a sealed memfd beside it. As
 * fields of the message: "str text, fd text", the descriptor only where the string is empty. A
 * memfd for a few hundred octets costs more than the change that stands in it.
 */
#ifndef GW_ENCLOSED_H
#define GW_ENCLOSED_H

#include "shm/base/msg.h"
#include "shm/base/str.h"

#define ENCLOSED_SHORT 1024 /* octets; the line's room is for some hundred of these */

struct enclosed {
	struct str text;
	bool mapped;
};

/* The last fields of m. *fd_r is for the caller to close when m was sent; -1: none. -1, *error_r:
 * the text is too long, or there is no memory for it; m says that there is none. */
int enclosed_put(struct msg *m, struct str text, int *fd_r, const char **error_r) NODISCARD;
/* 1, until enclosed_free; 0 there is none; -1 what is there is no sealed text: *error_r. */
int enclosed_take(struct msg *m, struct enclosed *e_r, const char **error_r) NODISCARD;
void enclosed_free(struct enclosed *e);

#endif
