/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS settings of listeners. What OpenSSL alone can judge (names of ciphers and groups, what
 * stands in files) is judged when it is put to use.
 */
#include "conf/tls_priv.h"

#include "conf/check.h"

#define LIST_OCTETS 2048 /* of ciphers and groups */

static const char *const client_modes[] = {"none", "optional", "required", NULL};

static void client_check(void *self, struct conf_check *c);

#define AT(member) FIELD_AT(struct conf_listener_tls, member)
#define IN(member) FIELD_IN(struct conf_listener_tls, client, member)

static const struct field client_rows[] = {
    {.name = "mode",
	.type = F_ENUM,
	.offset = IN(mode),
	.def = "none",
	.names = client_modes,
	.help = "Whether clients are asked for a certificate: none; optional, where one that is "
		"shown must be good; required, where a connection without one ends."},
    {.name = "ca",
	.type = F_STRING,
	.offset = IN(ca),
	.flags = FIELD_PATH,
	.help = "The certificates of the authorities that clients' are to be signed by, in PEM: a "
		"file, or a reference to a secret. Needed where clients are asked.",
	.example = "ca = \"/etc/gateway/tls/clients-ca.pem\";"},
    {.name = "crl",
	.type = F_STRING,
	.offset = IN(crl),
	.flags = FIELD_PATH,
	.help = "File with certificate revocation lists in PEM, one of every authority. Left out: "
		"revocation is not looked at."},
    {.name = "depth",
	.type = F_INT,
	.offset = IN(depth),
	.def = "2",
	.min = 0,
	.max = 16,
	.unit = "certificates",
	.help = "How many may stand between the client's certificate and the authority's."},
    {.name = "trust_domain",
	.type = F_STRING,
	.offset = IN(trust_domain),
	.help = "Clients show an X.509-SVID of this SPIFFE trust domain; a certificate that is "
		"none, or of another domain, is refused.",
	.example = "trust_domain = \"example.org\";"},
};
static const struct fields client_fields = {
    .name = "client",
    .help = "Certificates of clients.",
    .size = FIELD_SIZE(struct conf_listener_tls, client),
    .v = client_rows,
    .n = ARRAY_LEN(client_rows),
    .check = client_check,
};

static const struct field listener_rows[] = {
    {.name = "enabled",
	.type = F_BOOL,
	.offset = AT(enabled),
	.def = "false",
	.help = "Speak TLS here, and nothing else."},
    {.name = "certificates",
	.type = F_STRINGS,
	.offset = AT(certificates),
	.help = "Ids of the certificates that may be offered here. Left out: all there are.",
	.example = "certificates = [ \"example.com\", \"example.com-rsa\" ];"},
    {.name = "default",
	.type = F_STRINGS,
	.offset = AT(fallback),
	.help = "Ids of the certificates for clients that ask for no host, or for one that none is "
		"for; several where they differ in their kind of key. Left out: such clients get "
		"the certificate with the smallest id, unless strict_sni refuses them.",
	.example = "default = [ \"example.com\" ];"},
    {.name = "strict_sni",
	.type = F_BOOL,
	.offset = AT(strict_sni),
	.def = "false",
	.help = "Refuse clients that ask for no host, or for one that no certificate is for, with "
		"the alert unrecognized_name."},
    {.name = "min_version",
	.type = F_ENUM,
	.offset = AT(min_version),
	.def = "1.2",
	.names = tls_version_names,
	.help = "The lowest version of TLS."},
    {.name = "max_version",
	.type = F_ENUM,
	.offset = AT(max_version),
	.def = "1.3",
	.names = tls_version_names,
	.help = "The highest version of TLS."},
    {.name = "ciphers",
	.type = F_STRING,
	.offset = AT(ciphers),
	.help = "Ciphers of TLS 1.2 as OpenSSL writes them, the best first. Left out: those with "
		"ECDHE and AEAD (AES-GCM, ChaCha20-Poly1305) alone.",
	.example = "ciphers = \"ECDHE+AESGCM:ECDHE+CHACHA20\";"},
    {.name = "ciphersuites",
	.type = F_STRING,
	.offset = AT(ciphersuites),
	.help = "Cipher suites of TLS 1.3 as OpenSSL writes them. Left out: OpenSSL's own.",
	.example = "ciphersuites = \"TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256\";"},
    {.name = "groups",
	.type = F_STRING,
	.offset = AT(groups),
	.help = "Groups for the exchange of keys as OpenSSL writes them, the best first. Left out: "
		"OpenSSL's own.",
	.example = "groups = \"X25519:P-256\";"},
    {.name = "tickets",
	.type = F_BOOL,
	.offset = AT(tickets),
	.def = "true",
	.help = "Give clients tickets to resume with, in any worker, across reloads, and with "
		"tls.ticket_secret of the instance on other hosts too. Without them every "
		"handshake is a whole one."},
    {.name = "handshake_timeout",
	.type = F_DURATION,
	.offset = AT(handshake_timeout),
	.def = "10s",
	.min = 1,
	.max = FIELD_DAY,
	.help = "How long a handshake may take."},
    {.name = "client",
	.type = F_GROUP,
	.offset = AT(client),
	.sub = &client_fields,
	.help = "Certificates of clients."},
};
#undef AT
#undef IN

/* --- checks ----------------------------------------------------------------------------------- */

/* It is given to OpenSSL as it stands. */
static void
check_words(struct str s, const char *setting, struct conf_check *c)
{
	bool ok = s.n <= LIST_OCTETS;

	for (size_t i = 0; ok && i < s.n; i++)
		ok = tls_is_word(s.p[i], true) ||
		     (s.p[i] != '\0' && strchr(":+!@=?*/, ", s.p[i]) != NULL);
	if (!ok)
		check_error(c, setting,
		    "not a list of names; allowed: names with \":\" between them, up to %d octets",
		    LIST_OCTETS);
}

static bool
strs_have(const struct strs *v, struct str s)
{
	for (uint32_t i = 0; i < v->n; i++)
		if (str_eq(v->v[i], s))
			return true;
	return false;
}

static void
check_ids(const struct conf_listener_tls *t, struct conf_check *c)
{
	if (t->certificates.n > TLS_IDS_MAX)
		check_error(
		    c, "certificates", "%u ids; allowed: up to %d", t->certificates.n, TLS_IDS_MAX);
	if (t->fallback.n > TLS_IDS_MAX)
		check_error(c, "default", "%u ids; allowed: up to %d", t->fallback.n, TLS_IDS_MAX);
	if (t->certificates.n == 0 || t->certificates.n > TLS_IDS_MAX ||
	    t->fallback.n > TLS_IDS_MAX)
		return;
	for (uint32_t i = 0; i < t->fallback.n; i++)
		if (!strs_have(&t->certificates, t->fallback.v[i]))
			check_error(c, "default", "\"%.*s\" is not among certificates",
			    STR_ARG(str_sub(t->fallback.v[i], 0, 100)));
}

static void
check_versions(const struct conf_listener_tls *t, struct conf_check *c)
{
	if (t->max_version < t->min_version)
		check_error(c, check_given(c, "max_version") ? "max_version" : "min_version",
		    "max_version is lower than min_version");
	if (t->ciphers.n > 0 && t->min_version == TLS_1_3)
		check_warn(c, "ciphers", "without effect: they are of TLS 1.2");
	if (t->ciphersuites.n > 0 && t->max_version == TLS_1_2)
		check_warn(c, "ciphersuites", "without effect: they are of TLS 1.3");
}

static void
client_check(void *self, struct conf_check *c)
{
	const struct conf_listener_tls *t = container_of(self, struct conf_listener_tls, client);

	tls_check_ref(t->client.ca, "ca", c);
	tls_check_path(t->client.crl, "crl", c);
	tls_check_domain(t->client.trust_domain, "trust_domain", c);
	if (t->client.mode != TLS_CLIENT_NONE && t->client.ca.n == 0 && !check_given(c, "ca"))
		check_error(c, "mode", "\"%s\" needs ca", client_modes[t->client.mode]);
	if (t->client.crl.n > 0 && t->client.ca.n == 0)
		check_error(c, "crl", "needs ca");
	if (t->client.mode != TLS_CLIENT_NONE)
		return;
	if (t->client.trust_domain.n > 0)
		check_error(c, "trust_domain", "needs mode = \"optional\" or mode = \"required\"");
	if (t->client.ca.n > 0)
		check_warn(c, "ca", "without effect: mode is none");
}

static void
listener_check(void *self, struct conf_check *c)
{
	const struct conf_listener_tls *t = self;

	check_ids(t, c);
	check_versions(t, c);
	check_words(t->ciphers, "ciphers", c);
	check_words(t->ciphersuites, "ciphersuites", c);
	check_words(t->groups, "groups", c);
	if (t->strict_sni && t->fallback.n > 0)
		check_error(c, "strict_sni", "stands beside default; one of the two is allowed");
	if (!t->enabled &&
	    (t->certificates.n > 0 || t->fallback.n > 0 || t->client.mode != TLS_CLIENT_NONE))
		check_warn(c, NULL, "without effect: enabled is false");
}

const struct fields listener_tls_fields = {
    .name = "tls",
    .help = "TLS towards clients.",
    .size = sizeof(struct conf_listener_tls),
    .v = listener_rows,
    .n = ARRAY_LEN(listener_rows),
    .check = listener_check,
};
