/* SPDX-License-Identifier: Apache-2.0
 *
 * See origin.h. A star stands for labels of a host and for nothing else, so that no origin made to
 * look like one of ours fits.
 */
#include "conf/origin.h"

#include "conf/pattern.h"

/* "scheme://" off, or nothing where there is none. */
static struct str
scheme_off(struct str *s)
{
	ssize_t at = str_find(*s, STR("://"));
	struct str scheme = str_sub(*s, 0, at < 0 ? 0 : (size_t)at);

	*s = at < 0 ? *s : str_sub(*s, (size_t)at + 3, s->n);
	return scheme;
}

/* ":port" off the end, brackets of IPv6 minded. */
static void
port_off(struct str *s)
{
	size_t i = s->n;

	while (i > 0 && s->p[i - 1] >= '0' && s->p[i - 1] <= '9')
		i--;
	if (i < s->n && i > 0 && s->p[i - 1] == ':')
		*s = str_sub(*s, 0, i - 1);
}

const char *
origin_wrong(struct str pattern)
{
	struct str host = pattern, scheme;

	if (str_eq(pattern, STR("null")))
		return NULL;
	scheme = scheme_off(&host);
	port_off(&host);
	if (scheme.n == 0 && !str_starts(pattern, STR("*.")))
		return "an origin has a scheme";
	return pattern_host(host);
}

/* What a star stands for: labels of a host. */
static bool
star_fits(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = (char)(s.p[i] | 0x20);

		if (!(c >= 'a' && c <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '-' &&
		    s.p[i] != '.' && s.p[i] != '_')
			return false;
	}
	return s.n > 0 && s.p[0] != '.';
}

bool
origin_fits(struct str pattern, struct str origin)
{
	struct str scheme, want = pattern, host = origin;

	if (str_find(pattern, STR("*.")) < 0)
		return str_ieq(pattern, origin);
	scheme = scheme_off(&want);
	if (scheme.n == 0) {
		scheme_off(&host);
		port_off(&host);
	} else if (!str_ieq(scheme, scheme_off(&host))) {
		return false;
	}
	want = str_sub(want, 1, want.n); /* ".example.com:8443" */
	return host.n > want.n && star_fits(str_sub(host, 0, host.n - want.n)) &&
	       str_ieq(str_sub(host, host.n - want.n, host.n), want);
}

bool
origin_among(const struct strs *patterns, struct str origin)
{
	for (uint32_t i = 0; i < patterns->n; i++)
		if (origin_fits(patterns->v[i], origin))
			return true;
	return false;
}
