/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of gatewayctl. Each asks the admin API and prints the answer.
 */
#include "admin/ctl.h"
#include "shm/base/buf.h"

#define V1 CTL_V1

const struct ctl_command ctl_commands[] = {
#define CTL(words, args, min, max, fn, help) {words, args, min, max, fn, help},
#include "admin/ctl_cmds.def"
#undef CTL
    {0},
};

/* A list of what is not as it should be, below the rest, where there is any. */
static void
table_below(const json_t *list, const struct ctl_column *cols, unsigned n)
{
	if (json_array_size(list) == 0)
		return;
	putchar('\n');
	ctl_table(list, cols, n);
}

static void
table_status(const json_t *j)
{
	static const struct ctl_column unresolved[] = {
	    {"UNRESOLVED", "service", false},
	    {"ENDPOINT", "endpoint", false},
	    {"ERROR", "error", false},
	};
	static const struct ctl_column refused[] = {
	    {"REFUSED", "kind", false},
	    {"ID", "id", false},
	    {"SOURCE", "source", false},
	    {"ERROR", "error", false},
	};
	json_t *head = json_deep_copy(j);

	json_object_del(head, "unresolved");
	json_object_del(json_object_get(head, "state"), "refused");
	ctl_pairs(head);
	json_decref(head);
	table_below(json_object_get(j, "unresolved"), unresolved, ARRAY_LEN(unresolved));
	table_below(
	    json_object_get(json_object_get(j, "state"), "refused"), refused, ARRAY_LEN(refused));
}

/* What the keeper knows; a keeper that is busy does not keep the rest from being shown. */
static void
add_state(const struct ctl *c, json_t *status)
{
	struct ctl quick = *c;
	char *text = NULL;
	json_t *state = NULL;

	quick.timeout_s = MIN(c->timeout_s, 5);
	if (ctl_http(&quick, "GET", V1 "/state", NULL, &text) == 200)
		state = json_loads(text, 0, NULL);
	if (state != NULL)
		json_object_set_new(status, "state", state);
	free(text);
}

int
ctl_status(struct ctl *c)
{
	json_t *j;
	int rc = ctl_call(c, "GET", V1 "/status", NULL, &j);

	if (rc != CTL_OK)
		return rc;
	add_state(c, j);
	if (c->json)
		ctl_print_json(j);
	else
		table_status(j);
	json_decref(j);
	return CTL_OK;
}

static void
table_reload(const json_t *j)
{
	json_t *line;
	size_t i;

	json_array_foreach(json_object_get(j, "report"), i, line)
	    printf("%s\n", json_string_value(line));
	printf("reloaded: generation %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
	       " objects changed\n",
	    json_integer_value(json_object_get(j, "generation")),
	    json_integer_value(json_object_get(j, "changed")));
}

static void
table_reload_all(const json_t *j)
{
	(void)j;
	printf("every instance was rung; gatewayctl rollout status shows how they fare\n");
}

int
ctl_reload(struct ctl *c)
{
	bool all = ctl_flag(c, "--all");

	if (!ctl_rest(c, 0, 0, "reload [--all]"))
		return CTL_USAGE;
	if (all)
		return ctl_do(c, "POST", V1 "/reload?all=1", NULL, table_reload_all);
	return ctl_do(c, "POST", V1 "/reload", NULL, table_reload);
}

int
ctl_config_check(struct ctl *c)
{
	return ctl_check(c, c->argc > 0 ? c->argv[0] : NULL);
}

int
ctl_config_show(struct ctl *c)
{
	bool all = c->argc > 0 && strcmp(c->argv[0], "all") == 0;

	if (c->argc > 0 && !all) {
		fprintf(stderr, "gatewayctl: config show takes nothing or \"all\", not \"%s\"\n",
		    c->argv[0]);
		return CTL_USAGE;
	}
	return ctl_text_of(c,
	    c->json ? (all ? V1 "/config?all=1" : V1 "/config")
		    : (all ? V1 "/config?format=libconfig&all=1" : V1 "/config?format=libconfig"));
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

int
ctl_route_test(struct ctl *c)
{
	struct gbuf path = {0};
	char *method = ctl_escape(c->argv[0]), *url = ctl_escape(c->argv[1]);
	json_t *j;
	int rc;

	gbuf_printf(&path, V1 "/match?method=%s&url=%s", method, url);
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

int
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

int
ctl_stats(struct ctl *c)
{
	return ctl_show(c, V1 "/stats", table_stats);
}

int
ctl_metrics(struct ctl *c)
{
	return ctl_text_of(c, "/metrics");
}

int
ctl_log_level(struct ctl *c)
{
	if (c->argc == 0)
		return ctl_show(c, V1 "/log/level", ctl_pairs);
	return ctl_do(
	    c, "PUT", V1 "/log/level", json_pack("{s:s}", "level", c->argv[0]), ctl_pairs);
}

static void
table_drain(const json_t *j)
{
	printf("%s\n", json_string_value(json_object_get(j, "status")));
}

int
ctl_drain(struct ctl *c)
{
	return ctl_do(c, "POST", V1 "/drain", NULL, table_drain);
}
