/* SPDX-License-Identifier: Apache-2.0
 *
 * See retry.h.
 */
#include "worker/up/retry.h"

enum retry
retry_decide(const struct retry_facts *f)
{
	if (f->response || f->body_used || f->over)
		return RETRY_NO;
	/* Never connected: nothing was sent, whatever the method. */
	if (!f->connected)
		return f->tries < f->allowed ? RETRY_NEXT : RETRY_NO;
	/* The endpoint may close an idle connection at any time, also while we write to it: that
	 * says nothing about the endpoint. On a fresh connection it says that the request may have
	 * been acted on. */
	if (f->reused && !f->fresh_used && (f->idempotent || !f->sent))
		return RETRY_FRESH;
	return RETRY_NO;
}
