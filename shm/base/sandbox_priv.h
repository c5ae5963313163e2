/* SPDX-License-Identifier: Apache-2.0
 *
 * Between sandbox.c and sandbox_seccomp.c only.
 */
#ifndef GW_SANDBOX_PRIV_H
#define GW_SANDBOX_PRIV_H

#include "shm/base/sandbox.h"

/* Puts "what: words for err" into *error_r; returns -1. */
int sandbox_fail(const char **error_r, const char *what, int err);

/* Loads the filter of `profile`, which is not SANDBOX_NONE. Needs no-new-privileges or root. */
int sandbox_seccomp(enum sandbox_profile profile, const char **error_r) NODISCARD;

#endif
