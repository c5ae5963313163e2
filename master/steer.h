/* SPDX-License-Identifier: Apache-2.0
 *
 * Which socket of a SO_REUSEPORT group a new connection goes to: a classic BPF program that picks
 * one of the live slots at random. The index it returns is the slot, because the master lets the
 * sockets listen in slot order and closes none of a group before all.
 */
#ifndef GW_STEER_H
#define GW_STEER_H

#include <linux/filter.h>

#include "shm/base/base.h"
#include "shm/heritage.h"

#define STEER_MAX (2 * SLOT_MAX + 3) /* instructions */

/* The program for these slots; without a live one, for all n of them. Returns its length. */
unsigned steer_program(const bool *live, unsigned n, struct sock_filter out[STEER_MAX]);
/* Attaches it to the group fd belongs to, which is listening: 1, or -1 with errno. */
int steer_attach(int fd, const bool *live, unsigned n) NODISCARD;

#endif
