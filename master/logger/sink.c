/* SPDX-License-Identifier: Apache-2.0
 *
 * See sink.h. A terminal or pipe we inherited cannot be made non-blocking: that would do it to
 * whoever gave it to us. So poll(2) is asked first, and no more is written than a pipe that is
 * ready surely takes.
 */
#include "master/logger/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/ctl.h"

void
sink_init(struct sink *s, struct str path)
{
	memset(s, 0, sizeof(*s));
	s->fd = -1;
	s->p = xmalloc(SINK_ROOM);
	snprintf(s->path, sizeof(s->path), "%.*s", STR_ARG(path));
}

static void
sink_close(struct sink *s)
{
	if (s->fd > STDERR_FILENO)
		(void)close(s->fd);
	s->fd = -1;
}

void
sink_fini(struct sink *s)
{
	sink_close(s);
	free(s->p);
	s->p = NULL;
}

static int
path_open(const char *path)
{
	if (strcmp(path, "stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(path, "stderr") == 0)
		return STDERR_FILENO;
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0640);
}

int
sink_open(struct sink *s)
{
	struct stat st;
	int fd;

	if (s->path[0] == '\0')
		return 1;
	fd = path_open(s->path);
	if (fd < 0)
		return -1;
	sink_close(s);
	s->fd = fd;
	s->regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	s->torn = s->half = false;
	return 1;
}

static void
compact(struct sink *s)
{
	if (s->r == 0)
		return;
	memmove(s->p, s->p + s->r, s->w - s->r);
	s->w -= s->r;
	s->r = 0;
}

/* What follows a line that was cut off by a full disk begins a new one. */
static void
mend(struct sink *s)
{
	if (s->torn && s->w == s->r) {
		s->p[0] = '\n';
		s->r = 0;
		s->w = 1;
		s->torn = false;
	}
}

/* A line is a line, whatever a broken process put into it. */
static void
tame(char *p, size_t n, bool newlines)
{
	for (size_t i = ctl_find(p, 0, n); i < n; i = ctl_find(p, i + 1, n))
		if (!newlines || p[i] != '\n')
			p[i] = ' ';
}

bool
sink_line(struct sink *s, struct str line)
{
	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line.n--;
	mend(s);
	if (SINK_ROOM - s->w <= line.n)
		compact(s);
	if (SINK_ROOM - s->w <= line.n)
		return false;
	memcpy(s->p + s->w, line.p, line.n);
	tame(s->p + s->w, line.n, false);
	s->p[s->w + line.n] = '\n';
	s->w += line.n + 1;
	return true;
}

size_t
sink_text(struct sink *s, struct str text)
{
	size_t n;

	mend(s);
	compact(s);
	n = MIN(text.n, SINK_ROOM - s->w);
	memcpy(s->p + s->w, text.p, n);
	tame(s->p + s->w, n, true);
	s->w += n;
	return n;
}

static bool
ready(const struct sink *s)
{
	struct pollfd pfd = {.fd = s->fd, .events = POLLOUT};

	return s->regular || poll(&pfd, 1, 0) > 0;
}

static void
lose(struct sink *s, int error)
{
	s->lost += s->w - s->r;
	s->error = error;
	s->r = s->w = 0;
	s->torn = s->half;
}

static void
written(struct sink *s, size_t n)
{
	s->half = s->p[s->r + n - 1] != '\n';
	s->r += n;
	if (s->r == s->w)
		s->r = s->w = 0;
}

int
sink_flush(struct sink *s)
{
	if (s->fd < 0) {
		s->r = s->w = 0;
		return 1;
	}
	while (s->r < s->w) {
		size_t n = s->w - s->r;
		ssize_t done;

		if (!ready(s))
			return 0;
		done = write(s->fd, s->p + s->r, s->regular ? n : MIN(n, PIPE_BUF));
		if (done > 0)
			written(s, (size_t)done);
		else if (done < 0 && errno == EAGAIN)
			return 0;
		else if (done == 0 || errno != EINTR)
			lose(s, done == 0 ? ENOSPC : errno);
	}
	return 1;
}
