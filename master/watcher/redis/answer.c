/* SPDX-License-Identifier: Apache-2.0
 *
 * See answer.h.
 */
#include "master/watcher/redis/answer.h"

#include <stdarg.h>
#include <unistd.h>

#include "conf/enclosed.h"
#include "shm/base/log.h"
#include "shm/base/msg.h"

void
answer_json(const struct answer *a, uint32_t status, json_t *body)
{
	static struct msg m;
	char *text = json_dumps(body, JSON_COMPACT);
	const char *error = "";
	int fd;

	json_decref(body);
	msg_begin(&m, MSG_ANSWER, a->id);
	msg_put_u32(&m, status);
	if (enclosed_put(&m, str_of(text), &fd, &error) < 0)
		log_error("console: an answer cannot be handed over: %s", error);
	free(text);
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
