/* SPDX-License-Identifier: Apache-2.0
 *
 * Hex, base64url (RFC 4648, strict), percent-encoding (RFC 3986) and the JSON string escape used by
 * log lines.
 */
#ifndef GW_ENC_H
#define GW_ENC_H

#include "shm/base/base.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

void enc_hex(const void *p, size_t n, char *out);           /* 2n octets, lower case, no NUL */
int enc_unhex(struct str s, void *out, size_t n) NODISCARD; /* exactly 2n digits: 1, else -1 */
size_t enc_base64url(const void *p, size_t n, char *out);   /* unpadded; out holds 4*((n+2)/3) */
/* Padded, the alphabet with + and /; out holds 4*((n+2)/3). */
size_t enc_base64(const void *p, size_t n, char *out);
/* length or -1; canonical only */
ssize_t enc_unbase64url(struct str s, void *out, size_t cap) NODISCARD;

/* Decodes %XX. -1 on a bad escape. Copies only when there is something to decode. */
int enc_unpercent(struct str s, struct ws *ws, struct str *out_r) NODISCARD;

/* Writes the JSON string body (no quotes) of s: controls (DEL and C1 too, which a terminal obeys),
 * quote and backslash escaped, bytes that are not valid UTF-8 replaced with U+FFFD. Returns octets
 * written, or -1 when `cap` does not hold them. */
ssize_t enc_json(struct str s, char *out, size_t cap);

/* Octets of the valid UTF-8 character s begins with (no overlong form, no surrogate), else 0. */
unsigned enc_utf8_len(struct str s);

#endif
