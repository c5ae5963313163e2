/* SPDX-License-Identifier: Apache-2.0
 *
 * Values from and to text, and what a row allows in words.
 */
#include "conf/field_text.h"

#include <arpa/inet.h>
#include <math.h>

#include "shm/base/num.h"

static int
fail(const char **error_r, const char *text)
{
	*error_r = text;
	return -1;
}

/* --- text to value ---------------------------------------------------------------------------- */

static int
parse_bool(struct str s, bool *v_r, const char **error_r)
{
	if (str_eq(s, STR("true")) || str_eq(s, STR("on")) || str_eq(s, STR("yes")))
		*v_r = true;
	else if (str_eq(s, STR("false")) || str_eq(s, STR("off")) || str_eq(s, STR("no")))
		*v_r = false;
	else
		return fail(error_r, "neither true nor false");
	return 1;
}

/* Digits, a point, an exponent, perhaps "%": strtod itself would take "inf", "nan" and hexadecimal.
 */
static int
parse_float(struct str s, double *v_r, const char **error_r)
{
	char word[64], *end;
	double v;

	if (str_ends(s, STR("%")))
		s.n--;
	if (s.n == 0 || s.n >= sizeof(word) || strspn(s.p, "+-.0123456789eE") < s.n)
		return fail(error_r, "not a number");
	memcpy(word, s.p, s.n);
	word[s.n] = '\0';
	v = strtod(word, &end);
	if (*end != '\0' || !isfinite(v))
		return fail(error_r, "not a number");
	*v_r = v;
	return 1;
}

static int
parse_enum(const struct field *row, struct str s, int32_t *v_r, const char **error_r)
{
	for (int32_t i = 0; row->names[i] != NULL; i++) {
		if (str_eq(s, str_of(row->names[i]))) {
			*v_r = i;
			return 1;
		}
	}
	return fail(error_r, "not one of the words for this setting");
}

static int
parse_addr(const struct field *row, struct str s, struct addr *a_r, const char **error_r)
{
	return addr_parse(s, (uint16_t)row->min, a_r, error_r);
}

bool
field_in_range(const struct field *row, const void *at)
{
	if (row->min == 0 && row->max == 0)
		return true;
	switch (row->type) {
	case F_INT:
		return *(const int64_t *)at >= row->min && *(const int64_t *)at <= row->max;
	case F_FLOAT:
		return *(const double *)at >= (double)row->min &&
		       *(const double *)at <= (double)row->max;
	case F_DURATION:
	case F_SIZE:
		return *(const uint64_t *)at >= (uint64_t)row->min &&
		       *(const uint64_t *)at <= (uint64_t)row->max;
	default:
		return true;
	}
}

static int
parse_list_of_one(
    const struct field *row, struct str s, void *at, struct ws *ws, const char **error_r)
{
	if (field_room(row, 1, at, ws) < 0)
		return fail(error_r, "too much memory needed");
	return field_parse_member(row, s, at, error_r);
}

static int
parse_value(const struct field *row, struct str s, void *at, struct ws *ws, const char **error_r)
{
	switch (row->type) {
	case F_BOOL:
		return parse_bool(s, at, error_r);
	case F_INT:
		return num_i64(s, at, error_r);
	case F_FLOAT:
		return parse_float(s, at, error_r);
	case F_DURATION:
		return num_duration(s, at, error_r);
	case F_SIZE:
		return num_size(s, at, error_r);
	case F_STRING:
		*(struct str *)at = s;
		return 1;
	case F_ENUM:
		return parse_enum(row, s, at, error_r);
	case F_ADDR:
		return parse_addr(row, s, at, error_r);
	case F_STRINGS:
	case F_CIDRS:
		return parse_list_of_one(row, s, at, ws, error_r);
	default:
		return fail(error_r, "a word where a group or a list belongs");
	}
}

int
field_parse(const struct field *row, struct str text, void *at, struct ws *ws, const char **error_r)
{
	if (parse_value(row, text, at, ws, error_r) < 0)
		return -1;
	return field_in_range(row, at) ? 1 : fail(error_r, "out of range");
}

int
field_room(const struct field *row, uint32_t n, void *at, struct ws *ws)
{
	size_t each = row->type == F_CIDRS ? sizeof(struct cidr) : sizeof(struct str);
	void *room = n > 0 ? ws_zalloc(ws, n * each) : NULL;

	if (n > 0 && room == NULL)
		return -1;
	if (row->type == F_CIDRS)
		*(struct cidrs *)at = (struct cidrs){room, 0};
	else
		*(struct strs *)at = (struct strs){room, 0};
	return 1;
}

int
field_parse_member(const struct field *row, struct str text, void *at, const char **error_r)
{
	if (row->type == F_CIDRS) {
		struct cidrs *list = at;

		if (cidr_parse(text, (struct cidr *)(uintptr_t)&list->v[list->n], error_r) < 0)
			return -1;
		list->n++;
	} else {
		struct strs *list = at;

		*(struct str *)(uintptr_t)&list->v[list->n++] = text;
	}
	return 1;
}

static struct str
unquoted(struct str s)
{
	s = str_trim(s);
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		return str_sub(s, 1, s.n - 1);
	return s;
}

static struct str
unbracketed(struct str s)
{
	s = str_trim(s);
	if (s.n >= 2 && (s.p[0] == '[' || s.p[0] == '('))
		return str_trim(str_sub(s, 1, s.n - 1));
	return s;
}

static int
default_list(
    const struct field *row, struct str text, void *at, struct ws *ws, const char **error_r)
{
	struct str rest = text, piece;
	uint32_t n = 0;

	while (str_cut(&rest, ',', &piece))
		n++;
	if (field_room(row, n, at, ws) < 0)
		return fail(error_r, "too much memory needed");
	rest = text;
	for (uint32_t i = 0; i < n; i++) {
		(void)str_cut(&rest, ',', &piece);
		if (field_parse_member(row, unquoted(piece), at, error_r) < 0)
			return -1;
	}
	return 1;
}

int
field_default(const struct field *row, void *at, struct ws *ws, const char **error_r)
{
	if (row->type == F_STRINGS || row->type == F_CIDRS)
		return default_list(row, unbracketed(str_of(row->def)), at, ws, error_r);
	return field_parse(row, unquoted(str_of(row->def)), at, ws, error_r);
}

/* --- value to text ---------------------------------------------------------------------------- */

static void
float_text(double v, struct gbuf *out)
{
	char word[40];
	int n = 0;

	for (int digits = 1; digits <= 17; digits++) {
		n = snprintf(word, sizeof(word), "%.*g", digits, v);
		if (strtod(word, NULL) == v)
			break;
	}
	/* libconfig and JSON both tell a float by its point or exponent. */
	if (strpbrk(word, ".e") == NULL)
		n += snprintf(word + n, sizeof(word) - (size_t)n, ".0");
	gbuf_put(out, word, (size_t)n);
}

void
field_text(const struct field *row, const void *at, struct gbuf *out)
{
	char word[160];
	size_t n = 0;

	switch (row->type) {
	case F_BOOL:
		gbuf_str(out, *(const bool *)at ? STR("true") : STR("false"));
		return;
	case F_INT:
		gbuf_printf(out, "%lld", (long long)*(const int64_t *)at);
		return;
	case F_FLOAT:
		float_text(*(const double *)at, out);
		return;
	case F_DURATION:
		n = num_duration_text(*(const uint64_t *)at, word);
		break;
	case F_SIZE:
		n = num_size_text(*(const uint64_t *)at, word);
		break;
	case F_STRING:
		gbuf_str(out, *(const struct str *)at);
		return;
	case F_ENUM:
		gbuf_str(out, str_of(row->names[*(const int32_t *)at]));
		return;
	case F_ADDR:
		n = addr_text(at, word, sizeof(word));
		break;
	default:
		return;
	}
	gbuf_put(out, word, n);
}

void
cidr_text(const struct cidr *c, struct gbuf *out)
{
	char word[INET6_ADDRSTRLEN] = "";

	inet_ntop(c->family, c->ip, word, sizeof(word));
	gbuf_printf(out, "%s", word);
	if (c->bits < (c->family == AF_INET ? 32 : 128))
		gbuf_printf(out, "/%u", c->bits);
}

bool
field_quoted(const struct field *row)
{
	return row->type != F_BOOL && row->type != F_INT && row->type != F_FLOAT;
}

/* --- what is allowed -------------------------------------------------------------------------- */

static void
bound_text(const struct field *row, int64_t bound, struct gbuf *out)
{
	union {
		int64_t i;
		uint64_t u;
	} v = {.i = bound};

	if (row->type == F_FLOAT)
		gbuf_printf(out, "%lld", (long long)bound);
	else
		field_text(row, &v, out);
}

static void
range_text(const struct field *row, struct gbuf *out)
{
	if (row->min == 0 && row->max == 0)
		return;
	if (row->max == INT64_MAX) {
		gbuf_str(out, STR(" of at least "));
		bound_text(row, row->min, out);
		return;
	}
	gbuf_str(out, STR(" from "));
	bound_text(row, row->min, out);
	gbuf_str(out, STR(" to "));
	bound_text(row, row->max, out);
}

static void
enum_text(const struct field *row, struct gbuf *out)
{
	for (unsigned i = 0; row->names[i] != NULL; i++) {
		const char *before = i == 0 ? "" : row->names[i + 1] == NULL ? " or " : ", ";

		gbuf_printf(out, "%s\"%s\"", before, row->names[i]);
	}
}

static const char *const allowed_words[] = {
    [F_BOOL] = "true or false",
    [F_INT] = "a whole number",
    [F_FLOAT] = "a number",
    [F_DURATION] = "a duration such as \"5s\"",
    [F_SIZE] = "a size such as \"16k\"",
    [F_STRING] = "a string",
    [F_STRINGS] = "a string or a list of strings",
    [F_CIDRS] =
	"an address or a block such as \"10.0.0.0/8\" or \"2001:db8::/32\", or a list of them",
    [F_ADDR] =
	"an address such as \"*:8080\", \"127.0.0.1:8080\", \"[::1]:8080\" or \"unix:/path\"",
    [F_GROUP] = "a group: { name = value; ... }",
    [F_LIST] = "a list of groups: ( { ... }, { ... } )",
    [F_POLICIES] = "a list of policies: ( { policy = \"name\"; ... }, ... )",
};

void
field_allowed(const struct field *row, struct gbuf *out)
{
	if (row->type == F_ENUM) {
		enum_text(row, out);
		return;
	}
	gbuf_str(out, str_of(allowed_words[row->type]));
	range_text(row, out);
}
