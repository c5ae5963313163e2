/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl: a client of the admin API. One blocking request per question, tables for people, JSON
 * for machines.
 *
 * Exit status: 0 done; 1 refused or failed by the gateway; 2 wrong usage; 3 the gateway cannot be
 * reached.
 */
#ifndef GW_CTL_H
#define GW_CTL_H

#include <jansson.h>

#include "shm/base/base.h"

enum ctl_exit { CTL_OK, CTL_REFUSED, CTL_USAGE, CTL_UNREACHABLE };

#define CTL_V1             "/api/gateway/v1"
#define CTL_SOCKET_DEFAULT GW_RUN_DIR "/admin.sock"

struct ctl {
	const char *socket;
	char instance_socket[192]; /* -i */
	bool json;
	unsigned timeout_s;
	const char *verb; /* the command's last word */
	int argc;
	char **argv;
	const char *program;
};
typedef int ctl_f(struct ctl *c);

struct ctl_command {
	const char *words, *args;
	int min, max;
	ctl_f *run;
	const char *help;
};
extern const struct ctl_command ctl_commands[]; /* ends with words == NULL */

#define CTL(words, args, min, max, fn, help) ctl_f fn;
#include "admin/ctl_cmds.def"
#undef CTL

/* Options of a command itself, wherever they stand among its arguments: taken out of argv. The
 * value of "-f" is what follows; NULL when the option is not there. *error_r when it has none. */
bool ctl_flag(struct ctl *c, const char *name);
const char *ctl_option(struct ctl *c, const char *name);
/* After all options were taken: true when between min and max arguments are left, and none looks
 * like an option; else false after words. */
bool ctl_rest(const struct ctl *c, int min, int max, const char *usage);

/* "route", "routes" ...: the list's name, or NULL after words. */
const char *ctl_kind(const char *word);

/* A file or directory of objects as the changes of a document: [{op, kind, id, value}]. A new
 * reference, NULL after words. */
json_t *ctl_read(const char *path) NODISCARD;
/* What a change document did, as the keeper answers it. */
void ctl_print_changed(const json_t *j, bool all);
/* The settings that differ, a line each, indented; either may be null. */
void ctl_print_difference(const json_t *before, const json_t *after);
/* The words that may follow, for the shell. */
int ctl_complete(struct ctl *c);

/* One exchange. body may be NULL. Returns the HTTP status with the answer's octets in *text_r
 * (malloc'ed, terminated), or -1 after the reason was printed. */
int ctl_http(const struct ctl *c, const char *method, const char *path, const char *body,
    char **text_r) NODISCARD;
/* The same for JSON answers: *json_r is a new reference. Answers of 400 and more are printed, and
 * give CTL_REFUSED. Returns CTL_*. */
int ctl_call(const struct ctl *c, const char *method, const char *path, json_t *take_body,
    json_t **json_r) NODISCARD;
/* The same, as text: printed when it is good. Returns CTL_*. */
int ctl_text_of(const struct ctl *c, const char *path) NODISCARD;
/* Calls, then prints: as JSON with --json, else through `table`. Takes the body. */
int ctl_do(const struct ctl *c, const char *method, const char *path, json_t *take_body,
    void (*table)(const json_t *j)) NODISCARD;
/* GET, then print: as JSON with --json, else through `table`. */
int ctl_show(const struct ctl *c, const char *path, void (*table)(const json_t *j)) NODISCARD;

/* config check: of `file`, or with NULL of the running instance's. Returns CTL_*. */
int ctl_check(const struct ctl *c, const char *file) NODISCARD;

/* Percent-encodes into a new string; the caller frees. */
char *ctl_escape(const char *s);

/* Columns of a table: header and the member of each row's object. Widths follow the content. */
struct ctl_column {
	const char *title, *key;
	bool right;
};
void ctl_table(const json_t *rows, const struct ctl_column *cols, unsigned n);
/* "name  value", one a line; what is in an object within gets a name with dots. */
void ctl_pairs(const json_t *object);
void ctl_print_json(const json_t *j);

#endif
