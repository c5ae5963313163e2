/* SPDX-License-Identifier: Apache-2.0
 *
 * The master's own structures, shared by the files of this folder and by nobody else. One struct
 * master per process; a struct child per row of the process table, whether a process fills it or
 * not.
 */
#ifndef GW_MASTER_H
#define GW_MASTER_H

#include "conf/settings.h"
#include "master/kind.h"
#include "master/listen.h"
#include "master/reload.h"
#include "master/settled.h"
#include "master/users.h"
#include "master/vault.h"
#include "shm/base/backoff.h"
#include "shm/base/log.h"
#include "shm/base/loop.h"
#include "shm/base/msg.h"
#include "shm/procs.h"

struct master;

/* Rows of the process table: one of each kind first, the workers' slots after them. */
#define ROW_WORKERS 16

enum child_state {
	CHILD_NONE,    /* no process, none wanted or none yet */
	CHILD_WAITING, /* no process; one starts when the back-off is over and the slot is reaped */
	CHILD_STARTING, /* forked, not READY */
	CHILD_UP,
	CHILD_DRAINING, /* asked to leave when its work is done */
	CHILD_STOPPING, /* told to leave at once */
	CHILD_STATE_COUNT
};

struct child {
	struct master *master;
	const struct kind *kind;
	unsigned row, slot;
	enum child_state state;
	uint64_t since_ms; /* of the state */
	pid_t pid;         /* 0: none */
	bool wanted;       /* replaced when it goes */
	bool stuck;        /* killed by the watchdog, not yet replaced */
	bool retired;      /* worker: it drains because there are to be fewer */
	bool failed;       /* it said FAILED: its exit is no news */
	int chan;          /* our end, -1 */
	struct watch watch;
	struct backoff backoff;
	struct timer timer;  /* end of the back-off, or of patience with one that stops */
	uint64_t generation; /* worker: as last SWITCHED */
	/* Worker slots. */
	bool reap; /* the dead process's shares are not yet given back */
	uint64_t reap_since_ms;
	bool reap_sent;
	int mailbox[2]; /* receiving end, sending end; -1 before the settings are known */
};

enum master_phase { PHASE_BOOT, PHASE_SERVING, PHASE_DRAINING, PHASE_STOPPING };

/* Who wants to know what becomes of a reload. */
struct asker {
	unsigned row; /* admin's */
	pid_t pid;
	uint32_t id;
	uint64_t run;
};
#define ASKERS_MAX 64

struct master {
	uint32_t magic;
#define MASTER_MAGIC 0x6d737472u
	const char *conf_file;
	bool daemon;
	int launcher; /* -d: told of readiness, then closed; else -1 */
	struct loop *loop;
	enum master_phase phase;
	int status; /* exit status */
	uint64_t started_wall_us;
	struct settled now, next;
	struct users users;
	/* As at the start, whatever a reload says. */
	char run_dir[512], state_dir[512], pid_file[512];
	int lock_fd;
	bool ready;
	enum log_level level;
	unsigned level_configured; /* as the settings last said; admin may say otherwise */

	int region_fd[REGION_COUNT];
	struct region procs_region;
	struct procs *procs;
	unsigned slots;       /* worker slots there are: limits.worker_slots at the start */
	unsigned slots_begun; /* those that have memory: regions_slot */
	unsigned metric_rows; /* of the regions as they were made */
	size_t ring_octets;
	unsigned bound_slots; /* slots every listener has a socket for */
	int log_pipe[2];
	bool log_is_file;
	bool logging; /* the logger runs: lines go to its pipe */
	int event_fd;
	int line[LINE_COUNT][2]; /* the ends of shm/lines.def, as the rows name them */
	char admin_path[512];
	int admin_fd; /* the admin socket */
	/* What redis needs: in force and of the load under way; -1; never read. */
	int secrets, secrets_next;
	struct vault vault; /* certificates and keys */

	struct child child[PROCS_MAX];
	struct listens *listens;
	struct reload *reload;
	struct asker asker[ASKERS_MAX];
	unsigned n_askers;
	bool load_waits;        /* the next loader starts when the last one is gone */
	bool steered[SLOT_MAX]; /* as the kernel was last told */

	struct timer tick; /* watchdog */
	uint64_t tick_ms;
	uint64_t excused_ms; /* no heartbeat is blamed for a time before this */
	uint64_t stuck_ms;   /* a stuck worker was killed last */
	struct timer stop;   /* next step of draining, end of patience while stopping */
	uint64_t drained_ms; /* when a drain has to be over */
	bool deaf;           /* draining: the listening sockets are closed */
	struct timer boot;   /* end of patience with a start */
	unsigned boot_deaths;
	bool boot_served; /* the first configuration is in force */

	struct msg in, out;
};

static inline struct child *
child_of(struct master *m, enum proc_kind kind)
{
	return &m->child[kind];
}
static inline struct child *
child_worker(struct master *m, unsigned slot)
{
	return &m->child[ROW_WORKERS + slot];
}
#define each_child(c, m)                                                                           \
	for (struct child *c = (m)->child; c < (m)->child + PROCS_MAX; c++)                        \
		if (c->kind)

#endif
