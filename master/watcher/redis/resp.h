/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis's protocol: commands to octets, octets to replies. hiredis does both, and stays behind this
 * header; the replies are our own, so that what a server may make us allocate is ours to say.
 */
#ifndef GW_REDIS_RESP_H
#define GW_REDIS_RESP_H

#include "shm/base/buf.h"
#include "shm/base/str.h"

#define RESP_OCTETS   (256u << 20) /* of one reply */
#define RESP_ELEMENTS 2000000      /* of all its arrays together */

enum reply_type {
	REPLY_STRING,
	REPLY_ARRAY,
	REPLY_INTEGER,
	REPLY_NIL,
	REPLY_STATUS,
	REPLY_ERROR,
};
struct reply {
	enum reply_type type;
	long long integer;
	struct str str; /* string, status, error; terminated */
	struct reply **v;
	size_t n;
};

void reply_free(struct reply **r);
/* Element i of an array; NULL: it is none, or not so long. NULL asks nothing. */
const struct reply *reply_at(const struct reply *r, size_t i);
/* Its text: strings and status; STR_NONE of anything else. */
struct str reply_str(const struct reply *r);
static inline bool
reply_is_error(const struct reply *r)
{
	return r != NULL && r->type == REPLY_ERROR;
}
static inline bool
reply_is_array(const struct reply *r, size_t at_least)
{
	return r != NULL && r->type == REPLY_ARRAY && r->n >= at_least;
}
/* An integer, or text that is a number without a sign: 1 or 0. */
int reply_u64(const struct reply *r, uint64_t *v_r) NODISCARD;

/* One or more commands and how many replies they will have. */
struct command {
	struct gbuf text;
	unsigned n;
};
void command_put(struct command *c, const struct str *words, size_t n);
#define COMMAND(c, ...)                                                                            \
	command_put((c), (const struct str[]){__VA_ARGS__},                                        \
	    ARRAY_LEN(((const struct str[]){__VA_ARGS__})))
void command_free(struct command *c);

struct resp;
struct resp *resp_new(void);
void resp_free(struct resp **r);
/* -1: too large a reply, out of memory; *error_r says so. */
int resp_feed(struct resp *r, struct str octets, const char **error_r) NODISCARD;
/* 1 and a reply, which is the caller's; 0 more is needed; -1 not the protocol. */
int resp_next(struct resp *r, struct reply **reply_r, const char **error_r) NODISCARD;

#endif
