/* SPDX-License-Identifier: Apache-2.0
 *
 * A service: endpoints that answer for one another, how one is picked, how long it may take. Rows
 * in service.c.
 */
#ifndef GW_SERVICE_H
#define GW_SERVICE_H

#include "conf/field.h"
#include "conf/tls.h"
#include "shm/proxy.h"

extern const struct fields service_fields;
extern const char *const balancer_names[]; /* worker/up's balancers in the same order:
					      "round_robin", "least_connections" */

struct conf_service;
/* Endpoints whose host is a name have no addresses until somebody looks them up: says so there. */
void service_not_looked_up(struct conf_service *s);
#define SERVICE_NOT_LOOKED_UP "not looked up yet"

struct conf_endpoint_addr { /* derived: one per resolved address */
	struct addr addr;
};
struct conf_endpoint {
	struct str url; /* http://host:port/base, https://..., unix:/path or unix:/path:/base */
	int64_t weight; /* 0..1000; 0 = only by delegated weight */
	/* FIELD_DERIVED, filled by the loader */
	struct str host;            /* host[:port] for the Host header, as written */
	struct str base_path;       /* "" or "/base", no trailing slash */
	bool tls;                   /* https */
	struct conf_list addresses; /* struct conf_endpoint_addr; empty: the name did not resolve */
	struct str resolve_error;   /* why, for status */
};

enum service_protocol { SERVICE_HTTP1, SERVICE_HTTP2 };
enum { HOST_CLIENT, HOST_ENDPOINT, HOST_FIXED };
struct conf_service {
	/* Short for one endpoint of weight 1. The check moves it to `endpoints`: empty ever after.
	 */
	struct str url;
	struct conf_list endpoints; /* struct conf_endpoint */
	int32_t protocol;           /* enum service_protocol */
	int32_t balancer;
	int32_t host;          /* HOST_*: which Host the upstream sees */
	struct str host_value; /* for HOST_FIXED */
	struct {
		uint64_t connect, first_byte, idle, total; /* ms; 0 = none */
	} timeouts;
	struct {
		int64_t idle; /* pooled idle connections per worker and endpoint */
		uint64_t idle_timeout;
		int64_t requests; /* per connection, 0 = no limit */
	} pool;
	struct {
		int64_t attempts; /* tries in all, 1 = no second endpoint */
	} retry;
	struct {
		bool passive;
		int64_t failures; /* consecutive */
		uint64_t down;    /* ms an endpoint stays ejected */
	} health;
	int32_t proxy_protocol;      /* enum proxy_mode: what its connections begin with */
	struct conf_service_tls tls; /* for endpoints at https:// */
	struct conf_list policies;   /* struct conf_policy: run before the route's */
};

#endif
