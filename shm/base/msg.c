/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages on the wire: a head of 16 octets {version, type, id, payload length, descriptors}, then
 * the payload: u32 and u64 little endian, a str as its u32 length and octets. One message is one
 * packet.
 */
#include "shm/base/msg.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/base/bug.h"

struct head {
	uint16_t version, type;
	uint32_t id, len, n_fds;
};

union control {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * MSG_FDS)];
};

static const char *const names[] = {
    [MSG_NONE] = "NONE",
#define MSG(NAME, fields, help) [MSG_##NAME] = #NAME,
#include "shm/base/msg.def"
#undef MSG
};

const char *
msg_type_name(enum msg_type t)
{
	return (unsigned)t < ARRAY_LEN(names) ? names[t] : "unknown";
}

/* Everything but the payload, which is 48 KiB and need not be touched. */
static void
reset(struct msg *m)
{
	memset(m, 0, offsetof(struct msg, fds));
}

void
msg_begin(struct msg *m, enum msg_type type, uint32_t id)
{
	reset(m);
	m->type = type;
	m->id = id;
}

static void
put(struct msg *m, const void *p, size_t n)
{
	if (m->bad || n > sizeof(m->data) - m->len) {
		m->bad = true;
		return;
	}
	if (n > 0)
		memcpy(m->data + m->len, p, n);
	m->len += (uint32_t)n;
}

void
msg_put_u32(struct msg *m, uint32_t v)
{
	v = htole32(v);
	put(m, &v, sizeof(v));
}

void
msg_put_u64(struct msg *m, uint64_t v)
{
	v = htole64(v);
	put(m, &v, sizeof(v));
}

void
msg_put_str(struct msg *m, struct str s)
{
	if (s.n > sizeof(m->data)) {
		m->bad = true;
		return;
	}
	msg_put_u32(m, (uint32_t)s.n);
	put(m, s.p, s.n);
}

void
msg_put_fd(struct msg *m, int fd)
{
	if (fd < 0 || m->n_fds == MSG_FDS)
		m->bad = true;
	else
		m->fds[m->n_fds++] = fd;
}

static void
attach_fds(struct msghdr *mh, union control *control, const struct msg *m)
{
	size_t n = sizeof(int) * (size_t)m->n_fds;
	struct cmsghdr *c;

	if (m->n_fds == 0)
		return;
	memset(control, 0, sizeof(*control));
	mh->msg_control = control->space;
	mh->msg_controllen = CMSG_SPACE(n);
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), m->fds, n);
}

int
msg_send(int fd, struct msg *m)
{
	struct head head = {
	    .version = htole16(MSG_VERSION),
	    .type = htole16((uint16_t)m->type),
	    .id = htole32(m->id),
	    .len = htole32(m->len),
	    .n_fds = htole32((uint32_t)m->n_fds),
	};
	struct iovec iov[2] = {{&head, sizeof(head)}, {m->data, m->len}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = ARRAY_LEN(iov)};
	union control control;
	ssize_t n;

	if (m->bad || m->type <= MSG_NONE || m->type >= MSG_TYPE_COUNT)
		return -1;
	attach_fds(&mh, &control, m);
	do
		n = sendmsg(fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 1;
	/* ETOOMANYREFS: descriptors in flight, which their receiver will take. */
	return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM || errno == ETOOMANYREFS ? 0
											       : -1;
}

int
msg_send_wait(int fd, struct msg *m, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int got;

	while ((got = msg_send(fd, m)) == 0)
		if (poll(&p, 1, ms) <= 0)
			return -1;
	return got;
}

/* Takes in the descriptors of one control message; those beyond our number are closed. */
static void
collect_fds(struct msg *m, struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		if (m->n_fds < MSG_FDS)
			m->fds[m->n_fds++] = fd;
		else
			close(fd);
	}
}

static bool
head_ok(struct msg *m, const struct head *head, size_t n, int flags)
{
	uint16_t type = le16toh(head->type);

	if (n < sizeof(*head) || (flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
	    le16toh(head->version) != MSG_VERSION)
		return false;
	if (type <= MSG_NONE || type >= MSG_TYPE_COUNT || le32toh(head->len) != n - sizeof(*head) ||
	    le32toh(head->n_fds) != (uint32_t)m->n_fds)
		return false;
	m->type = (enum msg_type)type;
	m->id = le32toh(head->id);
	m->len = (uint32_t)(n - sizeof(*head));
	return true;
}

int
msg_recv(int fd, struct msg *m)
{
	struct head head;
	union control control;
	struct iovec iov[2] = {{&head, sizeof(head)}, {m->data, sizeof(m->data)}};
	struct msghdr mh = {
	    .msg_iov = iov,
	    .msg_iovlen = ARRAY_LEN(iov),
	    .msg_control = control.space,
	    .msg_controllen = sizeof(control.space),
	};
	ssize_t n;

	reset(m);
	m->received = true;
	do
		n = recvmsg(fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&mh); c != NULL; c = CMSG_NXTHDR(&mh, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			collect_fds(m, c);
	if (head_ok(m, &head, (size_t)n, mh.msg_flags))
		return 1;
	msg_drop(m);
	return -1;
}

static const char *
get(struct msg *m, size_t n)
{
	if (m->bad || n > m->len - m->at) {
		m->bad = true;
		return NULL;
	}
	m->at += (uint32_t)n;
	return m->data + m->at - n;
}

uint32_t
msg_u32(struct msg *m)
{
	const char *p = get(m, sizeof(uint32_t));
	uint32_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

uint64_t
msg_u64(struct msg *m)
{
	const char *p = get(m, sizeof(uint64_t));
	uint64_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

struct str
msg_str(struct msg *m)
{
	uint32_t n = msg_u32(m);
	const char *p = get(m, n);

	return p == NULL ? STR_NONE : str_n(p, n);
}

int
msg_fd(struct msg *m)
{
	if (m->bad || m->fd_at == m->n_fds) {
		m->bad = true;
		return -1;
	}
	return m->fds[m->fd_at++];
}

void
msg_drop(struct msg *m)
{
	/* Those of a message to be sent are only borrowed. */
	while (m->received && m->fd_at < m->n_fds)
		close(m->fds[m->fd_at++]);
}

int
msg_end(struct msg *m)
{
	bool whole = !m->bad && m->at == m->len && m->fd_at == m->n_fds;

	msg_drop(m);
	return whole ? 1 : -1;
}

int
msg_pair(int fds_r[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	fds_r[0] = fds[0];
	fds_r[1] = fds[1];
	return 1;
}
