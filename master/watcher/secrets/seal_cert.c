/* SPDX-License-Identifier: Apache-2.0
 *
 * A listener's certificate: chain, key and OCSP response belong together, and stay together: what
 * is kept is all that was there under that id.
 */
#include <time.h>

#include "conf/certificate.h"
#include "master/watcher/secrets/seal_priv.h"
#include "shm/base/bug.h"

struct seal_name {
	char *name, *id;
	struct conf_place at;
	uint8_t key_type;
};

/* --- what is told ----------------------------------------------------------------------------- */

void
seal_times(struct seal *s, const struct named *w, const struct x509_facts *f)
{
	if (f->not_after <= s->in->now)
		seal_warn(s, w, "expired on %s", x509_day(f->not_after));
	else if (f->not_before > s->in->now)
		seal_warn(s, w, "not valid before %s", x509_day(f->not_before));
}

const char *
seal_pair(struct seal *s, const struct named *key, struct str chain, struct str der, unsigned bits)
{
	const char *warning = NULL, *error = NULL;

	if (x509_pair(chain, der, bits, &warning, &error) < 0)
		return error;
	if (warning != NULL)
		seal_warn(s, key, "%s", warning);
	return NULL;
}

/* RFC 6125 6.4.3: a star stands for one label. */
static bool
is_for(const struct x509_facts *f, struct str host)
{
	ssize_t dot = str_chr(host, '.');

	for (uint32_t i = 0; i < f->n_names; i++) {
		struct str name = f->names[i];

		if (str_eq(name, host))
			return true;
		if (dot > 0 && host.p[0] != '*' && str_starts(name, STR("*.")) &&
		    str_eq(str_sub(name, 1, name.n), str_sub(host, (size_t)dot, host.n)))
			return true;
	}
	return false;
}

static void
hosts_told(struct seal *s, const struct named *w, const struct conf_certificate *c,
    const struct x509_facts *f)
{
	for (uint32_t i = 0; i < c->hosts.n; i++) {
		if (is_for(f, c->hosts.v[i]))
			continue;
		seal_warn(s, w, "not for \"%.*s\", which stands in hosts",
		    STR_ARG(str_sub(c->hosts.v[i], 0, 260)));
		return;
	}
	if (c->hosts.n == 0 && f->n_names == 0)
		seal_warn(s, w,
		    "for no host name, and hosts names none: only a listener's default shows it");
}

/* --- names ------------------------------------------------------------------------------------ */

static void
name_add(struct seal *s, struct str name, uint8_t key_type)
{
	struct seal_name *n;

	if (s->n_names == s->cap_names) {
		s->cap_names = s->cap_names == 0 ? 64 : s->cap_names * 2;
		s->names = xrealloc(s->names, s->cap_names * sizeof(s->names[0]));
	}
	n = &s->names[s->n_names++];
	*n = (struct seal_name){.name = str_z(name), .id = str_z(s->o->id), .key_type = key_type};
	n->at = (struct conf_place){.file = s->o->file, .line = s->o->line};
}

static int
by_name(const void *a, const void *b)
{
	const struct seal_name *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	if (c == 0)
		c = (x->key_type > y->key_type) - (x->key_type < y->key_type);
	return c != 0 ? c : strcmp(x->id, y->id);
}

static void
twice(struct seal *s, const struct seal_name *first, const struct seal_name *n)
{
	char path[128];
	struct conf_place at = n->at;

	snprintf(path, sizeof(path), "certificates[%s]", n->id);
	at.path = str_of(path);
	check_warn_at(s->report, &at,
	    "certificates[%s] is for \"%.260s\" too, with the same kind of key: a listener that "
	    "has both shows that one",
	    first->id, n->name);
}

void
seal_names_twice(struct seal *s)
{
	const struct seal_name *v = s->names;

	if (s->n_names > 1)
		qsort(s->names, s->n_names, sizeof(s->names[0]), by_name);
	for (uint32_t i = 1, first = 0; i < s->n_names; i++) {
		if (strcmp(v[first].name, v[i].name) != 0 || v[first].key_type != v[i].key_type)
			first = i;
		else if (strcmp(v[first].id, v[i].id) != 0)
			twice(s, &v[first], &v[i]);
	}
	for (uint32_t i = 0; i < s->n_names; i++) {
		free(s->names[i].name);
		free(s->names[i].id);
	}
	free(s->names);
	s->names = NULL;
	s->n_names = s->cap_names = 0;
}

/* --- one certificate -------------------------------------------------------------------------- */

struct parts {
	const struct conf_certificate *c;
	const struct named *chain, *key, *ocsp; /* ocsp: NULL where none is named */
	struct bundle_cert cert;
	struct x509_facts facts;
	struct gbuf response;
	char *error; /* why something is kept */
};

/* What is in force under this id, if anything is. */
static bool
in_force(const struct seal *s, struct bundle_cert *c_r)
{
	uint32_t i;

	return s->in->kept != NULL && bundle_cert_find(s->in->kept, s->o->id, &i) == 1 &&
	       bundle_cert_at(s->in->kept, i, c_r) == 1;
}

/* Octets that are in force were looked at when they came; of ten thousand certificates most are the
 * same as before. */
static bool
unchanged(struct seal *s, struct parts *p)
{
	const char *error;
	struct bundle_cert was;
	struct str raw;

	if (!in_force(s, &was) || seal_raw(s, p->chain->ref, &raw, &error) < 0 ||
	    !x509_same(raw, false, was.chain) || seal_raw(s, p->key->ref, &raw, &error) < 0 ||
	    !x509_same(raw, true, was.key) || x509_facts(was.chain, &p->facts, &s->ws, &error) < 0)
		return false;
	p->cert.chain = was.chain;
	p->cert.key = was.key;
	return true;
}

/* 1; -1 after words. */
static int
read_pair(struct seal *s, struct parts *p)
{
	const char *error = NULL;
	const struct named *at = p->chain;

	if (unchanged(s, p))
		return 1;
	if (seal_octets(s, p->chain, &p->cert.chain, &error) == 1 &&
	    x509_facts(p->cert.chain, &p->facts, &s->ws, &error) == 1) {
		at = p->key;
		if (seal_octets(s, p->key, &p->cert.key, &error) == 1)
			error = seal_pair(s, p->key, p->cert.chain, p->cert.key, s->bits_shown);
	}
	if (error == NULL)
		return 1;
	p->error = xstrdup(error);
	seal_bad(s, at, p->error);
	return -1;
}

/* What was there under this id: false where nothing was. */
static bool
keep(struct seal *s, struct parts *p)
{
	const char *error;

	return s->in->lenient && in_force(s, &p->cert) &&
	       x509_facts(p->cert.chain, &p->facts, &s->ws, &error) == 1;
}

static void
keep_response(struct seal *s, struct parts *p)
{
	struct bundle_cert was;

	if (!s->in->lenient || !in_force(s, &was) || !str_eq(was.chain, p->cert.chain) ||
	    was.ocsp_until <= s->in->now)
		return;
	p->cert.ocsp = was.ocsp;
	p->cert.ocsp_until = was.ocsp_until;
}

static void
read_response(struct seal *s, struct parts *p)
{
	const char *error = NULL;
	struct str raw;
	int64_t until = 0;
	int rc;

	rc = seal_raw(s, p->ocsp->ref, &raw, &error);
	if (rc == 1)
		rc = x509_ocsp(raw, p->cert.chain, s->in->now, &p->response, &until, &error);
	if (rc == 1) {
		p->cert.ocsp = str_n(p->response.p, p->response.n);
		p->cert.ocsp_until = until;
		return;
	}
	if (rc == 0) {
		seal_warn(s, p->ocsp, "%s: it is not stapled", error);
		return;
	}
	p->error = xstrdup(error);
	seal_bad(s, p->ocsp, p->error);
	keep_response(s, p);
}

static void
put(struct seal *s, struct parts *p)
{
	const struct conf_certificate *c = p->c;
	const struct str *names = c->hosts.n > 0 ? c->hosts.v : p->facts.names;
	uint32_t n = c->hosts.n > 0 ? c->hosts.n : p->facts.n_names;

	p->cert.id = s->o->id;
	p->cert.not_before = p->facts.not_before;
	p->cert.not_after = p->facts.not_after;
	p->cert.key_type = p->facts.key_type;
	bundle_put_cert(s->w, &p->cert, names, n);
	for (uint32_t i = 0; i < n; i++)
		name_add(s, names[i], p->facts.key_type);
	seal_times(s, p->chain, &p->facts);
	if (p->error == NULL)
		hosts_told(s, p->chain, c, &p->facts);
	p->facts.names = (struct str *)(uintptr_t)names;
	p->facts.n_names = n;
	seal_fact(s, "certificate", p->chain, &p->facts, p->cert.ocsp_until, p->error);
}

void
seal_cert(struct seal *s, const struct conf_certificate *c)
{
	struct named v[NAMED_MAX];
	unsigned n = named_of(CONF_CERTIFICATE, c, v, &s->ws);
	struct parts p = {.c = c, .chain = &v[0], .key = &v[1]};
	bool good;

	if (n < 2 || v[0].what != BUNDLE_CHAIN || v[1].what != BUNDLE_KEY)
		return; /* the object's own check said so */
	p.ocsp = n > 2 ? &v[2] : NULL;
	good = read_pair(s, &p) == 1;
	if (good && p.ocsp != NULL)
		read_response(s, &p);
	if (good || keep(s, &p))
		put(s, &p);
	gbuf_free(&p.response);
	free(p.error);
}
