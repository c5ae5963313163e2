/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory for much work at once. A change of a hundred thousand routes takes the keeper many
 * megabytes in small pieces, and much of its time went into fetching those from the kernel a page
 * at a time.
 */
#ifndef GW_HEAP_H
#define GW_HEAP_H

#include "shm/base/base.h"

/* From now on large blocks come from the kernel by themselves, and what of them is never touched
 * takes no memory: LMDB keeps megabytes of lists for each environment, nearly empty. Without it
 * malloc raises the size at which it does so by itself. */
void heap_large_apart(void);
/* So many octets are about to be asked of malloc, more or less: the heap grows by them at once, and
 * a second thread has the kernel make its pages ready, ahead of whoever comes to use them. Nothing
 * depends on it: where it cannot be, pages come as they are touched. Small amounts do nothing. */
void heap_ahead(size_t n);
/* The thread is over, and what lies about unused goes back to the system. */
void heap_settle(void);

#endif
