/* SPDX-License-Identifier: Apache-2.0
 *
 * See console.h.
 */
#include "master/console.h"

#include <unistd.h>

#include "conf/secret.h"
#include "master/child.h"

static void
bundle_set(int *held, int fd)
{
	if (*held >= 0)
		(void)close(*held);
	*held = fd;
}

void
console_hold(struct master *m, int secrets)
{
	bundle_set(&m->secrets_next, secrets);
}

void
console_drop(struct master *m)
{
	bundle_set(&m->secrets_next, -1);
}

void
console_adopt(struct master *m)
{
	bundle_set(&m->secrets, m->secrets_next);
	m->secrets_next = -1;
}

/* Everything it goes by that a reload can change. */
static bool
settings_differ(const struct conf_settings *a, const struct conf_settings *b)
{
	static const char *const rows[] = {"redis", "instance"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct field *row = fields_find(&settings_fields, str_of(rows[i]));

		if (row && !field_equal(row, a, b))
			return true;
	}
	return false;
}

static bool
bundles_differ(int a, int b)
{
	if (a < 0 || b < 0)
		return a != b;
	return secrets_hash(a) != secrets_hash(b);
}

bool
console_changed(const struct master *m)
{
	if (!m->now.s || !m->next.s)
		return true;
	return settings_differ(m->now.s, m->next.s) || bundles_differ(m->secrets, m->secrets_next);
}

void
console_serve(struct master *m, bool changed)
{
	struct child *c = child_of(m, PROC_REDIS);
	bool wanted = m->now.s->redis.addresses.n > 0;

	if (changed)
		child_renew(c, wanted);
	else
		child_want(c, wanted);
}
