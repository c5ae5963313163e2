/* SPDX-License-Identifier: Apache-2.0
 *
 * Field names by number. The index from a hash of length, first and last letter to the row is
 * filled once, before main, and constant from then on.
 */
#include "worker/http/head.h"
#include "worker/http/octet.h"

static const struct {
	struct str name;
	uint8_t flags;
} rows[HDR_ID_COUNT] = {
    {.name = {"", 0}},
#define HDR(ID, text, f) {.name = {text, sizeof(text) - 1}, .flags = (f)},
#include "worker/http/hdr.def"
#undef HDR
};

#define INDEX_SIZE 256 /* a power of two, well above the rows: short probes */
static uint8_t index_of[INDEX_SIZE];

static unsigned
hash(struct str s)
{
	unsigned first = (uint8_t)octet_lower(s.p[0]), last = (uint8_t)octet_lower(s.p[s.n - 1]);

	return (unsigned)(s.n * 7 + first * 5 + last * 31) % INDEX_SIZE;
}

__attribute__((constructor)) static void
index_fill(void)
{
	for (unsigned id = 1; id < HDR_ID_COUNT; id++) {
		unsigned at = hash(rows[id].name);

		while (index_of[at] != 0)
			at = (at + 1) % INDEX_SIZE;
		index_of[at] = (uint8_t)id;
	}
}

/* One to seven octets as a word: four from each end, or three that are all of them. */
static uint64_t
few(const char *p, size_t n)
{
	uint32_t low, high;

	if (n < 4)
		return (uint8_t)p[0] | (uint64_t)(uint8_t)p[n / 2] << 8 |
		       (uint64_t)(uint8_t)p[n - 1] << 16;
	memcpy(&low, p, 4);
	memcpy(&high, p + n - 4, 4);
	return low | (uint64_t)high << 32;
}

/* Where a known name has a letter, which its bit 0x40 says, the other may have the capital: bit
 * 0x20 may differ, and nothing else. */
static bool
same8(uint64_t lower, uint64_t w)
{
	uint64_t letters = lower & UINT64_C(0x4040404040404040);

	return ((lower ^ w) & ~(letters >> 1)) == 0;
}

/* Known names are small letters, digits and dashes. Eight octets at a time. */
static bool
same(struct str lower, struct str s)
{
	uint64_t a = 0, b = 0;
	size_t i = 0;

	if (lower.n != s.n)
		return false;
	if (s.n < 8)
		return same8(few(lower.p, s.n), few(s.p, s.n));
	for (; i < s.n; i += 8) {
		size_t at =
		    MIN(i, s.n - 8); /* the rest as the end of eight that were mostly seen */

		memcpy(&a, lower.p + at, 8);
		memcpy(&b, s.p + at, 8);
		if (!same8(a, b))
			return false;
	}
	return true;
}

enum hdr_id
hdr_lookup(struct str name)
{
	if (name.n == 0)
		return HDR_OTHER;
	for (unsigned at = hash(name); index_of[at] != 0; at = (at + 1) % INDEX_SIZE)
		if (same(rows[index_of[at]].name, name))
			return index_of[at];
	return HDR_OTHER;
}

enum hdr_id
hdr_lookup_alike(struct str name)
{
	char fold[32];

	if (memchr(name.p, '_', name.n) == NULL || name.n > sizeof(fold))
		return hdr_lookup(name);
	for (size_t i = 0; i < name.n; i++)
		fold[i] = name.p[i] == '_' ? '-' : name.p[i];
	return hdr_lookup(str_n(fold, name.n));
}

bool
hdr_alike(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++) {
		char x = a.p[i] == '_' ? '-' : octet_lower(a.p[i]);
		char y = b.p[i] == '_' ? '-' : octet_lower(b.p[i]);

		if (x != y)
			return false;
	}
	return true;
}

unsigned
hdr_flags(enum hdr_id id)
{
	return rows[id].flags;
}

struct str
hdr_name(enum hdr_id id)
{
	return rows[id].name;
}
