/* SPDX-License-Identifier: Apache-2.0
 *
 * Field tables: every setting of every object and policy is one row {name, type, place, default,
 * range, unit, help}. The same row reads it from a file or from JSON, checks it, encodes it
 * canonically for the map, prints it back, and makes its entry in the manual. Adding a setting is
 * adding a row and a struct member.
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
	F_BOOL,     /* bool */
	F_INT,      /* int64_t */
	F_FLOAT,    /* double: fractions and percentages */
	F_DURATION, /* uint64_t, milliseconds */
	F_SIZE,     /* uint64_t, octets */
	F_STRING,   /* struct str */
	F_ENUM,     /* int32_t: index into names */
	F_STRINGS,  /* struct strs; a single string is a list of one */
	F_CIDRS,    /* struct cidrs */
	F_ADDR,     /* struct addr; `min` is the port where none is written, 0 = it must be */
	F_GROUP,    /* struct of the row's sub table, in place */
	F_LIST,     /* struct conf_list of structs of the sub table */
	F_POLICIES  /* struct conf_list of struct conf_policy */
};

struct strs {
	const struct str *v;
	uint32_t n;
};
bool strs_eq(const struct strs *a, const struct strs *b); /* the same ones in the same order */
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
	FIELD_RESTART =
	    2, /* a change takes effect at the next start: a reload warns and keeps the old value */
	FIELD_DERIVED =
	    4, /* set by the loader (resolved addresses): not accepted in files, not printed */
	FIELD_HIDDEN = 8, /* not in the manual */
	/* F_STRING: a file; relative ones begin at the main file's directory */
	FIELD_PATH = 16,
	/* F_STRING: a reference to a secret (conf/secret.h). Somebody may write the secret itself:
	 * what was found is never told. */
	FIELD_SECRET = 32,
	/* Printed even when it is what its absence would give: that would be refused. */
	FIELD_SHOWN = 64
};

struct fields;
struct field {
	const char *name;
	enum field_type type;
	uint32_t offset;
	uint32_t flags;
	/* Default as one would write it in the file, quotes optional; lists separated by commas.
	 * NULL: the zero value. */
	const char *def;
	int64_t min, max; /* inclusive; numbers, durations (ms) and sizes; both 0: unchecked */
	const char *const *names; /* F_ENUM: NULL-terminated */
	const struct fields *sub; /* F_GROUP, F_LIST */
	const char *unit;         /* for the manual, e.g. "connections" */
	const char *help;         /* one to three sentences */
	const char *example;      /* optional, one line of configuration */
};

struct conf_check; /* conf/check.h: where errors go */

struct fields {
	const char *name; /* "listener" */
	const char *help;
	size_t size; /* of the struct */
	const struct field *v;
	unsigned n;
	/* After all rows were read: relations between them. Reports through conf_check. May be
	 * NULL. */
	void (*check)(void *self, struct conf_check *c);
};

/* Units for ranges. */
#define FIELD_SECOND INT64_C(1000)
#define FIELD_HOUR   (3600 * FIELD_SECOND)
#define FIELD_DAY    (24 * FIELD_HOUR)
#define FIELD_KB     INT64_C(1024)
#define FIELD_MB     (1024 * FIELD_KB)
#define FIELD_GB     (1024 * FIELD_MB)

#define FIELD_AT(type, member) (uint32_t) offsetof(type, member)
/* For the rows of a group that is an anonymous struct `group` in `type`. */
#define FIELD_IN(type, group, member)                                                              \
	(uint32_t)(offsetof(type, group.member) - offsetof(type, group))
#define FIELD_SIZE(type, group) sizeof(((type *)NULL)->group)

const struct field *fields_find(const struct fields *f, struct str name); /* NULL when absent */

static inline void *
field_at(const struct field *row, const void *self)
{
	return (char *)(uintptr_t)self + row->offset;
}

/* Is the row, one of the table's, what it is when nothing is written? */
bool field_is_default(const struct fields *f, const struct field *row, const void *self);

/* Do two structs agree in this row (groups and lists included)? */
bool field_equal(const struct field *row, const void *a, const void *b);

/* A struct of this table with every setting at its default. It and what it points to are shared and
 * stay: the table must, too. */
const void *fields_defaults(const struct fields *f);
/* Fills `self` (size bytes) with them. */
void fields_default(const struct fields *f, void *self);

/* Canonical encoding: rows that differ from their default, in table order, little endian. Equal
 * content gives equal bytes. Decode trusts nothing (map values and change sets are checked): -1 on
 * malformed bytes; `self` may be half filled then. */
void fields_encode(const struct fields *f, const void *self, struct gbuf *out);
void field_encode(const struct field *row, const void *at, struct gbuf *out); /* one value */
int fields_decode(const struct fields *f, struct str bytes, void *self, struct ws *ws) NODISCARD;

/* Hash over names and types of a table and its sub tables: a foreign one means the bytes are not
 * ours to read. */
uint64_t fields_layout(const struct fields *f);

#endif
