/* SPDX-License-Identifier: Apache-2.0
 *
 * The master's life from argv to exit status: its loop, and what signals mean to it.
 */
#ifndef GW_RUN_H
#define GW_RUN_H

#include "master/args.h"

/* launcher: a descriptor that gets one octet when the gateway is ready (-d), or -1. */
int run_master(const struct args *a, int launcher);
/* -d: the caller's process waits for readiness and leaves with 0 or 1; what returns is the daemon,
 * with the launcher descriptor. */
int run_daemonise(void);

#endif
