/* SPDX-License-Identifier: Apache-2.0
 *
 * See settled.h.
 */
#include "master/settled.h"

#include "conf/boot.h"

static const size_t row_sizes[] = {
    [F_BOOL] = sizeof(bool),
    [F_INT] = sizeof(int64_t),
    [F_FLOAT] = sizeof(double),
    [F_DURATION] = sizeof(uint64_t),
    [F_SIZE] = sizeof(uint64_t),
    [F_STRING] = sizeof(struct str),
    [F_ENUM] = sizeof(int32_t),
    [F_STRINGS] = sizeof(struct strs),
    [F_CIDRS] = sizeof(struct cidrs),
    [F_ADDR] = sizeof(struct addr),
    [F_LIST] = sizeof(struct conf_list),
};

static void
keep_running(const struct fields *f, void *wanted, const void *running)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];

		if (row->type == F_GROUP)
			keep_running(row->sub, field_at(row, wanted), field_at(row, running));
		else if ((row->flags & FIELD_RESTART) != 0 && row->type < ARRAY_LEN(row_sizes))
			memcpy(field_at(row, wanted), field_at(row, running), row_sizes[row->type]);
	}
}

static int
settled_decode(struct settled *s, struct str boot)
{
	ws_init(&s->ws, NULL, 0);
	s->s = ws_zalloc(&s->ws, sizeof(*s->s));
	if (boot_decode(boot, s->s, &s->ws) == 1)
		return 1;
	settled_drop(s);
	return -1;
}

int
settled_read(struct settled *out, struct str boot, const struct settled *running)
{
	struct settled wanted = {0};

	settled_drop(out);
	if (settled_decode(&wanted, boot) < 0)
		return -1;
	if (running->s) {
		wanted.restart = boot_restart_needed(running->s, wanted.s, &wanted.ws);
		keep_running(&settings_fields, wanted.s, running->s);
	}
	boot_encode(wanted.s, &out->boot);
	/* Once more: what was kept borrows from settings that will be gone. */
	if (settled_decode(out, str_n(out->boot.p, out->boot.n)) == 1)
		out->restart = ws_str(&out->ws, wanted.restart);
	settled_drop(&wanted);
	return out->s ? 1 : -1;
}

void
settled_drop(struct settled *s)
{
	if (s->s)
		ws_free(&s->ws);
	gbuf_free(&s->boot);
	memset(s, 0, sizeof(*s));
}

void
settled_adopt(struct settled *now, struct settled *next)
{
	settled_drop(now);
	*now = *next;
	memset(next, 0, sizeof(*next));
}
