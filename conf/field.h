/* SPDX-License-Identifier: Apache-2.0
 *
 * Field tables: every setting of every object and policy is one row {name, type, place, default, range, unit, help}. The same
 * row reads it from a file or from JSON, checks it, encodes it canonically for the map, prints it back, and makes its entry
 * in the manual. Adding a setting is adding a row and a struct member.
 */
#ifndef GW_FIELD_H
#define GW_FIELD_H

#include "shm/base/base.h"
#include "shm/base/addr.h"
#include "shm/base/buf.h"
#include "shm/base/hash.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

/* What a row's place holds in its struct. */
enum field_type {
	F_BOOL,	    /* bool */
	F_INT,	    /* int64_t */
	F_FLOAT,    /* double: fractions and percentages */
	F_DURATION, /* uint64_t, milliseconds */
	F_SIZE,	    /* uint64_t, octets */
	F_STRING,   /* struct str */
	F_ENUM,	    /* int32_t: index into names */
	F_STRINGS,  /* struct strs; a single string is a list of one */
	F_CIDRS,    /* struct cidrs */
	F_ADDR,	    /* struct addr; default port 0 means a port is needed */
	F_GROUP,    /* struct of the row's sub table, in place */
	F_LIST,	    /* struct conf_list of structs of the sub table */
	F_POLICIES  /* struct conf_list of struct conf_policy */
};

struct strs {
	const struct str *v;
	uint32_t n;
};
struct cidrs {
	const struct cidr *v;
	uint32_t n;
};
struct conf_list {
	void *v;
	uint32_t n;
};

enum field_flag {
	FIELD_REQUIRED = 1,
	FIELD_RESTART = 2, /* a change takes effect at the next start: a reload warns and keeps the old value */
	FIELD_DERIVED = 4, /* set by the loader (resolved addresses): not accepted in files, not printed by -T */
	FIELD_HIDDEN = 8   /* not in the manual */
};

struct fields;
struct field {
	const char *name;
	enum field_type type;
	uint32_t offset;
	uint32_t flags;
	const char *def;	  /* default as one would write it in the file; NULL: zero value */
	int64_t min, max;	  /* inclusive; for numbers, durations (ms) and sizes; both 0: unchecked */
	const char *const *names; /* F_ENUM: NULL-terminated */
	const struct fields *sub; /* F_GROUP, F_LIST */
	const char *unit;	  /* for the manual, e.g. "connections" */
	const char *help;	  /* one to three sentences */
	const char *example;	  /* optional, one line of configuration */
};

struct conf_check; /* conf/check.h: where errors go */

struct fields {
	const char *name; /* "listener" */
	const char *help;
	size_t size; /* of the struct */
	const struct field *v;
	unsigned n;
	/* After all rows were read: relations between them. Reports through conf_check. May be NULL. */
	void (*check)(void *self, struct conf_check *c);
};

#define FIELD_AT(type, member) (uint32_t) offsetof(type, member)

/* Fills `self` (size bytes, zeroed by this) with the defaults. */
void fields_default(const struct fields *f, void *self, struct ws *ws);

/* Canonical encoding: rows that differ from their default, in table order, little endian. Equal content gives equal bytes.
 * Decode trusts nothing (map values and change sets are checked): -1 on malformed bytes; `self` may be half filled then. */
void fields_encode(const struct fields *f, const void *self, struct gbuf *out);
int fields_decode(const struct fields *f, struct str bytes, void *self, struct ws *ws) NODISCARD;

/* Hash over names and types of a table and its sub tables: a foreign one means the bytes are not ours to read. */
uint64_t fields_layout(const struct fields *f);

#endif
