/* SPDX-License-Identifier: Apache-2.0
 *
 * The access line: one JSON object per request, written straight into the slot's ring. Fields are
 * the rows of fields.def.
 */
#ifndef GW_ACCESS_H
#define GW_ACCESS_H

#include "shm/metric.h"
#include "shm/ring.h"
#include "worker/req.h"

/* Formats and publishes; a full ring drops the line and counts it. Wakes the logger through
 * event_fd when the ring is half full. */
void access_log(const struct req *r, struct ring *ring, struct metrics *m, int event_fd);

#endif
