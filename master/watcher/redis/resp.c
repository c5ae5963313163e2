/* SPDX-License-Identifier: Apache-2.0
 *
 * See resp.h. hiredis bounds the nesting (7); how much one reply may hold is counted here, before
 * it is allocated.
 */
#include "master/watcher/redis/resp.h"

#include <hiredis/hiredis.h>

#include "shm/base/bug.h"
#include "shm/base/num.h"

struct resp {
	redisReader *reader;
	size_t fed;      /* octets since the last whole reply */
	size_t elements; /* of the reply being read */
};

/* --- replies ---------------------------------------------------------------------------------- */

static void
free_reply(void *p)
{
	struct reply *r = p;

	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		free_reply(r->v[i]);
	free(r->v);
	free(r);
}

void
reply_free(struct reply **r)
{
	free_reply(*r);
	*r = NULL;
}

const struct reply *
reply_at(const struct reply *r, size_t i)
{
	return r != NULL && r->type == REPLY_ARRAY && i < r->n ? r->v[i] : NULL;
}

struct str
reply_str(const struct reply *r)
{
	if (r == NULL || (r->type != REPLY_STRING && r->type != REPLY_STATUS))
		return STR_NONE;
	return r->str;
}

int
reply_u64(const struct reply *r, uint64_t *v_r)
{
	const char *error;

	if (r == NULL)
		return 0;
	if (r->type == REPLY_INTEGER && r->integer >= 0) {
		*v_r = (uint64_t)r->integer;
		return 1;
	}
	return r->type == REPLY_STRING && num_u64(r->str, UINT64_MAX, v_r, &error) == 1;
}

/* --- hiredis's constructors ------------------------------------------------------------------- */

/* A reply stands in its parent as soon as it is made, so that the root alone is to be freed. */
static struct reply *
attach(const redisReadTask *task, struct reply *r)
{
	struct reply *parent = task->parent != NULL ? task->parent->obj : NULL;

	if (parent != NULL)
		parent->v[task->idx] = r;
	return r;
}

static void *
make_string(const redisReadTask *task, char *p, size_t n)
{
	struct reply *r = xmalloc(sizeof(*r) + n + 1);
	char *copy = (char *)(r + 1);

	*r = (struct reply){.type = task->type == REDIS_REPLY_ERROR    ? REPLY_ERROR
				    : task->type == REDIS_REPLY_STATUS ? REPLY_STATUS
								       : REPLY_STRING};
	memcpy(copy, p, n);
	copy[n] = '\0';
	r->str = str_n(copy, n);
	return attach(task, r);
}

/* NULL is "out of memory" to hiredis: the reply is given up. */
static void *
make_array(const redisReadTask *task, int n)
{
	struct resp *owner = task->privdata;
	struct reply *r;

	if (n < 0 || (size_t)n > RESP_ELEMENTS - owner->elements)
		return NULL;
	owner->elements += (size_t)n;
	r = xcalloc(1, sizeof(*r));
	r->type = REPLY_ARRAY;
	r->v = n == 0 ? NULL : xcalloc((size_t)n, sizeof(struct reply *));
	r->n = (size_t)n;
	return attach(task, r);
}

static void *
make_integer(const redisReadTask *task, long long v)
{
	struct reply *r = xcalloc(1, sizeof(*r));

	r->type = REPLY_INTEGER;
	r->integer = v;
	return attach(task, r);
}

static void *
make_nil(const redisReadTask *task)
{
	struct reply *r = xcalloc(1, sizeof(*r));

	r->type = REPLY_NIL;
	return attach(task, r);
}

#if HIREDIS_MAJOR >= 1
/* Types of RESP3, which is not spoken here. Without these hiredis makes a number of them that it
 * hands out as the reply. */
static void *
refuse_double(const redisReadTask *task UNUSED, double v UNUSED, char *p UNUSED, size_t n UNUSED)
{
	return NULL;
}

static void *
refuse_bool(const redisReadTask *task UNUSED, int v UNUSED)
{
	return NULL;
}
#endif

static redisReplyObjectFunctions makers = {
#if HIREDIS_MAJOR >= 1
    .createDouble = refuse_double,
    .createBool = refuse_bool,
#endif
    .createString = make_string,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_nil,
    .freeObject = free_reply,
};

/* --- reading ---------------------------------------------------------------------------------- */

struct resp *
resp_new(void)
{
	struct resp *r = xcalloc(1, sizeof(*r));

	r->reader = redisReaderCreateWithFunctions(&makers);
	if (r->reader == NULL)
		oom_fail(sizeof(*r->reader));
	r->reader->privdata = r;
	return r;
}

void
resp_free(struct resp **r)
{
	if (*r == NULL)
		return;
	redisReaderFree((*r)->reader);
	free(*r);
	*r = NULL;
}

int
resp_feed(struct resp *r, struct str octets, const char **error_r)
{
	r->fed += octets.n;
	if (r->fed > RESP_OCTETS) {
		*error_r = "a reply of more than 256 MB";
		return -1;
	}
	if (redisReaderFeed(r->reader, octets.p, octets.n) != REDIS_OK) {
		*error_r = r->reader->errstr;
		return -1;
	}
	return 1;
}

int
resp_next(struct resp *r, struct reply **reply_r, const char **error_r)
{
	void *reply = NULL;

	if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
		*error_r = r->reader->err == REDIS_ERR_OOM ? "a reply of too many elements"
							   : r->reader->errstr;
		return -1;
	}
	if (reply == NULL)
		return 0;
	r->fed = r->reader->len - r->reader->pos;
	r->elements = 0;
	*reply_r = reply;
	return 1;
}

/* --- writing ---------------------------------------------------------------------------------- */

void
command_put(struct command *c, const struct str *words, size_t n)
{
	const char **argv = xmalloc(n * sizeof(*argv));
	size_t *lens = xmalloc(n * sizeof(*lens));
	char *out = NULL;
	int len;

	for (size_t i = 0; i < n; i++) {
		argv[i] = words[i].p != NULL ? words[i].p : "";
		lens[i] = words[i].n;
	}
	len = redisFormatCommandArgv(&out, (int)n, argv, lens);
	free(argv);
	free(lens);
	if (len < 0)
		oom_fail(0);
	gbuf_put(&c->text, out, (size_t)len);
	redisFreeCommand(out);
	c->n++;
}

void
command_free(struct command *c)
{
	gbuf_free(&c->text);
	c->n = 0;
}
