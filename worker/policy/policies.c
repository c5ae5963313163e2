/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of policies, in the order of policies.def. A new one is a row there and a file beside
 * this.
 */
#include "worker/policy/policy.h"
#include "worker/worker.h"

const struct policy_type *const worker_policies[] = {
#define POLICY(name) &policy_##name,
#include "worker/policy/policies.def"
#undef POLICY
    NULL,
};
