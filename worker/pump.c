/* SPDX-License-Identifier: Apache-2.0
 *
 * See pump.h.
 */
#include "worker/pump.h"

#include "shm/base/base.h"
#include "worker/net/pipe.h"

static size_t
size_of(const struct iovec *v, int n)
{
	size_t size = 0;

	for (int i = 0; i < n; i++)
		size += v[i].iov_len;
	return size;
}

static bool
too_large(const struct pumped *p, size_t more)
{
	return p->limit && more > p->limit - MIN(p->limit, *p->count);
}

static void
note(struct pumped *p, size_t n, bool counted)
{
	if (counted)
		*p->count += n;
	p->moved += n;
	p->progress |= n > 0;
}

/* `more`: the filter may have more to give when this is out. */
static enum pump
send_filtered(struct xchg *to, struct pumped *p, bool more)
{
	struct filter *f = p->filter;
	struct str out = filter_ready(f);
	struct iovec v = {(void *)(uintptr_t)out.p, out.n};
	ssize_t took = to->ops->send_body(to, &v, out.n > 0 ? 1 : 0, f->done);

	if (took < 0)
		return PUMP_DEAF;
	filter_sent(f, (size_t)took);
	note(p, (size_t)took, !p->received);
	if (to->tx_end)
		return PUMP_DONE;
	if ((size_t)took < out.n || f->done)
		return PUMP_FULL;
	return more ? PUMP_LATER : PUMP_DRY;
}

static enum pump
pump_filtered(struct xchg *from, struct xchg *to, struct pumped *p)
{
	struct filter *f = p->filter;
	struct iovec v[XCHG_PARTS];
	size_t size, used = 0;
	int n;

	if (f->done || filter_ready(f).n > 0)
		return send_filtered(to, p, true);
	n = from->ops->peek(from, v);
	if (n < 0)
		return PUMP_BAD;
	size = size_of(v, n);
	if (p->received && too_large(p, size))
		return PUMP_LARGE;
	if (size == 0 && !from->rx_end)
		return send_filtered(to, p, false);
	if (filter_feed(f, v, size > 0 ? n : 0, from->rx_end, &used) < 0)
		return PUMP_BAD;
	from->ops->consume(from, used);
	note(p, used, p->received);
	return send_filtered(to, p, true);
}

static struct pipe *
peek_pipe(struct xchg *from, struct xchg *to, struct pumped *p)
{
	if (!p->pipes || !to->tx_plain || !from->ops->peek_pipe)
		return NULL;
	return from->ops->peek_pipe(from, p->pipes);
}

enum pump
pump_once(struct xchg *from, struct xchg *to, struct pumped *p)
{
	struct iovec v[XCHG_PARTS];
	struct pipe *pipe;
	size_t size;
	ssize_t took;
	int n = 0;

	if (unlikely(p->filter != NULL))
		return pump_filtered(from, to, p);
	pipe = peek_pipe(from, to, p);
	if (!pipe)
		n = from->ops->peek(from, v);
	if (n < 0)
		return PUMP_BAD;
	size = pipe ? pipe->n : size_of(v, n);
	if (too_large(p, size))
		return PUMP_LARGE;
	if (pipe)
		took = to->ops->send_pipe(to, pipe, from->rx_end);
	else
		took = to->ops->send_body(to, v, n, from->rx_end);
	if (took < 0)
		return PUMP_DEAF;
	from->ops->consume(from, (size_t)took);
	note(p, (size_t)took, true);
	if (pipe)
		p->piped += (uint64_t)took;
	if (to->tx_end)
		return PUMP_DONE;
	if ((size_t)took < size || from->rx_end)
		return PUMP_FULL;
	return size == 0 ? PUMP_DRY : PUMP_LATER;
}
