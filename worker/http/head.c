/* SPDX-License-Identifier: Apache-2.0
 *
 * The head as a list of fields in one array of the workspace, with the first of every known name at
 * hand. Codecs fill it, policies change it, writers read it.
 */
#include "worker/http/head.h"

#include "worker/http/octet.h"

#define HEAD_FIRST_CAP 32 /* a browser's fifteen and those the gateway adds */

void
head_init(struct head *h, struct ws *ws, bool request)
{
	*h = (struct head){.ws = ws, .request = request};
}

static bool
grow(struct head *h)
{
	uint32_t cap = h->cap == 0 ? HEAD_FIRST_CAP : h->cap * 2;
	struct hdr *v = ws_alloc(h->ws, cap * sizeof(*v));

	if (v == NULL)
		return false;
	if (h->n > 0)
		memcpy(v, h->h, h->n * sizeof(*v));
	h->h = v;
	h->cap = cap;
	return true;
}

static inline bool
append(struct head *h, enum hdr_id id, struct str name, struct str value, bool checked)
{
	struct hdr *f;

	if ((h->n == h->cap && !grow(h)) || unlikely(h->n >= UINT16_MAX))
		return false;
	f = &h->h[h->n++];
	*f = (struct hdr){.name = name, .value = value, .id = (uint16_t)id, .checked = checked};
	if (id == HDR_OTHER)
		h->odd = h->odd || memchr(name.p, '_', name.n) != NULL;
	else if (h->first[id] == 0)
		h->first[id] = (uint16_t)h->n;
	return true;
}

bool
head_add(struct head *h, struct str name, struct str value)
{
	return append(h, hdr_lookup(name), name, value, false);
}

bool
head_add_as(struct head *h, enum hdr_id id, struct str name, struct str value)
{
	return append(h, id, name, value, false);
}

bool
head_add_checked(struct head *h, enum hdr_id id, struct str name, struct str value)
{
	return append(h, id, name, value, true);
}

bool
head_add_other(struct head *h, struct str name, struct str value)
{
	return append(h, HDR_OTHER, name, value, false);
}

bool
head_add_id(struct head *h, enum hdr_id id, struct str value)
{
	return append(h, id, hdr_name(id), value, false);
}

bool
head_add_made(struct head *h, enum hdr_id id, struct str value)
{
	return append(h, id, hdr_name(id), value, true);
}

/* The first at or after `from` that is there and has this name. */
static struct hdr *
seek(const struct head *h, const struct hdr *from, enum hdr_id id, struct str name)
{
	for (struct hdr *f = h->h + (from - h->h); f < h->h + h->n; f++) {
		if (f->gone || f->id != id)
			continue;
		if (id != HDR_OTHER || str_ieq(f->name, name))
			return f;
	}
	return NULL;
}

struct hdr *
head_next(const struct head *h, const struct hdr *after)
{
	return seek(h, after + 1, after->id, after->name);
}

struct hdr *
head_find(const struct head *h, struct str name)
{
	return head_find_as(h, hdr_lookup(name), name);
}

struct hdr *
head_find_as(const struct head *h, enum hdr_id id, struct str name)
{
	if (id != HDR_OTHER)
		return head_get(h, id);
	return h->n == 0 ? NULL : seek(h, h->h, HDR_OTHER, name);
}

bool
head_media_type(const struct head *h, struct str type)
{
	struct str s = head_value(h, HDR_CONTENT_TYPE);

	if (!str_istarts(s, type))
		return false;
	return s.n == type.n || s.p[type.n] == ';' || s.p[type.n] == ' ' || s.p[type.n] == '\t';
}

/* Where every name is spelled as it is known. */
static unsigned
remove_known(struct head *h, enum hdr_id id)
{
	struct hdr *f = head_first(h, id);
	unsigned n = 0;

	for (; f != NULL && f < h->h + h->n; f++) {
		n += f->id == id && !f->gone;
		f->gone |= f->id == id;
	}
	return n;
}

unsigned
head_remove(struct head *h, struct str name)
{
	enum hdr_id id = h->odd ? HDR_OTHER : hdr_lookup_alike(name);
	unsigned n = 0;

	if (id != HDR_OTHER)
		return remove_known(h, id);
	for (uint32_t i = 0; i < h->n; i++) {
		if (h->h[i].gone || !hdr_alike(h->h[i].name, name))
			continue;
		h->h[i].gone = true;
		n++;
	}
	return n;
}

unsigned
head_remove_id(struct head *h, enum hdr_id id)
{
	return h->odd ? head_remove(h, hdr_name(id)) : remove_known(h, id);
}

bool
head_set(struct head *h, struct str name, struct str value)
{
	head_remove(h, name);
	return head_add(h, name, value);
}

bool
head_set_as(struct head *h, enum hdr_id id, struct str name, struct str value)
{
	if (id == HDR_OTHER)
		head_remove(h, name);
	else
		head_remove_id(h, id);
	return append(h, id, name, value, false);
}

static void
remove_hop(struct head *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		if ((hdr_flags(h->h[i].id) & HDR_HOP) != 0)
			h->h[i].gone = true;
}

/* What one Connection value names. */
static int
strip_named(struct head *h, struct str list)
{
	struct str name;

	while (str_list_next(&list, &name) == 1) {
		enum hdr_id id = hdr_lookup_alike(name);

		if (!octet_token(name) || (hdr_flags(id) & HDR_FORBID_CONN) != 0)
			return -1;
		if ((hdr_flags(id) & HDR_HOP) == 0 && !str_ieq(name, STR("close")))
			head_remove(h, name);
	}
	return 1;
}

int
head_strip_hop(struct head *h)
{
	const struct hdr *f = head_get(h, HDR_CONNECTION);

	for (; f != NULL; f = head_next(h, f))
		if (strip_named(h, f->value) < 0)
			return -1;
	remove_hop(h);
	return 1;
}
