/* SPDX-License-Identifier: Apache-2.0 */
#include "test/unit/harness.h"
#include "master/args.h"

#define A(s) ((char *)(uintptr_t)(s))

static int
parse(char **argv, struct args *a, const char **error)
{
	int n = 0;

	while (argv[n])
		n++;
	return args_parse(n, argv, a, error);
}

static const struct {
	const char *argv[4];
	enum args_mode mode;
	bool daemon;
	const char *conf;
} good[] = {
    {{NULL}, ARGS_RUN, false, GW_CONF_DIR "/gateway.conf"},
    {{"-c", "a.conf"}, ARGS_RUN, false, "a.conf"},
    {{"-ca.conf"}, ARGS_RUN, false, "a.conf"},
    {{"--config=a.conf", "-d"}, ARGS_RUN, true, "a.conf"},
    {{"--config", "a.conf", "--daemon"}, ARGS_RUN, true, "a.conf"},
    {{"-t"}, ARGS_TEST, false, GW_CONF_DIR "/gateway.conf"},
    {{"-tc", "a.conf"}, ARGS_TEST, false, "a.conf"},
    {{"-tca.conf"}, ARGS_TEST, false, "a.conf"},
    {{"--test", "-c", "-odd"}, ARGS_TEST, false, "-odd"},
    {{"-T"}, ARGS_SHOW, false, GW_CONF_DIR "/gateway.conf"},
    {{"-V"}, ARGS_VERSION, false, GW_CONF_DIR "/gateway.conf"},
    {{"-h"}, ARGS_HELP, false, GW_CONF_DIR "/gateway.conf"},
    {{"--help"}, ARGS_HELP, false, GW_CONF_DIR "/gateway.conf"},
    {{"--manual"}, ARGS_MANUAL, false, GW_CONF_DIR "/gateway.conf"},
};

static void
what_people_write(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char *argv[6] = {A("gateway")};
		struct args a;
		const char *error;

		for (size_t k = 0; k < ARRAY_LEN(good[i].argv); k++)
			argv[k + 1] = A(good[i].argv[k]);
		assert_int_equal(parse(argv, &a, &error), 1);
		assert_int_equal(a.mode, good[i].mode);
		assert_int_equal(a.daemon, good[i].daemon);
		assert_string_equal(a.conf_file, good[i].conf);
	}
}

static const struct {
	const char *argv[3], *error;
} bad[] = {
    {{"-x"}, "unknown option: -x"},
    {{"-tx"}, "unknown option: -tx"},
    {{"--nonsense"}, "unknown option: --nonsense"},
    {{"--"}, "unknown option: --"},
    {{"-c"}, "an option lacks its value: -c"},
    {{"--config"}, "an option lacks its value: --config"},
    {{"--config="}, "an option lacks its value: -c"},
    {{"-c", ""}, "an option lacks its value: -c"},
    {{"--test=yes"}, "an option takes no value: --test=yes"},
    {{"a.conf"}, "not an option: a.conf"},
    {{"-"}, "not an option: -"},
};

static void
what_is_wrong_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *argv[5] = {A("gateway")};
		struct args a = {.conf_file = "untouched"};
		const char *error = "";

		for (size_t k = 0; k < ARRAY_LEN(bad[i].argv); k++)
			argv[k + 1] = A(bad[i].argv[k]);
		assert_int_equal(parse(argv, &a, &error), -1);
		assert_string_equal(error, bad[i].error);
		assert_string_equal(a.conf_file, "untouched");
	}
}

static void
usage_names_every_option(void **state)
{
	char text[4096] = "";
	FILE *f = fmemopen(text, sizeof(text) - 1, "w");

	(void)state;
	args_usage(f);
	fclose(f);
	for (const char *p = "cdtTVh"; *p; p++) {
		char option[8];

		snprintf(option, sizeof(option), "  -%c, ", *p);
		assert_non_null(strstr(text, option));
	}
	assert_null(strstr(text, "manual"));
}

static const struct CMUnitTest tests[] = {
    TEST(what_people_write),
    TEST(what_is_wrong_is_named),
    TEST(usage_names_every_option),
};
RUN_TESTS(tests)
