/* SPDX-License-Identifier: Apache-2.0
 *
 * See secure.h.
 */
#include "worker/up/secure.h"

#include "shm/base/base.h"
#include "shm/base/bug.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "worker/up/attempt.h"

#define LOG_EVERY_MS 1000

struct str
secure_name(const struct conf_service_tls *conf, struct str host)
{
	ssize_t end;

	if (conf->server_name.n > 0)
		return conf->server_name;
	if (host.n > 0 && host.p[0] == '[') {
		end = str_chr(host, ']');
		return str_sub(host, 1, end > 0 ? (size_t)end : host.n);
	}
	end = str_chr(host, ':');
	if (end >= 0)
		host = str_sub(host, 0, (size_t)end);
	/* The root's dot is no part of a name in a certificate. */
	if (host.n > 0 && host.p[host.n - 1] == '.')
		host.n--;
	return host;
}

struct secure *
secure_new(struct trust_profile *p, struct str name, uint32_t incarnation)
{
	struct secure *s = xcalloc(1, sizeof(*s) + name.n + 1);
	char *copy = (char *)(s + 1);

	s->refs = 1;
	s->incarnation = incarnation;
	s->profile = trust_ref(p);
	if (name.n > 0)
		memcpy(copy, name.p, name.n);
	s->name = str_n(copy, name.n);
	return s;
}

bool
secure_is(
    const struct secure *s, const struct trust_profile *p, struct str name, uint32_t incarnation)
{
	return s->profile == p && s->incarnation == incarnation && str_eq(s->name, name);
}

struct secure *
secure_ref(struct secure *s)
{
	s->refs++;
	return s;
}

void
secure_unref(struct secure **sp)
{
	struct secure *s = *sp;

	*sp = NULL;
	if (!s || --s->refs > 0)
		return;
	tls_session_unref(&s->session);
	trust_unref(&s->profile);
	free(s);
}

int
secure_begin(struct upconn *c, void (*on_event)(struct stream *), const char **error_r)
{
	struct tls_how how = {.name = c->secure->name, .session = &c->secure->session};

	return tls_connect(&c->h1.stream, c->secure->profile->tls, &how, on_event, error_r);
}

void
secure_stands(struct upconn *c)
{
	bool resumed = tls_resumed(&c->h1.stream);

	metric_add(c->up->metrics, resumed ? M_PROC_UP_TLS_RESUMED : M_PROC_UP_TLS_FULL, 1);
}

/* --- failures --------------------------------------------------------------------------------- */

static enum metric_all
secure_metric(unsigned failure)
{
	static const enum metric_all of[SECURE_FAIL_COUNT] = {
	    [TLS_FAIL_NONE] = M_PROC_UP_TLS_F_OTHER,
	    [TLS_FAIL_PROTOCOL] = M_PROC_UP_TLS_F_PROTOCOL,
	    [TLS_FAIL_VERSION] = M_PROC_UP_TLS_F_VERSION,
	    [TLS_FAIL_NAME] = M_PROC_UP_TLS_F_CERTIFICATE,
	    [TLS_FAIL_ALPN] = M_PROC_UP_TLS_F_PROTOCOL,
	    [TLS_FAIL_CERTIFICATE] = M_PROC_UP_TLS_F_CERTIFICATE,
	    [TLS_FAIL_REFUSED] = M_PROC_UP_TLS_F_REFUSED,
	    [TLS_FAIL_CLOSED] = M_PROC_UP_TLS_F_CLOSED,
	    [TLS_FAIL_OTHER] = M_PROC_UP_TLS_F_OTHER,
	    [SECURE_TIMEOUT] = M_PROC_UP_TLS_F_TIMEOUT,
	    [SECURE_SETTINGS] = M_PROC_UP_TLS_F_SETTINGS,
	};

	return of[failure < SECURE_FAIL_COUNT ? failure : TLS_FAIL_OTHER];
}

void
secure_failed(struct attempt *a, unsigned failure, const char *words)
{
	struct up *u = a->up;
	struct str text = str_of(words);

	metric_add(u->metrics, secure_metric(failure), 1);
	/* What it would be resumed with may be what was refused. */
	if (a->c && a->c->secure)
		tls_session_unref(&a->c->secure->session);
	if (u->tls_logged_ms != 0 && clock_ms() < u->tls_logged_ms + LOG_EVERY_MS) {
		u->tls_unlogged++;
		return;
	}
	if (str_starts(text, STR("TLS: ")))
		text = str_sub(text, 5, text.n);
	log_warn("service %.*s: endpoint %.*s: TLS: %.*s (%u more since the last such line)",
	    STR_ARG(a->conf.service_id), STR_ARG(a->to->name), STR_ARG(text), u->tls_unlogged);
	u->tls_logged_ms = clock_ms();
	u->tls_unlogged = 0;
}
