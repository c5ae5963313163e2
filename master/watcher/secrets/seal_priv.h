/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of seal.h share.
 *
 *	seal.c         walks the objects, writes the bundle
 *	seal_cert.c    certificates of listeners
 *	seal_source.c  reads each file once, makes it DER
 *	seal_facts.c   what people may know
 */
#ifndef GW_SEAL_PRIV_H
#define GW_SEAL_PRIV_H

#include <jansson.h>

#include "conf/object.h"
#include "master/watcher/secrets/seal.h"
#include "master/watcher/secrets/named.h"
#include "shm/base/buf.h"
#include "worker/net/x509.h"

struct seal_name; /* of a certificate, to see which others have it */

struct seal {
	const struct seal_in *in;
	struct conf_check *report;
	struct bundle_writer *w;
	struct htab sources;
	json_t *facts;
	struct ws ws; /* of the object at hand; begins anew with each */
	const struct conf_object *o;
	bool ticket;               /* it is there */
	unsigned bits, bits_shown; /* that OpenSSL wants of our certificates, of listeners' */
	uint32_t kept;
	struct seal_name *names;
	uint32_t n_names, cap_names;
};

/* --- words: of the object at hand, at that setting ------------------------------------------- */

/* An error; a warning where what was there may be kept. */
void seal_bad(struct seal *s, const struct named *w, const char *text);
void seal_warn(struct seal *s, const struct named *w, const char *fmt, ...) PRINTF(3, 4);

/* --- sources ---------------------------------------------------------------------------------- */

/* The octets of a file or a variable, read once; 1 or -1 with *error_r. Borrowed until
 * seal_forget. */
int seal_raw(struct seal *s, struct str ref, struct str *raw_r, const char **error_r) NODISCARD;
/* As its kind has it (DER); `first` of its kind says *warning_r, else NULL. */
int seal_octets(
    struct seal *s, const struct named *w, struct str *octets_r, const char **error_r) NODISCARD;
void seal_forget(struct seal *s); /* all of them, wiped */

/* --- certificates ----------------------------------------------------------------------------- */

struct conf_certificate;
void seal_cert(struct seal *s, const struct conf_certificate *c);
/* After all of them: two with one name and the same kind of key. */
void seal_names_twice(struct seal *s);
/* NULL or what is wrong; its warning is told. */
const char *seal_pair(
    struct seal *s, const struct named *key, struct str chain, struct str der, unsigned bits);
/* Tells of a certificate that is over or not yet good. */
void seal_times(struct seal *s, const struct named *w, const struct x509_facts *f);

/* --- facts ------------------------------------------------------------------------------------ */

/* One entry. error: NULL, or why it is the kept one. */
void seal_fact(struct seal *s, const char *used_by, const struct named *w,
    const struct x509_facts *f, int64_t ocsp_until, const char *error);
/* A sealed memfd, or -1 with *error_r. */
int seal_facts_fd(const struct seal *s, const char **error_r) NODISCARD;

#endif
