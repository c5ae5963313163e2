/* SPDX-License-Identifier: Apache-2.0
 *
 * `gateway -t`: the keeper's check and compile, into a map and an arena of its own that are thrown
 * away. What only the running instance knows (rows in use, objects of other sources) is not asked.
 */
#include <unistd.h>

#include "conf/apply.h"
#include "conf/changeset.h"
#include "conf/keeper.h"
#include "conf/settings.h"
#include "conf/store_priv.h"
#include "shm/base/clock.h"
#include "shm/base/heap.h"
#include "shm/base/log.h"

/* Limits as the change set's own settings object has them, else the defaults. */
static int
limits_of(int fd, struct store_options *o, const char **error_r)
{
	struct conf_settings defaults, *s = &defaults;
	struct changeset set;
	struct conf_object c;
	enum change_op op;
	struct ws ws;
	int got;

	if (changeset_open(fd, &set, error_r) < 0)
		return -1;
	ws_init(&ws, NULL, 0);
	fields_default(&settings_fields, &defaults);
	while ((got = changeset_next(&set, &op, &c)) == 1 && c.kind != CONF_SETTINGS)
		;
	if (got == 1)
		s = object_body(&c, &ws);
	if (got < 0 || s == NULL) {
		*error_r = "the change set is malformed";
	} else {
		o->slots = (unsigned)s->limits.worker_slots;
		o->endpoints = (unsigned)s->limits.endpoints;
		o->services = (unsigned)s->limits.services;
		o->map_size = s->limits.map_size;
	}
	changeset_close(&set);
	ws_free(&ws);
	return got < 0 || s == NULL ? -1 : 1;
}

static int
compile(int fd, const char *dir, struct keeper_tried *tried_r, struct conf_check *report)
{
	struct store_options o = {.run_dir = dir, .started_us = clock_wall_us()};
	struct conf_place at = {.path = STR("map")};
	const char *error = "";
	struct store s;
	struct apply_input in = {.changeset_fd = fd};
	struct apply *a;
	int ok;

	if (limits_of(fd, &o, &error) < 0 || store_open(&s, &o, &error) < 0) {
		check_error_at(report, &at, "%s", error);
		return -1;
	}
	a = apply_compile(&s, &in, report);
	if (a == NULL) {
		store_close(&s);
		return -1;
	}
	tried_r->wants = -1;
	if (apply_wants(a) && (tried_r->wants = apply_wants_fd(a, &error)) < 0)
		check_error_at(report, &at, "%s", error);
	ok = apply_wants(a) && tried_r->wants < 0 ? -1 : 1;
	memcpy(tried_r->count, apply_counts(a), sizeof(tried_r->count));
	apply_abort(&a);
	store_close(&s);
	return ok;
}

int
keeper_try(int changeset_fd, const char *tmp_parent, struct keeper_tried *tried_r)
{
	struct conf_check report;
	struct keeper_tried tried;
	char dir[400];
	int ok;

	snprintf(dir, sizeof(dir), "%s/gateway-try-XXXXXX", tmp_parent);
	if (mkdtemp(dir) == NULL) {
		printf("%s: a directory to compile in cannot be made\n", tmp_parent);
		return 1;
	}
	check_init(&report);
	heap_ahead(changeset_cost(changeset_fd));
	ok = compile(changeset_fd, dir, &tried, &report);
	heap_settle();
	store_remove(dir);
	fwrite(report.text.p == NULL ? "" : report.text.p, 1, report.text.n, stdout);
	fflush(stdout);
	check_free(&report);
	if (ok == 1)
		*tried_r = tried;
	return ok == 1 ? 0 : 1;
}
