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
#define RUN_DEPTH  2 /* of the members of the top's lists */

struct reader {
	struct ws *ws;
	struct conf_check *c;
	const char *dir;
	const char *name;      /* of the main text; settings from @include carry their own */
	uint32_t line;         /* at which the text begins, less one */
	struct runs *runs;     /* NULL: all is read at once */
	const char *last_file; /* libconfig's pointer of the setting before ... */
	const char *last_copy; /* ... and our copy of that name */
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
node_of(struct reader *r, const config_setting_t *s, enum node_type type)
{
	return node_new(r->ws, type, str_of(config_setting_name(s)), file_of(r, s),
	    r->line + (uint32_t)config_setting_source_line(s));
}

static struct node *
convert_members(struct reader *r, const config_setting_t *s, enum node_type type, unsigned depth)
{
	struct node *n = node_of(r, s, type);
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
convert(struct reader *r, const config_setting_t *s, unsigned depth)
{
	struct node *n;

	switch (config_setting_type(s)) {
	case CONFIG_TYPE_GROUP:
		return convert_members(r, s, NODE_GROUP, depth);
	case CONFIG_TYPE_ARRAY:
	case CONFIG_TYPE_LIST:
		return convert_members(r, s, NODE_LIST, depth);
	case CONFIG_TYPE_STRING:
		n = node_of(r, s, NODE_STRING);
		n->s = str_of(config_setting_get_string(s));
		return n;
	case CONFIG_TYPE_INT:
		n = node_of(r, s, NODE_INT);
		n->i = config_setting_get_int(s);
		return n;
	case CONFIG_TYPE_INT64:
		n = node_of(r, s, NODE_INT);
		n->i = config_setting_get_int64(s);
		return n;
	case CONFIG_TYPE_FLOAT:
		n = node_of(r, s, NODE_FLOAT);
		n->f = config_setting_get_float(s);
		return n;
	case CONFIG_TYPE_BOOL:
		n = node_of(r, s, NODE_BOOL);
		n->b = config_setting_get_bool(s) != 0;
		return n;
	default:
		return NULL;
	}
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
	complain(r->c, file, line > 0 ? r->line + (uint32_t)line : 0,
	    text != NULL ? text : "not readable");
}

/* The texts that @include brought in are looked through like the main one. */
static void
scan_included(const struct node *n, const char *name, const char **last, struct conf_check *c)
{
	struct scan_cuts none = {0};
	struct gbuf text = {0};
	const char *error;

	if (n->file != name && n->file != *last) {
		*last = n->file;
		if (load_path(n->file, &text, &error) < 0)
			complain(c, n->file, 0, error);
		else
			(void)!read_scan(
			    str_n(text.p, text.n), n->file, &none, c); /* told through c */
		gbuf_free(&text);
	}
	if (n->type != NODE_GROUP && n->type != NODE_LIST)
		return;
	for (const struct node *child = n->first; child != NULL; child = child->next)
		scan_included(child, name, last, c);
}

/* `text` ends with a NUL behind its last octet. */
static struct node *
parse(struct reader *r, struct str text, config_t *cfg)
{
	uint32_t errors = r->c->errors;
	const char *last = NULL;
	struct node *root;

	if (read_whole(cfg, text) != CONFIG_TRUE) {
		syntax_error(cfg, r);
		return NULL;
	}
	root = convert(r, config_root_setting(cfg), 0);
	if (r->last_file != NULL)
		scan_included(root, r->name, &last, r->c);
	return r->c->errors == errors ? root : NULL;
}

/* --- runs ------------------------------------------------------------------------------------- */

/* A list of its own, with a name as any setting has. */
static void *
run_parse(struct str text)
{
	config_t *cfg = xcalloc(1, sizeof(*cfg));
	struct gbuf list = {0};

	config_init(cfg);
	gbuf_str(&list, STR("run = ("));
	gbuf_str(&list, text);
	gbuf_str(&list, STR(");"));
	gbuf_u8(&list, '\0');
	(void)read_whole(cfg, str_n(list.p, list.n - 1)); /* what is wrong stays in cfg */
	gbuf_free(&list);
	return cfg;
}

static void
run_drop(void *tree)
{
	config_destroy(tree);
	free(tree);
}

static const struct run_ops run_ops = {run_parse, run_drop};

struct runs *
read_runs_new(struct ws *ws, size_t aim)
{
	return runs_new(ws, &run_ops, aim);
}

static uint32_t
lines_in(struct str text)
{
	const char *p = text.p, *end = text.p + text.n;
	uint32_t n = 0;

	while (p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		n++;
		p++;
	}
	return n;
}

/* The text without what is cut out of it, but as many lines: behind the list's bracket, for a
 * member has the line of what comes next, as libconfig counts them. */
static void
put_rest(struct str text, const struct scan_cuts *cuts, struct gbuf *out)
{
	uint32_t lines = 0;
	size_t at = 0;

	for (uint32_t i = 0; i < cuts->n; i++) {
		const struct scan_cut *cut = &cuts->v[i];

		gbuf_str(out, str_sub(text, at, cut->from));
		at = cut->to;
		lines += lines_in(str_sub(text, cut->from, cut->to));
		if (i + 1 < cuts->n && cuts->v[i + 1].from == at)
			continue;
		gbuf_u8(out, (uint8_t)text.p[at++]);
		for (; lines > 0; lines--)
			gbuf_u8(out, '\n');
	}
	gbuf_str(out, str_sub(text, at, text.n));
	gbuf_u8(out, '\0');
}

/* The top's list of that number, of those written ( ). */
static struct node *
list_of(struct node *root, const config_t *cfg, uint32_t number)
{
	const config_setting_t *top = config_root_setting(cfg), *s;

	for (int i = 0; (s = config_setting_get_elem(top, (unsigned)i)) != NULL; i++)
		if (config_setting_type(s) == CONFIG_TYPE_LIST && number-- == 0)
			return node_get(root, str_of(config_setting_name(s)));
	return NULL;
}

static void
add_runs(struct reader *r, struct str text, const struct scan_cuts *cuts, struct node *root,
    const config_t *cfg)
{
	uint32_t line = 0;
	size_t at = 0;

	for (uint32_t i = 0; i < cuts->n; i++) {
		const struct scan_cut *cut = &cuts->v[i];
		struct node *list = list_of(root, cfg, cut->list), *n;

		BUG_ON(list == NULL);
		line += lines_in(str_sub(text, at, cut->from));
		at = cut->from;
		n = node_new(r->ws, NODE_RUN, STR(""), r->name, line + 1);
		n->run = runs_add(
		    r->runs, str_sub(text, cut->from + 1, cut->to), r->name, line, cut->members);
		node_add(list, n);
		list->n += cut->members - 1;
	}
}

/* What is long in it is left to runs. `text` may be gone afterwards: they need it. */
static struct node *
parse_cut(struct reader *r, struct gbuf *text, const struct scan_cuts *cuts)
{
	struct str whole = str_n(text->p, text->n - 1);
	config_t *cfg = config_in(r->ws, r->dir);
	struct gbuf rest = {0};
	struct node *root;

	if (cuts->n == 0)
		return parse(r, whole, cfg);
	put_rest(whole, cuts, &rest);
	root = parse(r, str_n(rest.p, rest.n - 1), cfg);
	gbuf_free(&rest);
	if (root == NULL)
		return NULL;
	add_runs(r, whole, cuts, root, cfg);
	runs_keep(r->runs, text);
	return root;
}

int
read_run(const struct node *n, struct run_reading *rr, struct conf_check *c)
{
	struct reader r = {.ws = c->ws, .c = c, .dir = ".", .name = n->file, .line = n->run->line};
	const config_setting_t *list;
	config_t *cfg = run_take(n->run);

	if (config_error_type(cfg) != CONFIG_ERR_NONE) {
		syntax_error(cfg, &r);
		return -1;
	}
	list = config_setting_get_elem(config_root_setting(cfg), 0);
	if ((uint32_t)config_setting_length(list) != n->run->members) { /* so it was counted on */
		complain(c, n->file, n->line, "the members of this list cannot be told apart");
		return -1;
	}
	*rr = (struct run_reading){n->run, list};
	return 1;
}

const struct node *
read_run_member(const struct run_reading *rr, uint32_t i, struct ws *ws, struct conf_check *c)
{
	struct reader r = {
	    .ws = ws, .c = c, .dir = ".", .name = rr->run->file, .line = rr->run->line};

	return convert(&r, config_setting_get_elem(rr->list, i), RUN_DEPTH);
}

/* --- a text or a file --------------------------------------------------------------------------
 */

static struct node *
read_gbuf(struct reader *r, struct gbuf *text)
{
	struct scan_cuts cuts = {.aim = r->runs != NULL ? runs_aim(r->runs) : 0};
	struct node *root = NULL;

	if (read_scan(str_n(text->p, text->n - 1), r->name, &cuts, r->c) == 1)
		root = parse_cut(r, text, &cuts);
	scan_cuts_free(&cuts);
	return root;
}

struct node *
read_text(struct str text, const char *name, const char *dir, struct ws *ws, struct conf_check *c)
{
	struct reader r = {.ws = ws, .c = c, .dir = dir, .name = name};
	struct gbuf copy = {0};
	struct node *root;

	gbuf_str(&copy, text);
	gbuf_u8(&copy, '\0');
	root = read_gbuf(&r, &copy);
	gbuf_free(&copy);
	return root;
}

struct node *
read_file(const char *path, const char *dir, struct runs *runs, struct ws *ws, struct conf_check *c)
{
	struct reader r = {
	    .ws = ws, .c = c, .dir = dir, .name = ws_str(ws, str_of(path)).p, .runs = runs};
	struct gbuf text = {0};
	struct node *root = NULL;
	const char *error;

	if (load_path(path, &text, &error) < 0) {
		complain(c, r.name, 0, error);
	} else {
		gbuf_u8(&text, '\0');
		root = read_gbuf(&r, &text);
	}
	gbuf_free(&text);
	return root;
}
