/* SPDX-License-Identifier: Apache-2.0
 *
 * Field tables by themselves: looking rows up, filling in defaults, comparing, and the hash that
 * tells one table's bytes from another's. Text is field_text.c, bytes are field_encode.c and
 * field_decode.c.
 */
#include "conf/field.h"

#include "conf/field_text.h"
#include "conf/policy.h"
#include "shm/base/bug.h"

#define LAYOUT_DEPTH 8 /* tables within tables; a policy that held policies would never end */

const struct field *
fields_find(const struct fields *f, struct str name)
{
	for (unsigned i = 0; i < f->n; i++) {
		const char *row = f->v[i].name;

		if (name.n > 0 && strncmp(row, name.p, name.n) == 0 && row[name.n] == '\0')
			return &f->v[i];
	}
	return NULL;
}

void
fields_default(const struct fields *f, void *self, struct ws *ws)
{
	const char *error;

	memset(self, 0, f->size);
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];

		if (row->type == F_GROUP)
			fields_default(row->sub, field_at(row, self), ws);
		else if (row->def != NULL &&
			 field_default(row, field_at(row, self), ws, &error) < 0)
			BUG_ON(!ws->overflow); /* a default that its own row refuses */
	}
}

bool
field_equal(const struct field *row, const void *a, const void *b)
{
	const struct fields one = {.name = row->name, .size = 0, .v = row, .n = 1};
	struct gbuf ga = {0}, gb = {0};
	bool equal;

	fields_encode(&one, a, &ga);
	fields_encode(&one, b, &gb);
	equal = ga.n == gb.n && (ga.n == 0 || memcmp(ga.p, gb.p, ga.n) == 0);
	gbuf_free(&ga);
	gbuf_free(&gb);
	return equal;
}

static void describe(const struct fields *f, struct gbuf *out, unsigned depth);

static void
describe_policies(struct gbuf *out, unsigned depth)
{
	const struct policy_type *const *types = policy_types();

	for (; types != NULL && *types != NULL; types++) {
		gbuf_printf(out, "policy %s ", (*types)->name);
		describe((*types)->fields, out, depth);
	}
}

/* Everything that gives the bytes their meaning: a default too, for what equals it is left out. */
static void
describe_row(const struct field *row, struct gbuf *out, unsigned depth)
{
	gbuf_printf(out, "%s %d %s;", row->name, (int)row->type, row->def != NULL ? row->def : "");
	for (const char *const *name = row->names; name != NULL && *name != NULL; name++)
		gbuf_printf(out, "%s,", *name);
	if (row->sub != NULL)
		describe(row->sub, out, depth);
	if (row->type == F_POLICIES)
		describe_policies(out, depth);
}

static void
describe(const struct fields *f, struct gbuf *out, unsigned depth)
{
	BUG_ON(depth >= LAYOUT_DEPTH);
	gbuf_str(out, STR("{"));
	for (unsigned i = 0; f != NULL && i < f->n; i++)
		describe_row(&f->v[i], out, depth + 1);
	gbuf_str(out, STR("}"));
}

uint64_t
fields_layout(const struct fields *f)
{
	static const uint8_t key[16] = "gateway layout";
	struct gbuf text = {0};
	uint64_t hash;

	describe(f, &text, 0);
	hash = hash_siphash13(key, str_n(text.p, text.n));
	gbuf_free(&text);
	return hash;
}
