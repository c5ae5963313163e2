/* SPDX-License-Identifier: Apache-2.0
 *
 * Roles on the admin socket (C-8): who is admin, who may look, and that our own processes are
 * nobody.
 */
#include <sys/socket.h>

#include "test/unit/harness.h"

#include "admin/role.h"

static struct procs procs;

static int
role(struct peer_id p, const struct conf_settings *s)
{
	return role_of(&p, s, &procs, 1000, 2000);
}

static void
root_and_own_user_are_admin(void **state)
{
	struct conf_settings s = {0};

	(void)state;
	assert_int_equal(role((struct peer_id){.uid = 0, .pid = 7}, &s), ROLE_ADMIN);
	assert_int_equal(role((struct peer_id){.uid = 1000, .gid = 5, .pid = 7}, &s), ROLE_ADMIN);
	assert_int_equal(role((struct peer_id){.uid = 1001, .gid = 5, .pid = 7}, &s), ROLE_NONE);
}

static void
group_members_are_viewers(void **state)
{
	struct conf_settings s = {0};

	(void)state;
	assert_int_equal(role((struct peer_id){.uid = 1, .gid = 2000, .pid = 7}, &s), ROLE_VIEWER);
	assert_int_equal(
	    role((struct peer_id){.uid = 1, .gid = 3, .groups = {4, 2000}, .n_groups = 2, .pid = 7},
		&s),
	    ROLE_VIEWER);
}

/* A worker forwards what clients sent: its uid must give it nothing. */
static void
own_processes_have_no_role(void **state)
{
	struct conf_settings s = {0};

	(void)state;
	atomic_store(&procs.row[3].state, PROC_UP);
	atomic_store(&procs.row[3].pid, 4242);
	assert_int_equal(role((struct peer_id){.uid = 0, .pid = 4242}, &s), ROLE_NONE);
	atomic_store(&procs.row[3].state, PROC_EMPTY);
	assert_int_equal(role((struct peer_id){.uid = 0, .pid = 4242}, &s), ROLE_ADMIN);
}

static void
configured_rows_come_first(void **state)
{
	struct conf_role rows[] = {
	    {.user = STR("1000"), .role = ROLE_VIEWER},
	    {.group = STR("77"), .role = ROLE_ADMIN},
	    {.user = STR("no-such-user-here"), .role = ROLE_ADMIN},
	    {.role = ROLE_ADMIN},
	};
	struct conf_settings s = {0};

	(void)state;
	s.admin.roles = (struct conf_list){rows, ARRAY_LEN(rows)};
	assert_int_equal(role((struct peer_id){.uid = 1000, .pid = 7}, &s), ROLE_VIEWER);
	assert_int_equal(role((struct peer_id){.uid = 9, .gid = 77, .pid = 7}, &s), ROLE_ADMIN);
	assert_int_equal(role((struct peer_id){.uid = 9, .gid = 78, .pid = 7}, &s), ROLE_NONE);
}

static void
kernel_tells_the_peer(void **state)
{
	int fd[2];
	struct peer_id p;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(peer_id_of(fd[0], &p), 1);
	assert_int_equal(p.uid, getuid());
	assert_int_equal(p.pid, getpid());
	close(fd[0]);
	close(fd[1]);
}

static const struct CMUnitTest tests[] = {
    TEST(root_and_own_user_are_admin),
    TEST(group_members_are_viewers),
    TEST(own_processes_have_no_role),
    TEST(configured_rows_come_first),
    TEST(kernel_tells_the_peer),
};
RUN_TESTS(tests)
