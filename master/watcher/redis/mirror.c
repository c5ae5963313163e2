/* SPDX-License-Identifier: Apache-2.0
 *
 * See mirror.h.
 */
#include "master/watcher/redis/mirror.h"

#include "shm/base/bug.h"
#include "shm/base/enc.h"

void
mirror_init(struct mirror *m)
{
	*m = (struct mirror){.n = 0};
	list_init(&m->refused);
}

static void
drop(struct hnode *n, void *arg)
{
	struct mirror_node *f = container_of(n, struct mirror_node, node);

	htab_del(arg, n);
	free(f->error);
	free(f);
}

void
mirror_clear(struct mirror *m)
{
	htab_each(&m->table, drop, &m->table);
	htab_free(&m->table);
	mirror_init(m);
}

void
mirror_hash(const struct mirror *m, char out[65])
{
	enc_hex(m->sum, sizeof(m->sum), out);
	out[64] = '\0';
}

static bool
same_field(const struct hnode *n, const void *key)
{
	const struct mirror_node *f = container_of(n, struct mirror_node, node);
	const struct str *field = key;

	return f->len == field->n && memcmp(f->field, field->p, field->n) == 0;
}

static struct mirror_node *
find(const struct mirror *m, struct str field)
{
	struct hnode *n = htab_get(&m->table, hash_keyed(field), same_field, &field);

	return n == NULL ? NULL : container_of(n, struct mirror_node, node);
}

static struct mirror_node *
make(struct mirror *m, struct str field)
{
	struct mirror_node *f = xcalloc(1, sizeof(*f) + field.n);

	f->len = (uint32_t)field.n;
	memcpy(f->field, field.p, field.n);
	list_init(&f->refused);
	htab_put(&m->table, &f->node, hash_keyed(field));
	return f;
}

static void
add(struct mirror *m, const uint8_t digest[HASH_SHA256])
{
	for (unsigned i = 0; i < HASH_SHA256; i++)
		m->sum[i] ^= digest[i];
}

static void
digest_field(struct str field, struct str value, uint8_t out[HASH_SHA256])
{
	const struct str parts[] = {field, str_n("", 1), value};

	hash_sha256(parts, ARRAY_LEN(parts), out);
}

int
mirror_put(struct mirror *m, struct str field, struct str value)
{
	struct mirror_node *f = find(m, field);
	uint8_t digest[HASH_SHA256];

	digest_field(field, value, digest);
	if (f == NULL)
		f = make(m, field);
	f->pass = m->pass;
	if (f->present && memcmp(f->digest, digest, sizeof(digest)) == 0)
		return 0;
	if (f->present)
		add(m, f->digest);
	else
		m->n++;
	f->present = true;
	memcpy(f->digest, digest, sizeof(digest));
	add(m, digest);
	return 1;
}

bool
mirror_meet(struct mirror *m, struct str field, struct str value)
{
	struct mirror_node *f = find(m, field);
	uint8_t digest[HASH_SHA256];

	if (f == NULL || !f->present)
		return true;
	f->pass = m->pass;
	digest_field(field, value, digest);
	return memcmp(f->digest, digest, sizeof(digest)) != 0;
}

static void
forget(struct mirror *m, struct mirror_node *f)
{
	htab_del(&m->table, &f->node);
	free(f->error);
	free(f);
}

int
mirror_del(struct mirror *m, struct str field)
{
	struct mirror_node *f = find(m, field);

	if (f == NULL || !f->present)
		return 0;
	f->present = false;
	add(m, f->digest);
	m->n--;
	if (f->error == NULL)
		forget(m, f);
	return 1;
}

void
mirror_pass(struct mirror *m)
{
	m->pass++;
}

struct sweep {
	struct mirror *m;
	void (*fn)(void *arg, struct str field);
	void *arg;
};

static void
sweep_one(struct hnode *n, void *arg)
{
	struct mirror_node *f = container_of(n, struct mirror_node, node);
	struct sweep *s = arg;

	if (f->present && f->pass != s->m->pass)
		s->fn(s->arg, str_n(f->field, f->len));
}

void
mirror_sweep(struct mirror *m, void (*fn)(void *arg, struct str field), void *arg)
{
	struct sweep s = {m, fn, arg};

	htab_each(&m->table, sweep_one, &s);
}

void
mirror_refuse(struct mirror *m, struct str field, struct str error)
{
	struct mirror_node *f = find(m, field);

	if (f == NULL)
		f = make(m, field);
	if (f->error == NULL)
		m->n_refused++;
	free(f->error);
	f->error = str_z(error);
	list_del(&f->refused);
	list_push(&m->refused, &f->refused);
}

void
mirror_accept(struct mirror *m, struct str field)
{
	struct mirror_node *f = find(m, field);

	if (f == NULL || f->error == NULL)
		return;
	m->n_refused--;
	free(f->error);
	f->error = NULL;
	list_del(&f->refused);
	if (!f->present)
		forget(m, f);
}

const char *
mirror_error(const struct mirror *m, struct str field)
{
	const struct mirror_node *f = find(m, field);

	return f == NULL ? NULL : f->error;
}
