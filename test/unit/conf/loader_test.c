/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader process's one message, good and bad: G-FR-011, R-8.3.
 */
#include "test/unit/conf/load_kit.h"

#include <sys/mman.h>

#include "conf/boot.h"
#include "conf/changeset.h"
#include "conf/loader.h"
#include "conf/secret.h"
#include "shm/base/bug.h"
#include "shm/base/msg.h"

struct loaded {
	uint32_t ok, errors;
	struct conf_settings settings;
	struct ws ws;
	char report[4096];
	struct changeset set;
	struct secrets *secrets;
};

static void
run_loader(struct load_kit *k, const char *text, struct loaded *l)
{
	struct heritage h = {.kind = PROC_LOADER};
	struct msg *m = xmalloc(sizeof(*m));
	const char *error = NULL;
	char path[128];
	struct str boot;
	int fds[2], report, set, secrets;
	ssize_t n;

	kit_write(k, "gateway.conf", text);
	snprintf(path, sizeof(path), "%s/gateway.conf", k->dir);
	h.conf_file = path;
	assert_int_equal(msg_pair(fds), 1);
	h.chan = fds[1];
	assert_int_equal(loader_main(&h), 0);
	assert_int_equal(msg_recv(fds[0], m), 1);
	assert_int_equal(m->type, MSG_LOADED);
	*l = (struct loaded){.ok = msg_u32(m)};
	l->errors = msg_u32(m);
	boot = msg_str(m);
	report = msg_fd(m);
	set = msg_fd(m);
	secrets = msg_fd(m);
	ws_init(&l->ws, NULL, 0);
	assert_int_equal(boot_decode(boot, &l->settings, &l->ws), l->ok ? 1 : -1);
	assert_int_equal(msg_end(m), 1);
	n = pread(report, l->report, sizeof(l->report) - 1, 0);
	assert_true(n >= 0);
	assert_int_equal(changeset_open(set, &l->set, &error), 1);
	assert_int_equal(secrets_open(secrets, &l->secrets, &error), 1);
	close(report);
	close(set);
	close(secrets);
	close(fds[0]);
	close(fds[1]);
	free(m);
}

static void
loaded_free(struct loaded *l)
{
	changeset_close(&l->set);
	secrets_close(&l->secrets);
	ws_free(&l->ws);
}

static void
a_good_load_sends_everything(void **state)
{
	struct conf_object o;
	enum change_op op;
	struct loaded l;

	run_loader(
	    *state, "listeners = ( { id = \"m\"; address = \"*:80\"; } );\nworkers = 2;", &l);
	assert_int_equal(l.ok, 1);
	assert_int_equal(l.errors, 0);
	assert_string_equal(l.report, "");
	assert_int_equal(l.settings.workers, 2);
	assert_true(l.set.whole);
	assert_str(l.set.source, "file");
	assert_int_equal(l.set.n, 2);
	assert_int_equal(changeset_next(&l.set, &op, &o), 1);
	assert_int_equal(o.kind, CONF_SETTINGS);
	assert_int_equal(changeset_next(&l.set, &op, &o), 1);
	assert_str(o.id, "m");
	assert_int_equal(op, CHANGE_PUT);
	assert_int_equal(changeset_next(&l.set, &op, &o), 0);
	loaded_free(&l);
}

static void
a_bad_load_sends_its_report(void **state)
{
	struct loaded l;

	run_loader(*state, "wokers = 1;\nworkers = 99;", &l);
	assert_int_equal(l.ok, 0);
	assert_int_equal(l.errors, 2);
	assert_non_null(strstr(l.report, "gateway.conf:1: wokers: unknown setting"));
	assert_non_null(strstr(l.report, "gateway.conf:2: workers: 99: out of range"));
	assert_false(l.set.whole); /* or everything would be deleted */
	assert_int_equal(l.set.n, 0);
	loaded_free(&l);
}

/* F-SEC-03: secrets go beside the settings, which have their references alone. */
static void
secrets_travel_by_themselves(void **state)
{
	struct str value;
	struct loaded l;

	setenv("GW_TEST_SECRET", "hunter2", 1);
	run_loader(*state,
	    "listeners = ( { id = \"m\"; address = \"*:80\"; } );\ninstance = \"a\";\n"
	    "redis = { addresses = \"a:1\"; password = \"secret://env/GW_TEST_SECRET\"; };",
	    &l);
	assert_int_equal(l.ok, 1);
	assert_str(l.settings.redis.password, "secret://env/GW_TEST_SECRET");
	assert_int_equal(secrets_get(l.secrets, l.settings.redis.password, &value), 1);
	assert_str(value, "hunter2");
	assert_null(memmem(l.set.map.p, l.set.map.n, "hunter2", 7));
	loaded_free(&l);
}

static void
a_secret_that_is_not_there_fails_the_load(void **state)
{
	struct loaded l;
	static const char text[] =
	    "listeners = ( { id = \"m\"; address = \"*:80\"; } );\ninstance = \"a\";\n"
	    "redis = { %s password = \"secret://file/nonexistent/x\"; };";
	char with[256], without[256];

	snprintf(with, sizeof(with), text, "addresses = \"a:1\";");
	snprintf(without, sizeof(without), text, "");
	run_loader(*state, with, &l);
	assert_int_equal(l.ok, 0);
	assert_int_equal(l.errors, 1);
	assert_string_equal(
	    l.report, "redis.password: secret://file/nonexistent/x: No such file or directory\n");
	assert_false(l.set.whole);
	loaded_free(&l);
	/* With no Redis nobody asks for it. */
	run_loader(*state, without, &l);
	assert_int_equal(l.ok, 1);
	loaded_free(&l);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_good_load_sends_everything, kit_setup, kit_teardown),
    TEST_WITH(a_bad_load_sends_its_report, kit_setup, kit_teardown),
    TEST_WITH(secrets_travel_by_themselves, kit_setup, kit_teardown),
    TEST_WITH(a_secret_that_is_not_there_fails_the_load, kit_setup, kit_teardown),
};
RUN_TESTS(tests)
