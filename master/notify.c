/* SPDX-License-Identifier: Apache-2.0
 *
 * See notify.h.
 */
#include "master/notify.h"

#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Length of the address, 0 when it is none: absolute, or abstract with "@". */
static socklen_t
notify_address(struct sockaddr_un *sun)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;

	if (n < 2 || n >= sizeof(sun->sun_path) || (path[0] != '/' && path[0] != '@'))
		return 0;
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, n + 1);
	if (path[0] == '@')
		sun->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/'));
}

void
notify(const char *fmt, ...)
{
	struct sockaddr_un sun = {0};
	socklen_t len = notify_address(&sun);
	char text[512];
	va_list ap;
	int fd, n;

	if (len == 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || n < 0)
		return;
	(void)sendto(fd, text, MIN((size_t)n, sizeof(text) - 1), MSG_DONTWAIT | MSG_NOSIGNAL,
	    (struct sockaddr *)&sun, len);
	(void)close(fd);
}
