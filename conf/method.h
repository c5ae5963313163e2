/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods by number, for masks in the routing table and for what may be retried.
 */
#ifndef GW_METHOD_H
#define GW_METHOD_H

#include "shm/base/base.h"
#include "shm/base/str.h"

enum http_method {
#define METHOD(name, safe, idempotent) METHOD_##name,
#include "conf/method.def"
#undef METHOD
	METHOD_COUNT,
	METHOD_EXTENSION = METHOD_COUNT
};

enum http_method method_of(struct str name); /* case-sensitive (RFC 9110 9.1) */
struct str method_name(enum http_method m);
bool method_safe(enum http_method m);
bool method_idempotent(enum http_method m);
/* "GET, HEAD, POST" for Allow from a mask of 1 << method; returns the length written into out (cap
 * >= 96). */
size_t method_allow(uint32_t mask, char *out, size_t cap);

#endif
