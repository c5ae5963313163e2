/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of gatewayctl. Each asks the admin API and prints the answer.
 */
#include "admin/ctl.h"
#include "shm/base/buf.h"
#include "shm/base/num.h"

#define V1 CTL_V1

#define CTL(words, args, min, max, fn, help) static ctl_f fn;
#include "admin/ctl_cmds.def"
#undef CTL

const struct ctl_command ctl_commands[] = {
#define CTL(words, args, min, max, fn, help) {words, args, min, max, fn, help},
#include "admin/ctl_cmds.def"
#undef CTL
    {0},
};

static void
table_status(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"UNRESOLVED", "service", false},
	    {"ENDPOINT", "endpoint", false},
	    {"ERROR", "error", false},
	};
	const json_t *unresolved = json_object_get(j, "unresolved");
	json_t *head = json_copy((json_t *)(uintptr_t)j);

	json_object_del(head, "unresolved");
	ctl_pairs(head);
	json_decref(head);
	if (json_array_size(unresolved) == 0)
		return;
	putchar('\n');
	ctl_table(unresolved, cols, ARRAY_LEN(cols));
}

static int
ctl_status(struct ctl *c)
{
	return ctl_show(c, V1 "/status", table_status);
}

static int
ctl_reload(struct ctl *c)
{
	json_t *j, *line;
	size_t i;
	int rc = ctl_call(c, "POST", V1 "/reload", NULL, &j);

	if (rc != CTL_OK)
		return rc;
	if (c->json) {
		ctl_print_json(j);
	} else {
		json_array_foreach(json_object_get(j, "report"), i, line)
		    printf("%s\n", json_string_value(line));
		printf("reloaded: generation %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
		       " objects changed\n",
		    json_integer_value(json_object_get(j, "generation")),
		    json_integer_value(json_object_get(j, "changed")));
	}
	json_decref(j);
	return CTL_OK;
}

static int
ctl_config_check(struct ctl *c)
{
	return ctl_check(c, c->argc > 0 ? c->argv[0] : NULL);
}

static int
ctl_config_show(struct ctl *c)
{
	bool all = c->argc > 0 && strcmp(c->argv[0], "all") == 0;
	char *text = NULL;
	int status;

	if (c->argc > 0 && !all) {
		fprintf(stderr, "gatewayctl: config show takes nothing or \"all\", not \"%s\"\n",
		    c->argv[0]);
		return CTL_USAGE;
	}
	status = ctl_http(c, "GET",
	    c->json ? (all ? V1 "/config?all=1" : V1 "/config")
		    : (all ? V1 "/config?format=libconfig&all=1" : V1 "/config?format=libconfig"),
	    NULL, &text);
	if (status < 0)
		return CTL_UNREACHABLE;
	fputs(text != NULL ? text : "", status == 200 ? stdout : stderr);
	free(text);
	return status == 200 ? CTL_OK : CTL_REFUSED;
}

static void
table_routes(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"ROUTE", "id", false},
	    {"HOST", "host", false},
	    {"PATH", "path", false},
	    {"METHOD", "method", false},
	    {"SERVICE", "service", false},
	    {"PRIORITY", "priority", true},
	    {"GENERATION", "generation", true},
	};

	ctl_table(json_object_get(j, "routes"), cols, ARRAY_LEN(cols));
}

static int
ctl_routes(struct ctl *c)
{
	return ctl_show(c, V1 "/routes", table_routes);
}

static void
table_route_test(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"CANDIDATE", "route", false},
	    {"TAKEN", "taken", false},
	    {"WHY", "why", false},
	};
	const json_t *tried = json_object_get(j, "tried");
	json_t *head = json_copy((json_t *)(uintptr_t)j);

	json_object_del(head, "tried");
	ctl_pairs(head);
	json_decref(head);
	if (json_array_size(tried) == 0)
		return;
	putchar('\n');
	ctl_table(tried, cols, ARRAY_LEN(cols));
}

static int
ctl_route_test(struct ctl *c)
{
	struct gbuf path = {0};
	char *method = ctl_escape(c->argv[0]), *url = ctl_escape(c->argv[1]);
	json_t *j;
	int rc;

	gbuf_printf(&path, V1 "/routes/test?method=%s&url=%s", method, url);
	for (int i = 2; i < c->argc; i++) {
		char *header = ctl_escape(c->argv[i]);

		gbuf_printf(&path, "&header=%s", header);
		free(header);
	}
	gbuf_u8(&path, 0);
	rc = ctl_call(c, "GET", path.p, NULL, &j);
	free(method);
	free(url);
	gbuf_free(&path);
	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_print_json(j);
	else
		table_route_test(j);
	rc = json_is_true(json_object_get(j, "matched")) ? CTL_OK : CTL_REFUSED;
	json_decref(j);
	return rc;
}

static void
table_services(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"SERVICE", "id", false},
	    {"STATUS", "status", false},
	    {"USABLE", "usable", true},
	    {"ENDPOINTS", "endpoints", true},
	    {"IN FLIGHT", "in_flight", true},
	};

	ctl_table(json_object_get(j, "services"), cols, ARRAY_LEN(cols));
}

static int
ctl_services(struct ctl *c)
{
	return ctl_show(c, V1 "/services", table_services);
}

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

static int
ctl_endpoints(struct ctl *c)
{
	char path[512];
	char *service = ctl_escape(c->argc > 0 ? c->argv[0] : "");

	snprintf(path, sizeof(path), V1 "/endpoints%s%s", c->argc > 0 ? "?service=" : "", service);
	free(service);
	return ctl_show(c, path, table_endpoints);
}

/* argv: SERVICE ENDPOINT, then FOR at `at` when given. */
static int
ctl_endpoint_change(struct ctl *c, json_t *take_body, int at)
{
	char path[1024];
	char *service = ctl_escape(c->argv[0]), *endpoint = ctl_escape(c->argv[1]);
	json_t *j;
	int rc;

	if (c->argc > at)
		json_object_set_new(take_body, "expires", json_string(c->argv[at]));
	snprintf(path, sizeof(path), V1 "/endpoints/%s/%s", service, endpoint);
	free(service);
	free(endpoint);
	rc = ctl_call(c, "POST", path, take_body, &j);
	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_print_json(j);
	else
		printf("%" JSON_INTEGER_FORMAT " endpoint(s) changed\n",
		    json_integer_value(json_object_get(j, "matched")));
	json_decref(j);
	return CTL_OK;
}

static int
ctl_endpoint_verdict(struct ctl *c)
{
	return ctl_endpoint_change(c, json_pack("{s:s}", "verdict", c->verb), 2);
}

static int
ctl_endpoint_weight(struct ctl *c)
{
	const char *error;
	uint64_t n;

	if (num_u64(str_of(c->argv[2]), 1000, &n, &error) < 0) {
		fprintf(stderr, "gatewayctl: weight: a whole number from 0 to 1000, not \"%s\"\n",
		    c->argv[2]);
		return CTL_USAGE;
	}
	return ctl_endpoint_change(c, json_pack("{s:i}", "weight", (int)n), 3);
}

static void
table_workers(const json_t *j)
{
	static const struct ctl_column cols[] = {
	    {"KIND", "kind", false},
	    {"SLOT", "slot", true},
	    {"PID", "pid", true},
	    {"STATE", "state", false},
	    {"STARTED", "started", false},
	    {"RESTARTS", "restarts", true},
	    {"GENERATION", "generation", true},
	    {"CONNECTIONS", "connections", true},
	    {"REQUESTS", "requests", true},
	    {"RSS", "rss_bytes", true},
	    {"CPU US", "cpu_us", true},
	    {"FDS", "fds", true},
	};

	ctl_table(json_object_get(j, "processes"), cols, ARRAY_LEN(cols));
}

static int
ctl_workers(struct ctl *c)
{
	return ctl_show(c, V1 "/workers", table_workers);
}

static void
table_stats(const json_t *j)
{
	ctl_pairs(json_object_get(j, "counters"));
	if (json_object_size(json_object_get(j, "reasons")) > 0) {
		printf("\nrequests that ended early or were answered here, by reason\n");
		ctl_pairs(json_object_get(j, "reasons"));
	}
}

static int
ctl_stats(struct ctl *c)
{
	return ctl_show(c, V1 "/stats", table_stats);
}

static int
ctl_metrics(struct ctl *c)
{
	char *text = NULL;
	int status = ctl_http(c, "GET", "/metrics", NULL, &text);

	if (status < 0)
		return CTL_UNREACHABLE;
	fputs(text != NULL ? text : "", status == 200 ? stdout : stderr);
	free(text);
	return status == 200 ? CTL_OK : CTL_REFUSED;
}

static int
ctl_log_level(struct ctl *c)
{
	json_t *j;
	int rc;

	if (c->argc == 0)
		return ctl_show(c, V1 "/log/level", ctl_pairs);
	rc = ctl_call(c, "PUT", V1 "/log/level", json_pack("{s:s}", "level", c->argv[0]), &j);
	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_print_json(j);
	else
		ctl_pairs(j);
	json_decref(j);
	return CTL_OK;
}

static int
ctl_drain(struct ctl *c)
{
	json_t *j;
	int rc = ctl_call(c, "POST", V1 "/drain", NULL, &j);

	if (rc != CTL_OK)
		return rc;
	if (c->json)
		ctl_print_json(j);
	else
		printf("draining\n");
	json_decref(j);
	return CTL_OK;
}
