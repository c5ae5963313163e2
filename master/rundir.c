/* SPDX-License-Identifier: Apache-2.0
 *
 * See rundir.h. Nothing here follows a symbolic link at the end of a path: the directories belong
 * to children, and the master is root.
 */
#include "master/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shm/base/num.h"

#define PATH_ROOM 1024

static struct rundir_process {
	char error[PATH_ROOM + 160];
} state;

static int
fail(const char **error_r, const char *what, const char *path, int err)
{
	snprintf(
	    state.error, sizeof(state.error), "%s %.*s: %s", what, PATH_ROOM, path, strerror(err));
	*error_r = state.error;
	return -1;
}

/* mkdir -p of what leads to the last component. Directories that exist are left as they are. */
static int
make_parents(const char *path, const char **error_r)
{
	char part[PATH_ROOM];
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return fail(error_r, "cannot make directory", path, ENAMETOOLONG);
	for (size_t i = 1; i < n; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		/* Children of other users have to pass, whatever the umask says. */
		if (mkdir(part, 0755) == 0 ? chmod(part, 0755) < 0 : errno != EEXIST)
			return fail(error_r, "cannot make directory", part, errno);
	}
	return 1;
}

/* 1, 0 a directory everybody shares (/tmp), -1 with errno. */
static int
give(int fd, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if ((st.st_mode & S_IWOTH) != 0)
		return 0;
	if ((st.st_uid != uid || st.st_gid != gid) && fchown(fd, uid, gid) < 0)
		return -1;
	/* After the change of owner, which clears the higher bits. */
	return fchmod(fd, mode) < 0 ? -1 : 1;
}

static int
make_dir(const char *path, const struct users *u, uid_t uid, mode_t mode, const char **error_r)
{
	bool made;
	int fd, done;

	if (make_parents(path, error_r) < 0)
		return -1;
	made = mkdir(path, 0700) == 0;
	if (!made && errno != EEXIST)
		return fail(error_r, "cannot make directory", path, errno);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(error_r, "cannot open directory", path, errno);
	done = u->own || made ? give(fd, uid, u->gid, mode) : 1;
	if (done < 0)
		(void)fail(error_r, "cannot set owner and mode of", path, errno);
	else if (done == 0)
		done = fail(
		    error_r, "a directory everybody may write is not ours to take:", path, EPERM);
	else if (!u->own && faccessat(AT_FDCWD, path, R_OK | W_OK | X_OK, AT_EACCESS) < 0)
		done = fail(error_r, "cannot use directory", path, errno);
	(void)close(fd);
	return done < 0 ? -1 : 1;
}

static bool
may_pass(const struct stat *st, uid_t uid, gid_t gid)
{
	if (st->st_uid == uid)
		return st->st_mode & S_IXUSR;
	if (st->st_gid == gid)
		return st->st_mode & S_IXGRP;
	return st->st_mode & S_IXOTH;
}

/* A child that cannot get at its own directory would say so in words nobody links to the cause. */
static int
check_way(const char *path, const struct users *u, uid_t uid, const char **error_r)
{
	char part[PATH_ROOM];
	struct stat st;

	for (size_t i = 1; i < sizeof(part) && path[i]; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (stat(part, &st) < 0 || may_pass(&st, uid, u->gid))
			continue;
		snprintf(state.error, sizeof(state.error),
		    "%.*s: user %u, as which a child runs, may not pass %.*s (mode %04o): open it "
		    "to others, or name a directory elsewhere",
		    PATH_ROOM / 2, path, (unsigned)uid, PATH_ROOM / 2, part,
		    (unsigned)(st.st_mode & 07777));
		*error_r = state.error;
		return -1;
	}
	return 1;
}

static void
path_z(struct str s, char out[PATH_ROOM])
{
	snprintf(out, PATH_ROOM, "%.*s", STR_ARG(s));
}

int
rundir_make(const struct conf_settings *s, const struct users *u, const char **error_r)
{
	char run[PATH_ROOM], disk[PATH_ROOM];
	uid_t keeper = u->uid[PROC_KEEPER];

	path_z(s->run_directory, run);
	path_z(s->state_directory, disk);
	/* Keeper makes the maps there, the others only pass. */
	if (make_dir(run, u, keeper, 0711, error_r) < 0 ||
	    make_dir(disk, u, keeper, 0750, error_r) < 0)
		return -1;
	if (!u->own)
		return 1;
	if (check_way(run, u, u->uid[PROC_WORKER], error_r) < 0)
		return -1;
	return check_way(disk, u, keeper, error_r);
}

/* Whom the lock's file names, 0 when it names nobody. */
static uint64_t
lock_holder(int fd)
{
	char text[16];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct str rest = str_n(text, n < 0 ? 0 : (size_t)n), line;
	const char *error;
	uint64_t pid = 0;

	if (str_cut(&rest, '\n', &line) == 0 || num_u64(line, INT32_MAX, &pid, &error) < 0)
		return 0;
	return pid;
}

#define ORPHANS_MS 3000
#define LOOK_MS    10

/* Children hold the lock with their master: when it was killed, they are about to follow. Waiting
 * is fine here, nobody is served yet; but not for a master that lives. */
static int
lock_wait(int fd)
{
	struct timespec pause = {.tv_nsec = LOOK_MS * 1000000};

	for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		uint64_t pid = lock_holder(fd);
		bool orphans = pid > 0 && kill((pid_t)pid, 0) < 0 && errno == ESRCH;

		if (!orphans || i == ORPHANS_MS / LOOK_MS) {
			errno = EWOULDBLOCK;
			return -1;
		}
		(void)nanosleep(&pause, NULL); /* lint: allow, there is no loop to be held up yet */
	}
	return 0;
}

static int
lock_taken(int fd, const char *dir, const char **error_r)
{
	snprintf(state.error, sizeof(state.error),
	    "run directory %.*s is locked by pid %llu: one instance runs there already", PATH_ROOM,
	    dir, (unsigned long long)lock_holder(fd));
	*error_r = state.error;
	(void)close(fd);
	return -1;
}

int
rundir_lock(const char *dir, const char **error_r)
{
	char path[PATH_ROOM];
	int fd;

	snprintf(path, sizeof(path), "%s/lock", dir);
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail(error_r, "cannot open", path, errno);
	if (lock_wait(fd) < 0)
		return lock_taken(fd, dir, error_r);
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0) {
		(void)fail(error_r, "cannot write", path, errno);
		(void)close(fd);
		return -1;
	}
	return fd;
}

static int
log_give(int fd, const struct users *u)
{
	struct stat st;

	if (!u->own || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid == u->uid[PROC_LOGGER])
		return 0;
	return fchown(fd, u->uid[PROC_LOGGER], u->gid);
}

/* The log directory, when it is not there yet, belongs to the logger, so that it can make the file
 * anew. */
static int
log_dir(const char *path, const struct users *u, const char **error_r)
{
	char dir[PATH_ROOM];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (n == 0)
		return 1;
	memcpy(dir, path, n);
	dir[n] = '\0';
	if (access(dir, F_OK) == 0)
		return 1;
	return make_dir(dir, u, u->uid[PROC_LOGGER], 0750, error_r);
}

int
rundir_log(struct str path, const struct users *u, const char **error_r)
{
	char file[PATH_ROOM];
	int fd, done;

	if (path.n == 0 || path.p[0] != '/')
		return 1;
	path_z(path, file);
	if (log_dir(file, u, error_r) < 0)
		return -1;
	/* Non-blocking: a named pipe nobody reads must not hold us up. */
	fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return errno == ENXIO ? 1 : fail(error_r, "cannot open log", file, errno);
	done = log_give(fd, u);
	if (done < 0)
		(void)fail(error_r, "cannot give to the logger", file, errno);
	(void)close(fd);
	return done < 0 ? -1 : 1;
}

int
pidfile_write(const char *path, const char **error_r)
{
	char temporary[PATH_ROOM];
	int fd, done;

	if (path[0] == '\0')
		return 1;
	if (make_parents(path, error_r) < 0)
		return -1;
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	(void)unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail(error_r, "cannot make pid file", temporary, errno);
	done = fchmod(fd, 0644) == 0 && dprintf(fd, "%ld\n", (long)getpid()) > 0 &&
	       rename(temporary, path) == 0;
	if (!done)
		(void)fail(error_r, "cannot write pid file", path, errno);
	(void)close(fd);
	return done ? 1 : -1;
}

void
pidfile_remove(const char *path)
{
	if (path[0] != '\0')
		(void)unlink(path);
}
