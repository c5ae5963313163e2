/* SPDX-License-Identifier: Apache-2.0
 *
 * The admin socket: bound by the master at the start and held for life, so that callers wait while
 * the admin process is replaced, and so that nobody but the master makes files where it lies.
 */
#ifndef GW_ADMINSOCK_H
#define GW_ADMINSOCK_H

#include "conf/settings.h"
#include "master/users.h"

/* Where the settings put it. */
void adminsock_path(const struct conf_settings *s, char *out, size_t cap);
/* The listening descriptor, or -1 with *error_r. */
int adminsock_open(const char *path, const struct users *u, const char **error_r) NODISCARD;
/* Without a table of roles only the gateway's own group has one, and nobody else gets in. With one,
 * anybody may connect, and gets the role the table gives him. */
void adminsock_mode(const char *path, const struct conf_settings *s);

#endif
