/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a message ends (RFC 9112 6.3), decided from the fields and nothing else. Whatever two
 * readers could understand differently is refused, so that upstream and gateway cannot differ.
 */
#include "worker/http/h1_priv.h"

#include "shm/base/num.h"
#include "worker/http/octet.h"

static int
refuse(enum reason why, enum reason *why_r)
{
	*why_r = why;
	return -1;
}

/* Exactly one line, digits alone, below 2^63. 1, 0 none, -1. */
static int
content_length(const struct head *h, uint64_t *v_r)
{
	const struct hdr *f = head_get(h, HDR_CONTENT_LENGTH);
	const char *error;

	if (f == NULL)
		return 0;
	if (head_next(h, f) != NULL)
		return -1;
	return num_u64(f->value, INT64_MAX, v_r, &error);
}

enum coding { CODING_NONE, CODING_CHUNKED, CODING_UNKNOWN, CODING_BAD };

/* One line "chunked" is the only coding there is. Others that are at least well formed and do not
 * bury "chunked" are unknown; the rest is ambiguous. */
static enum coding
transfer_coding(const struct head *h)
{
	const struct hdr *f = head_get(h, HDR_TRANSFER_ENCODING);
	struct str list, member;
	unsigned chunked = 0, n = 0;
	bool last = false;

	if (f == NULL)
		return CODING_NONE;
	if (str_ieq(f->value, STR("chunked")) && head_next(h, f) == NULL)
		return CODING_CHUNKED;
	if (head_next(h, f) != NULL)
		return CODING_BAD;
	for (list = f->value; str_list_next(&list, &member) == 1; n++) {
		if (!octet_token(member))
			return CODING_BAD;
		last = str_ieq(member, STR("chunked"));
		chunked += last;
	}
	if (n < 1 + chunked || chunked > 1 || (chunked == 1 && !last))
		return CODING_BAD;
	return CODING_UNKNOWN;
}

/* Connection and Upgrade: does the sender go on after this message, and with what. */
static void
persistence(struct head *h)
{
	bool close = false, keep = false, upgrade = false;
	const struct hdr *f = head_get(h, HDR_CONNECTION);
	struct str list, option;

	for (; f != NULL; f = head_next(h, f)) {
		for (list = f->value; str_list_next(&list, &option) == 1;) {
			close |= str_ieq(option, STR("close"));
			keep |= str_ieq(option, STR("keep-alive"));
			upgrade |= str_ieq(option, STR("upgrade"));
		}
	}
	h->keepalive = !close && (h->minor >= 1 || keep);
	if (upgrade && h->minor >= 1)
		h->upgrade = head_value(h, HDR_UPGRADE);
}

static int
expectation(struct head *h, enum reason *why_r)
{
	const struct hdr *f = head_get(h, HDR_EXPECT);

	if (f == NULL || h->minor == 0) /* RFC 9110 10.1.1: ignored from HTTP/1.0 */
		return 1;
	if (!str_ieq(f->value, STR("100-continue")) || head_next(h, f) != NULL)
		return refuse(REASON_EXPECTATION, why_r);
	h->expect_continue = h->body != BODY_NONE;
	return 1;
}

static void
set_length(struct head *h, uint64_t length)
{
	h->has_length = true;
	h->length = length;
	h->body = length > 0 ? BODY_LENGTH : BODY_NONE;
}

int
h1_frame_request(struct head *h, enum reason *why_r)
{
	uint64_t length;
	int cl = content_length(h, &length);
	enum coding te = transfer_coding(h);

	persistence(h);
	if (cl < 0 || te == CODING_BAD || (te != CODING_NONE && (cl != 0 || h->minor == 0)))
		return refuse(REASON_BAD_FRAMING, why_r);
	if (te == CODING_UNKNOWN)
		return refuse(REASON_NOT_IMPLEMENTED, why_r);
	if (cl == 1)
		set_length(h, length);
	if (te == CODING_CHUNKED)
		h->body = BODY_CHUNKED;
	return expectation(h, why_r);
}

/* 1xx, 204, 304 and whatever answers HEAD end with the head. A length in the latter two is
 * metadata; in the former it is a mistake, and what follows on that connection is not to be
 * trusted. */
static void
frame_bodiless(struct head *h, int cl, uint64_t length, enum coding te)
{
	h->body = BODY_NONE;
	if (h->status < 200 || h->status == 204) {
		if ((cl == 1 && length > 0) || te != CODING_NONE)
			h->keepalive = false;
		head_remove_id(h, HDR_CONTENT_LENGTH);
		return;
	}
	if (cl == 1) {
		h->has_length = true;
		h->length = length;
	}
}

int
h1_frame_response(struct head *h, bool head_request)
{
	uint64_t length = 0;
	int cl = content_length(h, &length);
	enum coding te = transfer_coding(h);

	persistence(h);
	if (cl < 0 || te == CODING_BAD || te == CODING_UNKNOWN)
		return -1;
	if (te == CODING_CHUNKED && (cl == 1 || h->minor == 0))
		return -1;
	if (head_request || h->status < 200 || h->status == 204 || h->status == 304) {
		frame_bodiless(h, cl, length, te);
	} else if (te == CODING_CHUNKED) {
		h->body = BODY_CHUNKED;
	} else if (cl == 1) {
		set_length(h, length);
	} else {
		h->body = BODY_EOF;
		h->keepalive = false;
	}
	return 1;
}
