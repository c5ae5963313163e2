/* SPDX-License-Identifier: Apache-2.0
 *
 * See adminsock.h.
 */
#include "master/adminsock.h"

#include <errno.h>
#include <unistd.h>

#include "master/socket.h"
#include "shm/base/log.h"

#define BACKLOG 128

static struct adminsock_process {
	char error[256];
} state;

void
adminsock_path(const struct conf_settings *s, char *out, size_t cap)
{
	if (s->admin.socket.n > 0)
		snprintf(out, cap, "%.*s", STR_ARG(s->admin.socket));
	else
		snprintf(out, cap, "%.*s/admin.sock", STR_ARG(s->run_directory));
}

static int
fail(const char **error_r, const char *path, const char *why)
{
	snprintf(
	    state.error, sizeof(state.error), "cannot make the admin socket: %s: %s", why, path);
	*error_r = state.error;
	return -1;
}

int
adminsock_open(const char *path, const struct users *u, const char **error_r)
{
	struct addr a = {.family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(a.path))
		return fail(error_r, path, "a socket's path has at most 107 octets");
	memcpy(a.path, path, strlen(path));
	fd = socket_listen(&a, BACKLOG, 0);
	if (fd < 0 && errno == EADDRINUSE && socket_remove_stale(&a))
		fd = socket_listen(&a, BACKLOG, 0);
	if (fd < 0)
		return fail(error_r, path, strerror(errno));
	if (u->own && socket_file_set(path, u->uid[PROC_ADMIN], u->gid, 0660) < 0) {
		(void)fail(error_r, path, strerror(errno));
		(void)close(fd);
		return -1;
	}
	return fd;
}

void
adminsock_mode(const char *path, const struct conf_settings *s)
{
	mode_t mode = s->admin.roles.n > 0 ? 0666 : 0660;

	if (socket_file_set(path, (uid_t)-1, (gid_t)-1, mode) < 0)
		log_warn("mode of admin socket %s: %s", path, strerror(errno));
}
