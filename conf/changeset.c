/* SPDX-License-Identifier: Apache-2.0
 *
 * Change sets as bytes in a sealed memfd:
 *
 *	"GWCHANGE", u32 version, u64 layout of all object tables, u8 whole, u32 count,
 *	string source, string author, count x {u8 operation, string object}
 */
#include "conf/changeset.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/sealed.h"
#include "shm/base/bug.h"

#define CHANGESET_MAGIC   "GWCHANGE"
#define CHANGESET_VERSION 1
#define CHANGESET_MAX     (1u << 30)
#define CHANGESET_COST    3 /* octets of memory for one */
#define CHANGESET_FLUSH   (1u << 20)
#define COUNT_AT          21 /* offset of the count */

struct changeset_writer {
	int fd;
	int error; /* errno of the first failure; sticky */
	uint32_t n;
	uint64_t size; /* flushed */
	struct gbuf out, object;
};

static uint64_t
layout_of_all(void)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < CONF_KIND_COUNT; i++)
		hash = hash * 31 + fields_layout(object_kinds[i].fields);
	return hash;
}

static void
put_string(struct gbuf *out, struct str s)
{
	gbuf_u32(out, (uint32_t)s.n);
	gbuf_str(out, s);
}

static void
flush(struct changeset_writer *w)
{
	if (w->error == 0 && sealed_put(w->fd, str_n(w->out.p, w->out.n)) < 0)
		w->error = errno;
	w->size += w->out.n;
	w->out.n = 0;
}

struct changeset_writer *
changeset_new(struct str source, struct str author, bool whole)
{
	struct changeset_writer *w = xcalloc(1, sizeof(*w));

	w->fd = sealed_new("changeset");
	if (w->fd < 0)
		w->error = errno;
	gbuf_str(&w->out, STR(CHANGESET_MAGIC));
	gbuf_u32(&w->out, CHANGESET_VERSION);
	gbuf_u64(&w->out, layout_of_all());
	gbuf_u8(&w->out, whole);
	gbuf_u32(&w->out, 0);
	put_string(&w->out, source);
	put_string(&w->out, author);
	return w;
}

void
changeset_put(struct changeset_writer *w, enum change_op op, const struct conf_object *o)
{
	struct conf_object bare = *o;

	if (op == CHANGE_DELETE) { /* only its name counts */
		bare.body = STR_NONE;
		bare.digest = object_digest(o->kind, o->id, STR_NONE);
	}
	w->object.n = 0;
	object_encode(&bare, &w->object);
	gbuf_u8(&w->out, (uint8_t)op);
	put_string(&w->out, str_n(w->object.p, w->object.n));
	w->n++;
	if (w->out.n >= CHANGESET_FLUSH)
		flush(w);
}

static int
finish(struct changeset_writer *w)
{
	struct gbuf count = {0};
	ssize_t n;

	flush(w);
	if (w->error != 0)
		return -1;
	gbuf_u32(&count, w->n);
	n = pwrite(w->fd, count.p, count.n, COUNT_AT);
	gbuf_free(&count);
	if (n != 4 || sealed_finish(w->fd) < 0) {
		w->error = errno;
		return -1;
	}
	if (w->size > CHANGESET_MAX) {
		w->error = EFBIG;
		return -1;
	}
	return 1;
}

int
changeset_seal(struct changeset_writer **wp, const char **error_r)
{
	struct changeset_writer *w = *wp;
	int fd = w->fd;

	*wp = NULL;
	if (finish(w) < 0) {
		*error_r = strerror(w->error);
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	gbuf_free(&w->out);
	gbuf_free(&w->object);
	free(w);
	return fd;
}

static int
refuse(const char **error_r, const char *why)
{
	*error_r = why;
	return -1;
}

static struct str
get_string(struct rbuf *r)
{
	return rbuf_bytes(r, rbuf_u32(r));
}

static int
read_head(struct changeset *c, const char **error_r)
{
	struct str magic = rbuf_bytes(&c->at, strlen(CHANGESET_MAGIC));
	uint8_t whole;

	if (c->at.bad || !str_eq(magic, STR(CHANGESET_MAGIC)))
		return refuse(error_r, "change set: wrong first bytes");
	if (rbuf_u32(&c->at) != CHANGESET_VERSION || rbuf_u64(&c->at) != layout_of_all())
		return refuse(error_r, "change set: written by another version");
	whole = rbuf_u8(&c->at);
	c->whole = whole != 0;
	c->n = rbuf_u32(&c->at);
	c->source = get_string(&c->at);
	c->author = get_string(&c->at);
	if (c->at.bad || whole > 1)
		return refuse(error_r, "change set: malformed head");
	return 1;
}

size_t
changeset_cost(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= CHANGESET_MAX
		   ? (size_t)st.st_size * CHANGESET_COST
		   : 0;
}

int
changeset_open(int fd, struct changeset *c_r, const char **error_r)
{
	struct changeset c = {0};

	if (sealed_map(fd, CHANGESET_MAX, &c.map, error_r) < 0)
		return -1;
	c.at = rbuf_of(c.map);
	if (read_head(&c, error_r) < 0) {
		changeset_close(&c);
		return -1;
	}
	c.head = c.at.at;
	*c_r = c;
	return 1;
}

int
changeset_next(struct changeset *c, enum change_op *op_r, struct conf_object *o_r)
{
	struct conf_object o;
	struct str bytes;
	struct digest d;
	uint8_t op;

	if (c->next == c->n) {
		c->known = rbuf_done(&c->at);
		return c->known ? 0 : -1;
	}
	op = rbuf_u8(&c->at);
	bytes = get_string(&c->at);
	if (c->at.bad || (op != CHANGE_PUT && op != CHANGE_DELETE) || object_decode(bytes, &o) < 0)
		return -1;
	/* Everything behind is cached by content hash: one that lies would poison it. */
	if (!c->known) {
		d = object_digest(o.kind, o.id, o.body);
		if (!digest_eq(&d, &o.digest))
			return -1;
	}
	c->next++;
	*op_r = (enum change_op)op;
	*o_r = o;
	return 1;
}

void
changeset_rewind(struct changeset *c)
{
	c->at.at = c->head;
	c->at.bad = false;
	c->next = 0;
}

void
changeset_close(struct changeset *c)
{
	sealed_unmap(&c->map);
	memset(c, 0, sizeof(*c));
}
