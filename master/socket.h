/* SPDX-License-Identifier: Apache-2.0
 *
 * One listening socket at a time: made, bound, listening, with words for what can go wrong.
 */
#ifndef GW_SOCKET_H
#define GW_SOCKET_H

#include "shm/base/addr.h"

enum socket_flag {
	SOCKET_SHARED = 1, /* SO_REUSEPORT: further sockets of ours bind the same address */
	SOCKET_V6ONLY = 2, /* of an IPv6 wildcard: IPv4 has a listener of its own there */
	SOCKET_UNHEARD = 4 /* bind only: a look whether the address is free */
};

/* Non-blocking and close-on-exec. -1 with errno. */
int socket_listen(const struct addr *a, int backlog, unsigned flags) NODISCARD;
/* A Unix socket's file that nobody listens on is removed. 1 removed, 0 not. */
int socket_remove_stale(const struct addr *a);
/* Owner and mode of a Unix socket's file, and of nothing else that may have taken its place.
 * (uid_t)-1: the owner stays. 1, or -1 with errno. */
int socket_file_set(const char *path, uid_t uid, gid_t gid, mode_t mode) NODISCARD;
/* What bind's errno means here, for people. */
const char *socket_why(int err);
bool socket_any(const struct addr *a); /* 0.0.0.0 or [::] */
/* Would the two, bound without SO_REUSEPORT, be in each other's way? */
bool socket_overlap(const struct addr *a, const struct addr *b);

#endif
