/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `ip`: who may come, by address (S-SEC-1). The address is the client's after trusted
 * proxies were believed. A denied block wins over an allowed one; where something is allowed, the
 * rest is not.
 */
#include "conf/check.h"
#include "worker/policy/policy.h"

struct ip_conf {
	struct cidrs allow, deny;
};

static const struct field rows[] = {
    {.name = "allow",
	.type = F_CIDRS,
	.offset = FIELD_AT(struct ip_conf, allow),
	.help = "Addresses and blocks that may come. Where there are any, all others may not.",
	.example = "allow = [ \"10.0.0.0/8\", \"2001:db8::/32\" ];"},
    {.name = "deny",
	.type = F_CIDRS,
	.offset = FIELD_AT(struct ip_conf, deny),
	.help = "Addresses and blocks that may not come, allowed or not.",
	.example = "deny = [ \"10.1.2.3\" ];"},
};

static void
ip_check(void *self, struct conf_check *c)
{
	const struct ip_conf *conf = self;

	if (conf->allow.n == 0 && conf->deny.n == 0 && !check_given(c, "allow") &&
	    !check_given(c, "deny"))
		check_error(c, NULL, "neither allow nor deny; allowed: at least one of them");
}

static const struct fields fields = {
    .name = "ip",
    .help = "Allows or denies by the client's address; 403 for those who may not come.",
    .size = sizeof(struct ip_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = ip_check,
};

static bool
has(const struct cidrs *list, const struct addr *a)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (cidr_has(&list->v[i], a))
			return true;
	return false;
}

static enum verdict
ip_answer(struct req *r, const struct policy_use *u)
{
	const struct ip_conf *conf = u->conf;

	if (!has(&conf->deny, &r->client) && (conf->allow.n == 0 || has(&conf->allow, &r->client)))
		return VERDICT_PASS;
	req_reply_reason(r, REASON_IP_DENIED);
	return VERDICT_REPLY;
}

static const struct policy_hooks hooks = {.answer = ip_answer};

const struct policy_type policy_ip = {
    .name = "ip",
    .help = "Allow and deny lists of addresses, IPv4 and IPv6.",
    .fields = &fields,
    .hooks = &hooks,
};
