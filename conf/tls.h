/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS settings of listeners, of services and of the instance. Paths and references are names
 * only: what they stand for is in the bundle (conf/bundle.h) under tls_ref(). Rows in
 * tls_listener.c, tls_service.c, tls.c.
 */
#ifndef GW_CONF_TLS_H
#define GW_CONF_TLS_H

#include "conf/field.h"

enum tls_version { TLS_1_2, TLS_1_3 };
enum tls_client_mode { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };

extern const struct fields listener_tls_fields, service_tls_fields, settings_tls_fields;

struct conf_listener_tls {
	bool enabled;
	struct strs certificates; /* ids; none: all there are */
	struct strs fallback;     /* setting name `default`: ids of those for clients that name no
				     host, or one that no certificate is for */
	bool strict_sni;          /* ... who are refused instead */
	int32_t min_version, max_version; /* enum tls_version */
	struct str ciphers;               /* of TLS 1.2, OpenSSL's notation */
	struct str ciphersuites;          /* of TLS 1.3 */
	struct str groups;
	bool tickets;
	uint64_t handshake_timeout; /* ms */
	struct {
		int32_t mode;            /* enum tls_client_mode */
		struct str ca;           /* PEM: path or reference */
		struct str crl;          /* PEM: path; empty: nothing is looked up */
		int64_t depth;           /* certificates between the client's and the trusted one */
		struct str trust_domain; /* SPIFFE: clients show an X.509-SVID of this domain */
	} client;
};

struct conf_service_tls {
	bool verify;
	struct str ca; /* PEM: path or reference; empty: the system's */
	struct str crl;
	struct str server_name; /* for SNI and for the certificate; empty: the endpoint's host */
	struct str certificate, key; /* ours: both or neither */
	int32_t min_version;
	struct {
		struct str trust_domain; /* not empty: SPIFFE instead of host names */
		struct strs ids;         /* whole ids, or ids that end in a star behind a slash;
						    none: anybody of the domain */
	} spiffe;
};

struct conf_settings_tls {
	struct str ticket_secret;  /* reference; empty: made at the start, for this instance */
	uint64_t ticket_lifetime;  /* ms */
	int64_t certificate_cache; /* decoded ones kept by each worker */
};

/* Under which name a setting's path or reference stands in the bundle, and is read: "file:/PATH",
 * "secret://..."; empty for an empty one. As secret_path_ref. */
struct str tls_ref(struct str setting, struct ws *ws);
/* The trusted certificates of this host's distribution, where no `ca` is set. */
#define TLS_REF_SYSTEM STR("system:")
#define TLS_REF_TICKET STR("ticket:")

/* Complains of what is neither a whole path nor, in tls_check_ref, a reference to a secret, and
 * never tells what was found: it may be the secret itself. Empty is fine. */
void tls_check_path(struct str path, const char *setting, struct conf_check *c);
void tls_check_ref(struct str ref, const char *setting, struct conf_check *c);

/* Does an SPIFFE id fit one of the patterns (none: any)? Both are whole ids; a star stands at a
 * pattern's end, behind a slash. */
bool tls_spiffe_fits(const struct strs *patterns, struct str id);
/* NULL, or what is wrong with an id or a pattern (SPIFFE-ID 2: scheme, trust domain, path). */
const char *tls_spiffe_wrong(struct str id, bool pattern);

#endif
