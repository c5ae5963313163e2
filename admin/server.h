/* SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP/1.1 server for the admin process: one request at a time per connection, whole
 * bodies, whole answers. The codec is the data plane's (worker/http), so what is refused there is
 * refused here.
 *
 * Life of a session: accepted -> head -> body -> handler -> (waiting for master or keeper) ->
 * answer written -> next request or close.
 */
#ifndef GW_ADMIN_SERVER_H
#define GW_ADMIN_SERVER_H

#include <jansson.h>

#include "admin/role.h"
#include "shm/base/buf.h"
#include "shm/base/list.h"
#include "shm/base/msg.h"
#include "shm/base/timer.h"
#include "worker/http/h1.h"
#include "worker/net/stream.h"

#define ADMIN_BODY_MAX   (1024 * 1024)
#define ADMIN_BULK_MAX   (64u << 20) /* for the calls that take a whole configuration */
#define ADMIN_BULK_MS    60000       /* for such a request to arrive */
#define ADMIN_BULKS      3           /* sessions at once that may hold that much */
#define ADMIN_HEAD_MAX   (16 * 1024)
#define ADMIN_SESSIONS   256
#define ADMIN_OTHERS     192 /* of them, from who is no administrator: anybody may connect */
#define ADMIN_IDLE_MS    60000
#define ADMIN_REQUEST_MS 10000  /* from first octet to whole request, and for writing the answer */
#define ADMIN_WAIT_MS    120000 /* for master or keeper to answer */

enum session_state {
	SESSION_IDLE,
	SESSION_HEAD,
	SESSION_BODY,
	SESSION_WAITING,
	SESSION_WRITING,
	SESSION_CLOSED
};

struct server;
struct session {
	struct list node;
	struct server *server;
	struct stream stream;
	struct timer timer;
	struct defer kick;
	enum session_state state;
	bool metrics_only; /* came by the TCP listener */
	struct peer_id peer;
	char peer_name[80]; /* "uid=0(root)"; empty before somebody wants to know */
	int role;
	bool other;  /* counted against ADMIN_OTHERS */
	uint32_t id; /* of the question asked of another process */
	/* What the caller wants to know again when the answer comes; freed with the wait. */
	void *pending;
	void (*pending_free)(void *pending);
	const char *late;  /* what is said, with 503, when no answer comes; NULL: 504 */
	bool bulk;         /* holds one of ADMIN_BULKS */
	struct gbuf extra; /* further header lines of the answer */
	struct gbuf in;
	struct h1_scan scan;
	struct h1_chunk chunk;
	struct ws ws;
	struct head head;
	struct gbuf body;
	struct gbuf out;
	size_t out_at;
	bool keepalive;
};

/* Called with a whole request; answers with session_answer, or leaves the session SESSION_WAITING.
 */
typedef void server_request_f(struct session *s);

typedef void server_accept_f(struct session *s, int fd); /* fills peer and role */
/* The head is read: may its body be larger than ADMIN_BODY_MAX? */
typedef bool server_bulk_f(struct session *s);

enum server_which { SERVER_UNIX, SERVER_METRICS };
struct server_listener {
	struct watch watch;
	struct server *server;
};

struct server {
	struct loop *loop;
	struct list sessions;
	unsigned n_sessions, n_others, n_bulk;
	uint32_t next_id;
	uint64_t requests, refused;
	server_request_f *on_request;
	server_accept_f *on_accept;
	server_bulk_f *is_bulk;
	struct server_listener listeners[2];
};

void server_init(struct server *v, struct loop *loop, server_request_f *on_request,
    server_accept_f *on_accept, server_bulk_f *is_bulk);
/* Takes a bound, listening, non-blocking socket. Past ADMIN_SESSIONS a connection is closed and
 * counted. */
int server_listen(struct server *v, enum server_which which, int fd) NODISCARD;

/* A header line of the answer to come: "ETag: ...", without its end. */
void session_header(struct session *s, const char *fmt, ...) PRINTF(2, 3);
/* Content type and body are copied. status 204 and 304 have no body. */
void session_answer(struct session *s, unsigned status, const char *content_type, struct str body);
/* RFC 9457 problem; the words may come from printf arguments. */
void session_problem(struct session *s, unsigned status, const char *fmt, ...) PRINTF(3, 4);
/* The same with "errors": takes the array of {"where", "message"}. */
void session_problem_errors(struct session *s, unsigned status, json_t *errors, const char *detail);
/* Marks it waiting and gives it an id; the answer arrives by session_find. Takes `pending`, which
 * may be NULL. */
uint32_t session_wait(struct session *s, void *pending, void (*pending_free)(void *pending));
/* It waits so much longer at most, and is told these words with 503 then. */
void session_hurry(struct session *s, uint64_t ms, const char *words);
struct session *session_find(struct server *v, uint32_t id); /* NULL when it is gone */
/* Calls fn for each session that waits; fn may answer it. */
void server_each_waiting(struct server *v, void (*fn)(void *arg, struct session *s), void *arg);

#endif
