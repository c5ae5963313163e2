/* SPDX-License-Identifier: Apache-2.0
 *
 * Crash classes. BUG_ON is for our own mistakes only, never for anything a peer, a file or shared
 * memory can influence. Both print to stderr (the error log) and abort, so the master reaps and
 * replaces the process.
 */
#ifndef GW_BUG_H
#define GW_BUG_H

#include "shm/base/base.h"

void bug_fail(const char *file, int line, const char *what) NORETURN;

/* Out of memory: says how much was asked for and exits the process with status 70 (EX_SOFTWARE). */
void oom_fail(size_t asked) NORETURN;

#define BUG_ON(cond)                                                                               \
	do {                                                                                       \
		if (unlikely(cond))                                                                \
			bug_fail(__FILE__, __LINE__, #cond);                                       \
	} while (0)

/* A magic word in every long-lived struct that is reached through void* or a callback. */
#define CHECK_MAGIC(p, m) BUG_ON((p) == NULL || (p)->magic != (m))

/* malloc family that never returns NULL: calls oom_fail. Start-up and connection set-up only;
 * requests use ws.h. */
void *xmalloc(size_t n) NODISCARD;
void *xcalloc(size_t n, size_t size) NODISCARD;
void *xrealloc(void *p, size_t n) NODISCARD;
char *xstrdup(const char *s) NODISCARD;

#endif
