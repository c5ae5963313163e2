/* SPDX-License-Identifier: Apache-2.0
 *
 * See version.h. The libraries are asked as they are loaded, not as they were at build time, and by
 * name: their headers belong to the one file each that uses them.
 */
#include "master/version.h"

#include <dlfcn.h>

/* How each says it. */
enum said { BY_NOTHING, BY_INT, BY_POINTER, BY_POINTERS, BY_NUMBER, BY_BUFFER };

static const struct library {
	const char *name, *symbol;
	enum said how;
} libraries[] = {
    {"LMDB", "mdb_version", BY_POINTERS},
    {"OpenSSL", "OpenSSL_version", BY_INT},
    {"PCRE2", "pcre2_config_8", BY_BUFFER},
    {"jansson", "jansson_version_str", BY_NOTHING},
    {"c-ares", "ares_version", BY_POINTER},
    {"http-parser", "http_parser_version", BY_NUMBER},
};

#define PCRE2_ASK_VERSION 11 /* PCRE2_CONFIG_VERSION */
#define TEXT_ROOM         128

union asked {
	void *found;
	const char *(*by_nothing)(void);
	const char *(*by_int)(int);
	const char *(*by_pointer)(int *);
	const char *(*by_pointers)(int *, int *, int *);
	unsigned long (*by_number)(void);
	int (*by_buffer)(uint32_t what, void *where);
};

static const char *
library_version(const struct library *l, char room[TEXT_ROOM])
{
	union asked f = {.found = dlsym(RTLD_DEFAULT, l->symbol)};
	unsigned long n;

	if (!f.found)
		return "unknown";
	switch (l->how) {
	case BY_NOTHING:
		return f.by_nothing();
	case BY_INT:
		return f.by_int(0);
	case BY_POINTER:
		return f.by_pointer(NULL);
	case BY_POINTERS:
		return f.by_pointers(NULL, NULL, NULL);
	case BY_NUMBER:
		n = f.by_number();
		snprintf(room, TEXT_ROOM, "%lu.%lu.%lu", n >> 16 & 255, n >> 8 & 255, n & 255);
		return room;
	default:
		return f.by_buffer(PCRE2_ASK_VERSION, room) > 0 ? room : "unknown";
	}
}

void
version_print(FILE *to)
{
	char room[TEXT_ROOM];

	fprintf(to, "gateway %s\n", GW_VERSION);
	for (size_t i = 0; i < ARRAY_LEN(libraries); i++)
		fprintf(to, "%s %s\n", libraries[i].name, library_version(&libraries[i], room));
}
