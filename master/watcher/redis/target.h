/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is to be talked to: the listed servers one after the other, the master the sentinels name, or
 * the node of a cluster that has our keys. Decides only; conn.c does the talking.
 */
#ifndef GW_REDIS_TARGET_H
#define GW_REDIS_TARGET_H

#include "conf/settings.h"
#include "master/watcher/redis/resp.h"
#include "shm/base/backoff.h"

#define TARGET_HOST 256

struct endpoint {
	char host[TARGET_HOST]; /* name, address without brackets, or "unix:/path" */
	uint16_t port;
};
bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);
/* "host:port", at most cap - 1 octets. */
void endpoint_text(const struct endpoint *e, char *out, size_t cap);
/* "host:port", "[::1]:port", "::1:port", "unix:/path"; port 0 given: needed. 1 or -1. */
int endpoint_read(struct str s, uint16_t port, struct endpoint *e_r) NODISCARD;

struct target {
	int mode; /* REDIS_* */
	struct endpoint *v;
	uint32_t n, at;
	uint32_t tried; /* of the list, since one was good */
	bool told;      /* somebody said whom to ask: `to` */
	struct endpoint to;
	struct backoff backoff;
};

/* 1; -1 no address is one. */
int target_init(struct target *t, const struct conf_settings *s) NODISCARD;
void target_free(struct target *t);

/* Whom to call now. true: it is a sentinel, to be asked for the master. */
bool target_next(struct target *t, uint64_t now_ms, struct endpoint *e_r);
/* That one was no good: ms until the next call. */
uint64_t target_failed(struct target *t, uint64_t now_ms);
void target_good(struct target *t);
/* A sentinel's answer: 1 and it is remembered; -1 with words. */
int target_named(struct target *t, const struct reply *r, const char **error_r) NODISCARD;
/* Ask again who it is (sentinels), or begin again with the list. */
void target_forget(struct target *t);
/* "MOVED 3999 127.0.0.1:6381", "ASK ..." from `from`: 1 and the node, 0 something else. */
int target_redirect(struct str error, const char *word, const struct endpoint *from,
    struct endpoint *e_r) NODISCARD;
/* From now on that one, until it fails. */
void target_move(struct target *t, const struct endpoint *to);
/* The answer to ROLE: is it a master? */
bool target_is_master(const struct reply *role);

#endif
