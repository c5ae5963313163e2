/* SPDX-License-Identifier: Apache-2.0
 *
 * The data plane process: one thread, one epoll loop; HTTP in, HTTP out.
 */
#ifndef GW_WORKER_H
#define GW_WORKER_H

#include "conf/policy.h"
#include "shm/heritage.h"

proc_main_f worker_main;

/* The ordered list of policies (worker/policy/policies.def), NULL-terminated, for policy_types_set.
 */
extern const struct policy_type *const worker_policies[];

#endif
