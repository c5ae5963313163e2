/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests: the environment variable GATEWAY_TEST_KEEPER_STOP names a step of the keeper at which
 * it stops (SIGSTOP), or with ":kill" behind the name, dies (SIGKILL). Nothing without it. The
 * steps of a transaction: after_compile, before_commit, after_commit, after_publish; of a turn:
 * after_journal, after_document (between two), before_fold, after_fold, before_answer. The first
 * change set of an instance passes unharmed, or there would be nothing to test.
 */
#ifndef GW_STOP_H
#define GW_STOP_H

#include "shm/base/base.h"

void stop_here(const char *step);
void stop_arm(bool armed); /* a generation was committed before */

#endif
