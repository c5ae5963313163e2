/* SPDX-License-Identifier: Apache-2.0
 *
 * Where log lines end: stdout, stderr or a file. Lines are gathered and written together. A reader
 * that does not read (a full pipe) makes the sink busy; a disk that takes nothing costs the lines
 * at hand, counted. Neither ever blocks or ends the logger.
 */
#ifndef GW_SINK_H
#define GW_SINK_H

#include "shm/base/buf.h"
#include "shm/base/str.h"

#define SINK_ROOM (128 * 1024)

struct sink {
	char path[512]; /* "" nowhere, "stdout", "stderr", or a file */
	int fd;         /* -1: closed */
	bool regular;   /* a file: never busy */
	char *p;        /* SINK_ROOM octets, [r, w) wait */
	size_t r, w;
	uint64_t lost; /* octets the disk did not take, since last asked */
	int error;     /* errno of it */
	bool half;     /* the last octet written was no newline */
	bool torn;     /* and the rest of that line was lost */
};

void sink_init(struct sink *s, struct str path);
void sink_fini(struct sink *s);
/* Opens the file (again). 1, or -1 with errno: what was open stays open. */
int sink_open(struct sink *s) NODISCARD;

/* Adds one line: control octets become spaces, a newline is added. false: no room now, sink_flush
 * first. */
bool sink_line(struct sink *s, struct str line);
/* Adds text that is lines already. Returns how much of it found room. */
size_t sink_text(struct sink *s, struct str text);
/* Writes what it has. 1 all written or lost, 0 the reader is not ready. */
int sink_flush(struct sink *s);

#endif
