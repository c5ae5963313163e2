/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and certificates in transactions: when files have to be read before a commit, with which
 * objects, and that nobody is left naming what is not there. E-8, R-7.3.
 */
#include "conf/service.h"
#include "conf/settings.h"
#include "test/unit/conf/apply_kit.h"

/* What a compiled transaction wants: -1 refused, 0 nothing, 1 all of `ids` in order ("kind/id ").
 */
static int
wants(struct fixture *f, struct apply_input *in, bool commit, const char *ids)
{
	struct gbuf have = {0};
	struct conf_object o;
	struct changeset set;
	enum change_op op;
	const char *error = "";
	struct apply *a;
	bool needed;
	int fd;

	check_free(&f->report);
	a = apply_compile(&f->store, in, &f->report);
	if (a == NULL)
		return -1;
	needed = apply_wants(a);
	fd = apply_wants_fd(a, &error);
	assert_true(fd >= 0);
	assert_int_equal(changeset_open(fd, &set, &error), 1);
	close(fd);
	assert_true(set.whole);
	while (changeset_next(&set, &op, &o) == 1) {
		assert_int_equal(op, CHANGE_PUT);
		gbuf_printf(&have, "%s/%.*s ", object_kinds[o.kind].word, STR_ARG(o.id));
	}
	gbuf_u8(&have, '\0');
	assert_string_equal(have.p, ids);
	gbuf_free(&have);
	changeset_close(&set);
	if (commit)
		assert_int_equal(apply_commit(&a, &f->report), 1);
	else
		apply_abort(&a);
	table_reset(f->table);
	assert_int_equal(table_renew(f->table), 1);
	return needed;
}

static int
set_wants(struct fixture *f, bool commit, const char *ids)
{
	int fd = sets_end(&f->sets), got;
	struct apply_input in = {.changeset_fd = fd};

	got = wants(f, &in, commit, ids);
	close(fd);
	return got;
}

static int
ops_want(struct fixture *f, bool commit, const char *ids)
{
	struct apply_input in = {
	    .changeset_fd = -1, .deletions_max = UINT64_MAX, .v = f->batch.v, .n = f->batch.n};
	int got = wants(f, &in, commit, ids);

	batch_end(&f->batch);
	return got;
}

static void
files(struct fixture *f)
{
	sets_begin(&f->sets, "file", true);
	sets_tls_listener(&f->sets, "main", "127.0.0.1:8443", "");
	sets_certificate(&f->sets, "a", "/a");
	sets_service(&f->sets, "plain", "10.0.0.1:80", 1);
}

static void
service_with(struct sets *s, const char *id, const char *addresses, const char *ca)
{
	struct conf_endpoint e;
	struct conf_endpoint_addr a;
	struct conf_service c;
	const char *error;

	fields_default(&service_fields, &c);
	fields_default(service_fields.v[1].sub, &e);
	e.url = ws_printf(&s->ws, "http://%s", addresses);
	e.host = str_of(addresses);
	e.weight = 1;
	assert_int_equal(addr_parse(str_of(addresses), 0, &a.addr, &error), 1);
	e.addresses = (struct conf_list){&a, 1};
	c.endpoints = (struct conf_list){&e, 1};
	c.tls.ca = str_of(ca);
	sets_put(s, CONF_SERVICE, id, &c);
}

static void
files_are_always_read(void **state)
{
	struct fixture *f = *state;

	sets_begin(&f->sets, "file", true);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	assert_int_equal(set_wants(f, true, ""), 0);
	files(f);
	assert_int_equal(set_wants(f, true, "listener/main certificate/a "), 1);
	/* the same again: what stands in the files may be new */
	files(f);
	assert_int_equal(set_wants(f, true, "listener/main certificate/a "), 1);
	/* all gone: once more, so that nothing is looked at any longer */
	sets_begin(&f->sets, "file", true);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	assert_int_equal(set_wants(f, true, ""), 1);
	sets_begin(&f->sets, "file", true);
	sets_listener(&f->sets, "main", "127.0.0.1:8080");
	assert_int_equal(set_wants(f, true, ""), 0);
}

static void
a_document_only_with_what_is_new(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	files(f);
	assert_int_equal(set_wants(f, true, "listener/main certificate/a "), 1);
	/* routes and plain services: no */
	s = batch_begin(&f->batch, "admin", 0);
	sets_service(s, "p", "10.0.0.2:80", 1);
	sets_route(s, "r", "/", "p", NULL, NULL);
	assert_int_equal(ops_want(f, true, "listener/main certificate/a "), 0);
	/* a certificate, made, changed, the same again, gone */
	s = batch_begin(&f->batch, "admin", 0);
	sets_certificate(s, "b", "/b");
	assert_int_equal(ops_want(f, true, "listener/main certificate/a certificate/b "), 1);
	s = batch_begin(&f->batch, "admin", 0);
	sets_certificate(s, "b", "/b2");
	assert_int_equal(ops_want(f, true, "listener/main certificate/a certificate/b "), 1);
	s = batch_begin(&f->batch, "admin", 0);
	sets_certificate(s, "b", "/b2");
	assert_int_equal(ops_want(f, true, "listener/main certificate/a certificate/b "), 0);
	s = batch_begin(&f->batch, "admin", 0);
	sets_delete(s, CONF_CERTIFICATE, "b");
	assert_int_equal(ops_want(f, true, "listener/main certificate/a "), 1);
	/* the first service at https brings the system's authorities, the next does not */
	s = batch_begin(&f->batch, "admin", 0);
	sets_service(s, "p", "https://10.0.0.2:443", 1);
	assert_int_equal(ops_want(f, true, "listener/main service/p certificate/a "), 1);
	s = batch_begin(&f->batch, "admin", 0);
	sets_service(s, "q", "https://10.0.0.3:443", 1);
	assert_int_equal(ops_want(f, true, "listener/main service/p service/q certificate/a "), 0);
	s = batch_begin(&f->batch, "admin", 0);
	sets_service(s, "p", "https://10.0.0.2:444", 1);
	assert_int_equal(ops_want(f, true, "listener/main service/p service/q certificate/a "), 0);
	/* a CA of its own, though no endpoint is at https yet; another one with it; without it */
	s = batch_begin(&f->batch, "admin", 0);
	service_with(s, "q", "10.0.0.3:80", "/ca");
	assert_int_equal(ops_want(f, true, "listener/main service/p service/q certificate/a "), 1);
	s = batch_begin(&f->batch, "admin", 0);
	service_with(s, "z", "10.0.0.4:80", "/ca");
	sets_service(s, "q", "10.0.0.3:80", 1);
	assert_int_equal(ops_want(f, true, "listener/main service/p service/z certificate/a "), 0);
	s = batch_begin(&f->batch, "admin", 0);
	service_with(s, "z", "10.0.0.4:80", "/ca2");
	assert_int_equal(ops_want(f, true, "listener/main service/p service/z certificate/a "), 1);
}

static void
an_abort_forgets(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	files(f);
	assert_int_equal(set_wants(f, true, "listener/main certificate/a "), 1);
	for (int i = 0; i < 3; i++) {
		s = batch_begin(&f->batch, "admin", 0);
		service_with(s, "q", "10.0.0.3:80", "/ca");
		sets_certificate(s, "b", "/b");
		assert_int_equal(
		    ops_want(f, i == 2, "listener/main service/q certificate/a certificate/b "), 1);
	}
	s = batch_begin(&f->batch, "admin", 0);
	sets_delete(s, CONF_SERVICE, "q");
	assert_int_equal(ops_want(f, false, "listener/main certificate/a certificate/b "), 0);
	/* it is there still: nothing new about its CA */
	s = batch_begin(&f->batch, "admin", 0);
	service_with(s, "r", "10.0.0.5:80", "/ca");
	assert_int_equal(
	    ops_want(f, true, "listener/main service/q service/r certificate/a certificate/b "), 0);
}

/* A keeper that takes over counts what the map has. */
static void
a_store_opened_again_knows(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	files(f);
	sets_service(&f->sets, "p", "https://10.0.0.2:443", 1);
	assert_int_equal(set_wants(f, true, "listener/main service/p certificate/a "), 1);
	table_close(&f->table);
	store_close(&f->store);
	open_store(f, 256u << 20, 64);
	s = batch_begin(&f->batch, "admin", 0);
	sets_service(s, "q", "https://10.0.0.3:443", 1);
	assert_int_equal(ops_want(f, true, "listener/main service/p service/q certificate/a "), 0);
	s = batch_begin(&f->batch, "file", 0);
	sets_delete(s, CONF_CERTIFICATE, "a");
	assert_int_equal(ops_want(f, true, ""), -1);
}

static void
who_is_named_stays(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	sets_begin(&f->sets, "file", true);
	sets_tls_listener(&f->sets, "main", "127.0.0.1:8443", "a");
	sets_certificate(&f->sets, "a", "/a");
	sets_certificate(&f->sets, "b", "/b");
	assert_int_equal(apply(f, sets_end(&f->sets), true), 3);
	s = batch_begin(&f->batch, "file", 0);
	sets_delete(s, CONF_CERTIFICATE, "a");
	assert_int_equal(ops_want(f, true, ""), -1);
	assert_true(report_has(
	    f, "certificates[a]: is to go, but listeners[main] of source \"file\" names it"));
	s = batch_begin(&f->batch, "file", 0);
	sets_tls_listener(s, "main", "127.0.0.1:8443", "c");
	assert_int_equal(ops_want(f, true, ""), -1);
	assert_true(report_has(f, "listeners[main].tls.certificates: \"c\": no such certificate"));
	/* together with who names it */
	s = batch_begin(&f->batch, "file", 0);
	sets_tls_listener(s, "main", "127.0.0.1:8443", "b");
	sets_delete(s, CONF_CERTIFICATE, "a");
	assert_int_equal(ops_want(f, true, "listener/main certificate/b "), 1);
	s = batch_begin(&f->batch, "file", 0);
	sets_tls_listener(s, "main", "127.0.0.1:8443", "");
	assert_int_equal(ops_want(f, true, "listener/main certificate/b "), 1);
	s = batch_begin(&f->batch, "file", 0);
	sets_delete(s, CONF_CERTIFICATE, "b");
	assert_int_equal(ops_want(f, true, ""), -1);
	assert_true(report_has(f, "certificates[b]: is to go, but listeners[main] speaks TLS"));
	s = batch_begin(&f->batch, "file", 0);
	sets_delete(s, CONF_CERTIFICATE, "b");
	sets_delete(s, CONF_LISTENER, "main");
	assert_int_equal(ops_want(f, true, ""), 1);
	s = batch_begin(&f->batch, "file", 0);
	sets_tls_listener(s, "main", "127.0.0.1:8443", "");
	assert_int_equal(ops_want(f, true, ""), -1);
	assert_true(report_has(f, "listeners[main].tls.enabled: there is no certificate; needed"));
}

/* Lenient ones: who names the refused one goes with it, the rest is done. */
static void
the_lenient_go_together(void **state)
{
	struct fixture *f = *state;
	struct sets *s;

	files(f);
	assert_int_equal(set_wants(f, true, "listener/main certificate/a "), 1);
	s = batch_begin(&f->batch, "admin", APPLY_LENIENT);
	sets_tls_listener(s, "two", "127.0.0.1:8444", "nobody");
	sets_route(s, "r", "/", NULL, NULL, "two");
	sets_certificate(s, "b", "/b");
	assert_int_equal(ops_want(f, true, "listener/main certificate/a certificate/b "), 1);
	assert_true(report_has(f, "listeners[two].tls.certificates"));
	assert_true(report_has(f, "routes[r].listener: \"two\": no such listener"));
}

static void
another_scheme_is_another_row(void **state)
{
	struct fixture *f = *state;
	struct endpoint_ref http, https;

	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "s", "10.0.0.1:443 https://10.0.0.1:443", 1);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	assert_int_equal(arena_endpoints_used(f->store.arena), 2);
	http = endpoint(f, "s", "10.0.0.1:443");
	https = endpoint(f, "s", "https://10.0.0.1:443");
	assert_false(http.tls);
	assert_true(https.tls);
	assert_int_not_equal(http.row, https.row);
	/* it stays the same one */
	sets_begin(&f->sets, "file", true);
	sets_service(&f->sets, "s", "https://10.0.0.1:443 https://?n.test:444", 2);
	assert_int_equal(apply(f, sets_end(&f->sets), true), 1);
	assert_int_equal(endpoint(f, "s", "https://10.0.0.1:443").row, https.row);
	assert_true(endpoint(f, "s", "https://?n.test:444").unresolved);
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(files_are_always_read, setup, teardown),
    TEST_WITH(a_document_only_with_what_is_new, setup, teardown),
    TEST_WITH(an_abort_forgets, setup, teardown),
    TEST_WITH(a_store_opened_again_knows, setup, teardown),
    TEST_WITH(who_is_named_stays, setup, teardown),
    TEST_WITH(the_lenient_go_together, setup, teardown),
    TEST_WITH(another_scheme_is_another_row, setup, teardown),
};

RUN_TESTS(tests)
