/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of kinds, and with it the one place that names every child's main.
 */
#include "master/kind.h"

#include "admin/admin.h"
#include "conf/keeper.h"
#include "conf/loader.h"
#include "master/logger/logger.h"
#include "master/watcher/discovery.h"
#include "master/watcher/prober.h"
#include "master/watcher/redis/redis.h"
#include "master/watcher/secrets/secrets.h"
#include "worker/worker.h"

#define PROC(KIND, name, main, dac, profile, start, restart, patience, help)                       \
	[PROC_##KIND] = {PROC_##KIND, name, main, dac, profile, start, restart, patience, help},

const struct kind kinds[PROC_KIND_COUNT] = {
#include "master/procs.def"
};
#undef PROC
