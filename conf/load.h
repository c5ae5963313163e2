/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading files: libconfig -> node tree -> field tables -> objects -> change set. The loader
 * process calls this; it reads gateway.conf, then conf.d in byte order of names, and reports
 * everything that is wrong at once.
 */
#ifndef GW_LOAD_H
#define GW_LOAD_H

#include "conf/check.h"
#include "conf/object.h"
#include "conf/settings.h"

struct load_result {
	struct ws ws; /* owns all below */
	struct conf_settings *settings;
	struct conf_object *v; /* objects, the settings object first */
	uint32_t n;
};

/* conf_file: the main file; its directory's conf.d/ files named *.conf are read too. resolve: look
 * host names up (the loader) or leave every name unresolved (tests, tools). 1, or -1 with errors in
 * check. */
int load_files(
    const char *conf_file, bool resolve, struct load_result *r, struct conf_check *check) NODISCARD;
/* The same; lists are cut into runs of about `aim` octets (runs.h), 0: not at all. The outcome is
 * the same for any. */
int load_files_by(const char *conf_file, bool resolve, size_t aim, struct load_result *r,
    struct conf_check *check) NODISCARD;
void load_free(struct load_result *r);

/* load_secrets.c: every secret and private file that the settings name. -1 after errors. */
struct secrets_writer;
int load_secrets(
    const struct conf_settings *s, struct secrets_writer *w, struct conf_check *check) NODISCARD;

#endif
