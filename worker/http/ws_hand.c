/* SPDX-License-Identifier: Apache-2.0
 *
 * See ws_hand.h.
 */
#include "worker/http/ws_hand.h"

#include "shm/base/base.h"
#include "shm/base/enc.h"
#include "shm/base/hash.h"
#include "worker/http/octet.h"
#include "worker/http/ws_frame.h"

#define KEY_TEXT    24 /* 16 octets in base64 */
#define ACCEPT_TEXT 28

static const struct str accept_salt = {"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36};
static const struct str protocol_name = {"websocket", 9};

/* A field of the request, removed as hop-by-hop or not. */
static const struct hdr *
field_of(const struct head *h, enum hdr_id id)
{
	return head_first(h, id);
}

bool
ws_hand_wanted(const struct head *h)
{
	const struct hdr *f = field_of(h, HDR_UPGRADE);

	return f && str_list_has(f->value, protocol_name);
}

static bool
key_fits(struct str key)
{
	if (key.n != KEY_TEXT || !str_ends(key, STR("==")))
		return false;
	for (size_t i = 0; i < KEY_TEXT - 2; i++) {
		char c = octet_lower(key.p[i]);

		if (!octet_is(c, OCT_DIGIT) && !(c >= 'a' && c <= 'z') && c != '+' && c != '/')
			return false;
	}
	return true;
}

/* The value of a field that must be there once. */
static bool
only(const struct head *h, enum hdr_id id, struct str *value_r)
{
	const struct hdr *f = head_get(h, id);

	if (!f || head_next(h, f))
		return false;
	*value_r = f->value;
	return true;
}

static const char *
request_wrong(const struct head *h)
{
	struct str key;

	if (h->method != METHOD_GET)
		return "A WebSocket handshake is a GET request.";
	if (h->minor < 1)
		return "A WebSocket handshake needs HTTP/1.1.";
	if (!str_list_has(h->upgrade, protocol_name))
		return "A WebSocket handshake needs Connection: Upgrade.";
	if (h->body != BODY_NONE)
		return "A WebSocket handshake has no body.";
	if (!only(h, HDR_SEC_WEBSOCKET_KEY, &key) || !key_fits(key))
		return "A WebSocket handshake needs one Sec-WebSocket-Key of 16 octets in base64.";
	return NULL;
}

int
ws_hand_request(const struct head *h, enum reason *why_r, const char **detail_r)
{
	const char *wrong = request_wrong(h);
	struct str version;

	*why_r = REASON_WS_HANDSHAKE;
	*detail_r = wrong;
	if (wrong)
		return -1;
	if (only(h, HDR_SEC_WEBSOCKET_VERSION, &version) && str_eq(version, STR("13")))
		return 1;
	*why_r = REASON_WS_VERSION;
	*detail_r = NULL;
	return -1;
}

static bool
accept_fits(struct str key, struct str accept)
{
	const struct str parts[] = {key, accept_salt};
	char text[ACCEPT_TEXT];
	uint8_t sha[HASH_SHA1];

	hash_sha1(parts, ARRAY_LEN(parts), sha);
	return str_eq(accept, str_n(text, enc_base64(sha, sizeof(sha), text)));
}

/* Is it a member of one of the request's lists, by its name (what is before ";")? */
static bool
offered(const struct head *request, enum hdr_id id, struct str name)
{
	const struct hdr *f = head_get(request, id);
	struct str list, member, first;

	for (; f; f = head_next(request, f))
		for (list = f->value; str_list_next(&list, &member) == 1;)
			if (str_cut(&member, ';', &first) && str_eq(str_trim(first), name))
				return true;
	return false;
}

static bool
subprotocol_fits(const struct head *request, const struct head *response)
{
	struct str name;

	if (!head_get(response, HDR_SEC_WEBSOCKET_PROTOCOL))
		return true;
	return only(response, HDR_SEC_WEBSOCKET_PROTOCOL, &name) && octet_token(name) &&
	       offered(request, HDR_SEC_WEBSOCKET_PROTOCOL, name);
}

static bool
extensions_fit(const struct head *request, const struct head *response, struct ws_agreed *agreed)
{
	const struct hdr *f = head_get(response, HDR_SEC_WEBSOCKET_EXTENSIONS);
	struct str list, member, name;

	*agreed = (struct ws_agreed){.rsv_first = true};
	for (; f; f = head_next(response, f))
		for (list = f->value; str_list_next(&list, &member) == 1;) {
			if (!str_cut(&member, ';', &name))
				return false;
			name = str_trim(name);
			if (!offered(request, HDR_SEC_WEBSOCKET_EXTENSIONS, name))
				return false;
			if (str_eq(name, STR("permessage-deflate"))) {
				agreed->rsv |= WS_RSV1;
				continue;
			}
			/* What another one does with the bits is between the two of them. */
			agreed->rsv = WS_RSV_ALL;
			agreed->rsv_first = false;
		}
	return true;
}

int
ws_hand_response(const struct head *request, const struct head *response,
    struct ws_agreed *agreed_r, const char **error_r)
{
	struct str key, accept;

	*error_r = "101 without Connection: Upgrade and Upgrade: websocket";
	if (!str_ieq(response->upgrade, protocol_name))
		return -1;
	*error_r = "Sec-WebSocket-Accept is not the key's";
	if (!only(request, HDR_SEC_WEBSOCKET_KEY, &key) ||
	    !only(response, HDR_SEC_WEBSOCKET_ACCEPT, &accept) || !accept_fits(key, accept))
		return -1;
	*error_r = "a subprotocol that was not offered";
	if (!subprotocol_fits(request, response))
		return -1;
	*error_r = "an extension that was not offered";
	return extensions_fit(request, response, agreed_r) ? 1 : -1;
}
