/* SPDX-License-Identifier: Apache-2.0
 *
 * What the master hands a child across fork, in one struct: descriptors, identity, paths.
 * Everything else the child opens itself after it dropped to its own uid. The kinds of processes
 * are the rows of master/procs.def.
 */
#ifndef GW_HERITAGE_H
#define GW_HERITAGE_H

#include <sys/types.h>

#include "shm/base/base.h"
#include "shm/base/addr.h"
#include "shm/base/log.h"
#include "shm/region.h"

#define SLOT_MAX   64 /* workers at most; the configured number of slots is in the arena */
#define LISTEN_MAX 64

enum proc_kind {
	PROC_MASTER,
	PROC_LOADER,
	PROC_KEEPER,
	PROC_WORKER,
	PROC_PROBER,
	PROC_LOGGER,
	PROC_ADMIN,
	PROC_REDIS,
	PROC_DISCOVERY,
	PROC_SECRETS,
	PROC_KIND_COUNT
};
/* "worker", "keeper" ...; "unknown" past the end (the number may come from shared memory). */
const char *proc_kind_word(uint32_t kind);

/* Lines: SEQPACKET pairs between two of our children, made once by the master and kept across
 * respawns. Rows of shm/lines.def. */
enum line {
#define LINE(NAME, A, B, help) LINE_##NAME,
#include "shm/lines.def"
#undef LINE
	LINE_COUNT
};

struct heritage_listen {
	uint32_t number; /* the listener's number in the map */
	char id[64];
	int fd; /* this slot's socket */
	struct addr addr;
};

struct heritage {
	enum proc_kind kind;
	unsigned slot; /* worker slot; 0 for others */
	unsigned proc; /* row in the process table region */
	pid_t master;
	int chan;                   /* SEQPACKET to the master, both ways */
	int line[LINE_COUNT];       /* our end of each line we are an end of; else -1 */
	int mailbox;                /* worker: receiving end of its slot's mailbox; else -1 */
	int mailbox_send[SLOT_MAX]; /* keeper, admin: sending ends; -1 where there is none */
	int log_fd; /* the error log: the logger's pipe; for the logger its reading end */
	enum log_level log_level;
	int region_fd[REGION_COUNT];
	const char *run_dir;   /* tmpfs: maps, sockets */
	const char *state_dir; /* disk */
	const char *conf_file;
	const char *boot; /* conf/boot.h encoding of the settings in force at (re)spawn */
	size_t boot_len;
	uint64_t started_wall_us; /* of the master */
	/* worker: the listeners' sockets; admin: one, the admin socket */
	struct heritage_listen listens[LISTEN_MAX];
	unsigned n_listens;
	/* redis: the settings' secrets (conf/secret.h); worker, secrets: the bundle in force
	 * (conf/bundle.h); else, or where there is none, -1 */
	int secrets_fd;
	int facts_fd; /* admin, secrets: certificates, for people, as told last; else -1 */
	int event_fd; /* logger: woken through it; workers and admin write to it */
};

/* returns the exit status; the caller _exits with it */
typedef int proc_main_f(const struct heritage *h);

#endif
