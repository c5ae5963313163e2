/* SPDX-License-Identifier: Apache-2.0
 *
 * Peer credentials of the admin socket, and the role they give.
 */
#include <sys/socket.h>

#include <grp.h>
#include <pwd.h>

#include "admin/role.h"
#include "shm/base/num.h"

int
peer_id_of(int fd, struct peer_id *p_r)
{
	struct ucred u;
	socklen_t len = sizeof(u), groups = sizeof(p_r->groups);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) != 0 || len != sizeof(u))
		return -1;
	*p_r = (struct peer_id){.uid = u.uid, .gid = u.gid, .pid = u.pid};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, p_r->groups, &groups) == 0)
		p_r->n_groups = groups / sizeof(p_r->groups[0]);
	return 1;
}

static bool
in_group(const struct peer_id *p, gid_t gid)
{
	if (p->gid == gid)
		return true;
	for (unsigned i = 0; i < p->n_groups; i++)
		if (p->groups[i] == gid)
			return true;
	return false;
}

static bool
is_ours(const struct procs *procs, pid_t pid)
{
	for (unsigned i = 0; i < PROCS_MAX; i++) {
		const struct proc_row *row = &procs->row[i];

		if (atomic_load_explicit(&row->state, memory_order_relaxed) != PROC_EMPTY &&
		    atomic_load_explicit(&row->pid, memory_order_relaxed) == pid)
			return true;
	}
	return false;
}

/* A row names a user or a group, by name or by number. */
static bool
row_matches(const struct conf_role *row, const struct peer_id *p)
{
	char name[64];
	uint64_t number;
	const char *error;
	struct str who = row->user.n > 0 ? row->user : row->group;
	bool user = row->user.n > 0;

	if (who.n == 0 || who.n >= sizeof(name))
		return false;
	memcpy(name, who.p, who.n);
	name[who.n] = '\0';
	if (num_u64(who, UINT32_MAX, &number, &error) == 1)
		return user ? p->uid == (uid_t)number : in_group(p, (gid_t)number);
	if (user) {
		struct passwd *pw = getpwnam(name);

		return pw != NULL && pw->pw_uid == p->uid;
	}
	struct group *gr = getgrnam(name);
	return gr != NULL && in_group(p, gr->gr_gid);
}

int
role_of(const struct peer_id *p, const struct conf_settings *s, const struct procs *procs,
    uid_t own, gid_t viewers)
{
	const struct conf_role *rows = s->admin.roles.v;

	if (is_ours(procs, p->pid))
		return ROLE_NONE;
	for (uint32_t i = 0; i < s->admin.roles.n; i++)
		if (row_matches(&rows[i], p))
			return rows[i].role;
	if (p->uid == 0 || p->uid == own)
		return ROLE_ADMIN;
	if (in_group(p, viewers))
		return ROLE_VIEWER;
	return ROLE_NONE;
}

const char *
role_name(int role)
{
	static const char *const names[] = {"none", "viewer", "admin"};

	return role >= 0 && (size_t)role < ARRAY_LEN(names) ? names[role] : "none";
}
