/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests: the environment variable GATEWAY_TEST_KEEPER_STOP names a step of the keeper at which
 * it stops (SIGSTOP), or with ":kill" behind the name, dies (SIGKILL). Nothing without it. The
 * steps: after_compile, before_commit, after_commit, after_publish. The first change set of an
 * instance passes unharmed, or there would be nothing to test.
 */
#ifndef GW_STOP_H
#define GW_STOP_H

#include "shm/base/base.h"

void stop_here(const char *step);
void stop_arm(bool armed); /* a generation was committed before */

#endif
