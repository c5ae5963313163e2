/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration files in a directory of their own, loaded, and what the load had to say. DIR in an
 * expected text stands for that directory.
 */
#ifndef GW_TEST_LOAD_KIT_H
#define GW_TEST_LOAD_KIT_H

#include <stdio.h>
#include <sys/stat.h>

#include "conf/load.h"
#include "conf/policy.h"
#include "conf/route.h"
#include "conf/service.h"
#include "conf/listener.h"
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

/* Two policies as the worker might have them. */
struct kit_rewrite {
	struct str prefix, to;
};
static const struct field kit_rewrite_rows[] = {
    {.name = "prefix",
	.type = F_STRING,
	.offset = FIELD_AT(struct kit_rewrite, prefix),
	.flags = FIELD_REQUIRED,
	.help = "What to replace."},
    {.name = "to",
	.type = F_STRING,
	.offset = FIELD_AT(struct kit_rewrite, to),
	.help = "What with."},
};
static const struct fields kit_rewrite_fields = {.name = "rewrite",
    .help = "Rewrites.",
    .size = sizeof(struct kit_rewrite),
    .v = kit_rewrite_rows,
    .n = ARRAY_LEN(kit_rewrite_rows)};
static const struct policy_type kit_rewrite = {
    .name = "rewrite", .help = "Rewrites the path.", .fields = &kit_rewrite_fields};

struct kit_fixed {
	int64_t status;
};
static const struct field kit_fixed_rows[] = {
    {.name = "status",
	.type = F_INT,
	.offset = FIELD_AT(struct kit_fixed, status),
	.def = "200",
	.min = 200,
	.max = 599,
	.help = "The status."},
};
static const struct fields kit_fixed_fields = {.name = "fixed_response",
    .help = "Answers.",
    .size = sizeof(struct kit_fixed),
    .v = kit_fixed_rows,
    .n = ARRAY_LEN(kit_fixed_rows)};
static const struct policy_type kit_fixed = {.name = "fixed_response",
    .help = "Answers by itself.",
    .fields = &kit_fixed_fields,
    .answers = true};

static const struct policy_type *const kit_policies[] = {&kit_rewrite, &kit_fixed, NULL};

struct load_kit {
	char dir[64];
	struct load_result r;
	struct conf_check check;
	int rc;
};

UNUSED static void
kit_rm(struct load_kit *k)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", k->dir);
	assert_int_equal(system(cmd), 0);
}

UNUSED static void
kit_write_n(struct load_kit *k, const char *name, const char *text, size_t n)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

UNUSED static void
kit_write(struct load_kit *k, const char *name, const char *text)
{
	kit_write_n(k, name, text, strlen(text));
}

UNUSED static int
kit_setup(void **state)
{
	struct load_kit *k = calloc(1, sizeof(*k));
	char conf_d[128];

	policy_types_set(kit_policies);
	snprintf(k->dir, sizeof(k->dir), "/tmp/gw-load-test-XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	snprintf(conf_d, sizeof(conf_d), "%s/conf.d", k->dir);
	assert_int_equal(mkdir(conf_d, 0755), 0);
	check_init(&k->check);
	*state = k;
	return 0;
}

UNUSED static int
kit_teardown(void **state)
{
	struct load_kit *k = *state;

	load_free(&k->r);
	check_free(&k->check);
	kit_rm(k);
	free(k);
	return 0;
}

UNUSED static void
kit_load_with(struct load_kit *k, bool resolve)
{
	char path[128];

	load_free(&k->r);
	check_free(&k->check);
	snprintf(path, sizeof(path), "%s/gateway.conf", k->dir);
	k->rc = load_files(path, resolve, &k->r, &k->check);
}

/* Loads `text` as the main file. */
UNUSED static void
kit_load(struct load_kit *k, const char *text)
{
	kit_write(k, "gateway.conf", text);
	kit_load_with(k, false);
}

/* The report with the directory's name replaced by DIR; valid until the next call. */
UNUSED static const char *
kit_report(struct load_kit *k)
{
	static char out[65536];
	size_t n = 0, len = strlen(k->dir);

	for (size_t i = 0; i < k->check.text.n && n < sizeof(out) - 4;) {
		if (k->check.text.n - i >= len && memcmp(k->check.text.p + i, k->dir, len) == 0) {
			memcpy(out + n, "DIR", 3);
			n += 3;
			i += len;
		} else {
			out[n++] = k->check.text.p[i++];
		}
	}
	out[n] = '\0';
	return out;
}

#define assert_report(k, text) assert_string_equal(kit_report(k), text)
#define assert_loaded(k)                                                                           \
	do {                                                                                       \
		if ((k)->rc != 1)                                                                  \
			print_error("%s", kit_report(k));                                          \
		assert_int_equal((k)->rc, 1);                                                      \
	} while (0)

UNUSED static const struct conf_object *
kit_object(struct load_kit *k, enum conf_kind kind, const char *id)
{
	for (uint32_t i = 0; i < k->r.n; i++)
		if (k->r.v[i].kind == kind && str_eq(k->r.v[i].id, str_of(id)))
			return &k->r.v[i];
	fail_msg("no object %s", id);
	return NULL;
}

UNUSED static void *
kit_body(struct load_kit *k, enum conf_kind kind, const char *id)
{
	void *self = object_body(kit_object(k, kind, id), &k->r.ws);

	assert_non_null(self);
	return self;
}

#endif
