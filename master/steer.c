/* SPDX-License-Identifier: Apache-2.0
 *
 * See steer.h.
 */
#include "master/steer.h"

#include <sys/socket.h>

#include "shm/base/bug.h"

#define OP(code, jt, jf, k) ((struct sock_filter){(code), (jt), (jf), (k)})

static unsigned
live_slots(const bool *live, unsigned n, unsigned out[SLOT_MAX])
{
	unsigned found = 0;

	for (unsigned i = 0; i < n; i++)
		if (live[i])
			out[found++] = i;
	/* Nobody there: the connections wait, spread, for those who come. */
	for (unsigned i = 0; found == 0 && i < n; i++)
		out[i] = i;
	return found ? found : n;
}

unsigned
steer_program(const bool *live, unsigned n, struct sock_filter out[STEER_MAX])
{
	unsigned slot[SLOT_MAX], count, at = 0;

	BUG_ON(n == 0 || n > SLOT_MAX);
	count = live_slots(live, n, slot);
	if (count > 1) {
		out[at++] =
		    OP(BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM));
		out[at++] = OP(BPF_ALU | BPF_MOD | BPF_K, 0, 0, count);
		for (unsigned i = 0; i + 1 < count; i++) {
			out[at++] = OP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, i);
			out[at++] = OP(BPF_RET | BPF_K, 0, 0, slot[i]);
		}
	}
	out[at++] = OP(BPF_RET | BPF_K, 0, 0, slot[count - 1]);
	return at;
}

int
steer_attach(int fd, const bool *live, unsigned n)
{
	struct sock_filter code[STEER_MAX];
	struct sock_fprog program = {.filter = code};

	program.len = (unsigned short)steer_program(live, n, code);
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) < 0
		   ? -1
		   : 1;
}
