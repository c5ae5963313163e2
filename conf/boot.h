/* SPDX-License-Identifier: Apache-2.0
 *
 * What the master must know of a configuration it does not read: made by the loader, carried in
 * LOADED, opaque to everybody else. Encoded by field table as every object is.
 */
#ifndef GW_BOOT_H
#define GW_BOOT_H

#include "conf/settings.h"

/* The settings object's canonical body, with workers resolved to a number and paths made absolute.
 */
void boot_encode(const struct conf_settings *s, struct gbuf *out);
int boot_decode(struct str bytes, struct conf_settings *s_r, struct ws *ws) NODISCARD;

/* Names in `a` and `b` of FIELD_RESTART settings that differ, comma-joined in ws; STR_NONE when
 * none. */
struct str boot_restart_needed(
    const struct conf_settings *running, const struct conf_settings *wanted, struct ws *ws);

#endif
