/* SPDX-License-Identifier: Apache-2.0
 *
 * A key (P-256) and a certificate signed by itself, for a day, on standard output as PEM: the
 * trainer speaks TLS, and a machine that builds may have no openssl(1).
 *
 * usage: selfsigned NAME >FILE
 */
#include <err.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY (24 * 3600)

static void
name_add(X509 *x, const char *host)
{
	char names[300];
	X509_EXTENSION *ext;
	X509_NAME *name = X509_get_subject_name(x);

	snprintf(names, sizeof(names), "DNS:%s", host);
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	if (ext == NULL || X509_add_ext(x, ext, -1) != 1 ||
	    X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0) != 1 ||
	    X509_set_issuer_name(x, name) != 1)
		errx(1, "%s: no name for a certificate", host);
	X509_EXTENSION_free(ext);
}

int
main(int argc, char **argv)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();

	if (argc != 2)
		errx(64, "usage: selfsigned NAME >FILE");
	if (key == NULL || x == NULL || X509_set_version(x, X509_VERSION_3) != 1 ||
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) != 1 ||
	    X509_gmtime_adj(X509_getm_notBefore(x), -DAY) == NULL ||
	    X509_gmtime_adj(X509_getm_notAfter(x), DAY) == NULL || X509_set_pubkey(x, key) != 1)
		errx(1, "no certificate");
	name_add(x, argv[1]);
	if (X509_sign(x, key, EVP_sha256()) == 0 || PEM_write_X509(stdout, x) != 1 ||
	    PEM_write_PrivateKey(stdout, key, NULL, NULL, 0, NULL, NULL) != 1)
		errx(1, "not signed");
	X509_free(x);
	EVP_PKEY_free(key);
	return 0;
}
