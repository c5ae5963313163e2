/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl rollout status: has every instance what the console has?
 */
#include <poll.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/num.h"

#define V1 CTL_V1

static const char *
text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "";
}

static json_int_t
number_of(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

/* "gw1 refused route orders: what is wrong", for each. */
static void
print_refusals(const json_t *one)
{
	json_t *errors = json_object_get(one, "errors"), *e;
	size_t i;

	json_array_foreach(errors, i, e)
	{
		const char *kind = text_of(e, "kind");

		printf("%s%s%s%s%s: %s\n", text_of(one, "instance"),
		    kind[0] != '\0' ? " refused " : "", kind, kind[0] != '\0' ? " " : "",
		    text_of(e, "id"), text_of(e, "error"));
	}
}

/* How many have the newest and refused nothing. */
static json_int_t
rollout_good(const json_t *j)
{
	return number_of(j, "in_sync");
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(
	    text_of(*(json_t *const *)a, "instance"), text_of(*(json_t *const *)b, "instance"));
}

/* A copy of the list by name: as it comes, it is by the time of the last word. */
static json_t *
sorted(const json_t *list)
{
	size_t n = json_array_size(list), i;
	json_t **v = xcalloc(n + 1, sizeof(json_t *)), *out = json_array(), *one;

	json_array_foreach(list, i, one)
	{
		v[i] = one;
	}
	qsort(v, n, sizeof(json_t *), by_name);
	for (i = 0; i < n; i++)
		json_array_append(out, v[i]);
	free(v);
	return out;
}

static void
table_rollout(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"INSTANCE", "instance", false},
	    {"HOST", "host", false},
	    {"IN SYNC", "in_sync", false},
	    {"NUMBER", "number", true},
	    {"STATE", "state", false},
	    {"REFUSED", "refused", true},
	    {"OVERRIDES", "overrides", true},
	    {"GENERATION", "generation", true},
	    {"SEEN", "seen", false},
	};
	json_t *list = sorted(json_object_get(j, "instances")), *one;
	bool any = false;
	size_t i;

	if (number_of(j, "number") == 0)
		printf("nothing is published in Redis yet\n\n");
	else
		printf("version %" JSON_INTEGER_FORMAT " of epoch %s: %" JSON_INTEGER_FORMAT
		       " of %" JSON_INTEGER_FORMAT " instances\n\n",
		    number_of(j, "number"), text_of(j, "epoch"), rollout_good(j),
		    number_of(j, "of"));
	ctl_table(list, cols, ARRAY_LEN(cols));
	json_array_foreach(list, i, one)
	{
		if (!any && json_array_size(json_object_get(one, "errors")) > 0)
			printf("\n");
		any |= json_array_size(json_object_get(one, "errors")) > 0;
		print_refusals(one);
	}
	json_decref(list);
}

static bool
rollout_done(const json_t *j)
{
	return number_of(j, "of") > 0 && rollout_good(j) == number_of(j, "of");
}

/* One line that is written over, where there is a terminal. */
static void
progress(const struct ctl *c, const json_t *j)
{
	if (!c->json && isatty(STDERR_FILENO))
		fprintf(stderr,
		    "\r%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
		    " instances have version %" JSON_INTEGER_FORMAT " ",
		    rollout_good(j), number_of(j, "of"), number_of(j, "number"));
}

static uint64_t
now_ms(void)
{
	clock_tick();
	return clock_ms();
}

int
ctl_rollout(struct ctl *c)
{
	const char *wait = ctl_option(c, "--wait"), *error;
	uint64_t ms = 0, end;
	json_t *j = NULL;
	int rc;

	if (!ctl_rest(c, 0, 0, "rollout status [--wait DURATION]"))
		return CTL_USAGE;
	if (wait != NULL && num_duration(str_of(wait), &ms, &error) < 0) {
		fprintf(stderr, "gatewayctl: --wait: a duration such as 30s, not \"%s\"\n", wait);
		return CTL_USAGE;
	}
	end = now_ms() + ms;
	for (;;) {
		rc = ctl_call(c, "GET", V1 "/rollout", NULL, &j);
		if (rc != CTL_OK || rollout_done(j) || now_ms() >= end)
			break;
		progress(c, j);
		json_decref(j);
		(void)poll(NULL, 0, 200);
	}
	if (rc != CTL_OK)
		return rc;
	if (ms > 0)
		progress(c, j);
	if (ms > 0 && !c->json && isatty(STDERR_FILENO))
		fputc('\n', stderr);
	if (c->json)
		ctl_print_json(j);
	else
		table_rollout(j);
	rc = rollout_done(j) ? CTL_OK : CTL_REFUSED;
	json_decref(j);
	return rc;
}
