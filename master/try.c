/* SPDX-License-Identifier: Apache-2.0
 *
 * See try.h. Loader and keeper run in children here too: whatever they do with a configuration, it
 * is this process that reports it.
 */
#include "master/try.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/changeset.h"
#include "conf/keeper.h"
#include "conf/loader.h"
#include "conf/show.h"
#include "master/watcher/secrets/seal.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/msg.h"
#include "shm/base/rnd.h"

#define LOAD_WAIT_MS (11 * 60 * 1000) /* resolve_timeout is at most ten minutes */

struct tried {
	bool ok;
	int report, changeset; /* -1: none */
	pid_t loader;          /* 0: none */
};

static void
try_loader(const char *conf_file, int chan)
{
	struct heritage *h = xcalloc(1, sizeof(*h));

	h->kind = PROC_LOADER;
	h->master = getppid();
	h->chan = chan;
	h->mailbox = h->event_fd = h->secrets_fd = h->facts_fd = -1;
	for (unsigned i = 0; i < LINE_COUNT; i++)
		h->line[i] = -1;
	h->log_fd = STDERR_FILENO;
	h->log_level = LOG_WARN_L;
	h->conf_file = conf_file;
	for (unsigned i = 0; i < SLOT_MAX; i++)
		h->mailbox_send[i] = -1;
	for (unsigned i = 0; i < REGION_COUNT; i++)
		h->region_fd[i] = -1;
	log_init("loader", STDERR_FILENO, LOG_WARN_L);
	rnd_init();
	_exit(loader_main(h));
}

static int
loaded_read(struct msg *m, struct tried *t)
{
	if (m->type != MSG_LOADED) {
		msg_drop(m);
		return -1;
	}
	t->ok = msg_u32(m) != 0;
	(void)msg_u32(m);
	(void)msg_str(m);
	t->report = msg_fd(m);
	t->changeset = msg_fd(m);
	close(msg_fd(m)); /* the secrets: that they can be read is all there is to try */
	return msg_end(m);
}

static int
loaded_wait(int chan, struct tried *t)
{
	struct msg *m = xmalloc(sizeof(*m));
	struct pollfd pfd = {.fd = chan, .events = POLLIN};
	int got = -1;

	if (poll(&pfd, 1, LOAD_WAIT_MS) > 0)
		got = msg_recv(chan, m);
	if (got == 1)
		got = loaded_read(m, t);
	free(m);
	return got == 1 ? 1 : -1;
}

/* 1 there is a verdict, -1 the loader did not come to one. */
static int
try_load(const char *conf_file, struct tried *t)
{
	int pair[2], got;
	pid_t pid;

	*t = (struct tried){.report = -1, .changeset = -1};
	if (msg_pair(pair) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "gateway: %s\n", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		(void)close(pair[0]);
		try_loader(conf_file, pair[1]);
	}
	(void)close(pair[1]);
	t->loader = pid;
	got = loaded_wait(pair[0], t);
	(void)close(pair[0]);
	if (got < 0)
		fprintf(stderr, "gateway: the loader left without a verdict on %s\n", conf_file);
	return got;
}

/* Its going takes a while where it read much, and nobody has to wait for that before the end. */
static int
loader_end(const struct tried *t)
{
	int status;

	if (t->loader > 0)
		(void)waitpid(t->loader, &status, 0);
	return 1;
}

static void
print_fd(int fd, FILE *to)
{
	char part[4096];
	off_t at = 0;
	ssize_t n;

	while (fd >= 0 && (n = pread(fd, part, sizeof(part), at)) > 0) {
		fwrite(part, 1, (size_t)n, to);
		at += n;
	}
}

/* Collects the objects of a change set. The caller frees; they borrow from c. */
static struct conf_object *
objects_of(struct changeset *c, uint32_t *n_r)
{
	struct conf_object *v = xcalloc((size_t)c->n + 1, sizeof(*v));
	enum change_op op;
	uint32_t n = 0;

	while (n < c->n && changeset_next(c, &op, &v[n]) == 1)
		n++;
	*n_r = n;
	return v;
}

static void
print_good(const char *conf_file, const uint64_t *count)
{
	printf("%s: configuration is ok", conf_file);
	for (unsigned k = CONF_LISTENER; k < CONF_KIND_COUNT; k++)
		printf("%s%llu %s", k == CONF_LISTENER ? " (" : ", ", (unsigned long long)count[k],
		    count[k] == 1 ? object_kinds[k].word : object_kinds[k].list);
	printf(")\n");
}

static int
print_all(int fd)
{
	struct gbuf text = {0};
	struct conf_object *v;
	struct changeset c;
	const char *error;
	uint32_t n;
	int done;

	if (changeset_open(fd, &c, &error) < 0)
		return 1;
	v = objects_of(&c, &n);
	done = show_objects(v, n, true, &text);
	free(v);
	changeset_close(&c);
	if (done == 1)
		fwrite(text.p, 1, text.n, stdout);
	else
		fprintf(stderr, "gateway: the loader's objects cannot be read\n");
	gbuf_free(&text);
	return done == 1 ? 0 : 1;
}

/* What the secrets process does to what objects name. The descriptor is taken over. */
static int
try_seal(int objects)
{
	struct seal_in in = {.objects = objects, .now = (int64_t)(clock_wall_us() / 1000000)};
	struct conf_check report;
	struct seal_out out;
	int made;

	check_init(&report);
	made = seal_make(&in, &out, &report);
	if (report.text.n > 0)
		fwrite(report.text.p, 1, report.text.n, stdout);
	(void)fflush(stdout);
	check_free(&report);
	(void)close(objects);
	if (made < 0)
		return 1;
	(void)close(out.bundle);
	(void)close(out.facts);
	return 0;
}

/* In a child: what keeper does to a change set, and what can be told of it. */
static int
try_keeper(const char *conf_file, int fd, bool show)
{
	const char *shm = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	struct keeper_tried tried;
	int status;

	log_init("keeper", STDERR_FILENO, LOG_WARN_L);
	rnd_init();
	status = show ? print_all(fd) : keeper_try(fd, shm, &tried);
	if (!show && status == 0 && tried.wants >= 0)
		status = try_seal(tried.wants);
	if (!show && status == 0)
		print_good(conf_file, tried.count);
	return fflush(stdout) == 0 ? status : 1;
}

static int
try_compile(const char *conf_file, int changeset, bool show)
{
	int status = 0;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(try_keeper(conf_file, changeset, show));
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		fprintf(stderr, "gateway: %s\n", strerror(errno));
		return 1;
	}
	if (WIFSIGNALED(status))
		fprintf(stderr, "gateway: the compiler was killed by signal %d over %s\n",
		    WTERMSIG(status), conf_file);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Errors and warnings go where the answer goes; with -T, which others read by machine, beside it.
 */
static int
try_with(const char *conf_file, bool show)
{
	struct tried t;
	int status = 1;

	clock_tick();
	if (try_load(conf_file, &t) < 0)
		return loader_end(&t);
	print_fd(t.report, show ? stderr : stdout);
	if (t.ok)
		status = try_compile(conf_file, t.changeset, show);
	else if (!show)
		printf("%s: configuration is not ok\n", conf_file);
	if (t.report >= 0)
		(void)close(t.report);
	if (t.changeset >= 0)
		(void)close(t.changeset);
	(void)loader_end(&t);
	return status;
}

int
try_configuration(const char *conf_file)
{
	return try_with(conf_file, false);
}

int
try_show(const char *conf_file)
{
	return try_with(conf_file, true);
}
