/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes of octets in HTTP heads and URLs, as one table. Private to the codecs and to those who
 * check text that goes into a head.
 */
#ifndef GW_OCTET_H
#define GW_OCTET_H

#include "shm/base/ctl.h"
#include "shm/base/str.h"

enum octet_class {
	OCT_TOKEN = 1,       /* RFC 9110 5.6.2 tchar */
	OCT_PATH = 2,        /* RFC 3986 pchar without "%", and "/" */
	OCT_QUERY = 4,       /* of a query: see url.h */
	OCT_HOST = 8,        /* of a host name */
	OCT_UNRESERVED = 16, /* RFC 3986 2.3 */
	OCT_HEX = 32,
	OCT_DIGIT = 64,
	OCT_TEXT = 128 /* field content: visible, SP, HTAB, 0x80 and above */
};
extern const uint8_t octet_classes[256];

static inline bool
octet_is(char c, enum octet_class k)
{
	return (octet_classes[(uint8_t)c] & k) != 0;
}
static inline char
octet_lower(char c)
{
	return (unsigned char)(c - 'A') < 26 ? (char)(c + 32) : c;
}
/* Length of the longest prefix made of one class. */
static inline size_t
octet_span(struct str s, enum octet_class k)
{
	size_t i = 0;

	while (i < s.n && octet_is(s.p[i], k))
		i++;
	return i;
}
static inline bool
octet_all(struct str s, enum octet_class k)
{
	return octet_span(s, k) == s.n;
}
static inline bool
octet_token(struct str s)
{
	return s.n > 0 && octet_all(s, OCT_TOKEN);
}

/* Free of octets that must not be in a field value (RFC 9110 5.5); HTAB may. */
bool octet_text(struct str s);
unsigned octet_hex(char c); /* of a hex digit */

#endif
