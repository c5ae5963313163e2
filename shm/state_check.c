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
/* A binary of schema 1 made its tables in one commit and said what they are in the next: killed
 * between the two, it left a state as good as new. */
#define NEW_TXN 1

/* Exit codes of the child; whatever else it ends with is damage, too. */
enum { CHECK_SOUND = 0, CHECK_DAMAGED = 1, CHECK_UNKNOWN = 2 };

static struct state_check_state {
	char error[320];
} state;

struct check {
	bool format, later;        /* seen: our format; a record no state of schema 1 has */
	unsigned schema, readable; /* 0: not said */
	bool verdicts;
	char seal[STATE_SEAL_ROOM];
	uint64_t sums;
	volatile unsigned char octets; /* so that what is read is read */
	const char *error;
};

static bool
refuse(struct check *c, const char *why)
{
	c->error = why;
	return false;
}

static bool
meta_number(struct check *c, struct str value, unsigned *n_r)
{
	const char *error;
	uint64_t n;

	if (num_u64(value, UINT32_MAX, &n, &error) < 0 || n == 0)
		return refuse(c, "its schema is not a number");
	*n_r = (unsigned)n;
	return true;
}

static bool
meta_seal(struct check *c, struct str key, struct str record)
{
	struct str text;
	uint64_t sum;

	if (state_unseal(STATE_META, key, record, &text, &sum) < 0 || text.n >= sizeof(c->seal))
		return refuse(c, "its seal does not match its check sum");
	memcpy(c->seal, text.p, text.n);
	c->later = true;
	return true;
}

static bool
meta_own(struct check *c, struct str key, struct str value)
{
	if (str_eq(key, STR("format"))) {
		c->format = str_eq(value, STR(STATE_FORMAT));
		return c->format || refuse(c, "its format is another program's");
	}
	if (str_eq(key, STR("schema")))
		return meta_number(c, value, &c->schema);
	if (str_eq(key, STR("seal")))
		return meta_seal(c, key, value);
	if (!meta_number(c, value, &c->readable))
		return false;
	return c->readable <= STATE_SCHEMA ||
	       refuse(c, "it was written by a version too new for this one");
}

/* Schema 1 had no sums, and what it says has been seen by now: LMDB has its tables by name. */
static bool
check_verdict(struct check *c, struct str key, struct str value)
{
	struct state_verdict v;
	struct str service, endpoint, text;
	uint64_t sum = 0;
	int rc = c->schema == 1 ? state_verdict_1(key, value, &text)
				: state_unseal(STATE_VERDICTS, key, value, &text, &sum);

	c->verdicts = true;
	c->sums ^= sum;
	return (rc == 1 && state_verdict_decode(key, text, &service, &endpoint, &v) == 1) ||
	       refuse(c, "a verdict in it is malformed");
}

static bool
check_sealed(struct check *c, enum state_table tab, struct str key, struct str value)
{
	struct str text;
	uint64_t sum;

	if (state_unseal(tab, key, value, &text, &sum) < 0)
		return refuse(c, "a record in it does not match its check sum");
	c->later = true;
	c->sums ^= sum;
	return true;
}

static bool
check_record(void *arg, struct str table, struct str key, struct str value)
{
	struct check *c = arg;

	for (enum state_table i = 0; i < STATE_TABLE_COUNT; i++) {
		if (!str_eq(table, str_of(state_table_names[i])))
			continue;
		if (i == STATE_META && state_meta_own(key))
			return meta_own(c, key, value);
		return i == STATE_VERDICTS ? check_verdict(c, key, value)
					   : check_sealed(c, i, key, value);
	}
	/* Tables of a later version that says we can read it: every octet can be had, at least. */
	c->later = true;
	for (size_t i = 0; i < value.n; i++)
		c->octets ^= (unsigned char)value.p[i];
	return true;
}

/* What no record shows by itself. */
static bool
check_whole(struct check *c, uint64_t last_txn)
{
	char seal[STATE_SEAL_ROOM];

	if (!c->format && c->schema == 0 && c->readable == 0 && !c->verdicts && !c->later)
		return last_txn <= NEW_TXN || refuse(c, "its records are gone");
	if (!c->format || c->schema == 0 || c->readable == 0 || c->readable > c->schema)
		return refuse(c, "it does not say what it is");
	if (c->schema == 1)
		return !c->later || refuse(c, "it holds what its schema does not know");
	state_seal_text(c->schema, c->readable, last_txn, c->sums, seal);
	return strcmp(seal, c->seal) == 0 ||
	       refuse(c, "it is not as its last commit left it: records are gone, or old");
}

static int
check_all(const char *dir, const char **error_r)
{
	struct check c = {0};
	uint64_t last_txn;
	int rc = db_walk(dir, check_record, &c, &last_txn, error_r);

	if (rc == 1 && !check_whole(&c, last_txn))
		rc = 0;
	if (rc == 0 && c.error != NULL)
		*error_r = c.error;
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
