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

#define DEFAULTS_MAX 256 /* tables there may be */
#define LAYOUT_DEPTH 8   /* tables within tables; a policy that held policies would never end */

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

bool
strs_eq(const struct strs *a, const struct strs *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!str_eq(a->v[i], b->v[i]))
			return false;
	return true;
}

/* --- defaults ----------------------------------------------------------------------------------
 */

static void
defaults_fill(const struct fields *f, void *self, struct ws *ws)
{
	const char *error;

	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];

		if (row->type == F_GROUP)
			defaults_fill(row->sub, field_at(row, self), ws);
		else if (row->def != NULL)
			BUG_ON(field_default(row, field_at(row, self), ws, &error) < 0);
	}
}

/* A struct of a hundred settings is begun for every object there is: its defaults are read once in
 * a process. Tables are few and live as long as it does. */
static struct defaults {
	struct ws ws;
	unsigned n;
	struct {
		const struct fields *f;
		const void *image;
	} v[DEFAULTS_MAX];
} defaults;

static const void *
defaults_make(const struct fields *f)
{
	void *image = ws_zalloc(&defaults.ws, MAX(f->size, (size_t)1));

	BUG_ON(f->n > UINT8_MAX); /* a row's number is one octet in the encoding */
	if (image == NULL)
		oom_fail(f->size);
	defaults_fill(f, image, &defaults.ws);
	return image;
}

const void *
fields_defaults(const struct fields *f)
{
	size_t i = ((uintptr_t)f >> 3) * 37 % DEFAULTS_MAX;

	while (defaults.v[i].f != f) {
		if (defaults.v[i].f == NULL) {
			BUG_ON(++defaults.n == DEFAULTS_MAX);
			defaults.v[i].image = defaults_make(f);
			defaults.v[i].f = f;
		} else {
			i = (i + 1) % DEFAULTS_MAX;
		}
	}
	return defaults.v[i].image;
}

void
fields_default(const struct fields *f, void *self)
{
	memcpy(self, fields_defaults(f), f->size);
}

bool
field_equal(const struct field *row, const void *a, const void *b)
{
	struct gbuf ga = {0}, gb = {0};
	bool equal;

	field_encode(row, field_at(row, a), &ga);
	field_encode(row, field_at(row, b), &gb);
	equal = ga.n == gb.n && (ga.n == 0 || memcmp(ga.p, gb.p, ga.n) == 0);
	gbuf_free(&ga);
	gbuf_free(&gb);
	return equal;
}

/* --- layout ------------------------------------------------------------------------------------
 */

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
