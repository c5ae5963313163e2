/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway: the command line, and the wiring of the lists that the layers below must not name
 * themselves.
 */
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/policy.h"
#include "master/args.h"
#include "master/manual.h"
#include "master/run.h"
#include "master/try.h"
#include "master/version.h"
#include "shm/base/proc.h"
#include "worker/worker.h"

#define EXIT_USAGE 64 /* EX_USAGE */

/* The loader's messages name the file as it was given; a daemon leaves its directory. */
static const char *
conf_path(const char *given)
{
	static char full[PATH_MAX];

	return realpath(given, full) ? full : given;
}

static int
run(struct args *a)
{
	int launcher = -1;

	a->conf_file = conf_path(a->conf_file);
	if (a->daemon) {
		launcher = run_daemonise();
		if (chdir("/") < 0)
			perror("gateway: /");
	}
	return run_master(a, launcher);
}

int
main(int argc, char **argv)
{
	struct args a;
	const char *error;

	argv = proc_title_init(argc, argv);
	policy_types_set(worker_policies);
	/* What keeper makes is for the group of all children too. */
	(void)umask(007);
	if (args_parse(argc, argv, &a, &error) < 0) {
		fprintf(stderr, "gateway: %s\n", error);
		args_usage(stderr);
		return EXIT_USAGE;
	}
	switch (a.mode) {
	case ARGS_HELP:
		args_usage(stdout);
		return 0;
	case ARGS_VERSION:
		version_print(stdout);
		return 0;
	case ARGS_MANUAL:
		manual_print(stdout);
		return 0;
	case ARGS_TEST:
		return try_configuration(a.conf_file);
	case ARGS_SHOW:
		return try_show(a.conf_file);
	default:
		return run(&a);
	}
}
