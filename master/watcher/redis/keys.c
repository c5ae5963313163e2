/* SPDX-License-Identifier: Apache-2.0
 *
 * See keys.h.
 */
#include "master/watcher/redis/keys.h"

#include <stdarg.h>

#include "shm/base/bug.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"

static struct str make(const char *fmt, ...) PRINTF(1, 2);

static struct str
make(const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&p, fmt, ap);
	va_end(ap);
	if (n < 0)
		oom_fail(0);
	return str_n(p, (size_t)n);
}

static void
drop(struct str *s)
{
	free((char *)(uintptr_t)s->p);
	*s = STR_NONE;
}

void
keys_init(struct keys *k, struct str prefix, struct str instance)
{
	k->objects = make("{%.*s}:objects", STR_ARG(prefix));
	k->version = make("{%.*s}:version", STR_ARG(prefix));
	k->changes = make("{%.*s}:changes", STR_ARG(prefix));
	k->bell = make("{%.*s}:bell", STR_ARG(prefix));
	k->instances = make("{%.*s}:instances", STR_ARG(prefix));
	k->ack_prefix = make("{%.*s}:ack:", STR_ARG(prefix));
	k->ack = make("{%.*s}:ack:%.*s", STR_ARG(prefix), STR_ARG(instance));
	k->instance = make("%.*s", STR_ARG(instance));
}

void
keys_free(struct keys *k)
{
	drop(&k->objects);
	drop(&k->version);
	drop(&k->changes);
	drop(&k->bell);
	drop(&k->instances);
	drop(&k->ack_prefix);
	drop(&k->ack);
	drop(&k->instance);
}

/* --- version ---------------------------------------------------------------------------------- */

enum { V_EPOCH, V_NUMBER, V_HASH, V_RELOAD, V_ALLOW, V_COUNT };

void
version_ask(struct command *c, const struct keys *k)
{
	COMMAND(c, STR("HMGET"), k->version, STR("epoch"), STR("number"), STR("hash"),
	    STR("reload"), STR("allow_deletions"));
}

/* Absent, or empty, is 0. */
static int
read_number(const struct reply *r, uint64_t *v_r)
{
	*v_r = 0;
	if (r == NULL || r->type == REPLY_NIL || reply_str(r).n == 0)
		return 1;
	return reply_u64(r, v_r) == 1 ? 1 : -1;
}

int
version_read(const struct reply *r, struct version *v_r, const char **error_r)
{
	struct version v = {.number = 0};
	struct str epoch = reply_str(reply_at(r, V_EPOCH));

	*error_r = "its version is no answer to HMGET";
	if (!reply_is_array(r, V_COUNT))
		return -1;
	*error_r = "its version's reload or allow_deletions is no number";
	if (read_number(r->v[V_RELOAD], &v.reload) < 0 ||
	    read_number(r->v[V_ALLOW], &v.allow_deletions) < 0)
		return -1;
	*v_r = v;
	if (r->v[V_EPOCH]->type == REPLY_NIL && r->v[V_NUMBER]->type == REPLY_NIL)
		return 0;
	*error_r = "its version's epoch is not of 1 to 63 octets";
	if (epoch.n == 0 || epoch.n > EPOCH_MAX || memchr(epoch.p, '\0', epoch.n) != NULL)
		return -1;
	memcpy(v.epoch, epoch.p, epoch.n);
	*error_r = "its version's number is not a whole number from 1";
	if (reply_u64(r->v[V_NUMBER], &v.number) != 1 || v.number == 0 ||
	    v.number > (uint64_t)INT64_MAX)
		return -1;
	*error_r = "its version's hash is not of 64 hexadecimal digits";
	if (enc_unhex(reply_str(r->v[V_HASH]), v.hash, sizeof(v.hash)) < 0)
		return -1;
	*v_r = v;
	return 1;
}

bool
version_eq(const struct version *a, const struct version *b)
{
	return a->number == b->number && strcmp(a->epoch, b->epoch) == 0 &&
	       memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

/* --- stream ----------------------------------------------------------------------------------- */

static void
take_field(struct change_entry *e, struct str name, struct str value)
{
	if (str_eq(name, STR("epoch")))
		e->epoch = value;
	else if (str_eq(name, STR("author")))
		e->author = value;
	else if (str_eq(name, STR("document")))
		e->document = value;
}

int
change_entry_read(const struct reply *r, struct change_entry *e_r)
{
	const struct reply *fields = reply_at(r, 1);
	struct change_entry e = {.number = 0};
	struct str id = reply_str(reply_at(r, 0));
	const char *error;

	if (!str_ends(id, STR("-0")) ||
	    num_u64(str_sub(id, 0, id.n - 2), (uint64_t)INT64_MAX, &e.number, &error) < 0)
		return -1;
	for (size_t i = 0; reply_is_array(fields, i + 2); i += 2)
		take_field(&e, reply_str(fields->v[i]), reply_str(fields->v[i + 1]));
	if (e.epoch.n == 0 || e.document.n == 0)
		return -1;
	*e_r = e;
	return 1;
}
