/* SPDX-License-Identifier: Apache-2.0
 *
 * Endpoints outside generations: sets put, added to, removed from and given back; names that
 * discovery answers; batches; rows that become free again though no generation passes.,
 * F-K8S-02.
 */
#include "test/unit/conf/kit.h"
#include "test/unit/conf/objects.h"

#include "conf/apply.h"
#include "conf/endpoint_sets.h"
#include "conf/endpoint_set.h"
#include "conf/store_priv.h"
#include "shm/base/msg.h"

struct fixture {
	char dir[64], state_dir[80];
	struct store store;
	struct state *state;
	struct table *table;
	struct loop *loop;
	struct endpoint_sets *e;
	struct sets sets;
	int line; /* discovery's end */
	int keeper_line;
	bool busy;
	unsigned rung, wanted;
	uint64_t seen; /* what the slowest worker has; 0: the newest */
	uint32_t status;
	const char *error;
	struct msg m;
};

static bool
is_busy(void *arg)
{
	return ((struct fixture *)arg)->busy;
}
static void
rung(void *arg)
{
	((struct fixture *)arg)->rung++;
}
static void
wanted(void *arg)
{
	((struct fixture *)arg)->wanted++;
}

static uint64_t
version(struct fixture *f)
{
	return atomic_load(&arena_head(f->store.arena)->endpoints_version);
}

static uint64_t
oldest(void *arg)
{
	struct fixture *f = arg;

	return f->seen != 0 ? f->seen : version(f);
}

static void
compile(void *arg, const struct conf_object *o, const struct endpoint_set *old,
    struct conf_service *s, struct ws *ws)
{
	endpoint_sets_compile(((struct fixture *)arg)->e, o, old, s, ws);
}

static void
sets_start(struct fixture *f)
{
	struct endpoint_sets_options o = {.store = &f->store,
	    .state = f->state,
	    .loop = f->loop,
	    .line = f->keeper_line,
	    .busy = is_busy,
	    .changed = rung,
	    .want = wanted,
	    .arg = f};

	f->e = endpoint_sets_new(&o);
	f->store.endpoints = compile;
	f->store.oldest = oldest;
	f->store.arg = f;
}

static void
open_store(struct fixture *f, unsigned endpoints)
{
	struct store_options o = {.run_dir = f->dir,
	    .started_us = 1,
	    .slots = 2,
	    .endpoints = endpoints,
	    .services = 300,
	    .map_size = 64u << 20};
	const char *error = NULL;

	if (store_open(&f->store, &o, &error) < 0 ||
	    table_attach(&f->store.map, &f->table, &error) < 0)
		fail_msg("%s", error);
}

static int
setup_sized(void **state, unsigned endpoints)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *error = "";
	int pair[2];

	snprintf(f->dir, sizeof(f->dir), "/dev/shm/gw-sets-test-XXXXXX");
	if (mkdtemp(f->dir) == NULL) {
		snprintf(f->dir, sizeof(f->dir), "/tmp/gw-sets-test-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	snprintf(f->state_dir, sizeof(f->state_dir), "%s/state.d", f->dir);
	assert_int_equal(mkdir(f->state_dir, 0700), 0);
	if (state_open(f->state_dir, 64u << 20, &f->state, &error) != 1)
		fail_msg("%s", error);
	open_store(f, endpoints);
	assert_int_equal(msg_pair(pair), 1);
	f->keeper_line = pair[0];
	f->line = pair[1];
	fake_clock_at(0);
	f->loop = loop_new();
	sets_start(f);
	*state = f;
	return 0;
}

static int
setup(void **state)
{
	return setup_sized(state, 600);
}

static int
setup_large(void **state)
{
	return setup_sized(state, 4096);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	endpoint_sets_free(&f->e);
	loop_free(&f->loop);
	table_close(&f->table);
	store_close(&f->store);
	state_close(&f->state);
	close(f->line);
	close(f->keeper_line);
	kit_rm(f->dir);
	free(f);
	fake_clock_stop();
	return 0;
}

/* Keeper dead and replaced: what it knew is what map and state have. */
static void
respawn(struct fixture *f)
{
	endpoint_sets_free(&f->e);
	table_close(&f->table);
	store_close(&f->store);
	open_store(f, 600);
	sets_start(f);
}

static void
turns(struct fixture *f)
{
	for (unsigned i = 0; i < 4; i++)
		loop_turn(f->loop, 0);
}

static void
pass(struct fixture *f, uint64_t ms)
{
	fake_clock_advance(ms);
	turns(f);
}

static void
apply(struct fixture *f, int fd)
{
	struct apply_input in = {.changeset_fd = fd};
	struct conf_check report;
	struct apply *a;

	check_init(&report);
	a = apply_compile(&f->store, &in, &report);
	close(fd);
	if (a == NULL || apply_commit(&a, &report) < 0)
		fail_msg("%.*s", (int)report.text.n, report.text.p);
	check_free(&report);
	endpoint_sets_generation(f->e);
	turns(f);
}

/* Services "a", "b" of one address each, and what else the test wants. */
static void
services(struct fixture *f)
{
	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_service(&f->sets, "a", "10.0.0.1:80", 1);
	sets_service(&f->sets, "b", "10.0.0.2:80", 1);
	apply(f, sets_end(&f->sets));
}

/* As document_object makes it: a name nobody has looked up. */
static void
put_named(struct fixture *f, const char *id, const char *name, int64_t weight)
{
	struct conf_endpoint *e;
	struct conf_service c;

	sets_begin(&f->sets, "admin", false);
	e = ws_zalloc(&f->sets.ws, sizeof(*e));
	fields_default(&service_fields, &c);
	fields_default(service_fields.v[1].sub, e);
	e->url = ws_printf(&f->sets.ws, "http://%s:81", name);
	e->host = ws_printf(&f->sets.ws, "%s:81", name);
	e->weight = weight;
	e->resolve_error = STR(SERVICE_NOT_LOOKED_UP);
	c.endpoints = (struct conf_list){e, 1};
	sets_put(&f->sets, CONF_SERVICE, id, &c);
	apply(f, sets_end(&f->sets));
}

/* "addr weight row, ..." of what workers see. */
static const char *
seen(struct fixture *f, const char *id)
{
	static char text[8192];
	struct conf_object o;
	struct endpoint_set set;
	struct endpoint_ref e;
	size_t n = 0;

	table_reset(f->table);
	assert_int_equal(table_renew(f->table), 1);
	text[0] = '\0';
	if (table_find(f->table, CONF_SERVICE, str_of(id), &o) != 1)
		return "none";
	assert_int_equal(table_endpoints(f->table, o.number, &set), 1);
	for (uint32_t i = 0; i < set.n; i++) {
		assert_int_equal(endpoint_set_get(&set, i, &e), 1);
		if (e.unresolved)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s (%.*s)",
			    i > 0 ? ", " : "", STR_ARG(e.name), STR_ARG(e.error));
		else
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s/%u",
			    i > 0 ? ", " : "", STR_ARG(e.name), e.weight);
	}
	return text;
}

static struct endpoint_ref
endpoint(struct fixture *f, const char *id, uint32_t i)
{
	struct conf_object o;
	struct endpoint_set set;
	struct endpoint_ref e;

	table_reset(f->table);
	assert_int_equal(table_renew(f->table), 1);
	assert_int_equal(table_find(f->table, CONF_SERVICE, str_of(id), &o), 1);
	assert_int_equal(table_endpoints(f->table, o.number, &set), 1);
	assert_int_equal(endpoint_set_get(&set, i, &e), 1);
	return e;
}

static int
stage(struct fixture *f, enum document_op op, const char *id, const char *value)
{
	struct document_change c = {.op = op, .kind = DOC_ENDPOINTS, .id = str_of(id)};
	int ok;

	if (value != NULL) {
		c.value = json_loads(value, 0, NULL);
		assert_non_null(c.value);
	}
	ok = endpoint_sets_change(f->e, &c, STR("test"), false, &f->status, &f->error);
	json_decref(c.value);
	return ok;
}

static int
change(struct fixture *f, enum document_op op, const char *id, const char *value)
{
	int ok = stage(f, op, id, value);

	if (ok == 1 && endpoint_sets_flush(f->e, &f->error) < 0)
		return -2;
	return ok;
}

#define ONE(url)      "{\"endpoints\":[{\"url\":\"" url "\"}]}"
#define TWO(one, two) "{\"endpoints\":[{\"url\":\"" one "\",\"weight\":3},{\"url\":\"" two "\"}]}"

/* --- sets ------------------------------------------------------------------------------------ */

static void
a_set_takes_the_settings_place(void **state)
{
	struct fixture *f = *state;
	struct endpoint_ref before, after;
	uint64_t was, generation;

	services(f);
	was = version(f);
	generation = f->store.meta.generation;
	before = endpoint(f, "a", 0);
	assert_int_equal(
	    change(f, DOC_PUT, "a", TWO("http://10.0.0.1:80", "http://10.0.0.9:80")), 1);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/3, 10.0.0.9:80/1");
	assert_string_equal(seen(f, "b"), "10.0.0.2:80/1");
	/* Told, without a generation; who stayed is who it was, with what is in flight there. */
	assert_int_equal(version(f), was + 1);
	assert_int_equal(f->rung, 1);
	assert_int_equal(f->store.meta.generation, generation);
	assert_int_equal(table_generation(f->table), generation);
	after = endpoint(f, "a", 0);
	assert_int_equal(after.row, before.row);
	assert_int_equal(after.incarnation, before.incarnation);

	assert_int_equal(
	    change(f, DOC_PUT, "a", TWO("http://10.0.0.1:80", "http://10.0.0.9:80")), 0);
	assert_int_equal(change(f, DOC_ADD, "a", ONE("http://10.0.0.7:80")), 1);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/3, 10.0.0.9:80/1, 10.0.0.7:80/1");
	assert_int_equal(change(f, DOC_ADD, "a", ONE("http://10.0.0.1:80")), 1);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1, 10.0.0.9:80/1, 10.0.0.7:80/1");
	assert_int_equal(change(f, DOC_REMOVE, "a", ONE("http://10.0.0.9:80")), 1);
	assert_int_equal(change(f, DOC_REMOVE, "a", ONE("http://10.0.0.9:80")), 0);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1, 10.0.0.7:80/1");
	assert_int_equal(change(f, DOC_PUT, "a", "{\"endpoints\":[]}"), 1);
	assert_string_equal(seen(f, "a"), "");
	assert_int_equal(change(f, DOC_DELETE, "a", NULL), 1);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
	assert_int_equal(f->store.meta.generation, generation);
}

static void
added_to_settings_it_is_a_set(void **state)
{
	struct fixture *f = *state;

	services(f);
	assert_int_equal(change(f, DOC_ADD, "a", ONE("http://10.0.0.7:80")), 1);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1, 10.0.0.7:80/1");
	assert_int_equal(change(f, DOC_CREATE, "a", ONE("http://10.0.0.8:80")), -1);
	assert_int_equal(f->status, 409);
	assert_int_equal(change(f, DOC_DELETE, "b", NULL), -1);
	assert_int_equal(f->status, 404);
}

static void
several_changes_are_one_transaction(void **state)
{
	struct fixture *f = *state;
	uint64_t was;

	services(f);
	was = version(f);
	assert_int_equal(stage(f, DOC_PUT, "a", ONE("http://10.0.0.3:80")), 1);
	assert_int_equal(stage(f, DOC_ADD, "a", ONE("http://10.0.0.4:80")), 1);
	assert_int_equal(stage(f, DOC_PUT, "b", ONE("http://10.0.0.5:80")), 1);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
	assert_int_equal(endpoint_sets_flush(f->e, &f->error), 1);
	assert_string_equal(seen(f, "a"), "10.0.0.3:80/1, 10.0.0.4:80/1");
	assert_string_equal(seen(f, "b"), "10.0.0.5:80/1");
	assert_int_equal(version(f), was + 1);
	assert_int_equal(endpoint_sets_flush(f->e, &f->error), 1);
	assert_int_equal(version(f), was + 1);
}

static void
a_wrong_set_is_refused_in_the_services_words(void **state)
{
	static const struct {
		const char *id, *value, *words;
		uint32_t status;
	} t[] = {
	    {"a", "{\"endpoints\":[{\"url\":\"10.0.0.1\"}]}", "services[a].endpoints", 422},
	    {"a", "{\"endpoints\":[{\"url\":\"http://10.0.0.1:80\",\"weight\":5000}]}", "weight",
		422},
	    {"a", TWO("http://10.0.0.1:80", "http://10.0.0.1:80"), "same address", 422},
	    {"a", "{\"endpoints\":[],\"balancer\":\"round_robin\"}", "nothing else", 422},
	    {"a", "[]", "nothing else", 422},
	    {"nobody", ONE("http://10.0.0.1:80"), "no such service", 404},
	};
	struct fixture *f = *state;

	services(f);
	for (unsigned i = 0; i < ARRAY_LEN(t); i++) {
		assert_int_equal(change(f, DOC_PUT, t[i].id, t[i].value), -1);
		assert_int_equal(f->status, t[i].status);
		if (strstr(f->error, t[i].words) == NULL)
			fail_msg("%s: %s", t[i].words, f->error);
	}
	assert_int_equal(change(f, DOC_PATCH, "a", ONE("http://10.0.0.3:80")), -1);
	assert_int_equal(f->status, 422);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
}

/* a connection whose peer nobody could verify is not made possible. */
static void
a_set_is_at_https_where_the_settings_name_whom_to_trust(void **state)
{
	struct fixture *f = *state;

	sets_begin(&f->sets, "file", true);
	sets_settings(&f->sets);
	sets_service(&f->sets, "a", "10.0.0.1:80", 1);
	sets_service(&f->sets, "b", "https://10.0.0.2:443", 1);
	apply(f, sets_end(&f->sets));
	assert_int_equal(change(f, DOC_ADD, "a", ONE("https://10.0.0.1:80")), -1);
	assert_int_equal(f->status, 422);
	assert_non_null(strstr(f->error, "whom to trust is not known"));
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
	assert_int_equal(change(f, DOC_ADD, "b", ONE("http://10.0.0.2:443")), 1);
	assert_int_equal(change(f, DOC_ADD, "b", ONE("https://10.0.0.3")), 1);
	assert_string_equal(
	    seen(f, "b"), "https://10.0.0.2:443/1, 10.0.0.2:443/1, https://10.0.0.3:443/1");
	assert_int_equal(change(f, DOC_REMOVE, "b", ONE("https://10.0.0.2:443")), 1);
	assert_string_equal(seen(f, "b"), "10.0.0.2:443/1, https://10.0.0.3:443/1");
}

static void
a_set_that_is_too_large_is_refused(void **state)
{
	struct fixture *f = *state;
	struct gbuf v = {0};

	services(f);
	assert_int_equal(change(f, DOC_PUT, "b", ONE("http://10.0.0.3:80")), 1);
	gbuf_printf(&v, "{\"endpoints\":[");
	for (unsigned i = 0; i < 500; i++)
		gbuf_printf(&v, "%s{\"url\":\"http://10.1.%u.%u:8080\"}", i > 0 ? "," : "", i / 250,
		    i % 250);
	gbuf_printf(&v, "]}%c", 0);
	assert_int_equal(change(f, DOC_PUT, "a", v.p), -1);
	assert_int_equal(f->status, 422);
	assert_non_null(strstr(f->error, "500 endpoints are too many"));
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
	assert_string_equal(seen(f, "b"), "10.0.0.3:80/1");
	gbuf_free(&v);
	assert_int_equal(change(f, DOC_PUT, "a", ONE("http://10.0.0.5:80")), 1);
	assert_int_equal(arena_endpoints_used(f->store.arena), 2);
}

static void
a_set_outlives_changes_of_its_service(void **state)
{
	struct fixture *f = *state;
	struct endpoint_sets_status st;
	char command[200];

	services(f);
	assert_int_equal(change(f, DOC_PUT, "a", ONE("http://10.0.0.9:80")), 1);
	sets_begin(&f->sets, "file", false);
	sets_service(&f->sets, "a", "10.0.0.4:80 10.0.0.5:80", 2);
	apply(f, sets_end(&f->sets));
	assert_string_equal(seen(f, "a"), "10.0.0.9:80/1");
	respawn(f);
	assert_string_equal(seen(f, "a"), "10.0.0.9:80/1");
	endpoint_sets_status(f->e, &st);
	assert_int_equal(st.sets, 1);
	/* A reboot: nothing but the state is left. */
	endpoint_sets_free(&f->e);
	table_close(&f->table);
	store_close(&f->store);
	snprintf(command, sizeof(command), "rm -rf %s/map-* %s/arena", f->dir, f->dir);
	assert_int_equal(system(command), 0);
	open_store(f, 600);
	sets_start(f);
	services(f);
	assert_string_equal(seen(f, "a"), "10.0.0.9:80/1");
	assert_int_equal(change(f, DOC_DELETE, "a", NULL), 1);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
}

static void
a_service_takes_its_set_with_it(void **state)
{
	struct fixture *f = *state;
	struct endpoint_sets_status st;

	services(f);
	assert_int_equal(change(f, DOC_PUT, "a", ONE("http://10.0.0.9:80")), 1);
	sets_begin(&f->sets, "file", false);
	sets_delete(&f->sets, CONF_SERVICE, "a");
	apply(f, sets_end(&f->sets));
	assert_string_equal(seen(f, "a"), "none");
	endpoint_sets_status(f->e, &st);
	assert_int_equal(st.sets, 0);
	services(f);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
	respawn(f);
	turns(f);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
}

/* --- rows ------------------------------------------------------------------------------------ */

/* 100,000 endpoints come and go in 4,096 rows, and no generation passes. */
static void
rows_come_back_without_a_generation(void **state)
{
	struct fixture *f = *state;
	struct endpoint_ref held;
	struct gbuf v = {0};

	services(f);
	held = endpoint(f, "a", 0);
	assert_int_equal(endpoint_take(f->store.arena, 1, held.row, held.incarnation), 1);
	for (unsigned i = 0; i < 1000; i++) {
		v.n = 0;
		gbuf_printf(&v, "{\"endpoints\":[");
		for (unsigned k = 0; k < 100; k++)
			gbuf_printf(&v, "%s{\"url\":\"http://10.%u.%u.%u:80\"}", k > 0 ? "," : "",
			    1 + i / 250, i % 250, k);
		gbuf_printf(&v, "]}%c", 0);
		/* The worker is one version behind. */
		f->seen = version(f) - (i % 2);
		if (change(f, DOC_PUT, "a", v.p) != 1)
			fail_msg("%u: %s", i, f->error);
	}
	gbuf_free(&v);
	assert_int_equal(arena_endpoints_used(f->store.arena), 101);
	/* The one with a request in flight still rests. */
	assert_int_equal(endpoint_inflight(f->store.arena, held.row), 1);
	assert_int_equal(atomic_load(&arena_endpoint(f->store.arena, held.row)->incarnation),
	    held.incarnation + 1);
	endpoint_release(f->store.arena, 1, held.row, held.incarnation);
}

static void
a_worker_that_does_not_look_keeps_rows(void **state)
{
	struct fixture *f = *state;
	unsigned i = 0;
	char value[80];

	services(f);
	f->seen = version(f);
	do
		snprintf(value, sizeof(value), ONE("http://10.1.%u.%u:80"), i / 250, i % 250);
	while (change(f, DOC_PUT, "a", value) == 1 && ++i < 1000);
	assert_int_equal(i, 598); /* 600 rows, two were in use */
	assert_non_null(strstr(f->error, "no free row"));
	snprintf(value, sizeof(value), "10.1.%u.%u:80/1", (i - 1) / 250, (i - 1) % 250);
	assert_string_equal(seen(f, "a"), value);
	f->seen = 0;
	assert_int_equal(change(f, DOC_PUT, "a", ONE("http://10.9.9.9:80")), 1);
}

/* --- names ----------------------------------------------------------------------------------- */

/* The list as discovery gets it, sorted by nothing. -1: none came. */
static int
listed(struct fixture *f, bool *all_r, char *first_r)
{
	uint32_t n;

	if (msg_recv(f->line, &f->m) != 1)
		return -1;
	assert_int_equal(f->m.type, MSG_RESOLVE);
	*all_r = msg_u32(&f->m) != 0;
	assert_int_equal(msg_u32(&f->m), 0);
	n = msg_u32(&f->m);
	for (uint32_t i = 0; i < n; i++) {
		struct str name = msg_str(&f->m);

		if (i == 0)
			snprintf(first_r, 256, "%.*s", STR_ARG(name));
	}
	assert_int_equal(msg_end(&f->m), 1);
	return (int)n;
}

static void
say(struct fixture *f, const char *name, const char *addresses, const char *error)
{
	struct str rest = str_of(addresses), one;
	uint32_t n = 0;

	while (addresses[0] != '\0' && str_cut(&rest, ' ', &one))
		n++;
	rest = str_of(addresses);
	msg_begin(&f->m, MSG_RESOLVED, 0);
	msg_put_str(&f->m, str_of(name));
	msg_put_u32(&f->m, n);
	while (n-- > 0 && str_cut(&rest, ' ', &one))
		msg_put_str(&f->m, one);
	msg_put_str(&f->m, str_of(error));
	assert_int_equal(msg_send(f->line, &f->m), 1);
}

static void
a_name_is_followed_without_a_reload(void **state)
{
	struct fixture *f = *state;
	struct endpoint_ref kept;
	struct endpoint_sets_status st;
	uint64_t generation, was;
	char first[256];
	bool all;

	services(f);
	assert_int_equal(f->wanted, 0);
	put_named(f, "n", "Up.Example.com", 1);
	generation = f->store.meta.generation;
	assert_string_equal(seen(f, "n"), "Up.Example.com:81 (not looked up yet)");
	assert_true(f->wanted > 0);
	assert_int_equal(listed(f, &all, first), 1);
	assert_true(all);
	assert_string_equal(first, "up.example.com");

	say(f, "up.example.com", "10.0.1.1 10.0.1.2", "");
	pass(f, 1);
	pass(f, 20);
	assert_string_equal(seen(f, "n"), "10.0.1.1:81/1, 10.0.1.2:81/1");
	kept = endpoint(f, "n", 1);
	say(f, "up.example.com", "10.0.1.2 fd00::7", "");
	pass(f, 20);
	assert_string_equal(seen(f, "n"), "10.0.1.2:81/1, [fd00::7]:81/1");
	assert_int_equal(endpoint(f, "n", 0).row, kept.row);
	assert_int_equal(endpoint(f, "n", 0).incarnation, kept.incarnation);
	assert_int_equal(f->store.meta.generation, generation);

	/* The same again, and a failure that leaves the last good answer: nothing happens. */
	was = version(f);
	say(f, "up.example.com", "10.0.1.2 fd00::7", "");
	say(f, "up.example.com", "10.0.1.2 fd00::7", "timed out");
	say(f, "somebody.else", "10.0.0.1", "");
	pass(f, 40);
	assert_int_equal(version(f), was);
	endpoint_sets_status(f->e, &st);
	assert_int_equal(st.names, 1);
	assert_int_equal(st.unresolved, 0);
	assert_int_equal(st.failing, 1);
	assert_string_equal(st.last_error, "up.example.com: timed out");

	/* Another setting of the service: its addresses stay. */
	put_named(f, "n", "Up.Example.com", 5);
	assert_string_equal(seen(f, "n"), "10.0.1.2:81/5, [fd00::7]:81/5");
	assert_int_equal(listed(f, &all, first), -1);

	/* Replaced: it serves what the map has until it is told again. */
	respawn(f);
	turns(f);
	assert_string_equal(seen(f, "n"), "10.0.1.2:81/5, [fd00::7]:81/5");
	assert_int_equal(listed(f, &all, first), 1);
	assert_true(all);
	put_named(f, "n", "Up.Example.com", 6);
	assert_string_equal(seen(f, "n"), "10.0.1.2:81/6, [fd00::7]:81/6");
	say(f, "up.example.com", "10.0.1.3", "");
	pass(f, 40);
	assert_string_equal(seen(f, "n"), "10.0.1.3:81/6");

	/* A new discovery knows no last good answer; the keeper does. */
	say(f, "up.example.com", "", "timed out");
	pass(f, 40);
	assert_string_equal(seen(f, "n"), "10.0.1.3:81/6");
	respawn(f);
	say(f, "up.example.com", "", "timed out");
	pass(f, 40);
	assert_string_equal(seen(f, "n"), "10.0.1.3:81/6");
	assert_int_equal(listed(f, &all, first), 1);

	/* A new discovery asks for the list; without names nobody is asked. */
	say(f, "", "", "");
	pass(f, 1);
	assert_int_equal(listed(f, &all, first), 1);
	assert_false(all);
	sets_begin(&f->sets, "admin", false);
	sets_delete(&f->sets, CONF_SERVICE, "n");
	apply(f, sets_end(&f->sets));
	pass(f, 40);
	assert_int_equal(listed(f, &all, first), 0);
}

static void
a_set_may_hold_names(void **state)
{
	struct fixture *f = *state;
	char first[256];
	bool all;

	services(f);
	assert_int_equal(
	    change(f, DOC_PUT, "a", TWO("http://set.example.com:82/x", "http://10.0.0.1:80")), 1);
	assert_string_equal(seen(f, "a"), "set.example.com:82 (not looked up yet), 10.0.0.1:80/1");
	pass(f, 20);
	assert_int_equal(listed(f, &all, first), 1);
	say(f, "set.example.com", "", "no such name");
	pass(f, 20);
	assert_string_equal(seen(f, "a"), "set.example.com:82 (no such name), 10.0.0.1:80/1");
	say(f, "set.example.com", "10.0.3.1", "");
	pass(f, 20);
	assert_string_equal(seen(f, "a"), "10.0.3.1:82/3, 10.0.0.1:80/1");
	assert_int_equal(change(f, DOC_DELETE, "a", NULL), 1);
	pass(f, 20);
	assert_int_equal(listed(f, &all, first), 0);
	assert_string_equal(seen(f, "a"), "10.0.0.1:80/1");
}

static void
answers_come_in_batches(void **state)
{
	struct fixture *f = *state;
	uint64_t was;
	char id[16], name[32];

	services(f);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(id, sizeof(id), "n%u", i);
		snprintf(name, sizeof(name), "h%u.example.com", i);
		put_named(f, id, name, 1);
	}
	pass(f, 100);
	was = version(f);
	/* The first at once, the others together when its 20 ms are over. */
	say(f, "h0.example.com", "10.0.0.100", "");
	turns(f);
	assert_int_equal(version(f), was + 1);
	assert_string_equal(seen(f, "n0"), "10.0.0.100:81/1");
	for (unsigned i = 1; i < 50; i++) {
		snprintf(name, sizeof(name), "h%u.example.com", i);
		say(f, name, "10.0.0.101", "");
		if (i % 5 == 0)
			pass(f, 1);
	}
	pass(f, 1);
	assert_int_equal(version(f), was + 1);
	pass(f, 12);
	assert_int_equal(version(f), was + 2);
	assert_string_equal(seen(f, "n49"), "10.0.0.101:81/1");

	/* While a change set waits for its verdict nothing is written. */
	f->busy = true;
	say(f, "h0.example.com", "10.0.0.102", "");
	pass(f, 100);
	assert_int_equal(version(f), was + 2);
	f->busy = false;
	pass(f, 5);
	assert_int_equal(version(f), was + 3);
	assert_string_equal(seen(f, "n0"), "10.0.0.102:81/1");
}

static const struct CMUnitTest tests[] = {
    TEST_WITH(a_set_takes_the_settings_place, setup, teardown),
    TEST_WITH(added_to_settings_it_is_a_set, setup, teardown),
    TEST_WITH(several_changes_are_one_transaction, setup, teardown),
    TEST_WITH(a_wrong_set_is_refused_in_the_services_words, setup, teardown),
    TEST_WITH(a_set_is_at_https_where_the_settings_name_whom_to_trust, setup, teardown),
    TEST_WITH(a_set_that_is_too_large_is_refused, setup, teardown),
    TEST_WITH(a_set_outlives_changes_of_its_service, setup, teardown),
    TEST_WITH(a_service_takes_its_set_with_it, setup, teardown),
    TEST_WITH(rows_come_back_without_a_generation, setup_large, teardown),
    TEST_WITH(a_worker_that_does_not_look_keeps_rows, setup, teardown),
    TEST_WITH(a_name_is_followed_without_a_reload, setup, teardown),
    TEST_WITH(a_set_may_hold_names, setup, teardown),
    TEST_WITH(answers_come_in_batches, setup, teardown),
};
RUN_TESTS(tests)
