/* SPDX-License-Identifier: Apache-2.0
 *
 * Passive health: what the outcome of a try says about its endpoint. Called by attempt.c.
 */
#ifndef GW_JUDGE_H
#define GW_JUDGE_H

#include "worker/up/attempt.h"

/* Counts a failure and ejects the endpoint at the service's threshold; whoever's compare-and-swap
 * did it logs it. */
void judge_failed(struct attempt *a, enum reason why);

#endif
