/* SPDX-License-Identifier: Apache-2.0
 *
 * A change document: what admin API, console and rollback say when they want something changed.
 * JSON text that goes with a message (enclosed.h), an entry of the console's stream, a record of
 * the journal: always this form.
 *
 *	{ "schema": 1,			needed beside "console"; 1 when left out
 *	  "author": "text",		for the history; at most 128 octets
 *	  "comment": "text",		for the history; at most 1,000 octets
 *	  "dry_run": false,		check and report, change nothing
 *	  "for_console": false,		with dry_run: check it as the console's, who will publish it
 *	  "partial": false,		what is wrong is refused by itself, the rest goes on
 *	  "whole": false,		the source has nothing else: its other objects go
 *	  "allow_deletions": false,	with whole: however many that are
 *	  "console": {"epoch": "text", "number": 17, "hash": "64 hex digits"},
 *					position after this document; the redis process's alone
 *	  "rollback": 12,		instead of changes: back to the configuration as of 12
 *	  "drop_override": "name",	instead of changes: what the source says holds again
 *	  "changes": [ { "op": "put", "kind": "route", "id": "orders",
 *			 "if_match": 17 or "*", "if_none_match": "*",
 *			 "value": { ... } }, ... ] }
 *
 *	op	create (409 when it is there), put, patch (RFC 7396, on what is in force), delete
 *	kind	listener, service, route, certificate; and two that belong to no generation and have
 *		no versions:
 *		"verdict", put and delete, id "SERVICE/ENDPOINT" (ENDPOINT "*" for all), value
 *			{"verdict": "down"} and/or {"weight": 5}, with {"expires": "10m" or RFC
 *			3339 time}; delete withdraws it
 *		"endpoints", put, add, remove, delete, id SERVICE, value {"endpoints": [{"url",
 *			"weight"}, ...]} takes the place of what the service's settings say; with op
 *			"add" or "remove" the list is added to or taken from those in force; delete
 *			returns to the settings
 *	value	the object's settings as in gateway.conf, with JSON's types; "id" may stand in it
 *		and must then be the id; "_meta" is passed over
 *
 * An object stands once in a document.
 * Sources: "file", "admin", "console". Which one a document has is decided by the line it came by.
 */
#ifndef GW_DOCUMENT_H
#define GW_DOCUMENT_H

#include <jansson.h>

#include "conf/check.h"
#include "conf/object.h"

#define DOCUMENT_MAX         (64u << 20) /* octets */
#define DOCUMENT_DEPTH       32
#define DOCUMENT_CHANGES     200000
#define DOCUMENT_SCHEMA      1
#define DOCUMENT_AUTHOR_MAX  128
#define DOCUMENT_COMMENT_MAX 1000

enum document_op { DOC_CREATE, DOC_PUT, DOC_PATCH, DOC_DELETE, DOC_ADD, DOC_REMOVE, DOC_OP_COUNT };
extern const char *const document_op_names[]; /* NULL-terminated */

/* Kinds beside enum conf_kind. */
enum { DOC_VERDICT = 100, DOC_ENDPOINTS };
/* The number of a kind's word ("route", "verdict"); -1. settings is no kind of documents. */
int document_kind(struct str word);
const char *document_kind_word(int kind);
/* "SERVICE/ENDPOINT": what an endpoint is called is an address, a name, a path or a star. */
bool document_verdict_id_ok(struct str id);

#define IF_ANY UINT64_MAX
struct document_change {
	enum document_op op;
	int kind; /* enum conf_kind, DOC_VERDICT, DOC_ENDPOINTS; -1 beside an error */
	struct str id;
	uint64_t if_match;  /* version; IF_ANY: must exist; 0: not asked */
	bool if_none_match; /* must not exist */
	json_t *value;      /* borrowed; NULL with delete */
	struct str error;   /* of an entry that could not be read (partial documents); else empty */
};

struct document {
	struct str author, comment;
	bool dry_run, for_console, partial, whole, allow_deletions;
	bool has_console;
	struct {
		struct str epoch, hash;
		uint64_t number;
	} console;
	uint64_t rollback; /* 0: none; generations count from 1 */
	struct str drop_override;
	struct document_change *v;
	uint32_t n;
	/* private */
	json_t *root;
	struct ws *ws;
};

/* Reads and checks the frame: limits, types, unknown members, ids, double objects. The values are
 * checked later, by field table. Slices and changes lie in ws and in the document. 1; -1 with every
 * error in check ("changes[3].id: ..."). In partial documents a bad entry keeps its place with
 * `error` set. */
int document_read(
    struct str text, struct document *d_r, struct ws *ws, struct conf_check *check) NODISCARD;
void document_free(struct document *d);
/* Octets, depth and number of values, before anything is parsed: small text can make a tree many
 * times its size. 1; -1 with the error in check. For whoever else parses what strangers send. */
int document_measure(struct str text, struct conf_check *check) NODISCARD;

/* Text in a sealed memfd and back. document_map: the octets, until document_unmap; -1 not sealed,
 * too large. */
int document_seal(struct str text, const char **error_r) NODISCARD;
int document_map(int fd, struct str *text_r, const char **error_r) NODISCARD;
void document_unmap(struct str *text);

/* A JSON value as an object of that kind: by field table, with its checks, defaults and canonical
 * body; digest set, number and version 0, source as given. Host names in a service's endpoints stay
 * unresolved; addresses are filled in. Everything in ws. -1 with every error in check, each path
 * beginning "routes[orders]". */
int document_object(enum conf_kind kind, struct str id, struct str source, const json_t *value,
    struct ws *ws, struct conf_object *o_r, struct conf_check *check) NODISCARD;

/* The settings of an object as JSON (a new reference), as `value` takes them; NULL when its body is
 * malformed. all: defaults too. */
json_t *document_value(const struct conf_object *o, bool all);
/* RFC 7396 on copies: a new reference; NULL when the patch is deeper than DOCUMENT_DEPTH. */
json_t *document_patch(const json_t *target, const json_t *patch);
/* Compact, keys sorted: equal values give equal text. The caller frees. */
char *document_text(const json_t *j);

#endif
