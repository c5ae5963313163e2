/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunked bodies: however they are cut into reads (octet 0), payload and verdict are the same.
 */
#include "shm/base/bug.h"
#include "shm/base/buf.h"
#include "worker/http/h1.h"
#include "worker/http/octet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	int r;
	size_t used;
	struct gbuf body;
	uint32_t trailers;
};

static struct result
decode(struct str in, size_t step, struct ws *ws)
{
	struct result out = {0};
	struct h1_chunk c;
	struct head h;
	size_t end = MIN(step, in.n);

	head_init(&h, ws, true);
	h1_chunk_init(&c);
	for (;;) {
		struct str part = STR_NONE;
		uint32_t used = 0;

		out.r = h1_chunk_next(&c, str_sub(in, out.used, end), &h, &part, &used);
		BUG_ON(used > end - out.used);
		out.used += used;
		if (out.r == 1) {
			BUG_ON(part.n == 0);
			gbuf_str(&out.body, part);
		} else if (out.r != 0 || end == in.n) {
			break;
		} else {
			end = MIN(end + step, in.n);
		}
	}
	for (uint32_t i = 0; i < h.n_trailers; i++)
		BUG_ON(!octet_token(h.trailers[i].name) || !octet_text(h.trailers[i].value));
	BUG_ON(h.n != 0);
	out.trailers = h.n_trailers;
	return out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_n((const char *)data + 1, size - 1);
	struct result a, b;
	struct ws ws;

	if (size < 1)
		return 0;
	ws_init(&ws, NULL, 0);
	a = decode(in, SIZE_MAX, &ws);
	b = decode(in, 1u + data[0] % 32, &ws);
	BUG_ON(a.r != b.r);
	if (a.r >= 0) {
		BUG_ON(a.used != b.used || a.trailers != b.trailers || a.body.n != b.body.n);
		BUG_ON(a.body.n > 0 && memcmp(a.body.p, b.body.p, a.body.n) != 0);
	}
	gbuf_free(&a.body);
	gbuf_free(&b.body);
	ws_free(&ws);
	return 0;
}
