/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies from text, commands as words, for tests of the console's parts. Included after harness.h.
 */
#ifndef GW_REDIS_KIT_H
#define GW_REDIS_KIT_H

#include <jansson.h>
#include <stdio.h>

#include "master/watcher/redis/keys.h"

/* A reply from what stands on the wire. */
UNUSED static struct reply *
kit_reply(const char *wire)
{
	struct resp *resp = resp_new();
	const char *error = "";
	struct reply *r = NULL;

	assert_int_equal(resp_feed(resp, str_of(wire), &error), 1);
	assert_int_equal(resp_next(resp, &r, &error), 1);
	resp_free(&resp);
	return r;
}

/* Commands as words: "MULTI|HMGET {p}:version epoch|EXEC", at most cap - 1 octets. */
UNUSED static void
kit_words(const struct command *c, char *out, size_t cap)
{
	struct resp *resp = resp_new();
	const char *error = "";
	struct reply *r;
	size_t at = 0;

	assert_int_equal(resp_feed(resp, str_n(c->text.p, c->text.n), &error), 1);
	out[0] = '\0';
	for (unsigned i = 0; i < c->n; i++) {
		assert_int_equal(resp_next(resp, &r, &error), 1);
		for (size_t w = 0; w < r->n && at < cap; w++)
			at += (size_t)snprintf(out + at, cap - at, "%s%s",
			    w > 0 ? " " : (i > 0 ? "|" : ""), r->v[w]->str.p);
		reply_free(&r);
	}
	assert_int_equal(resp_next(resp, &r, &error), 0);
	resp_free(&resp);
}

#endif
