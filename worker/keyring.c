/* SPDX-License-Identifier: Apache-2.0
 *
 * See keyring.h. What a handshake asks for is found by look-ups alone: in the bundle's name index,
 * in the listener's sorted set, in the cache. Only a certificate that is not in the cache is
 * decoded.
 */
#include "worker/keyring.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/worker_priv.h"

#define PICK_NAMED 256 /* certificates of one name that are looked at */
#define PICK_FIRST 16  /* ... and from the list's start on, where no name helps */

/* A decoded certificate, or one that cannot be decoded: that was told, and is not tried again. */
struct cached {
	struct hnode node; /* by digest */
	struct list lru;   /* the one used longest ago first */
	struct digest digest;
	char *id; /* under which it was decoded */
	struct tls_cert *cert;
};

struct profile {
	struct list node;
	struct digest key;
	struct tls_ctx *ctx;
	bool used; /* since the last keyring_settled */
};

struct set {
	uint32_t *v, n; /* indices in the bundle */
};

struct keyring_scope {
	uint64_t serial; /* of the bundle it is for */
	bool all;        /* whatever is in the bundle */
	struct set may;  /* in order, which is that of the ids */
	struct set fallback;
};

struct keyring {
	struct worker *w;
	struct bundle *now, *next;
	uint32_t next_txn;
	uint64_t serial; /* raised when `now` changes */
	struct htab certs;
	struct list lru;
	size_t n_max;
	struct list profiles;
	struct tls_tickets *tickets;
	struct digest tickets_of; /* of the secret */
	uint64_t tickets_s, lifetime_s;
};

/* --- decoded certificates --------------------------------------------------------------------- */

static bool
cached_is(const struct hnode *n, const void *key)
{
	return digest_eq(&container_of(n, struct cached, node)->digest, key);
}

static uint64_t
cached_hash(const struct digest *d)
{
	uint64_t h;

	memcpy(&h, d->b, sizeof(h));
	return h;
}

static void
cached_drop(struct keyring *k, struct cached *c)
{
	htab_del(&k->certs, &c->node);
	list_del(&c->lru);
	tls_cert_unref(&c->cert);
	free(c->id);
	free(c);
	metric_set(k->w->metrics, M_PROC_TLS_CERTS, k->certs.n);
}

static void
cached_room(struct keyring *k, size_t most)
{
	while (k->certs.n > most)
		cached_drop(k, container_of(list_first(&k->lru), struct cached, lru));
}

static struct cached *
cached_new(struct keyring *k, const struct bundle_cert *b)
{
	struct cached *c = xcalloc(1, sizeof(*c));
	const char *error = "";

	cached_room(k, k->n_max - 1);
	c->digest = b->digest;
	c->id = str_z(b->id);
	c->cert = tls_cert_new(b, &error);
	if (c->cert == NULL) {
		log_error("certificate %s: %s: it is shown to nobody", c->id, error);
		metric_add(k->w->metrics, M_PROC_TLS_ERRORS, 1);
	}
	list_init(&c->lru);
	htab_put(&k->certs, &c->node, cached_hash(&c->digest));
	metric_add(k->w->metrics, M_PROC_TLS_CERT_MISSES, 1);
	metric_set(k->w->metrics, M_PROC_TLS_CERTS, k->certs.n);
	return c;
}

/* NULL: it cannot be decoded. */
static struct tls_cert *
cached_get(struct keyring *k, const struct bundle_cert *b)
{
	struct hnode *n = htab_get(&k->certs, cached_hash(&b->digest), cached_is, &b->digest);
	struct cached *c = n != NULL ? container_of(n, struct cached, node) : cached_new(k, b);

	list_del(&c->lru);
	list_push(&k->lru, &c->lru);
	return c->cert;
}

/* A key that was replaced is not kept. */
static void
cached_forget_gone(struct keyring *k)
{
	struct bundle_cert b;
	uint32_t i;

	list_each_safe (n, &k->lru) {
		struct cached *c = container_of(n, struct cached, lru);

		if (bundle_cert_find(k->now, str_of(c->id), &i) != 1 ||
		    bundle_cert_at(k->now, i, &b) != 1 || !digest_eq(&b.digest, &c->digest))
			cached_drop(k, c);
	}
}

/* --- tickets ---------------------------------------------------------------------------------- */

static void
keyring_tickets(struct keyring *k)
{
	struct str secret = STR_NONE;
	struct digest d = {{0}};

	if (k->now == NULL || bundle_get(k->now, BUNDLE_SECRET, TLS_REF_TICKET, &secret, &d) != 1 ||
	    secret.n == 0) {
		tls_tickets_unref(&k->tickets);
		return;
	}
	if (k->tickets != NULL && digest_eq(&d, &k->tickets_of) && k->tickets_s == k->lifetime_s)
		return;
	tls_tickets_unref(&k->tickets);
	k->tickets = tls_tickets_new(secret, k->lifetime_s);
	k->tickets_of = d;
	k->tickets_s = k->lifetime_s;
}

/* --- bundles ---------------------------------------------------------------------------------- */

struct keyring *
keyring_new(struct worker *w)
{
	struct keyring *k = xcalloc(1, sizeof(*k));

	k->w = w;
	k->n_max = 1;
	k->lifetime_s = 1;
	list_init(&k->lru);
	list_init(&k->profiles);
	return k;
}

static void
profile_drop(struct profile *p)
{
	list_del(&p->node);
	tls_ctx_unref(&p->ctx);
	free(p);
}

void
keyring_free(struct keyring **kp)
{
	struct keyring *k = *kp;

	*kp = NULL;
	if (k == NULL)
		return;
	cached_room(k, 0);
	htab_free(&k->certs);
	list_each_safe (n, &k->profiles)
		profile_drop(container_of(n, struct profile, node));
	tls_tickets_unref(&k->tickets);
	bundle_unref(&k->now);
	bundle_unref(&k->next);
	free(k);
}

/* Takes the reference over. */
static void
keyring_force(struct keyring *k, struct bundle *b)
{
	bundle_unref(&k->now);
	k->now = b;
	k->serial++;
	cached_forget_gone(k);
	keyring_tickets(k);
}

/* Keys are decoded into memory of ours all over the place: it is in no core from now on. */
static void
cores_off(void)
{
	static const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		log_warn("a core of this process may have keys: %s", strerror(errno));
}

static bool
same_content(const struct bundle *a, const struct bundle *b)
{
	struct digest x = bundle_digest(a), y = bundle_digest(b);

	return digest_eq(&x, &y);
}

/* What waits may come into force without a generation, where nothing but files changed: it must not
 * wait on and come back over what is in force by then. */
int
keyring_offer(struct keyring *k, uint32_t txn, int fd, const char **error_r)
{
	struct bundle *b = bundle_open(fd, error_r);

	close(fd);
	if (b == NULL)
		return -1;
	cores_off();
	if (txn == 0) {
		if (k->next != NULL && same_content(k->next, b))
			bundle_unref(&k->next);
		keyring_force(k, b);
		return 1;
	}
	bundle_unref(&k->next);
	k->next = b;
	k->next_txn = txn;
	return 1;
}

void
keyring_drop(struct keyring *k, uint32_t txn)
{
	if (k->next != NULL && k->next_txn == txn)
		bundle_unref(&k->next);
}

bool
keyring_adopt(struct keyring *k)
{
	struct bundle *b = k->next;

	if (b == NULL)
		return false;
	k->next = NULL;
	keyring_force(k, b);
	return true;
}

void
keyring_settings(struct keyring *k, const struct conf_settings *s)
{
	k->n_max = (size_t)MAX(s->tls.certificate_cache, 1);
	k->lifetime_s = MAX(s->tls.ticket_lifetime / 1000, UINT64_C(1));
	cached_room(k, k->n_max);
	keyring_tickets(k);
}

struct bundle *
keyring_bundle(struct keyring *k)
{
	return k->now;
}

/* --- profiles --------------------------------------------------------------------------------- */

/* What clients' certificates are judged by. */
static int
profile_trust(
    const struct bundle *b, struct tls_server_opts *o, struct digest d_r[2], const char **error_r)
{
	const struct conf_listener_tls *conf = o->conf;
	struct ws ws;
	int ca, crl;

	o->ca = o->crl = STR("");
	memset(d_r, 0, 2 * sizeof(*d_r));
	if (conf->client.mode == TLS_CLIENT_NONE)
		return 1;
	ws_init(&ws, NULL, 0);
	ca = bundle_get(b, BUNDLE_CHAIN, tls_ref(conf->client.ca, &ws), &o->ca, &d_r[0]);
	crl = bundle_get(b, BUNDLE_CRL, tls_ref(conf->client.crl, &ws), &o->crl, &d_r[1]);
	ws_free(&ws);
	if (ca == 1 && crl == 1)
		return 1;
	*error_r = ca != 1 ? "client.ca: its certificates did not come"
			   : "client.crl: its lists did not come";
	return -1;
}

/* All that a profile is made of. What only picking or the connection's owner asks for is left out:
 * listeners that differ in nothing else share one. */
static struct digest
profile_key(const struct keyring *k, const struct tls_server_opts *o, const struct digest trust[2])
{
	struct conf_listener_tls conf = *o->conf;
	struct gbuf g = {0};
	struct digest d;

	conf.enabled = conf.strict_sni = false;
	conf.certificates = conf.fallback = (struct strs){0};
	conf.handshake_timeout = 0;
	gbuf_put(&g, trust, 2 * sizeof(*trust));
	gbuf_u32(&g, o->protocols);
	if (o->tickets != NULL) {
		gbuf_put(&g, &k->tickets_of, sizeof(k->tickets_of));
		gbuf_u64(&g, k->tickets_s);
	}
	fields_encode(&listener_tls_fields, &conf, &g);
	d = digest_of(str_n(g.p, g.n));
	gbuf_free(&g);
	return d;
}

static struct profile *
profile_find(struct keyring *k, const struct digest *key)
{
	list_each (n, &k->profiles) {
		struct profile *p = container_of(n, struct profile, node);

		if (digest_eq(&p->key, key))
			return p;
	}
	return NULL;
}

struct tls_ctx *
keyring_profile(struct keyring *k, const struct conf_listener_tls *conf, unsigned protocols,
    const char **error_r)
{
	struct tls_server_opts o = {.conf = conf, .protocols = protocols, .pick = keyring_pick};
	struct digest trust[2], key;
	struct tls_ctx *ctx;
	struct profile *p;

	if (k->now == NULL) {
		*error_r = "no certificates have come yet";
		return NULL;
	}
	if (profile_trust(k->now, &o, trust, error_r) < 0)
		return NULL;
	o.tickets = conf->tickets ? k->tickets : NULL;
	key = profile_key(k, &o, trust);
	p = profile_find(k, &key);
	if (p == NULL) {
		ctx = tls_server_new(&o, error_r);
		if (ctx == NULL)
			return NULL;
		p = xcalloc(1, sizeof(*p));
		p->key = key;
		p->ctx = ctx;
		list_push(&k->profiles, &p->node);
	}
	p->used = true;
	return tls_ctx_ref(p->ctx);
}

void
keyring_settled(struct keyring *k)
{
	list_each_safe (n, &k->profiles) {
		struct profile *p = container_of(n, struct profile, node);

		if (!p->used)
			profile_drop(p);
		else
			p->used = false;
	}
}

/* --- what a listener may show ----------------------------------------------------------------- */

void
keyring_scope_free(struct keyring_scope **sp)
{
	struct keyring_scope *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	free(s->may.v);
	free(s->fallback.v);
	free(s);
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Ids that are not in the bundle are none of this moment's: their certificates were withdrawn. */
static struct set
set_of(const struct bundle *b, const struct strs *ids)
{
	struct set s = {.v = xcalloc(MAX(ids->n, 1u), sizeof(uint32_t)), .n = 0};

	for (uint32_t i = 0; i < ids->n; i++)
		if (bundle_cert_find(b, ids->v[i], &s.v[s.n]) == 1)
			s.n++;
	qsort(s.v, s.n, sizeof(*s.v), by_number);
	return s;
}

static const struct keyring_scope *
scope_of(const struct keyring *k, struct listener *l)
{
	const struct conf_listener_tls *conf = &l->conf->tls;
	struct keyring_scope *s;

	if (l->scope != NULL && l->scope->serial == k->serial)
		return l->scope;
	keyring_scope_free(&l->scope);
	s = xcalloc(1, sizeof(*s));
	s->serial = k->serial;
	s->all = conf->certificates.n == 0;
	s->may = set_of(k->now, &conf->certificates);
	s->fallback = set_of(k->now, &conf->fallback);
	l->scope = s;
	return s;
}

static bool
scope_has(const struct keyring_scope *s, uint32_t i)
{
	return s->all || bsearch(&i, s->may.v, s->may.n, sizeof(*s->may.v), by_number) != NULL;
}

/* --- picking ---------------------------------------------------------------------------------- */

struct pick {
	struct keyring *k;
	const struct keyring_scope *scope;
	struct tls_cert **v;
	unsigned n, most;
	uint8_t types[TLS_PICK_MAX]; /* enum bundle_key of each */
};

static bool
pick_has_type(const struct pick *p, uint8_t type)
{
	return memchr(p->types, type, p->n) != NULL;
}

static bool
cert_valid(const struct bundle_cert *c)
{
	int64_t now = (int64_t)(clock_wall_us() / 1000000);

	return c->not_before <= now && now < c->not_after;
}

static void
pick_one(struct pick *p, uint32_t i, bool valid)
{
	struct bundle_cert c;
	struct tls_cert *cert;

	if (!scope_has(p->scope, i) || bundle_cert_at(p->k->now, i, &c) != 1 ||
	    cert_valid(&c) != valid || pick_has_type(p, c.key_type))
		return;
	cert = cached_get(p->k, &c);
	if (cert == NULL)
		return;
	p->types[p->n] = c.key_type;
	p->v[p->n++] = tls_cert_ref(cert);
}

/* One that is over would be OpenSSL's choice as well as its good sister with another key. */
static bool
pick_among(struct pick *p, const uint32_t *v, unsigned n)
{
	for (unsigned i = 0; i < n && p->n < p->most; i++)
		pick_one(p, v[i], true);
	if (p->n > 0)
		return true;
	for (unsigned i = 0; i < n && p->n < p->most; i++)
		pick_one(p, v[i], false);
	return p->n > 0;
}

static bool
pick_named(struct pick *p, struct str name)
{
	uint32_t v[PICK_NAMED];

	return pick_among(p, v, bundle_named(p->k->now, name, v, PICK_NAMED));
}

static bool
pick_wildcard(struct pick *p, struct str sni)
{
	char name[256];
	ssize_t dot = str_chr(sni, '.');
	struct str rest;

	if (dot <= 0 || sni.n >= sizeof(name))
		return false;
	rest = str_sub(sni, (size_t)dot, sni.n);
	name[0] = '*';
	memcpy(name + 1, rest.p, rest.n);
	return pick_named(p, str_n(name, rest.n + 1));
}

static bool
pick_first(struct pick *p)
{
	uint32_t v[PICK_FIRST], n = p->scope->all ? bundle_certs(p->k->now) : p->scope->may.n;

	n = MIN(n, (uint32_t)PICK_FIRST);
	for (uint32_t i = 0; i < n; i++)
		v[i] = p->scope->all ? i : p->scope->may.v[i];
	p->most = 1;
	return pick_among(p, v, n);
}

unsigned
keyring_pick(void *listener, struct str sni, struct tls_cert *v_r[TLS_PICK_MAX])
{
	struct listener *l = listener;
	const struct conf_listener_tls *conf = &l->conf->tls;
	struct keyring *k = l->w->keyring;
	struct pick p = {.k = k, .v = v_r, .most = TLS_PICK_MAX};

	if (k->now == NULL)
		return 0;
	p.scope = scope_of(k, l);
	if (sni.n > 0 && (pick_named(&p, sni) || pick_wildcard(&p, sni)))
		return p.n;
	if (conf->fallback.n > 0)
		(void)pick_among(&p, p.scope->fallback.v, p.scope->fallback.n);
	else if (!conf->strict_sni)
		(void)pick_first(&p);
	return p.n;
}
