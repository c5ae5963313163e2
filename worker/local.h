/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gateway answers before any route: health, the management API, methods that are not
 * proxied.
 */
#ifndef GW_LOCAL_H
#define GW_LOCAL_H

#include "conf/listener.h"
#include "worker/req.h"

bool health_answers(const struct req *r, const struct conf_listener *l);
void health_reply(struct req *r);

bool manage_answers(const struct req *r);
/* True: it goes on to the admin process; false: r->reply is set. */
bool manage_allows(struct req *r, const struct conf_listener *l);

/* TRACE, CONNECT and OPTIONS *: true when r->reply is set. */
bool method_answers(struct req *r);

#endif
