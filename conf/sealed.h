/* SPDX-License-Identifier: Apache-2.0
 *
 * Octets in a sealed memfd: how change sets, change documents and secrets go from process to
 * process. The seals are what lets a reader look at its mapping twice: nobody can write to it or
 * cut it off any more.
 */
#ifndef GW_SEALED_H
#define GW_SEALED_H

#include "shm/base/str.h"

/* An empty one to write to, close-on-exec; -1 with errno. */
int sealed_new(const char *name) NODISCARD;
/* All of it, at the end. -1 with errno. */
int sealed_put(int fd, struct str octets) NODISCARD;
/* No change after this. -1 with errno. */
int sealed_finish(int fd) NODISCARD;

/* Maps what is sealed and has 1 to `max` octets, until sealed_unmap. The descriptor may be closed
 * after. -1 with *error_r. */
int sealed_map(int fd, size_t max, struct str *octets_r, const char **error_r) NODISCARD;
void sealed_unmap(struct str *octets);

#endif
