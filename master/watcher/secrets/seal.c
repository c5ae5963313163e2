/* SPDX-License-Identifier: Apache-2.0
 *
 * See seal.h. Certificates come first, and what they read is let go of after each, so that ten
 * thousand of them need the memory of the bundle and not of their files; what services and
 * listeners name is shared by many and read once.
 */
#include "master/watcher/secrets/seal.h"

#include <stdarg.h>
#include <unistd.h>

#include "conf/changeset.h"
#include "conf/listener.h"
#include "conf/tls.h"
#include "master/watcher/secrets/seal_priv.h"
#include "shm/base/rnd.h"
#include "worker/net/tls.h"

#define TICKET_MIN 32 /* octets */

/* --- words ------------------------------------------------------------------------------------ */

static struct conf_place
place(const struct seal *s, const struct named *w, char *path, size_t cap)
{
	const char *list = object_kinds[s->o->kind].list;

	if (list[0] == '\0')
		snprintf(path, cap, "%s", w->setting);
	else
		snprintf(path, cap, "%s[%.*s].%s", list, STR_ARG(s->o->id), w->setting);
	return (struct conf_place){.file = s->o->file, .line = s->o->line, .path = str_of(path)};
}

static void
told(struct seal *s, const struct named *w, bool error, const char *text)
{
	char path[CHECK_PATH], *file = named_path(w->ref);
	struct str where = file != NULL ? str_of(file) : w->ref;
	struct conf_place at = place(s, w, path, sizeof(path));

	where = str_sub(where, 0, 300);
	if (error)
		check_error_at(s->report, &at, "%.*s: %s", STR_ARG(where), text);
	else
		check_warn_at(s->report, &at, "%.*s: %s", STR_ARG(where), text);
	free(file);
}

void
seal_bad(struct seal *s, const struct named *w, const char *text)
{
	char more[600];

	if (!s->in->lenient && !w->idle) {
		told(s, w, true, text);
		return;
	}
	s->kept += s->in->lenient && !w->idle;
	snprintf(more, sizeof(more), "%s; %s", text,
	    s->in->lenient && s->in->kept != NULL ? "what was there before is kept"
						  : "it is left out");
	told(s, w, false, more);
}

void
seal_warn(struct seal *s, const struct named *w, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	told(s, w, false, text);
}

/* --- blobs ------------------------------------------------------------------------------------ */

static bool
kept_blob(const struct seal *s, const struct named *w, struct str *octets_r)
{
	struct digest ignored;

	return s->in->lenient && s->in->kept != NULL &&
	       bundle_get(s->in->kept, (enum bundle_kind)w->what, w->ref, octets_r, &ignored) == 1;
}

static void
put_blob(struct seal *s, const struct named *w, struct str octets)
{
	bundle_put(s->w, (enum bundle_kind)w->what, w->ref, octets);
}

/* Its facts, where it is one that is told of. */
static void
tell_chain(
    struct seal *s, const char *used_by, const struct named *w, struct str chain, const char *error)
{
	const char *ignored;
	struct x509_facts f;

	if (used_by == NULL || x509_facts(chain, &f, &s->ws, &ignored) < 0)
		return;
	seal_times(s, w, &f);
	seal_fact(s, used_by, w, &f, 0, error);
}

/* used_by: NULL where nobody is told of it. */
static void
seal_blob(struct seal *s, const struct named *w, const char *used_by)
{
	const char *error = NULL;
	struct str octets = STR_NONE;

	if (seal_octets(s, w, &octets, &error) < 0) {
		seal_bad(s, w, error);
		if (!kept_blob(s, w, &octets))
			return;
	}
	put_blob(s, w, octets);
	if (w->what == BUNDLE_CHAIN)
		tell_chain(s, used_by, w, octets, error);
}

/* A client's certificate and its key, together. */
static void
seal_own(struct seal *s, const struct named *chain, const struct named *key)
{
	const char *error = NULL;
	const struct named *at = chain;
	struct str c = STR_NONE, k = STR_NONE;

	if (seal_octets(s, chain, &c, &error) == 1) {
		at = key;
		if (seal_octets(s, key, &k, &error) == 1)
			error = seal_pair(s, key, c, k, s->bits);
	}
	if (error != NULL) {
		seal_bad(s, at, error);
		if (!kept_blob(s, chain, &c) || !kept_blob(s, key, &k))
			return;
	}
	put_blob(s, chain, c);
	put_blob(s, key, k);
	tell_chain(s, "service", chain, c, error);
}

static void
seal_ticket(struct seal *s, const struct named *w)
{
	const char *error = NULL;
	struct str secret;

	if (seal_raw(s, w->ref, &secret, &error) == 1 && secret.n < TICKET_MIN)
		error = "fewer than 32 octets; allowed: 32 and more, such as openssl rand -base64 "
			"48 makes";
	if (error != NULL) {
		seal_bad(s, w, error);
		return;
	}
	bundle_put(s->w, BUNDLE_SECRET, TLS_REF_TICKET, secret);
	s->ticket = true;
}

/* Carried on, so that what was sealed with it is opened after the change; made where there is none.
 */
static void
ticket_without_setting(struct seal *s)
{
	struct digest ignored;
	struct str secret;
	char fresh[TICKET_MIN];

	if (s->ticket)
		return;
	if (s->in->kept != NULL &&
	    bundle_get(s->in->kept, BUNDLE_SECRET, TLS_REF_TICKET, &secret, &ignored) == 1 &&
	    secret.n >= TICKET_MIN) {
		bundle_put(s->w, BUNDLE_SECRET, TLS_REF_TICKET, secret);
		return;
	}
	rnd_bytes(fresh, sizeof(fresh));
	bundle_put(s->w, BUNDLE_SECRET, TLS_REF_TICKET, str_n(fresh, sizeof(fresh)));
	explicit_bzero(fresh, sizeof(fresh));
}

/* --- objects ---------------------------------------------------------------------------------- */

static void
seal_named(struct seal *s, const void *body)
{
	struct named v[NAMED_MAX];
	unsigned n = named_of(s->o->kind, body, v, &s->ws), i = 0;

	if (s->o->kind == CONF_SERVICE && n > 1 && v[1].what == BUNDLE_KEY) {
		seal_own(s, &v[0], &v[1]);
		i = 2;
	}
	for (; i < n; i++) {
		if (v[i].what == BUNDLE_SECRET)
			seal_ticket(s, &v[i]);
		else
			seal_blob(s, &v[i], s->o->kind == CONF_LISTENER ? "listener" : NULL);
	}
}

/* Ciphers, suites and groups: what OpenSSL takes only OpenSSL knows, and a worker would find out
 * too late. */
static void
seal_words(struct seal *s, const struct conf_listener *l)
{
	char path[CHECK_PATH];
	struct conf_place at = place(s, &(struct named){.setting = "tls"}, path, sizeof(path));
	const char *error = l->tls.enabled && !s->in->lenient ? tls_words_wrong(&l->tls) : NULL;

	if (error != NULL)
		check_error_at(s->report, &at, "%s", error);
}

static void
seal_object(struct seal *s, const struct conf_object *o)
{
	struct ws_mark mark = ws_mark(&s->ws);
	void *body = object_body(o, &s->ws);

	s->o = o;
	if (body == NULL) {
		check_error_at(s->report,
		    &(struct conf_place){.file = o->file, .line = o->line, .path = o->id},
		    "malformed");
	} else if (o->kind == CONF_CERTIFICATE) {
		seal_cert(s, body);
		seal_forget(s);
	} else {
		if (o->kind == CONF_LISTENER)
			seal_words(s, body);
		seal_named(s, body);
	}
	ws_reset(&s->ws, mark);
	beat_now(s->in->beat);
}

/* Whoever writes it into a listener's ciphers wants what is weak. */
static bool
weak_wanted(struct seal *s, const struct conf_object *o)
{
	struct ws_mark mark = ws_mark(&s->ws);
	const struct conf_listener *l = object_body(o, &s->ws);
	bool wanted = l != NULL && str_find(l->tls.ciphers, STR("@SECLEVEL")) >= 0;

	ws_reset(&s->ws, mark);
	return wanted;
}

static void
seal_bits(struct seal *s, struct changeset *c)
{
	struct conf_object o;
	enum change_op op;

	s->bits = s->bits_shown = tls_bits_min();
	changeset_rewind(c);
	while (changeset_next(c, &op, &o) == 1)
		if (op == CHANGE_PUT && o.kind == CONF_LISTENER && weak_wanted(s, &o))
			s->bits_shown = 0;
}

static int
seal_pass(struct seal *s, struct changeset *c, bool certificates, const char **error_r)
{
	struct conf_object o;
	enum change_op op;
	int got;

	changeset_rewind(c);
	while ((got = changeset_next(c, &op, &o)) == 1)
		if (op == CHANGE_PUT && (o.kind == CONF_CERTIFICATE) == certificates)
			seal_object(s, &o);
	*error_r = "the objects are malformed";
	return got < 0 ? -1 : 1;
}

static int
seal_all(struct seal *s, const char **error_r)
{
	struct changeset c;
	int rc = 1;

	if (s->in->objects >= 0) {
		if (changeset_open(s->in->objects, &c, error_r) < 0)
			return -1;
		seal_bits(s, &c);
		rc = seal_pass(s, &c, true, error_r);
		if (rc == 1)
			rc = seal_pass(s, &c, false, error_r);
		/* Their places lie in the mapping. */
		seal_names_twice(s);
		changeset_close(&c);
	}
	ticket_without_setting(s);
	return rc;
}

/* --- out -------------------------------------------------------------------------------------- */

static bool
is_kept(int fd, const struct bundle *kept)
{
	const char *ignored;
	struct bundle *b = kept != NULL ? bundle_open(fd, &ignored) : NULL;
	struct digest d, was;

	if (b == NULL)
		return false;
	d = bundle_digest(b);
	was = bundle_digest(kept);
	bundle_unref(&b);
	return digest_eq(&d, &was);
}

static int
seal_out(struct seal *s, struct seal_out *out_r, const char **error_r)
{
	struct seal_out out = {.kept = s->kept};

	out.bundle = bundle_seal(&s->w, error_r);
	if (out.bundle < 0)
		return -1;
	out.facts = seal_facts_fd(s, error_r);
	if (out.facts < 0) {
		(void)close(out.bundle);
		return -1;
	}
	out.same = is_kept(out.bundle, s->in->kept);
	*out_r = out;
	return 1;
}

int
seal_make(const struct seal_in *in, struct seal_out *out_r, struct conf_check *report)
{
	struct seal s = {.in = in, .report = report, .w = bundle_new(), .facts = json_array()};
	uint32_t errors = report->errors;
	const char *error = NULL;
	int rc;

	ws_init(&s.ws, NULL, 0);
	rc = seal_all(&s, &error);
	if (rc == 1 && report->errors == errors)
		rc = seal_out(&s, out_r, &error);
	if (rc < 0)
		check_error_at(
		    report, &report->at, "certificates and keys: %s", error != NULL ? error : "");
	seal_forget(&s);
	json_decref(s.facts);
	bundle_drop(&s.w);
	ws_free(&s.ws);
	return rc == 1 && report->errors == errors ? 1 : -1;
}
