/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading files through libconfig. It cuts integers that do not fit 32 bits without a word (1.5:
 * 3000000000 becomes -1294967296), so the text itself is looked through for them first, included
 * files too. Everything else is a walk over the tree by type; nothing is ever converted.
 */
#include "conf/read.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/read_scan.h"
#include "shm/base/bug.h"

#define READ_MAX   (512u << 20)
#define READ_STEP  4096
#define READ_DEPTH 32
#define FOLD_DEPTH 2 /* of the members of the top's lists */

struct reader {
	struct ws *ws;
	struct conf_check *c;
	const char *dir;
	const char *name;      /* of the main text; settings from @include carry their own */
	const char *last_file; /* libconfig's pointer of the setting before ... */
	const char *last_copy; /* ... and our copy of that name */
	bool fold;             /* groups in the top's lists stay folded */
};

/* --- a file's octets -------------------------------------------------------------------------- */

static void
complain(struct conf_check *c, const char *file, uint32_t line, const char *what)
{
	struct conf_place at = {str_of(file), line, STR_NONE};

	check_error_at(c, &at, "%s", what);
}

static int
load_fd(int fd, struct gbuf *out, const char **error_r)
{
	struct stat st;
	ssize_t n = 1;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		*error_r = "not a regular file";
		return -1;
	}
	while (n != 0) {
		/* As large as it was, and a little more to see that it ends there. */
		gbuf_reserve(out, MIN((size_t)st.st_size, (size_t)READ_MAX) + READ_STEP - out->n);
		n = read(fd, out->p + out->n, out->cap - out->n);
		if (n < 0 && errno != EINTR) {
			*error_r = strerror(errno);
			return -1;
		}
		out->n += n > 0 ? (size_t)n : 0;
		st.st_size = (off_t)out->n;
		if (out->n > READ_MAX) {
			*error_r = "larger than 512 MiB";
			return -1;
		}
	}
	return 1;
}

/* Non-blocking, so that a FIFO in the place of a file is an error and not a wait. */
static int
load_path(const char *path, struct gbuf *out, const char **error_r)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int rc;

	if (fd < 0) {
		*error_r = strerror(errno);
		return -1;
	}
	rc = load_fd(fd, out, error_r);
	close(fd);
	return rc;
}

/* --- libconfig's tree to ours ----------------------------------------------------------------- */

static struct node *convert(struct reader *r, const config_setting_t *s, unsigned depth);

/* An included file as libconfig 1.5 names it, the way the main file's directory is named. */
static const char *
included(const char *file, const char *dir, struct ws *ws)
{
	if (file[0] == '/' || strcmp(dir, ".") == 0 || str_starts(str_of(file), str_of(dir)))
		return ws_str(ws, str_of(file)).p;
	return ws_printf(ws, "%s/%s", dir, file).p;
}

/* libconfig shares one string among the settings of a file. */
static const char *
file_of(struct reader *r, const config_setting_t *s)
{
	const char *file = config_setting_source_file(s);

	if (file == NULL)
		return r->name;
	if (file != r->last_file) {
		r->last_file = file;
		r->last_copy = included(file, r->dir, r->ws);
	}
	return r->last_copy;
}

static struct node *
convert_members(struct reader *r, const config_setting_t *s, enum node_type type, unsigned depth)
{
	struct node *n = node_new(r->ws, type, str_of(config_setting_name(s)), file_of(r, s),
	    (uint32_t)config_setting_source_line(s));
	int count = config_setting_length(s);

	if (depth >= READ_DEPTH) {
		complain(r->c, n->file, n->line, "groups and lists nested more than 32 deep");
		return n;
	}
	for (int i = 0; i < count; i++) {
		const config_setting_t *member = config_setting_get_elem(s, (unsigned)i);
		struct node *child = convert(r, member, depth + 1);

		if (child != NULL)
			node_add(n, child);
	}
	return n;
}

static struct node *
convert_scalar(struct reader *r, const config_setting_t *s, enum node_type type)
{
	return node_new(r->ws, type, str_of(config_setting_name(s)), file_of(r, s),
	    (uint32_t)config_setting_source_line(s));
}

static bool
foldable(const struct reader *r, const config_setting_t *s, unsigned depth)
{
	const config_setting_t *above = config_setting_parent(s);

	return r->fold && depth == FOLD_DEPTH && config_setting_type(above) == CONFIG_TYPE_LIST;
}

static struct node *
convert_folded(struct reader *r, const config_setting_t *s)
{
	struct node *n = convert_scalar(r, s, NODE_FOLDED);

	n->folded = s;
	return n;
}

static struct node *
convert(struct reader *r, const config_setting_t *s, unsigned depth)
{
	struct node *n;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_GROUP:
		return foldable(r, s, depth) ? convert_folded(r, s)
					     : convert_members(r, s, NODE_GROUP, depth);
	case CONFIG_TYPE_ARRAY:
	case CONFIG_TYPE_LIST:
		return convert_members(r, s, NODE_LIST, depth);
	case CONFIG_TYPE_STRING:
		n = convert_scalar(r, s, NODE_STRING);
		n->s = str_of(config_setting_get_string(s));
		return n;
	case CONFIG_TYPE_INT:
		n = convert_scalar(r, s, NODE_INT);
		n->i = config_setting_get_int(s);
		return n;
	case CONFIG_TYPE_INT64:
		n = convert_scalar(r, s, NODE_INT);
		n->i = config_setting_get_int64(s);
		return n;
	case CONFIG_TYPE_FLOAT:
		n = convert_scalar(r, s, NODE_FLOAT);
		n->f = config_setting_get_float(s);
		return n;
	case CONFIG_TYPE_BOOL:
		n = convert_scalar(r, s, NODE_BOOL);
		n->b = config_setting_get_bool(s) != 0;
		return n;
	default:
		return NULL;
	}
}

/* Only texts without @include are folded: all of it stands in one file. */
const struct node *
read_unfold(const struct node *n, struct ws *ws, struct conf_check *c)
{
	struct reader r = {.ws = ws, .c = c, .dir = ".", .name = n->file};

	return n->type == NODE_FOLDED ? convert_members(&r, n->folded, NODE_GROUP, FOLD_DEPTH) : n;
}

/* --- parsing ---------------------------------------------------------------------------------- */

static void
destroy(void *arg)
{
	config_destroy(arg);
}

static config_t *
config_in(struct ws *ws, const char *dir)
{
	config_t *cfg = ws_zalloc(ws, sizeof(*cfg));

	if (cfg == NULL)
		oom_fail(sizeof(*cfg));
	config_init(cfg);
	config_set_include_dir(cfg, dir);
	ws_on_free(ws, destroy, cfg);
	return cfg;
}

/* As a string libconfig would copy all of it first, octet by octet. What ends at a NUL within a
 * string or a comment is left to that. */
static int
read_whole(config_t *cfg, struct str text)
{
	FILE *f = text.n > 0 && memchr(text.p, '\0', text.n) == NULL
		      ? fmemopen((void *)(uintptr_t)text.p, text.n, "r")
		      : NULL;
	int ok;

	if (f == NULL)
		return config_read_string(cfg, text.p);
	ok = config_read(cfg, f);
	(void)fclose(f);
	return ok;
}

static void
syntax_error(const config_t *cfg, const struct reader *r)
{
	const char *file = config_error_file(cfg);
	const char *text = config_error_text(cfg);
	int line = config_error_line(cfg);

	if (text != NULL && strcmp(text, "syntax error") == 0)
		text = "syntax error here or just before; a setting is written name = value; with "
		       "members of lists separated by commas and none behind the last";
	file = file != NULL ? included(file, r->dir, r->ws) : r->name;
	complain(r->c, file, line > 0 ? (uint32_t)line : 0, text != NULL ? text : "not readable");
}

/* The texts that @include brought in are looked through like the main one. */
static void
scan_included(const struct node *n, const char *name, const char **last, struct conf_check *c)
{
	struct gbuf text = {0};
	const char *error;
	bool ignored;

	if (n->file != name && n->file != *last) {
		*last = n->file;
		if (load_path(n->file, &text, &error) < 0)
			complain(c, n->file, 0, error);
		else
			(void)!read_scan(
			    str_n(text.p, text.n), n->file, &ignored, c); /* told through c */
		gbuf_free(&text);
	}
	if (n->type != NODE_GROUP && n->type != NODE_LIST)
		return;
	for (const struct node *child = n->first; child != NULL; child = child->next)
		scan_included(child, name, last, c);
}

/* `text` ends with a NUL behind its last octet. */
static struct node *
parse(struct str text, const char *name, const char *dir, bool fold, struct ws *ws,
    struct conf_check *c)
{
	struct reader r = {.ws = ws, .c = c, .dir = dir, .name = name};
	uint32_t errors = c->errors;
	const char *last = NULL;
	struct node *root;
	config_t *cfg;
	bool includes;

	if (read_scan(text, name, &includes, c) < 0)
		return NULL;
	r.fold = fold && !includes;
	cfg = config_in(ws, dir);
	if (read_whole(cfg, text) != CONFIG_TRUE) {
		syntax_error(cfg, &r);
		return NULL;
	}
	root = convert(&r, config_root_setting(cfg), 0);
	if (r.last_file != NULL)
		scan_included(root, name, &last, c);
	return c->errors == errors ? root : NULL;
}

struct node *
read_text(struct str text, const char *name, const char *dir, struct ws *ws, struct conf_check *c)
{
	struct str copy = ws_str(ws, text);

	if (copy.p == NULL)
		oom_fail(text.n);
	return parse(copy, name, dir, false, ws, c);
}

static struct node *
read_path(const char *path, const char *dir, bool fold, struct ws *ws, struct conf_check *c)
{
	struct gbuf text = {0};
	struct node *root = NULL;
	const char *error, *name = ws_str(ws, str_of(path)).p;

	if (load_path(path, &text, &error) < 0) {
		complain(c, name, 0, error);
	} else {
		gbuf_u8(&text, '\0');
		root = parse(str_n(text.p, text.n - 1), name, dir, fold, ws, c);
	}
	gbuf_free(&text);
	return root;
}

struct node *
read_file(const char *path, const char *dir, struct ws *ws, struct conf_check *c)
{
	return read_path(path, dir, false, ws, c);
}

struct node *
read_file_folded(const char *path, const char *dir, struct ws *ws, struct conf_check *c)
{
	return read_path(path, dir, true, ws, c);
}
