/* SPDX-License-Identifier: Apache-2.0
 *
 * Arena rows in one transaction of the keeper: taken at once, for compiled sets name them, given
 * back when the transaction is aborted. Rows that nobody needs any more are retired after commit.
 */
#ifndef GW_ROWS_H
#define GW_ROWS_H

#include "conf/service.h"
#include "conf/table.h"
#include "shm/arena.h"

struct rows;

/* A verdict that was delegated from outside and is kept by identity: puts it into a new row. */
typedef void rows_verdict_f(
    void *arg, struct str service, struct str endpoint, struct endpoint_row *row);

/* oldest: the oldest endpoints_version a worker goes by. */
struct rows *rows_new(struct arena *a, uint64_t oldest, rows_verdict_f *verdict, void *arg);
void rows_free(struct rows **r); /* after commit or abort */

/* The set of a service: endpoints that `old` (may be NULL) has keep their rows and incarnations.
 * Appends the value for the map to `out`. -1 with *error_r: no free row, too many endpoints. */
int rows_set(struct rows *r, struct str id, const struct conf_service *s,
    const struct endpoint_set *old, struct gbuf *out, const char **error_r) NODISCARD;
/* The service is gone. */
void rows_drop(struct rows *r, const struct endpoint_set *old);

/* After the map's commit: rows that no set names any more rest, workers look again. */
void rows_commit(struct rows *r);
void rows_abort(struct rows *r);

#endif
