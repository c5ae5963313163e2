/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl rollout status: has every instance what the console has?
 */
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl.h"
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

static bool
has_newest(const json_t *rollout, const json_t *one)
{
	return strcmp(text_of(one, "epoch"), text_of(rollout, "epoch")) == 0 &&
	       number_of(one, "number") >= number_of(rollout, "number");
}

/* "routes orders: what is wrong", for each the instance refused. */
static void
print_refusals(const json_t *one)
{
	json_t *errors = json_object_get(one, "errors"), *e;
	size_t i;

	json_array_foreach(errors, i, e) printf("  %s refused %s %s: %s\n",
	    text_of(one, "instance"), text_of(e, "kind"), text_of(e, "id"), text_of(e, "error"));
	if (json_array_size(errors) == 0 && text_of(one, "error")[0] != '\0')
		printf("  %s: %s\n", text_of(one, "instance"), text_of(one, "error"));
}

/* How many have it and refused nothing. */
static size_t
rollout_good(const json_t *j)
{
	json_t *one;
	size_t i, good = 0;

	json_array_foreach(json_object_get(j, "instances"), i, one) good +=
	    has_newest(j, one) && number_of(one, "refused") == 0;
	return good;
}

static void
table_rollout(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"INSTANCE", "instance", false},
	    {"HOST", "host", false},
	    {"NUMBER", "number", true},
	    {"STATE", "state", false},
	    {"REFUSED", "refused", true},
	    {"GENERATION", "generation", true},
	    {"VERSION", "version", false},
	    {"TIME", "time", false},
	};
	json_t *list = json_object_get(j, "instances"), *one;
	size_t i;

	printf("version %" JSON_INTEGER_FORMAT " of epoch %s: %zu of %zu instances\n\n",
	    number_of(j, "number"), text_of(j, "epoch"), rollout_good(j), json_array_size(list));
	ctl_table(list, cols, ARRAY_LEN(cols));
	json_array_foreach(list, i, one) if (number_of(one, "refused") > 0) print_refusals(one);
}

static bool
rollout_done(const json_t *j)
{
	size_t n = json_array_size(json_object_get(j, "instances"));

	return n > 0 && rollout_good(j) == n;
}

/* One line that is written over, where there is a terminal. */
static void
progress(const struct ctl *c, const json_t *j)
{
	if (!c->json && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%zu of %zu instances have version %" JSON_INTEGER_FORMAT " ",
		    rollout_good(j), json_array_size(json_object_get(j, "instances")),
		    number_of(j, "number"));
}

static uint64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(
	    CLOCK_MONOTONIC, &t); /* lint: allow: a client has no loop whose turn to read */
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
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
