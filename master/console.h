/* SPDX-License-Identifier: Apache-2.0
 *
 * The process that speaks to Redis, as far as the master goes: whether it is wanted, with which
 * secrets, and when another has to take its place. Nothing waits for it.
 */
#ifndef GW_CONSOLE_H
#define GW_CONSOLE_H

#include "master/master.h"

/* A load has brought this bundle, or none (-1); taken over. */
void console_hold(struct master *m, int secrets);
/* That load came to nothing. */
void console_drop(struct master *m);
/* Does what m->next and its bundle say differ from what is in force? Before either is adopted. */
bool console_changed(const struct master *m);
void console_adopt(struct master *m);
/* The settings in force are followed; changed: by a new process. */
void console_serve(struct master *m, bool changed);

#endif
