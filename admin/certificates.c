/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates for people: what the secrets process found in the files that are in force, as the
 * master hands it on (FACTS; the array of master/watcher/secrets/seal.h). There is no key in it.
 */
#include <unistd.h>

#include "admin/admin_priv.h"
#include "conf/sealed.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"

#define FACTS_MAX ((size_t)256 << 20)
#define DAY_S     86400

/* Who an entry is of: these are label names, too. */
static const char *const users[] = {"certificate", "listener", "service"};

static const char *
user_of(const json_t *e)
{
	const char *word = json_string_value(json_object_get(e, "used_by"));

	for (unsigned i = 0; word != NULL && i < ARRAY_LEN(users); i++)
		if (strcmp(word, users[i]) == 0)
			return users[i];
	return NULL;
}

static bool
is_entry(const json_t *e)
{
	return json_is_string(json_object_get(e, "id")) &&
	       json_is_integer(json_object_get(e, "not_after")) &&
	       json_is_string(json_object_get(e, "state")) && user_of(e) != NULL;
}

static json_t *
facts_parse(struct str text, const char **error_r)
{
	json_error_t e;
	json_t *facts = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e), *entry;
	bool good = json_is_array(facts);
	size_t i;

	json_array_foreach(facts, i, entry) good = good && is_entry(entry);
	if (good)
		return facts;
	*error_r = "it is no list of certificates";
	json_decref(facts);
	return NULL;
}

void
admin_facts(struct admin *a, int fd)
{
	const char *error = "";
	json_t *facts = NULL;
	struct str text;

	if (fd < 0)
		return;
	if (sealed_map(fd, FACTS_MAX, &text, &error) == 1) {
		facts = facts_parse(text, &error);
		sealed_unmap(&text);
	}
	(void)close(fd);
	if (facts == NULL) {
		log_error("admin: what was told of certificates cannot be read: %s", error);
		return;
	}
	json_decref(a->facts);
	a->facts = facts;
}

/* --- the call --------------------------------------------------------------------------------- */

static void
time_set(json_t *e, const char *name)
{
	const json_t *v = json_object_get(e, name);
	json_int_t s = json_integer_value(v);

	if (v != NULL)
		json_object_set_new(e, name, json_of_wall(s > 0 ? (uint64_t)s * 1000000 : 0));
}

/* Whole days; one that is over has less than none. */
static json_int_t
days_left(const json_t *e, int64_t now)
{
	json_int_t left = json_integer_value(json_object_get(e, "not_after")) - now;

	return left >= 0 ? left / DAY_S : -((-left + DAY_S - 1) / DAY_S);
}

static json_t *
entry_json(const json_t *e, int64_t now)
{
	json_t *j = json_copy((json_t *)(uintptr_t)e);

	json_object_set_new(j, "days_left", json_integer(days_left(e, now)));
	time_set(j, "not_before");
	time_set(j, "not_after");
	time_set(j, "ocsp_until");
	return j;
}

void
api_certificate_facts(struct call *c)
{
	int64_t now = (int64_t)(clock_wall_us() / 1000000);
	json_t *list = json_array(), *e;
	size_t i;

	json_array_foreach(c->a->facts, i, e) json_array_append_new(list, entry_json(e, now));
	call_json(c, 200, json_pack("{s:o}", "certificates", list));
}

/* --- metrics ---------------------------------------------------------------------------------- */

/* Of several entries of one object, the one that ends first, and any that is not the newest. */
static json_t *
entries_by_user(const json_t *facts)
{
	json_t *by = json_object(), *e;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)facts, i, e)
	{
		struct gbuf key = {0};
		json_t *had;

		gbuf_printf(&key, "%s ", user_of(e));
		gbuf_str(&key, str_of(json_string_value(json_object_get(e, "id"))));
		gbuf_u8(&key, '\0');
		had = json_object_get(by, key.p);
		if (had == NULL || json_integer_value(json_object_get(e, "not_after")) <
				       json_integer_value(json_object_get(had, "not_after")))
			json_object_set(by, key.p, e);
		gbuf_free(&key);
	}
	return by;
}

static bool
is_kept(const json_t *e)
{
	return strcmp(json_string_value(json_object_get(e, "state")), "kept") == 0;
}

static void
series(struct gbuf *out, const char *name, const json_t *e)
{
	gbuf_printf(out, "%s{", name);
	openmetrics_label(out, user_of(e), str_of(json_string_value(json_object_get(e, "id"))));
}

static void
write_expiry(struct gbuf *out, json_t *by)
{
	static const char name[] = "gateway_certificate_expiry_timestamp_seconds";
	const char *key;
	json_t *e;

	openmetrics_family(out, name, "gauge",
	    "When the certificate in force ends; of several of one object, the first");
	json_object_foreach(by, key, e)
	{
		series(out, name, e);
		gbuf_printf(out, "} %lld\n",
		    (long long)json_integer_value(json_object_get(e, "not_after")));
	}
}

static void
write_state(struct gbuf *out, const json_t *facts)
{
	static const char name[] = "gateway_certificate_state";
	json_t *kept = json_array(), *by, *e;
	const char *key;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)facts, i, e) if (is_kept(e))
	    json_array_append(kept, e);
	by = entries_by_user(kept);
	openmetrics_family(
	    out, name, "gauge", "1, state kept: its files are no good, and those before go on");
	json_object_foreach(by, key, e)
	{
		series(out, name, e);
		gbuf_printf(out, ",state=\"kept\"} 1\n");
	}
	json_decref(by);
	json_decref(kept);
}

void
openmetrics_certificates(struct admin *a, struct gbuf *out)
{
	json_t *by = entries_by_user(a->facts);

	openmetrics_simple(out, "gateway_certificates", "gauge",
	    "Certificates in force, of listeners and services too", json_array_size(a->facts));
	write_expiry(out, by);
	write_state(out, a->facts);
	json_decref(by);
}
