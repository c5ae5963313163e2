/* SPDX-License-Identifier: Apache-2.0
 *
 * Time is read once per loop turn (loop.c calls clock_tick) and cached. Nothing else calls
 * clock_gettime. Tests set it with clock_fake.
 */
#ifndef GW_CLOCK_H
#define GW_CLOCK_H

#include "shm/base/base.h"

/* reads CLOCK_MONOTONIC, and CLOCK_REALTIME where a millisecond has gone by */
void clock_tick(void);
uint64_t clock_ns(void);      /* monotonic, cached; comparable between processes of one host */
uint64_t clock_ms(void);      /* the same in milliseconds */
uint64_t clock_wall_us(void); /* microseconds since 1970, cached */
/* reads now: for phase timings that end inside a turn; use sparingly */
uint64_t clock_precise_ns(void);
void clock_fake(uint64_t mono_ns, uint64_t wall_us); /* freezes both; 0,0 gives real time back */

/* "2026-11-21T02:00:00.123Z" into out[25] (24 octets and NUL), from microseconds since 1970. */
void clock_rfc3339(uint64_t wall_us, char out[25]);
/* "Sat, 21 Nov 2026 02:00:00 GMT" (RFC 9110 5.6.7), 29 octets and NUL. */
void clock_http_date(uint64_t wall_us, char out[30]);
void clock_http_now(char out[30]); /* of the cached wall clock, made once a second */

#endif
