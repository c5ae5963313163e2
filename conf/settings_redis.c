/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of the console's Redis. All of them travel to the master in one message with the
 * other settings, so every text here has a bound.
 */
#include "conf/settings_redis.h"

#include "conf/check.h"
#include "conf/pattern.h"
#include "conf/secret.h"
#include "conf/settings.h"
#include "shm/base/num.h"

#define AT(member)        FIELD_IN(struct conf_settings, redis, member)
#define IN(group, member) FIELD_IN(struct conf_settings, redis.group, member)
#define TABLE(name_, group, help_)                                                                 \
	static const struct fields name_##_fields = {.name = #name_,                               \
	    .help = help_,                                                                         \
	    .size = FIELD_SIZE(struct conf_settings, redis.group),                                 \
	    .v = name_##_rows,                                                                     \
	    .n = ARRAY_LEN(name_##_rows)}

#define ADDRESSES_MAX 32
#define NAME_OCTETS   128
#define PATH_OCTETS   1024

static const char *const mode_names[] = {"single", "sentinel", "cluster", NULL};

static const struct field sentinel_rows[] = {
    {.name = "name",
	.type = F_STRING,
	.offset = IN(sentinel, name),
	.help = "What the sentinels call the master to use. Needed with mode = \"sentinel\".",
	.example = "name = \"mymaster\";"},
    {.name = "username",
	.type = F_STRING,
	.offset = IN(sentinel, username),
	.help = "Who the gateway is to the sentinels, where they have ACLs."},
    {.name = "password",
	.type = F_STRING,
	.offset = IN(sentinel, password),
	.flags = FIELD_SECRET,
	.help = "The sentinels' password, by reference. Left out: they ask for none.",
	.example = "password = \"secret://env/SENTINEL_PASSWORD\";"},
};
TABLE(sentinel, sentinel, "Asking sentinels for the master.");

static const struct field tls_rows[] = {
    {.name = "enabled",
	.type = F_BOOL,
	.offset = IN(tls, enabled),
	.def = "false",
	.help = "Speak TLS with Redis (and with sentinels)."},
    {.name = "verify",
	.type = F_BOOL,
	.offset = IN(tls, verify),
	.def = "true",
	.help = "Refuse a server whose certificate is not signed by a known authority or is for "
		"another name. Without it anybody on the way can be the console."},
    {.name = "ca",
	.type = F_STRING,
	.offset = IN(tls, ca),
	.flags = FIELD_PATH,
	.help = "File with the certificates of the authorities to trust, in PEM. Left out: the "
		"system's.",
	.example = "ca = \"/etc/gateway/redis-ca.pem\";"},
    {.name = "certificate",
	.type = F_STRING,
	.offset = IN(tls, certificate),
	.flags = FIELD_PATH,
	.help = "File with the gateway's own certificate and its chain, in PEM, where Redis asks "
		"for one. Needs key.",
	.example = "certificate = \"/etc/gateway/redis-client.pem\";"},
    {.name = "key",
	.type = F_STRING,
	.offset = IN(tls, key),
	.flags = FIELD_PATH,
	.help = "The certificate's private key in PEM: a file, or a reference such as "
		"secret://env/NAME. Needs certificate.",
	.example = "key = \"/etc/gateway/redis-client.key\";"},
    {.name = "server_name",
	.type = F_STRING,
	.offset = IN(tls, server_name),
	.help = "The name to ask for and to find in the server's certificate. Left out: the host "
		"of the address."},
};
TABLE(tls, tls, "TLS towards Redis.");

static const struct field timeout_rows[] = {
    {.name = "connect",
	.type = F_DURATION,
	.offset = IN(timeouts, connect),
	.def = "2s",
	.min = 10,
	.max = 60 * FIELD_SECOND,
	.help = "How long a connection may take to be established, TLS and log-in included."},
    {.name = "command",
	.type = F_DURATION,
	.offset = IN(timeouts, command),
	.def = "2s",
	.min = 10,
	.max = 60 * FIELD_SECOND,
	.help = "How long an answer may take; then the connection is closed and made anew."},
};
TABLE(timeout, timeouts, "Time-outs towards Redis.");

static const struct field rows[] = {
    {.name = "addresses",
	.type = F_STRINGS,
	.offset = AT(addresses),
	.help = "Where Redis is, host:port each: the server, several to try in turn, some nodes "
		"of the cluster, or the sentinels. Left out: there is no console.",
	.example = "addresses = [ \"redis1.example.com:6379\", \"[2001:db8::7]:6379\" ];"},
    {.name = "mode",
	.type = F_ENUM,
	.offset = AT(mode),
	.def = "single",
	.names = mode_names,
	.help = "What answers at the addresses: a server, sentinels that know the master, or "
		"nodes of a cluster."},
    {.name = "sentinel",
	.type = F_GROUP,
	.offset = AT(sentinel),
	.sub = &sentinel_fields,
	.help = "Asking sentinels for the master."},
    {.name = "database",
	.type = F_INT,
	.offset = AT(database),
	.def = "0",
	.min = 0,
	.max = 65535,
	.help = "Number of the database. A cluster has 0 only."},
    {.name = "prefix",
	.type = F_STRING,
	.offset = AT(prefix),
	.def = "gateway",
	.help = "What the names of all keys begin with, in braces, so that a cluster keeps them "
		"together. Instances with the same prefix have the same configuration."},
    {.name = "username",
	.type = F_STRING,
	.offset = AT(username),
	.help = "Who the gateway is to Redis, where it has ACLs. Left out: the default user."},
    {.name = "password",
	.type = F_STRING,
	.offset = AT(password),
	.flags = FIELD_SECRET,
	.help = "The password, by reference. Left out: Redis asks for none.",
	.example = "password = \"secret://file/run/secrets/redis\";"},
    {.name = "tls",
	.type = F_GROUP,
	.offset = AT(tls),
	.sub = &tls_fields,
	.help = "TLS towards Redis."},
    {.name = "timeouts",
	.type = F_GROUP,
	.offset = AT(timeouts),
	.sub = &timeout_fields,
	.help = "Time-outs towards Redis."},
    {.name = "reconcile",
	.type = F_DURATION,
	.offset = AT(reconcile),
	.def = "30s",
	.min = FIELD_SECOND,
	.max = FIELD_DAY,
	.help = "How often what is in force is compared with what Redis has, though no message "
		"asked for it: a lost message costs no more than this."},
    {.name = "acknowledge",
	.type = F_DURATION,
	.offset = AT(acknowledge),
	.def = "10s",
	.min = FIELD_SECOND,
	.max = FIELD_DAY,
	.help = "How often this instance writes down what it has in force when nothing changes."},
    {.name = "acknowledge_expiry",
	.type = F_DURATION,
	.offset = AT(acknowledge_expiry),
	.def = "35s",
	.min = FIELD_SECOND,
	.max = 7 * FIELD_DAY,
	.help = "After so long without a word an instance counts as gone. Longer than "
		"acknowledge."},
    {.name = "retry_min",
	.type = F_DURATION,
	.offset = AT(retry_min),
	.def = "100ms",
	.min = 1,
	.max = FIELD_HOUR,
	.help = "Pause before Redis is tried again; it doubles each time, with some chance in it."},
    {.name = "retry_max",
	.type = F_DURATION,
	.offset = AT(retry_max),
	.def = "10s",
	.min = 1,
	.max = FIELD_HOUR,
	.help = "Longest such pause."},
    {.name = "deletions",
	.type = F_FLOAT,
	.offset = AT(deletions),
	.def = "0.5",
	.min = 0,
	.max = 1,
	.help = "Share of the console's objects that a snapshot may delete. One that deletes more "
		"is refused, unless its publisher marked it as meant so. 0: none, 1: all."},
    {.name = "publish",
	.type = F_BOOL,
	.offset = AT(publish),
	.def = "false",
	.help = "Changes made through this instance's admin API go to all instances, by way of "
		"Redis."},
};

/* --- checks ----------------------------------------------------------------------------------- */

/* "host:port" with a name or an address; NULL or what is wrong. */
static const char *
address_wrong(struct str s)
{
	ssize_t colon = str_chr(s, ':');
	const char *error;
	struct addr a;
	uint64_t port;
	struct str host;

	if (str_starts(s, STR("unix:")))
		return "not host:port";
	if (str_starts(s, STR("[")))
		return addr_parse(s, 0, &a, &error) < 0 ? error : NULL;
	if (colon < 0)
		return "the port is missing";
	host = str_sub(s, 0, (size_t)colon);
	if (num_u64(str_sub(s, (size_t)colon + 1, s.n), 65535, &port, &error) < 0 || port == 0)
		return str_chr(str_sub(s, (size_t)colon + 1, s.n), ':') >= 0
			   ? "an IPv6 address needs brackets"
			   : "a port is a number from 1 to 65535";
	if (host.n == 0 || host.p[0] == '*' || host.n > 253)
		return "the host is neither a name nor an address";
	return addr_ip(host, &a) == 1 ? NULL : pattern_host(host);
}

static void
check_addresses(const struct strs *v, struct conf_check *c)
{
	char setting[32];

	if (v->n > ADDRESSES_MAX) {
		check_error(c, "addresses", "%u entries; allowed: up to %u", v->n, ADDRESSES_MAX);
		return;
	}
	for (uint32_t i = 0; i < v->n; i++) {
		const char *wrong = address_wrong(v->v[i]);

		if (wrong == NULL)
			continue;
		snprintf(setting, sizeof(setting), "addresses[%u]", i);
		check_error(c, setting,
		    "\"%.*s\": %s; allowed: \"host:port\", \"10.0.0.1:port\", \"[::1]:port\"",
		    STR_ARG(str_sub(v->v[i], 0, 200)), wrong);
	}
}

static bool
is_plain_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '{' || s.p[i] == '}' || s.p[i] == ':')
			return false;
	return s.n > 0 && s.n <= 64 && pattern_token(s);
}

static void
check_length(struct str s, size_t max, const char *setting, struct conf_check *c)
{
	if (s.n > max)
		check_error(c, setting, "%zu octets; allowed: up to %zu", s.n, max);
}

static void
check_secret(struct str ref, const char *setting, struct conf_check *c)
{
	const char *wrong = secret_ref_error(ref);

	if (wrong != NULL)
		check_error(c, setting, "%s", wrong);
	check_length(ref, PATH_OCTETS, setting, c);
}

static void
check_tls(const struct conf_settings *s, struct conf_check *c)
{
	struct str key = s->redis.tls.key;
	bool cert = s->redis.tls.certificate.n > 0;

	if (cert && key.n == 0)
		check_error(c, "tls.certificate", "needs tls.key");
	if (!cert && key.n > 0)
		check_error(c, "tls.key", "needs tls.certificate");
	if (str_find(key, STR("-----BEGIN")) >= 0)
		check_error(c, "tls.key",
		    "a key itself; allowed: the file it is in, or a reference to a secret");
	else if (str_starts(key, STR("secret:")))
		check_secret(key, "tls.key", c);
	check_length(key, PATH_OCTETS, "tls.key", c);
	check_length(s->redis.tls.certificate, PATH_OCTETS, "tls.certificate", c);
	check_length(s->redis.tls.ca, PATH_OCTETS, "tls.ca", c);
	check_length(s->redis.tls.server_name, 253, "tls.server_name", c);
}

static void
check_mode(const struct conf_settings *s, struct conf_check *c)
{
	if (s->redis.mode == REDIS_SENTINEL && s->redis.sentinel.name.n == 0)
		check_error(c, "mode", "\"sentinel\" needs sentinel.name");
	if (s->redis.mode != REDIS_SENTINEL && check_given(c, "sentinel.name"))
		check_error(c, "sentinel.name", "needs mode = \"sentinel\"");
	if (s->redis.mode == REDIS_CLUSTER && s->redis.database != 0)
		check_error(c, "database", "%lld; a cluster has database 0 only",
		    (long long)s->redis.database);
}

static void
check_times(const struct conf_settings *s, struct conf_check *c)
{
	if (s->redis.acknowledge >= s->redis.acknowledge_expiry)
		check_error(c, check_given(c, "acknowledge") ? "acknowledge" : "acknowledge_expiry",
		    "acknowledge is not shorter than acknowledge_expiry");
	if (s->redis.retry_min > s->redis.retry_max)
		check_error(c, check_given(c, "retry_min") ? "retry_min" : "retry_max",
		    "retry_min is longer than retry_max");
}

static void
redis_check(void *self, struct conf_check *c)
{
	const struct conf_settings *s = container_of(self, struct conf_settings, redis);

	check_addresses(&s->redis.addresses, c);
	check_mode(s, c);
	if (!is_plain_name(s->redis.prefix))
		check_error(c, "prefix",
		    "\"%.*s\" is not a plain name; allowed: 1 to 64 letters, digits, \"-\", "
		    "\"_\", \".\"",
		    STR_ARG(str_sub(s->redis.prefix, 0, 100)));
	check_length(s->redis.username, NAME_OCTETS, "username", c);
	check_length(s->redis.sentinel.username, NAME_OCTETS, "sentinel.username", c);
	check_length(s->redis.sentinel.name, NAME_OCTETS, "sentinel.name", c);
	check_secret(s->redis.password, "password", c);
	check_secret(s->redis.sentinel.password, "sentinel.password", c);
	check_tls(s, c);
	check_times(s, c);
}

const struct fields redis_fields = {
    .name = "redis",
    .help = "The console: a Redis that tells many instances their configuration.",
    .size = FIELD_SIZE(struct conf_settings, redis),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = redis_check,
};
