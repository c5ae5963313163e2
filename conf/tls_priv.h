/* SPDX-License-Identifier: Apache-2.0
 *
 * Between tls.c (what is common, the instance), tls_listener.c and tls_service.c.
 */
#ifndef GW_CONF_TLS_PRIV_H
#define GW_CONF_TLS_PRIV_H

#include "conf/tls.h"

#define TLS_IDS_MAX 1000

extern const char *const tls_version_names[]; /* enum tls_version */

/* Letters (large ones with `upper`), digits, ".", "-", "_". */
bool tls_is_word(char c, bool upper);
/* Of an id that is well-formed. */
struct str tls_spiffe_domain(struct str id);
/* Complains of what is no trust domain. Empty is fine. */
void tls_check_domain(struct str domain, const char *setting, struct conf_check *c);

#endif
