/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings on their way to the master: {u64 layout, canonical body}.
 */
#include "conf/boot.h"

#include "conf/cpus.h"

void
boot_encode(const struct conf_settings *s, struct gbuf *out)
{
	struct conf_settings copy = *s;

	if (copy.workers == 0)
		copy.workers = MIN((int64_t)cpus_usable(), copy.limits.worker_slots);
	gbuf_u64(out, fields_layout(&settings_fields));
	fields_encode(&settings_fields, &copy, out);
}

int
boot_decode(struct str bytes, struct conf_settings *s_r, struct ws *ws)
{
	struct rbuf r = rbuf_of(bytes);
	uint64_t layout = rbuf_u64(&r);

	if (r.bad || layout != fields_layout(&settings_fields))
		return -1;
	return fields_decode(&settings_fields, str_sub(bytes, 8, bytes.n), s_r, ws);
}

static void
differing(
    const struct fields *f, const void *a, const void *b, const char *prefix, struct gbuf *out)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];

		if (row->type == F_GROUP)
			differing(row->sub, field_at(row, a), field_at(row, b), row->name, out);
		else if ((row->flags & FIELD_RESTART) != 0 && !field_equal(row, a, b))
			gbuf_printf(out, "%s%s%s%s", out->n > 0 ? ", " : "",
			    prefix != NULL ? prefix : "", prefix != NULL ? "." : "", row->name);
	}
}

struct str
boot_restart_needed(
    const struct conf_settings *running, const struct conf_settings *wanted, struct ws *ws)
{
	struct gbuf names = {0};
	struct str s = STR_NONE;

	differing(&settings_fields, running, wanted, NULL, &names);
	if (names.n > 0)
		s = ws_str(ws, str_n(names.p, names.n));
	gbuf_free(&names);
	return s;
}
