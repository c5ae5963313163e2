/* SPDX-License-Identifier: Apache-2.0
 *
 * See boot.h.
 */
#include "master/boot.h"

#include <fcntl.h>
#include <unistd.h>

#include "conf/settings.h"
#include "master/adminsock.h"
#include "master/change.h"
#include "master/child.h"
#include "master/notify.h"
#include "master/regions.h"
#include "master/rundir.h"
#include "master/stop.h"
#include "shm/base/clock.h"
#include "shm/base/hash.h"
#include "shm/base/proc.h"

#define BOOT_PATIENCE_MS 60000
#define BOOT_DEATHS      3

/* For everybody who looks at the terminal, wherever the log goes. */
static void
boot_say(struct str why)
{
	struct str line;

	while (str_cut(&why, '\n', &line) == 1)
		if (line.n > 0)
			dprintf(STDERR_FILENO, "gateway: %.*s\n", STR_ARG(line));
}

void
boot_fail(struct master *m, struct str why)
{
	if (m->phase != PHASE_BOOT)
		return;
	boot_say(why);
	m->status = 1;
	stop_now(m);
}

void
boot_child_failed(struct child *c, const char *why)
{
	char text[640];

	if (c->kind->id == PROC_LOADER || c->kind->start != START_ALWAYS ||
	    c->master->phase != PHASE_BOOT)
		return;
	snprintf(text, sizeof(text), "%s cannot start: %s", c->kind->name, why);
	boot_fail(c->master, str_of(text));
}

void
boot_child_died(struct child *c, const char *how)
{
	struct master *m = c->master;
	char text[160];

	if (m->phase != PHASE_BOOT || c->kind->id == PROC_LOADER ||
	    c->kind->start != START_ALWAYS || ++m->boot_deaths < BOOT_DEATHS)
		return;
	snprintf(text, sizeof(text), "%s %s at the start, and it was not the first to go",
	    c->kind->name, how);
	boot_fail(m, str_of(text));
}

static void
boot_late(struct timer *t)
{
	boot_fail(container_of(t, struct master, boot), STR("not ready after a minute: giving up"));
}

void
boot_begin(struct master *m)
{
	timer_init(&m->boot, boot_late);
	timer_set(loop_timers(m->loop), &m->boot, clock_ms() + BOOT_PATIENCE_MS);
	change_request(m);
}

static void
boot_paths(struct master *m, const struct conf_settings *s)
{
	snprintf(m->run_dir, sizeof(m->run_dir), "%.*s", STR_ARG(s->run_directory));
	snprintf(m->state_dir, sizeof(m->state_dir), "%.*s", STR_ARG(s->state_directory));
	snprintf(m->pid_file, sizeof(m->pid_file), "%.*s", STR_ARG(s->pid_file));
}

/* Instances that share a host get numbers apart from one another, and the same again after a
 * reboot. */
static uint64_t
boot_seed(const struct master *m)
{
	struct digest d = digest_of(str_of(m->run_dir));
	uint32_t seed;

	memcpy(&seed, d.b, sizeof(seed));
	return seed;
}

static int
boot_files(struct master *m, const struct conf_settings *s, const char **error_r)
{
	if (users_resolve(&m->users, &users_system, users_privileged(), s->users.prefix,
		boot_seed(m), error_r) < 0 ||
	    rundir_make(s, &m->users, error_r) < 0)
		return -1;
	m->lock_fd = rundir_lock(m->run_dir, error_r);
	if (m->lock_fd < 0)
		return -1;
	adminsock_path(s, m->admin_path, sizeof(m->admin_path));
	m->admin_fd = adminsock_open(m->admin_path, &m->users, error_r);
	if (m->admin_fd < 0)
		return -1;
	if (rundir_log(s->error_log.path, &m->users, error_r) < 0)
		return -1;
	return s->access_log.enabled ? rundir_log(s->access_log.path, &m->users, error_r) : 1;
}

int
boot_prepare(struct master *m, const char **error_r)
{
	const struct conf_settings *s = m->next.s;

	boot_paths(m, s);
	if (boot_files(m, s, error_r) < 0)
		return -1;
	m->level = (enum log_level)s->error_log.level;
	m->level_configured = (unsigned)s->error_log.level;
	log_set_level(m->level);
	m->log_is_file = s->error_log.path.n > 0 && s->error_log.path.p[0] == '/';
	log_info("gateway %s starts: %s", GW_VERSION, m->users.said);
	if (s->limits.descriptors > 0)
		(void)proc_nofile_raise(s->limits.descriptors);
	if (regions_make(m, error_r) < 0)
		return -1;
	/* What children inherit, until the first configuration is settled. */
	gbuf_put(&m->now.boot, m->next.boot.p, m->next.boot.n);
	child_want(child_of(m, PROC_LOGGER), true);
	child_want(child_of(m, PROC_KEEPER), true);
	return 1;
}

void
boot_logging(struct master *m)
{
	m->logging = true;
	log_set_fd(m->log_pipe[1]);
}

void
boot_serve(struct master *m)
{
	m->boot_served = true;
	/* An arena that an earlier master left behind may hold shares of its workers. */
	for (unsigned i = 0; i < m->slots; i++) {
		child_worker(m, i)->reap = true;
		child_worker(m, i)->reap_since_ms = clock_ms();
	}
	child_want(child_of(m, PROC_PROBER), true);
	child_want(child_of(m, PROC_ADMIN), true);
}

/* -d: whoever started us may go, and the terminal with them. */
static void
boot_launched(struct master *m)
{
	int null;

	if (m->launcher < 0)
		return;
	(void)!write(m->launcher, "", 1);
	(void)close(m->launcher);
	m->launcher = -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return;
	(void)dup2(null, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
	(void)close(null);
}

void
boot_progress(struct master *m)
{
	const char *error;

	if (m->phase != PHASE_BOOT || !m->boot_served || !children_up(m))
		return;
	if (pidfile_write(m->pid_file, &error) < 0) {
		boot_fail(m, str_of(error));
		return;
	}
	timer_stop(&m->boot);
	m->phase = PHASE_SERVING;
	atomic_store_explicit(&m->procs->ready, 1, memory_order_release);
	log_info("ready: %u workers, %u listeners", (unsigned)m->now.s->workers,
	    listens_count(m->listens));
	notify("READY=1\nMAINPID=%ld\nSTATUS=serving", (long)getpid());
	boot_launched(m);
}
