/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the process kinds, for logs, tables and metric labels.
 */
#include "shm/heritage.h"

const char *
proc_kind_word(uint32_t kind)
{
	static const char *const words[PROC_KIND_COUNT] = {
	    [PROC_MASTER] = "master",
	    [PROC_LOADER] = "loader",
	    [PROC_KEEPER] = "keeper",
	    [PROC_WORKER] = "worker",
	    [PROC_PROBER] = "prober",
	    [PROC_LOGGER] = "logger",
	    [PROC_ADMIN] = "admin",
	    [PROC_REDIS] = "redis",
	    [PROC_DISCOVERY] = "discovery",
	    [PROC_SECRETS] = "secrets",
	};

	return kind < PROC_KIND_COUNT ? words[kind] : "unknown";
}
