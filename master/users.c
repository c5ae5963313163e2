/* SPDX-License-Identifier: Apache-2.0
 *
 * See users.h.
 */
#include "master/users.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
system_user(const char *name, uid_t *uid_r)
{
	struct passwd *p = getpwnam(name);

	if (!p || p->pw_uid == 0)
		return 0;
	*uid_r = p->pw_uid;
	return 1;
}

static int
system_group(const char *name, gid_t *gid_r)
{
	struct group *g = getgrnam(name);

	if (!g || g->gr_gid == 0)
		return 0;
	*gid_r = g->gr_gid;
	return 1;
}

static bool
system_taken(unsigned number)
{
	return getpwuid(number) != NULL || getgrgid(number) != NULL;
}

const struct users_source users_system = {system_user, system_group, system_taken};

bool
users_privileged(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct have[2] = {{0}};
	uint32_t need = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_CHOWN | 1u << CAP_KILL;

	/* Root in a container may well be without the capabilities. */
	return geteuid() == 0 && syscall(SYS_capget, &head, have) == 0 &&
	       (have[0].effective & need) == need;
}

struct range {
	const struct users_source *from;
	unsigned next, left;
};

static int
range_next(struct range *r, unsigned *number_r)
{
	while (r->left > 0) {
		unsigned number = USERS_FIRST + r->next;

		r->next = (r->next + 1) % (USERS_LAST - USERS_FIRST + 1);
		r->left--;
		if (r->from->taken(number))
			continue;
		*number_r = number;
		return 1;
	}
	return 0;
}

/* The named one where there is one, else the next free number. 1, or 0: none left. */
static int
user_of(struct users *u, struct range *r, const char *prefix, unsigned kind)
{
	char name[80];
	unsigned number;

	snprintf(name, sizeof(name), "%s-%s", prefix, proc_kind_word(kind));
	if (r->from->user(name, &u->uid[kind]) == 1)
		return 1;
	if (range_next(r, &number) == 0)
		return 0;
	u->numbers = true;
	u->uid[kind] = number;
	return 1;
}

static int
group_of(struct users *u, struct range *r, const char *prefix)
{
	unsigned number;

	if (r->from->group(prefix, &u->gid) == 1)
		return 1;
	if (range_next(r, &number) == 0)
		return 0;
	u->numbers = true;
	u->gid = number;
	return 1;
}

static int
users_own(struct users *u, struct range *r, const char *prefix)
{
	for (unsigned kind = PROC_MASTER + 1; kind < PROC_KIND_COUNT; kind++)
		if (user_of(u, r, prefix, kind) == 0)
			return 0;
	return group_of(u, r, prefix);
}

static void
users_caller(struct users *u, const char *why)
{
	u->gid = getegid();
	for (unsigned i = 0; i < PROC_KIND_COUNT; i++)
		u->uid[i] = geteuid();
	snprintf(u->said, sizeof(u->said), "%s: every process runs as user %u", why,
	    (unsigned)geteuid());
}

static void
users_say(struct users *u, const char *prefix)
{
	if (u->numbers)
		snprintf(u->said, sizeof(u->said),
		    "not all of group %.32s and users %.32s-keeper, %.32s-worker ... exist: "
		    "children "
		    "run under numbers of their own, workers as %u:%u",
		    prefix, prefix, prefix, (unsigned)u->uid[PROC_WORKER], (unsigned)u->gid);
	else
		snprintf(u->said, sizeof(u->said), "children run as users %.32s-..., group %.32s",
		    prefix, prefix);
}

int
users_resolve(struct users *u, const struct users_source *from, bool privileged, struct str prefix,
    uint64_t seed, const char **error_r)
{
	unsigned size = USERS_LAST - USERS_FIRST + 1;
	struct range range = {from, (unsigned)(seed % size), size};
	char name[64];

	memset(u, 0, sizeof(*u));
	if (!privileged || prefix.n == 0) {
		users_caller(u, privileged ? "users.prefix is empty" : "not started as root");
		return 1;
	}
	snprintf(name, sizeof(name), "%.*s", STR_ARG(prefix));
	u->own = true;
	if (users_own(u, &range, name) == 0) {
		*error_r = "no free user number between 61184 and 65519 for the children";
		return -1;
	}
	users_say(u, name);
	return 1;
}
