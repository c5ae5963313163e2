/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings in the master's hands: those in force, and those a reload brought and has not settled
 * yet.
 */
#ifndef GW_SETTLED_H
#define GW_SETTLED_H

#include "conf/settings.h"

struct settled {
	struct ws ws;
	struct conf_settings *s; /* NULL: none */
	struct gbuf boot;        /* the same, encoded: what children inherit */
	struct str restart; /* names of changed settings that wait for the next start; STR_NONE */
};

/* Decodes what the loader sent. Settings that only a start can change keep the running values, and
 * are named. running->s is NULL at the first load. -1: malformed (nothing is held then). */
int settled_read(struct settled *out, struct str boot, const struct settled *running) NODISCARD;
void settled_drop(struct settled *s);
/* *now = *next; *next holds nothing afterwards. */
void settled_adopt(struct settled *now, struct settled *next);

#endif
