/* SPDX-License-Identifier: Apache-2.0
 *
 * See filter.h.
 */
#include "worker/filter.h"

#include "worker/worker_priv.h"

static void
filter_free(void *arg)
{
	struct filter *f = arg;

	buf_give(&f->out, f->bufs);
}

void *
filter_new(struct req *r, const struct filter_ops *ops, size_t size)
{
	struct filter *f = ws_zalloc(&r->ws, size);

	if (f == NULL)
		return NULL;
	f->ops = ops;
	f->r = r;
	f->bufs = &r->worker->bufs;
	f->why = REASON_BAD_BODY;
	ws_on_free(&r->ws, filter_free, f);
	return f;
}

/* Range by range, until one is not taken whole. As feed. */
static int
feed_all(struct filter *f, const struct iovec *v, int n, bool end, size_t *used_r)
{
	size_t used = 0;
	int rc = 0;

	if (n == 0)
		return f->ops->feed(f, STR(""), end, used_r);
	for (int i = 0; i < n && rc == 0; i++) {
		size_t took = 0;

		rc = f->ops->feed(f, str_n(v[i].iov_base, v[i].iov_len), end && i + 1 == n, &took);
		used += took;
		if (took < v[i].iov_len)
			break;
	}
	*used_r = used;
	return rc;
}

int
filter_feed(struct filter *f, const struct iovec *v, int n, bool end, size_t *used_r)
{
	size_t used = 0;
	int rc;

	buf_take(&f->out, f->bufs, f->bufs->size);
	rc = feed_all(f, v, n, end, &used);
	if (rc < 0)
		return -1;
	f->done = rc == 1;
	if (used == 0 && !f->done && buf_len(&f->out) == 0) {
		f->why = REASON_INTERNAL; /* it would stand still for ever */
		return -1;
	}
	if (buf_len(&f->out) == 0)
		buf_give(&f->out, f->bufs);
	*used_r = used;
	return 1;
}

struct str
filter_ready(const struct filter *f)
{
	return buf_str(&f->out);
}

void
filter_sent(struct filter *f, size_t n)
{
	if (n > 0)
		buf_eat(&f->out, (uint32_t)n);
	if (buf_len(&f->out) == 0)
		buf_give(&f->out, f->bufs);
}
