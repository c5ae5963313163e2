/* SPDX-License-Identifier: Apache-2.0
 *
 * A listener: an address, and what a client may do there. Rows in listener.c.
 */
#ifndef GW_LISTENER_H
#define GW_LISTENER_H

#include "conf/field.h"
#include "conf/tls.h"
#include "shm/proxy.h"

extern const struct fields listener_fields;

struct conf_listener {
	struct addr address;
	int64_t backlog;
	bool health; /* answer health_path here */
	struct str health_path;
	struct {
		bool enabled; /* /api/gateway/ is answered here */
		struct strs
		    open; /* "status", "services": without credentials; setting name `public` */
	} management;
	struct {
		uint64_t header, body, idle, write; /* client time-outs, ms */
	} timeouts;
	struct {
		uint64_t request_line, headers, body;
		int64_t header_count,
		    connections /* of this listener, per worker; 0 = the global one only */;
		int64_t requests_per_connection; /* 0 = no limit */
	} limits;
	struct {
		int32_t mode;      /* enum proxy_mode */
		struct cidrs from; /* who has to send a header; empty: everybody */
		uint64_t timeout;  /* ms, for the whole header */
	} proxy_protocol;
	struct conf_listener_tls tls;
	bool http1;
	bool urgent; /* its connections are served ahead of other listeners' */
	struct {
		bool enabled, prior_knowledge, upgrade;
		int64_t streams;                    /* at a time, per connection */
		uint64_t window, connection_window; /* octets kept for a stream, for all */
		uint64_t max_age;                   /* ms; 0: any */
	} http2;
};

#endif
