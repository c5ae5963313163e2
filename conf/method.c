/* SPDX-License-Identifier: Apache-2.0
 *
 * Methods by number.
 */
#include "conf/method.h"

static const struct method {
	struct str name;
	bool safe, idempotent;
} methods[METHOD_COUNT] = {
#define METHOD(name, safe, idempotent)                                                             \
	[METHOD_##name] = {{#name, sizeof(#name) - 1}, safe, idempotent},
#include "conf/method.def"
#undef METHOD
};

enum http_method
method_of(struct str name)
{
	for (unsigned i = 0; i < METHOD_COUNT; i++)
		if (str_eq(name, methods[i].name))
			return (enum http_method)i;
	return METHOD_EXTENSION;
}

struct str
method_name(enum http_method m)
{
	return m < METHOD_COUNT ? methods[m].name : STR_NONE;
}

bool
method_safe(enum http_method m)
{
	return m < METHOD_COUNT && methods[m].safe;
}

bool
method_idempotent(enum http_method m)
{
	return m < METHOD_COUNT && methods[m].idempotent;
}

size_t
method_allow(uint32_t mask, char *out, size_t cap)
{
	size_t n = 0;

	for (unsigned i = 0; i < METHOD_COUNT; i++) {
		struct str name = methods[i].name;

		if ((mask & 1u << i) == 0 || n + name.n + 2 > cap)
			continue;
		if (n > 0) {
			memcpy(out + n, ", ", 2);
			n += 2;
		}
		memcpy(out + n, name.p, name.n);
		n += name.n;
	}
	return n;
}
