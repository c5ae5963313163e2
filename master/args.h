/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of `gateway`.
 */
#ifndef GW_ARGS_H
#define GW_ARGS_H

#include "shm/base/base.h"

enum args_mode { ARGS_RUN, ARGS_TEST, ARGS_SHOW, ARGS_VERSION, ARGS_HELP, ARGS_MANUAL };

struct args {
	enum args_mode mode;
	bool daemon;
	const char *conf_file; /* borrowed from argv, or the built-in default */
};

/* 1, or -1 with *error_r. argv[argc] is NULL, as main gets it. */
int args_parse(int argc, char **argv, struct args *a_r, const char **error_r) NODISCARD;
void args_usage(FILE *to);

#endif
