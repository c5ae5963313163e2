/* SPDX-License-Identifier: Apache-2.0
 *
 * The words every other file uses: attributes, small arithmetic, container_of. No state, no
 * functions with side effects. Every .c file includes this first.
 */
#ifndef GW_BASE_H
#define GW_BASE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* accept4, memmem, close_range and their like */
#endif

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

/* These octets are wanted soon: the lines they lie in are on their way into the cache. Harmless
 * for any address. */
static inline void
prefetch(const void *p, size_t n)
{
	uintptr_t at = (uintptr_t)p & ~(uintptr_t)(CACHE_LINE - 1);

	for (; at < (uintptr_t)p + n; at += CACHE_LINE)
		__builtin_prefetch((const void *)at);
}

#define ARRAY_LEN(a)                  (sizeof(a) / sizeof((a)[0]))
#define ALIGN_UP(n, a)                (((n) + (a)-1) & ~((__typeof__(n))(a)-1))
#define MIN(a, b)                     ((a) < (b) ? (a) : (b))
#define MAX(a, b)                     ((a) > (b) ? (a) : (b))
#define container_of(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#define likely(x)        __builtin_expect(!!(x), 1)
#define unlikely(x)      __builtin_expect(!!(x), 0)
#define NODISCARD        __attribute__((warn_unused_result))
#define NORETURN         __attribute__((noreturn))
#define UNUSED           __attribute__((unused))
#define PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))

/* Return convention of the whole tree: 1 done, 0 not yet or absent, -1 error. Where an error needs
 * words, the last argument is `const char **error_r`: static or owned by the callee, valid until
 * its next call. Outputs end in `_r` and are written only on success. */

#endif
