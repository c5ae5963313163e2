/* SPDX-License-Identifier: Apache-2.0
 *
 * Which certificate is shown to whom, what is decoded and what is kept. TLS itself is played here:
 * a chain that begins with "bad" cannot be decoded, all else can., S-SEC-4, S-EC-1
 */
#include "test/unit/harness.h"

#include <fcntl.h>

#include "shm/base/log.h"
#include "worker/accept.h"
#include "worker/keyring.h"
#include "worker/worker_priv.h"

/* --- TLS, as far as the keyring sees it ------------------------------------------------------- */

struct tls_cert {
	unsigned refs;
	char chain[32];
};
struct tls_ctx {
	unsigned refs;
	char ca[32], crl[32];
	struct tls_tickets *tickets;
};
struct tls_tickets {
	unsigned refs;
	char secret[32];
	uint64_t lifetime_s;
};
static unsigned decoded, alive, contexts;

static void
copy(char *to, size_t cap, struct str s)
{
	assert_true(s.n < cap);
	snprintf(to, cap, "%.*s", STR_ARG(s));
}

struct tls_cert *
tls_cert_new(const struct bundle_cert *c, const char **error_r)
{
	struct tls_cert *t;

	decoded++;
	if (str_starts(c->chain, STR("bad"))) {
		*error_r = "not a certificate";
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	t->refs = 1;
	alive++;
	copy(t->chain, sizeof(t->chain), c->chain);
	return t;
}

struct tls_cert *
tls_cert_ref(struct tls_cert *c)
{
	c->refs++;
	return c;
}

void
tls_cert_unref(struct tls_cert **cp)
{
	struct tls_cert *c = *cp;

	*cp = NULL;
	if (c != NULL && --c->refs == 0) {
		alive--;
		free(c);
	}
}

struct tls_ctx *
tls_server_new(const struct tls_server_opts *o, const char **error_r)
{
	struct tls_ctx *c;

	if (str_eq(o->conf->groups, STR("nonsense"))) {
		*error_r = "groups: no such group";
		return NULL;
	}
	assert_ptr_equal(o->pick, keyring_pick);
	c = calloc(1, sizeof(*c));
	c->refs = 1;
	contexts++;
	copy(c->ca, sizeof(c->ca), o->ca);
	copy(c->crl, sizeof(c->crl), o->crl);
	c->tickets = o->tickets;
	return c;
}

struct tls_ctx *
tls_ctx_ref(struct tls_ctx *c)
{
	c->refs++;
	return c;
}

void
tls_ctx_unref(struct tls_ctx **cp)
{
	struct tls_ctx *c = *cp;

	*cp = NULL;
	if (c != NULL && --c->refs == 0) {
		contexts--;
		free(c);
	}
}

struct tls_tickets *
tls_tickets_new(struct str secret, uint64_t lifetime_s)
{
	struct tls_tickets *t = calloc(1, sizeof(*t));

	t->refs = 1;
	t->lifetime_s = lifetime_s;
	copy(t->secret, sizeof(t->secret), secret);
	return t;
}

void
tls_tickets_unref(struct tls_tickets **tp)
{
	if (*tp != NULL && --(*tp)->refs == 0)
		free(*tp);
	*tp = NULL;
}

/* --- the stage -------------------------------------------------------------------------------- */

#define NOW 1000000 /* seconds since 1970 */

static struct region region;
static struct worker w;
static struct conf_listener conf;
static struct listener l;
static struct conf_settings settings;

static int
setup(void **state)
{
	size_t size = ALIGN_UP(metric_region_size(1, 8), (size_t)4096);

	(void)state;
	clock_fake(UINT64_C(1000000000), (uint64_t)NOW * 1000000);
	log_init("test", open("/dev/null", O_WRONLY), LOG_ERROR_L);
	region = (struct region){.data = aligned_alloc(4096, size), .size = size};
	memset(region.data, 0, size);
	metric_region_init(&region, 1, 8);
	w = (struct worker){.metrics = metrics_open(&region, 0)};
	w.keyring = keyring_new(&w);
	conf = (struct conf_listener){.tls = {.enabled = true, .tickets = true}};
	l = (struct listener){.w = &w, .conf = &conf};
	settings = (struct conf_settings){
	    .tls = {.certificate_cache = 100, .ticket_lifetime = 3600 * 1000}};
	keyring_settings(w.keyring, &settings);
	decoded = 0;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	keyring_scope_free(&l.scope);
	keyring_free(&w.keyring);
	assert_null(w.keyring);
	assert_int_equal(alive, 0);
	metrics_close(&w.metrics);
	free(region.data);
	clock_fake(0, 0);
	return 0;
}

static struct bundle_writer *bundle;

static void
put_for(const char *id, const char *chain, uint8_t type, const char *name, int64_t from, int64_t to)
{
	struct bundle_cert c = {.id = str_of(id),
	    .chain = str_of(chain),
	    .key = STR("key"),
	    .not_before = from,
	    .not_after = to,
	    .key_type = type};
	struct str names[2] = {str_of(name), STR("also.test")};

	if (bundle == NULL)
		bundle = bundle_new();
	bundle_put_cert(bundle, &c, names, 2);
}

static void
put(const char *id, const char *chain, uint8_t type, const char *name)
{
	put_for(id, chain, type, name, NOW - 1, NOW + 1000);
}

static void
blob(enum bundle_kind kind, const char *ref, const char *octets)
{
	if (bundle == NULL)
		bundle = bundle_new();
	bundle_put(bundle, kind, str_of(ref), str_of(octets));
}

static void
offer(uint32_t txn)
{
	const char *error = "";
	int fd;

	if (bundle == NULL)
		bundle = bundle_new();
	fd = bundle_seal(&bundle, &error);
	if (fd < 0 || keyring_offer(w.keyring, txn, fd, &error) != 1)
		fail_msg("%s", error);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken over */
}

/* The chains shown, as "a b". */
static const char *
shown(const char *sni)
{
	struct tls_cert *v[TLS_PICK_MAX];
	unsigned n = keyring_pick(&l, str_of(sni), v);
	static char text[200];
	size_t at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < n; i++) {
		at += (size_t)snprintf(
		    text + at, sizeof(text) - at, "%s%s", i > 0 ? " " : "", v[i]->chain);
		tls_cert_unref(&v[i]);
	}
	return text;
}

static struct strs
ids(unsigned n, const struct str *v)
{
	return (struct strs){.v = v, .n = n};
}

static void
the_site(void)
{
	put("a", "a-ec", BUNDLE_KEY_EC, "a.test");
	put("a-rsa", "a-rsa", BUNDLE_KEY_RSA, "a.test");
	put("a-zec", "a-other-ec", BUNDLE_KEY_EC, "a.test");
	put("wild", "wild", BUNDLE_KEY_EC, "*.test");
	put("x", "x", BUNDLE_KEY_EC, "x.y.test");
	offer(0);
}

/* --- picking ---------------------------------------------------------------------------------- */

static void
nothing_is_shown_before_a_bundle_came(void **state)
{
	const char *error = NULL;

	(void)state;
	assert_string_equal(shown("a.test"), "");
	assert_null(keyring_profile(w.keyring, &conf.tls, TLS_HTTP1, &error));
	assert_non_null(strstr(error, "no certificates"));
	assert_null(keyring_bundle(w.keyring));
	offer(0);
	assert_non_null(keyring_bundle(w.keyring));
	assert_string_equal(shown("a.test"), "");
}

static void
exact_then_wildcard_then_the_first(void **state)
{
	(void)state;
	the_site();
	assert_string_equal(shown("a.test"), "a-ec a-rsa"); /* one of each kind of key */
	assert_string_equal(shown("b.test"), "wild");
	assert_string_equal(shown("x.y.test"), "x");
	assert_string_equal(shown("z.y.test"), "a-ec"); /* a star is one label */
	assert_string_equal(shown(".test"), "a-ec");
	assert_string_equal(shown("test"), "a-ec");
	assert_string_equal(shown("*.test"), "wild"); /* a name like another */
	assert_string_equal(shown(""), "a-ec");
}

static void
strict_and_default(void **state)
{
	struct str names[] = {STR("x"), STR("a-rsa"), STR("gone")};

	(void)state;
	the_site();
	conf.tls.strict_sni = true;
	assert_string_equal(shown("a.test"), "a-ec a-rsa");
	assert_string_equal(shown("other"), "");
	assert_string_equal(shown(""), "");
	conf.tls.strict_sni = false;
	conf.tls.fallback = ids(3, names);
	keyring_scope_free(&l.scope);
	assert_string_equal(shown("other"), "a-rsa x");
	assert_string_equal(shown(""), "a-rsa x");
	assert_string_equal(shown("b.test"), "wild");
}

static void
a_listener_shows_its_own(void **state)
{
	struct str names[] = {STR("x"), STR("a-zec"), STR("gone")};

	(void)state;
	the_site();
	conf.tls.certificates = ids(3, names);
	assert_string_equal(shown("a.test"), "a-other-ec");
	assert_string_equal(shown("b.test"), "a-other-ec"); /* the smallest of its ids */
	assert_string_equal(shown("x.y.test"), "x");
	/* Places in the bundle move with what is in it. */
	put("0", "zero", BUNDLE_KEY_RSA, "a.test");
	put("a-zec", "new", BUNDLE_KEY_EC, "a.test");
	offer(0);
	assert_string_equal(shown("a.test"), "new");
	assert_string_equal(shown("x.y.test"), "new");
}

static void
one_that_is_over_only_where_none_is_valid(void **state)
{
	(void)state;
	put_for("a", "over", BUNDLE_KEY_EC, "a.test", 1, NOW);
	put_for("b", "coming", BUNDLE_KEY_RSA, "a.test", NOW + 1, NOW + 2);
	put("c", "good", BUNDLE_KEY_EC, "a.test");
	put_for("d", "old", BUNDLE_KEY_EC, "d.test", 1, 2);
	offer(0);
	assert_string_equal(shown("a.test"), "good");
	assert_string_equal(shown("d.test"), "old");
	assert_string_equal(shown("nobody"), "good");
	clock_fake(UINT64_C(1000000000), (uint64_t)(NOW + 5000) * 1000000);
	assert_string_equal(shown("a.test"), "over coming");
}

static void
one_that_cannot_be_decoded_is_passed_over(void **state)
{
	(void)state;
	put("a", "bad 1", BUNDLE_KEY_EC, "a.test");
	put("b", "good", BUNDLE_KEY_EC, "a.test");
	put("c", "bad 2", BUNDLE_KEY_EC, "c.test");
	put("d", "wild", BUNDLE_KEY_EC, "*.test");
	offer(0);
	for (unsigned i = 0; i < 3; i++) {
		assert_string_equal(shown("a.test"), "good");
		assert_string_equal(shown("c.test"), "wild");
		assert_string_equal(shown(""), "good");
	}
	assert_int_equal(decoded, 4); /* each once */
	assert_int_equal(metric_sum(w.metrics, M_PROC_TLS_ERRORS), 2);
}

static void
many_of_one_name_and_long_names(void **state)
{
	char id[16], name[300];

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		snprintf(id, sizeof(id), "c%03u", i);
		put(id, id, BUNDLE_KEY_EC, "a.test");
	}
	offer(0);
	assert_string_equal(shown("also.test"), "c000");
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	name[1] = '.';
	assert_string_equal(shown(name), "c000");
	assert_int_equal(decoded, 1);
}

/* --- the cache -------------------------------------------------------------------------------- */

static void
what_was_decoded_stays_across_bundles(void **state)
{
	(void)state;
	the_site();
	(void)shown("a.test");
	(void)shown("b.test");
	assert_int_equal(decoded, 3);
	the_site();
	assert_string_equal(shown("a.test"), "a-ec a-rsa");
	assert_int_equal(decoded, 3);
	assert_int_equal(metric_sum(w.metrics, M_PROC_TLS_CERTS), 3);
	/* Another content under an id: the old key goes at once. */
	put("a", "a-new", BUNDLE_KEY_EC, "a.test");
	put("a-rsa", "a-rsa", BUNDLE_KEY_RSA, "a.test");
	offer(0);
	assert_int_equal(alive, 1);
	assert_string_equal(shown("a.test"), "a-new a-rsa");
	assert_int_equal(decoded, 4);
}

static void
the_cache_is_bounded(void **state)
{
	struct tls_cert *v[TLS_PICK_MAX];

	(void)state;
	settings.tls.certificate_cache = 2;
	keyring_settings(w.keyring, &settings);
	the_site();
	assert_string_equal(shown("x.y.test"), "x");
	assert_string_equal(shown("b.test"), "wild");
	assert_string_equal(shown("x.y.test"), "x");
	assert_int_equal(decoded, 2);
	put("q", "q", BUNDLE_KEY_EC, "q.test");
	the_site();
	assert_string_equal(shown("q.test"), "q"); /* wild was used longest ago */
	assert_int_equal(alive, 2);
	assert_string_equal(shown("x.y.test"), "x");
	assert_int_equal(decoded, 3);
	assert_string_equal(shown("b.test"), "wild");
	assert_int_equal(decoded, 4);
	/* What a handshake was given is its own. */
	settings.tls.certificate_cache = 1;
	keyring_settings(w.keyring, &settings);
	assert_int_equal(keyring_pick(&l, STR("a.test"), v), 2);
	assert_int_equal(alive, 2);
	assert_string_equal(v[0]->chain, "a-ec");
	tls_cert_unref(&v[0]);
	tls_cert_unref(&v[1]);
	assert_int_equal(alive, 1);
}

/* --- bundles that wait ------------------------------------------------------------------------ */

static void
a_bundle_waits_for_its_generation(void **state)
{
	const char *error = NULL;
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	the_site();
	put("n", "next", BUNDLE_KEY_EC, "a.test");
	offer(7);
	assert_string_equal(shown("a.test"), "a-ec a-rsa");
	keyring_drop(w.keyring, 6);
	assert_true(keyring_adopt(w.keyring));
	assert_string_equal(shown("a.test"), "next");
	assert_false(keyring_adopt(w.keyring));
	put("m", "never", BUNDLE_KEY_EC, "a.test");
	offer(8);
	put("m", "other", BUNDLE_KEY_EC, "a.test");
	offer(9);
	keyring_drop(w.keyring, 9);
	assert_false(keyring_adopt(w.keyring));
	assert_string_equal(shown("a.test"), "next");
	assert_int_equal(keyring_offer(w.keyring, 0, fd, &error), -1);
	assert_non_null(error);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_string_equal(shown("a.test"), "next");
	offer(10); /* waits at the end */
}

/* Where only files changed nothing is committed, and what waited is in force by itself. Later ones
 * must not be followed by it. */
static void
what_came_into_force_does_not_wait_on(void **state)
{
	(void)state;
	the_site();
	put("m", "second", BUNDLE_KEY_EC, "a.test");
	offer(7);
	put("m", "second", BUNDLE_KEY_EC, "a.test");
	offer(0);
	assert_string_equal(shown("a.test"), "second");
	put("m", "third", BUNDLE_KEY_EC, "a.test");
	offer(0);
	assert_false(keyring_adopt(w.keyring));
	assert_string_equal(shown("a.test"), "third");
	/* Another content waits on. */
	put("m", "fourth", BUNDLE_KEY_EC, "a.test");
	offer(8);
	put("m", "third and a half", BUNDLE_KEY_EC, "a.test");
	offer(0);
	assert_true(keyring_adopt(w.keyring));
	assert_string_equal(shown("a.test"), "fourth");
}

/* --- profiles --------------------------------------------------------------------------------- */

static struct tls_ctx *
profile(void)
{
	const char *error = NULL;
	struct tls_ctx *c = keyring_profile(w.keyring, &conf.tls, TLS_HTTP1, &error);

	if (c == NULL)
		fail_msg("%s", error);
	return c;
}

static void
one_profile_for_what_is_the_same(void **state)
{
	struct str names[] = {STR("x")};
	struct tls_ctx *a, *b;

	(void)state;
	the_site();
	a = profile();
	conf.tls.certificates = conf.tls.fallback = ids(1, names);
	conf.tls.handshake_timeout = 5;
	b = profile();
	assert_ptr_equal(a, b);
	assert_null(a->tickets);
	tls_ctx_unref(&b);
	conf.tls.min_version = TLS_1_3;
	b = profile();
	assert_ptr_not_equal(a, b);
	/* Both were asked for; then one alone. */
	keyring_settled(w.keyring);
	tls_ctx_unref(&b);
	assert_int_equal(contexts, 2);
	b = profile();
	keyring_settled(w.keyring);
	assert_int_equal(a->refs, 1);
	tls_ctx_unref(&a);
	assert_int_equal(contexts, 1);
	tls_ctx_unref(&b);
}

static void
trust_and_tickets_are_part_of_it(void **state)
{
	struct tls_ctx *a, *b, *c;
	const char *error = NULL;

	(void)state;
	conf.tls.client.ca = STR("/ca");
	conf.tls.client.crl = STR("/crl");
	conf.tls.client.mode = TLS_CLIENT_REQUIRED;
	offer(0);
	assert_null(keyring_profile(w.keyring, &conf.tls, TLS_HTTP1, &error));
	assert_non_null(strstr(error, "client.ca"));
	blob(BUNDLE_CHAIN, "file:/ca", "authority");
	offer(0);
	assert_null(keyring_profile(w.keyring, &conf.tls, TLS_HTTP1, &error));
	assert_non_null(strstr(error, "client.crl"));
	blob(BUNDLE_CHAIN, "file:/ca", "authority");
	blob(BUNDLE_CRL, "file:/crl", "list 1");
	blob(BUNDLE_SECRET, "ticket:", "sesame");
	offer(0);
	a = profile();
	assert_string_equal(a->ca, "authority");
	assert_string_equal(a->crl, "list 1");
	assert_string_equal(a->tickets->secret, "sesame");
	assert_int_equal(a->tickets->lifetime_s, 3600);
	/* The same again in another bundle is the same. */
	blob(BUNDLE_CHAIN, "file:/ca", "authority");
	blob(BUNDLE_CRL, "file:/crl", "list 1");
	blob(BUNDLE_SECRET, "ticket:", "sesame");
	offer(0);
	b = profile();
	assert_ptr_equal(a, b);
	tls_ctx_unref(&b);
	blob(BUNDLE_CHAIN, "file:/ca", "authority");
	blob(BUNDLE_CRL, "file:/crl", "list 2");
	blob(BUNDLE_SECRET, "ticket:", "sesame");
	offer(0);
	b = profile();
	assert_ptr_not_equal(a, b);
	settings.tls.ticket_lifetime = 500;
	keyring_settings(w.keyring, &settings);
	c = profile();
	assert_ptr_not_equal(b, c);
	assert_int_equal(c->tickets->lifetime_s, 1);
	tls_ctx_unref(&c);
	conf.tls.tickets = false;
	c = profile();
	assert_null(c->tickets);
	tls_ctx_unref(&a);
	tls_ctx_unref(&b);
	tls_ctx_unref(&c);
}

static void
settings_nobody_takes_are_said(void **state)
{
	const char *error = NULL;

	(void)state;
	offer(0);
	conf.tls.groups = STR("nonsense");
	assert_null(keyring_profile(w.keyring, &conf.tls, TLS_HTTP1, &error));
	assert_string_equal(error, "groups: no such group");
}

#define IN_STAGE(f) TEST_WITH(f, setup, teardown)
static const struct CMUnitTest tests[] = {
    IN_STAGE(nothing_is_shown_before_a_bundle_came),
    IN_STAGE(exact_then_wildcard_then_the_first),
    IN_STAGE(strict_and_default),
    IN_STAGE(a_listener_shows_its_own),
    IN_STAGE(one_that_is_over_only_where_none_is_valid),
    IN_STAGE(one_that_cannot_be_decoded_is_passed_over),
    IN_STAGE(many_of_one_name_and_long_names),
    IN_STAGE(what_was_decoded_stays_across_bundles),
    IN_STAGE(the_cache_is_bounded),
    IN_STAGE(a_bundle_waits_for_its_generation),
    IN_STAGE(what_came_into_force_does_not_wait_on),
    IN_STAGE(one_profile_for_what_is_the_same),
    IN_STAGE(trust_and_tickets_are_part_of_it),
    IN_STAGE(settings_nobody_takes_are_said),
};
RUN_TESTS(tests)
