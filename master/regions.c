/* SPDX-License-Identifier: Apache-2.0
 *
 * See regions.h.
 */
#include "master/regions.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "master/child.h"
#include "shm/metric.h"
#include "shm/ring.h"

#define LINE_ROOM (1 << 20) /* octets, of what the kernel reckons for messages */

/* A region is formatted while it is mapped here; only the process table stays so. */
static int
region_make(struct master *m, enum region_id id, size_t size, size_t now, uint64_t layout,
    struct region *r_r, const char **error_r)
{
	int fd = region_create_part(id, size, now, layout, error_r);

	if (fd < 0)
		return -1;
	m->region_fd[id] = fd;
	return region_attach(fd, id, layout, true, r_r, error_r);
}

static int
make_procs(struct master *m, const char **error_r)
{
	struct proc_row *row;

	if (region_make(m, REGION_PROCS, procs_size(), procs_size(), procs_layout(),
		&m->procs_region, error_r) < 0)
		return -1;
	m->procs = procs_of(&m->procs_region);
	atomic_store(&m->procs->log_level, (unsigned)m->level);
	row = &m->procs->row[PROC_MASTER];
	atomic_store(&row->kind, PROC_MASTER);
	atomic_store(&row->pid, getpid());
	atomic_store(&row->started_us, m->started_wall_us);
	atomic_store(&row->state, PROC_UP);
	return 1;
}

static int
make_metrics(struct master *m, const struct conf_settings *s, const char **error_r)
{
	unsigned rows = m->metric_rows = (unsigned)s->limits.metric_rows;
	struct region r;

	if (region_make(m, REGION_METRICS, metric_region_size(m->slots, rows),
		metric_region_size(0, rows), metric_layout(m->slots, rows), &r, error_r) < 0)
		return -1;
	metric_region_init(&r, m->slots, rows);
	metric_region_begun(&r, 0);
	region_detach(&r);
	return 1;
}

static size_t
ring_octets(const struct conf_settings *s)
{
	size_t each = 4096;

	while (each < s->access_log.ring)
		each *= 2;
	return each;
}

static int
make_rings(struct master *m, const struct conf_settings *s, const char **error_r)
{
	size_t each = m->ring_octets = ring_octets(s);
	struct region r;

	if (region_make(m, REGION_ACCESS, ring_region_size(m->slots, each),
		ring_region_size(0, each), ring_layout(m->slots, each), &r, error_r) < 0)
		return -1;
	ring_region_init(&r, m->slots, each);
	region_detach(&r);
	/* The logger looks at every ring's positions. */
	for (unsigned i = 0; i < m->slots; i++)
		if (region_allocate(m->region_fd[REGION_ACCESS], REGION_ACCESS,
			ring_region_size(i, each), ring_region_size(i, each) + RING_HEAD,
			error_r) < 0)
			return -1;
	return 1;
}

/* Room for some hundred short texts (conf/enclosed.h), while whoever reads them is busy. */
static int
line_make(int fds[2])
{
	int room = LINE_ROOM;

	if (msg_pair(fds) < 0)
		return -1;
	for (unsigned i = 0; i < 2; i++)
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) < 0)
			(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	return 1;
}

static int
make_channels(struct master *m)
{
	bool ok = pipe2(m->log_pipe, O_NONBLOCK | O_CLOEXEC) == 0;

	for (unsigned i = 0; i < LINE_COUNT && ok; i++)
		ok = line_make(m->line[i]) == 1;
	if (!ok)
		return -1;
	m->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (m->event_fd < 0)
		return -1;
	for (unsigned i = 0; i < m->slots; i++)
		if (msg_pair(child_worker(m, i)->mailbox) < 0)
			return -1;
	return 1;
}

int
regions_make(struct master *m, const char **error_r)
{
	const struct conf_settings *s = m->next.s;

	children_slots(m, (unsigned)MIN(s->limits.worker_slots, SLOT_MAX));
	if (make_procs(m, error_r) < 0 || make_metrics(m, s, error_r) < 0 ||
	    make_rings(m, s, error_r) < 0)
		return -1;
	if (make_channels(m) < 0) {
		*error_r = strerror(errno);
		return -1;
	}
	return 1;
}

/* What was formatted once keeps its sizes: those settings take a restart to change. */
int
regions_slot(struct master *m, unsigned slot, const char **error_r)
{
	unsigned rows = m->metric_rows, n = slot + 1;
	struct region r;

	if (n <= m->slots_begun)
		return 1;
	if (region_allocate(m->region_fd[REGION_METRICS], REGION_METRICS, 0,
		metric_region_size(n, rows), error_r) < 0 ||
	    region_allocate(m->region_fd[REGION_ACCESS], REGION_ACCESS, 0,
		ring_region_size(n, m->ring_octets), error_r) < 0 ||
	    region_attach(m->region_fd[REGION_METRICS], REGION_METRICS, 0, true, &r, error_r) < 0)
		return -1;
	metric_region_begun(&r, n);
	region_detach(&r);
	m->slots_begun = n;
	return 1;
}
