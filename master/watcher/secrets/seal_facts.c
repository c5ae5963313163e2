/* SPDX-License-Identifier: Apache-2.0
 *
 * What people may know of certificates, as JSON. What stands in a certificate is somebody else's
 * text: what is not UTF-8 loses what does not fit.
 */
#include <errno.h>
#include <unistd.h>

#include "conf/sealed.h"
#include "master/watcher/secrets/seal_priv.h"
#include "shm/base/bug.h"

static json_t *
text(struct str s)
{
	json_t *j = json_stringn(s.p != NULL ? s.p : "", s.n);
	char *clean;

	if (j != NULL)
		return j;
	clean = str_z(s);
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)clean[i] >= 0x80)
			clean[i] = '?';
	j = json_stringn(clean, s.n);
	free(clean);
	return j;
}

static void
set(json_t *e, const char *name, json_t *value)
{
	(void)json_object_set_new(e, name, value);
}

static json_t *
names(const struct x509_facts *f)
{
	json_t *v = json_array();

	for (uint32_t i = 0; i < f->n_names; i++)
		(void)json_array_append_new(v, text(f->names[i]));
	return v;
}

void
seal_fact(struct seal *s, const char *used_by, const struct named *w, const struct x509_facts *f,
    int64_t ocsp_until, const char *error)
{
	char *path = named_path(w->ref);
	json_t *e = json_object();

	set(e, "id", text(s->o->id));
	set(e, "names", names(f));
	set(e, "subject", text(f->subject));
	set(e, "issuer", text(f->issuer));
	set(e, "serial", text(f->serial));
	set(e, "fingerprint", text(f->fingerprint));
	set(e, "key", text(f->key));
	if (f->spiffe.n > 0)
		set(e, "spiffe", text(f->spiffe));
	set(e, "not_before", json_integer(f->not_before));
	set(e, "not_after", json_integer(f->not_after));
	set(e, "chain", json_integer(f->chain));
	if (ocsp_until != 0)
		set(e, "ocsp_until", json_integer(ocsp_until));
	set(e, "used_by", json_string(used_by));
	set(e, "file", text(path != NULL ? str_of(path) : w->ref));
	set(e, "state", json_string(error != NULL ? "kept" : "ok"));
	if (error != NULL)
		set(e, "error", text(str_of(error)));
	free(path);
	BUG_ON(json_array_append_new(s->facts, e) < 0);
}

int
seal_facts_fd(const struct seal *s, const char **error_r)
{
	char *json = json_dumps(s->facts, JSON_COMPACT);
	int fd = sealed_new("facts");

	BUG_ON(json == NULL);
	if (fd < 0 || sealed_put(fd, str_of(json)) < 0 || sealed_finish(fd) < 0) {
		*error_r = strerror(errno);
		if (fd >= 0)
			(void)close(fd);
		fd = -1;
	}
	free(json);
	return fd;
}
