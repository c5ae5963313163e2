/* SPDX-License-Identifier: Apache-2.0
 *
 * See listen.h.
 */
#include "master/listen.h"

#include <errno.h>
#include <unistd.h>

#include "master/socket.h"
#include "master/steer.h"
#include "shm/base/bug.h"
#include "shm/base/log.h"

struct group {
	struct addr addr;  /* as configured */
	struct addr bound; /* the same, but 0.0.0.0 for [::] where the host has no IPv6 */
	unsigned flags;    /* SOCKET_* */
	int backlog;
	unsigned n;
	int fd[SLOT_MAX]; /* Unix: one, for every slot */
};

struct list_of {
	struct listen_want v[LISTEN_MAX];
	unsigned n;
};

struct listens {
	struct group *group[2 * LISTEN_MAX];
	unsigned n_groups;
	struct list_of committed, prepared;
	bool preparing; /* prepared is a list, if an empty one */
	bool live[SLOT_MAX];
	unsigned n_live; /* slots live[] speaks of; 0: never steered yet */
	char error[512];
};

struct listens *
listens_new(void)
{
	return xcalloc(1, sizeof(struct listens));
}

static struct group *
group_find(struct listens *l, const struct addr *a)
{
	for (unsigned i = 0; i < l->n_groups; i++)
		if (addr_eq(&l->group[i]->addr, a))
			return l->group[i];
	return NULL;
}

static int
group_fd(const struct group *g, unsigned slot)
{
	if (g->addr.family == AF_UNIX)
		return g->fd[0];
	return slot < g->n ? g->fd[slot] : -1;
}

/* Workers may hold the same sockets still: shutdown ends the listening for all of them. */
static void
group_close(struct group **gp)
{
	struct group *g = *gp;

	for (unsigned i = 0; i < g->n; i++) {
		(void)shutdown(g->fd[i], SHUT_RDWR);
		(void)close(g->fd[i]);
	}
	if (g->addr.family == AF_UNIX && g->n > 0)
		(void)unlink(g->addr.path);
	free(g);
	*gp = NULL;
}

/* Is the address free of sockets of others? Asked without SO_REUSEPORT, which would let a second
 * instance share the port with us; but sockets of our own at an overlapping address would be in the
 * way of the question. */
static int
group_probe(struct listens *l, struct group *g)
{
	int fd;

	if (g->addr.family == AF_UNIX)
		return 1;
	for (unsigned i = 0; i < l->n_groups; i++)
		if (socket_overlap(&l->group[i]->bound, &g->bound))
			return 1;
	fd = socket_listen(&g->bound, 0, (g->flags & SOCKET_V6ONLY) | SOCKET_UNHEARD);
	if (fd < 0)
		return -1;
	(void)close(fd);
	return 1;
}

static int
group_steer(struct listens *l, struct group *g)
{
	if (g->addr.family == AF_UNIX || g->n == 0 || l->n_live == 0)
		return 1;
	return steer_attach(g->fd[0], l->live, l->n_live);
}

/* Steered from its first socket on: one that is added for a slot that has no worker yet gets no
 * connection. */
static int
group_fill(struct listens *l, struct group *g, unsigned slots)
{
	unsigned want = g->addr.family == AF_UNIX ? 1 : slots;

	while (g->n < want) {
		int fd = socket_listen(&g->bound, g->backlog, g->flags);

		if (fd < 0 && errno == EADDRINUSE && g->addr.family == AF_UNIX &&
		    socket_remove_stale(&g->addr))
			fd = socket_listen(&g->bound, g->backlog, g->flags);
		if (fd < 0)
			return -1;
		g->fd[g->n++] = fd;
		if (g->n == 1)
			(void)group_steer(l, g);
	}
	return 1;
}

/* [::] on a host without IPv6 is all of IPv4. */
static bool
group_without_v6(struct group *g, int err)
{
	if (g->bound.family != AF_INET6 || !socket_any(&g->bound) ||
	    (err != EAFNOSUPPORT && err != EADDRNOTAVAIL))
		return false;
	g->bound = (struct addr){.family = AF_INET, .port = g->addr.port};
	return true;
}

static int
group_bind(struct listens *l, struct group *g, unsigned slots)
{
	if (group_probe(l, g) < 0 && !(group_without_v6(g, errno) && group_probe(l, g) == 1))
		return -1;
	return group_fill(l, g, slots);
}

static int
listens_fail(struct listens *l, const struct listen_want *w, int err, const char **error_r)
{
	char text[160];
	const char *why = socket_why(err);

	(void)addr_text(&w->addr, text, sizeof(text));
	snprintf(l->error, sizeof(l->error), "cannot bind %s: %s%s%s; listener %s%s%s", text,
	    strerror(err), why ? ": " : "", why ? why : "", w->id, w->place[0] ? " in " : "",
	    w->place);
	*error_r = l->error;
	return -1;
}

static bool
want_has_v4_any(const struct listen_want *v, unsigned n, uint16_t port)
{
	for (unsigned i = 0; i < n; i++)
		if (v[i].addr.family == AF_INET && v[i].addr.port == port && socket_any(&v[i].addr))
			return true;
	return false;
}

static struct group *
group_new(const struct listen_want *w, bool v6only)
{
	struct group *g = xcalloc(1, sizeof(*g));

	g->addr = g->bound = w->addr;
	g->backlog = (int)MIN(w->backlog, (uint32_t)INT32_MAX);
	g->flags = w->addr.family == AF_UNIX ? 0 : SOCKET_SHARED;
	if (v6only)
		g->flags |= SOCKET_V6ONLY;
	return g;
}

static int
want_bind(struct listens *l, const struct listen_want *v, unsigned n, unsigned i, unsigned slots,
    const char **error_r)
{
	const struct listen_want *w = &v[i];
	struct group *g;

	if (group_find(l, &w->addr))
		return 1;
	if (l->n_groups == ARRAY_LEN(l->group))
		return listens_fail(l, w, ENFILE, error_r);
	g = group_new(w, w->addr.family == AF_INET6 && want_has_v4_any(v, n, w->addr.port));
	if (group_bind(l, g, slots) < 0) {
		int err = errno;

		group_close(&g);
		return listens_fail(l, w, err, error_r);
	}
	l->group[l->n_groups++] = g;
	return 1;
}

static bool
list_names(const struct list_of *list, const struct addr *a)
{
	for (unsigned i = 0; i < list->n; i++)
		if (addr_eq(&list->v[i].addr, a))
			return true;
	return false;
}

void
listens_withdraw(struct listens *l)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < l->n_groups; i++) {
		struct group *g = l->group[i];

		if (list_names(&l->committed, &g->addr) || list_names(&l->prepared, &g->addr))
			l->group[kept++] = g;
		else
			group_close(&g);
	}
	l->n_groups = kept;
}

int
listens_prepare(struct listens *l, const struct listen_want *v, unsigned n, unsigned slots,
    const char **error_r)
{
	BUG_ON(n > LISTEN_MAX || slots == 0 || slots > SLOT_MAX);
	for (unsigned i = 0; i < n; i++) {
		if (want_bind(l, v, n, i, slots, error_r) < 0) {
			listens_withdraw(l);
			return -1;
		}
	}
	if (n > 0)
		memcpy(l->prepared.v, v, n * sizeof(*v));
	l->prepared.n = n;
	l->preparing = true;
	return 1;
}

/* Has a worker that runs by the committed list this very listener already? */
static bool
is_committed(const struct listens *l, const struct listen_want *w)
{
	for (unsigned i = 0; i < l->committed.n; i++) {
		const struct listen_want *c = &l->committed.v[i];

		if (c->number == w->number && addr_eq(&c->addr, &w->addr) &&
		    strcmp(c->id, w->id) == 0)
			return true;
	}
	return false;
}

void
listens_fresh(struct listens *l, unsigned slot, listens_f *fn, void *arg)
{
	for (unsigned i = 0; i < l->prepared.n; i++) {
		const struct listen_want *w = &l->prepared.v[i];

		if (!is_committed(l, w))
			fn(arg, w, group_fd(group_find(l, &w->addr), slot));
	}
}

void
listens_commit(struct listens *l)
{
	if (!l->preparing)
		return;
	l->committed = l->prepared;
	l->prepared.n = 0;
	l->preparing = false;
	for (unsigned i = 0; i < l->committed.n; i++) {
		const struct listen_want *w = &l->committed.v[i];
		struct group *g = group_find(l, &w->addr);

		if (!g || g->backlog == (int)w->backlog)
			continue;
		g->backlog = (int)w->backlog;
		for (unsigned s = 0; s < g->n; s++)
			(void)listen(g->fd[s], g->backlog);
	}
}

void
listens_abort(struct listens *l)
{
	l->prepared.n = 0;
	l->preparing = false;
	listens_withdraw(l);
}

void
listens_end(struct listens *l)
{
	l->committed.n = 0;
	listens_abort(l);
}

int
listens_grow(struct listens *l, unsigned slots, const char **error_r)
{
	for (unsigned i = 0; i < l->n_groups; i++) {
		struct group *g = l->group[i];
		struct listen_want w = {.addr = g->addr, .id = "?"};

		for (unsigned k = 0; k < l->committed.n; k++)
			if (addr_eq(&l->committed.v[k].addr, &g->addr))
				w = l->committed.v[k];
		if (group_fill(l, g, slots) < 0)
			return listens_fail(l, &w, errno, error_r);
	}
	return 1;
}

unsigned
listens_steer(struct listens *l, const bool *live, unsigned n)
{
	unsigned failed = 0;

	BUG_ON(n == 0 || n > SLOT_MAX);
	memcpy(l->live, live, n * sizeof(*live));
	l->n_live = n;
	for (unsigned i = 0; i < l->n_groups; i++)
		if (group_steer(l, l->group[i]) < 0)
			failed++;
	return failed;
}

static unsigned
heritage_add(struct listens *l, const struct listen_want *w, unsigned slot, unsigned n,
    struct heritage_listen out[LISTEN_MAX])
{
	struct group *g = group_find(l, &w->addr);
	struct heritage_listen *h = &out[n];

	if (!g || n == LISTEN_MAX)
		return n;
	*h =
	    (struct heritage_listen){.number = w->number, .fd = group_fd(g, slot), .addr = w->addr};
	snprintf(h->id, sizeof(h->id), "%s", w->id);
	return h->fd < 0 ? n : n + 1;
}

unsigned
listens_heritage(struct listens *l, unsigned slot, struct heritage_listen out[LISTEN_MAX])
{
	unsigned n = 0;

	for (unsigned i = 0; i < l->committed.n; i++)
		n = heritage_add(l, &l->committed.v[i], slot, n, out);
	for (unsigned i = 0; i < l->prepared.n; i++)
		if (!is_committed(l, &l->prepared.v[i]))
			n = heritage_add(l, &l->prepared.v[i], slot, n, out);
	return n;
}

unsigned
listens_count(const struct listens *l)
{
	return l->committed.n;
}

void
listens_free(struct listens **lp)
{
	struct listens *l = *lp;

	*lp = NULL;
	if (!l)
		return;
	for (unsigned i = 0; i < l->n_groups; i++)
		group_close(&l->group[i]);
	free(l);
}
