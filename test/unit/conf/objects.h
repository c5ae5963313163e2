/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects and change sets by hand, for tests that need no files.
 */
#ifndef GW_TEST_CONF_OBJECTS_H
#define GW_TEST_CONF_OBJECTS_H

#include "conf/changeset.h"
#include "conf/certificate.h"
#include "conf/listener.h"
#include "conf/route.h"
#include "conf/service.h"
#include "conf/settings.h"
#include "test/unit/harness.h"

struct sets {
	struct changeset_writer *w;
	struct ws ws;
	struct str source;
	uint32_t line;
	/* Where objects go that are for no change set; NULL: into `w`. */
	void (*take)(struct sets *s, enum change_op op, const struct conf_object *o);
};

UNUSED static void
sets_give(struct sets *s, enum change_op op, const struct conf_object *o)
{
	if (s->take != NULL)
		s->take(s, op, o);
	else
		changeset_put(s->w, op, o);
}

UNUSED static void
sets_begin(struct sets *s, const char *source, bool whole)
{
	s->source = str_of(source);
	s->w = changeset_new(s->source, STR("test"), whole);
	s->line = 0;
	ws_init(&s->ws, NULL, 0);
}

UNUSED static int
sets_end(struct sets *s)
{
	const char *error = NULL;
	int fd = changeset_seal(&s->w, &error);

	ws_free(&s->ws);
	if (fd < 0)
		fail_msg("%s", error);
	return fd;
}

UNUSED static void
sets_put(struct sets *s, enum conf_kind kind, const char *id, const void *body)
{
	struct conf_object o = {.kind = kind,
	    .id = str_of(id),
	    .source = s->source,
	    .file = STR("gateway.conf"),
	    .line = ++s->line};
	struct gbuf out = {0};

	fields_encode(object_kinds[kind].fields, body, &out);
	o.body = str_n(out.p, out.n);
	o.digest = object_digest(kind, o.id, o.body);
	sets_give(s, CHANGE_PUT, &o);
	gbuf_free(&out);
}

UNUSED static void
sets_delete(struct sets *s, enum conf_kind kind, const char *id)
{
	struct conf_object o = {.kind = kind, .id = str_of(id), .source = s->source};

	o.digest = object_digest(kind, o.id, o.body);
	sets_give(s, CHANGE_DELETE, &o);
}

UNUSED static void
sets_settings_routes(struct sets *s, int64_t routes)
{
	struct conf_settings c;

	fields_default(&settings_fields, &c);
	if (routes > 0)
		c.limits.routes = routes;
	sets_put(s, CONF_SETTINGS, "gateway", &c);
}

UNUSED static void
sets_settings(struct sets *s)
{
	sets_settings_routes(s, 0);
}

UNUSED static void
sets_listener(struct sets *s, const char *id, const char *address)
{
	struct conf_listener c;
	const char *error;

	fields_default(&listener_fields, &c);
	assert_int_equal(addr_parse(str_of(address), 0, &c.address, &error), 1);
	sets_put(s, CONF_LISTENER, id, &c);
}

/* ids: separated by blanks, "" for all; the first of them is the default. */
UNUSED static void
sets_tls_listener(struct sets *s, const char *id, const char *address, const char *ids)
{
	struct str *v = ws_alloc(&s->ws, 16 * sizeof(*v)), rest = str_of(ids), word;
	struct conf_listener c;
	const char *error;

	fields_default(&listener_fields, &c);
	assert_int_equal(addr_parse(str_of(address), 0, &c.address, &error), 1);
	c.tls.enabled = true;
	c.tls.certificates.v = c.tls.fallback.v = v;
	while (rest.n > 0 && str_cut(&rest, ' ', &word))
		v[c.tls.certificates.n++] = word;
	c.tls.fallback.n = c.tls.certificates.n > 0;
	sets_put(s, CONF_LISTENER, id, &c);
}

UNUSED static void
sets_certificate(struct sets *s, const char *id, const char *file)
{
	struct conf_certificate c;

	fields_default(&certificate_fields, &c);
	c.certificate = ws_printf(&s->ws, "%s.pem", file);
	c.key = ws_printf(&s->ws, "%s.key", file);
	sets_put(s, CONF_CERTIFICATE, id, &c);
}

/* Addresses separated by blanks; "?name" is a name that did not resolve, "https://" in front is
 * TLS. */
UNUSED static void
sets_service(struct sets *s, const char *id, const char *addresses, int64_t weight)
{
	struct conf_endpoint *e = ws_zalloc(&s->ws, 600 * sizeof(*e));
	struct str rest = str_of(addresses), word;
	struct conf_service c;
	const char *error;

	fields_default(&service_fields, &c);
	c.endpoints.v = e;
	while (str_cut(&rest, ' ', &word)) {
		struct conf_endpoint_addr *a = ws_zalloc(&s->ws, sizeof(*a));

		fields_default(service_fields.v[1].sub, e);
		e->tls = str_starts(word, STR("https://"));
		if (e->tls)
			word = str_sub(word, 8, word.n);
		e->url = ws_printf(&s->ws, "http%s://%.*s", e->tls ? "s" : "", STR_ARG(word));
		e->host = word;
		e->weight = weight;
		if (word.p[0] == '?') {
			e->host = str_sub(word, 1, word.n);
			e->resolve_error = STR("no such host");
		} else {
			assert_int_equal(addr_parse(word, 0, &a->addr, &error), 1);
			e->addresses = (struct conf_list){.v = a, .n = 1};
		}
		e++;
		c.endpoints.n++;
	}
	sets_put(s, CONF_SERVICE, id, &c);
}

/* path: one or more, separated by blanks. service, host, listener may be NULL. */
UNUSED static void
sets_route(struct sets *s, const char *id, const char *path, const char *service, const char *host,
    const char *listener)
{
	struct str *v = ws_alloc(&s->ws, 16 * sizeof(*v)), rest = str_of(path), word;
	struct conf_route c;

	fields_default(&route_fields, &c);
	c.path.v = v;
	while (str_cut(&rest, ' ', &word))
		v[c.path.n++] = word;
	v[14] = str_of(host);
	v[15] = str_of(listener);
	c.host = (struct strs){.v = &v[14], .n = host != NULL};
	c.listener = (struct strs){.v = &v[15], .n = listener != NULL};
	c.service = service != NULL ? str_of(service) : STR("");
	sets_put(s, CONF_ROUTE, id, &c);
}

#endif
