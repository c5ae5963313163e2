/* SPDX-License-Identifier: Apache-2.0
 *
 * Control octets, eight or sixteen at a time.
 */
#include "shm/base/ctl.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool
is_ctl(char c)
{
	return (uint8_t)c < 0x20 || c == 0x7f;
}

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* Non-zero when one of the eight is below 0x20 or is 0x7f. Exact: bits of the seven low ones are
 * added without a carry into the neighbour, octets above 0x7f are left out. */
static uint64_t
ctl8(uint64_t w)
{
	uint64_t low = w & ~HIGHS;
	uint64_t small = ~(low + ONES * (0x80 - 0x20)); /* high bit: the low seven are < 0x20 */
	uint64_t del = low + ONES;                      /* high bit: the low seven are 0x7f */

	return (small | del) & ~w & HIGHS;
}

/* As many sixteens as are free of them. */
static size_t
ctl16(const char *p, size_t from, size_t n)
{
#ifdef __SSE2__
	for (; n - from >= 16; from += 16) {
		__m128i w = _mm_loadu_si128((const __m128i *)(const void *)(p + from));
		__m128i ctl = _mm_cmpeq_epi8(_mm_min_epu8(w, _mm_set1_epi8(0x1f)), w);

		if (_mm_movemask_epi8(_mm_or_si128(ctl, _mm_cmpeq_epi8(w, _mm_set1_epi8(0x7f)))))
			break;
	}
#else
	(void)p;
	(void)n;
#endif
	return from;
}

size_t
ctl_find(const char *p, size_t from, size_t n)
{
	uint64_t w, hit;

	from = ctl16(p, from, n);
	for (; n - from >= 8; from += 8) {
		memcpy(&w, p + from, 8);
		hit = ctl8(w);
		if (hit != 0 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
			return from + (unsigned)__builtin_ctzll(hit) / 8;
		if (hit != 0)
			break;
	}
	/* The rest as the end of eight that were mostly seen. */
	if (from < n && n >= 8 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
		memcpy(&w, p + n - 8, 8);
		hit = ctl8(w) >> (8 * (8 - (n - from)));
		return hit != 0 ? from + (unsigned)__builtin_ctzll(hit) / 8 : n;
	}
	while (from < n && !is_ctl(p[from]))
		from++;
	return from;
}
