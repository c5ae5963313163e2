/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers to the admin process over its line: a status and JSON. A question that needs Redis is
 * answered when Redis has.
 */
#ifndef GW_REDIS_ANSWER_H
#define GW_REDIS_ANSWER_H

#include <jansson.h>

#include "shm/base/base.h"

struct answer {
	int fd;      /* the line */
	uint32_t id; /* of the question */
};
/* Steals body. */
void answer_json(const struct answer *a, uint32_t status, json_t *body);
/* A problem document. */
void answer_problem(const struct answer *a, uint32_t status, const char *fmt, ...) PRINTF(3, 4);

#endif
