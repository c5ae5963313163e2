/* SPDX-License-Identifier: Apache-2.0
 *
 * See forwarded.h.
 */
#include "worker/forwarded.h"

#include "shm/base/base.h"

#define HOPS_MAX 64 /* the last ones count; more is nobody's real path */

struct hops {
	struct str v[HOPS_MAX];
	unsigned n; /* all of them, also those that were overwritten */
};

bool
forwarded_trusted(const struct cidrs *trusted, const struct addr *a)
{
	for (uint32_t i = 0; i < trusted->n; i++)
		if (cidr_has(&trusted->v[i], a))
			return true;
	return false;
}

bool
forwarded_id_ok(struct str id)
{
	if (id.n == 0 || id.n > 128)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];
		bool alnum =
		    (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

		if (!alnum && !memchr("-_.:/+=@", c, 8))
			return false;
	}
	return true;
}

static struct str
unquoted(struct str s)
{
	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		return str_sub(s, 1, s.n - 1);
	return s;
}

/* The for= of one element of Forwarded (RFC 7239 4); "" when it has none. */
static struct str
element_for(struct str element)
{
	struct str pair;

	while (str_cut(&element, ';', &pair) == 1) {
		pair = str_trim(pair);
		if (str_istarts(pair, STR("for=")))
			return unquoted(str_sub(pair, 4, pair.n));
	}
	return STR("");
}

static void
collect(const struct head *h, enum hdr_id id, struct hops *hops)
{
	for (const struct hdr *f = head_get(h, id); f; f = head_next(h, f)) {
		struct str rest = f->value, member;

		while (str_list_next(&rest, &member) == 1) {
			if (id == HDR_FORWARDED)
				member = element_for(member);
			hops->v[hops->n++ % HOPS_MAX] = member;
		}
	}
}

static int
hop_addr(struct str s, struct addr *a_r)
{
	const char *error;

	return addr_ip(s, a_r) == 1 || addr_parse(s, 0, a_r, &error) == 1;
}

struct addr
forwarded_client(const struct head *h, const struct cidrs *trusted, const struct addr *peer)
{
	struct addr at = *peer, next;
	struct hops hops;
	unsigned left;

	hops.n = 0;
	collect(h, HDR_X_FORWARDED_FOR, &hops);
	if (hops.n == 0)
		collect(h, HDR_FORWARDED, &hops);
	left = MIN(hops.n, HOPS_MAX);
	/* What a trusted proxy says of the hop before it is believed; what that hop says, only if
	 * it is trusted too. */
	while (left-- > 0 && forwarded_trusted(trusted, &at)) {
		if (!hop_addr(hops.v[--hops.n % HOPS_MAX], &next) || next.family == AF_UNIX)
			break;
		at = next;
		at.port = 0;
	}
	return at;
}
