/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and variables that objects name: each is read once, so that a file with chain and key gives
 * both of one moment, and made into what its kind has.
 */
#include "conf/secret.h"
#include "conf/tls.h"
#include "master/watcher/secrets/seal_priv.h"
#include "shm/base/bug.h"

#define SOURCE_MAX ((size_t)32 << 20)

struct form {      /* a source as one kind */
	int state; /* 0 not looked at, 1 good, -1 bad */
	struct gbuf der;
	char *error;
};
struct source {
	struct hnode node;
	char *ref;
	int state;
	struct gbuf raw;
	char *error;
	struct form form[BUNDLE_KIND_COUNT];
};

static bool
is_ref(const struct hnode *n, const void *ref)
{
	return str_eq(str_of(container_of(n, struct source, node)->ref), *(const struct str *)ref);
}

/* The system's certificates are a file like others. */
static int
read_source(struct str ref, struct gbuf *raw_r, const char **error_r)
{
	char *path, text[4200];

	if (!str_eq(ref, TLS_REF_SYSTEM))
		return secret_read(ref, SOURCE_MAX, raw_r, error_r);
	path = named_path(ref);
	snprintf(text, sizeof(text), "file:%s", path);
	free(path);
	return secret_read(str_of(text), SOURCE_MAX, raw_r, error_r);
}

static struct source *
source_get(struct seal *s, struct str ref)
{
	uint64_t hash = hash_keyed(ref);
	struct hnode *n = htab_get(&s->sources, hash, is_ref, &ref);
	const char *error = NULL;
	struct source *src;

	if (n != NULL)
		return container_of(n, struct source, node);
	src = xcalloc(1, sizeof(*src));
	src->ref = str_z(ref);
	src->state = read_source(ref, &src->raw, &error);
	if (src->state < 0)
		src->error = xstrdup(error);
	htab_put(&s->sources, &src->node, hash);
	return src;
}

static void
source_free(struct hnode *n, void *arg UNUSED)
{
	struct source *src = container_of(n, struct source, node);

	secret_forget(&src->raw);
	for (unsigned i = 0; i < BUNDLE_KIND_COUNT; i++) {
		secret_forget(&src->form[i].der);
		free(src->form[i].error);
	}
	free(src->error);
	free(src->ref);
	free(src);
}

void
seal_forget(struct seal *s)
{
	htab_each(&s->sources, source_free, NULL);
	htab_free(&s->sources);
	s->sources = (struct htab){.v = NULL};
}

int
seal_raw(struct seal *s, struct str ref, struct str *raw_r, const char **error_r)
{
	struct source *src = source_get(s, ref);

	if (src->state < 0) {
		*error_r = src->error;
		return -1;
	}
	*raw_r = str_n(src->raw.p, src->raw.n);
	return 1;
}

/* --- kinds ------------------------------------------------------------------------------------ */

static int
make_trusted(
    struct seal *s, const struct named *w, struct str raw, struct gbuf *out, const char **error_r)
{
	unsigned bad = 0;
	int rc = x509_trusted(raw, out, &bad, error_r);

	if (rc == 1 && bad > 0)
		seal_warn(s, w, "%u malformed certificates of the system's are left out", bad);
	return rc;
}

static int
make_crl(
    struct seal *s, const struct named *w, struct str raw, struct gbuf *out, const char **error_r)
{
	int64_t until = 0;
	int rc = x509_crls(raw, out, &until, error_r);

	if (rc == 1 && until != 0 && until <= s->in->now)
		seal_warn(s, w,
		    "the list should have been replaced by a newer one: whoever has a certificate "
		    "of its issuer is refused");
	return rc;
}

static int
make(struct seal *s, const struct named *w, struct str raw, struct gbuf *out, const char **error_r)
{
	switch (w->what) {
	case BUNDLE_CHAIN:
		return str_eq(w->ref, TLS_REF_SYSTEM) ? make_trusted(s, w, raw, out, error_r)
						      : x509_chain(raw, out, error_r);
	case BUNDLE_KEY:
		return x509_key(raw, out, error_r);
	case BUNDLE_CRL:
		return make_crl(s, w, raw, out, error_r);
	default:
		BUG_ON(true);
	}
}

int
seal_octets(struct seal *s, const struct named *w, struct str *octets_r, const char **error_r)
{
	struct form *form = &source_get(s, w->ref)->form[w->what];
	const char *error = NULL;
	struct str raw;

	if (form->state == 0) {
		form->state = seal_raw(s, w->ref, &raw, &error);
		if (form->state == 1)
			form->state = make(s, w, raw, &form->der, &error);
		if (form->state < 0)
			form->error = xstrdup(error);
	}
	if (form->state < 0) {
		*error_r = form->error;
		return -1;
	}
	*octets_r = str_n(form->der.p, form->der.n);
	return 1;
}
