/* SPDX-License-Identifier: Apache-2.0
 *
 * Is the state that lies there ours, and whole? Asked in a child before the keeper opens it: LMDB
 * believes its pages, and a damaged one may send it anywhere.
 */
#include "shm/state_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/base/num.h"
#include "shm/db_priv.h"

#define CHECK_SECONDS 30

/* Exit codes of the child; whatever else it ends with is damage, too. */
enum { CHECK_SOUND = 0, CHECK_DAMAGED = 1, CHECK_UNKNOWN = 2 };

static struct state_check_state {
	char error[320];
} state;

struct check {
	bool format, schema, readable, records; /* seen */
	volatile unsigned char sum;             /* so that what is read is read */
	const char *error;
};

static bool
refuse(struct check *c, const char *why)
{
	c->error = why;
	return false;
}

static bool
check_meta(struct check *c, struct str key, struct str value)
{
	const char *error;
	uint64_t n;

	if (str_eq(key, STR("format"))) {
		c->format = str_eq(value, STR(STATE_FORMAT));
		return c->format || refuse(c, "its format is another program's");
	}
	if (str_eq(key, STR("schema"))) {
		c->schema = num_u64(value, UINT32_MAX, &n, &error) == 1 && n > 0;
		return c->schema || refuse(c, "its schema is not a number");
	}
	if (str_eq(key, STR("readable"))) {
		c->readable = num_u64(value, UINT32_MAX, &n, &error) == 1 && n <= STATE_SCHEMA;
		return c->readable || refuse(c, "it was written by a version too new for this one");
	}
	return true;
}

static bool
check_verdict(struct check *c, struct str key, struct str value)
{
	struct state_verdict v;
	struct str service, endpoint;

	return state_verdict_decode(key, value, &service, &endpoint, &v) == 1 ||
	       refuse(c, "a verdict in it is malformed");
}

static bool
check_record(void *arg, struct str table, struct str key, struct str value)
{
	struct check *c = arg;

	if (str_eq(table, STR("meta")))
		return check_meta(c, key, value);
	c->records = true;
	if (str_eq(table, STR("verdicts")))
		return check_verdict(c, key, value);
	/* Tables of a later version that says we can read it: every octet can be had, at least. */
	for (size_t i = 0; i < value.n; i++)
		c->sum ^= (unsigned char)value.p[i];
	return true;
}

static int
check_all(const char *dir, const char **error_r)
{
	struct check c = {0};
	int rc = db_walk(dir, check_record, &c, error_r);

	if (rc == 0 && c.error != NULL)
		*error_r = c.error;
	/* Without any record it was killed before its first commit: as good as new. */
	if (rc == 1 && (c.records || c.format) && !(c.format && c.schema && c.readable)) {
		*error_r = "it does not say what it is";
		return 0;
	}
	return rc;
}

static NORETURN void
check_child(const char *dir, int words)
{
	static const struct rlimit none = {0, 0};
	static const struct sigaction ends = {.sa_handler = SIG_DFL};
	static const int signals[] = {SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
	const char *error = "";
	sigset_t set;
	int rc;

	setrlimit(RLIMIT_CORE, &none);
	for (unsigned i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &ends, NULL);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	alarm(CHECK_SECONDS);
	rc = check_all(dir, &error);
	if (rc != 1 && write(words, error, strlen(error)) < 0)
		rc = -1;
	_exit(rc == 1 ? CHECK_SOUND : rc == 0 ? CHECK_DAMAGED : CHECK_UNKNOWN);
}

/* What the child wrote, up to its end. */
static void
read_words(int fd, char *out, size_t cap)
{
	size_t n = 0;

	while (n < cap - 1) {
		ssize_t got = read(fd, out + n, cap - 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	out[n] = '\0';
}

static int
judge(int status)
{
	size_t n = strlen(state.error);

	if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SOUND)
		return 1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_UNKNOWN)
		return -1;
	if (WIFSIGNALED(status))
		snprintf(state.error + n, sizeof(state.error) - n,
		    "reading it ended with signal %d", WTERMSIG(status));
	return 0;
}

int
state_check(const char *dir, const char **error_r)
{
	int fds[2], status;
	pid_t pid;

	*error_r = state.error;
	snprintf(state.error, sizeof(state.error), "%s: cannot be checked", dir);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		check_child(dir, fds[1]);
	close(fds[1]);
	if (pid > 0) {
		read_words(fds[0], state.error, sizeof(state.error));
		while ((pid = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
			continue;
	}
	close(fds[0]);
	if (pid < 0)
		return -1;
	return judge(status);
}
