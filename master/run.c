/* SPDX-License-Identifier: Apache-2.0
 *
 * See run.h.
 */
#include "master/run.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/boot.h"
#include "master/change.h"
#include "master/child.h"
#include "master/reap.h"
#include "master/rundir.h"
#include "master/stop.h"
#include "master/watchdog.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/proc.h"
#include "shm/base/rnd.h"

static void
reopen_logs(struct master *m)
{
	struct child *logger = child_of(m, PROC_LOGGER);
	const struct conf_settings *s = m->now.s;
	const char *error;

	if (!s || logger->state != CHILD_UP)
		return;
	/* A file that was moved away is made anew here, where it can be given to the logger. */
	if (rundir_log(s->error_log.path, &m->users, &error) < 0)
		log_error("%s", error);
	if (s->access_log.enabled && rundir_log(s->access_log.path, &m->users, &error) < 0)
		log_error("%s", error);
	log_info("opening the logs again");
	child_begin(logger, MSG_REOPEN, 0);
	(void)child_send(logger);
}

static void
on_signal(void *arg, int signo)
{
	struct master *m = arg;

	switch (signo) {
	case SIGHUP:
		log_info("HUP: loading the configuration");
		change_request(m);
		break;
	case SIGQUIT:
		stop_drain(m);
		break;
	case SIGUSR1:
		reopen_logs(m);
		break;
	case SIGUSR2:
		log_warn("USR2: replacing the running program is not in this version; install the "
			 "new one and restart");
		break;
	case SIGCHLD:
		reap_children(m);
		break;
	default:
		stop_now(m);
		break;
	}
}

static void
signals_start(struct master *m)
{
	static const int signals[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD};

	(void)signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		loop_signal(m->loop, signals[i], on_signal, m);
}

static struct master *
master_new(const struct args *a, int launcher)
{
	struct master *m = xcalloc(1, sizeof(*m));

	m->magic = MASTER_MAGIC;
	m->conf_file = a->conf_file;
	m->daemon = a->daemon;
	m->launcher = launcher;
	m->level = LOG_INFO_L;
	m->started_wall_us = clock_wall_us();
	m->lock_fd = m->event_fd = m->admin_fd = m->secrets = m->secrets_next = -1;
	vault_init(&m->vault);
	m->log_pipe[0] = m->log_pipe[1] = -1;
	for (unsigned i = 0; i < LINE_COUNT; i++)
		m->line[i][0] = m->line[i][1] = -1;
	for (unsigned i = 0; i < REGION_COUNT; i++)
		m->region_fd[i] = -1;
	m->loop = loop_new();
	m->listens = listens_new();
	m->reload = reload_new(loop_timers(m->loop), &change_ops, m);
	timer_init(&m->stop, stop_late);
	children_init(m);
	return m;
}

static void
master_free(struct master **mp)
{
	struct master *m = *mp;

	*mp = NULL;
	pidfile_remove(m->pid_file);
	if (m->admin_fd >= 0)
		(void)unlink(m->admin_path);
	listens_free(&m->listens);
	reload_free(&m->reload);
	settled_drop(&m->now);
	settled_drop(&m->next);
	vault_close(&m->vault);
	region_detach(&m->procs_region);
	loop_free(&m->loop);
	free(m);
}

int
run_master(const struct args *a, int launcher)
{
	struct master *m;
	int status;

	clock_tick();
	rnd_init();
	log_init("master", STDERR_FILENO, LOG_INFO_L);
	m = master_new(a, launcher);
	proc_title("master %s", a->conf_file);
	signals_start(m);
	watchdog_start(m);
	boot_begin(m);
	/* A start that fails at once has stopped the loop before it ran. */
	if (m->phase != PHASE_STOPPING || children_left(m))
		loop_run(m->loop);
	status = m->status;
	master_free(&m);
	return status;
}

/* The process that was started stays until the gateway serves, so that its exit status says whether
 * it does. */
static void
launcher_wait(int fd, pid_t pid)
{
	char octet;
	int status;

	while (read(fd, &octet, 1) != 1) {
		if (waitpid(pid, &status, 0) == pid)
			_exit(1);
	}
	_exit(0);
}

int
run_daemonise(void)
{
	int pair[2], null;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		perror("gateway: cannot go to the background");
		exit(1);
	}
	if (pid > 0) {
		(void)close(pair[1]);
		launcher_wait(pair[0], pid);
	}
	(void)close(pair[0]);
	(void)setsid();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)close(null);
	}
	return pair[1];
}
