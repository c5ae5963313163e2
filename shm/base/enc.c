/* SPDX-License-Identifier: Apache-2.0
 *
 * Encodings of text. The JSON escape is on the path of every access line, so it moves eight octets
 * at a time while they are plain.
 */
#include "shm/base/enc.h"

#include <endian.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const char hex_digits[] = "0123456789abcdef";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Four octets as eight digits: a nibble to each octet of a word, the high one first, then '0' is
 * added to each, and to those of ten and more what lies between '9' and 'a'. */
static void
hex4(const unsigned char *in, char *out)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint32_t v;
	uint64_t w;

	memcpy(&v, in, sizeof(v));
	w = le32toh(v);
	w = (w | w << 16) & UINT64_C(0x0000ffff0000ffff);
	w = (w | w << 8) & UINT64_C(0x00ff00ff00ff00ff);
	w = (w >> 4 | w << 8) & ones * 15;
	w += ones * '0' + ((w + ones * 6) >> 4 & ones) * ('a' - '9' - 1);
	w = htole64(w);
	memcpy(out, &w, sizeof(w));
}

/* Eight octets as sixteen digits, the same way. */
static void
hex8(const unsigned char *in, char *out)
{
#ifdef __SSE2__
	__m128i v = _mm_loadl_epi64((const __m128i *)(const void *)in);
	__m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(15));
	__m128i w = _mm_unpacklo_epi8(high, _mm_and_si128(v, _mm_set1_epi8(15)));
	__m128i above9 = _mm_cmpgt_epi8(w, _mm_set1_epi8(9));

	w = _mm_add_epi8(w, _mm_set1_epi8('0'));
	w = _mm_add_epi8(w, _mm_and_si128(above9, _mm_set1_epi8('a' - '9' - 1)));
	_mm_storeu_si128((__m128i *)(void *)out, w);
#else
	hex4(in, out);
	hex4(in + 4, out + 8);
#endif
}

void
enc_hex(const void *p, size_t n, char *out)
{
	const unsigned char *in = p;
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		hex8(in + i, out + 2 * i);
	for (; i + 4 <= n; i += 4)
		hex4(in + i, out + 2 * i);
	for (; i < n; i++) {
		out[2 * i] = hex_digits[in[i] >> 4];
		out[2 * i + 1] = hex_digits[in[i] & 15];
	}
}

static int
unhex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The octet that two digits stand for, or -1. */
static int
unhex_pair(const char *p)
{
	int high = unhex_digit(p[0]), low = unhex_digit(p[1]);

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

int
enc_unhex(struct str s, void *out, size_t n)
{
	unsigned char *o = out;

	if (n > SIZE_MAX / 2 || s.n != 2 * n)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (unhex_pair(s.p + 2 * i) < 0)
			return -1;
	for (size_t i = 0; i < n; i++)
		o[i] = (unsigned char)unhex_pair(s.p + 2 * i);
	return 1;
}

size_t
enc_base64url(const void *p, size_t n, char *out)
{
	const unsigned char *in = p;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | in[i];
		for (held += 8; held >= 6; held -= 6)
			out[len++] = base64url_digits[bits >> (held - 6) & 63];
	}
	if (held > 0)
		out[len++] = base64url_digits[bits << (6 - held) & 63];
	return len;
}

size_t
enc_base64(const void *p, size_t n, char *out)
{
	size_t len = enc_base64url(p, n, out);

	for (size_t i = 0; i < len; i++)
		out[i] = out[i] == '-' ? '+' : out[i] == '_' ? '/' : out[i];
	while (len % 4 != 0)
		out[len++] = '=';
	return len;
}

static int
unbase64url_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t
enc_unbase64url(struct str s, void *out, size_t cap)
{
	unsigned char *o = out;
	uint32_t bits = 0;
	unsigned held = 0;
	size_t len = 0;

	if (s.n % 4 == 1 || s.n / 4 * 3 + (s.n % 4) * 3 / 4 > cap)
		return -1;
	for (size_t i = 0; i < s.n; i++) {
		int d = unbase64url_digit(s.p[i]);

		if (d < 0)
			return -1;
		bits = bits << 6 | (uint32_t)d;
		held += 6;
		if (held >= 8) {
			held -= 8;
			o[len++] = (unsigned char)(bits >> held);
		}
	}
	/* Two texts for one value would make two names for one token. */
	return (bits & ((1u << held) - 1)) != 0 ? -1 : (ssize_t)len;
}

int
enc_unpercent(struct str s, struct ws *ws, struct str *out_r)
{
	ssize_t first = str_chr(s, '%');
	size_t at, len;
	char *out;

	if (first < 0) {
		*out_r = s;
		return 1;
	}
	out = ws_bytes(ws, s.n);
	if (out == NULL)
		return -1;
	memcpy(out, s.p, (size_t)first);
	for (at = len = (size_t)first; at < s.n; len++) {
		int c = (unsigned char)s.p[at];

		if (c == '%')
			c = s.n - at < 3 ? -1 : unhex_pair(s.p + at + 1);
		if (c < 0)
			return -1;
		at += s.p[at] == '%' ? 3 : 1;
		out[len] = (char)c;
	}
	*out_r = str_n(out, len);
	return 1;
}

static bool
utf8_tail(struct str s, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		if (i >= s.n || (s.p[i] & 0xc0) != 0x80)
			return false;
	return true;
}

unsigned
enc_utf8_len(struct str s)
{
	unsigned char a = s.n > 0 ? (unsigned char)s.p[0] : 0xff;
	unsigned char b = s.n > 1 ? (unsigned char)s.p[1] : 0;

	if (a < 0x80)
		return 1;
	if (a >= 0xc2 && a <= 0xdf)
		return utf8_tail(s, 2) ? 2 : 0;
	if (a >= 0xe0 && a <= 0xef) {
		/* Overlong forms and surrogates. */
		bool bad = (a == 0xe0 && b < 0xa0) || (a == 0xed && b > 0x9f);

		return !bad && utf8_tail(s, 3) ? 3 : 0;
	}
	if (a >= 0xf0 && a <= 0xf4) {
		/* Overlong forms and what lies beyond U+10FFFF. */
		bool bad = (a == 0xf0 && b < 0x90) || (a == 0xf4 && b > 0x8f);

		return !bad && utf8_tail(s, 4) ? 4 : 0;
	}
	return 0;
}

#define ONES ((uint64_t)0x0101010101010101)
#define TOPS ((uint64_t)0x8080808080808080)

/* Nonzero when one of the eight octets is a control (DEL too), quote, backslash or not ASCII. May
 * err to the careful side: an octet above one that matches can match wrongly. */
static inline uint64_t
special8(uint64_t w)
{
	uint64_t quote = w ^ ONES * '"', slash = w ^ ONES * '\\', del = w ^ ONES * 0x7f;

	return ((w - ONES * 0x20) | (quote - ONES) | (slash - ONES) | (del - ONES) | w) & TOPS;
}

static inline bool
special1(unsigned char c)
{
	return c < 0x20 || c >= 0x7f || c == '"' || c == '\\';
}

/* How many octets can be copied as they are; copies them. */
static size_t
copy_plain(const char *in, size_t n, char *out)
{
	size_t i = 0;
	uint64_t w;

	for (; i + 8 <= n; i += 8) {
		memcpy(&w, in + i, 8);
		if (special8(w) != 0)
			break;
		memcpy(out + i, &w, 8);
	}
	/* The rest as the end of eight that were mostly seen. */
	if (i > 0 && i + 8 > n) {
		memcpy(&w, in + n - 8, 8);
		if (special8(w) == 0) {
			memcpy(out + n - 8, &w, 8);
			return n;
		}
	}
	if (n >= 4 && n < 8) { /* as two words that lie over each other */
		uint32_t low, high;

		memcpy(&low, in, 4);
		memcpy(&high, in + n - 4, 4);
		if (special8(low | (uint64_t)high << 32) == 0) {
			memcpy(out, &low, 4);
			memcpy(out + n - 4, &high, 4);
			return n;
		}
	}
	for (; i < n && !special1((unsigned char)in[i]); i++)
		out[i] = in[i];
	return i;
}

static unsigned
unicode_escape(unsigned c, char *out)
{
	memcpy(out, "\\u00", 4);
	out[4] = hex_digits[c >> 4 & 15];
	out[5] = hex_digits[c & 15];
	return 6;
}

static unsigned
json_ascii(unsigned char c, char *out)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2)
		if ((unsigned char)shorts[i] == c) {
			out[0] = '\\';
			out[1] = shorts[i + 1];
			return 2;
		}
	return unicode_escape(c, out);
}

/* What stands for the character at the start of s, which is a special one: its length in *used_r.
 */
static unsigned
json_special(struct str s, char *out, unsigned *used_r)
{
	unsigned n = enc_utf8_len(s);
	unsigned char c = (unsigned char)s.p[n == 2];

	*used_r = MAX(n, 1u);
	if (n == 0) {
		memcpy(out, "\xef\xbf\xbd", 3);
		return 3;
	}
	if (n == 1)
		return json_ascii(c, out);
	if (n == 2 && (unsigned char)s.p[0] == 0xc2 && c < 0xa0)
		return unicode_escape(c, out); /* a terminal takes these for commands */
	memcpy(out, s.p, n);
	return n;
}

ssize_t
enc_json(struct str s, char *out, size_t cap)
{
	size_t len = 0;

	for (;;) {
		size_t n = copy_plain(s.p, MIN(s.n, cap - len), out + len);
		unsigned used, put;
		char text[8];

		len += n;
		s = str_sub(s, n, s.n);
		if (s.n == 0)
			return (ssize_t)len;
		if (len == cap)
			return -1;
		put = json_special(s, text, &used);
		if (put > cap - len)
			return -1;
		memcpy(out + len, text, put);
		len += put;
		s = str_sub(s, used, s.n);
	}
}
