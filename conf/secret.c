/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading secrets that settings name, and carrying them as a sealed memory file:
 *
 *	"GWSECRET", u32 version, u32 count, count x {string reference, string value}
 *	(string: u32 length, octets; little endian), in order of the references
 *
 * The octets lie in buffers of their own here, which are wiped before they are given back.
 */
#include "conf/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/expand.h"
#include "conf/sealed.h"
#include "shm/base/bug.h"
#include "shm/base/hash.h"

#define MAGIC   "GWSECRET"
#define VERSION 1
#define REFS    32 /* in one bundle */

#define ENV_PREFIX  "secret://env/"
#define FILE_PREFIX "secret://file/"
#define PATH_PREFIX "file:/"

/* --- references ------------------------------------------------------------------------------- */

/* The path behind the prefix, which ends with the path's first slash; empty: none. */
static struct str
path_of(struct str ref)
{
	struct str path = STR_NONE;

	if (str_starts(ref, STR(FILE_PREFIX)))
		path = str_sub(ref, sizeof(FILE_PREFIX) - 2, ref.n);
	else if (str_starts(ref, STR(PATH_PREFIX)))
		path = str_sub(ref, sizeof(PATH_PREFIX) - 2, ref.n);
	return path.n > 1 && memchr(path.p, '\0', path.n) == NULL ? path : STR_NONE;
}

const char *
secret_ref_error(struct str ref)
{
	if (ref.n == 0 || path_of(ref).n > 0)
		return NULL;
	if (str_starts(ref, STR(ENV_PREFIX))) {
		if (expand_name_ok(str_sub(ref, sizeof(ENV_PREFIX) - 1, ref.n)))
			return NULL;
		return "not the name of a variable; allowed: secret://env/NAME";
	}
	if (str_starts(ref, STR(FILE_PREFIX)) || str_starts(ref, STR(PATH_PREFIX)))
		return "the path is missing; allowed: secret://file/PATH";
	return "not a reference to a secret, and secrets themselves are not written here; allowed: "
	       "secret://env/NAME (a variable of the gateway's environment), secret://file/PATH";
}

struct str
secret_path_ref(struct str path, struct ws *ws)
{
	if (path.n == 0 || str_starts(path, STR("secret://")))
		return path;
	return ws_printf(ws, "file:%.*s", STR_ARG(path));
}

/* --- reading ---------------------------------------------------------------------------------- */

#define READ_FIRST 4096

void
secret_forget(struct gbuf *g)
{
	if (g->p != NULL)
		explicit_bzero(g->p, g->cap);
	gbuf_free(g);
}

/* No octet of a secret stays behind where a buffer has grown. */
static void
grow(struct gbuf *g, size_t cap)
{
	struct gbuf more = {.p = xmalloc(cap), .n = g->n, .cap = cap};

	if (g->n > 0)
		memcpy(more.p, g->p, g->n);
	secret_forget(g);
	*g = more;
}

static const char *
too_large(size_t max)
{
	static char text[40];

	snprintf(text, sizeof(text), "larger than %zu KiB", max / 1024);
	return text;
}

static int
read_env(struct str name, size_t max, struct gbuf *out, const char **error_r)
{
	char *z = str_z(name);
	struct str value = str_of(getenv(z));

	free(z);
	*error_r = value.p == NULL ? "the variable is not set" : "the secret is too large";
	if (value.p == NULL || value.n > max)
		return -1;
	grow(out, value.n + 1);
	gbuf_str(out, value);
	return 1;
}

/* To the end, however large it said it was. */
static int
read_fd(int fd, size_t max, struct gbuf *out, const char **error_r)
{
	struct stat st;

	*error_r = "not a regular file";
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	grow(out, MIN((size_t)MAX(st.st_size, 0), max) + 1);
	while (out->n <= max) {
		ssize_t n;

		if (out->n == out->cap)
			grow(out, MIN(MAX(out->cap * 2, (size_t)READ_FIRST), max + 1));
		n = read(fd, out->p + out->n, out->cap - out->n);
		if (n == 0)
			return 1;
		if (n < 0 && errno != EINTR) {
			*error_r = strerror(errno);
			return -1;
		}
		out->n += n > 0 ? (size_t)n : 0;
	}
	*error_r = too_large(max);
	return -1;
}

/* Non-blocking, so that a FIFO in the place of a file is an error and not a wait. */
static int
read_path(struct str path, size_t max, struct gbuf *out, const char **error_r)
{
	char *z = str_z(path);
	int fd = open(z, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), rc;

	free(z);
	if (fd < 0) {
		*error_r = strerror(errno);
		return -1;
	}
	rc = read_fd(fd, max, out, error_r);
	close(fd);
	return rc;
}

int
secret_read(struct str ref, size_t max, struct gbuf *out_r, const char **error_r)
{
	struct gbuf g = {0};
	int rc;

	*error_r = secret_ref_error(ref);
	if (*error_r != NULL)
		return -1;
	if (str_starts(ref, STR(ENV_PREFIX)))
		rc = read_env(str_sub(ref, sizeof(ENV_PREFIX) - 1, ref.n), max, &g, error_r);
	else
		rc = read_path(path_of(ref), max, &g, error_r);
	/* Files are written with an editor or with echo. */
	if (rc == 1 && str_starts(ref, STR(FILE_PREFIX)) && g.n > 0 && g.p[g.n - 1] == '\n')
		g.n--;
	if (rc == 1 && g.n == 0) {
		*error_r = "the secret is empty";
		rc = -1;
	}
	if (rc == 1)
		*out_r = g;
	else
		secret_forget(&g);
	return rc;
}

struct str
secret_path(struct str ref)
{
	return path_of(ref);
}

/* --- several ---------------------------------------------------------------------------------- */

struct secret {
	char *ref;
	struct gbuf value;
};
struct secrets_writer {
	struct secret v[REFS];
	unsigned n;
};

struct secrets_writer *
secrets_new(void)
{
	return xcalloc(1, sizeof(struct secrets_writer));
}

static void
writer_free(struct secrets_writer **wp)
{
	for (unsigned i = 0; i < (*wp)->n; i++) {
		secret_forget(&(*wp)->v[i].value);
		free((*wp)->v[i].ref);
	}
	free(*wp);
	*wp = NULL;
}

int
secrets_add(struct secrets_writer *w, struct str ref, const char *setting, struct conf_check *c)
{
	const char *error = secret_ref_error(ref);
	struct secret *s = &w->v[w->n];

	if (error != NULL) {
		check_error(c, setting, "%s", error);
		return -1;
	}
	for (unsigned i = 0; i < w->n; i++)
		if (str_eq(str_of(w->v[i].ref), ref))
			return 1;
	if (ref.n == 0)
		return 1;
	BUG_ON(w->n == REFS); /* the settings that name secrets are fewer */
	if (secret_read(ref, SECRET_MAX, &s->value, &error) < 0) {
		check_error(c, setting, "%.*s: %s", STR_ARG(str_sub(ref, 0, 300)), error);
		return -1;
	}
	s->ref = str_z(ref);
	w->n++;
	return 1;
}

/* --- the bundle ------------------------------------------------------------------------------- */

static int
by_ref(const void *a, const void *b)
{
	return strcmp(((const struct secret *)a)->ref, ((const struct secret *)b)->ref);
}

/* Heads are collected and values written from where they lie: no further copy of them. */
static int
put_secret(int fd, const struct secret *s)
{
	struct gbuf head = {0};
	int rc;

	gbuf_u32(&head, (uint32_t)strlen(s->ref));
	gbuf_str(&head, str_of(s->ref));
	gbuf_u32(&head, (uint32_t)s->value.n);
	rc = sealed_put(fd, str_n(head.p, head.n));
	gbuf_free(&head);
	return rc == 1 ? sealed_put(fd, str_n(s->value.p, s->value.n)) : -1;
}

static int
put_all(int fd, struct secrets_writer *w)
{
	struct gbuf head = {0};
	int rc;

	qsort(w->v, w->n, sizeof(w->v[0]), by_ref);
	gbuf_str(&head, STR(MAGIC));
	gbuf_u32(&head, VERSION);
	gbuf_u32(&head, w->n);
	rc = sealed_put(fd, str_n(head.p, head.n));
	gbuf_free(&head);
	for (unsigned i = 0; rc == 1 && i < w->n; i++)
		rc = put_secret(fd, &w->v[i]);
	return rc == 1 ? sealed_finish(fd) : -1;
}

int
secrets_seal(struct secrets_writer **wp, const char **error_r)
{
	int fd = sealed_new("secrets");

	if (fd >= 0 && put_all(fd, *wp) == 1) {
		writer_free(wp);
		return fd;
	}
	*error_r = strerror(errno);
	if (fd >= 0)
		close(fd);
	writer_free(wp);
	return -1;
}

/* --- the receiving side ----------------------------------------------------------------------- */

struct secrets {
	struct str map;
	unsigned n;
	struct {
		struct str ref, value; /* in the map */
	} v[REFS];
};

static struct str
get_string(struct rbuf *r)
{
	return rbuf_bytes(r, rbuf_u32(r));
}

static int
read_bundle(struct secrets *s)
{
	struct rbuf r = rbuf_of(s->map);
	struct str magic = rbuf_bytes(&r, sizeof(MAGIC) - 1);
	uint32_t version = rbuf_u32(&r), n = rbuf_u32(&r);

	if (r.bad || !str_eq(magic, STR(MAGIC)) || version != VERSION || n > REFS)
		return -1;
	for (s->n = 0; s->n < n; s->n++) {
		s->v[s->n].ref = get_string(&r);
		s->v[s->n].value = get_string(&r);
	}
	return rbuf_done(&r) ? 1 : -1;
}

static void
keep_to_ourselves(struct str map)
{
	void *p = (void *)(uintptr_t)map.p;

	/* Neither in a core file nor in a child; that it could not be is no reason to stop. */
	(void)madvise(p, map.n, MADV_DONTDUMP);
	(void)madvise(p, map.n, MADV_DONTFORK);
}

int
secrets_open(int fd, struct secrets **s_r, const char **error_r)
{
	struct secrets *s = xcalloc(1, sizeof(*s));

	if (sealed_map(fd, SECRETS_MAX, &s->map, error_r) < 0) {
		free(s);
		return -1;
	}
	keep_to_ourselves(s->map);
	if (read_bundle(s) < 0) {
		*error_r = "malformed";
		secrets_close(&s);
		return -1;
	}
	*s_r = s;
	return 1;
}

void
secrets_close(struct secrets **s)
{
	if (*s == NULL)
		return;
	sealed_unmap(&(*s)->map);
	free(*s);
	*s = NULL;
}

int
secrets_get(const struct secrets *s, struct str ref, struct str *value_r)
{
	if (ref.n == 0) {
		*value_r = STR("");
		return 1;
	}
	for (unsigned i = 0; i < s->n; i++) {
		if (!str_eq(s->v[i].ref, ref))
			continue;
		*value_r = s->v[i].value;
		return 1;
	}
	return 0;
}

uint64_t
secrets_hash(int fd)
{
	const char *ignored;
	struct digest d;
	uint64_t hash;
	struct str map;

	if (sealed_map(fd, SECRETS_MAX, &map, &ignored) < 0)
		return 0;
	keep_to_ourselves(map);
	d = digest_of(map);
	sealed_unmap(&map);
	memcpy(&hash, d.b, sizeof(hash));
	return hash;
}
