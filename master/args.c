/* SPDX-License-Identifier: Apache-2.0
 *
 * See args.h. One table; short options may be joined ("-tc FILE", "-cFILE"), as people expect.
 */
#include "master/args.h"

static const struct option_row {
	char letter;
	const char *name;  /* long, without "--" */
	int mode;          /* enum args_mode, or -1 */
	const char *value; /* what it takes */
	const char *help;  /* NULL: not shown */
} options[] = {
    {'c', "config", -1, "FILE", "the configuration (default " GW_CONF_DIR "/gateway.conf)"},
    {'d', "daemon", -1, NULL, "go to the background once everything serves"},
    {'t', "test", ARGS_TEST, NULL, "check the configuration and exit: 0 it is good, 1 it is not"},
    {'T', "show", ARGS_SHOW, NULL, "print the configuration in force, defaults and all, and exit"},
    {'V', "version", ARGS_VERSION, NULL, "print the versions of gateway and libraries and exit"},
    {'h', "help", ARGS_HELP, NULL, "print this and exit"},
    {'\0', "manual", ARGS_MANUAL, NULL, NULL},
};

static struct args_process {
	char error[160];
} state;

static int
fail(const char **error_r, const char *what, const char *arg)
{
	snprintf(state.error, sizeof(state.error), "%s: %.80s", what, arg);
	*error_r = state.error;
	return -1;
}

static const struct option_row *
option_short(char letter)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (letter != '\0' && options[i].letter == letter)
			return &options[i];
	return NULL;
}

static const struct option_row *
option_long(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == n && memcmp(options[i].name, name, n) == 0)
			return &options[i];
	return NULL;
}

static void
option_take(const struct option_row *o, const char *value, struct args *a)
{
	if (o->mode >= 0)
		a->mode = (enum args_mode)o->mode;
	else if (o->letter == 'd')
		a->daemon = true;
	else if (value)
		a->conf_file = value;
}

/* "-tcFILE": returns how many further arguments were used, or -1. */
static int
parse_short(char **arg, struct args *a, const char **error_r)
{
	for (const char *p = arg[0] + 1; *p; p++) {
		const struct option_row *o = option_short(*p);

		if (!o)
			return fail(error_r, "unknown option", arg[0]);
		if (!o->value) {
			option_take(o, NULL, a);
			continue;
		}
		if (p[1] == '\0' && !arg[1])
			return fail(error_r, "an option lacks its value", arg[0]);
		option_take(o, p[1] ? p + 1 : arg[1], a);
		return p[1] ? 0 : 1;
	}
	return 0;
}

static int
parse_long(char **arg, struct args *a, const char **error_r)
{
	const char *name = arg[0] + 2, *equals = strchr(name, '=');
	const struct option_row *o =
	    option_long(name, equals ? (size_t)(equals - name) : strlen(name));

	if (!o)
		return fail(error_r, "unknown option", arg[0]);
	if (!o->value && equals)
		return fail(error_r, "an option takes no value", arg[0]);
	if (o->value && !equals && !arg[1])
		return fail(error_r, "an option lacks its value", arg[0]);
	option_take(o, equals ? equals + 1 : arg[1], a);
	return o->value && !equals ? 1 : 0;
}

int
args_parse(int argc, char **argv, struct args *a_r, const char **error_r)
{
	struct args a = {.mode = ARGS_RUN, .conf_file = GW_CONF_DIR "/gateway.conf"};

	for (int i = 1; i < argc; i++) {
		int used = -1;

		if (strncmp(argv[i], "--", 2) == 0)
			used = parse_long(argv + i, &a, error_r);
		else if (argv[i][0] == '-' && argv[i][1] != '\0')
			used = parse_short(argv + i, &a, error_r);
		else
			(void)fail(error_r, "not an option", argv[i]);
		if (used < 0)
			return -1;
		i += used;
	}
	if (a.conf_file[0] == '\0')
		return fail(error_r, "an option lacks its value", "-c");
	*a_r = a;
	return 1;
}

void
args_usage(FILE *to)
{
	fputs("usage: gateway [-c FILE] [-d | -t | -T | -V | -h]\n", to);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct option_row *o = &options[i];
		char left[40];

		if (!o->help)
			continue;
		snprintf(left, sizeof(left), "-%c, --%s%s%s", o->letter, o->name,
		    o->value ? " " : "", o->value ? o->value : "");
		fprintf(to, "  %-20s %s\n", left, o->help);
	}
	fputs("signals: HUP reload, QUIT drain and stop, TERM stop, USR1 reopen the logs\n", to);
}
