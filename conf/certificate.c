/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of a certificate.
 */
#include "conf/certificate.h"

#include "conf/check.h"
#include "conf/pattern.h"
#include "conf/tls.h"
#include "shm/base/addr.h"
#include "shm/base/ws.h"

static const struct field rows[] = {
    {.name = "hosts",
	.type = F_STRINGS,
	.offset = FIELD_AT(struct conf_certificate, hosts),
	.help = "The host names it is offered for, \"*.example.com\" for one label more. Left out: "
		"those that stand in the certificate. Two certificates of one name and different "
		"kinds of key (ECDSA, RSA) are offered side by side; of one kind, the smaller id "
		"wins.",
	.example = "hosts = [ \"example.com\", \"*.example.com\" ];"},
    {.name = "certificate",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_certificate, certificate),
	.flags = FIELD_REQUIRED | FIELD_PATH,
	.help = "The certificate and its chain in PEM, its own first: a file, or a reference to a "
		"secret such as secret://file/PATH. It is read again when it changes; one that "
		"does not belong to the key is refused then, and the old pair kept.",
	.example = "certificate = \"/etc/gateway/tls/example.com.pem\";"},
    {.name = "key",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_certificate, key),
	.flags = FIELD_REQUIRED | FIELD_PATH,
	.help = "Its private key in PEM, without a passphrase: a file, which root alone need be "
		"able to read, or a reference such as secret://env/NAME.",
	.example = "key = \"/etc/gateway/tls/example.com.key\";"},
    {.name = "ocsp",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_certificate, ocsp),
	.flags = FIELD_PATH,
	.help = "File with an OCSP response for it, DER or base64, which is stapled for as long as "
		"it is good. Something else renews the file. Left out: nothing is stapled.",
	.example = "ocsp = \"/var/lib/ocsp/example.com.der\";"},
};

static char
to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void
lower_hosts(struct conf_certificate *self, struct conf_check *c)
{
	struct str *v = (struct str *)(uintptr_t)self->hosts.v;

	for (uint32_t i = 0; i < self->hosts.n; i++) {
		struct str copy = ws_str(c->ws, v[i]);

		for (size_t k = 0; copy.p != NULL && k < copy.n; k++)
			((char *)(uintptr_t)copy.p)[k] = to_lower(copy.p[k]);
		if (copy.p != NULL)
			v[i] = copy;
	}
}

/* An address is nothing a client may ask for by SNI (RFC 6066 3). */
static const char *
host_wrong(struct str host)
{
	struct addr ip;

	if (host.n == 0)
		return "empty; for the certificate's own names leave hosts out";
	if (str_eq(host, STR("*")))
		return "a star needs a name behind it; for what no certificate is for a listener "
		       "has tls.default";
	if (addr_ip(host, &ip) == 1 || host.p[0] == '[')
		return "an address; clients ask for names only";
	return pattern_host(host);
}

static void
check_hosts(const struct strs *hosts, struct conf_check *c)
{
	for (uint32_t i = 0; i < hosts->n; i++) {
		const char *wrong = host_wrong(hosts->v[i]);

		if (wrong != NULL)
			check_error(c, "hosts",
			    "\"%.*s\": %s; allowed: \"example.com\", \"*.example.com\"",
			    STR_ARG(str_sub(hosts->v[i], 0, 260)), wrong);
		for (uint32_t k = 0; k < i; k++) {
			if (!str_eq(hosts->v[k], hosts->v[i]))
				continue;
			check_error(
			    c, "hosts", "\"%.*s\" stands there twice", STR_ARG(hosts->v[i]));
			break;
		}
	}
}

static void
certificate_check(void *self, struct conf_check *c)
{
	struct conf_certificate *cert = self;

	if (cert->hosts.n > CERTIFICATE_HOSTS) {
		check_error(
		    c, "hosts", "%u names; allowed: up to %d", cert->hosts.n, CERTIFICATE_HOSTS);
	} else {
		lower_hosts(cert, c);
		check_hosts(&cert->hosts, c);
	}
	tls_check_ref(cert->certificate, "certificate", c);
	tls_check_ref(cert->key, "key", c);
	tls_check_path(cert->ocsp, "ocsp", c);
}

const struct fields certificate_fields = {
    .name = "certificate",
    .help = "A certificate for listeners with TLS: chain, key, and the hosts it is offered for.",
    .size = sizeof(struct conf_certificate),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = certificate_check,
};
