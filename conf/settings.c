/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of the instance: what stands at the top level of the files.
 */
#include "conf/settings.h"

#include "conf/check.h"
#include "conf/pattern.h"
#include "conf/settings_redis.h"
#include "shm/base/log.h"
#include "shm/heritage.h"

#define AT(member)        FIELD_AT(struct conf_settings, member)
#define IN(group, member) FIELD_IN(struct conf_settings, group, member)
#define SIZE(group)       FIELD_SIZE(struct conf_settings, group)
#define TABLE(name_, group, help_)                                                                 \
	static const struct fields name_##_fields = {.name = #name_,                               \
	    .help = help_,                                                                         \
	    .size = SIZE(group),                                                                   \
	    .v = name_##_rows,                                                                     \
	    .n = ARRAY_LEN(name_##_rows)}

static const char *const level_names[] = {"error", "warn", "info", "debug", NULL};
static const char *const role_names[] = {"none", "viewer", "admin", NULL};

static const struct field users_rows[] = {
    {.name = "prefix",
	.type = F_STRING,
	.offset = IN(users, prefix),
	.flags = FIELD_RESTART,
	.def = "gateway",
	.help = "Started as root, each kind of process runs as a user of its own: PREFIX-worker, "
		"PREFIX-keeper and so on, in the group PREFIX. Started otherwise, all run as the "
		"caller."},
};
TABLE(users, users, "The users processes run as.");

static const struct field error_log_rows[] = {
    {.name = "path",
	.type = F_STRING,
	.offset = IN(error_log, path),
	.flags = FIELD_RESTART | FIELD_PATH,
	.def = "stderr",
	.help = "\"stderr\", or a file; USR1 opens it again.",
	.example = "path = \"/var/log/gateway/error.log\";"},
    {.name = "level",
	.type = F_ENUM,
	.offset = IN(error_log, level),
	.def = "info",
	.names = level_names,
	.help = "Lines of this level and the more severe ones are written."},
};
TABLE(error_log, error_log, "What the gateway has to say about itself.");

static const struct field access_log_rows[] = {
    {.name = "enabled",
	.type = F_BOOL,
	.offset = IN(access_log, enabled),
	.def = "true",
	.help = "Write a line of JSON for each request."},
    {.name = "path",
	.type = F_STRING,
	.offset = IN(access_log, path),
	.flags = FIELD_RESTART | FIELD_PATH,
	.def = "stdout",
	.help = "\"stdout\", \"stderr\" or a file; USR1 opens it again.",
	.example = "path = \"/var/log/gateway/access.log\";"},
    {.name = "health",
	.type = F_BOOL,
	.offset = IN(access_log, health),
	.def = "false",
	.help = "Log health checks too."},
    {.name = "ring",
	.type = F_SIZE,
	.offset = IN(access_log, ring),
	.flags = FIELD_RESTART,
	.def = "1m",
	.min = 64 * FIELD_KB,
	.max = FIELD_GB,
	.unit = "octets",
	.help =
	    "Buffer of each worker towards the logger, rounded up to a power of two. Lines that "
	    "find it full are dropped and counted; a worker never waits."},
};
TABLE(access_log, access_log, "A line for each request.");

#define LIMIT(member, default_, min_, max_, unit_, flags_, text)                                   \
	{                                                                                          \
		.name = #member, .type = F_INT, .offset = IN(limits, member), .flags = flags_,     \
		.def = default_, .min = min_, .max = max_, .unit = unit_, .help = text             \
	}
static const struct field limits_rows[] = {
    LIMIT(worker_slots, "16", 1, SLOT_MAX, "workers", FIELD_RESTART,
	"Room for workers; workers may be raised up to it without a restart."),
    LIMIT(endpoints, "4096", 1, 1000000, "endpoints", FIELD_RESTART,
	"Room for endpoints of all services, counting each address of a name."),
    LIMIT(services, "1024", 1, 1000000, "services", FIELD_RESTART, "Room for services."),
    LIMIT(metric_rows, "4096", 16, 1000000, "rows", FIELD_RESTART,
	"Routes and services with metrics of their own; what comes after is counted together as "
	"\"(other)\"."),
    LIMIT(connections, "10000", 1, 10000000, "connections", 0,
	"Client connections of each worker; at the limit new ones wait to be accepted."),
    LIMIT(plans, "4096", 16, 1000000, "plans", 0,
	"Plans each worker keeps prepared, and 32 routes for each; routes that differ only in id, "
	"host, path and method share a plan. Those not used lately make room."),
    LIMIT(pipes, "64", 0, 4096, "pipes", 0,
	"Pipes each worker may hold, two descriptors each, through which large bodies go from one "
	"plain socket to another without being copied. Fewer where descriptors are few. 0: bodies "
	"always go through buffers."),
    LIMIT(routes, "200000", 1, 10000000, "routes", 0,
	"Routes of all sources together; a change that would make more is refused."),
    LIMIT(history, "100", 1, 100000, "changes", 0,
	"Changes kept with author, time and what they changed, to look at and to go back to."),
    {.name = "state_size",
	.type = F_SIZE,
	.offset = IN(limits, state_size),
	.flags = FIELD_RESTART,
	.def = "256m",
	.min = 16 * FIELD_MB,
	.max = 64 * FIELD_GB,
	.unit = "octets",
	.help = "Largest size of the durable state in state_directory: what came through the admin "
		"API and from the console, and the history. Disk is taken only as it is filled."},
    {.name = "map_size",
	.type = F_SIZE,
	.offset = IN(limits, map_size),
	.flags = FIELD_RESTART,
	.def = "256m",
	.min = FIELD_MB,
	.max = 64 * FIELD_GB,
	.unit = "octets",
	.help =
	    "Address space for the compiled configuration in shared memory; memory is taken only "
	    "as it is filled."},
    {.name = "descriptors",
	.type = F_SIZE,
	.offset = IN(limits, descriptors),
	.flags = FIELD_RESTART,
	.def = "64k",
	.min = 0,
	.max = 1 << 30,
	.unit = "descriptors",
	.help = "Open files wanted for each process; as many as the system allows are taken. 0: as "
		"the gateway was started."},
};
TABLE(limits, limits, "How much there is room for.");

static const struct field shutdown_rows[] = {
    {.name = "min_drain",
	.type = F_DURATION,
	.offset = IN(shutdown, min_drain),
	.def = "5s",
	.min = 0,
	.max = FIELD_HOUR,
	.help = "After QUIT /health answers 503 at once, but connections are accepted for so long, "
		"until load balancers have noticed."},
    {.name = "deadline",
	.type = F_DURATION,
	.offset = IN(shutdown, deadline),
	.def = "30s",
	.min = 0,
	.max = FIELD_DAY,
	.help = "After QUIT requests may take so long in all; then what is left is cut off."},
};
TABLE(shutdown, shutdown, "Stopping gracefully (QUIT).");

static const struct field supervision_rows[] = {
    {.name = "stuck_after",
	.type = F_DURATION,
	.offset = IN(supervision, stuck_after),
	.def = "10s",
	.min = FIELD_SECOND,
	.max = FIELD_HOUR,
	.help = "A process that gave no sign of life for so long is replaced."},
    {.name = "respawn_min",
	.type = F_DURATION,
	.offset = IN(supervision, respawn_min),
	.def = "100ms",
	.min = 1,
	.max = FIELD_HOUR,
	.help = "Pause before a process that died early is started again; it doubles each time."},
    {.name = "respawn_max",
	.type = F_DURATION,
	.offset = IN(supervision, respawn_max),
	.def = "10s",
	.min = 1,
	.max = FIELD_HOUR,
	.help = "Longest such pause."},
    {.name = "resolve_timeout",
	.type = F_DURATION,
	.offset = IN(supervision, resolve_timeout),
	.def = "5s",
	.min = 1,
	.max = 10 * 60 * FIELD_SECOND,
	.help = "How long a load waits for all host names together. An endpoint whose name is not "
		"resolved by then stays down; the load goes on."},
};
TABLE(supervision, supervision, "Watching over the processes.");

static const struct field role_rows[] = {
    {.name = "user",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_role, user),
	.help = "A user, by name or number. Either user or group is needed."},
    {.name = "group",
	.type = F_STRING,
	.offset = FIELD_AT(struct conf_role, group),
	.help = "A group, by name or number."},
    {.name = "role",
	.type = F_ENUM,
	.offset = FIELD_AT(struct conf_role, role),
	.flags = FIELD_REQUIRED,
	.names = role_names,
	.help = "What they may do: nothing, look, or everything."},
};

static void
role_check(void *self, struct conf_check *c)
{
	const struct conf_role *role = self;

	if (role->user.n > 0 && role->group.n > 0)
		check_error(c, "group", "stands beside user; one of the two is allowed");
	if (role->user.n == 0 && role->group.n == 0 && !check_given(c, "user") &&
	    !check_given(c, "group"))
		check_error(c, NULL, "has neither user nor group; one of them is needed");
}

static const struct fields role_fields = {
    .name = "role",
    .help = "Who may do what through the admin socket.",
    .size = sizeof(struct conf_role),
    .v = role_rows,
    .n = ARRAY_LEN(role_rows),
    .check = role_check,
};

static const struct field admin_rows[] = {
    {.name = "socket",
	.type = F_STRING,
	.offset = IN(admin, socket),
	.flags = FIELD_RESTART | FIELD_PATH,
	.help = "The admin socket. Left out: admin.sock in run_directory."},
    {.name = "roles",
	.type = F_LIST,
	.offset = IN(admin, roles),
	.sub = &role_fields,
	.help = "Who may do what through the socket. Left out: root and the gateway's own user are "
		"admin, the group of users.prefix is viewer.",
	.example = "roles = ( { group = \"wheel\"; role = \"admin\"; } );"},
    {.name = "metrics_listen",
	.type = F_STRING,
	.offset = IN(admin, metrics_listen),
	.flags = FIELD_RESTART,
	.def = "127.0.0.1:9145",
	.help = "Where /metrics is answered over TCP, beside the admin socket. Empty: nowhere."},
};
TABLE(admin, admin, "The admin API.");

static const struct field http_rows[] = {
    {.name = "request_id_header",
	.type = F_STRING,
	.offset = IN(http, request_id_header),
	.def = "X-Request-Id",
	.help =
	    "Header that carries the request id: taken over where a trusted proxy sent one, else "
	    "made."},
    {.name = "generation_header",
	.type = F_STRING,
	.offset = IN(http, generation_header),
	.help = "Response header with the number of the configuration a request was routed by. "
		"Empty: none.",
	.example = "generation_header = \"X-Gateway-Generation\";"},
    {.name = "server_name",
	.type = F_STRING,
	.offset = IN(http, server_name),
	.def = "gateway",
	.help = "What the gateway calls itself in Via."},
    {.name = "reveal_version",
	.type = F_BOOL,
	.offset = IN(http, reveal_version),
	.def = "false",
	.help = "Name the gateway's version to clients."},
};
TABLE(http, http, "HTTP for all listeners.");

static const struct field rows[] = {
    {.name = "workers",
	.type = F_INT,
	.offset = AT(workers),
	.def = "0",
	.min = 0,
	.max = SLOT_MAX,
	.unit = "processes",
	.help = "Worker processes. 0: one for each CPU the gateway may use, up to "
		"limits.worker_slots."},
    {.name = "run_directory",
	.type = F_STRING,
	.offset = AT(run_directory),
	.flags = FIELD_RESTART | FIELD_PATH,
	.def = GW_RUN_DIR,
	.help =
	    "Sockets and shared memory of this instance; best on a tmpfs. One instance at a time "
	    "can use it."},
    {.name = "state_directory",
	.type = F_STRING,
	.offset = AT(state_directory),
	.flags = FIELD_RESTART | FIELD_PATH,
	.def = GW_STATE_DIR,
	.help = "What must outlive a reboot."},
    {.name = "instance",
	.type = F_STRING,
	.offset = AT(instance),
	.flags = FIELD_RESTART,
	.def = "gateway",
	.help = "Name of this instance in logs, and towards the console."},
    {.name = "pid_file",
	.type = F_STRING,
	.offset = AT(pid_file),
	.flags = FIELD_RESTART | FIELD_PATH,
	.help = "File for the master's process id. Left out: none is written."},
    {.name = "watch_files",
	.type = F_BOOL,
	.offset = AT(watch_files),
	.def = "false",
	.help =
	    "Load the configuration again by itself when gateway.conf or a file of conf.d has "
	    "changed and a quarter of a second has been quiet since. What other files it "
	    "includes or names is not watched. A bad file changes nothing, as with any reload."},
    {.name = "users",
	.type = F_GROUP,
	.offset = AT(users),
	.sub = &users_fields,
	.help = "The users processes run as."},
    {.name = "error_log",
	.type = F_GROUP,
	.offset = AT(error_log),
	.sub = &error_log_fields,
	.help = "What the gateway has to say about itself."},
    {.name = "access_log",
	.type = F_GROUP,
	.offset = AT(access_log),
	.sub = &access_log_fields,
	.help = "A line for each request."},
    {.name = "limits",
	.type = F_GROUP,
	.offset = AT(limits),
	.sub = &limits_fields,
	.help = "How much there is room for."},
    {.name = "trusted_proxies",
	.type = F_CIDRS,
	.offset = AT(trusted_proxies),
	.help = "Peers whose X-Forwarded-*, Forwarded and request id headers are believed.",
	.example = "trusted_proxies = [ \"10.0.0.0/8\", \"2001:db8::/32\" ];"},
    {.name = "redis",
	.type = F_GROUP,
	.offset = AT(redis),
	.sub = &redis_fields,
	.help = "The console: a Redis that tells many instances their configuration."},
    {.name = "tls",
	.type = F_GROUP,
	.offset = AT(tls),
	.sub = &settings_tls_fields,
	.help = "TLS of all listeners."},
    {.name = "shutdown",
	.type = F_GROUP,
	.offset = AT(shutdown),
	.sub = &shutdown_fields,
	.help = "Stopping gracefully."},
    {.name = "supervision",
	.type = F_GROUP,
	.offset = AT(supervision),
	.sub = &supervision_fields,
	.help = "Watching over the processes."},
    {.name = "admin",
	.type = F_GROUP,
	.offset = AT(admin),
	.sub = &admin_fields,
	.help = "The admin API."},
    {.name = "http",
	.type = F_GROUP,
	.offset = AT(http),
	.sub = &http_fields,
	.help = "HTTP for all listeners."},
};

#define PROXIES_MAX 1024 /* they travel to the master in one message */
#define ROLES_MAX   256

static void
check_header_name(struct str name, const char *setting, struct conf_check *c)
{
	if (name.n > 0 && !pattern_token(name))
		check_error(c, setting,
		    "\"%.*s\" is not a header name; allowed: letters, digits and "
		    "!#$%%&'*+-.^_`|~",
		    STR_ARG(name));
}

static void
check_plain_name(struct str name, const char *setting, struct conf_check *c)
{
	if (name.n == 0 || name.n > 64 || !pattern_token(name))
		check_error(c, setting,
		    "\"%.*s\" is not a plain name; allowed: 1 to 64 letters, digits, \"-\", "
		    "\"_\", \".\"",
		    STR_ARG(name));
}

static void
check_directory(struct str path, const char *setting, struct conf_check *c)
{
	if (path.n == 0)
		check_error(c, setting, "empty; allowed: a directory");
	else if (path.n > 80) /* sockets below it have 107 octets in all */
		check_error(c, setting, "longer than 80 octets");
}

static void
check_metrics_listen(const struct conf_settings *s, struct conf_check *c)
{
	const char *error;
	struct addr a;

	if (s->admin.metrics_listen.n > 0 && addr_parse(s->admin.metrics_listen, 0, &a, &error) < 0)
		check_error(c, "admin.metrics_listen",
		    "\"%.*s\": %s; allowed: an address such as \"127.0.0.1:9145\", or \"\"",
		    STR_ARG(s->admin.metrics_listen), error);
}

/* A short deadline alone is no mistake: the default gives way to it. */
static void
check_shutdown(struct conf_settings *s, struct conf_check *c)
{
	if (s->shutdown.min_drain <= s->shutdown.deadline)
		return;
	if (check_given(c, "shutdown.min_drain"))
		check_error(c, "shutdown.min_drain", "longer than shutdown.deadline");
	else
		s->shutdown.min_drain = s->shutdown.deadline;
}

/* Each instance writes down under its name what it has in force. */
static void
check_instance(const struct conf_settings *s, struct conf_check *c)
{
	check_plain_name(s->instance, "instance", c);
	if (s->redis.addresses.n > 0 && !check_given(c, "instance"))
		check_warn(c, "instance",
		    "left out beside redis.addresses: every instance of a console needs a name of "
		    "its own");
}

static void
settings_check(void *self, struct conf_check *c)
{
	struct conf_settings *s = self;

	if (s->workers > s->limits.worker_slots)
		check_error(c, "workers", "%lld, more than limits.worker_slots (%lld)",
		    (long long)s->workers, (long long)s->limits.worker_slots);
	check_shutdown(s, c);
	if (s->supervision.respawn_min > s->supervision.respawn_max)
		check_error(c, "supervision.respawn_min", "longer than supervision.respawn_max");
	if (s->trusted_proxies.n > PROXIES_MAX)
		check_error(c, "trusted_proxies", "%u entries; allowed: up to %u",
		    s->trusted_proxies.n, PROXIES_MAX);
	if (s->admin.roles.n > ROLES_MAX)
		check_error(
		    c, "admin.roles", "%u entries; allowed: up to %u", s->admin.roles.n, ROLES_MAX);
	check_directory(s->run_directory, "run_directory", c);
	check_directory(s->state_directory, "state_directory", c);
	check_instance(s, c);
	check_plain_name(s->users.prefix, "users.prefix", c);
	check_plain_name(s->http.server_name, "http.server_name", c);
	check_header_name(s->http.request_id_header, "http.request_id_header", c);
	check_header_name(s->http.generation_header, "http.generation_header", c);
	check_metrics_listen(s, c);
}

const struct fields settings_fields = {
    .name = "settings",
    .help = "What belongs to the whole instance; it stands at the top level.",
    .size = sizeof(struct conf_settings),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = settings_check,
};
