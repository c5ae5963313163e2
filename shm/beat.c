/* SPDX-License-Identifier: Apache-2.0
 *
 * See beat.h. The numbers about the process come from system calls a sandbox leaves open: a
 * descriptor on /proc/self/statm that is kept, getrusage, and the size of /proc/self/fd.
 */
#include "shm/beat.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

struct beat {
	struct timer timer;
	struct loop *loop;
	struct region region;
	struct proc_row *row;
	int statm;
	unsigned count;
};

#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

static uint64_t
rss_now(int statm)
{
	char text[128];
	ssize_t n = statm < 0 ? -1 : pread(statm, text, sizeof(text) - 1, 0);
	unsigned long total, resident;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%lu %lu", &total, &resident) != 2)
		return 0;
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t
cpu_now(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) != 0)
		return 0;
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Linux 6.2 and later tell the number as the directory's size. Before, the lowest free descriptor
 * is a close lower bound, and costs the same with fifty thousand of them. */
static uint64_t
fds_now(void)
{
	struct stat st;
	int fd;

	if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
		return (uint64_t)st.st_size;
	fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	(void)close(fd);
	return (uint64_t)fd;
}

static void
use_now(struct beat *b)
{
	STORE(b->row->rss, rss_now(b->statm));
	STORE(b->row->cpu_us, cpu_now());
	STORE(b->row->fds, fds_now());
}

static void
beat_fire(struct timer *t)
{
	struct beat *b = container_of(t, struct beat, timer);

	beat_now(b);
	if (b->count++ % 2 == 0)
		use_now(b);
	timer_set(loop_timers(b->loop), t, clock_ms() + BEAT_EVERY_MS);
}

struct beat *
beat_start(struct loop *l, const struct heritage *h)
{
	struct beat *b = xcalloc(1, sizeof(*b));
	const char *error = "no process table";

	if (h->proc >= PROCS_MAX || h->region_fd[REGION_PROCS] < 0 ||
	    region_attach(h->region_fd[REGION_PROCS], REGION_PROCS, procs_layout(), true,
		&b->region, &error) < 0) {
		log_warn("no heartbeat: %s", error);
		free(b);
		return NULL;
	}
	b->loop = l;
	b->row = &procs_of(&b->region)->row[h->proc];
	b->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	timer_init(&b->timer, beat_fire);
	beat_fire(&b->timer);
	return b;
}

void
beat_stop(struct beat **bp)
{
	struct beat *b = *bp;

	*bp = NULL;
	if (!b)
		return;
	timer_stop(&b->timer);
	if (b->statm >= 0)
		(void)close(b->statm);
	region_detach(&b->region);
	free(b);
}

void
beat_now(struct beat *b)
{
	if (b)
		STORE(b->row->beat_ms, clock_precise_ns() / 1000000);
}

void
beat_generation(struct beat *b, uint64_t generation)
{
	if (b)
		STORE(b->row->generation, generation);
}

struct procs *
beat_procs(struct beat *b)
{
	return b ? procs_of(&b->region) : NULL;
}
