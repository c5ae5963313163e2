/* SPDX-License-Identifier: Apache-2.0
 *
 * /api/gateway/ belongs to the gateway on every listener, before the user's table (G-FR-006): where
 * management is on, the admin process answers, elsewhere there is nothing. The worker forwards the
 * call as it came; who may do what is decided there. Until a credential policy exists, only what
 * the configuration opens goes through (F-SEC-03).
 */
#include "shm/base/base.h"
#include "worker/local.h"

#define MANAGE_PREFIX STR("/api/gateway")

bool
manage_answers(const struct req *r)
{
	struct str path = r->in.path;

	return str_starts(path, MANAGE_PREFIX) &&
	       (path.n == MANAGE_PREFIX.n || path.p[MANAGE_PREFIX.n] == '/');
}

static bool
manage_is_open(const struct req *r, const struct conf_listener *l)
{
	struct str part = str_sub(r->in.path, MANAGE_PREFIX.n + 1, SIZE_MAX);

	if (!l->management.enabled || (r->in.method != METHOD_GET && r->in.method != METHOD_HEAD))
		return false;
	for (uint32_t i = 0; i < l->management.open.n; i++)
		if (str_eq(part, l->management.open.v[i]))
			return true;
	return false;
}

bool
manage_allows(struct req *r, const struct conf_listener *l)
{
	if (manage_is_open(r, l))
		return true;
	req_reply_reason(r, l->management.enabled ? REASON_UNAUTHENTICATED : REASON_NO_ROUTE);
	return false;
}
