/* SPDX-License-Identifier: Apache-2.0
 *
 * See pipe.h. The system allows each user so many pages in pipes (fs.pipe-user-pages-soft): beyond
 * that a new pipe has room for a page or two, which is not worth having.
 */
#include "worker/net/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "worker/net/tcp.h"

void
pipe_pool_init(struct pipe_pool *pool, uint32_t size)
{
	*pool = (struct pipe_pool){.size = size};
}

static void
pipe_close(struct pipe *p)
{
	close(p->in);
	close(p->out);
	free(p);
}

static struct pipe *
pipe_pop(struct pipe_pool *pool)
{
	struct pipe *p = pool->free;

	pool->free = p->next;
	pool->n_free--;
	return p;
}

void
pipe_pool_fini(struct pipe_pool *pool)
{
	BUG_ON(pool->n_out > 0);
	while (pool->free != NULL)
		pipe_close(pipe_pop(pool));
}

void
pipe_pool_trim(struct pipe_pool *pool)
{
	for (unsigned n = (pool->n_free + 1) / 2; n > 0; n--)
		pipe_close(pipe_pop(pool));
	pool->refused = false;
}

static struct pipe *
pipe_new(struct pipe_pool *pool)
{
	int fds[2];
	struct pipe *p;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return NULL;
	if (fcntl(fds[1], F_SETPIPE_SZ, (int)pool->size) < 0) {
		close(fds[0]);
		close(fds[1]);
		return NULL;
	}
	p = xmalloc(sizeof(*p));
	*p = (struct pipe){.pool = pool, .in = fds[1], .out = fds[0]};
	return p;
}

struct pipe *
pipe_take(struct pipe_pool *pool)
{
	struct pipe *p;

	if (pool->n_out >= pool->most)
		return NULL;
	if (pool->free == NULL && pool->refused)
		return NULL;
	p = pool->free != NULL ? pipe_pop(pool) : pipe_new(pool);
	pool->refused = p == NULL;
	pool->n_out += p != NULL;
	return p;
}

void
pipe_give(struct pipe **pp)
{
	struct pipe *p = *pp;
	struct pipe_pool *pool;

	*pp = NULL;
	if (p == NULL)
		return;
	pool = p->pool;
	pool->n_out--;
	if (p->n > 0 || pool->n_out + pool->n_free >= pool->most) {
		pipe_close(p);
		return;
	}
	p->next = pool->free;
	pool->free = p;
	pool->n_free++;
}

ssize_t
pipe_fill(struct pipe *p, struct stream *s, size_t most)
{
	ssize_t got;

	BUG_ON(p->n > 0 || s->layer != NULL);
	got = tcp_splice_from(s, p->in, MIN(most, p->pool->size));
	if (got > 0)
		p->n = (size_t)got;
	return got;
}

ssize_t
pipe_drain(struct pipe *p, struct stream *s, size_t most)
{
	ssize_t put;

	BUG_ON(s->layer != NULL);
	put = tcp_splice_to(s, p->out, MIN(most, p->n));
	if (put > 0)
		p->n -= (size_t)put;
	return put;
}

size_t
pipe_read(struct pipe *p, void *to, size_t n)
{
	ssize_t got;

	if (p->n == 0)
		return 0;
	do
		got = read(p->out, to, MIN(n, p->n));
	while (got < 0 && errno == EINTR);
	BUG_ON(got <= 0); /* they are in it, and nobody else has it */
	p->n -= (size_t)got;
	return (size_t)got;
}
