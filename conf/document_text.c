/* SPDX-License-Identifier: Apache-2.0
 *
 * Trees as text: the octets that json_dumps(JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) makes,
 * which looks for circles while it goes and takes four times as long. Trees of ours have none.
 */
#include "conf/document.h"

#include "shm/base/buf.h"
#include "shm/base/bug.h"
#include "shm/base/num.h"

#define MEMBERS_FEW 32
#define TEXT_ROOM   512

static void put_value(struct gbuf *out, const json_t *j);

struct member {
	struct str name;
	const json_t *value;
};

static void
put_escaped(struct gbuf *out, unsigned char c)
{
	static const char words[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* the octet, what stands for it */

	for (size_t i = 0; i + 1 < sizeof(words); i += 2) {
		if ((unsigned char)words[i] != c)
			continue;
		gbuf_u8(out, '\\');
		gbuf_u8(out, (uint8_t)words[i + 1]);
		return;
	}
	gbuf_printf(out, "\\u%04X", c);
}

static void
put_string(struct gbuf *out, struct str s)
{
	size_t from = 0;

	gbuf_u8(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c != '"' && c != '\\')
			continue;
		gbuf_put(out, s.p + from, i - from);
		put_escaped(out, c);
		from = i + 1;
	}
	gbuf_put(out, s.p + from, s.n - from);
	gbuf_u8(out, '"');
}

static void
put_integer(struct gbuf *out, json_int_t v)
{
	char digits[32];
	uint64_t size = v < 0 ? -(uint64_t)v : (uint64_t)v;

	if (v < 0)
		gbuf_u8(out, '-');
	gbuf_put(out, digits, num_u64_text(size, digits));
}

/* Rare: there is a way to have it as jansson does. */
static void
put_real(struct gbuf *out, const json_t *j)
{
	char text[64];
	size_t n = json_dumpb(j, text, sizeof(text), JSON_COMPACT | JSON_ENCODE_ANY);

	BUG_ON(n == 0 || n > sizeof(text));
	gbuf_put(out, text, n);
}

/* --- objects --------------------------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	return str_cmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static void
members_sort(struct member *v, size_t n)
{
	if (n > MEMBERS_FEW) {
		qsort(v, n, sizeof(*v), by_name);
		return;
	}
	for (size_t i = 1; i < n; i++) {
		struct member m = v[i];
		size_t at = i;

		for (; at > 0 && by_name(&m, &v[at - 1]) < 0; at--)
			v[at] = v[at - 1];
		v[at] = m;
	}
}

static void
put_members(struct gbuf *out, struct member *v, size_t n)
{
	gbuf_u8(out, '{');
	members_sort(v, n);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			gbuf_u8(out, ',');
		put_string(out, v[i].name);
		gbuf_u8(out, ':');
		put_value(out, v[i].value);
	}
	gbuf_u8(out, '}');
}

static void
put_object(struct gbuf *out, const json_t *j)
{
	json_t *o = (json_t *)(uintptr_t)j; /* iterators of what does not change */
	struct member few[MEMBERS_FEW], *v = few;
	size_t most = json_object_size(j), n = 0;

	if (most > MEMBERS_FEW)
		v = xcalloc(most, sizeof(*v));
	for (void *it = json_object_iter(o); it != NULL; it = json_object_iter_next(o, it)) {
		v[n].name = str_n(json_object_iter_key(it), json_object_iter_key_len(it));
		v[n++].value = json_object_iter_value(it);
	}
	put_members(out, v, n);
	if (v != few)
		free(v);
}

static void
put_array(struct gbuf *out, const json_t *j)
{
	gbuf_u8(out, '[');
	for (size_t i = 0; i < json_array_size(j); i++) {
		if (i > 0)
			gbuf_u8(out, ',');
		put_value(out, json_array_get(j, i));
	}
	gbuf_u8(out, ']');
}

static void
put_value(struct gbuf *out, const json_t *j)
{
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		put_object(out, j);
		break;
	case JSON_ARRAY:
		put_array(out, j);
		break;
	case JSON_STRING:
		put_string(out, str_n(json_string_value(j), json_string_length(j)));
		break;
	case JSON_INTEGER:
		put_integer(out, json_integer_value(j));
		break;
	case JSON_REAL:
		put_real(out, j);
		break;
	case JSON_TRUE:
		gbuf_str(out, STR("true"));
		break;
	case JSON_FALSE:
		gbuf_str(out, STR("false"));
		break;
	case JSON_NULL:
		gbuf_str(out, STR("null"));
		break;
	}
}

char *
document_text(const json_t *j)
{
	struct gbuf out = {0};

	if (j == NULL)
		return NULL;
	gbuf_reserve(&out, TEXT_ROOM);
	put_value(&out, j);
	gbuf_u8(&out, '\0');
	return out.p;
}
