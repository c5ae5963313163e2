/* SPDX-License-Identifier: Apache-2.0
 *
 * A Redis with the console's keys and a keeper, both in the test's hands, around struct sync. What
 * sync asks waits until fake_redis answers it; what it gives the keeper until fake_keeper does.
 */
#ifndef GW_REDIS_FAKE_H
#define GW_REDIS_FAKE_H

#include "master/watcher/redis/sync.h"
#include "test/unit/master/watcher/redis/kit.h"

#define FAKE_OBJECTS 64
#define FAKE_ENTRIES 64
#define FAKE_EPOCH   "e1"

struct fake_object {
	char field[64], value[160];
};
struct fake {
	struct sync sync;
	struct keys keys;
	/* Redis */
	bool there;
	char epoch[64];
	uint64_t number, reload, allow;
	const char *lie; /* a hash that is not right */
	struct fake_object o[FAKE_OBJECTS];
	unsigned n;
	struct {
		uint64_t number;
		char document[256];
	} entry[FAKE_ENTRIES];
	unsigned first, last; /* entries [first, last) are there */
	const char *error;    /* answers everything with it */
	char asked[1024];     /* not answered yet; empty: nothing */
	/* the keeper */
	uint32_t id;
	json_t *document; /* not answered yet; NULL: none */
	unsigned documents, resent;
	/* what was told */
	unsigned rings, later;
};

UNUSED static void
fake_ask(void *arg, struct command *c)
{
	struct fake *f = arg;

	assert_int_equal(f->asked[0], 0);
	kit_words(c, f->asked, sizeof(f->asked));
}

UNUSED static void
fake_change(void *arg, uint32_t id, struct str text)
{
	struct fake *f = arg;

	if (f->document != NULL)
		f->resent++;
	else
		f->documents++;
	json_decref(f->document);
	f->document = json_loadb(text.p, text.n, 0, NULL);
	assert_non_null(f->document);
	f->id = id;
}

UNUSED static void
fake_told(void *arg)
{
	(void)arg;
}

UNUSED static void
fake_ring(void *arg)
{
	((struct fake *)arg)->rings++;
}

UNUSED static void
fake_later(void *arg, uint64_t ms)
{
	(void)ms;
	((struct fake *)arg)->later++;
}

static const struct sync_ops fake_ops = {fake_ask, fake_change, fake_told, fake_ring, fake_later};

/* --- Redis ------------------------------------------------------------------------------------ */

UNUSED static void
fake_hash(const struct fake *f, char hash[65])
{
	struct mirror m;

	mirror_init(&m);
	for (unsigned i = 0; i < f->n; i++)
		mirror_put(&m, str_of(f->o[i].field), str_of(f->o[i].value));
	mirror_hash(&m, hash);
	mirror_clear(&m);
	if (f->lie != NULL)
		memcpy(hash, f->lie, 65);
}

UNUSED static void
bulk(struct gbuf *g, const char *s)
{
	if (s == NULL)
		gbuf_printf(g, "$-1\r\n");
	else
		gbuf_printf(g, "$%zu\r\n%s\r\n", strlen(s), s);
}

UNUSED static void
bulk_number(struct gbuf *g, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	bulk(g, v == 0 ? NULL : text);
}

UNUSED static void
answer_version(const struct fake *f, struct gbuf *g)
{
	char hash[65];

	fake_hash(f, hash);
	gbuf_printf(g, "*5\r\n");
	bulk(g, f->there ? f->epoch : NULL);
	bulk_number(g, f->there ? f->number : 0);
	bulk(g, f->there ? hash : NULL);
	bulk_number(g, f->reload);
	bulk_number(g, f->allow);
}

static const char *
value_of(const struct fake *f, const char *field)
{
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->o[i].field, field) == 0)
			return f->o[i].value;
	return NULL;
}

UNUSED static void
answer_fields(const struct fake *f, char *words, struct gbuf *g)
{
	struct gbuf values = {0};
	unsigned n = 0;

	for (char *at = words, *field; (field = strsep(&at, " ")) != NULL; n++)
		bulk(&values, value_of(f, field));
	gbuf_printf(g, "*%u\r\n", n);
	gbuf_put(g, values.p, values.n);
	gbuf_free(&values);
}

UNUSED static void
answer_all(const struct fake *f, struct gbuf *g)
{
	gbuf_printf(g, "*%u\r\n", 2 * f->n);
	for (unsigned i = 0; i < f->n; i++) {
		bulk(g, f->o[i].field);
		bulk(g, f->o[i].value);
	}
}

UNUSED static void
answer_entries(const struct fake *f, uint64_t from, struct gbuf *g)
{
	struct gbuf list = {0};
	unsigned n = 0;

	for (unsigned i = f->first; i < f->last; i++) {
		char id[32];

		if (f->entry[i].number < from)
			continue;
		snprintf(id, sizeof(id), "%llu-0", (unsigned long long)f->entry[i].number);
		gbuf_printf(&list, "*2\r\n");
		bulk(&list, id);
		gbuf_printf(&list, "*6\r\n");
		bulk(&list, "epoch");
		bulk(&list, f->epoch);
		bulk(&list, "author");
		bulk(&list, "ann");
		bulk(&list, "document");
		bulk(&list, f->entry[i].document);
		n++;
	}
	gbuf_printf(g, "*%u\r\n", n);
	if (n > 0)
		gbuf_put(g, list.p, list.n);
	gbuf_free(&list);
}

/* One answer, by what the keys are now. 0: nothing is asked. */
UNUSED static int
fake_redis(struct fake *f)
{
	char asked[sizeof(f->asked)], *at = asked, *part;
	struct gbuf body = {0}, g = {0};
	struct reply *r;
	unsigned n = 0;

	if (f->asked[0] == '\0')
		return 0;
	memcpy(asked, f->asked, sizeof(asked));
	f->asked[0] = '\0';
	while ((part = strsep(&at, "|")) != NULL) {
		char none[2] = " ", *key = strchr(part, ' ');
		char *rest = key != NULL ? strchr(key + 1, ' ') : none;

		rest = rest != NULL ? rest : none;
		n += strcmp(part, "MULTI") != 0 && strcmp(part, "EXEC") != 0;
		if (strncmp(part, "HMGET {p}:version", 17) == 0)
			answer_version(f, &body);
		else if (strncmp(part, "HMGET {p}:objects", 17) == 0)
			answer_fields(f, rest + 1, &body);
		else if (strncmp(part, "HGETALL", 7) == 0)
			answer_all(f, &body);
		else if (strncmp(part, "XRANGE", 6) == 0)
			answer_entries(f, strtoull(rest + 1, NULL, 10), &body);
	}
	gbuf_printf(&g, "*%u\r\n", n);
	gbuf_put(&g, body.p, body.n);
	if (f->error != NULL) {
		g.n = 0;
		gbuf_printf(&g, "-%s\r\n", f->error);
	}
	gbuf_u8(&g, '\0');
	r = kit_reply(g.p);
	gbuf_free(&g);
	gbuf_free(&body);
	sync_reply(&f->sync, r);
	reply_free(&r);
	return 1;
}

/* A round up to where the keeper is asked: version and stream, then the fields they name. */
UNUSED static void
fake_round(struct fake *f)
{
	sync_kick(&f->sync);
	fake_redis(f);
	fake_redis(f);
}

UNUSED static void
fake_forget_entries(struct fake *f)
{
	f->first = f->last;
}

/* As a publisher does it; value NULL deletes. */
UNUSED static void
fake_put(struct fake *f, const char *field, const char *value)
{
	unsigned i = 0;
	const char *slash = strchr(field, '/');

	while (i < f->n && strcmp(f->o[i].field, field) != 0)
		i++;
	if (value == NULL && i < f->n)
		f->o[i] = f->o[--f->n];
	if (value != NULL) {
		snprintf(f->o[i].field, sizeof(f->o[i].field), "%s", field);
		snprintf(f->o[i].value, sizeof(f->o[i].value), "%s", value);
		f->n += i == f->n;
	}
	f->there = true;
	if (f->epoch[0] == '\0')
		snprintf(f->epoch, sizeof(f->epoch), FAKE_EPOCH);
	f->entry[f->last].number = ++f->number;
	snprintf(f->entry[f->last].document, sizeof(f->entry[0].document),
	    "{\"schema\":1,\"changes\":[{\"op\":\"%s\",\"kind\":\"%.*s\",\"id\":\"%s\"}]}",
	    value != NULL ? "put" : "delete", (int)(slash - field), field, slash + 1);
	f->last++;
	assert_true(f->last < FAKE_ENTRIES && f->n < FAKE_OBJECTS);
}

/* --- the keeper ------------------------------------------------------------------------------- */

/* Answers the document: status, and one field that is refused (NULL: none). 0: there is none. */
UNUSED static int
fake_keeper(struct fake *f, uint32_t status, const char *refused)
{
	json_t *changes, *list, *body;
	json_t *document = f->document;
	char *text;

	if (document == NULL)
		return 0;
	f->document = NULL;
	list = json_array();
	changes = json_object_get(document, "changes");
	for (size_t i = 0; i < json_array_size(changes); i++) {
		const json_t *c = json_array_get(changes, i);
		const char *kind = json_string_value(json_object_get(c, "kind"));
		const char *id = json_string_value(json_object_get(c, "id"));
		char field[128];
		bool no;

		snprintf(field, sizeof(field), "%s/%s", kind, id);
		no = refused != NULL && strcmp(field, refused) == 0;
		json_array_append_new(list,
		    json_pack("{s:s, s:s, s:s, s:[s]}", "kind", kind, "id", id, "result",
			no ? "refused" : "replaced", "errors", no ? "it is wrong" : "warned"));
	}
	body = json_pack("{s:o, s:s, s:b}", "changes", list, "detail", "words of the keeper",
	    "guard", status == 422);
	text = json_dumps(body, 0);
	sync_changed(&f->sync, f->id, status, 7, str_of(text));
	free(text);
	json_decref(body);
	json_decref(document);
	return 1;
}

/* Answers both until nobody asks any more. */
UNUSED static void
fake_run(struct fake *f)
{
	for (unsigned i = 0; i < 100; i++)
		if (fake_redis(f) == 0 && fake_keeper(f, 200, NULL) == 0)
			return;
	fail_msg("it never comes to rest");
}

UNUSED static unsigned
fake_changes(const struct fake *f)
{
	return (unsigned)json_array_size(json_object_get(f->document, "changes"));
}

UNUSED static bool
fake_is(const struct fake *f, const char *member)
{
	return json_is_true(json_object_get(f->document, member));
}

UNUSED static int
fake_setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	fake_clock_at(0);
	keys_init(&f->keys, STR("p"), STR("gw1"));
	sync_init(&f->sync, &fake_ops, f, &f->keys, 0.5);
	*state = f;
	return 0;
}

UNUSED static int
fake_teardown(void **state)
{
	struct fake *f = *state;

	json_decref(f->document);
	sync_free(&f->sync);
	keys_free(&f->keys);
	free(f);
	return 0;
}

#endif
