/* SPDX-License-Identifier: Apache-2.0
 *
 * How a policy runs. A policy is one file, one `const struct policy_type`, one row in policies.def.
 * Three roles: it may answer (and wait), may modify, may observe; a policy fills in the ones it
 * has.
 *
 * Life: the configuration names it on a route or service -> its settings are checked by its field
 * table -> compile once per plan -> per request `answer` in the chain's order, then `request` of
 * all, the upstream's answer, `response` in reverse order, `observe`.
 */
#ifndef GW_POLICY_H
#define GW_POLICY_H

#include "conf/policy.h"
#include "worker/req.h"

enum verdict {
	VERDICT_PASS,  /* go on with the next policy */
	VERDICT_REPLY, /* r->reply is set: answer that */
	VERDICT_WAIT,  /* one waker was registered (req_wait_ms): `answer` runs again when it fires
			*/
	VERDICT_CLOSE  /* close the client connection without an answer */
};

/* One use of a policy in a route's chain. */
struct policy_use {
	const struct policy_type *type;
	const void *conf; /* decoded settings (struct of type->fields), in the plan */
	void *compiled; /* hooks->compiled_size octets made by compile, in the plan; NULL when 0 */
	unsigned index; /* place in the chain */
};

struct policy_hooks {
	size_t compiled_size;
	/* Once per plan, in the worker; routes that are alike share one, so that nothing of a
	 * single route is kept here. -1 with *error_r makes the route answer 500 (the loader's
	 * check should have refused it). Undo of what is not memory: ws_on_free(ws). */
	int (*compile)(const void *conf, void *compiled, struct ws *ws, const char **error_r);
	enum verdict (*answer)(struct req *r, const struct policy_use *u);
	void (*request)(struct req *r, const struct policy_use *u); /* modifies r->in, r->up_path */
	/* Modifies r->out; the gateway's own answers pass through it too. */
	void (*response)(struct req *r, const struct policy_use *u);
	void (*observe)(const struct req *r, const struct policy_use *u);
};

/* Every policy there is, by name. */
#define POLICY(name) extern const struct policy_type policy_##name;
#include "worker/policy/policies.def"
#undef POLICY

#endif
