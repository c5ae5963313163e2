/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of a change document share: reading members of a JSON object with words.
 */
#ifndef GW_DOCUMENT_PRIV_H
#define GW_DOCUMENT_PRIV_H

#include "conf/document.h"

/* document.c. "a list", for messages. */
const char *document_word(const json_t *j);
/* Tells of every member that is not among `names` (NULL-terminated). */
void document_unknown(const json_t *object, const char *const *names, struct conf_check *c);
/* One member: 1 and the value, 0 when it is not there, -1 after an error. */
int document_string(
    const json_t *object, const char *name, size_t max, struct str *s_r, struct conf_check *c);

/* document_changes.c: the entries of d->root's "changes" into d->v. */
void document_read_changes(struct document *d, struct conf_check *c);

#endif
