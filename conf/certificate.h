/* SPDX-License-Identifier: Apache-2.0
 *
 * A certificate: a chain, its key, and the names it is offered for. The object names files; the
 * octets go another way (conf/bundle.h). Two of one name and different kinds of key stand side by
 * side. Rows in certificate.c.
 */
#ifndef GW_CERTIFICATE_H
#define GW_CERTIFICATE_H

#include "conf/field.h"

extern const struct fields certificate_fields;

#define CERTIFICATE_HOSTS 500 /* names of one */

struct conf_certificate {
	struct strs hosts;      /* "a.example.com", "*.example.com"; none: the certificate's own */
	struct str certificate; /* PEM: path or secret's reference; the leaf first */
	struct str key;         /* PEM, without a passphrase: path or secret's reference */
	struct str ocsp; /* DER or base64 of an OCSP response: path; empty: none is stapled */
};

#endif
