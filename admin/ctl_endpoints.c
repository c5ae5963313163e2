/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl endpoints: lists, verdicts, and sets of their own rhythm.
 */
#include "admin/ctl.h"
#include "shm/base/buf.h"
#include "shm/base/num.h"

#define V1 CTL_V1

static void
table_endpoints(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"SERVICE", "service", false},
	    {"ENDPOINT", "endpoint", false},
	    {"STATE", "state", false},
	    {"VERDICT", "verdict", false},
	    {"WEIGHT", "weight", true},
	    {"IN FLIGHT", "in_flight", true},
	    {"PICKS", "picks", true},
	    {"FAILURES", "failures", true},
	    {"ERROR", "error", false},
	};

	ctl_table(json_object_get(j, "endpoints"), cols, ARRAY_LEN(cols));
}

int
ctl_endpoints(struct ctl *c)
{
	char path[512];
	char *service = ctl_escape(c->argc > 0 ? c->argv[0] : "");

	snprintf(path, sizeof(path), V1 "/endpoints%s%s", c->argc > 0 ? "?service=" : "", service);
	free(service);
	return ctl_show(c, path, table_endpoints);
}

/* --- verdicts --------------------------------------------------------------------------------- */

static void
table_verdict(const json_t *j)
{
	json_int_t number = json_integer_value(json_object_get(j, "number"));

	if (number > 0)
		printf("published as version %" JSON_INTEGER_FORMAT " of the console\n", number);
	else
		printf("in force in every worker\n");
}

/* argv: SERVICE ENDPOINT, then FOR at `at` when given. */
static int
verdict_send(struct ctl *c, json_t *take_body, int at)
{
	char path[1024];
	char *service = ctl_escape(c->argv[0]), *endpoint = ctl_escape(c->argv[1]);

	if (c->argc > at)
		json_object_set_new(take_body, "expires", json_string(c->argv[at]));
	snprintf(path, sizeof(path), V1 "/endpoints/%s/%s", service, endpoint);
	free(service);
	free(endpoint);
	return ctl_do(c, "POST", path, take_body, table_verdict);
}

int
ctl_endpoint_verdict(struct ctl *c)
{
	return verdict_send(c, json_pack("{s:s}", "verdict", c->verb), 2);
}

int
ctl_endpoint_weight(struct ctl *c)
{
	const char *error;
	uint64_t n;

	if (num_u64(str_of(c->argv[2]), 1000, &n, &error) < 0) {
		fprintf(stderr, "gatewayctl: weight: a whole number from 0 to 1000, not \"%s\"\n",
		    c->argv[2]);
		return CTL_USAGE;
	}
	return verdict_send(c, json_pack("{s:i}", "weight", (int)n), 3);
}

/* --- sets ------------------------------------------------------------------------------------- */

/* "http://10.0.0.1:80=5" */
static json_t *
endpoint_of(const char *word)
{
	const char *eq = strrchr(word, '='), *error;
	uint64_t weight;

	if (eq == NULL || num_u64(str_of(eq + 1), 1000, &weight, &error) < 0)
		return json_pack("{s:s}", "url", word);
	return json_pack("{s:s%, s:i}", "url", word, (size_t)(eq - word), "weight", (int)weight);
}

static char *
set_path(const char *service, const char *below)
{
	struct gbuf path = {0};
	char *id = ctl_escape(service), *rest = ctl_escape(below);

	gbuf_printf(&path, V1 "/services/%s/endpoints%s%s", id, below[0] != '\0' ? "/" : "", rest);
	gbuf_u8(&path, 0);
	free(id);
	free(rest);
	return path.p;
}

static void
table_set(const json_t *j)
{
	ctl_print_changed(j, true);
}

int
ctl_endpoints_set(struct ctl *c)
{
	json_t *list = json_array();
	char *path = set_path(c->argv[0], "");
	int rc;

	for (int i = 1; i < c->argc; i++)
		json_array_append_new(list, endpoint_of(c->argv[i]));
	rc = ctl_do(c, strcmp(c->verb, "add") == 0 ? "POST" : "PUT", path,
	    json_pack("{s:o}", "endpoints", list), table_set);
	free(path);
	return rc;
}

static int
set_delete(struct ctl *c, const char *below)
{
	char *path = set_path(c->argv[0], below);
	int rc = ctl_do(c, "DELETE", path, NULL, table_set);

	free(path);
	return rc;
}

int
ctl_endpoints_remove(struct ctl *c)
{
	return set_delete(c, c->argv[1]);
}

int
ctl_endpoints_reset(struct ctl *c)
{
	return set_delete(c, "");
}
