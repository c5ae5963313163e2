/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of x509.h share.
 */
#ifndef GW_X509_PRIV_H
#define GW_X509_PRIV_H

#include <openssl/x509.h>

#include "worker/net/x509.h"

/* The text of an error or a warning, kept until the next call; never octets of the input. */
const char *x509_say(const char *fmt, ...) PRINTF(1, 2);
/* OpenSSL's last reason, its queue emptied. */
const char *x509_reason(void);
/* "1st", "2nd" ... kept until the next call. */
const char *x509_nth(unsigned n);

/* The next certificate of a DER chain, the caller's to free; NULL at its end or where it is
 * malformed (then *rest is not empty). */
X509 *x509_next(struct str *rest);
/* The first one, or NULL with *error_r. */
X509 *x509_leaf(struct str chain, const char **error_r);

enum bundle_key x509_key_type(const EVP_PKEY *key);
/* "EC P-256", "RSA 2048". */
void x509_key_words(const EVP_PKEY *key, char *out, size_t cap);
/* Seconds since 1970; false: no time. */
bool x509_time(const ASN1_TIME *t, int64_t *at_r);

#endif
