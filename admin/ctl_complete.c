/* SPDX-License-Identifier: Apache-2.0
 *
 * What may follow, for the shell: words of the command table, and where its arguments say KIND, ID,
 * SERVICE, ENDPOINT or NAME, what the running instance has.
 */
#include <unistd.h>

#include "admin/ctl.h"
#include "conf/object.h"

#define V1        CTL_V1
#define SHELL_IDS 200 /* more would not be read */

/* Prints the next word of a command that begins with what was said. How many words of `words` are
 * said, or -1 when it is another command. */
static int
words_said(const struct ctl_command *k, int argc, char **argv, bool *whole_r)
{
	const char *p = k->words;
	int said = 0;

	for (; said < argc && *p != '\0'; said++) {
		size_t n = strcspn(p, " ");

		if (strlen(argv[said]) != n || strncmp(argv[said], p, n) != 0)
			return -1;
		p += n + (p[n] == ' ');
	}
	*whole_r = *p == '\0';
	if (!*whole_r && said == argc)
		printf("%.*s\n", (int)strcspn(p, " "), p);
	return said;
}

/* The member `key` of every entry of `list` in the answer. Silent when there is no answer. */
static void
print_members(const struct ctl *c, const char *path, const char *list, const char *key)
{
	char *text = NULL;
	json_t *j = NULL, *one;
	size_t i;

	if (access(c->socket, W_OK) == 0 && ctl_http(c, "GET", path, NULL, &text) == 200)
		j = json_loads(text, 0, NULL);
	json_array_foreach(json_object_get(j, list), i, one)
	{
		const char *s = json_string_value(json_object_get(one, key));

		if (s != NULL)
			printf("%s\n", s);
	}
	json_decref(j);
	free(text);
}

static void
print_ids(const struct ctl *c, const char *word)
{
	char path[128];

	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++) {
		const char *list = object_kinds[k].list;

		if (strcmp(word, list) != 0 && strcmp(word, object_kinds[k].word) != 0)
			continue;
		snprintf(path, sizeof(path), V1 "/%s?limit=%d", list, SHELL_IDS);
		print_members(c, path, list, "id");
	}
}

static void
print_kinds(void)
{
	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++)
		printf("%s\n", object_kinds[k].list);
}

static bool
slot_is(const char *slot, size_t n, const char *name)
{
	while (n > 0 && (*slot == '[')) {
		slot++;
		n--;
	}
	while (n > 0 && slot[n - 1] == ']')
		n--;
	return strlen(name) == n && strncmp(slot, name, n) == 0;
}

/* The argument at place `at` of the command, argv being those before it. */
static void
print_argument(const struct ctl *c, const struct ctl_command *k, int at, char **argv)
{
	const char *p = k->args;
	size_t n;

	for (int i = 0; i < at && *p != '\0'; i++) {
		n = strcspn(p, " ");
		p += n + (p[n] == ' ');
	}
	n = strcspn(p, " ");
	if (slot_is(p, n, "KIND"))
		print_kinds();
	else if (slot_is(p, n, "ID") && at > 0)
		print_ids(c, argv[at - 1]);
	else if (slot_is(p, n, "SERVICE"))
		print_ids(c, "services");
	else if (slot_is(p, n, "ENDPOINT") && at > 0) {
		char path[512], *service = ctl_escape(argv[at - 1]);

		snprintf(path, sizeof(path), V1 "/endpoints?service=%s", service);
		free(service);
		print_members(c, path, "endpoints", "endpoint");
	} else if (slot_is(p, n, "NAME"))
		print_members(c, V1 "/overrides", "overrides", "name");
}

/* Options, as the arguments spell them: "[--dry-run]". */
static void
print_options(const struct ctl_command *k)
{
	char before = ' ';

	for (const char *p = k->args; *p != '\0'; before = *p++)
		if (*p == '-' && (before == ' ' || before == '['))
			printf("%.*s\n", (int)strcspn(p, " ]|"), p);
}

int
ctl_complete(struct ctl *c)
{
	c->timeout_s = 2;
	for (const struct ctl_command *k = ctl_commands; k->words != NULL; k++) {
		bool whole = false;
		int said = words_said(k, c->argc, c->argv, &whole);

		if (said < 0 || !whole)
			continue;
		print_argument(c, k, c->argc - said, c->argv + said);
		print_options(k);
	}
	return CTL_OK;
}
