/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of a connection to an endpoint: under which profile, whom the endpoint has proven to be, and
 * the session to resume. One for each pool row at a time; connections hold the one they began with,
 * by which they are known to be alike, so that one made for another name or with another
 * certificate is never taken for theirs.
 */
#ifndef GW_SECURE_H
#define GW_SECURE_H

#include "conf/service.h"
#include "worker/up/trust.h"

struct attempt;
struct up;
struct upconn;

struct secure {
	uint32_t refs;
	uint32_t incarnation; /* of the row */
	struct trust_profile *profile;
	struct tls_session *session;
	struct str name; /* behind the struct */
};

/* Whom an endpoint has to be: what the service says, else the host of its URL without its port.
 * Borrowed from either. */
struct str secure_name(const struct conf_service_tls *conf, struct str host);
struct secure *secure_new(struct trust_profile *p, struct str name, uint32_t incarnation);
bool secure_is(
    const struct secure *s, const struct trust_profile *p, struct str name, uint32_t incarnation);
struct secure *secure_ref(struct secure *s);
void secure_unref(struct secure **s);

/* TCP stands, c->secure is set: the handshake. As tls_connect. */
int secure_begin(
    struct upconn *c, void (*on_event)(struct stream *), const char **error_r) NODISCARD;
/* It is over, and well. */
void secure_stands(struct upconn *c);

/* Why there is no connection, for counting: those of streams, and ours. */
enum { SECURE_TIMEOUT = TLS_FAIL_COUNT, SECURE_SETTINGS, SECURE_FAIL_COUNT };
/* Counts and says it; lines are few however many failures there are. */
void secure_failed(struct attempt *a, unsigned failure, const char *words);

#endif
