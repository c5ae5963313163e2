/* SPDX-License-Identifier: Apache-2.0
 *
 * The request's place in a trace (W3C Trace Context): what the client sent is passed on, or one is
 * made.
 */
#ifndef GW_TRACE_H
#define GW_TRACE_H

#include "worker/req.h"

/* "00-<32 hex>-<16 hex>-<2 hex>": 1 and the trace id (borrowed), or 0: not one, or of all zeroes. A
 * later version is read as far as this one goes. */
int trace_parse(struct str value, struct str *trace_id_r);
/* A new one into out[55]. */
void trace_make(char out[55]);

/* Sets r->traceparent and r->trace_id from the request's head, or anew. Both stay empty over the
 * workspace limit. */
void trace_begin(struct req *r);
/* Writes it into the head that goes to the upstream; tracestate stays with the traceparent it came
 * with. */
void trace_forward(struct req *r);

#endif
