/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of gatewayctl's commands, and the words that name kinds.
 */
#include "admin/ctl.h"
#include "conf/object.h"

static void
args_drop(struct ctl *c, int at, int n)
{
	for (int i = at; i + n < c->argc; i++)
		c->argv[i] = c->argv[i + n];
	c->argc -= n;
}

bool
ctl_flag(struct ctl *c, const char *name)
{
	for (int i = 0; i < c->argc; i++) {
		if (strcmp(c->argv[i], name) != 0)
			continue;
		args_drop(c, i, 1);
		return true;
	}
	return false;
}

const char *
ctl_option(struct ctl *c, const char *name)
{
	for (int i = 0; i + 1 < c->argc; i++) {
		const char *value = c->argv[i + 1];

		if (strcmp(c->argv[i], name) != 0)
			continue;
		args_drop(c, i, 2);
		return value;
	}
	return NULL;
}

bool
ctl_rest(const struct ctl *c, int min, int max, const char *usage)
{
	bool good = c->argc >= min && c->argc <= max;

	for (int i = 0; i < c->argc; i++)
		good &= c->argv[i][0] != '-';
	if (!good)
		fprintf(stderr, "usage: gatewayctl %s\n", usage);
	return good;
}

const char *
ctl_kind(const char *word)
{
	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++)
		if (strcmp(word, object_kinds[k].list) == 0 ||
		    strcmp(word, object_kinds[k].word) == 0)
			return object_kinds[k].list;
	fprintf(stderr,
	    "gatewayctl: \"%s\" is no kind; allowed: listeners, services, routes, certificates\n",
	    word);
	return NULL;
}
