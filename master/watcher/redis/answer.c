/* SPDX-License-Identifier: Apache-2.0
 *
 * See answer.h.
 */
#include "master/watcher/redis/answer.h"

#include <stdarg.h>
#include <unistd.h>

#include "conf/sealed.h"
#include "shm/base/log.h"
#include "shm/base/msg.h"

static int
seal(const char *text)
{
	int fd = sealed_new("answer");

	if (fd >= 0 && (sealed_put(fd, str_of(text)) < 0 || sealed_finish(fd) < 0)) {
		(void)close(fd);
		fd = -1;
	}
	return fd;
}

void
answer_json(const struct answer *a, uint32_t status, json_t *body)
{
	static struct msg m;
	char *text = json_dumps(body, JSON_COMPACT);
	int fd = text != NULL ? seal(text) : -1;

	json_decref(body);
	free(text);
	msg_begin(&m, MSG_ANSWER, a->id);
	msg_put_u32(&m, fd >= 0 ? status : 507);
	if (fd >= 0)
		msg_put_fd(&m, fd);
	if (msg_send(a->fd, &m) != 1)
		log_warn("console: an answer to the admin API is lost");
	if (fd >= 0)
		(void)close(fd);
}

static const char *
title_of(uint32_t status)
{
	switch (status) {
	case 400:
		return "Bad Request";
	case 409:
		return "Conflict";
	case 422:
		return "Unprocessable Content";
	default:
		return "Service Unavailable";
	}
}

void
answer_problem(const struct answer *a, uint32_t status, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	answer_json(a, status,
	    json_pack("{s:s, s:s, s:i, s:s}", "type", "about:blank", "title", title_of(status),
		"status", (int)status, "detail", text));
}
