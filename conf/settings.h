/* SPDX-License-Identifier: Apache-2.0
 *
 * The one settings object: what belongs to the whole instance. Rows in settings.c.
 */
#ifndef GW_SETTINGS_H
#define GW_SETTINGS_H

#include "conf/field.h"
#include "conf/tls.h"

extern const struct fields settings_fields;

enum { ROLE_NONE, ROLE_VIEWER, ROLE_ADMIN };
struct conf_role {
	struct str user, group; /* one of them */
	int32_t role;           /* ROLE_* */
};

enum { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };
struct conf_settings {
	int64_t workers; /* 0 = auto: one per CPU the process may use (cgroup limit respected) */
	struct str run_directory, state_directory;
	struct str instance; /* name in logs and acknowledgements */
	struct str pid_file;
	bool watch_files; /* load again when they change */
	struct {
		struct str prefix; /* users <prefix>-worker ..., group <prefix> */
	} users;
	struct {
		struct str path; /* "stderr" or a file */
		int32_t level;   /* enum log_level */
	} error_log;
	struct {
		bool enabled;
		struct str path; /* "stdout", "stderr" or a file */
		bool health;     /* log /health too */
		uint64_t ring;   /* octets per worker, rounded up to a power of two */
	} access_log;
	struct {
		int64_t worker_slots, endpoints, services, metric_rows,
		    connections /* per worker */, plans, routes, pipes;
		int64_t history;     /* change sets kept */
		uint64_t state_size; /* of the durable state */
		uint64_t map_size;
		uint64_t descriptors; /* wanted RLIMIT_NOFILE; 0 = as it is */
	} limits;
	struct cidrs trusted_proxies;
	struct {
		struct strs addresses; /* host:port each; none: no console */
		int32_t mode;          /* REDIS_* */
		struct {
			struct str name, username, password; /* of the master; for the sentinels */
		} sentinel;
		int64_t database;
		struct str prefix;
		struct str username, password; /* password: a secret's reference */
		struct {
			bool enabled, verify;
			struct str ca, certificate, key,
			    server_name; /* paths; key: path or reference */
		} tls;
		struct {
			uint64_t connect, command;
		} timeouts;
		uint64_t reconcile; /* ms between comparisons without a bell */
		uint64_t acknowledge, acknowledge_expiry; /* ms */
		uint64_t retry_min, retry_max;            /* back-off, ms */
		double deletions; /* share of the console's objects an unmarked snapshot
				     may delete */
		bool publish;     /* changes made through the admin API go to all instances */
	} redis;
	struct conf_settings_tls tls;
	struct {
		uint64_t min_drain, deadline;
	} shutdown;
	struct {
		uint64_t stuck_after; /* a child whose heartbeat is older is replaced */
		uint64_t respawn_min, respawn_max; /* back-off between respawns of one kind */
		uint64_t resolve_timeout;          /* the loader's, for all names together */
	} supervision;
	struct {
		struct str socket;         /* "" = <run_directory>/admin.sock */
		struct conf_list roles;    /* struct conf_role */
		struct str metrics_listen; /* "127.0.0.1:9145", "" = off */
	} admin;
	struct {
		struct str request_id_header; /* X-Request-Id */
		struct str generation_header; /* "" = off */
		struct str server_name;       /* pseudonym in Via and problem bodies */
		bool reveal_version;
	} http;
};

#endif
