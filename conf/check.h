/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the errors of a load go: all of them, each "file:line: setting: what is wrong, what is
 * allowed".
 */
#ifndef GW_CHECK_H
#define GW_CHECK_H

#include "shm/base/base.h"
#include "shm/base/buf.h"
#include "shm/base/str.h"

struct conf_place {
	struct str file; /* "" for what did not come from a file */
	uint32_t line;
	struct str path; /* "routes[orders].policies[0].allow" */
};

struct node;
struct ws;

#define CHECK_LINES 200 /* kept; all are counted */
#define CHECK_PATH  512

struct conf_check {
	/* One line each: "file:line: path: message\n"; warnings have "warning: " before the
	 * message. */
	struct gbuf text;
	uint32_t errors, warnings;
	struct conf_place at; /* of what is being read; the readers move it */
	/* The readers' own; NULL and 0 outside of a read. */
	const struct node *node; /* the group being read: settings below it know their lines */
	struct ws *ws;         /* where a table's check puts what it normalises; never NULL there */
	const char *base;      /* directory at which relative paths begin; NULL: leave them */
	bool expand;           /* ${VAR} in strings: in files, not in what comes over a socket */
	char path[CHECK_PATH]; /* at.path lies here */
};

void check_init(struct conf_check *c);
void check_free(struct conf_check *c);
/* Its lines in a memory file of their own, to be sent along; cut short they are still a report.
 * -1: there is no memory for it. */
int check_fd(const struct conf_check *c);
/* `setting` names the row below the current place ("timeouts.connect"), or NULL for the place
 * itself. At most CHECK_LINES are kept; all are counted. */
void check_error(struct conf_check *c, const char *setting, const char *fmt, ...) PRINTF(3, 4);
void check_warn(struct conf_check *c, const char *setting, const char *fmt, ...) PRINTF(3, 4);
void check_error_at(struct conf_check *c, const struct conf_place *at, const char *fmt, ...)
    PRINTF(3, 4);
void check_warn_at(struct conf_check *c, const struct conf_place *at, const char *fmt, ...)
    PRINTF(3, 4);

/* Does the setting stand in the source, whatever it says? Keeps a check from complaining twice. */
bool check_given(const struct conf_check *c, const char *setting);

/* Moving the path: each returns the length to go back to with check_cut. */
size_t check_push(struct conf_check *c, struct str name);      /* "a" -> "a.name" */
size_t check_push_id(struct conf_check *c, struct str id);     /* "a" -> "a[id]" */
size_t check_push_index(struct conf_check *c, uint32_t index); /* "a" -> "a[3]" */
void check_cut(struct conf_check *c, size_t n);

/* The entry of `names` (NULL-terminated) that a mistyped word most likely meant, or NULL. */
const char *check_nearest(struct str word, const char *const *names);
bool check_near(struct str word, struct str name, unsigned *best); /* lowers *best when nearer */

#endif
