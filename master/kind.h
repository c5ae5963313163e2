/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of processes as a table (procs.def): what runs, with which rights, and what happens
 * when it goes.
 */
#ifndef GW_KIND_H
#define GW_KIND_H

#include "shm/base/sandbox.h"
#include "shm/heritage.h"

enum kind_start { START_ALWAYS, START_SETTING, START_ASKED };
enum kind_restart { RESTART_NEVER, RESTART_ALWAYS };

struct kind {
	enum proc_kind id;
	const char *name;
	proc_main_f *main;
	bool keep_dac_read;
	enum sandbox_profile profile;
	enum kind_start start;
	enum kind_restart restart;
	unsigned patience;
	const char *help;
};
extern const struct kind kinds[PROC_KIND_COUNT]; /* indexed by enum proc_kind */

#endif
