/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of certificates and keys, and objects that name them. DIR in an expected text stands
 * for the directory. Included after harness.h.
 */
#ifndef GW_SECRETS_KIT_H
#define GW_SECRETS_KIT_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/certificate.h"
#include "conf/changeset.h"
#include "conf/listener.h"
#include "conf/object_read.h"
#include "conf/service.h"
#include "conf/settings.h"
#include "test/unit/assert_str.h"
#include "test/unit/pki.h"

struct kit {
	char dir[64];
	EVP_PKEY *root_key, *key, *key2, *rsa; /* key: of a.pem; key2: of nobody's at first */
	X509 *root;
	struct ws ws;
	struct changeset_writer *w;
};

UNUSED static char *
kit_path(struct kit *k, const char *name)
{
	return (char *)(uintptr_t)ws_printf(&k->ws, "%s/%s%c", k->dir, name, 0).p;
}

UNUSED static struct str
kit_str(struct kit *k, const char *name)
{
	return str_of(kit_path(k, name));
}

/* By a rename, so that nobody ever sees half of it. */
UNUSED static void
kit_write(struct kit *k, const char *name, struct str s)
{
	char *path = kit_path(k, name), *new = kit_path(k, "new");
	int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, s.p, s.n), (ssize_t)s.n);
	close(fd);
	assert_int_equal(rename(new, path), 0);
}

UNUSED static void
kit_write_key(struct kit *k, const char *name, const EVP_PKEY *key)
{
	struct gbuf pem = {0};

	pki_pem_key(&pem, key);
	kit_write(k, name, str_n(pem.p, pem.n));
	gbuf_free(&pem);
}

UNUSED static void
kit_write_cert(struct kit *k, const char *name, X509 *x, X509 *issuer)
{
	struct gbuf pem = {0};

	pki_pem_cert(&pem, x);
	if (issuer != NULL)
		pki_pem_cert(&pem, issuer);
	kit_write(k, name, str_n(pem.p, pem.n));
	gbuf_free(&pem);
}

/* A leaf of the kit's root and of that key: the file has both. */
UNUSED static void
kit_leaf(struct kit *k, const char *name, const char *san, EVP_PKEY *key)
{
	struct pki_opts o = {
	    .cn = "leaf", .san = san, .key = key, .issuer = k->root, .issuer_key = k->root_key};
	X509 *x = pki_cert(&o);

	kit_write_cert(k, name, x, k->root);
	X509_free(x);
}

UNUSED static int
kit_setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));
	struct pki_opts root;

	snprintf(k->dir, sizeof(k->dir), "/tmp/gw-secrets-XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	ws_init(&k->ws, NULL, 0);
	k->root_key = pki_ec();
	k->key = pki_ec();
	k->key2 = pki_ec();
	k->rsa = pki_rsa(2048);
	root = (struct pki_opts){.cn = "Root", .key = k->root_key, .ca = true};
	k->root = pki_cert(&root);
	kit_write_cert(k, "ca.pem", k->root, NULL);
	kit_leaf(k, "a.pem", "DNS:a.test,DNS:*.a.test", k->key);
	kit_write_key(k, "a.key", k->key);
	*state = k;
	return 0;
}

UNUSED static int
kit_teardown(void **state)
{
	struct kit *k = *state;
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", k->dir);
	assert_int_equal(system(cmd), 0);
	EVP_PKEY_free(k->root_key);
	EVP_PKEY_free(k->key);
	EVP_PKEY_free(k->key2);
	EVP_PKEY_free(k->rsa);
	X509_free(k->root);
	ws_free(&k->ws);
	free(k);
	return 0;
}

/* --- objects ---------------------------------------------------------------------------------- */

UNUSED static void
kit_put(struct kit *k, enum conf_kind kind, const char *id, const void *self)
{
	struct conf_object o = {.kind = kind,
	    .id = str_of(id),
	    .source = STR("file"),
	    .file = STR("gateway.conf"),
	    .line = 7};
	struct gbuf scratch = {0};

	if (k->w == NULL)
		k->w = changeset_new(STR("file"), STR("test"), true);
	object_store(&o, self, &scratch, &k->ws);
	changeset_put(k->w, CHANGE_PUT, &o);
	gbuf_free(&scratch);
}

UNUSED static void *
kit_new(struct kit *k, enum conf_kind kind)
{
	void *self = ws_zalloc(&k->ws, object_kinds[kind].fields->size);

	fields_default(object_kinds[kind].fields, self);
	return self;
}

/* NULL: none. The caller may change it and put it. */
UNUSED static struct conf_certificate *
kit_cert(struct kit *k, const char *certificate, const char *key, const char *ocsp)
{
	struct conf_certificate *c = kit_new(k, CONF_CERTIFICATE);

	c->certificate = kit_str(k, certificate);
	c->key = kit_str(k, key);
	if (ocsp != NULL)
		c->ocsp = kit_str(k, ocsp);
	return c;
}

UNUSED static void
kit_put_cert(struct kit *k, const char *id, const char *certificate, const char *key)
{
	kit_put(k, CONF_CERTIFICATE, id, kit_cert(k, certificate, key, NULL));
}

UNUSED static struct conf_service *
kit_service(struct kit *k)
{
	struct conf_service *s = kit_new(k, CONF_SERVICE);
	struct conf_endpoint *e = ws_zalloc(&k->ws, sizeof(*e));

	e->url = STR("https://up.test");
	e->weight = 1;
	e->tls = true;
	e->host = STR("up.test");
	s->endpoints.v = e;
	s->endpoints.n = 1;
	return s;
}

/* What was put so far, as a change set; begins anew. */
UNUSED static int
kit_objects(struct kit *k)
{
	const char *error = NULL;
	int fd;

	if (k->w == NULL)
		k->w = changeset_new(STR("file"), STR("test"), true);
	fd = changeset_seal(&k->w, &error);
	if (fd < 0)
		fail_msg("%s", error);
	return fd;
}

#endif
