/* SPDX-License-Identifier: Apache-2.0
 *
 * What configuration may know of a policy: its name, its settings, its check. How it runs is behind
 * `hooks`, which only the worker understands (worker/policy/policy.h). The list of all policies is
 * handed in by main.
 */
#ifndef GW_CONF_POLICY_H
#define GW_CONF_POLICY_H

#include "conf/field.h"

struct policy_hooks;

struct policy_type {
	const char *name;            /* as written in the file: policy = "headers" */
	const char *help;            /* for the manual */
	const struct fields *fields; /* its settings, without the word `policy` itself */
	const struct policy_hooks *hooks;
	bool answers; /* always answers itself: a route with it needs no service */
	/* Calls fn for every path parameter the settings name ("{id}"), so that a route can tell
	 * those it does not capture. May be NULL. */
	void (*params)(const void *conf, void (*fn)(void *arg, struct str name), void *arg);
};

/* One entry of a `policies` list. */
struct conf_policy {
	const struct policy_type *type;
	void *conf; /* struct of type->fields */
};

/* Once per process, before anything is read or decoded. NULL-terminated, borrowed for life. */
void policy_types_set(const struct policy_type *const *list);
const struct policy_type *const *policy_types(void);
const struct policy_type *policy_type_find(struct str name);

#endif
