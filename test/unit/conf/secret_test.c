/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets by reference, from where they are to who needs them, and never into a report: F-SEC-03.
 */
#include "test/unit/conf/load_kit.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "conf/secret.h"

static int
add(struct load_kit *k, struct secrets_writer *w, const char *ref)
{
	check_free(&k->check);
	return secrets_add(w, str_of(ref), "redis.password", &k->check);
}

static char *
in_dir(struct load_kit *k, const char *prefix, const char *name)
{
	static char out[4][256];
	static unsigned next;
	char *s = out[next++ % 4];

	snprintf(s, sizeof(out[0]), "%s%s/%s", prefix, k->dir, name);
	return s;
}

static void
references_are_told_from_secrets(void **state)
{
	static const char *const good[] = {
	    "", "secret://env/A", "secret://env/_a1", "secret://file/run/x", "file:/etc/ca.pem"};
	static const char *const bad[] = {"hunter2", "secret://env/", "secret://env/1A",
	    "secret://env/A B", "secret://file/", "secret://file", "secret://vault/x", "file:/",
	    "file:x", "secret:/env/A", "SECRET://env/A"};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(good); i++)
		assert_null(secret_ref_error(str_of(good[i])));
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(secret_ref_error(str_of(bad[i])));
	assert_non_null(secret_ref_error(str_n("secret://file/a\0b", 17)));
}

static void
a_bundle_carries_them(void **state)
{
	struct load_kit *k = *state;
	struct secrets_writer *w = secrets_new();
	const char *error = NULL;
	struct secrets *s;
	struct str value;
	int fd;

	setenv("GW_TEST_SECRET", "from the environment\n", 1);
	kit_write(k, "one", "two lines\nand\n\n");
	kit_write(k, "ca", "-----BEGIN CERTIFICATE-----\n");
	assert_int_equal(add(k, w, "secret://env/GW_TEST_SECRET"), 1);
	assert_int_equal(add(k, w, in_dir(k, "secret://file", "one")), 1);
	assert_int_equal(add(k, w, in_dir(k, "secret://file", "one")), 1);
	assert_int_equal(add(k, w, in_dir(k, "file:", "ca")), 1);
	assert_int_equal(add(k, w, ""), 1);
	fd = secrets_seal(&w, &error);
	assert_true(fd >= 0);
	assert_null(w);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(secrets_open(fd, &s, &error), 1);
	close(fd);
	assert_int_equal(secrets_get(s, STR("secret://env/GW_TEST_SECRET"), &value), 1);
	assert_str(value, "from the environment\n");
	assert_int_equal(secrets_get(s, str_of(in_dir(k, "secret://file", "one")), &value), 1);
	assert_str(value, "two lines\nand\n"); /* one newline is the editor's */
	assert_int_equal(secrets_get(s, str_of(in_dir(k, "file:", "ca")), &value), 1);
	assert_str(value, "-----BEGIN CERTIFICATE-----\n"); /* a file as it is */
	assert_int_equal(secrets_get(s, STR(""), &value), 1);
	assert_str(value, "");
	assert_int_equal(secrets_get(s, STR("secret://env/OTHER"), &value), 0);
	secrets_close(&s);
	assert_null(s);
	secrets_close(&s);
}

static void
what_cannot_be_had_names_the_setting(void **state)
{
	struct load_kit *k = *state;
	struct secrets_writer *w = secrets_new();
	const char *error = NULL;
	char *big = calloc(1, SECRET_MAX + 2);
	char fifo[256];
	int fd;

	unsetenv("GW_TEST_SECRET");
	assert_int_equal(add(k, w, "secret://env/GW_TEST_SECRET"), -1);
	assert_report(k, "redis.password: secret://env/GW_TEST_SECRET: the variable is not set\n");
	setenv("GW_TEST_SECRET", "", 1);
	assert_int_equal(add(k, w, "secret://env/GW_TEST_SECRET"), -1);
	assert_report(k, "redis.password: secret://env/GW_TEST_SECRET: the secret is empty\n");
	assert_int_equal(add(k, w, in_dir(k, "secret://file", "none")), -1);
	assert_report(k, "redis.password: secret://fileDIR/none: No such file or directory\n");
	assert_int_equal(add(k, w, in_dir(k, "file:", "conf.d")), -1);
	assert_report(k, "redis.password: file:DIR/conf.d: not a regular file\n");
	kit_write(k, "empty", "\n");
	assert_int_equal(add(k, w, in_dir(k, "secret://file", "empty")), -1);
	assert_report(k, "redis.password: secret://fileDIR/empty: the secret is empty\n");
	memset(big, 'x', SECRET_MAX + 1);
	kit_write_n(k, "big", big, SECRET_MAX + 1);
	assert_int_equal(add(k, w, in_dir(k, "secret://file", "big")), -1);
	assert_report(k, "redis.password: secret://fileDIR/big: larger than 256 KiB\n");
	kit_write_n(k, "big", big, SECRET_MAX);
	assert_int_equal(add(k, w, in_dir(k, "secret://file", "big")), 1);
	snprintf(fifo, sizeof(fifo), "%s/fifo", k->dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(add(k, w, in_dir(k, "file:", "fifo")), -1);
	assert_report(k, "redis.password: file:DIR/fifo: not a regular file\n");
	assert_int_equal(add(k, w, "hunter2"), -1);
	assert_null(strstr(kit_report(k), "hunter2"));
	fd = secrets_seal(&w, &error);
	assert_true(fd >= 0);
	close(fd);
	free(big);
}

static int
bundle(struct load_kit *k, const char *a, const char *b)
{
	struct secrets_writer *w = secrets_new();
	const char *error = NULL;

	assert_int_equal(add(k, w, a), 1);
	assert_int_equal(add(k, w, b), 1);
	return secrets_seal(&w, &error);
}

static void
equal_content_has_an_equal_hash(void **state)
{
	struct load_kit *k = *state;
	int one, two, three;

	setenv("GW_TEST_A", "a", 1);
	setenv("GW_TEST_B", "b", 1);
	one = bundle(k, "secret://env/GW_TEST_A", "secret://env/GW_TEST_B");
	two = bundle(k, "secret://env/GW_TEST_B", "secret://env/GW_TEST_A");
	setenv("GW_TEST_B", "c", 1);
	three = bundle(k, "secret://env/GW_TEST_A", "secret://env/GW_TEST_B");
	assert_true(secrets_hash(one) == secrets_hash(two));
	assert_true(secrets_hash(one) != secrets_hash(three));
	assert_true(secrets_hash(one) != 0);
	assert_int_equal(secrets_hash(-1), 0);
	close(one);
	close(two);
	close(three);
}

static void
foreign_bundles_are_refused(void **state)
{
	static const struct str texts[] = {
	    {"GWSECREt\1\0\0\0\0\0\0\0", 16},
	    {"GWSECRET\2\0\0\0\0\0\0\0", 16},
	    {"GWSECRET\1\0\0\0\1\0\0\0", 16},
	    {"GWSECRET\1\0\0\0\377\377\377\377", 16},
	    {"GWSECRET\1\0\0\0\1\0\0\0\1\0\0\0a\377\0\0\0b", 26},
	    {"GWSECRET\1\0\0\0\0\0\0\0x", 17},
	    {"GW", 2},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
		int fd = memfd_create("s", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		struct secrets *s = NULL;
		const char *error = NULL;

		assert_int_equal(write(fd, texts[i].p, texts[i].n), texts[i].n);
		assert_int_equal(secrets_open(fd, &s, &error), -1); /* not sealed */
		assert_int_equal(fcntl(fd, F_ADD_SEALS, 0xf), 0);
		assert_int_equal(secrets_open(fd, &s, &error), -1);
		assert_string_equal(error, "malformed");
		close(fd);
	}
}

static void
paths_become_references(void **state)
{
	struct load_kit *k = *state;

	assert_str(secret_path_ref(STR("/a/b"), &k->r.ws), "file:/a/b");
	assert_str(secret_path_ref(STR("secret://env/A"), &k->r.ws), "secret://env/A");
	assert_str(secret_path_ref(STR(""), &k->r.ws), "");
}

static const struct CMUnitTest tests[] = {
    TEST(references_are_told_from_secrets),
    TEST_WITH(a_bundle_carries_them, kit_setup, kit_teardown),
    TEST_WITH(what_cannot_be_had_names_the_setting, kit_setup, kit_teardown),
    TEST_WITH(equal_content_has_an_equal_hash, kit_setup, kit_teardown),
    TEST(foreign_bundles_are_refused),
    TEST_WITH(paths_become_references, kit_setup, kit_teardown),
};
RUN_TESTS(tests)
