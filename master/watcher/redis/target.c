/* SPDX-License-Identifier: Apache-2.0
 *
 * See target.h.
 */
#include "master/watcher/redis/target.h"

#include "shm/base/bug.h"
#include "shm/base/num.h"

#define REDIS_PORT    6379
#define SENTINEL_PORT 26379

bool
endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

void
endpoint_text(const struct endpoint *e, char *out, size_t cap)
{
	if (strncmp(e->host, "unix:", 5) == 0)
		snprintf(out, cap, "%s", e->host);
	else
		snprintf(
		    out, cap, strchr(e->host, ':') != NULL ? "[%s]:%u" : "%s:%u", e->host, e->port);
}

/* The last colon of a host; -1: it has none, or they are an IPv6 address's. */
static ssize_t
port_colon(struct str s)
{
	ssize_t last = -1;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ']')
			last = -1;
		else if (s.p[i] == ':')
			last = (ssize_t)i;
	}
	return last;
}

static int
set_host(struct endpoint *e, struct str host)
{
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_sub(host, 1, host.n - 1);
	if (host.n == 0 || host.n >= TARGET_HOST || memchr(host.p, '\0', host.n) != NULL)
		return -1;
	memcpy(e->host, host.p, host.n);
	e->host[host.n] = '\0';
	return 1;
}

int
endpoint_read(struct str s, uint16_t port, struct endpoint *e_r)
{
	struct endpoint e = {.port = port};
	ssize_t colon = port_colon(s);
	const char *error;
	uint64_t n = port;

	if (str_starts(s, STR("unix:"))) {
		colon = -1;
		n = 1;
	}
	if (colon >= 0 && num_u64(str_sub(s, (size_t)colon + 1, s.n), UINT16_MAX, &n, &error) < 0)
		return -1;
	if (n == 0 || set_host(&e, colon >= 0 ? str_sub(s, 0, (size_t)colon) : s) < 0)
		return -1;
	e.port = (uint16_t)n;
	*e_r = e;
	return 1;
}

int
target_init(struct target *t, const struct conf_settings *s)
{
	*t = (struct target){.mode = s->redis.mode};
	t->v = xcalloc(s->redis.addresses.n + 1, sizeof(*t->v));
	for (uint32_t i = 0; i < s->redis.addresses.n; i++)
		if (endpoint_read(s->redis.addresses.v[i],
			t->mode == REDIS_SENTINEL ? SENTINEL_PORT : REDIS_PORT, &t->v[t->n]) == 1)
			t->n++;
	backoff_init(&t->backoff, MAX(s->redis.retry_min, 1),
	    MAX(s->redis.retry_max, MAX(s->redis.retry_min, 1)));
	return t->n > 0 ? 1 : -1;
}

void
target_free(struct target *t)
{
	free(t->v);
	t->v = NULL;
	t->n = 0;
}

bool
target_next(struct target *t, uint64_t now_ms, struct endpoint *e_r)
{
	if (t->tried == 0)
		backoff_started(&t->backoff, now_ms);
	*e_r = t->told ? t->to : t->v[t->at];
	return t->mode == REDIS_SENTINEL && !t->told;
}

/* All of the list are tried at once, then there is a pause. */
uint64_t
target_failed(struct target *t, uint64_t now_ms)
{
	bool told = t->told && t->mode != REDIS_SINGLE;

	t->told = false;
	t->at = (t->at + 1) % t->n;
	t->tried++;
	if (t->tried < t->n && !(told && t->n == 1))
		return 0;
	t->tried = 0;
	return backoff_failed_jitter(&t->backoff, now_ms);
}

void
target_good(struct target *t)
{
	t->tried = 0;
}

void
target_forget(struct target *t)
{
	t->told = false;
}

void
target_move(struct target *t, const struct endpoint *to)
{
	t->told = true;
	t->to = *to;
}

int
target_named(struct target *t, const struct reply *r, const char **error_r)
{
	struct str host = reply_str(reply_at(r, 0));
	struct endpoint e;
	uint64_t port;

	if (r != NULL && r->type == REPLY_NIL) {
		*error_r = "the sentinel knows no master of that name";
		return -1;
	}
	*error_r = reply_is_error(r) ? r->str.p : "the sentinel's answer makes no sense";
	if (reply_u64(reply_at(r, 1), &port) != 1 || port == 0 || port > UINT16_MAX ||
	    set_host(&e, host) < 0)
		return -1;
	e.port = (uint16_t)port;
	target_move(t, &e);
	return 1;
}

int
target_redirect(
    struct str error, const char *word, const struct endpoint *from, struct endpoint *e_r)
{
	struct str w = STR_NONE, slot = STR_NONE;
	ssize_t colon;

	if (str_cut(&error, ' ', &w) == 0 || !str_eq(w, str_of(word)) ||
	    str_cut(&error, ' ', &slot) == 0 || error.p == NULL)
		return 0;
	colon = port_colon(error);
	if (colon != 0)
		return endpoint_read(error, 0, e_r) == 1;
	/* No host: the one that says so. */
	if (endpoint_read(error, 0, e_r) < 0) {
		uint64_t port;
		const char *bad;

		if (num_u64(str_sub(error, 1, error.n), UINT16_MAX, &port, &bad) < 0 || port == 0)
			return 0;
		*e_r = *from;
		e_r->port = (uint16_t)port;
	}
	return 1;
}

bool
target_is_master(const struct reply *role)
{
	return str_eq(reply_str(reply_at(role, 0)), STR("master"));
}
