/* SPDX-License-Identifier: Apache-2.0
 *
 * What every child does between fork and its main, in this order: close what it did not inherit,
 * forget the master's signals, tie itself to the master, become its own user without privileges,
 * take its name. It leaves by _exit, whatever its main returns.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "master/spawn.h"
#include "shm/base/msg.h"
#include "shm/base/proc.h"
#include "shm/base/rnd.h"

#define KEEP_MAX (SLOT_MAX + REGION_COUNT + LISTEN_MAX + LINE_COUNT + 7)

/* Only there in a build for coverage, whose counters _exit would lose. */
extern void __gcov_dump(void) __attribute__((weak));

static void
recipe_close(const struct heritage *h, int lock_fd)
{
	int keep[KEEP_MAX];
	size_t n = 0;

	keep[n++] = lock_fd;
	keep[n++] = h->chan;
	for (unsigned i = 0; i < LINE_COUNT; i++)
		keep[n++] = h->line[i];
	keep[n++] = h->secrets_fd;
	keep[n++] = h->facts_fd;
	keep[n++] = h->mailbox;
	keep[n++] = h->log_fd;
	keep[n++] = h->event_fd;
	for (unsigned i = 0; i < SLOT_MAX; i++)
		keep[n++] = h->mailbox_send[i];
	for (unsigned i = 0; i < REGION_COUNT; i++)
		keep[n++] = h->region_fd[i];
	for (unsigned i = 0; i < h->n_listens; i++)
		keep[n++] = h->listens[i].fd;
	proc_close_fds(keep, n);
}

/* A daemon's children leave the terminal alone: what they print when they crash goes to the error
 * log. */
static void
recipe_streams(const struct kind *k, const struct heritage *h, bool quiet)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)dup2(fd, STDIN_FILENO);
	if (quiet) {
		(void)dup2(fd, STDOUT_FILENO);
		(void)dup2(k->id == PROC_LOGGER ? fd : h->log_fd, STDERR_FILENO);
	}
	(void)close(fd);
}

/* A terminal's Ctrl-C and Ctrl-\ reach the whole group, `systemctl kill` the whole unit: those are
 * the master's business. HUP may come before the loop that waits for it, hence blocked; TERM ends
 * who does not handle it. */
static void
recipe_signals(void)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};
	sigset_t blocked;

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGHUP);
	(void)sigprocmask(SIG_SETMASK, &blocked, NULL);
}

static void
recipe_fail(const struct heritage *h, const char *error)
{
	struct msg m;

	msg_begin(&m, MSG_FAILED, 0);
	msg_put_str(&m, str_of(error));
	if (msg_send(h->chan, &m) != 1)
		dprintf(STDERR_FILENO, "gateway: %s\n", error);
	_exit(1);
}

static void
recipe_user(const struct kind *k, const struct heritage *h, const struct users *u)
{
	struct sandbox s = {.uid = u->uid[k->id],
	    .gid = u->gid,
	    .switch_user = u->own,
	    .keep_dac_read = k->keep_dac_read,
	    .profile = k->profile};
	const char *error;

	if (sandbox_enter(&s, &error) < 0)
		recipe_fail(h, error);
}

/* What may be a secret (secret://env/NAME) is for who reads the files, and for nobody else. */
static void
recipe_environment(const struct kind *k)
{
	static const char *const harmless[] = {"TZ=", "LANG=", "LC_", "SSL_CERT_",
	    "RES_OPTIONS=", "LOCALDOMAIN=", "GATEWAY_TEST_",
	    "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "GCOV_",
	    "FAKETIME", "DONT_FAKE_", NULL};

	if (!k->keep_dac_read)
		proc_env_keep(harmless);
}

static void
recipe_name(const struct kind *k, const struct heritage *h)
{
	if (k->id == PROC_WORKER)
		proc_title("%s %u", k->name, h->slot);
	else
		proc_title("%s", k->name);
	/* The logger writes its own lines where it writes those of the others; until it has opened
	 * that, stderr. */
	log_init(k->name, k->id == PROC_LOGGER ? STDERR_FILENO : h->log_fd, h->log_level);
}

void
recipe_run(
    const struct kind *k, const struct heritage *h, const struct users *u, int lock_fd, bool quiet)
{
	int status;

	recipe_close(h, lock_fd);
	recipe_streams(k, h, quiet);
	recipe_signals();
	if (proc_wait_parent(h->master, SIGKILL) == 0)
		_exit(1);
	recipe_environment(k);
	recipe_name(k, h);
	recipe_user(k, h, u);
	rnd_init();
	status = k->main(h);
	if (__gcov_dump)
		__gcov_dump();
	_exit(status);
}
