/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl config check: runs `gateway -t`, so that what is checked is what would be loaded, and
 * no instance need run.
 */
#include <sys/wait.h>

#include <unistd.h>

#include "admin/ctl.h"
#include "shm/base/buf.h"
#include "shm/base/bug.h"

#define EXIT_NO_GATEWAY 127

/* The gateway beside this program, else the one in PATH; the same code path as a load. */
static void
gateway_exec(const struct ctl *c, const char *file)
{
	char path[4096];
	const char *slash = strrchr(c->program, '/');

	if (slash != NULL) {
		snprintf(path, sizeof(path), "%.*s/gateway", (int)(slash - c->program), c->program);
		execl(path, "gateway", "-t", "-c", file, (char *)NULL);
	}
	execlp("gateway", "gateway", "-t", "-c", file, (char *)NULL);
	perror("gatewayctl: cannot run gateway");
	_exit(EXIT_NO_GATEWAY);
}

/* Runs it; what it says goes into `out`. Returns its exit status, -1 when it could not be run. */
static int
gateway_test(const struct ctl *c, const char *file, struct gbuf *out)
{
	int pipefd[2], status;
	char piece[4096];
	ssize_t n;
	pid_t pid;

	if (pipe(pipefd) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		(void)dup2(pipefd[1], STDOUT_FILENO);
		(void)dup2(pipefd[1], STDERR_FILENO);
		close(pipefd[0]);
		close(pipefd[1]);
		gateway_exec(c, file);
	}
	close(pipefd[1]);
	while (pid > 0 && (n = read(pipefd[0], piece, sizeof(piece))) > 0)
		gbuf_put(out, piece, (size_t)n);
	close(pipefd[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
print_check(const char *file, bool ok, struct str text)
{
	json_t *report = json_array();
	struct str line;

	while (str_cut(&text, '\n', &line) == 1)
		if (line.n > 0)
			json_array_append_new(report, json_stringn(line.p, line.n));
	json_t *j = json_pack("{s:s, s:b, s:o}", "file", file, "ok", ok, "report", report);

	ctl_print_json(j);
	json_decref(j);
}

/* What the running instance was started with; without one, the packaged place. */
static char *
default_file(const struct ctl *c)
{
	const char *file = GW_CONF_DIR "/gateway.conf";
	json_t *status = NULL;
	char *text = NULL, *copy;

	if (access(c->socket, W_OK) == 0 &&
	    ctl_http(c, "GET", CTL_V1 "/status", NULL, &text) == 200)
		status = json_loads(text, 0, NULL);
	if (json_is_string(json_object_get(status, "config_file")))
		file = json_string_value(json_object_get(status, "config_file"));
	copy = xstrdup(file);
	json_decref(status);
	free(text);
	return copy;
}

int
ctl_check(const struct ctl *c, const char *given)
{
	char *file = given != NULL ? xstrdup(given) : default_file(c);
	struct gbuf out = {0};
	int status = gateway_test(c, file, &out);
	bool ran = status >= 0 && status != EXIT_NO_GATEWAY;

	if (c->json && ran)
		print_check(file, status == 0, str_n(out.p, out.n));
	else if (out.n > 0)
		fwrite(out.p, 1, out.n, status == 0 ? stdout : stderr);
	gbuf_free(&out);
	free(file);
	return status == 0 ? CTL_OK : ran ? CTL_REFUSED : CTL_UNREACHABLE;
}
