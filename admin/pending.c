/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions that wait for other processes.
 */
#include <sys/stat.h>

#include <unistd.h>

#include "admin/pending.h"
#include "conf/document.h"
#include "shm/base/bug.h"

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

int
pending_text(int fd, struct gbuf *out)
{
	char piece[65536];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < 0 || st.st_size > DOCUMENT_MAX)
		return -1;
	for (off_t at = 0; at < st.st_size; at += n) {
		n = pread(fd, piece, sizeof(piece), at);
		if (n <= 0)
			return -1;
		gbuf_put(out, piece, (size_t)n);
	}
	return 1;
}
