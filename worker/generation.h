/* SPDX-License-Identifier: Apache-2.0
 *
 * The generation the worker goes by: settings of the whole instance as of it, shared by the
 * requests that began under it.
 */
#ifndef GW_GENERATION_H
#define GW_GENERATION_H

#include "conf/settings.h"
#include "shm/base/ws.h"
#include "worker/http/head.h"

struct worker;

struct gen {
	uint32_t refs;
	uint64_t number;
	struct ws ws;
	const struct conf_settings *s;
	struct str via_1_0, via_1_1; /* "1.1 name" */
	enum hdr_id id_header;       /* number of http.request_id_header */
};

/* Looks at the arena's word and adopts what it names: settings, listeners. Cheap when nothing
 * changed. -1: the map has no settings that can be read. */
int generation_check(struct worker *w) NODISCARD;
/* Looks at endpoint sets' version: once it is told, nothing older is read any more. First of all in
 * a turn. */
void generation_endpoints(struct worker *w);
struct gen *gen_ref(struct gen *g);
void gen_unref(struct gen **g);

#endif
