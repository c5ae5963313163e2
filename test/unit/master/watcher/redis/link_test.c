/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection against a socket in the test's hands: log-in, order of answers, deadlines by a
 * clock that stands still.
 */
#include "test/unit/harness.h"
#include "test/unit/assert_str.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "master/watcher/redis/bell.h"
#include "test/unit/master/watcher/redis/kit.h"

struct kit {
	struct link_opts o;
	struct link link;
	struct addr addr;
	int listening, server;
	unsigned ups, downs;
	enum link_end how;
	char got[256]; /* what callbacks were given */
	unsigned pushes;
};

static struct kit *
kit_of(struct link *l)
{
	return container_of(l, struct kit, link);
}

static void
on_up(struct link *l)
{
	kit_of(l)->ups++;
}

static void
on_down(struct link *l, enum link_end how)
{
	kit_of(l)->downs++;
	kit_of(l)->how = how;
}

static void
on_many(struct link *l, const struct reply *r)
{
	assert_non_null(r);
	kit_of(l)->pushes++;
}

static void
on_reply(void *arg, const struct reply *r)
{
	struct kit *k = arg;
	size_t n = strlen(k->got);

	snprintf(k->got + n, sizeof(k->got) - n, "[%s]", r == NULL ? "gone" : r->str.p);
}

static int
setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	fake_clock_at(0);
	snprintf(k->addr.path, sizeof(k->addr.path), "/tmp/gw-link-%d.sock", (int)getpid());
	k->addr.family = AF_UNIX;
	unlink(k->addr.path);
	memcpy(sun.sun_path, k->addr.path, sizeof(sun.sun_path));
	k->listening = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(k->listening, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(k->listening, 4), 0);
	k->server = -1;
	k->o = (struct link_opts){.loop = loop_new(), .connect_ms = 500, .command_ms = 200};
	link_init(&k->link, &k->o);
	k->link.on_up = on_up;
	k->link.on_down = on_down;
	*state = k;
	return 0;
}

static int
teardown(void **state)
{
	struct kit *k = *state;

	link_close(&k->link);
	loop_free(&k->o.loop);
	unlink(k->addr.path);
	close(k->listening);
	if (k->server >= 0)
		close(k->server);
	free(k);
	return 0;
}

static void
turn(struct kit *k)
{
	for (unsigned i = 0; i < 4; i++)
		loop_turn(k->o.loop, 0);
}

static void
begin(struct kit *k)
{
	assert_int_equal(link_open(&k->link, &k->addr, STR("h")), 1);
	turn(k);
	k->server = accept(k->listening, NULL, NULL);
	assert_true(k->server >= 0);
}

static void
say(struct kit *k, const char *text)
{
	assert_int_equal(write(k->server, text, strlen(text)), (ssize_t)strlen(text));
	turn(k);
}

static void
assert_heard(struct kit *k, const char *want)
{
	char text[1024] = "";
	ssize_t n = recv(k->server, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(n > 0);
	assert_string_equal(text, want);
}

static void
send_words(struct kit *k, const char *word, unsigned n)
{
	struct command c = {.n = 0};

	for (unsigned i = 0; i < n; i++)
		COMMAND(&c, str_of(word));
	link_send(&k->link, &c, on_reply, k);
	command_free(&c);
}

#define PING "*1\r\n$4\r\nPING\r\n"

static void
logs_in(void **state)
{
	struct kit *k = *state;

	k->o.username = STR("u");
	k->o.password = STR("p");
	k->o.database = 3;
	k->o.name = STR("n");
	begin(k);
	assert_heard(k,
	    "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
	    "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$1\r\nn\r\n" PING);
	say(k, "+OK\r\n+OK\r\n-ERR no names here\r\n");
	assert_int_equal(k->ups, 0);
	say(k, "+PONG\r\n");
	assert_int_equal(k->ups, 1);
}

static void
refused_log_in(void **state)
{
	struct kit *k = *state;

	k->o.password = STR("p");
	begin(k);
	assert_heard(k, "*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n" PING);
	say(k, "-WRONGPASS no\r\n-NOAUTH\r\n");
	assert_int_equal(k->ups, 0);
	assert_int_equal(k->downs, 1);
	assert_non_null(strstr(k->link.why, "WRONGPASS"));
}

/* Redis repeats the words of a command it does not know; a password is not to be in the log. */
static void
a_password_is_not_repeated(void **state)
{
	static const char *const said[] = {
	    "-ERR unknown command `AUTH`, with args beginning with: `sesam`, \r\n",
	    "-ERR unknown command 'AUTH', with args beginning with: 'ses\r\n",
	    "-WRONGPASS sesam is none\r\n", "-sesam\r\n"};
	struct kit *k = *state;

	k->o.password = STR("sesam");
	for (unsigned i = 0; i < ARRAY_LEN(said); i++) {
		begin(k);
		say(k, said[i]);
		assert_int_equal(k->downs, i + 1);
		assert_non_null(strstr(k->link.why, "AUTH is refused: "));
		assert_null(strstr(k->link.why, "ses"));
		close(k->server);
	}
	k->server = -1;
}

/* Its octets come as fast as they are read: the loop turns all the same. */
static void
a_peer_that_never_pauses(void **state)
{
	static char pongs[7 * 20000];
	struct kit *k = *state;
	int room = 1 << 26;
	ssize_t n = 0, put;

	for (size_t i = 0; i < sizeof(pongs); i += 7)
		memcpy(pongs + i, "+PONG\r\n", 7);
	begin(k);
	k->link.on_push = on_many;
	say(k, "+PONG\r\n");
	assert_int_equal(k->ups, 1);
	(void)setsockopt(k->server, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	while (n < 20 << 20 && (put = send(k->server, pongs, sizeof(pongs), MSG_DONTWAIT)) > 0)
		n += put;
	loop_turn(k->o.loop, 0);
	if (n > 16 << 20)
		assert_true(k->pushes < (unsigned)(n / 7));
	for (unsigned i = 0; i < 100; i++)
		loop_turn(k->o.loop, 0);
	assert_int_equal(k->pushes, n / 7);
	k->link.on_push = NULL;
}

static void
a_server_that_loads(void **state)
{
	struct kit *k = *state;

	begin(k);
	say(k, "-LOADING Redis is loading the dataset in memory\r\n");
	assert_int_equal(k->downs, 1);
	assert_non_null(strstr(k->link.why, "LOADING"));
}

static void
answers_in_order(void **state)
{
	struct kit *k = *state;

	begin(k);
	say(k, "-NOPERM ping\r\n"); /* a right that is missing, no harm */
	assert_int_equal(k->ups, 1);
	send_words(k, "A", 1);
	send_words(k, "B", 3);
	send_words(k, "C", 1);
	say(k, "+a\r\n+QUEUED\r\n-ASK 1 x:1\r\n-EXECABORT\r\n");
	say(k, "+c\r\n");
	assert_string_equal(k->got, "[a][ASK 1 x:1][c]");
	assert_int_equal(k->downs, 0);
	say(k, "+more\r\n");
	assert_int_equal(k->downs, 1);
}

static void
no_connection_in_time(void **state)
{
	struct kit *k = *state;

	begin(k);
	fake_clock_advance(499);
	turn(k);
	assert_int_equal(k->downs, 0);
	fake_clock_advance(2);
	turn(k);
	assert_int_equal(k->downs, 1);
	assert_int_equal(k->how, LINK_TIMEOUT);
}

static void
no_answer_in_time(void **state)
{
	struct kit *k = *state;

	begin(k);
	say(k, "+PONG\r\n");
	send_words(k, "A", 1);
	fake_clock_advance(100);
	send_words(k, "B", 1);
	say(k, "+a\r\n");
	fake_clock_advance(150);
	turn(k);
	assert_int_equal(k->downs, 0); /* B has its own */
	fake_clock_advance(51);
	turn(k);
	assert_int_equal(k->downs, 1);
	assert_int_equal(k->how, LINK_TIMEOUT);
	assert_string_equal(k->got, "[a][gone]");
	send_words(k, "C", 1);
	assert_string_equal(k->got, "[a][gone][gone]");
}

static void
a_peer_that_goes(void **state)
{
	struct kit *k = *state;

	begin(k);
	say(k, "+PONG\r\n");
	send_words(k, "A", 1);
	close(k->server);
	k->server = -1;
	turn(k);
	assert_int_equal(k->downs, 1);
	assert_string_equal(k->got, "[gone]");
	begin(k);
	say(k, "+PONG\r\n");
	assert_int_equal(k->ups, 2);
}

static void
a_peer_that_is_no_redis(void **state)
{
	struct kit *k = *state;

	begin(k);
	say(k, "HTTP/1.1 400 Bad Request\r\n\r\n");
	assert_int_equal(k->downs, 1);
	assert_non_null(strstr(k->link.why, "not Redis's protocol"));
}

/* --- the bell --------------------------------------------------------------------------------- */

struct bell_kit {
	struct bell bell;
	unsigned rings, heard, deaf;
};

static void
on_ring(void *arg)
{
	((struct bell_kit *)arg)->rings++;
}

static void
on_change(void *arg, bool heard, const char *why)
{
	struct bell_kit *b = arg;

	(void)why;
	b->heard += heard;
	b->deaf += !heard;
}

/* Cut in silence: noticed by the second interval, and called again. */
static void
the_bell_asks_whether_it_hears(void **state)
{
	struct kit *k = *state;
	struct bell_kit b = {.rings = 0};

	k->o.command_ms = 1000;
	bell_init(&b.bell, &k->o, STR("c"), 100, 1000);
	b.bell.on_ring = on_ring;
	b.bell.on_change = on_change;
	b.bell.arg = &b;
	bell_open(&b.bell, &k->addr, "h");
	turn(k);
	k->server = accept(k->listening, NULL, NULL);
	say(k, "+PONG\r\n");
	assert_heard(k, PING "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n");
	say(k, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
	assert_int_equal(b.heard, 1);
	say(k, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n");
	assert_int_equal(b.rings, 1);
	fake_clock_advance(1001);
	turn(k);
	assert_heard(k, PING);
	say(k, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	fake_clock_advance(1001);
	turn(k);
	assert_int_equal(b.deaf, 0);
	fake_clock_advance(1001);
	turn(k);
	assert_int_equal(b.deaf, 1);
	fake_clock_advance(20);
	turn(k);
	close(k->server);
	k->server = accept(k->listening, NULL, NULL);
	say(k, "+PONG\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n");
	assert_int_equal(b.heard, 2);
	bell_close(&b.bell);
}

static const struct CMUnitTest tests[] = {
#define T(f) TEST_WITH(f, setup, teardown)
    T(logs_in),
    T(refused_log_in),
    T(a_password_is_not_repeated),
    T(a_peer_that_never_pauses),
    T(a_server_that_loads),
    T(answers_in_order),
    T(no_connection_in_time),
    T(no_answer_in_time),
    T(a_peer_that_goes),
    T(a_peer_that_is_no_redis),
    T(the_bell_asks_whether_it_hears),
};
RUN_TESTS(tests)
