/* SPDX-License-Identifier: Apache-2.0
 *
 * See named.h.
 */
#include "master/watcher/secrets/named.h"

#include <unistd.h>

#include "conf/certificate.h"
#include "conf/listener.h"
#include "conf/secret.h"
#include "conf/service.h"
#include "conf/settings.h"
#include "conf/wants.h"
#include "shm/base/bug.h"

struct naming {
	struct named *v;
	unsigned n;
	struct ws *ws;
};

static void
want(struct naming *w, unsigned what, const char *setting, struct str ref)
{
	if (ref.n == 0)
		return;
	BUG_ON(w->n == NAMED_MAX);
	w->v[w->n++] = (struct named){what, setting, tls_ref(ref, w->ws), false};
}

static void
of_certificate(struct naming *w, const struct conf_certificate *c)
{
	want(w, BUNDLE_CHAIN, "certificate", c->certificate);
	want(w, BUNDLE_KEY, "key", c->key);
	want(w, NAMED_OCSP, "ocsp", c->ocsp);
}

static void
of_listener(struct naming *w, const struct conf_listener *l)
{
	if (!l->tls.enabled || l->tls.client.mode == TLS_CLIENT_NONE)
		return;
	want(w, BUNDLE_CHAIN, "tls.client.ca", l->tls.client.ca);
	want(w, BUNDLE_CRL, "tls.client.crl", l->tls.client.crl);
}

/* Whatever the keeper takes for read when it has been sealed (conf/wants.h) is read, used or not.
 */
static void
of_service(struct naming *w, const struct conf_service *s)
{
	bool idle = !s->tls.verify;

	if (!wants_service(s))
		return;
	want(w, BUNDLE_CHAIN, "tls.certificate", s->tls.certificate);
	want(w, BUNDLE_KEY, "tls.key", s->tls.key);
	if (s->tls.ca.n > 0)
		want(w, BUNDLE_CHAIN, "tls.ca", s->tls.ca);
	else
		w->v[w->n++] = (struct named){BUNDLE_CHAIN, "tls.ca", TLS_REF_SYSTEM, false};
	w->v[w->n - 1].idle = idle;
	want(w, BUNDLE_CRL, "tls.crl", s->tls.crl);
	w->v[w->n - 1].idle = idle;
}

static void
of_settings(struct naming *w, const struct conf_settings *s)
{
	want(w, BUNDLE_SECRET, "tls.ticket_secret", s->tls.ticket_secret);
}

unsigned
named_of(enum conf_kind kind, const void *body, struct named v_r[NAMED_MAX], struct ws *ws)
{
	struct naming w = {.v = v_r, .ws = ws};

	if (kind == CONF_CERTIFICATE)
		of_certificate(&w, body);
	else if (kind == CONF_LISTENER)
		of_listener(&w, body);
	else if (kind == CONF_SERVICE)
		of_service(&w, body);
	else if (kind == CONF_SETTINGS)
		of_settings(&w, body);
	return w.n;
}

/* --- paths ------------------------------------------------------------------------------------ */

/* As OpenSSL has it, and where distributions put it. */
static char *
system_path(void)
{
	static const char *const usual[] = {"/etc/ssl/certs/ca-certificates.crt",
	    "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"};
	const char *set = getenv("SSL_CERT_FILE");

	if (set != NULL && set[0] == '/')
		return xstrdup(set);
	for (unsigned i = 0; i < ARRAY_LEN(usual); i++)
		if (access(usual[i], R_OK) == 0)
			return xstrdup(usual[i]);
	return xstrdup(usual[0]);
}

char *
named_path(struct str ref)
{
	struct str path = secret_path(ref);

	if (str_eq(ref, TLS_REF_SYSTEM))
		return system_path();
	return path.n > 0 ? str_z(path) : NULL;
}
