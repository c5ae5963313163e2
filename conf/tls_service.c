/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS settings of services.
 */
#include "conf/tls_priv.h"

#include "conf/check.h"
#include "conf/pattern.h"

static void spiffe_check(void *self, struct conf_check *c);

#define AT(member) FIELD_AT(struct conf_service_tls, member)
#define IN(member) FIELD_IN(struct conf_service_tls, spiffe, member)

static const struct field spiffe_rows[] = {
    {.name = "trust_domain",
	.type = F_STRING,
	.offset = IN(trust_domain),
	.help = "The endpoints show an X.509-SVID of this SPIFFE trust domain, and are known by "
		"its id instead of by a host name. Needs ca.",
	.example = "trust_domain = \"example.org\";"},
    {.name = "ids",
	.type = F_STRINGS,
	.offset = IN(ids),
	.help =
	    "Who of the domain may answer: SPIFFE ids, or ids that end in \"/*\" for all below. "
	    "Left out: anybody of the domain.",
	.example = "ids = [ \"spiffe://example.org/orders\", \"spiffe://example.org/shop/*\" ];"},
};
static const struct fields spiffe_fields = {
    .name = "spiffe",
    .help = "Endpoints known by SPIFFE ids.",
    .size = FIELD_SIZE(struct conf_service_tls, spiffe),
    .v = spiffe_rows,
    .n = ARRAY_LEN(spiffe_rows),
    .check = spiffe_check,
};

static const struct field service_rows[] = {
    {.name = "verify",
	.type = F_BOOL,
	.offset = AT(verify),
	.def = "true",
	.help = "Refuse an endpoint whose certificate is not signed by a known authority or is for "
		"another name. Without it anybody on the way can be the endpoint."},
    {.name = "ca",
	.type = F_STRING,
	.offset = AT(ca),
	.flags = FIELD_PATH,
	.help = "The certificates of the authorities to trust, in PEM: a file, or a reference to a "
		"secret. Left out: the system's.",
	.example = "ca = \"/etc/gateway/tls/internal-ca.pem\";"},
    {.name = "crl",
	.type = F_STRING,
	.offset = AT(crl),
	.flags = FIELD_PATH,
	.help = "File with certificate revocation lists in PEM, one of every authority of ca. Left "
		"out: revocation is not looked at."},
    {.name = "server_name",
	.type = F_STRING,
	.offset = AT(server_name),
	.help = "The name to ask for and to find in the certificate. Left out: the host of the "
		"endpoint's URL.",
	.example = "server_name = \"orders.internal\";"},
    {.name = "certificate",
	.type = F_STRING,
	.offset = AT(certificate),
	.flags = FIELD_PATH,
	.help = "The gateway's own certificate and its chain in PEM, for endpoints that ask for "
		"one: a file, or a reference to a secret. Needs key.",
	.example = "certificate = \"/etc/gateway/tls/client.pem\";"},
    {.name = "key",
	.type = F_STRING,
	.offset = AT(key),
	.flags = FIELD_PATH,
	.help = "The certificate's private key in PEM: a file, or a reference to a secret. Needs "
		"certificate.",
	.example = "key = \"/etc/gateway/tls/client.key\";"},
    {.name = "min_version",
	.type = F_ENUM,
	.offset = AT(min_version),
	.def = "1.2",
	.names = tls_version_names,
	.help = "The lowest version of TLS."},
    {.name = "spiffe",
	.type = F_GROUP,
	.offset = AT(spiffe),
	.sub = &spiffe_fields,
	.help = "Endpoints known by SPIFFE ids."},
};
#undef AT
#undef IN

/* --- checks ----------------------------------------------------------------------------------- */

static void
spiffe_check(void *self, struct conf_check *c)
{
	const struct conf_service_tls *t = container_of(self, struct conf_service_tls, spiffe);

	tls_check_domain(t->spiffe.trust_domain, "trust_domain", c);
	if (t->spiffe.ids.n > TLS_IDS_MAX) {
		check_error(c, "ids", "%u ids; allowed: up to %d", t->spiffe.ids.n, TLS_IDS_MAX);
		return;
	}
	if (t->spiffe.ids.n > 0 && t->spiffe.trust_domain.n == 0 && !check_given(c, "trust_domain"))
		check_error(c, "ids", "needs trust_domain");
	for (uint32_t i = 0; i < t->spiffe.ids.n; i++) {
		struct str id = t->spiffe.ids.v[i];
		const char *wrong = tls_spiffe_wrong(id, true);

		if (wrong == NULL && t->spiffe.trust_domain.n > 0 &&
		    !str_eq(tls_spiffe_domain(id), t->spiffe.trust_domain))
			wrong = "its domain is not trust_domain";
		if (wrong != NULL)
			check_error(c, "ids",
			    "\"%.*s\": %s; allowed: \"spiffe://domain/path\", "
			    "\"spiffe://domain/path/*\"",
			    STR_ARG(str_sub(id, 0, 200)), wrong);
	}
}

static void
check_server_name(struct str name, struct conf_check *c)
{
	const char *wrong = name.n > 0 ? pattern_host(name) : NULL;

	if (name.n > 0 && name.p[0] == '*')
		wrong = "a star is no name to ask for";
	if (wrong != NULL)
		check_error(c, "server_name", "\"%.*s\": %s; allowed: a host name or an address",
		    STR_ARG(str_sub(name, 0, 260)), wrong);
}

static void
service_check(void *self, struct conf_check *c)
{
	const struct conf_service_tls *t = self;

	tls_check_ref(t->ca, "ca", c);
	tls_check_path(t->crl, "crl", c);
	tls_check_ref(t->certificate, "certificate", c);
	tls_check_ref(t->key, "key", c);
	check_server_name(t->server_name, c);
	if (t->certificate.n > 0 && t->key.n == 0)
		check_error(c, "certificate", "needs key");
	if (t->key.n > 0 && t->certificate.n == 0)
		check_error(c, "key", "needs certificate");
	if (t->crl.n > 0 && t->ca.n == 0)
		check_error(c, "crl", "needs ca");
	if (t->spiffe.trust_domain.n > 0 && t->ca.n == 0)
		check_error(c, "spiffe.trust_domain", "needs ca");
	if (t->spiffe.trust_domain.n > 0 && !t->verify)
		check_error(c, "spiffe.trust_domain", "needs verify = true");
	else if (t->ca.n > 0 && !t->verify)
		check_warn(c, "ca", "without effect: verify is false");
}

const struct fields service_tls_fields = {
    .name = "tls",
    .help = "TLS towards endpoints at https://.",
    .size = sizeof(struct conf_service_tls),
    .v = service_rows,
    .n = ARRAY_LEN(service_rows),
    .check = service_check,
};
