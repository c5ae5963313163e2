/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets by reference: "secret://env/NAME", "secret://file/PATH" (absolute; a newline at its end
 * is not part of the secret), and plain files that only some process may see (a CA bundle, a client
 * key: "file:/PATH"). The loader reads them, the master holds the sealed bundle, the processes that
 * need them get it at their start. They enter neither map nor state nor log.
 */
#ifndef GW_SECRET_H
#define GW_SECRET_H

#include "conf/check.h"
#include "shm/base/buf.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

#define SECRET_MAX  (256u * 1024) /* one */
#define SECRETS_MAX (8u << 20)    /* a bundle */

/* Is this a reference we can follow? NULL, or what is wrong. The empty string is none and fine. */
const char *secret_ref_error(struct str ref);

/* The reference for a setting that is a path or a reference: "file:/PATH", or as it stands. */
struct str secret_path_ref(struct str path, struct ws *ws);

/* What ref names, up to `max` octets: 1; -1 with *error_r: missing, unreadable, no regular file,
 * empty, too large. Nothing is waited for. Given back by secret_forget, which wipes it. */
int secret_read(struct str ref, size_t max, struct gbuf *out_r, const char **error_r) NODISCARD;
void secret_forget(struct gbuf *g);
/* The path that a reference leads to (borrowed), STR_NONE where it is none. */
struct str secret_path(struct str ref);

struct secrets_writer;
struct secrets_writer *secrets_new(void);
/* Reads what ref names; once for each ref, and nothing for an empty one. -1 and an error at
 * `setting`: missing, unreadable, empty, too large. */
int secrets_add(
    struct secrets_writer *w, struct str ref, const char *setting, struct conf_check *c) NODISCARD;
/* A sealed memfd, or -1. Frees the writer either way. Octets are wiped from our own memory. */
int secrets_seal(struct secrets_writer **w, const char **error_r) NODISCARD;

/* The receiving side: maps it, MADV_DONTDUMP, not inherited by children. */
struct secrets;
int secrets_open(int fd, struct secrets **s_r, const char **error_r) NODISCARD;
void secrets_close(struct secrets **s);
/* 1 and the octets (borrowed), 0: not in the bundle. An empty ref gives 1 and nothing. */
int secrets_get(const struct secrets *s, struct str ref, struct str *value_r) NODISCARD;
/* Of all of it; two bundles with the same content have the same. 0: it is none. */
uint64_t secrets_hash(int fd);

#endif
