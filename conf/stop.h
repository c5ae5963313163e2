/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests: an environment variable names a step at which a process stops (SIGSTOP), or dies
 * (SIGKILL) with ":kill" behind the name; with ":once", only the first process of its kind dies.
 * Nothing without it.
 *
 *	GATEWAY_TEST_KEEPER_STOP	of a transaction: after_compile, before_commit,
 *		after_commit, after_publish; of a turn: after_journal, after_document
 *		(between two), before_fold, after_fold, before_answer
 *	GATEWAY_TEST_REDIS_STOP		before_read, after_read, before_change, after_change,
 *		before_acknowledge, after_acknowledge
 *
 * The first change set of an instance passes unharmed, or there would be nothing to test.
 */
#ifndef GW_STOP_H
#define GW_STOP_H

#include "shm/base/base.h"

/* Whose variable counts here. first: no process of this kind has died in this instance. Without a
 * call it is the keeper's, and every process is the first. */
void stop_process(const char *variable, bool first);
void stop_here(const char *step);
void stop_arm(bool armed); /* keeper: a generation was committed before */

#endif
