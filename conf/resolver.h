/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names to addresses in a loop: one c-ares channel, its descriptors and deadlines watched by
 * the loop. A and AAAA, /etc/hosts and resolv.conf as the loader has them; a resolv.conf that is
 * changed is read again.
 */
#ifndef GW_RESOLVER_H
#define GW_RESOLVER_H

#include "conf/resolve.h"
#include "shm/base/loop.h"

struct resolver;

struct resolver_answer {
	const struct addr *v; /* without port, sorted */
	uint32_t n;
	uint32_t ttl_s;    /* the shortest of the answer's records; 0 from /etc/hosts */
	const char *error; /* n == 0: why */
};
typedef void resolver_f(void *arg, const struct resolver_answer *a);

/* servers: "127.0.0.1:5353,..." in place of resolv.conf's, or NULL. Lives as long as its process.
 */
struct resolver *resolver_new(struct loop *l, const char *servers, const char **error_r);
/* fn is called once, maybe before this returns. */
void resolver_ask(struct resolver *r, const char *name, resolver_f *fn, void *arg);

#endif
