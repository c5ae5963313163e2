/* SPDX-License-Identifier: Apache-2.0
 *
 * See discovery_files.h.
 */
#include "master/watcher/discovery_files.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/str.h"

#define CHANGES                                                                                    \
	(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR |       \
	    IN_DELETE_SELF | IN_MOVE_SELF)
#define CONF_D "conf.d"

struct discovery_files {
	struct loop *loop;
	struct watch watch;
	struct timer quiet;
	discovery_files_f *fn;
	void *arg;
	char dir[PATH_MAX], dir_d[PATH_MAX];
	struct str name; /* of the main file, in dir's string or the caller's */
	int wd, wd_d;    /* -1: there is no such directory */
};

static void
quiet_over(struct timer *t)
{
	struct discovery_files *f = container_of(t, struct discovery_files, quiet);

	f->fn(f->arg);
}

/* conf.d comes and goes. */
static void
watch_conf_d(struct discovery_files *f)
{
	f->wd_d = inotify_add_watch(f->watch.fd, f->dir_d, CHANGES);
}

/* "..data" is the symlink that mounted configuration swaps. */
static bool
matters(const struct discovery_files *f, const struct inotify_event *e)
{
	struct str name = e->len > 0 ? str_of(e->name) : STR_NONE;

	if ((e->mask & IN_Q_OVERFLOW) != 0)
		return true;
	if (e->wd == f->wd_d)
		return name.n == 0 || str_ends(name, STR(".conf"));
	return str_eq(name, f->name) || str_eq(name, STR(CONF_D)) || str_eq(name, STR("..data"));
}

static void
on_event(struct discovery_files *f, const struct inotify_event *e)
{
	if (!matters(f, e))
		return;
	timer_set(loop_timers(f->loop), &f->quiet, clock_ms() + FILES_QUIET_MS);
	if (e->wd == f->wd && (e->mask & (IN_CREATE | IN_MOVED_TO)) != 0)
		watch_conf_d(f);
}

static void
on_ready(struct watch *w, uint32_t events UNUSED)
{
	struct discovery_files *f = container_of(w, struct discovery_files, watch);
	alignas(struct inotify_event) char buf[4096];
	ssize_t n;

	while ((n = read(w->fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(buf + at);

			on_event(f, e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
}

static void
paths(struct discovery_files *f, const char *conf_file)
{
	const char *slash = strrchr(conf_file, '/');
	int n = slash == NULL ? 1 : (int)(slash - conf_file);

	snprintf(f->dir, sizeof(f->dir), "%.*s", MAX(n, 1), slash == NULL ? "." : conf_file);
	snprintf(f->dir_d, sizeof(f->dir_d), "%.*s/" CONF_D, (int)(sizeof(f->dir_d) - 16), f->dir);
	f->name = str_of(slash == NULL ? conf_file : slash + 1);
}

static int
start(struct discovery_files *f, const char **error_r)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd < 0 || loop_add(f->loop, &f->watch, fd, EPOLLIN) < 0) {
		*error_r = strerror(errno);
		if (fd >= 0)
			(void)close(fd);
		f->watch.fd = -1;
		return -1;
	}
	f->wd = inotify_add_watch(fd, f->dir, CHANGES);
	if (f->wd < 0) {
		*error_r = strerror(errno);
		return -1;
	}
	watch_conf_d(f);
	return 1;
}

struct discovery_files *
discovery_files_new(struct loop *loop, const char *conf_file, discovery_files_f *fn, void *arg,
    const char **error_r)
{
	struct discovery_files *f = xcalloc(1, sizeof(*f));

	f->loop = loop;
	f->fn = fn;
	f->arg = arg;
	f->wd = f->wd_d = -1;
	watch_init(&f->watch, on_ready);
	f->watch.fd = -1;
	timer_init(&f->quiet, quiet_over);
	paths(f, conf_file);
	if (start(f, error_r) < 0)
		discovery_files_free(&f);
	return f;
}

void
discovery_files_free(struct discovery_files **fp)
{
	struct discovery_files *f = *fp;
	int fd;

	*fp = NULL;
	if (f == NULL)
		return;
	timer_stop(&f->quiet);
	fd = f->watch.fd;
	if (fd >= 0) {
		loop_del(f->loop, &f->watch);
		(void)close(fd);
	}
	free(f);
}
