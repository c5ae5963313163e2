/* SPDX-License-Identifier: Apache-2.0
 *
 * The version-neutral head of a request or response: what policies see, what codecs read and write.
 * All slices live in the request's workspace. Field order and spelling are kept; removing marks,
 * adding appends.
 */
#ifndef GW_HEAD_H
#define GW_HEAD_H

#include "conf/method.h"
#include "shm/base/str.h"
#include "shm/base/ws.h"

enum hdr_flag {
	HDR_HOP = 1,
	HDR_ONCE = 2,
	HDR_FORBID_CONN = 4,
	HDR_UNIQUE = 8,
	HDR_HTTP1 = 16,
	HDR_CLAIM = 32
};
enum hdr_id {
	HDR_OTHER,
#define HDR(ID, name, flags) HDR_##ID,
#include "worker/http/hdr.def"
#undef HDR
	HDR_ID_COUNT
};
enum hdr_id hdr_lookup(struct str name); /* case folded; HDR_OTHER when not known */
unsigned hdr_flags(enum hdr_id id);
struct str hdr_name(enum hdr_id id); /* lower case */
/* The same with `_` and `-` as one letter: what an upstream may take for that field. */
enum hdr_id hdr_lookup_alike(struct str name);
bool hdr_alike(struct str a, struct str b);

struct hdr {
	struct str name, value;
	uint16_t id;  /* enum hdr_id */
	bool gone;    /* removed; writers skip it */
	bool checked; /* no octet is amiss: the codec that read them saw to that, or they are made
		       * of such; whoever changes it clears this */
	bool literal; /* in no table of HPACK, here or further on (RFC 7541 6.2.3, 7.1.3) */
};

enum body_kind {
	BODY_NONE,    /* nothing follows */
	BODY_LENGTH,  /* Content-Length octets */
	BODY_CHUNKED, /* length unknown beforehand (chunked in h1, END_STREAM in h2) */
	BODY_EOF      /* h1 response until close */
};

struct head {
	struct ws *ws;
	bool request;
	uint8_t minor; /* HTTP/1.minor of who sent it; 2 for HTTP/2 */
	/* request */
	enum http_method method;
	struct str method_text;
	struct str target;            /* as received */
	struct str scheme, authority; /* authority: Host or absolute-form, lower-cased host, port
					 kept; "" for none */
	struct str host;              /* authority without port and brackets kept for IPv6 */
	struct str path;              /* normalised (url.h), begins with "/"; "*" for OPTIONS * */
	struct str query;             /* raw, without "?" */
	bool has_query;
	bool expect_continue;
	/* response */
	uint16_t status;
	struct str reason;
	/* both */
	bool keepalive; /* the sender keeps the connection open after this message */
	enum body_kind body;
	uint64_t length; /* BODY_LENGTH; also metadata of HEAD and 304 responses */
	bool has_length;
	struct str upgrade; /* wanted protocol when Connection: upgrade, else "" */
	struct hdr *h;
	uint32_t n, cap;
	bool odd; /* a name with `_` is, or was, among them: it may stand for a known one */
	uint16_t first[HDR_ID_COUNT]; /* quick find: place + 1 in h; head_first */
	struct hdr *trailers;
	uint32_t n_trailers;
};

/* The first of that name, gone or not, or NULL. */
static inline struct hdr *
head_first(const struct head *h, enum hdr_id id)
{
	return h->first[id] > 0 ? &h->h[h->first[id] - 1] : NULL;
}

void head_init(struct head *h, struct ws *ws, bool request);
/* Appends. False over the workspace limit. name and value are borrowed (must live in ws or be
 * static). */
bool head_add(struct head *h, struct str name, struct str value);
bool head_add_id(struct head *h, enum hdr_id id, struct str value);
/* Spelled as it is, whose number was looked up. */
bool head_add_as(struct head *h, enum hdr_id id, struct str name, struct str value);
/* The same of octets a codec has checked. */
bool head_add_checked(struct head *h, enum hdr_id id, struct str name, struct str value);
bool head_add_other(struct head *h, struct str name, struct str value); /* known to have no id */
/* The same of a value that can be seen to have no octet amiss: digits, names checked before. */
bool head_add_made(struct head *h, enum hdr_id id, struct str value);
struct hdr *head_next(const struct head *h, const struct hdr *after); /* next of the same name */
static inline struct hdr *
head_get(const struct head *h, enum hdr_id id) /* first that is not gone, or NULL */
{
	struct hdr *f = head_first(h, id);

	return f == NULL || !f->gone ? f : head_next(h, f);
}
struct hdr *head_find(const struct head *h, struct str name); /* any name */
/* Any name, whose number was looked up. */
struct hdr *head_find_as(const struct head *h, enum hdr_id id, struct str name);
static inline struct str
head_value(const struct head *h, enum hdr_id id) /* "" when absent */
{
	const struct hdr *f = head_get(h, id);

	return f == NULL ? STR("") : f->value;
}
/* Is Content-Type this media type, whatever its parameters and case? */
bool head_media_type(const struct head *h, struct str type);
/* All of that name, `_` and `-` being the same letter; returns how many. */
unsigned head_remove(struct head *h, struct str name);
unsigned head_remove_id(struct head *h, enum hdr_id id);
bool head_set(struct head *h, struct str name, struct str value); /* remove all, add one */
/* The same, whose number was looked up. */
bool head_set_as(struct head *h, enum hdr_id id, struct str name, struct str value);
/* RFC 9110 7.6.1: marks hop-by-hop fields and those Connection names gone. Before anything is
 * added. -1 when Connection names a field it must not (HDR_FORBID_CONN). */
int head_strip_hop(struct head *h) NODISCARD;

#endif
