/* SPDX-License-Identifier: Apache-2.0
 *
 * The entries of a change document: what is done to which object. In a partial document an entry
 * that cannot be read keeps its place and its complaint, and the others go on.
 */
#include "conf/document_priv.h"

#include "conf/object_read.h"
#include "shm/base/bug.h"
#include "shm/base/hash.h"

#define NAME_MAX_IN_ID 255 /* of an endpoint */

struct seen {
	struct hnode node;
	const struct document_change *change;
	uint32_t index;
};

struct reader {
	struct document *d;
	struct htab seen;
};

/* --- one entry -------------------------------------------------------------------------------- */

#define BIT(op)    (1u << (op))
#define OBJECT_OPS (BIT(DOC_CREATE) | BIT(DOC_PUT) | BIT(DOC_PATCH) | BIT(DOC_DELETE))

static unsigned
ops_of(int kind)
{
	if (kind == DOC_VERDICT)
		return BIT(DOC_PUT) | BIT(DOC_DELETE);
	if (kind == DOC_ENDPOINTS)
		return BIT(DOC_PUT) | BIT(DOC_ADD) | BIT(DOC_REMOVE) | BIT(DOC_DELETE);
	return OBJECT_OPS;
}

static void
complain_op(const struct document_change *change, struct conf_check *c)
{
	struct gbuf allowed = {0};

	for (unsigned op = 0; op < DOC_OP_COUNT; op++)
		if ((ops_of(change->kind) & BIT(op)) != 0)
			gbuf_printf(
			    &allowed, "%s%s", allowed.n > 0 ? ", " : "", document_op_names[op]);
	check_error(c, "op", "\"%s\" is not for kind \"%s\"; allowed: %.*s",
	    document_op_names[change->op], document_kind_word(change->kind), (int)allowed.n,
	    allowed.p);
	gbuf_free(&allowed);
}

/* A word of a list: its index, or -1 after an error. */
static int
read_word(const json_t *j, const char *name, const char *const *words, struct conf_check *c)
{
	struct gbuf allowed = {0};
	struct str s = STR_NONE;
	const char *nearest;
	int rc = document_string(j, name, 64, &s, c);

	if (rc < 0)
		return -1;
	for (unsigned i = 0; rc == 1 && words[i] != NULL; i++)
		if (str_eq(s, str_of(words[i])))
			return (int)i;
	for (unsigned i = 0; words[i] != NULL; i++)
		gbuf_printf(&allowed, "%s%s", i > 0 ? ", " : "", words[i]);
	nearest = rc == 1 ? check_nearest(s, words) : NULL;
	if (rc == 0)
		check_error(
		    c, NULL, "%s is missing; allowed: %.*s", name, (int)allowed.n, allowed.p);
	else if (nearest != NULL)
		check_error(c, name, "\"%.*s\"; did you mean \"%s\"?", STR_ARG(s), nearest);
	else
		check_error(
		    c, name, "\"%.*s\"; allowed: %.*s", STR_ARG(s), (int)allowed.n, allowed.p);
	gbuf_free(&allowed);
	return -1;
}

static int
read_kind(const json_t *j, struct conf_check *c)
{
	static const char *const words[] = {
	    "listener", "service", "route", "certificate", "verdict", "endpoints", NULL};
	int i = read_word(j, "kind", words, c);

	return i >= 0 ? document_kind(str_of(words[i])) : -1;
}

bool
document_verdict_id_ok(struct str id)
{
	ssize_t slash = str_chr(id, '/');
	struct str name;

	if (slash < 0 || !object_id_ok(str_sub(id, 0, (size_t)slash)))
		return false;
	name = str_sub(id, (size_t)slash + 1, id.n);
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= 0x20 || (unsigned char)name.p[i] >= 0x7f)
			return false;
	return name.n > 0 && name.n <= NAME_MAX_IN_ID;
}

static void
read_id(const json_t *j, struct document_change *change, struct conf_check *c)
{
	struct str id;
	int rc = document_string(j, "id", 512, &id, c);

	if (rc == 0)
		check_error(c, NULL, "id is missing; allowed: a string");
	if (rc != 1)
		return;
	if (change->kind == DOC_VERDICT && !document_verdict_id_ok(id))
		check_error(c, "id", "\"%.*s\": allowed: \"SERVICE/ENDPOINT\" or \"SERVICE/*\"",
		    STR_ARG(str_sub(id, 0, 200)));
	else if (change->kind == DOC_VERDICT || object_id_check(id, c) == 1)
		change->id = id;
}

static void
read_if_match(const json_t *j, struct document_change *change, struct conf_check *c)
{
	const json_t *m = json_object_get(j, "if_match");

	if (m == NULL)
		return;
	if (json_is_string(m) && strcmp(json_string_value(m), "*") == 0)
		change->if_match = IF_ANY;
	else if (json_is_integer(m) && json_integer_value(m) > 0)
		change->if_match = (uint64_t)json_integer_value(m);
	else
		check_error(c, "if_match", "allowed: a version (a whole number from 1) or \"*\"");
}

static void
read_conditions(const json_t *j, struct document_change *change, struct conf_check *c)
{
	const json_t *none = json_object_get(j, "if_none_match");

	read_if_match(j, change, c);
	if (none != NULL && json_is_string(none) && strcmp(json_string_value(none), "*") == 0)
		change->if_none_match = true;
	else if (none != NULL)
		check_error(c, "if_none_match", "allowed: \"*\"");
	if (change->kind >= DOC_VERDICT && (change->if_match != 0 || change->if_none_match))
		check_error(c, change->if_match != 0 ? "if_match" : "if_none_match",
		    "kind \"%s\" has no versions", document_kind_word(change->kind));
	else if (change->if_match != 0 && change->if_none_match)
		check_error(
		    c, "if_none_match", "stands beside if_match; one of the two is allowed");
	else if (change->if_match != 0 && change->op == DOC_CREATE)
		check_error(c, "if_match", "without meaning for op \"create\"");
	else if (change->if_none_match && change->op != DOC_CREATE && change->op != DOC_PUT)
		check_error(c, "if_none_match", "without meaning for op \"%s\"",
		    document_op_names[change->op]);
}

static void
read_value(const json_t *j, struct document_change *change, struct conf_check *c)
{
	json_t *value = json_object_get(j, "value");

	if (change->op == DOC_DELETE) {
		if (value != NULL)
			check_error(c, "value", "without meaning for op \"delete\"");
		return;
	}
	if (value == NULL)
		check_error(c, NULL, "value is missing; allowed: an object");
	else if (!json_is_object(value))
		check_error(c, "value", "%s; allowed: an object", document_word(value));
	else
		change->value = value;
}

static void
read_members(const json_t *j, struct document_change *change, struct conf_check *c)
{
	static const char *const names[] = {
	    "op", "kind", "id", "if_match", "if_none_match", "value", NULL};
	int op, kind;

	document_unknown(j, names, c);
	op = read_word(j, "op", document_op_names, c);
	kind = change->kind = read_kind(j, c);
	if (op >= 0)
		change->op = (enum document_op)op;
	read_id(j, change, c);
	if (op < 0 || kind < 0)
		return;
	if ((ops_of(kind) & BIT(change->op)) == 0)
		complain_op(change, c);
	read_conditions(j, change, c);
	read_value(j, change, c);
}

/* --- an object once --------------------------------------------------------------------------- */

static bool
is_same(const struct hnode *n, const void *key)
{
	const struct seen *s = (const struct seen *)(const void *)n;
	const struct document_change *change = key;

	return s->change->kind == change->kind && str_eq(s->change->id, change->id);
}

static void
check_once(
    struct reader *r, const struct document_change *change, uint32_t index, struct conf_check *c)
{
	uint64_t hash = hash_keyed(change->id) + (uint64_t)change->kind;
	struct hnode *there = htab_get(&r->seen, hash, is_same, change);
	struct seen *s;

	if (there != NULL) {
		check_error(c, "id", "%s \"%.*s\" stands at changes[%u] already",
		    document_kind_word(change->kind), STR_ARG(change->id),
		    ((struct seen *)(void *)there)->index);
		return;
	}
	s = ws_zalloc(r->d->ws, sizeof(*s));
	if (s == NULL)
		oom_fail(sizeof(*s));
	s->change = change;
	s->index = index;
	htab_put(&r->seen, &s->node, hash);
}

static void
read_entry(struct reader *r, const json_t *j, uint32_t index, struct conf_check *c)
{
	struct document_change *change = &r->d->v[index];
	size_t before = check_push(c, STR("changes"));

	check_push_index(c, index);
	change->kind = -1;
	if (json_is_object(j))
		read_members(j, change, c);
	else
		check_error(c, NULL, "%s; allowed: an object", document_word(j));
	if (change->kind >= 0 && change->id.n > 0)
		check_once(r, change, index, c);
	check_cut(c, before);
}

/* --- partial documents ------------------------------------------------------------------------ */

/* Lines of a report as one. */
static struct str
one_line(struct conf_check *c, struct ws *ws)
{
	struct str rest = str_n(c->text.p, c->text.n), line;
	struct gbuf out = {0};
	struct str s;

	while (str_cut(&rest, '\n', &line))
		if (line.n > 0)
			gbuf_printf(&out, "%s%.*s", out.n > 0 ? "; " : "", STR_ARG(line));
	s = ws_str(ws, str_n(out.p, out.n));
	gbuf_free(&out);
	return s;
}

static void
read_partial(struct reader *r, const json_t *j, uint32_t index)
{
	struct conf_check own;

	check_init(&own);
	read_entry(r, j, index, &own);
	if (own.errors > 0)
		r->d->v[index].error = one_line(&own, r->d->ws);
	check_free(&own);
}

void
document_read_changes(struct document *d, struct conf_check *c)
{
	const json_t *list = json_object_get(d->root, "changes");
	struct reader r = {.d = d};
	size_t n = json_array_size(list);

	if (list != NULL && !json_is_array(list))
		check_error(c, "changes", "%s; allowed: a list", document_word(list));
	if (n > DOCUMENT_CHANGES)
		check_error(c, "changes", "%zu of them; allowed: up to %u", n, DOCUMENT_CHANGES);
	if (n == 0 || n > DOCUMENT_CHANGES)
		return;
	d->v = ws_zalloc(d->ws, n * sizeof(*d->v));
	if (d->v == NULL)
		oom_fail(n * sizeof(*d->v));
	d->n = (uint32_t)n;
	for (uint32_t i = 0; i < d->n; i++) {
		if (d->partial)
			read_partial(&r, json_array_get(list, i), i);
		else
			read_entry(&r, json_array_get(list, i), i, c);
	}
	htab_free(&r.seen);
}
