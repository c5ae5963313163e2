/* SPDX-License-Identifier: Apache-2.0
 *
 * May a failed try be followed by another? One decision from plain facts (RFC 9110 9.2.2, RFC
 * 9112 9.3.1), so that the table of its cases can be tested whole.
 */
#ifndef GW_RETRY_H
#define GW_RETRY_H

#include "shm/base/base.h"

enum retry {
	RETRY_NO,
	RETRY_FRESH, /* the pooled connection was stale: the same endpoint once more, on a
			connection of its own */
	RETRY_NEXT   /* another endpoint, where one is left */
};

struct retry_facts {
	bool connected; /* the connection stood (a reused one always does) */
	bool reused;
	bool response; /* an octet of the response has come */
	bool sent;     /* an octet of the request may have gone out */
	bool idempotent;
	bool body_used; /* payload of the request was taken from the client's buffer */
	bool over;      /* it ended by a limit of the whole request or of ours: no try would help */
	bool fresh_used;  /* RETRY_FRESH was granted to this request already */
	unsigned tries;   /* tries so far, this one included; RETRY_FRESH's do not count */
	unsigned allowed; /* service.retry.attempts */
};

enum retry retry_decide(const struct retry_facts *f);

#endif
