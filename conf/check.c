/* SPDX-License-Identifier: Apache-2.0
 *
 * Collecting what is wrong with a configuration. A line is always one line: content of files is
 * escaped, and a value as long as a book is cut.
 */
#include "conf/check.h"

#include <stdarg.h>

#include "conf/node.h"
#include "conf/sealed.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"

#define MESSAGE_MAX 1024

void
check_init(struct conf_check *c)
{
	memset(c, 0, sizeof(*c));
	c->at.path = str_n(c->path, 0);
}

void
check_free(struct conf_check *c)
{
	gbuf_free(&c->text);
	check_init(c);
}

int
check_fd(const struct conf_check *c)
{
	int fd = sealed_new("report");

	if (fd >= 0)
		(void)!sealed_put(fd, str_n(c->text.p, c->text.n));
	return fd;
}

/* --- the path --------------------------------------------------------------------------------- */

static void
append(struct conf_check *c, struct str s)
{
	size_t n = MIN(s.n, sizeof(c->path) - c->at.path.n);

	if (n > 0)
		memcpy(c->path + c->at.path.n, s.p, n);
	c->at.path = str_n(c->path, c->at.path.n + n);
}

size_t
check_push(struct conf_check *c, struct str name)
{
	size_t before = c->at.path.n;

	if (before > 0)
		append(c, STR("."));
	append(c, name);
	return before;
}

size_t
check_push_id(struct conf_check *c, struct str id)
{
	size_t before = c->at.path.n;

	append(c, STR("["));
	append(c, str_sub(id, 0, 64));
	append(c, STR("]"));
	return before;
}

size_t
check_push_index(struct conf_check *c, uint32_t index)
{
	char word[32];

	return check_push_id(c, str_n(word, num_u64_text(index, word)));
}

void
check_cut(struct conf_check *c, size_t n)
{
	c->at.path = str_n(c->path, n);
}

/* --- where a setting stands ------------------------------------------------------------------- */

/* "timeouts.connect" or "endpoints[2].url" below the group being read; the nearest that is there.
 */
static const struct node *
locate(const struct conf_check *c, const char *setting, bool *all_r)
{
	const struct node *at = c->node, *next;
	struct str rest = str_of(setting), step;

	*all_r = at != NULL;
	while (at != NULL && str_cut(&rest, '.', &step)) {
		next = node_step(at, step);
		if (next == NULL) {
			*all_r = false;
			return at;
		}
		at = next;
	}
	return at;
}

bool
check_given(const struct conf_check *c, const char *setting)
{
	bool all;

	(void)locate(c, setting, &all);
	return all;
}

static struct conf_place
place_of(const struct conf_check *c, const char *setting)
{
	struct conf_place at = c->at;
	const struct node *node;
	bool all;

	if (setting == NULL)
		return at;
	node = locate(c, setting, &all);
	if (node != NULL && node != c->node && node->file != NULL) {
		at.file = str_of(node->file);
		at.line = node->line;
	}
	return at;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Reports go into JSON too: what is no UTF-8, or was cut within a character, is told in octets. */
static void
put_escaped(struct gbuf *out, struct str s)
{
	while (s.n > 0) {
		unsigned char octet = (unsigned char)s.p[0];
		unsigned n = enc_utf8_len(s);

		if (n == 0 || octet < 0x20 || octet == 0x7f)
			gbuf_printf(out, "\\x%02x", octet);
		else
			gbuf_str(out, str_sub(s, 0, n));
		s = str_sub(s, MAX(n, 1u), s.n);
	}
}

static void
put_place(struct gbuf *out, const struct conf_place *at, const char *setting)
{
	if (at->file.n > 0) {
		put_escaped(out, at->file);
		gbuf_printf(out, at->line > 0 ? ":%u: " : ": ", at->line);
	}
	put_escaped(out, at->path);
	if (setting != NULL)
		gbuf_printf(out, "%s%s", at->path.n > 0 ? "." : "", setting);
	if (at->path.n > 0 || setting != NULL)
		gbuf_str(out, STR(": "));
}

static void put_line(struct conf_check *c, const struct conf_place *at, const char *setting,
    const char *word, const char *fmt, va_list ap) PRINTF(5, 0);

static void
put_line(struct conf_check *c, const struct conf_place *at, const char *setting, const char *word,
    const char *fmt, va_list ap)
{
	char message[MESSAGE_MAX];
	int n;

	if (c->errors + c->warnings > CHECK_LINES)
		return;
	n = vsnprintf(message, sizeof(message), fmt, ap);
	if (n >= (int)sizeof(message)) {
		n = sizeof(message) - 1;
		memcpy(message + n - 3, "...", 3);
	}
	put_place(&c->text, at, setting);
	gbuf_str(&c->text, str_of(word));
	put_escaped(&c->text, str_n(message, (size_t)MAX(n, 0)));
	gbuf_str(&c->text, STR("\n"));
}

void
check_error(struct conf_check *c, const char *setting, const char *fmt, ...)
{
	struct conf_place at = place_of(c, setting);
	va_list ap;

	c->errors++;
	va_start(ap, fmt);
	put_line(c, &at, setting, "", fmt, ap);
	va_end(ap);
}

void
check_warn(struct conf_check *c, const char *setting, const char *fmt, ...)
{
	struct conf_place at = place_of(c, setting);
	va_list ap;

	c->warnings++;
	va_start(ap, fmt);
	put_line(c, &at, setting, "warning: ", fmt, ap);
	va_end(ap);
}

void
check_error_at(struct conf_check *c, const struct conf_place *at, const char *fmt, ...)
{
	va_list ap;

	c->errors++;
	va_start(ap, fmt);
	put_line(c, at, NULL, "", fmt, ap);
	va_end(ap);
}

void
check_warn_at(struct conf_check *c, const struct conf_place *at, const char *fmt, ...)
{
	va_list ap;

	c->warnings++;
	va_start(ap, fmt);
	put_line(c, at, NULL, "warning: ", fmt, ap);
	va_end(ap);
}

/* --- did you mean ----------------------------------------------------------------------------- */

bool
check_near(struct str word, struct str name, unsigned *best)
{
	unsigned d = str_distance(word, name);

	/* A third of the word may be wrong; two letters swapped count as two. */
	if (d >= *best || d > (word.n + 2) / 3 || d >= name.n)
		return false;
	*best = d;
	return true;
}

const char *
check_nearest(struct str word, const char *const *names)
{
	const char *nearest = NULL;
	unsigned best = UINT32_MAX;

	for (; *names != NULL; names++)
		if (check_near(word, str_of(*names), &best))
			nearest = *names;
	return nearest;
}
