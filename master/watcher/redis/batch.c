/* SPDX-License-Identifier: Apache-2.0
 *
 * See batch.h.
 */
#include "master/watcher/redis/batch.h"

#include <jansson.h>

#include "conf/document.h"
#include "shm/base/bug.h"

#define FRAME_OCTETS 4096 /* what stands around the changes */
#define VALUE_DEPTH  (DOCUMENT_DEPTH - 4)

/* --- fields ----------------------------------------------------------------------------------- */

int
batch_field(struct str field, int *kind_r, struct str *id_r, const char **error_r)
{
	ssize_t slash = str_chr(field, '/');
	struct str id;
	int kind;

	*error_r = "the field is not \"KIND/ID\"";
	if (slash <= 0)
		return -1;
	kind = document_kind(str_sub(field, 0, (size_t)slash));
	id = str_sub(field, (size_t)slash + 1, field.n);
	*error_r =
	    "kind is unknown; allowed: listener, service, route, certificate, verdict, endpoints";
	if (kind < 0)
		return -1;
	*error_r = kind == DOC_VERDICT
		       ? "id is not SERVICE/ENDPOINT or SERVICE/*"
		       : "not an id; allowed: 1 to 63 letters, digits, \".\", \"_\", \"-\"";
	if (kind == DOC_VERDICT ? !document_verdict_id_ok(id) : !object_id_ok(id))
		return -1;
	*kind_r = kind;
	*id_r = id;
	return 1;
}

/* --- values ----------------------------------------------------------------------------------- */

/* Brackets outside of strings: nothing deep is given to a recursive parser. */
static bool
too_deep(struct str text)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '['))
			depth++;
		else if (!in_string && (c == '}' || c == ']') && depth > 0)
			depth--;
		if (depth > VALUE_DEPTH)
			return true;
	}
	return false;
}

/* What is in the frame: NULL, or what is wrong with it. */
static const char *
check_frame(const json_t *root, int kind)
{
	const json_t *schema = json_object_get(root, "schema");
	const json_t *value = json_object_get(root, "value");
	const char *expires = json_string_value(json_object_get(value, "expires"));

	if (!json_is_object(root))
		return "the value is not {\"schema\": 1, \"value\": {...}}";
	if (!json_is_integer(schema))
		return "schema is missing, or no number; allowed: 1";
	if (json_integer_value(schema) != DOCUMENT_SCHEMA)
		return "schema is not known here; allowed: 1";
	if (!json_is_object(value))
		return "value is missing, or no object";
	/* A span would begin anew each time somebody reads it. */
	if (kind == DOC_VERDICT && expires != NULL && strchr(expires, 'T') == NULL)
		return "expires is not a point in time; allowed here: RFC 3339, like "
		       "2026-11-21T02:00:00Z";
	return NULL;
}

/* The inner value, a new reference; NULL with *error_r. */
static json_t *
read_value(struct str text, int kind, const char **error_r)
{
	json_error_t at;
	json_t *root, *value;

	*error_r = "the value has more than 1 MB";
	if (text.n > OBJECT_OCTETS)
		return NULL;
	*error_r = "the value is nested more than 28 deep";
	if (too_deep(text))
		return NULL;
	*error_r = "the value is not JSON, not UTF-8, or has a member twice";
	root = json_loadb(text.n > 0 ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &at);
	if (root == NULL)
		return NULL;
	*error_r = check_frame(root, kind);
	value = *error_r == NULL ? json_incref(json_object_get(root, "value")) : NULL;
	json_decref(root);
	return value;
}

/* --- text ------------------------------------------------------------------------------------- */

static int
put_octets(const char *p, size_t n, void *arg)
{
	gbuf_put(arg, p, n);
	return 0;
}

static void
put_json(struct gbuf *g, const json_t *j)
{
	(void)json_dump_callback(j, put_octets, g, JSON_COMPACT | JSON_ENCODE_ANY);
}

/* Text that is not UTF-8 becomes "?". */
static void
put_string(struct gbuf *g, struct str s)
{
	json_t *j = json_stringn(s.p != NULL ? s.p : "", s.n);

	if (j == NULL)
		j = json_string("?");
	put_json(g, j);
	json_decref(j);
}

static struct batch_field *
add_field(struct batch *b, struct str field)
{
	if (b->n == b->cap) {
		b->cap = b->cap == 0 ? 64 : b->cap * 2;
		b->v = xrealloc(b->v, b->cap * sizeof(*b->v));
	}
	b->v[b->n] = (struct batch_field){.field = str_z(field)};
	return &b->v[b->n++];
}

static void
put_change(struct batch *b, const char *op, int kind, struct str id, const json_t *value)
{
	struct gbuf *g = &b->changes;

	gbuf_printf(g, "%s{\"op\":\"%s\",\"kind\":\"%s\",\"id\":", g->n > 0 ? "," : "", op,
	    document_kind_word(kind));
	put_string(g, id);
	if (value != NULL) {
		gbuf_str(g, STR(",\"value\":"));
		put_json(g, value);
	}
	gbuf_u8(g, '}');
	b->overflow |= g->n > DOCUMENT_MAX - FRAME_OCTETS || b->n > DOCUMENT_CHANGES;
}

void
batch_put(struct batch *b, struct str field, struct str value)
{
	struct batch_field *f = add_field(b, field);
	struct str id;
	json_t *j;
	int kind;

	if (batch_field(field, &kind, &id, &f->error) < 0 || b->overflow)
		return;
	j = read_value(value, kind, &f->error);
	put_change(b, "put", kind, id, j);
	json_decref(j);
}

void
batch_delete(struct batch *b, struct str field)
{
	struct batch_field *f = add_field(b, field);
	struct str id;
	int kind;

	/* What could not be put is not there. */
	if (batch_field(field, &kind, &id, &f->error) < 0) {
		f->error = NULL;
		return;
	}
	f->error = NULL;
	if (!b->overflow)
		put_change(b, "delete", kind, id, NULL);
}

void
batch_text(const struct batch *b, const struct batch_head *h, struct gbuf *out)
{
	gbuf_printf(out, "{\"schema\":%u,\"partial\":true", DOCUMENT_SCHEMA);
	if (h->whole)
		gbuf_str(out, STR(",\"whole\":true"));
	if (h->allow_deletions)
		gbuf_str(out, STR(",\"allow_deletions\":true"));
	if (h->author.n > 0) {
		gbuf_str(out, STR(",\"author\":"));
		put_string(out, str_sub(h->author, 0, DOCUMENT_AUTHOR_MAX));
	}
	gbuf_str(out, STR(",\"comment\":"));
	put_string(out, h->comment);
	gbuf_str(out, STR(",\"console\":{\"epoch\":"));
	put_string(out, h->epoch);
	gbuf_printf(
	    out, ",\"number\":%llu,\"hash\":\"%s\"}", (unsigned long long)h->number, h->hash);
	gbuf_str(out, STR(",\"changes\":["));
	gbuf_put(out, b->changes.p, b->changes.n);
	gbuf_str(out, STR("]}"));
}

void
batch_free(struct batch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		free(b->v[i].field);
	free(b->v);
	gbuf_free(&b->changes);
	*b = (struct batch){.n = 0};
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool
is_refused(const json_t *change)
{
	static const char *const words[] = {"refused", "owned", "exists", "precondition"};
	const char *result = json_string_value(json_object_get(change, "result"));

	for (unsigned i = 0; result != NULL && i < ARRAY_LEN(words); i++)
		if (strcmp(result, words[i]) == 0)
			return true;
	return result != NULL && strcmp(result, "none") == 0 &&
	       json_array_size(json_object_get(change, "errors")) > 0;
}

/* The answer is in the document's order: the search goes on where it ended. */
static struct batch_field *
find_field(struct batch *b, const json_t *change, uint32_t *at)
{
	const char *kind = json_string_value(json_object_get(change, "kind"));
	const char *id = json_string_value(json_object_get(change, "id"));
	size_t n = kind == NULL ? 0 : strlen(kind);

	if (kind == NULL || id == NULL)
		return NULL;
	for (uint32_t i = 0; i < b->n; i++) {
		struct batch_field *f = &b->v[(*at + i) % b->n];

		if (strncmp(f->field, kind, n) != 0 || f->field[n] != '/' ||
		    strcmp(f->field + n + 1, id) != 0)
			continue;
		*at = (*at + i + 1) % b->n;
		return f;
	}
	return NULL;
}

typedef void refused_f(void *arg, struct str field, struct str error);

static void
read_changes(struct batch *b, const json_t *root, refused_f *fn, void *arg)
{
	const json_t *list = json_object_get(root, "changes");
	uint32_t at = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *change = json_array_get(list, i);
		struct batch_field *f = find_field(b, change, &at);
		const char *why;

		if (f == NULL || f->error != NULL || !is_refused(change))
			continue;
		why = json_string_value(json_array_get(json_object_get(change, "errors"), 0));
		f->refused = true;
		fn(arg, str_of(f->field), str_sub(str_of(why != NULL ? why : "refused"), 0, 400));
	}
}

void
batch_refused(struct batch *b, struct str body, refused_f *fn, void *arg)
{
	json_t *root = json_loadb(body.n > 0 ? body.p : "", body.n, 0, NULL);

	read_changes(b, root, fn, arg);
	json_decref(root);
	for (uint32_t i = 0; i < b->n; i++)
		if (b->v[i].error != NULL) {
			b->v[i].refused = true;
			fn(arg, str_of(b->v[i].field), str_of(b->v[i].error));
		}
}

/* --- documents of the stream ------------------------------------------------------------------ */

/* 1; -1 an entry without kind or id. */
static int
tell_field(const json_t *change, void (*fn)(void *arg, struct str field), void *arg)
{
	const char *kind = json_string_value(json_object_get(change, "kind"));
	const char *id = json_string_value(json_object_get(change, "id"));
	char field[1024];
	int n;

	if (kind == NULL || id == NULL)
		return -1;
	n = snprintf(field, sizeof(field), "%s/%s", kind, id);
	if (n < 0 || (size_t)n >= sizeof(field))
		return -1;
	fn(arg, str_n(field, (size_t)n));
	return 1;
}

int
batch_document_fields(struct str document, void (*fn)(void *arg, struct str field), void *arg)
{
	json_t *root, *list;
	int rc;

	if (document.n > DOCUMENT_MAX)
		return -1;
	root = json_loadb(document.n > 0 ? document.p : "", document.n, 0, NULL);
	list = json_object_get(root, "changes");
	rc = json_is_array(list) ? 1 : -1;
	for (size_t i = 0; rc == 1 && i < json_array_size(list); i++)
		rc = tell_field(json_array_get(list, i), fn, arg);
	json_decref(root);
	return rc;
}
