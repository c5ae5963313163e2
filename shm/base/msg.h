/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed messages between our processes over SOCK_SEQPACKET socketpairs made by the master. One
 * table (msg.def) names every type and its fields. A getter past the end, or a message not consumed
 * exactly (msg_end), means the peer is not to be trusted any more: the receiver closes the channel.
 */
#ifndef GW_MSG_H
#define GW_MSG_H

#include "shm/base/base.h"
#include "shm/base/str.h"

#define MSG_VERSION 2
#define MSG_MAX     (48 * 1024)
#define MSG_FDS     16 /* descriptors in one message */

enum msg_type {
	MSG_NONE,
#define MSG(NAME, fields, help) MSG_##NAME,
#include "shm/base/msg.def"
#undef MSG
	MSG_TYPE_COUNT
};
const char *msg_type_name(enum msg_type t);

struct msg {
	enum msg_type type;
	uint32_t id;      /* correlates question and answer; chosen by the asker */
	uint32_t len, at; /* payload length, read position */
	bool bad;         /* sticky: overflow on put, overrun on get */
	bool received;    /* the descriptors are ours to close */
	int n_fds, fd_at;
	int fds[MSG_FDS];
	char data[MSG_MAX];
};

void msg_begin(struct msg *m, enum msg_type type, uint32_t id);
void msg_put_u32(struct msg *m, uint32_t v);
void msg_put_u64(struct msg *m, uint64_t v);
void msg_put_str(struct msg *m, struct str s);
void msg_put_fd(struct msg *m, int fd); /* borrowed: the kernel duplicates it on send */

/* 1 sent, 0 would block (nothing sent), -1 peer gone or the message is bad. Never blocks. */
int msg_send(int fd, struct msg *m) NODISCARD;
/* The same, waiting up to ms for room each time there is none: for processes that may block. 1 or
 * -1. */
int msg_send_wait(int fd, struct msg *m, int ms) NODISCARD;
/* 1 received, 0 nothing there, -1 peer gone, foreign version or malformed. Received descriptors are
 * close-on-exec and belong to the receiver; those not taken by msg_fd are closed by msg_end. Never
 * blocks. */
int msg_recv(int fd, struct msg *m) NODISCARD;

uint32_t msg_u32(struct msg *m);
uint64_t msg_u64(struct msg *m);
struct str msg_str(struct msg *m); /* borrowed from the message */
int msg_fd(struct msg *m);         /* taken by the caller; -1 and bad when there is none */
/* 1 when everything was read and nothing was bad, else -1; closes untaken descriptors. */
int msg_end(struct msg *m) NODISCARD;
void msg_drop(struct msg *m); /* closes untaken descriptors */

int msg_pair(int fds_r[2]) NODISCARD; /* non-blocking, close-on-exec SEQPACKET pair: 1 or -1 */

#endif
