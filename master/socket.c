/* SPDX-License-Identifier: Apache-2.0
 *
 * See socket.h.
 */
#include "master/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int
option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

static int
options_set(int fd, const struct addr *a, unsigned flags)
{
	if (a->family == AF_UNIX)
		return 0;
	if (option(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
		return -1;
	if ((flags & SOCKET_SHARED) != 0 && option(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0)
		return -1;
	if (a->family == AF_INET6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY,
					 (flags & SOCKET_V6ONLY) != 0 || !socket_any(a)) < 0)
		return -1;
	return 0;
}

int
socket_file_set(const char *path, uid_t uid, gid_t gid, mode_t mode)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), done = -1;
	char self[40];
	struct stat st;

	if (fd < 0)
		return -1;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	errno = ENOTSOCK;
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) &&
	    (uid == (uid_t)-1 || fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0) &&
	    chmod(self, mode) == 0)
		done = 1;
	(void)close(fd);
	return done;
}

/* A connection is made by whoever reaches the directory: that is where access is decided. */
static int
bind_at(int fd, const struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_sockaddr(a, &ss);

	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return -1;
	if (a->family != AF_UNIX)
		return 0;
	return socket_file_set(a->path, (uid_t)-1, (gid_t)-1, 0666) == 1 ? 0 : -1;
}

int
socket_listen(const struct addr *a, int backlog, unsigned flags)
{
	int fd = socket(a->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), saved;

	if (fd < 0)
		return -1;
	if (options_set(fd, a, flags) == 0 && bind_at(fd, a) == 0 &&
	    ((flags & SOCKET_UNHEARD) != 0 || listen(fd, backlog) == 0))
		return fd;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

int
socket_remove_stale(const struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_sockaddr(a, &ss);
	struct stat st;
	int fd, refused;

	if (lstat(a->path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	refused = connect(fd, (struct sockaddr *)&ss, len) < 0 && errno == ECONNREFUSED;
	(void)close(fd);
	return refused && unlink(a->path) == 0;
}

static const struct {
	int err;
	const char *words;
} whys[] = {
    {EADDRINUSE, "another process listens there"},
    {EADDRNOTAVAIL, "no interface of this host has the address"},
    {EACCES, "a port below 1024 needs root or CAP_NET_BIND_SERVICE, a socket file a directory one "
	     "may write"},
    {EAFNOSUPPORT, "this host has no such address family"},
    {EMFILE, "the limit of open files is reached (LimitNOFILE, ulimit -n)"},
};

const char *
socket_why(int err)
{
	for (size_t i = 0; i < ARRAY_LEN(whys); i++)
		if (whys[i].err == err)
			return whys[i].words;
	return NULL;
}

bool
socket_any(const struct addr *a)
{
	static const uint8_t zero[16];

	return (a->family == AF_INET && memcmp(a->ip, zero, 4) == 0) ||
	       (a->family == AF_INET6 && memcmp(a->ip, zero, 16) == 0);
}

bool
socket_overlap(const struct addr *a, const struct addr *b)
{
	if (a->family == AF_UNIX || b->family == AF_UNIX)
		return addr_eq(a, b);
	return a->port == b->port && (addr_eq(a, b) || socket_any(a) || socket_any(b));
}
