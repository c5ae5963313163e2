/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS settings of listeners, of services and of the instance. What OpenSSL alone can judge
 * (names of ciphers and groups, what stands in files) is judged when it is put to use.
 */
#include "conf/tls.h"

#include "conf/check.h"
#include "conf/pattern.h"
#include "conf/secret.h"
#include "shm/base/addr.h"

#define PATH_OCTETS 1024
#define LIST_OCTETS 2048 /* of ciphers and groups */
#define IDS_MAX     1000

static const char *const version_names[] = {"1.2", "1.3", NULL};
static const char *const client_modes[] = {"none", "optional", "required", NULL};

static void client_check(void *self, struct conf_check *c);
static void spiffe_check(void *self, struct conf_check *c);

/* --- listeners -------------------------------------------------------------------------------- */

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
	.names = version_names,
	.help = "The lowest version of TLS."},
    {.name = "max_version",
	.type = F_ENUM,
	.offset = AT(max_version),
	.def = "1.3",
	.names = version_names,
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

/* --- services --------------------------------------------------------------------------------- */

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
	.names = version_names,
	.help = "The lowest version of TLS."},
    {.name = "spiffe",
	.type = F_GROUP,
	.offset = AT(spiffe),
	.sub = &spiffe_fields,
	.help = "Endpoints known by SPIFFE ids."},
};
#undef AT
#undef IN

/* --- the instance ----------------------------------------------------------------------------- */

#define AT(member) FIELD_AT(struct conf_settings_tls, member)

static const struct field settings_rows[] = {
    {.name = "ticket_secret",
	.type = F_STRING,
	.offset = AT(ticket_secret),
	.flags = FIELD_SECRET,
	.help = "What the keys of tickets are made from, by reference: 32 octets or more, the same "
		"on every host that is to resume the others' sessions. Left out: one is made when "
		"the instance starts and lives as long as it does.",
	.example = "ticket_secret = \"secret://file/etc/gateway/tls/tickets\";"},
    {.name = "ticket_lifetime",
	.type = F_DURATION,
	.offset = AT(ticket_lifetime),
	.def = "12h",
	.min = FIELD_SECOND,
	.max = 7 * FIELD_DAY,
	.help = "How long a ticket can be resumed with; its keys change as often."},
    {.name = "certificate_cache",
	.type = F_INT,
	.offset = AT(certificate_cache),
	.def = "2048",
	.min = 1,
	.max = 1000000,
	.unit = "certificates",
	.help = "Certificates each worker keeps ready for use; the one used least recently makes "
		"room."},
};
#undef AT

/* --- paths and references --------------------------------------------------------------------- */

struct str
tls_ref(struct str setting, struct ws *ws)
{
	return secret_path_ref(setting, ws);
}

static bool
no_text(struct str s, const char *setting, struct conf_check *c)
{
	if (str_find(s, STR("-----BEGIN")) >= 0)
		check_error(c, setting,
		    "a key or certificate itself; allowed: the file it is in, or a reference to a "
		    "secret");
	else if (s.n > PATH_OCTETS)
		check_error(c, setting, "%zu octets; allowed: up to %d", s.n, PATH_OCTETS);
	else if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)
		check_error(c, setting, "there is a NUL in it; allowed: a path");
	else
		return false;
	return true;
}

void
tls_check_path(struct str path, const char *setting, struct conf_check *c)
{
	if (path.n == 0 || no_text(path, setting, c))
		return;
	if (str_starts(path, STR("secret:")))
		check_error(c, setting, "a reference to a secret; allowed: a file");
	else if (path.p[0] != '/')
		check_error(c, setting, "not a whole path; allowed: one that begins with \"/\"");
}

void
tls_check_ref(struct str ref, const char *setting, struct conf_check *c)
{
	const char *wrong;

	if (ref.n == 0 || no_text(ref, setting, c))
		return;
	if (str_starts(ref, STR("secret:"))) {
		wrong = secret_ref_error(ref);
		if (wrong != NULL)
			check_error(c, setting, "%s", wrong);
	} else if (ref.p[0] != '/') {
		check_error(c, setting,
		    "neither a whole path nor a reference to a secret; allowed: a path that begins "
		    "with \"/\", secret://env/NAME, secret://file/PATH");
	}
}

/* --- SPIFFE ----------------------------------------------------------------------------------- */

#define SPIFFE        "spiffe://"
#define SPIFFE_OCTETS 2048
#define DOMAIN_OCTETS 255

static bool
is_word(char c, bool upper)
{
	return (c >= 'a' && c <= 'z') || (upper && c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/* SPIFFE-ID 2.1. */
static const char *
domain_wrong(struct str domain)
{
	if (domain.n == 0)
		return "the trust domain is missing";
	if (domain.n > DOMAIN_OCTETS)
		return "the trust domain is longer than 255 octets";
	for (size_t i = 0; i < domain.n; i++)
		if (!is_word(domain.p[i], false))
			return "a trust domain has small letters, digits, \".\", \"-\" and \"_\" "
			       "only";
	return NULL;
}

/* SPIFFE-ID 2.2. */
static const char *
segment_wrong(struct str segment, bool star)
{
	if (star && str_eq(segment, STR("*")))
		return NULL;
	if (segment.n == 0)
		return "a segment of the path is empty";
	if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
		return "\".\" and \"..\" are no segments of such a path";
	for (size_t i = 0; i < segment.n; i++)
		if (!is_word(segment.p[i], true))
			return segment.p[i] == '*'
				   ? "a star stands at the end alone, behind a slash"
				   : "its path has letters, digits, \".\", \"-\" "
				     "and \"_\" only";
	return NULL;
}

static struct str
domain_of(struct str id)
{
	struct str rest = str_sub(id, sizeof(SPIFFE) - 1, id.n);
	ssize_t slash = str_chr(rest, '/');

	return slash < 0 ? rest : str_sub(rest, 0, (size_t)slash);
}

const char *
tls_spiffe_wrong(struct str id, bool pattern)
{
	struct str domain, rest;
	const char *wrong;

	if (!str_starts(id, STR(SPIFFE)))
		return "it does not begin with \"spiffe://\"";
	if (id.n > SPIFFE_OCTETS)
		return "longer than 2048 octets";
	domain = domain_of(id);
	wrong = domain_wrong(domain);
	rest = str_sub(id, sizeof(SPIFFE) - 1 + domain.n, id.n);
	while (wrong == NULL && rest.n > 0) {
		ssize_t slash = str_chr(str_sub(rest, 1, rest.n), '/');
		size_t end = slash < 0 ? rest.n : (size_t)slash + 1;

		wrong = segment_wrong(str_sub(rest, 1, end), pattern && end == rest.n);
		rest = str_sub(rest, end, rest.n);
	}
	return wrong;
}

static bool
fits_one(struct str pattern, struct str id)
{
	struct str front;

	if (!str_ends(pattern, STR("/*")))
		return str_eq(pattern, id);
	front = str_sub(pattern, 0, pattern.n - 1);
	return id.n > front.n && str_starts(id, front);
}

bool
tls_spiffe_fits(const struct strs *patterns, struct str id)
{
	for (uint32_t i = 0; i < patterns->n; i++)
		if (fits_one(patterns->v[i], id))
			return true;
	return patterns->n == 0;
}

/* --- checks ----------------------------------------------------------------------------------- */

static void
check_domain(struct str domain, const char *setting, struct conf_check *c)
{
	const char *wrong = domain.n > 0 ? domain_wrong(domain) : NULL;

	if (wrong != NULL)
		check_error(c, setting, "\"%.*s\": %s; allowed: a name such as \"example.org\"",
		    STR_ARG(str_sub(domain, 0, 100)), wrong);
}

/* It is given to OpenSSL as it stands. */
static void
check_words(struct str s, const char *setting, struct conf_check *c)
{
	bool ok = s.n <= LIST_OCTETS;

	for (size_t i = 0; ok && i < s.n; i++)
		ok = is_word(s.p[i], true) ||
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
	if (t->certificates.n > IDS_MAX)
		check_error(
		    c, "certificates", "%u ids; allowed: up to %d", t->certificates.n, IDS_MAX);
	if (t->fallback.n > IDS_MAX)
		check_error(c, "default", "%u ids; allowed: up to %d", t->fallback.n, IDS_MAX);
	if (t->certificates.n == 0 || t->certificates.n > IDS_MAX || t->fallback.n > IDS_MAX)
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
	check_domain(t->client.trust_domain, "trust_domain", c);
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

static void
spiffe_check(void *self, struct conf_check *c)
{
	const struct conf_service_tls *t = container_of(self, struct conf_service_tls, spiffe);

	check_domain(t->spiffe.trust_domain, "trust_domain", c);
	if (t->spiffe.ids.n > IDS_MAX) {
		check_error(c, "ids", "%u ids; allowed: up to %d", t->spiffe.ids.n, IDS_MAX);
		return;
	}
	if (t->spiffe.ids.n > 0 && t->spiffe.trust_domain.n == 0 && !check_given(c, "trust_domain"))
		check_error(c, "ids", "needs trust_domain");
	for (uint32_t i = 0; i < t->spiffe.ids.n; i++) {
		struct str id = t->spiffe.ids.v[i];
		const char *wrong = tls_spiffe_wrong(id, true);

		if (wrong == NULL && t->spiffe.trust_domain.n > 0 &&
		    !str_eq(domain_of(id), t->spiffe.trust_domain))
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

static void
settings_check(void *self, struct conf_check *c)
{
	const struct conf_settings_tls *t = self;
	const char *wrong = secret_ref_error(t->ticket_secret);

	if (wrong != NULL)
		check_error(c, "ticket_secret", "%s", wrong);
	else if (t->ticket_secret.n > PATH_OCTETS)
		check_error(c, "ticket_secret", "%zu octets; allowed: up to %d", t->ticket_secret.n,
		    PATH_OCTETS);
}

const struct fields listener_tls_fields = {
    .name = "tls",
    .help = "TLS towards clients.",
    .size = sizeof(struct conf_listener_tls),
    .v = listener_rows,
    .n = ARRAY_LEN(listener_rows),
    .check = listener_check,
};
const struct fields service_tls_fields = {
    .name = "tls",
    .help = "TLS towards endpoints at https://.",
    .size = sizeof(struct conf_service_tls),
    .v = service_rows,
    .n = ARRAY_LEN(service_rows),
    .check = service_check,
};
const struct fields settings_tls_fields = {
    .name = "tls",
    .help = "TLS of all listeners.",
    .size = sizeof(struct conf_settings_tls),
    .v = settings_rows,
    .n = ARRAY_LEN(settings_rows),
    .check = settings_check,
};
