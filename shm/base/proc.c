/* SPDX-License-Identifier: Apache-2.0
 *
 * Titles overwrite the memory the kernel shows as the command line. The readers need no privilege
 * and work in a process that is not dumpable, whose /proc/self/fd belongs to root.
 */
#include "shm/base/proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/num.h"
#include "shm/base/str.h"

#define FIRST_FD 3

static struct proc_state {
	char *title; /* NULL: not to be written */
	size_t room;
	char **argv; /* what proc_title_init gave back: held for life */
} state;

/* How far the strings from `first` on follow one another without a gap. */
static char *
strings_end(char **v, char *end)
{
	for (; *v != NULL; v++)
		if (*v == end)
			end += strlen(*v) + 1;
	return end;
}

static char **
strings_copy(char **v)
{
	size_t n = 0;
	char **copy;

	while (v[n] != NULL)
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	for (size_t i = 0; i < n; i++)
		copy[i] = xstrdup(v[i]);
	return copy;
}

char **
proc_title_init(int argc, char **argv)
{
	char *end;

	BUG_ON(state.title != NULL);
	if (argc < 1)
		return argv;
	end = strings_end(environ, strings_end(argv, argv[0]));
	state.title = argv[0];
	state.room = (size_t)(end - argv[0]);
	environ = strings_copy(environ);
	state.argv = strings_copy(argv);
	return state.argv;
}

static bool
begins_with_one(const char *variable, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strncmp(variable, *words, strlen(*words)) == 0)
			return true;
	return false;
}

void
proc_env_keep(const char *const *words)
{
	size_t n = 0;

	for (char **v = environ; *v != NULL; v++) {
		if (begins_with_one(*v, words))
			environ[n++] = *v;
		else
			explicit_bzero(*v, strlen(*v));
	}
	environ[n] = NULL;
}

void
proc_title(const char *fmt, ...)
{
	char text[128], name[16];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(name, sizeof(name), "gw-%.12s", text);
	prctl(PR_SET_NAME, name);
	if (state.room < 2)
		return;
	memset(state.title, 0, state.room);
	/* The kernel takes a last octet that is not NUL for a title that goes on: hence one less.
	 */
	snprintf(state.title, state.room - 1, "gateway: %s", text);
}

static void
close_between(unsigned first, unsigned last)
{
	if (first > last || close_range(first, last, 0) == 0)
		return;
	/* Kernels before 5.9, and containers that forbid what they do not know. */
	last = MIN(last, (unsigned)sysconf(_SC_OPEN_MAX));
	for (unsigned fd = first; fd <= last; fd++)
		close((int)fd);
}

/* The smallest of `keep` that is not below `from`, or -1. */
static int
next_kept(const int *keep, size_t n, int from)
{
	int best = -1;

	for (size_t i = 0; i < n; i++)
		if (keep[i] >= from && (best < 0 || keep[i] < best))
			best = keep[i];
	return best;
}

void
proc_close_fds(const int *keep, size_t n)
{
	int from = FIRST_FD, kept;

	while ((kept = next_kept(keep, n, from)) >= 0) {
		if (kept > from)
			close_between((unsigned)from, (unsigned)kept - 1);
		from = kept + 1;
	}
	close_between((unsigned)from, ~0u);
}

int
proc_wait_parent(pid_t parent, int signo)
{
	BUG_ON(prctl(PR_SET_PDEATHSIG, (unsigned long)signo) < 0);
	return getppid() == parent ? 1 : 0;
}

uint64_t
proc_nofile_raise(uint64_t want)
{
	struct rlimit now, wish;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return 0;
	if (now.rlim_cur >= want)
		return now.rlim_cur;
	wish = (struct rlimit){.rlim_cur = want, .rlim_max = MAX(want, (uint64_t)now.rlim_max)};
	if (setrlimit(RLIMIT_NOFILE, &wish) == 0)
		return want;
	/* Not allowed past the hard limit. */
	wish.rlim_max = now.rlim_max;
	wish.rlim_cur = MIN(want, (uint64_t)now.rlim_max);
	return setrlimit(RLIMIT_NOFILE, &wish) == 0 ? wish.rlim_cur : now.rlim_cur;
}

static struct str
read_small(const char *path, char *out, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return STR_NONE;
	n = read(fd, out, cap);
	close(fd);
	return str_n(out, n < 0 ? 0 : (size_t)n);
}

uint64_t
proc_rss(void)
{
	char text[128];
	struct str s = read_small("/proc/self/statm", text, sizeof(text)), field;
	const char *error;
	uint64_t pages = 0;

	/* The second field. */
	if (str_cut(&s, ' ', &field) == 0 || str_cut(&s, ' ', &field) == 0 ||
	    num_u64(field, UINT32_MAX, &pages, &error) < 0)
		return 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t
timeval_us(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
}

uint64_t
proc_cpu_us(void)
{
	struct rusage ru;

	if (getrusage(RUSAGE_SELF, &ru) < 0)
		return 0;
	return timeval_us(ru.ru_utime) + timeval_us(ru.ru_stime);
}

/* The size of the kernel's descriptor table of this process: no descriptor is above. */
static unsigned
fd_table_size(void)
{
	char text[4096];
	struct str s = read_small("/proc/self/status", text, sizeof(text)), line;
	const char *error;
	uint64_t n = 0;

	while (str_cut(&s, '\n', &line) == 1)
		if (str_starts(line, STR("FDSize:")) &&
		    num_u64(str_trim(str_sub(line, 7, line.n)), 1u << 24, &n, &error) == 1)
			break;
	return (unsigned)n;
}

/* poll(2) says of every number whether it is open, in one call. */
static unsigned
fds_by_poll(void)
{
	unsigned size = fd_table_size(), open_fds = 0;
	struct pollfd *v = xcalloc(size, sizeof(*v));

	for (unsigned i = 0; i < size; i++)
		v[i].fd = (int)i;
	if (poll(v, size, 0) >= 0)
		for (unsigned i = 0; i < size; i++)
			open_fds += (v[i].revents & POLLNVAL) == 0;
	free(v);
	return open_fds;
}

unsigned
proc_fds(void)
{
	struct stat st;

	/* Linux 6.2 tells the number as the size of the directory. */
	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (unsigned)st.st_size;
	return fds_by_poll();
}
