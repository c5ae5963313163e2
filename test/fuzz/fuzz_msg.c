/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages from a peer that is not to be trusted: octet 0 says how the payload is read, the rest is
 * the packet. Every read stays inside, and a message is either consumed exactly or refused.
 */
#include "shm/base/bug.h"
#include "shm/base/msg.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct msg m;

static void
read_payload(unsigned plan)
{
	struct str s;
	volatile char last;

	for (unsigned i = 0; i < 64 && !m.bad && m.at < m.len; i++) {
		switch (plan >> (i % 4 * 2) & 3) {
		case 0:
			msg_u32(&m);
			break;
		case 1:
			msg_u64(&m);
			break;
		case 2:
			msg_fd(&m);
			break;
		default:
			s = msg_str(&m);
			if (s.n > 0)
				last = s.p[s.n - 1];
			(void)last;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int pair[2] = {-1, -1};
	bool whole;

	if (pair[0] < 0)
		BUG_ON(msg_pair(pair) < 0);
	if (size < 1 || send(pair[0], data + 1, size - 1, MSG_DONTWAIT) < 0)
		return 0;
	if (msg_recv(pair[1], &m) != 1)
		return 0;
	BUG_ON(m.type <= MSG_NONE || m.type >= MSG_TYPE_COUNT || m.len > MSG_MAX);
	read_payload(data[0]);
	whole = !m.bad && m.at == m.len;
	BUG_ON((msg_end(&m) == 1) != whole);
	return 0;
}
