/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl's HTTP over the admin socket: blocking, with a time-out, Connection: close.
 */
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <errno.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "shm/base/buf.h"
#include "shm/base/bug.h"
#include "shm/base/num.h"

static int
ctl_connect(const struct ctl *c)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval tv = {.tv_sec = c->timeout_s};
	int fd;

	if (strlen(c->socket) >= sizeof(sun.sun_path)) {
		fprintf(stderr, "gatewayctl: socket path too long: %s\n", c->socket);
		return -1;
	}
	memcpy(sun.sun_path, c->socket, strlen(c->socket));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0 &&
	    connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	fprintf(
	    stderr, "gatewayctl: cannot reach the gateway at %s: %s\n", c->socket, strerror(errno));
	if (errno == ENOENT || errno == ECONNREFUSED)
		fprintf(
		    stderr, "Is it running? Another socket is given with -s or GATEWAY_SOCKET.\n");
	if (fd >= 0)
		close(fd);
	return -1;
}

static int
ctl_send(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent < 0)
			return -1;
		p += sent;
		n -= (size_t)sent;
	}
	return 1;
}

static int
ctl_receive(int fd, struct gbuf *in)
{
	char tmp[8192];
	ssize_t n;

	while ((n = recv(fd, tmp, sizeof(tmp), 0)) > 0)
		gbuf_put(in, tmp, (size_t)n);
	return n < 0 ? -1 : 1;
}

/* Splits status and body off an answer read to its end. */
static int
ctl_split(struct gbuf *in, char **text_r)
{
	static const char version[] = "HTTP/1.1 ";
	const char *error;
	uint64_t status;
	char *end;

	gbuf_u8(in, 0);
	end = strstr(in->p, "\r\n\r\n");
	if (strncmp(in->p, version, strlen(version)) != 0 || end == NULL) {
		fprintf(stderr, "gatewayctl: what answers there is not the gateway\n");
		return -1;
	}
	if (num_u64(str_n(in->p + strlen(version), 3), 999, &status, &error) < 0) {
		fprintf(stderr, "gatewayctl: an answer without a status\n");
		return -1;
	}
	*text_r = xstrdup(end + 4);
	return (int)status;
}

int
ctl_http(const struct ctl *c, const char *method, const char *path, const char *body, char **text_r)
{
	struct gbuf out = {0}, in = {0};
	size_t n = body != NULL ? strlen(body) : 0;
	int fd = ctl_connect(c), status = -1;

	if (fd < 0)
		return -1;
	gbuf_printf(&out,
	    "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s"
	    "Content-Length: %zu\r\n\r\n",
	    method, path, n > 0 ? "Content-Type: application/json\r\n" : "", n);
	gbuf_put(&out, body, n);
	if (ctl_send(fd, out.p, out.n) < 0 || ctl_receive(fd, &in) < 0)
		fprintf(stderr, "gatewayctl: %s: %s\n", c->socket,
		    errno == EAGAIN ? "no answer in time (--timeout)" : strerror(errno));
	else
		status = ctl_split(&in, text_r);
	close(fd);
	gbuf_free(&out);
	gbuf_free(&in);
	return status;
}

/* One thing that is wrong, {"where", "message"} or a text. */
static void
print_error(const json_t *e)
{
	const char *where = json_string_value(json_object_get(e, "where"));
	const char *message = json_string_value(json_object_get(e, "message"));

	if (json_is_string(e))
		fprintf(stderr, "%s\n", json_string_value(e));
	else
		fprintf(stderr, "%s%s%s\n", where != NULL ? where : "",
		    where != NULL && where[0] != '\0' ? ": " : "", message != NULL ? message : "");
}

/* A single error is the problem's detail as well. */
static bool
says_the_same(const json_t *errors, const char *detail)
{
	const char *message =
	    json_string_value(json_object_get(json_array_get(errors, 0), "message"));
	size_t n = message != NULL ? strlen(message) : 0, d = detail != NULL ? strlen(detail) : 0;

	return json_array_size(errors) == 1 && n > 0 && d >= n &&
	       strcmp(detail + (d - n), message) == 0;
}

/* What the gateway said against it: the report's lines, the errors, the problem's detail. */
static void
ctl_print_refusal(const struct ctl *c, const json_t *j, int status)
{
	const char *detail = json_string_value(json_object_get(j, "detail"));
	json_t *report = json_object_get(j, "report"), *errors = json_object_get(j, "errors"), *e;
	size_t i;

	if (c->json) {
		ctl_print_json(j);
		return;
	}
	json_array_foreach(report, i, e) fprintf(stderr, "%s\n", json_string_value(e));
	if (!says_the_same(errors, detail))
		json_array_foreach(errors, i, e) print_error(e);
	if (detail != NULL)
		fprintf(stderr, "gatewayctl: %s\n", detail);
	else if (json_array_size(report) == 0)
		fprintf(stderr, "gatewayctl: refused with status %d\n", status);
}

int
ctl_call(
    const struct ctl *c, const char *method, const char *path, json_t *take_body, json_t **json_r)
{
	char *text = NULL, *body = take_body != NULL ? json_dumps(take_body, JSON_COMPACT) : NULL;
	int status = ctl_http(c, method, path, body, &text);
	json_t *j = status > 0 && text != NULL ? json_loads(text, 0, NULL) : NULL;

	json_decref(take_body);
	free(body);
	free(text);
	if (status < 0)
		return CTL_UNREACHABLE;
	if (j == NULL) {
		fprintf(stderr, "gatewayctl: the answer (status %d) is not JSON\n", status);
		return CTL_REFUSED;
	}
	if (status >= 400) {
		ctl_print_refusal(c, j, status);
		json_decref(j);
		return CTL_REFUSED;
	}
	*json_r = j;
	return CTL_OK;
}

int
ctl_do(const struct ctl *c, const char *method, const char *path, json_t *take_body,
    void (*table)(const json_t *j))
{
	json_t *j;
	int rc = ctl_call(c, method, path, take_body, &j);

	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_print_json(j);
	else
		table(j);
	json_decref(j);
	return CTL_OK;
}

int
ctl_show(const struct ctl *c, const char *path, void (*table)(const json_t *j))
{
	return ctl_do(c, "GET", path, NULL, table);
}

int
ctl_text_of(const struct ctl *c, const char *path)
{
	char *text = NULL;
	int status = ctl_http(c, "GET", path, NULL, &text);

	if (status < 0)
		return CTL_UNREACHABLE;
	fputs(text != NULL ? text : "", status == 200 ? stdout : stderr);
	free(text);
	return status == 200 ? CTL_OK : CTL_REFUSED;
}

char *
ctl_escape(const char *s)
{
	struct gbuf g = {0};

	for (; *s != '\0'; s++) {
		unsigned char ch = (unsigned char)*s;
		bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			     (ch >= '0' && ch <= '9') || strchr("-._~", ch) != NULL;

		if (plain)
			gbuf_u8(&g, ch);
		else
			gbuf_printf(&g, "%%%02X", ch);
	}
	gbuf_u8(&g, 0);
	return g.p;
}
