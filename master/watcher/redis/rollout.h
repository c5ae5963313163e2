/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions of the admin API about all instances (ASK_ROLLOUT), and the word to all of them to load
 * their files again (ASK_RELOAD_ALL).
 */
#ifndef GW_REDIS_ROLLOUT_H
#define GW_REDIS_ROLLOUT_H

#include "master/watcher/redis/answer.h"
#include "master/watcher/redis/conn.h"
#include "master/watcher/redis/keys.h"

#define ROLLOUT_INSTANCES 10000

void rollout_ask(struct conn *c, const struct keys *k, const struct answer *to);
void rollout_reload(struct conn *c, const struct keys *k, const struct answer *to);

/* The body, from the version (NULL: there is none), names and times (ZRANGE WITHSCORES) and
 * acknowledgements (MGET, in the same order). */
json_t *rollout_body(
    const struct version *v, const struct reply *instances, const struct reply *acks);

#endif
