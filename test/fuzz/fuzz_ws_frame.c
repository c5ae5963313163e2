/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames: however they are cut into reads (octet 0), what passes and the verdict are the
 * same. Octet 1 chooses what may come.
 */
#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "worker/http/ws_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct result {
	int rc;
	enum reason why;
	size_t used;
	uint64_t messages, left, sum; /* of control frames' payload */
};

static struct ws_frames
rules(uint8_t choice)
{
	return (struct ws_frames){
	    .masked = choice & 1,
	    .rsv = choice & 2   ? WS_RSV1
		   : choice & 4 ? WS_RSV_ALL
				: 0,
	    .rsv_first = choice & 8,
	    .max_frame = choice & 16 ? 200 : 0,
	    .max_message = choice & 32 ? 300 : 0,
	};
}

static struct result
run(struct str in, size_t step, uint8_t choice)
{
	struct ws_frames f = rules(choice);
	struct result out = {0};
	size_t end = MIN(step, in.n);
	struct ws_piece p;

	for (;;) {
		out.rc = ws_frame_next(&f, str_sub(in, out.used, end), &p, &out.why);
		if (out.rc < 0 || (out.rc == 0 && end == in.n))
			break;
		if (out.rc == 0) {
			end = step > in.n - end ? in.n : end + step;
			continue;
		}
		BUG_ON(p.n == 0 || p.n > end - out.used);
		out.used += p.n;
		for (unsigned i = 0; p.opcode >= WS_CLOSE && i < p.control_n; i++)
			out.sum = out.sum * 31 + p.control[i];
	}
	out.messages = f.messages;
	out.left = f.left;
	return out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result a, b;
	struct str in;

	if (size < 2)
		return 0;
	in = str_n((const char *)data + 2, size - 2);
	a = run(in, SIZE_MAX, data[1]);
	b = run(in, 1u + data[0] % 32, data[1]);
	BUG_ON(a.rc != b.rc || a.used != b.used || a.messages != b.messages);
	BUG_ON(a.rc == 0 && (a.left != b.left || a.sum != b.sum));
	BUG_ON(a.rc < 0 && a.why != b.why);
	return 0;
}
