/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `client_certificate`: who may come, by the certificate shown in the handshake (R-2.5,
 * S-SEC-1). It was verified there; here it is only compared. A certificate that a proxy in front
 * tells of in a field is nobody's proof, and not looked at.
 */
#include "conf/check.h"
#include "conf/tls.h"
#include "worker/net/tls.h"
#include "worker/policy/policy.h"

#define FINGERPRINT_HEX 64 /* digits of a SHA-256 */

struct certificate_conf {
	bool require;
	struct strs subjects, dns, fingerprints, spiffe;
};

static const struct field rows[] = {
    {.name = "require",
	.type = F_BOOL,
	.offset = FIELD_AT(struct certificate_conf, require),
	.def = "true",
	.help = "Refuse clients that show no certificate. The listener must ask for them "
		"(tls.client.mode), or there is none. With false the lists below hold for those "
		"who do show one."},
    {.name = "subjects",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct certificate_conf, subjects),
	.help = "Subjects that may come, as RFC 2253 writes them, octet for octet. A certificate "
		"that fits any value of any of the four lists may come; where all four are empty, "
		"every one that the listener verified.",
	.example = "subjects = [ \"CN=billing,O=Example\" ];"},
    {.name = "dns",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct certificate_conf, dns),
	.help = "DNS names that may come: the certificate's first one is compared. "
		"\"*.example.com\" stands for one label more.",
	.example = "dns = [ \"billing.internal\", \"*.jobs.internal\" ];"},
    {.name = "fingerprints",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct certificate_conf, fingerprints),
	.help = "SHA-256 fingerprints of certificates that may come: 64 hexadecimal digits, with "
		"or without colons.",
	.example = "fingerprints = [ "
		   "\"0a4d55a8d778e5022fab701977c5d840bbc486d0c5b0b7b7e3c8a5f0c0e8c3d1\" ];"},
    {.name = "spiffe",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct certificate_conf, spiffe),
	.help = "SPIFFE ids that may come, or ids that end in \"/*\" for all below.",
	.example = "spiffe = [ \"spiffe://example.org/billing\", \"spiffe://example.org/jobs/*\" "
		   "];"},
};

/* 64 small hexadecimal digits into out; false: it is something else. */
static bool
fingerprint_plain(struct str s, char out[FINGERPRINT_HEX])
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == ':' && n > 0 && n % 2 == 0 && i + 1 < s.n)
			continue;
		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		if (n == FINGERPRINT_HEX || !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		out[n++] = c;
	}
	return n == FINGERPRINT_HEX;
}

static void
certificate_check(void *self, struct conf_check *c)
{
	const struct certificate_conf *conf = self;
	char hex[FINGERPRINT_HEX];

	for (uint32_t i = 0; i < conf->subjects.n; i++)
		if (conf->subjects.v[i].n == 0)
			check_error(c, "subjects", "\"\": an empty name would be anybody's");
	for (uint32_t i = 0; i < conf->dns.n; i++)
		if (conf->dns.v[i].n == 0)
			check_error(c, "dns", "\"\": an empty name would be anybody's");
	for (uint32_t i = 0; i < conf->fingerprints.n; i++)
		if (!fingerprint_plain(conf->fingerprints.v[i], hex))
			check_error(c, "fingerprints",
			    "\"%.*s\" is no SHA-256 fingerprint; allowed: 64 hexadecimal digits",
			    STR_ARG(str_sub(conf->fingerprints.v[i], 0, 100)));
	for (uint32_t i = 0; i < conf->spiffe.n; i++) {
		const char *wrong = tls_spiffe_wrong(conf->spiffe.v[i], true);

		if (wrong != NULL)
			check_error(c, "spiffe",
			    "\"%.*s\": %s; allowed: \"spiffe://domain/path\", "
			    "\"spiffe://domain/path/*\"",
			    STR_ARG(str_sub(conf->spiffe.v[i], 0, 200)), wrong);
	}
}

static const struct fields fields = {
    .name = "client_certificate",
    .help = "Allows by the certificate the client showed; 403 for those who may not come.",
    .size = sizeof(struct certificate_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = certificate_check,
};

static bool
is_listed(const struct strs *list, struct str s)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (str_eq(list->v[i], s))
			return true;
	return false;
}

static bool
dns_fits(struct str pattern, struct str name)
{
	ssize_t dot;

	if (!str_starts(pattern, STR("*.")))
		return str_ieq(pattern, name);
	dot = str_chr(name, '.');
	return dot > 0 &&
	       str_ieq(str_sub(pattern, 1, pattern.n), str_sub(name, (size_t)dot, name.n));
}

static bool
dns_listed(const struct strs *list, struct str name)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (dns_fits(list->v[i], name))
			return true;
	return false;
}

static bool
fingerprint_listed(const struct strs *list, struct str s)
{
	char hex[FINGERPRINT_HEX];

	for (uint32_t i = 0; i < list->n; i++)
		if (fingerprint_plain(list->v[i], hex) && str_eq(str_n(hex, sizeof(hex)), s))
			return true;
	return false;
}

/* What the certificate does not have fits nothing. */
static bool
certificate_fits(const struct certificate_conf *conf, const struct tls_facts *f)
{
	if (conf->subjects.n + conf->dns.n + conf->fingerprints.n + conf->spiffe.n == 0)
		return true;
	return (f->subject.n > 0 && is_listed(&conf->subjects, f->subject)) ||
	       (f->dns.n > 0 && dns_listed(&conf->dns, f->dns)) ||
	       (f->fingerprint.n > 0 && fingerprint_listed(&conf->fingerprints, f->fingerprint)) ||
	       (f->spiffe.n > 0 && conf->spiffe.n > 0 && tls_spiffe_fits(&conf->spiffe, f->spiffe));
}

static enum verdict
certificate_answer(struct req *r, const struct policy_use *u)
{
	const struct certificate_conf *conf = u->conf;
	const struct tls_facts *f = r->handshake;
	bool shown = f != NULL && f->peer;

	if (shown ? certificate_fits(conf, f) : !conf->require)
		return VERDICT_PASS;
	req_reply_reason(r, REASON_CLIENT_CERTIFICATE);
	return VERDICT_REPLY;
}

static const struct policy_hooks hooks = {.answer = certificate_answer};

const struct policy_type policy_client_certificate = {
    .name = "client_certificate",
    .help = "Who may come, by the certificate shown in the TLS handshake.",
    .fields = &fields,
    .hooks = &hooks,
};
