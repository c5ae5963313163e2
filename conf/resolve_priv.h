/* SPDX-License-Identifier: Apache-2.0
 *
 * What a c-ares answer means to us, the same for the loader (resolve.c: all at once, blocking) and
 * for a process with a loop (resolver.c).
 */
#ifndef GW_RESOLVE_PRIV_H
#define GW_RESOLVE_PRIV_H

#include <ares.h>

#include "conf/resolve.h"

/* Has the host an IPv6 address of its own, so that IPv6 answers can be reached? */
bool resolve_have_v6(void);
/* Addresses without port, sorted and each once. IPv6 answers on a host that speaks none would only
 * be connect failures; alone they are kept, so that the failure shows. */
uint32_t resolve_collect(
    const struct ares_addrinfo *info, bool have_v6, struct addr v[RESOLVE_ADDRS]);
/* A channel with our time-outs. state: called when a descriptor is to be watched; may be NULL. */
int resolve_channel(
    ares_channel *channel_r, ares_sock_state_cb state, void *arg, const char **error_r) NODISCARD;
void resolve_ask(ares_channel channel, const char *name, ares_addrinfo_callback fn, void *arg);

#endif
