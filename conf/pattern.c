/* SPDX-License-Identifier: Apache-2.0
 *
 * Host and path patterns. A path is matched after normalisation, so a pattern that normalisation
 * would change can never match: it is refused with the reason instead.
 */
#include "conf/pattern.h"

#include "shm/base/addr.h"
#include "shm/base/num.h"
#include "shm/base/regex.h"

#define HOST_MAX  253
#define LABEL_MAX 63

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* strchr finds the terminating NUL too, and a slice may hold one. */
static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

bool
pattern_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && !is_one_of(s.p[i], "!#$%&'*+-.^_`|~"))
			return false;
	return s.n > 0;
}

/* --- hosts ------------------------------------------------------------------------------------ */

static const char *
check_label(struct str label)
{
	if (label.n == 0)
		return "a label between two dots is empty";
	if (label.n > LABEL_MAX)
		return "a label is longer than 63 octets";
	for (size_t i = 0; i < label.n; i++) {
		if (label.p[i] == '*')
			return "a star may only stand for all in front: \"*.example.com\"";
		if (label.p[i] == ':')
			return "a host is written without its port";
		if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
			return "letters, digits, \"-\", \"_\" and dots only";
	}
	return NULL;
}

const char *
pattern_host(struct str s)
{
	struct str rest = s, label;
	struct addr ip;

	if (s.n == 0)
		return "empty; for any host leave `host` out";
	if (str_eq(s, STR("*")))
		return "for any host leave `host` out";
	if (s.n > HOST_MAX)
		return "longer than 253 octets";
	if (s.p[0] == '[')
		return addr_ip(s, &ip) == 1 ? NULL : "not an IPv6 address in brackets";
	if (s.p[s.n - 1] == '.')
		return "a host is written without a dot at its end";
	if (str_starts(s, STR("*.")))
		rest = str_sub(s, 2, s.n);
	while (str_cut(&rest, '.', &label)) {
		const char *wrong = check_label(label);

		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

/* --- paths ------------------------------------------------------------------------------------ */

struct path_check {
	struct str names[PATTERN_PARAMS];
	unsigned n;
};

static const char *
check_parameter(struct str segment, struct path_check *k)
{
	struct str name = str_sub(segment, 1, segment.n - 1);

	if (segment.n < 3 || segment.p[segment.n - 1] != '}')
		return "a {parameter} takes a whole segment between slashes";
	for (size_t i = 0; i < name.n; i++)
		if (!is_alnum(name.p[i]) && name.p[i] != '_' && name.p[i] != '-')
			return "a {parameter}'s name has letters, digits, \"_\" and \"-\" only";
	for (unsigned i = 0; i < k->n; i++)
		if (str_eq(k->names[i], name))
			return "a {parameter} has the same name as another one";
	if (k->n == PATTERN_PARAMS)
		return "more than 16 {parameters}";
	k->names[k->n++] = name;
	return NULL;
}

static bool
is_unreserved(char c)
{
	return is_alnum(c) || is_one_of(c, "-._~");
}

static const char *
check_escape(struct str s)
{
	uint64_t octet;

	if (s.n < 3 || num_hex(str_sub(s, 1, 3), 0xff, &octet) < 0)
		return "\"%\" needs two hexadecimal digits behind it";
	if ((s.p[1] >= 'a' && s.p[1] <= 'f') || (s.p[2] >= 'a' && s.p[2] <= 'f'))
		return "write %XX in upper case, as requests are normalised";
	if (octet == 0)
		return "%00 is refused in every request";
	if (is_unreserved((char)octet))
		return "write letters, digits, \"-\", \".\", \"_\", \"~\" plainly, as requests are "
		       "normalised";
	return NULL;
}

/* RFC 3986 pchar. */
static const char *
check_literal(struct str s)
{
	if (str_eq(s, STR(".")) || str_eq(s, STR("..")))
		return "dot segments never match: requests are normalised";
	for (size_t i = 0; i < s.n; i++) {
		const char *wrong = NULL;

		if (s.p[i] == '*')
			wrong = "a star takes a whole segment between slashes, or the end";
		else if (s.p[i] == '{' || s.p[i] == '}')
			wrong = "a {parameter} takes a whole segment between slashes";
		else if (s.p[i] == '?' || s.p[i] == '#')
			wrong = "a path ends before \"?\" and \"#\"; see `query`";
		else if (s.p[i] == '%')
			wrong = check_escape(str_sub(s, i, s.n));
		else if (!is_unreserved(s.p[i]) && !is_one_of(s.p[i], "!$&'()+,;=:@"))
			wrong = "other octets are written as %XX";
		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

static const char *
check_segment(struct str segment, struct path_check *k)
{
	if (str_eq(segment, STR("*")))
		return NULL;
	if (segment.n > 0 && segment.p[0] == '{')
		return check_parameter(segment, k);
	return check_literal(segment);
}

static const char *
check_regex(struct str s)
{
	const char *error;
	struct regex *r;

	if (s.n == 0)
		return "a regular expression follows \"~\"";
	r = regex_new(s, &error);
	if (r == NULL)
		return error;
	regex_free(&r);
	return NULL;
}

const char *
pattern_path(struct str s, bool merge)
{
	struct path_check k = {.n = 0};
	struct str rest, segment;

	if (s.n > PATTERN_MAX)
		return "longer than 400 octets";
	if (s.n > 0 && s.p[0] == '~')
		return check_regex(str_sub(s, 1, s.n));
	if (s.n == 0 || s.p[0] != '/')
		return "a path begins with \"/\", a regular expression with \"~\"";
	if (merge && str_find(s, STR("//")) >= 0)
		return "\"//\" never matches while merge_slashes is true";
	rest = str_sub(s, 1, s.n);
	while (str_cut(&rest, '/', &segment)) {
		const char *wrong = check_segment(segment, &k);

		if (wrong != NULL)
			return wrong;
	}
	return NULL;
}

bool
pattern_reserved(struct str s)
{
	char prefix[64];

	if (s.n > 0 && s.p[0] == '~')
		s = regex_prefix(str_sub(s, 1, s.n), prefix, sizeof(prefix));
	return str_eq(s, STR("/api/gateway")) || str_starts(s, STR("/api/gateway/"));
}
