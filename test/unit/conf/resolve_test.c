/* SPDX-License-Identifier: Apache-2.0
 *
 * Names to addresses: the hosts file, names that do not exist, a server that never answers. What an
 * unresolved name does to a load: a warning, an endpoint without addresses, and no more.
 */
#include "test/unit/conf/load_kit.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/resolve.h"

static uint64_t
now_ms(void)
{
	return clock_precise_ns() / 1000000;
}

/* A bare root directory may be without one. */
static void
need_hosts_file(void)
{
	if (access("/etc/hosts", R_OK) != 0)
		skip();
}

static void
hosts_file_is_honoured(void **state)
{
	struct resolve_name v[2] = {{.name = STR("localhost")}, {.name = STR("localhost")}};
	struct addr loopback;
	bool found = false;
	struct ws ws;

	(void)state;
	need_hosts_file();
	ws_init(&ws, NULL, 0);
	resolve_names(v, 2, 5000, &ws);
	assert_true(v[0].n > 0);
	assert_int_equal(v[0].error.n, 0);
	assert_int_equal(v[0].n, v[1].n);
	assert_int_equal(addr_ip(STR("127.0.0.1"), &loopback), 1);
	for (uint32_t i = 0; i < v[0].n; i++) {
		found |= addr_eq(&v[0].v[i], &loopback);
		assert_true(addr_eq(&v[0].v[i], &v[1].v[i])); /* in a stable order */
	}
	assert_true(found);
	ws_free(&ws);
}

static void
names_that_do_not_exist_say_so(void **state)
{
	struct resolve_name v[3] = {{.name = STR("no-such-host.invalid")},
	    {.name = STR("localhost")}, {.name = STR("a..b")}};
	uint64_t began = now_ms();
	struct ws ws;

	(void)state;
	need_hosts_file();
	ws_init(&ws, NULL, 0);
	resolve_names(v, 3, 2000, &ws);
	assert_true(now_ms() - began < 10000);
	assert_int_equal(v[0].n, 0);
	assert_true(v[0].error.n > 0);
	assert_true(v[1].n > 0);
	assert_int_equal(v[2].n, 0);
	assert_true(v[2].error.n > 0);
	resolve_names(v, 0, 2000, &ws);
	ws_free(&ws);
}

static void
nothing_is_asked_past_the_deadline(void **state)
{
	struct resolve_name v = {.name = STR("localhost")};
	struct ws ws;

	(void)state;
	ws_init(&ws, NULL, 0);
	resolve_names(&v, 1, 0, &ws);
	assert_int_equal(v.n, 0);
	assert_str(v.error, "no answer within 0");
	ws_free(&ws);
}

/* --- a server that never answers ----------------------------------------------------------------
 */

/* resolv.conf for this process alone, naming a socket nobody reads. -1 where that is not allowed.
 */
static int
silent_server(const char *dir)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char path[128];
	FILE *f;

	sin.sin_addr.s_addr = htonl(0x7f00004d); /* 127.0.0.77 */
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	f = fopen(path, "w");
	if (f == NULL || fputs("nameserver 127.0.0.77\n", f) < 0 || fclose(f) != 0)
		return -1;
	return mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL);
}

static int
ask_silent_server(const char *dir)
{
	static struct resolve_name v[1000];
	uint64_t began;
	struct ws ws;

	if (silent_server(dir) < 0)
		return 77;
	ws_init(&ws, NULL, 0);
	for (unsigned i = 0; i < ARRAY_LEN(v); i++)
		v[i].name = ws_printf(&ws, "host%u.example.com", i);
	v[999].name = STR("localhost");
	began = now_ms();
	resolve_names(v, ARRAY_LEN(v), 300, &ws);
	if (now_ms() - began < 300 || now_ms() - began > 5000)
		return 1;
	for (unsigned i = 0; i < ARRAY_LEN(v); i++)
		if (v[i].n != 0 || !str_eq(v[i].error, STR("no answer within 300ms")))
			return 2;
	return 0;
}

static void
one_deadline_for_all(void **state)
{
	struct load_kit *k = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(ask_silent_server(k->dir));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- loads ---------------------------------------------------------------------------------------
 */

static void
an_unresolved_name_is_a_warning(void **state)
{
	struct load_kit *k = *state;
	struct conf_service *s;
	struct conf_endpoint *e;

	need_hosts_file();
	kit_write(k, "gateway.conf",
	    "supervision = { resolve_timeout = \"2s\"; };\n"
	    "listeners = ( { id = \"main\"; address = \"*:8080\"; } );\n"
	    "services = ( { id = \"a\"; endpoints = (\n"
	    "{ url = \"http://localhost:81\"; },\n"
	    "{ url = \"http://no-such-host.invalid:82/x\"; } ); },\n"
	    "{ id = \"b\"; url = \"http://no-such-host.invalid\"; } );\n");
	kit_load_with(k, true);
	assert_loaded(k);
	assert_int_equal(k->check.warnings, 2);
	assert_non_null(strstr(kit_report(k),
	    "DIR/gateway.conf:5: services[a].endpoints[1].url: warning: the host "
	    "\"no-such-host.invalid\" was not resolved: "));
	assert_non_null(strstr(kit_report(k), "DIR/gateway.conf:6: services[b].url: warning: "));
	s = kit_body(k, CONF_SERVICE, "a");
	e = s->endpoints.v;
	assert_true(e[0].addresses.n > 0);
	assert_int_equal(((struct conf_endpoint_addr *)e[0].addresses.v)->addr.port, 81);
	assert_int_equal(e[0].resolve_error.n, 0);
	assert_int_equal(e[1].addresses.n, 0);
	assert_true(e[1].resolve_error.n > 0);
	assert_str(e[1].host, "no-such-host.invalid:82");
	assert_str(e[1].base_path, "/x");
}

static const struct CMUnitTest tests[] = {
    TEST(hosts_file_is_honoured),
    TEST(names_that_do_not_exist_say_so),
    TEST(nothing_is_asked_past_the_deadline),
    TEST_WITH(one_deadline_for_all, kit_setup, kit_teardown),
    TEST_WITH(an_unresolved_name_is_a_warning, kit_setup, kit_teardown),
};
RUN_TESTS(tests)
