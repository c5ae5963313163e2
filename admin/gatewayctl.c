/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl: options, the command table, help.
 */
#include <getopt.h>

#include "admin/ctl.h"
#include "admin/ctl_manual.h"
#include "shm/base/num.h"

static void
ctl_help(FILE *f)
{
	fprintf(f,
	    "usage: gatewayctl [-s SOCKET | -i NAME] [--json] [--timeout SECONDS] COMMAND "
	    "[ARGUMENTS]\n\n"
	    "  -s, --socket SOCKET   the gateway's admin socket (GATEWAY_SOCKET; %s)\n"
	    "  -i, --instance NAME   one of several on this host: gateway@NAME's socket\n"
	    "  -j, --json            print JSON for machines instead of tables\n"
	    "      --timeout N       give up after N seconds without an answer (130)\n"
	    "  -h, --help            this text\n\ncommands:\n",
	    CTL_SOCKET_DEFAULT);
	for (const struct ctl_command *k = ctl_commands; k->words != NULL; k++)
		fprintf(f, "  %s%s%s\n        %s\n", k->words, k->args[0] != 0 ? " " : "", k->args,
		    k->help);
	fprintf(f, "\nexit status: 0 done, 1 refused, 2 wrong usage, 3 not reachable\n");
}

/* Does argv begin with the words of the command? Returns how many words, or 0. */
static int
words_fit(const char *words, int argc, char **argv, const char **last_r)
{
	struct {
		const char *p;
		size_t n;
	} w;
	int used = 0;

	for (w.p = words; *w.p != '\0'; w.p += w.n + (w.p[w.n] == ' ')) {
		w.n = strcspn(w.p, " ");
		if (used == argc || strlen(argv[used]) != w.n || strncmp(argv[used], w.p, w.n) != 0)
			return 0;
		*last_r = argv[used++];
	}
	return used;
}

static int
ctl_usage(const struct ctl_command *k)
{
	fprintf(stderr, "usage: gatewayctl %s %s\n", k->words, k->args);
	return CTL_USAGE;
}

/* The commands that begin with this word; false: there is none. */
static bool
print_group(const char *word)
{
	size_t n = strlen(word);
	bool any = false;

	for (const struct ctl_command *k = ctl_commands; k->words != NULL; k++) {
		if (strncmp(k->words, word, n) != 0 || k->words[n] != ' ')
			continue;
		fprintf(stderr, "%s gatewayctl %s%s%s\n", any ? "      " : "usage:", k->words,
		    k->args[0] != '\0' ? " " : "", k->args);
		any = true;
	}
	return any;
}

static int
ctl_dispatch(struct ctl *c, int argc, char **argv)
{
	for (const struct ctl_command *k = ctl_commands; k->words != NULL; k++) {
		int used = words_fit(k->words, argc, argv, &c->verb);

		if (used == 0)
			continue;
		c->argc = argc - used;
		c->argv = argv + used;
		if (c->argc < k->min || c->argc > k->max)
			return ctl_usage(k);
		return k->run(c);
	}
	fprintf(stderr, "gatewayctl: no such command:");
	for (int i = 0; i < argc && i < 3; i++)
		fprintf(stderr, " %s", argv[i]);
	fprintf(stderr, "\n");
	if (!print_group(argv[0]))
		fprintf(stderr, "See gatewayctl --help for the list.\n");
	return CTL_USAGE;
}

static int
ctl_timeout(const char *text, unsigned *seconds_r)
{
	const char *error;
	uint64_t n;

	if (num_u64(str_of(text), 86400, &n, &error) < 0 || n < 1) {
		fprintf(
		    stderr, "gatewayctl: --timeout: seconds from 1 to 86400, not \"%s\"\n", text);
		return -1;
	}
	*seconds_r = (unsigned)n;
	return 1;
}

static int
ctl_about(int what)
{
	if (what == 'M')
		ctl_manual(stdout);
	else if (what == 'V')
		printf("gatewayctl %s\n", GW_VERSION);
	else
		ctl_help(stdout);
	return CTL_OK;
}

/* The run directory contrib/gateway@.service gives that instance. */
static int
ctl_instance(const char *name, struct ctl *c)
{
	if (name[0] == '\0' || strlen(name) > 64 || strchr(name, '/') != NULL) {
		fprintf(stderr, "gatewayctl: \"%s\" is no instance's name\n", name);
		return -1;
	}
	snprintf(c->instance_socket, sizeof(c->instance_socket), GW_RUN_DIR "-%s/admin.sock", name);
	c->socket = c->instance_socket;
	return 1;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
	    {"socket", required_argument, NULL, 's'},
	    {"instance", required_argument, NULL, 'i'},
	    {"json", no_argument, NULL, 'j'},
	    {"timeout", required_argument, NULL, 't'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {"manual", no_argument, NULL, 'M'},   /* for make doc */
	    {"complete", no_argument, NULL, 'C'}, /* for the shell: what may follow these words */
	    {0},
	};
	const char *env = getenv("GATEWAY_SOCKET");
	struct ctl c = {
	    .socket = env != NULL ? env : CTL_SOCKET_DEFAULT, .timeout_s = 130, .program = argv[0]};
	bool complete = false;
	int o;

	while ((o = getopt_long(argc, argv, "+s:i:jhV", options, NULL)) != -1) {
		if (o == 's')
			c.socket = optarg;
		else if (o == 'i' && ctl_instance(optarg, &c) < 0)
			return CTL_USAGE;
		else if (o == 'i')
			continue;
		else if (o == 'j')
			c.json = true;
		else if (o == 'h' || o == 'V' || o == 'M')
			return ctl_about(o);
		else if (o == 'C')
			complete = true;
		else if (o != 't' || ctl_timeout(optarg, &c.timeout_s) < 0)
			return CTL_USAGE;
	}
	if (complete) {
		c.argc = argc - optind;
		c.argv = argv + optind;
		return ctl_complete(&c);
	}
	/* --json may also follow the command, as people type it. */
	if (argc > optind &&
	    (strcmp(argv[argc - 1], "--json") == 0 || strcmp(argv[argc - 1], "-j") == 0)) {
		c.json = true;
		argc--;
	}
	if (argc == optind) {
		ctl_help(stderr);
		return CTL_USAGE;
	}
	return ctl_dispatch(&c, argc - optind, argv + optind);
}
