/* SPDX-License-Identifier: Apache-2.0
 *
 * What systemd hears, on a socket of the test's own.
 */
#include "test/unit/harness.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "master/notify.h"

static int
listener(const char *name, socklen_t len)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, name, len);
	len += (socklen_t)offsetof(struct sockaddr_un, sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, len), 0);
	return fd;
}

static void
hears(int fd, const char *want)
{
	char text[1024];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, want);
}

static void
a_socket_with_a_path(void **state)
{
	char dir[] = "/tmp/gw-notify-XXXXXX", path[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sock", dir);
	fd = listener(path, (socklen_t)strlen(path) + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	notify("READY=1\nMAINPID=%d", 7);
	hears(fd, "READY=1\nMAINPID=7");
	close(fd);
	notify("STOPPING=1"); /* nobody there: nothing happens */
	unlink(path);
	rmdir(dir);
}

static void
an_abstract_socket(void **state)
{
	char name[64];
	int fd;

	(void)state;
	snprintf(name, sizeof(name), "@gw-notify-%d", (int)getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	name[0] = '\0';
	fd = listener(name, (socklen_t)strlen(name + 1) + 1);
	notify("STATUS=%s", "serving");
	hears(fd, "STATUS=serving");
	close(fd);
}

static void
no_socket_or_a_strange_one(void **state)
{
	char longer[200];

	(void)state;
	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	unsetenv("NOTIFY_SOCKET");
	notify("READY=1");
	setenv("NOTIFY_SOCKET", "", 1);
	notify("READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	notify("READY=1");
	setenv("NOTIFY_SOCKET", longer, 1);
	notify("READY=1");
}

static const struct CMUnitTest tests[] = {
    TEST(a_socket_with_a_path),
    TEST(an_abstract_socket),
    TEST(no_socket_or_a_strange_one),
};
RUN_TESTS(tests)
