/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection after 101: octets as they come, in the buffers and on the socket the messages used.
 * Sending is send_body's, which adds nothing to them.
 */
#include "shm/base/base.h"
#include "worker/http/h1_conn.h"

static struct h1_conn *
h1_raw_conn(struct xchg *x)
{
	return container_of(x, struct h1_conn, x);
}

void
h1_raw_begin(struct xchg *x)
{
	struct h1_conn *c = h1_raw_conn(x);

	c->rx_state = H1_RX_BODY;
	c->rx_kind = BODY_EOF;
	x->rx_end = x->tx_end = x->keepalive = false;
	c->work->tx.kind = BODY_EOF;
	c->work->tx.last = false;
	c->work->tx.left = 0;
}

struct str
h1_raw_data(struct xchg *x)
{
	return buf_str(&h1_raw_conn(x)->rx);
}

int
h1_raw_fill(struct xchg *x)
{
	return h1_rx_fill(h1_raw_conn(x));
}

void
h1_raw_eat(struct xchg *x, size_t n)
{
	struct h1_conn *c = h1_raw_conn(x);

	buf_eat(&c->rx, (uint32_t)n);
	x->rx_bytes += n;
	if (buf_len(&c->rx) == 0)
		buf_give(&c->rx, c->bufs);
}
