/* SPDX-License-Identifier: Apache-2.0
 *
 * See spawn.h. A child's channel is made anew for each process, so that a successor never reads
 * what was meant for another; mailboxes and the keeper's line to admin stay, for two others hold
 * their ends.
 */
#include "master/spawn.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "master/chan.h"
#include "master/child.h"
#include "master/regions.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"

static const struct {
	enum proc_kind end[2];
} lines[LINE_COUNT] = {
#define LINE(NAME, A, B, help) [LINE_##NAME] = {{PROC_##A, PROC_##B}},
#include "shm/lines.def"
#undef LINE
};

static void
heritage_lines(const struct master *m, enum proc_kind kind, int line_r[LINE_COUNT])
{
	for (unsigned i = 0; i < LINE_COUNT; i++) {
		line_r[i] = -1;
		for (unsigned end = 0; end < 2; end++)
			if (lines[i].end[end] == kind)
				line_r[i] = m->line[i][end];
	}
}

static void
heritage_basic(const struct child *c, struct heritage *h, int chan)
{
	const struct master *m = c->master;

	h->kind = c->kind->id;
	h->slot = c->slot;
	h->proc = c->row;
	h->master = getpid();
	h->chan = chan;
	h->mailbox = -1;
	h->secrets_fd = h->facts_fd = -1;
	heritage_lines(m, c->kind->id, h->line);
	for (unsigned i = 0; i < SLOT_MAX; i++)
		h->mailbox_send[i] = -1;
	for (unsigned i = 0; i < REGION_COUNT; i++)
		h->region_fd[i] = m->region_fd[i];
	h->log_fd = m->log_pipe[1] >= 0 ? m->log_pipe[1] : STDERR_FILENO;
	h->log_level = m->level;
	h->event_fd = m->event_fd;
	h->run_dir = m->run_dir;
	h->state_dir = m->state_dir;
	h->conf_file = m->conf_file;
	h->boot = m->now.boot.p;
	h->boot_len = m->now.boot.n;
	h->started_wall_us = m->started_wall_us;
}

static void
heritage_mailboxes(struct master *m, struct heritage *h)
{
	for (unsigned i = 0; i < m->slots; i++)
		h->mailbox_send[i] = child_worker(m, i)->mailbox[1];
}

static void
heritage_of_kind(struct child *c, struct heritage *h)
{
	struct master *m = c->master;

	switch (c->kind->id) {
	case PROC_KEEPER:
		heritage_mailboxes(m, h);
		break;
	case PROC_ADMIN:
		h->listens[0] = (struct heritage_listen){.id = "admin", .fd = m->admin_fd};
		h->n_listens = 1;
		h->facts_fd = m->vault.now.facts;
		heritage_mailboxes(m, h);
		break;
	case PROC_WORKER:
		h->mailbox = c->mailbox[0];
		h->n_listens = listens_heritage(m->listens, c->slot, h->listens);
		h->secrets_fd = m->vault.now.bundle;
		break;
	case PROC_SECRETS:
		h->secrets_fd = m->vault.now.bundle;
		h->facts_fd = m->vault.now.facts;
		break;
	case PROC_REDIS:
		h->secrets_fd = m->secrets;
		break;
	case PROC_LOGGER:
		h->log_fd = m->log_pipe[0];
		break;
	default:
		break;
	}
}

static void
spawn_parent(struct child *c, pid_t pid, int chan)
{
	struct master *m = c->master;

	c->pid = pid;
	c->chan = chan;
	c->failed = c->reap_sent = c->retired = false;
	c->generation = 0;
	backoff_started(&c->backoff, clock_ms());
	watch_init(&c->watch, chan_ready);
	if (loop_add(m->loop, &c->watch, chan, EPOLLIN) < 0)
		log_error("cannot watch the channel of %s: %s", c->kind->name, strerror(errno));
	child_set_state(c, CHILD_STARTING);
}

int
spawn_child(struct child *c, const char **error_r)
{
	struct master *m = c->master;
	struct heritage *h = xcalloc(1, sizeof(*h));
	int pair[2];
	pid_t pid;

	BUG_ON(c->pid != 0);
	if (c->kind->id == PROC_WORKER && regions_slot(m, c->slot, error_r) < 0) {
		free(h);
		return -1;
	}
	if (msg_pair(pair) < 0) {
		*error_r = strerror(errno);
		free(h);
		return -1;
	}
	heritage_basic(c, h, pair[1]);
	heritage_of_kind(c, h);
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		recipe_run(c->kind, h, &m->users, m->lock_fd, m->daemon);
	free(h);
	(void)close(pair[1]);
	if (pid < 0) {
		*error_r = strerror(errno);
		(void)close(pair[0]);
		return -1;
	}
	spawn_parent(c, pid, pair[0]);
	return 1;
}
