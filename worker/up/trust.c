/* SPDX-License-Identifier: Apache-2.0
 *
 * See trust.h. The name a peer must prove is no part of a profile: services that differ in it alone
 * share one.
 */
#include "worker/up/trust.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/buf.h"

struct trust {
	struct bundle *bundle;
	struct digest digest; /* of it */
	uint64_t serial;      /* moves whenever a profile is forgotten; memos of before are void */
	struct htab by_key;
	struct list used;
	unsigned n;
};

struct trust *
trust_new(void)
{
	struct trust *t = xcalloc(1, sizeof(*t));

	t->serial = 1;
	list_init(&t->used);
	return t;
}

struct trust_profile *
trust_ref(struct trust_profile *p)
{
	p->refs++;
	return p;
}

void
trust_unref(struct trust_profile **pp)
{
	struct trust_profile *p = *pp;

	*pp = NULL;
	if (!p || --p->refs > 0)
		return;
	tls_ctx_unref(&p->tls);
	ws_free(&p->ws);
	free(p);
}

static void
trust_forget(struct trust *t, struct trust_profile *p)
{
	p->gone = true;
	list_del(&p->used);
	htab_del(&t->by_key, &p->node);
	t->n--;
	t->serial++;
	trust_unref(&p);
}

void
trust_free(struct trust **tp)
{
	struct trust *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	list_each_safe (n, &t->used)
		trust_forget(t, container_of(n, struct trust_profile, used));
	htab_free(&t->by_key);
	bundle_unref(&t->bundle);
	free(t);
}

unsigned
trust_count(const struct trust *t)
{
	return t->n;
}

/* --- what it is made of ----------------------------------------------------------------------- */

static void
trust_part(struct trust_part *p, enum bundle_kind kind, struct str ref)
{
	*p = (struct trust_part){.kind = kind, .ref = ref};
}

/* Whom to trust matters where somebody is verified: by default, what the system trusts. */
static void
trust_parts(const struct conf_service_tls *c, struct trust_part v[TRUST_PARTS], struct ws *ws)
{
	struct str ca = c->ca.n > 0 ? tls_ref(c->ca, ws) : TLS_REF_SYSTEM;

	trust_part(&v[TRUST_CA], BUNDLE_CHAIN, c->verify ? ca : STR_NONE);
	trust_part(&v[TRUST_CRL], BUNDLE_CRL, c->verify ? tls_ref(c->crl, ws) : STR_NONE);
	trust_part(&v[TRUST_CHAIN], BUNDLE_CHAIN, tls_ref(c->certificate, ws));
	trust_part(&v[TRUST_KEY], BUNDLE_KEY, tls_ref(c->key, ws));
}

static void
trust_look(const struct trust *t, struct trust_part *p, struct str *octets_r)
{
	*octets_r = STR_NONE;
	p->digest = (struct digest){{0}};
	p->found = bundle_get(t->bundle, p->kind, p->ref, octets_r, &p->digest);
}

static struct digest
trust_key(
    const struct conf_service_tls *conf, unsigned protocols, const struct trust_part v[TRUST_PARTS])
{
	struct conf_service_tls nameless = *conf;
	struct gbuf b = {0};
	struct digest d;

	nameless.server_name = STR_NONE;
	fields_encode(&service_tls_fields, &nameless, &b);
	gbuf_u32(&b, protocols);
	for (unsigned i = 0; i < TRUST_PARTS; i++) {
		gbuf_put(&b, &v[i].found, sizeof(v[i].found));
		gbuf_put(&b, &v[i].digest, sizeof(v[i].digest));
	}
	d = digest_of(str_n(b.p, b.n));
	gbuf_free(&b);
	return d;
}

static const char *
trust_missing(const struct trust_part v[TRUST_PARTS], struct ws *ws)
{
	static const char *const what[] = {[TRUST_CA] = "tls.ca",
	    [TRUST_CRL] = "tls.crl",
	    [TRUST_CHAIN] = "tls.certificate",
	    [TRUST_KEY] = "tls.key"};

	for (unsigned i = 0; i < TRUST_PARTS; i++) {
		if (v[i].found == 1)
			continue;
		if (str_eq(v[i].ref, TLS_REF_SYSTEM))
			return "the system has no certificates to trust by default: set tls.ca";
		return ws_printf(
		    ws, "%s: \"%.*s\" was not read, or cannot be used", what[i], STR_ARG(v[i].ref))
		    .p;
	}
	return NULL;
}

/* --- profiles --------------------------------------------------------------------------------- */

static void
trust_make(struct trust_profile *p, const struct conf_service_tls *conf, unsigned protocols,
    const struct str octets[TRUST_PARTS])
{
	struct tls_client_opts o = {.conf = conf,
	    .protocols = protocols,
	    .ca = octets[TRUST_CA],
	    .crl = octets[TRUST_CRL],
	    .chain = octets[TRUST_CHAIN],
	    .key = octets[TRUST_KEY]};
	const char *error = "no reason given";

	p->error = trust_missing(p->part, &p->ws);
	if (p->error)
		return;
	p->tls = tls_client_new(&o, &error);
	if (!p->tls)
		p->error = ws_str(&p->ws, str_of(error)).p;
}

static struct trust_profile *
trust_add(struct trust *t, const struct conf_service_tls *conf, unsigned protocols,
    const struct trust_part v[TRUST_PARTS], const struct str octets[TRUST_PARTS],
    const struct digest *key)
{
	struct trust_profile *p = xcalloc(1, sizeof(*p));
	struct list *oldest;
	uint64_t h;

	p->refs = 1;
	p->key = *key;
	ws_init(&p->ws, NULL, 0);
	for (unsigned i = 0; i < TRUST_PARTS; i++) {
		p->part[i] = v[i];
		p->part[i].ref = ws_str(&p->ws, v[i].ref);
	}
	trust_make(p, conf, protocols, octets);
	memcpy(&h, key->b, sizeof(h));
	htab_put(&t->by_key, &p->node, h);
	list_push(&t->used, &p->used);
	if (++t->n > TRUST_PROFILES && (oldest = list_first(&t->used)))
		trust_forget(t, container_of(oldest, struct trust_profile, used));
	return p;
}

static bool
trust_same(const struct hnode *n, const void *key)
{
	return digest_eq(&container_of(n, struct trust_profile, node)->key, key);
}

static struct trust_profile *
trust_find(struct trust *t, const struct conf_service_tls *conf, unsigned protocols)
{
	struct trust_part v[TRUST_PARTS];
	struct str octets[TRUST_PARTS];
	struct trust_profile *p;
	struct digest key;
	struct hnode *n;
	struct ws ws;
	uint64_t h;

	ws_init(&ws, NULL, 0);
	trust_parts(conf, v, &ws);
	for (unsigned i = 0; i < TRUST_PARTS; i++)
		trust_look(t, &v[i], &octets[i]);
	key = trust_key(conf, protocols, v);
	memcpy(&h, key.b, sizeof(h));
	n = htab_get(&t->by_key, h, trust_same, &key);
	if (n) {
		p = container_of(n, struct trust_profile, node);
		list_del(&p->used);
		list_push(&t->used, &p->used);
	} else {
		p = trust_add(t, conf, protocols, v, octets, &key);
	}
	ws_free(&ws);
	return p;
}

struct trust_profile *
trust_profile(struct trust *t, const struct conf_service_tls *conf, unsigned protocols,
    struct trust_memo *memo, const char **error_r)
{
	if (unlikely(memo->serial != t->serial)) {
		if (!t->bundle) {
			*error_r = "certificates and keys have not come yet";
			return NULL;
		}
		memo->profile = trust_find(t, conf, protocols);
		memo->serial = t->serial;
	}
	if (memo->profile->tls)
		return memo->profile;
	*error_r = memo->profile->error;
	return NULL;
}

/* --- another bundle --------------------------------------------------------------------------- */

static bool
trust_holds(const struct trust *t, const struct trust_profile *p)
{
	for (unsigned i = 0; i < TRUST_PARTS; i++) {
		struct trust_part now = p->part[i];
		struct str octets;

		trust_look(t, &now, &octets);
		if (now.found != p->part[i].found || !digest_eq(&now.digest, &p->part[i].digest))
			return false;
	}
	return true;
}

void
trust_adopt(struct trust *t, struct bundle *b)
{
	struct digest digest = bundle_digest(b);
	bool same = t->bundle && digest_eq(&t->digest, &digest);

	b = bundle_ref(b);
	bundle_unref(&t->bundle);
	t->bundle = b;
	t->digest = digest;
	if (same)
		return;
	list_each_safe (n, &t->used) {
		struct trust_profile *p = container_of(n, struct trust_profile, used);

		if (!trust_holds(t, p))
			trust_forget(t, p);
	}
}
