/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin socket's place, owner and mode. C-8.
 */
#include "test/unit/harness.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "master/adminsock.h"
#include "master/socket.h"

static char dir[32], path[64];

static int
set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/gw-adminsock-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.sock", dir);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void
where_it_lies(void **state)
{
	struct conf_settings s = {.run_directory = STR("/run/x")};
	char out[128];

	(void)state;
	adminsock_path(&s, out, sizeof(out));
	assert_string_equal(out, "/run/x/admin.sock");
	s.admin.socket = STR("/elsewhere");
	adminsock_path(&s, out, sizeof(out));
	assert_string_equal(out, "/elsewhere");
}

static mode_t
mode_of(const char *file)
{
	struct stat st;

	assert_int_equal(lstat(file, &st), 0);
	return st.st_mode & 0777;
}

static void
who_may_connect(void **state)
{
	struct conf_settings s = {.admin = {.roles = {.n = 0}}};
	struct users u = {.own = false};
	const char *error = "";
	int fd = adminsock_open(path, &u, &error);

	(void)state;
	assert_true(fd >= 0);
	adminsock_mode(path, &s);
	assert_int_equal(mode_of(path), 0660);
	s.admin.roles.n = 1;
	adminsock_mode(path, &s);
	assert_int_equal(mode_of(path), 0666);
	close(fd);
}

static void
a_leftover_is_replaced_and_a_live_one_is_not(void **state)
{
	struct users u = {.own = false};
	const char *error = "";
	int first = adminsock_open(path, &u, &error);

	(void)state;
	assert_true(first >= 0);
	assert_int_equal(adminsock_open(path, &u, &error), -1);
	assert_non_null(strstr(error, path));
	assert_non_null(strstr(error, "in use"));
	close(first);
	first = adminsock_open(path, &u, &error);
	assert_true(first >= 0);
	close(first);
}

static void
a_path_too_long(void **state)
{
	struct users u = {.own = false};
	const char *error = "";
	char longer[200];

	(void)state;
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(adminsock_open(longer, &u, &error), -1);
	assert_non_null(strstr(error, "107 octets"));
}

static void
root_gives_it_to_admin(void **state)
{
	struct users u = {.own = true, .gid = 61299};
	const char *error = "";
	struct stat st;
	int fd;

	(void)state;
	if (geteuid() != 0)
		skip();
	u.uid[PROC_ADMIN] = 61205;
	fd = adminsock_open(path, &u, &error);
	assert_true(fd >= 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, 61205);
	assert_int_equal(st.st_gid, 61299);
	close(fd);
}

/* The directory is another's: what lies there now may be a link to anywhere. */
static void
only_sockets_are_touched(void **state)
{
	char file[64];
	int fd;

	(void)state;
	snprintf(file, sizeof(file), "%s/file", dir);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(socket_file_set(file, (uid_t)-1, (gid_t)-1, 0666), -1);
	assert_int_equal(mode_of(file), 0600);
	assert_int_equal(symlink(file, path), 0);
	assert_int_equal(socket_file_set(path, (uid_t)-1, (gid_t)-1, 0666), -1);
	assert_int_equal(mode_of(file), 0600);
	unlink(file);
}

#define CASE(f) TEST_WITH(f, set_up, tear_down)
static const struct CMUnitTest tests[] = {
    CASE(where_it_lies),
    CASE(who_may_connect),
    CASE(a_leftover_is_replaced_and_a_live_one_is_not),
    CASE(a_path_too_long),
    CASE(root_gives_it_to_admin),
    CASE(only_sockets_are_touched),
};
RUN_TESTS(tests)
