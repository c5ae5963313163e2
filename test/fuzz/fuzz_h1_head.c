/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads from anybody: octet 0 says whether it is a request, and how the octets arrive. What is
 * taken must come out clean, and mean the same when it has been written and read again.
 */
#include "shm/base/bug.h"
#include "worker/http/h1.h"
#include "worker/http/octet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct h1_limits limits = {
    .request_line = 512, .headers = 4096, .count = 40, .merge_slashes = true};

static int
scan(struct str in, bool request, size_t step, uint32_t *len_r)
{
	struct h1_scan s = {0};
	enum reason why = REASON_NONE;
	int r = 0;

	for (size_t n = MIN(step, in.n); r == 0; n = MIN(n + step, in.n)) {
		r = h1_scan(&s, str_sub(in, 0, n), request, &limits, len_r, &why);
		if (n == in.n)
			break;
	}
	BUG_ON(r < 0 && why == REASON_NONE);
	return r;
}

static int
parse_with(struct str text, bool request, bool to_head, const struct h1_limits *l, struct head *h)
{
	enum reason why = REASON_NONE;
	int r = request ? h1_parse_request(text, l, h, &why)
			: h1_parse_response(text, to_head, l, h, &why);

	BUG_ON(r < 0 && why == REASON_NONE);
	return r;
}

/* A head http-parser is not asked about is one that it has nothing against. */
static int
parse(struct str text, bool request, bool to_head, struct head *h)
{
	struct h1_limits ask = limits;
	struct head other;
	int r;

	ask.ask_always = true;
	head_init(&other, h->ws, request);
	r = parse_with(text, request, to_head, &limits, h);
	BUG_ON(parse_with(text, request, to_head, &ask, &other) != r);
	return r;
}

static void
check_clean(const struct head *h)
{
	for (uint32_t i = 0; i < h->n; i++)
		BUG_ON(!octet_token(h->h[i].name) || !octet_text(h->h[i].value));
	BUG_ON(h->body == BODY_LENGTH && (!h->has_length || h->length == 0));
	BUG_ON(h->body == BODY_CHUNKED && h->has_length);
	if (!h->request) {
		BUG_ON(h->status < 100 || h->status > 599);
		return;
	}
	BUG_ON(h->minor > 1 || h->body == BODY_EOF);
	BUG_ON(h->path.n > 0 && h->path.p[0] != '/' && !str_eq(h->path, STR("*")));
	BUG_ON(memchr(h->path.p, ' ', h->path.n) != NULL || !octet_text(h->path));
	BUG_ON(h->minor == 1 && h->host.n == 0);
}

static void
again(const struct head *h, bool to_head, struct ws *ws)
{
	struct str target = h->path, text;
	struct head back;
	uint32_t len;

	if (h->request && (h->method == METHOD_CONNECT || h->host.n == 0))
		return;
	if (h->request && str_eq(target, STR("*")) && h->method != METHOD_OPTIONS)
		return;
	text = h->request ? h1_write_request(h, target, h->keepalive, STR(""))
			  : h1_write_response(h, 1, h->keepalive, STR(""));
	BUG_ON(text.p == NULL);
	if (text.n > limits.headers || h->n + 2 > limits.count ||
	    (h->request && target.n + h->method_text.n + 10 > limits.request_line))
		return;
	BUG_ON(scan(text, h->request, SIZE_MAX, &len) != 1 || len != text.n);
	head_init(&back, ws, h->request);
	BUG_ON(parse(text, h->request, to_head, &back) != 1);
	BUG_ON(back.body != h->body || (h->has_length && back.length != h->length));
	BUG_ON(h->request && (!str_eq(back.path, h->path) || !str_eq(back.host, h->host)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_n((const char *)data + 1, size - 1);
	bool request, to_head;
	uint32_t len = 0, len2 = 0;
	struct head h;
	struct ws ws;
	int r;

	if (size < 1)
		return 0;
	request = (data[0] & 1) == 0;
	to_head = (data[0] & 2) != 0;
	r = scan(in, request, SIZE_MAX, &len);
	BUG_ON(scan(in, request, 1u + (data[0] >> 4), &len2) != r || len != len2);
	if (r != 1)
		return 0;
	ws_init(&ws, NULL, 0);
	head_init(&h, &ws, request);
	if (parse(str_sub(in, 0, len), request, to_head, &h) == 1) {
		check_clean(&h);
		if (head_strip_hop(&h) == 1)
			again(&h, to_head, &ws);
	}
	ws_free(&ws);
	return 0;
}
