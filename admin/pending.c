/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions that wait for other processes.
 */
#include "admin/pending.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"

struct pending *
pending_new(enum pending_what what, enum line line)
{
	struct pending *p = xcalloc(1, sizeof(*p));

	p->what = what;
	p->line = line;
	return p;
}

void
pending_free(void *pending)
{
	struct pending *p = pending;

	if (p != NULL)
		free(p->document);
	free(p);
}

const char *
line_word(enum line line)
{
	return line == LINE_ADMIN_REDIS ? "redis" : "keeper";
}

struct enclosed
pending_body(struct msg *m)
{
	struct enclosed body;
	const char *error = "";

	if (enclosed_take(m, &body, &error) < 0)
		log_error("admin: an answer of another process cannot be read: %s", error);
	return body;
}
