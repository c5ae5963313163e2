/* SPDX-License-Identifier: Apache-2.0
 *
 * The secrets and private files that settings name, read by the loader while it may: what cannot be
 * read fails the load, with the setting's name and without a word of the secret.
 */
#include "conf/load.h"

#include "conf/secret.h"

struct wanted {
	const char *setting;
	struct str ref;
};

int
load_secrets(const struct conf_settings *s, struct secrets_writer *w, struct conf_check *check)
{
	uint32_t errors = check->errors;
	struct ws ws;

	if (s->redis.addresses.n == 0)
		return 1; /* nobody would read them */
	ws_init(&ws, NULL, 0);
	const struct wanted v[] = {
	    {"redis.password", s->redis.password},
	    {"redis.sentinel.password", s->redis.sentinel.password},
	    {"redis.tls.ca", secret_path_ref(s->redis.tls.ca, &ws)},
	    {"redis.tls.certificate", secret_path_ref(s->redis.tls.certificate, &ws)},
	    {"redis.tls.key", secret_path_ref(s->redis.tls.key, &ws)},
	};
	for (unsigned i = 0; i < ARRAY_LEN(v); i++)
		(void)!secrets_add(w, v[i].ref, v[i].setting, check); /* told through check */
	ws_free(&ws);
	return check->errors == errors ? 1 : -1;
}
