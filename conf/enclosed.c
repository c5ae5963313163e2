/* SPDX-License-Identifier: Apache-2.0
 *
 * See enclosed.h.
 */
#include "conf/enclosed.h"

#include <unistd.h>

#include "conf/document.h"
#include "shm/base/bug.h"

int
enclosed_put(struct msg *m, struct str text, int *fd_r, const char **error_r)
{
	bool brief = text.n <= ENCLOSED_SHORT;

	msg_put_str(m, brief ? text : STR(""));
	*fd_r = -1;
	if (brief)
		return 1;
	*fd_r = document_seal(text, error_r);
	if (*fd_r < 0)
		return -1;
	msg_put_fd(m, *fd_r);
	return 1;
}

static int
take_mapped(struct msg *m, struct enclosed *e, const char **error_r)
{
	int ok, fd = msg_fd(m);

	ok = document_map(fd, &e->text, error_r);
	e->mapped = ok == 1;
	if (fd >= 0)
		(void)close(fd);
	return ok;
}

int
enclosed_take(struct msg *m, struct enclosed *e_r, const char **error_r)
{
	struct str text = msg_str(m);

	*e_r = (struct enclosed){.text = STR_NONE};
	if (text.n == 0)
		return m->fd_at < m->n_fds ? take_mapped(m, e_r, error_r) : 0;
	e_r->text = str_n(str_z(text), text.n);
	return 1;
}

void
enclosed_free(struct enclosed *e)
{
	if (e->mapped)
		document_unmap(&e->text);
	else
		free((char *)(uintptr_t)e->text.p);
	*e = (struct enclosed){.text = STR_NONE};
}
