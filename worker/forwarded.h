/* SPDX-License-Identifier: Apache-2.0
 *
 * Who the client is: what proxies in front of the gateway say of it, believed only of those that
 * are trusted.
 */
#ifndef GW_FORWARDED_H
#define GW_FORWARDED_H

#include "conf/field.h"
#include "worker/http/head.h"

bool forwarded_trusted(const struct cidrs *trusted, const struct addr *a);
/* The rightmost address of X-Forwarded-For (or, without it, of Forwarded) that is not a trusted
 * proxy's; peer when there is none. */
struct addr forwarded_client(
    const struct head *h, const struct cidrs *trusted, const struct addr *peer);
/* May this text be taken over as a request id? */
bool forwarded_id_ok(struct str id);

#endif
