/* SPDX-License-Identifier: Apache-2.0
 *
 * The frame of a change document: which members there are, of what types, and one entry for each
 * object. Text is measured before it is parsed, so that no document takes more memory than its
 * octets let one expect.
 */
#include "conf/document.h"

#include <errno.h>
#include <unistd.h>

#include "conf/document_priv.h"
#include "conf/sealed.h"
#include "shm/base/bug.h"

/* --- kinds ------------------------------------------------------------------------------------ */

const char *const document_op_names[] = {"create", "put", "patch", "delete", "add", "remove", NULL};
_Static_assert(ARRAY_LEN(document_op_names) == DOC_OP_COUNT + 1, "a name for each operation");

int
document_kind(struct str word)
{
	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++)
		if (str_eq(word, str_of(object_kinds[k].word)))
			return (int)k;
	if (str_eq(word, STR("verdict")))
		return DOC_VERDICT;
	return str_eq(word, STR("endpoints")) ? DOC_ENDPOINTS : -1;
}

const char *
document_kind_word(int kind)
{
	if (kind == DOC_VERDICT)
		return "verdict";
	if (kind == DOC_ENDPOINTS)
		return "endpoints";
	return kind > CONF_SETTINGS && kind < CONF_KIND_COUNT ? object_kinds[kind].word : "";
}

/* --- text ------------------------------------------------------------------------------------- */

#define VALUES_MAX (4u << 20) /* of one document: jansson takes up to 200 octets for each */

struct measure {
	unsigned depth, deepest;
	size_t values;
	bool in_string;
};

static void
measure_octet(struct measure *m, char octet)
{
	switch (octet) {
	case '"':
		m->in_string = true;
		return;
	case '{':
	case '[':
		m->depth++;
		m->deepest = MAX(m->deepest, m->depth);
		m->values++;
		return;
	case '}':
	case ']':
		m->depth -= m->depth > 0;
		return;
	case ',':
		m->values++;
		return;
	default:
		return;
	}
}

/* Brackets and commas outside of strings, whatever else is wrong with the text. */
static struct measure
measure(struct str text)
{
	struct measure m = {0};

	for (size_t i = 0; i < text.n; i++) {
		if (!m.in_string)
			measure_octet(&m, text.p[i]);
		else if (text.p[i] == '\\')
			i++;
		else if (text.p[i] == '"')
			m.in_string = false;
	}
	return m;
}

int
document_measure(struct str text, struct conf_check *c)
{
	struct measure m;

	if (text.n > DOCUMENT_MAX) {
		check_error(c, NULL, "the document has %zu octets; allowed: up to %u", text.n,
		    DOCUMENT_MAX);
		return -1;
	}
	m = measure(text);
	if (m.deepest > DOCUMENT_DEPTH)
		check_error(c, NULL, "the document is nested %u deep; allowed: up to %u", m.deepest,
		    DOCUMENT_DEPTH);
	else if (m.values > VALUES_MAX)
		check_error(c, NULL, "the document has %zu values; allowed: up to %u", m.values,
		    VALUES_MAX);
	else
		return 1;
	return -1;
}

/* What stands near the place is left out: it may be cut within a character. */
static void
complain_syntax(const json_error_t *e, struct conf_check *c)
{
	struct str what = str_of(e->text);
	ssize_t near = str_find(what, STR(" near "));

	if (near >= 0)
		what = str_sub(what, 0, (size_t)near);
	check_error(
	    c, NULL, "not JSON: line %d, column %d: %.*s", e->line, e->column, STR_ARG(what));
}

static json_t *
parse(struct str text, struct conf_check *c)
{
	json_error_t error;
	json_t *j;

	if (document_measure(text, c) < 0)
		return NULL;
	j = json_loadb(text.n > 0 ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &error);
	if (j == NULL) {
		complain_syntax(&error, c);
		return NULL;
	}
	if (json_is_object(j))
		return j;
	check_error(c, NULL, "the document is %s; allowed: an object", document_word(j));
	json_decref(j);
	return NULL;
}

const char *
document_word(const json_t *j)
{
	static const char *const words[] = {
	    [JSON_OBJECT] = "an object",
	    [JSON_ARRAY] = "a list",
	    [JSON_STRING] = "a string",
	    [JSON_INTEGER] = "a whole number",
	    [JSON_REAL] = "a number",
	    [JSON_TRUE] = "true",
	    [JSON_FALSE] = "false",
	    [JSON_NULL] = "null",
	};

	return words[json_typeof(j)];
}

/* --- members ---------------------------------------------------------------------------------- */

void
document_unknown(const json_t *object, const char *const *names, struct conf_check *c)
{
	json_t *j = (json_t *)(uintptr_t)object, *value;
	const char *key;

	json_object_foreach(j, key, value)
	{
		const char *nearest;
		unsigned i = 0;
		size_t path;

		while (names[i] != NULL && strcmp(names[i], key) != 0)
			i++;
		if (names[i] != NULL)
			continue;
		path = check_push(c, str_of(key));
		nearest = check_nearest(str_of(key), names);
		if (nearest != NULL)
			check_error(c, NULL, "unknown member; did you mean \"%s\"?", nearest);
		else
			check_error(c, NULL, "unknown member");
		check_cut(c, path);
	}
}

int
document_string(
    const json_t *object, const char *name, size_t max, struct str *s_r, struct conf_check *c)
{
	const json_t *j = json_object_get(object, name);
	struct str s;

	if (j == NULL)
		return 0;
	if (!json_is_string(j)) {
		check_error(c, name, "%s; allowed: a string", document_word(j));
		return -1;
	}
	s = str_n(json_string_value(j), json_string_length(j));
	if (s.n > max) {
		check_error(c, name, "%zu octets; allowed: up to %zu", s.n, max);
		return -1;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f) || s.p[i] == '\n')
			continue;
		check_error(c, name, "has a control character in it");
		return -1;
	}
	*s_r = s;
	return 1;
}

static void
read_bool(const json_t *root, const char *name, bool *b_r, struct conf_check *c)
{
	const json_t *j = json_object_get(root, name);

	if (j == NULL)
		return;
	if (json_is_boolean(j))
		*b_r = json_is_true(j);
	else
		check_error(c, name, "%s; allowed: true or false", document_word(j));
}

static int
read_number(
    const json_t *object, const char *name, uint64_t min, uint64_t *v_r, struct conf_check *c)
{
	const json_t *j = json_object_get(object, name);

	if (j == NULL)
		return 0;
	if (!json_is_integer(j))
		check_error(c, name, "%s; allowed: a whole number from %llu", document_word(j),
		    (unsigned long long)min);
	else if (json_integer_value(j) < (json_int_t)min)
		check_error(c, name, "%lld; allowed: a whole number from %llu",
		    (long long)json_integer_value(j), (unsigned long long)min);
	else {
		*v_r = (uint64_t)json_integer_value(j);
		return 1;
	}
	return -1;
}

/* --- the frame -------------------------------------------------------------------------------- */

static void
read_schema(const json_t *root, bool needed, struct conf_check *c)
{
	uint64_t schema = DOCUMENT_SCHEMA;

	if (read_number(root, "schema", 1, &schema, c) == 0 && needed)
		check_error(c, NULL, "schema is missing; allowed: %u", DOCUMENT_SCHEMA);
	if (schema != DOCUMENT_SCHEMA)
		check_error(c, "schema", "%llu: of another version; allowed: %u",
		    (unsigned long long)schema, DOCUMENT_SCHEMA);
}

static bool
is_hash(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < '0' || s.p[i] > '9') && (s.p[i] < 'a' || s.p[i] > 'f'))
			return false;
	return s.n == 64;
}

static void
read_console_members(struct document *d, const json_t *j, struct conf_check *c)
{
	static const char *const names[] = {"epoch", "number", "hash", NULL};

	document_unknown(j, names, c);
	if (document_string(j, "epoch", 128, &d->console.epoch, c) == 0)
		check_error(c, NULL, "epoch is missing; allowed: a string");
	else if (d->console.epoch.n == 0 && json_is_string(json_object_get(j, "epoch")))
		check_error(c, "epoch", "empty; allowed: a string");
	if (read_number(j, "number", 0, &d->console.number, c) == 0)
		check_error(c, NULL, "number is missing; allowed: a whole number");
	if (document_string(j, "hash", 64, &d->console.hash, c) == 0)
		check_error(c, NULL, "hash is missing; allowed: 64 hexadecimal digits");
	else if (d->console.hash.p != NULL && !is_hash(d->console.hash))
		check_error(c, "hash", "not a content hash; allowed: 64 lower-case hex digits");
}

static void
read_console(struct document *d, const json_t *root, struct conf_check *c)
{
	const json_t *j = json_object_get(root, "console");
	size_t path;

	if (j == NULL)
		return;
	if (!json_is_object(j)) {
		check_error(c, "console", "%s; allowed: an object", document_word(j));
		return;
	}
	d->has_console = true;
	path = check_push(c, STR("console"));
	read_console_members(d, j, c);
	check_cut(c, path);
}

static void
read_rollback(struct document *d, const json_t *root, struct conf_check *c)
{
	(void)read_number(root, "rollback", 1, &d->rollback, c);
	if (document_string(root, "drop_override", 128, &d->drop_override, c) == 1 &&
	    d->drop_override.n == 0)
		check_error(c, "drop_override", "empty; allowed: the name of an override");
}

/* One thing at a time: changes, a rollback, or an override to drop. */
static void
check_purpose(const struct document *d, const json_t *root, struct conf_check *c)
{
	static const char *const what[] = {"changes", "rollback", "drop_override"};
	const char *first = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(what); i++) {
		if (json_object_get(root, what[i]) == NULL)
			continue;
		if (first != NULL)
			check_error(
			    c, what[i], "stands beside %s; one of the two is allowed", first);
		first = first != NULL ? first : what[i];
	}
	if (first == NULL && !d->has_console)
		check_error(
		    c, NULL, "nothing to do; allowed: one of changes, rollback, drop_override");
	if (first != what[0] && d->whole)
		check_error(c, "whole", "without changes it would delete everything");
}

static void
read_frame(struct document *d, struct conf_check *c)
{
	static const char *const names[] = {"schema", "author", "comment", "dry_run", "for_console",
	    "partial", "whole", "allow_deletions", "console", "rollback", "drop_override",
	    "changes", NULL};

	document_unknown(d->root, names, c);
	(void)document_string(d->root, "author", DOCUMENT_AUTHOR_MAX, &d->author, c);
	(void)document_string(d->root, "comment", DOCUMENT_COMMENT_MAX, &d->comment, c);
	read_bool(d->root, "dry_run", &d->dry_run, c);
	read_bool(d->root, "for_console", &d->for_console, c);
	if (d->for_console && !d->dry_run)
		check_error(c, "for_console",
		    "without dry_run; what is checked for the console is "
		    "published, not applied");
	read_bool(d->root, "partial", &d->partial, c);
	read_bool(d->root, "whole", &d->whole, c);
	read_bool(d->root, "allow_deletions", &d->allow_deletions, c);
	read_console(d, d->root, c);
	read_schema(d->root, d->has_console, c);
	read_rollback(d, d->root, c);
	check_purpose(d, d->root, c);
}

int
document_read(struct str text, struct document *d_r, struct ws *ws, struct conf_check *check)
{
	struct document d = {.ws = ws, .root = parse(text, check)};
	uint32_t errors = check->errors;

	if (d.root == NULL)
		return -1;
	read_frame(&d, check);
	document_read_changes(&d, check);
	if (check->errors != errors) {
		document_free(&d);
		return -1;
	}
	*d_r = d;
	return 1;
}

void
document_free(struct document *d)
{
	json_decref(d->root);
	memset(d, 0, sizeof(*d));
}

/* --- descriptors ------------------------------------------------------------------------------ */

static int
seal(int fd, struct str text)
{
	return sealed_put(fd, text) == 1 && sealed_finish(fd) == 1 ? 1 : -1;
}

int
document_seal(struct str text, const char **error_r)
{
	int fd = sealed_new("document");

	if (text.n > DOCUMENT_MAX)
		errno = EFBIG;
	else if (fd >= 0 && seal(fd, text) == 1)
		return fd;
	*error_r = strerror(errno);
	if (fd >= 0)
		close(fd);
	return -1;
}

int
document_map(int fd, struct str *text_r, const char **error_r)
{
	return sealed_map(fd, DOCUMENT_MAX, text_r, error_r);
}

void
document_unmap(struct str *text)
{
	sealed_unmap(text);
}
