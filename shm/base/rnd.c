/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers. The fast generator is xoshiro256** (public domain algorithm of Blackman and
 * Vigna), whose state is drawn from the kernel at rnd_init.
 */
#include "shm/base/rnd.h"

#include <errno.h>
#include <sys/random.h>

#include "shm/base/bug.h"

static struct rnd_state {
	uint64_t s[4]; /* never all zero once seeded */
} state;

void
rnd_bytes(void *p, size_t n)
{
	unsigned char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		BUG_ON(got < 0 && errno != EINTR); /* a kernel without it is none of ours */
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

void
rnd_init(void)
{
	do
		rnd_bytes(state.s, sizeof(state.s));
	while ((state.s[0] | state.s[1] | state.s[2] | state.s[3]) == 0);
}

static inline uint64_t
rotl(uint64_t v, int n)
{
	return v << n | v >> (64 - n);
}

uint64_t
rnd_u64(void)
{
	uint64_t *s = state.s, result, t;

	if (unlikely((s[0] | s[1] | s[2] | s[3]) == 0))
		rnd_init();
	result = rotl(s[1] * 5, 7) * 9;
	t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t
rnd_below(uint64_t n)
{
	uint64_t reject, v;

	BUG_ON(n == 0);
	reject = (0 - n) % n; /* 2^64 mod n: as many values would be drawn once too often */
	do
		v = rnd_u64();
	while (v < reject);
	return v % n;
}

double
rnd_unit(void)
{
	return (double)(rnd_u64() >> 11) * 0x1p-53;
}
