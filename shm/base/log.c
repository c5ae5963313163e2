/* SPDX-License-Identifier: Apache-2.0
 *
 * The error log's writing side, in every process. A line is put together on the stack, made safe,
 * and written at once or not at all. Errors on the way are counted, never reported: there is
 * nowhere to.
 */
#include "shm/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <unistd.h>

#include "shm/base/clock.h"
#include "shm/base/enc.h"

#define LINE_MAX_OCTETS 4096 /* PIPE_BUF: writes up to this are not torn */

const char *const log_level_names[] = {"error", "warn", "info", "debug", NULL};

static struct log_state {
	const char *kind;
	int fd;
	bool blocking; /* the descriptor is shared with others who need it so: ask before writing */
	enum log_level level;
	uint64_t dropped;
} state = {.kind = "gateway", .fd = STDERR_FILENO, .blocking = true, .level = LOG_INFO_L};

void
log_init(const char *kind, int fd, enum log_level level)
{
	state.kind = kind;
	state.level = level;
	log_set_fd(fd);
}

void
log_set_level(uint32_t level)
{
	state.level = (enum log_level)MIN(level, (uint32_t)LOG_DEBUG_L);
}

enum log_level
log_get_level(void)
{
	return state.level;
}

void
log_set_fd(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	state.fd = fd;
	state.blocking = flags < 0 || (flags & O_NONBLOCK) == 0;
}

uint64_t
log_dropped(void)
{
	return state.dropped;
}

static void
put_line(const char *line, size_t n)
{
	struct pollfd pfd = {.fd = state.fd, .events = POLLOUT};
	ssize_t done;

	if (state.blocking && (poll(&pfd, 1, 0) != 1 || (pfd.revents & POLLOUT) == 0)) {
		state.dropped++;
		return;
	}
	do
		done = write(state.fd, line, n);
	while (done < 0 && errno == EINTR);
	if (done != (ssize_t)n)
		state.dropped++;
}

static size_t
put_prefix(char *out, size_t cap, enum log_level level)
{
	char when[25];

	clock_rfc3339(clock_wall_us(), when);
	return MIN(cap, (size_t)snprintf(out, cap, "%s %s %s[%d] ", when, log_level_names[level],
			    state.kind, (int)getpid()));
}

/* Appends `text` so that it stays one line of valid text: control octets and what is no UTF-8
 * become \xNN. Cuts at `cap`, with dots to say so. Returns the octets used. */
static size_t
put_safe(char *out, size_t cap, struct str text)
{
	size_t len = 0;

	while (text.n > 0) {
		unsigned n = enc_utf8_len(text), put;
		unsigned char c = (unsigned char)text.p[0];
		bool plain = n > 2 || (n == 1 && c >= 0x20 && c != 0x7f) ||
			     (n == 2 && !(c == 0xc2 && (unsigned char)text.p[1] < 0xa0));

		n = plain ? n : 1;
		put = plain ? n : 4;
		if (len + put + (text.n > n ? 3 : 0) > cap) {
			memcpy(out + len, "...", 3);
			return len + 3;
		}
		if (plain) {
			memcpy(out + len, text.p, n);
		} else {
			memcpy(out + len, "\\x", 2);
			enc_hex(&c, 1, out + len + 2);
		}
		len += put;
		text = str_sub(text, n, text.n);
	}
	return len;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char text[LINE_MAX_OCTETS], line[LINE_MAX_OCTETS];
	int saved = errno, n;
	size_t len;
	va_list ap;

	if (level > state.level)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	len = put_prefix(line, sizeof(line) / 2, level);
	if (n > 0)
		len += put_safe(line + len, sizeof(line) - len - 1,
		    str_n(text, MIN((size_t)n, sizeof(text) - 1)));
	line[len++] = '\n';
	put_line(line, len);
	errno = saved;
}
