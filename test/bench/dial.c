/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens connections to a server, plain or TLS 1.3: as many handshakes as asked for, one after the
 * other in each thread, or as many connections that are left open and silent after one request
 * each. What they cost the server is for whoever starts this to measure.
 *
 * usage: dial [-t] [-r] [-k] [-2] [-n CONNECTIONS] [-j THREADS] PORT      on 127.0.0.1
 *	-t  TLS 1.3, AES-128-GCM, X25519. No certificate is verified.
 *	-r  resumes with the newest ticket; each thread's first handshake is a full one, not counted
 *	-k  one request on each, then all stay open until standard input ends. Their TLS state is
 *	    dropped here, so that ten thousand fit.
 *	-2  that request is one of HTTP/2, with prior knowledge
 * Without -k a connection is closed by both sides before the next, and nothing is asked.
 *
 * Prints one line: what was opened and resumed, and how many seconds it took.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOURCES 64 /* addresses to connect from: each has its own ports in TIME_WAIT */

static struct {
	bool tls, resume, keep, h2;
	unsigned connections, threads;
	struct sockaddr_in to;
	SSL_CTX *ctx;
	atomic_uint next, resumed;
} dial = {.connections = 1000, .threads = 16};

struct thread {
	pthread_t id;
	SSL_SESSION *ticket;
};

static const char request[] = "GET /1024 HTTP/1.1\r\nHost: bench\r\nUser-Agent: dial\r\n\r\n";
/* The preface, SETTINGS, and stream 1's head: GET, http, :path and :authority as literals that no
 * table takes. RFC 9113 3.4, RFC 7541 6.2.2. */
static const char request_h2[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
				 "\0\0\0\4\0\0\0\0\0"
				 "\0\0\20\1\5\0\0\0\1\202\206\4\5/1024\1\5bench";
static const char settings_ack[] = "\0\0\0\4\1\0\0\0\0";

static int
tcp_open(unsigned n)
{
	struct sockaddr_in from = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + n % SOURCES)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		err(1, "socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		err(1, "bind");
	if (connect(fd, (struct sockaddr *)&dial.to, sizeof(dial.to)) < 0)
		err(1, "connect");
	return fd;
}

/* Tickets come after the handshake, while something is read. */
static int
ticket_keep(SSL *ssl, SSL_SESSION *session)
{
	struct thread *t = SSL_get_app_data(ssl);

	SSL_SESSION_free(t->ticket);
	t->ticket = session;
	return 1;
}

static SSL *
tls_open(struct thread *t, int fd, bool count)
{
	SSL *ssl = SSL_new(dial.ctx);

	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1)
		errx(1, "SSL_new");
	SSL_set_app_data(ssl, t);
	if (dial.resume && t->ticket != NULL)
		SSL_set_session(ssl, t->ticket);
	if (SSL_connect(ssl) != 1)
		errx(1, "the handshake failed: %d", SSL_get_error(ssl, -1));
	if (count && SSL_session_reused(ssl))
		atomic_fetch_add(&dial.resumed, 1);
	return ssl;
}

static ssize_t
take(SSL *ssl, int fd, char *buf, size_t n)
{
	return ssl != NULL ? SSL_read(ssl, buf, (int)n) : recv(fd, buf, n, 0);
}

static void
put(SSL *ssl, int fd, const char *p, size_t n)
{
	ssize_t done = ssl != NULL ? SSL_write(ssl, p, (int)n) : send(fd, p, n, MSG_NOSIGNAL);

	if (done != (ssize_t)n)
		errx(1, "the request was not taken");
}

/* One request; its answer is a head with Content-Length: 1024 and that many octets. */
static void
ask(SSL *ssl, int fd)
{
	char buf[8192];
	size_t n = 0, whole = 0;

	put(ssl, fd, request, sizeof(request) - 1);
	while (whole == 0 || n < whole) {
		ssize_t got = take(ssl, fd, buf + n, sizeof(buf) - n - 1);
		const char *end;

		if (got <= 0)
			errx(1, "the answer was cut short");
		n += (size_t)got;
		buf[n] = '\0';
		end = strstr(buf, "\r\n\r\n");
		if (end != NULL)
			whole = (size_t)(end - buf) + 4 + 1024;
	}
	if (strncmp(buf, "HTTP/1.1 200", 12) != 0)
		errx(1, "the answer was %.12s", buf);
}

static void
take_all(SSL *ssl, int fd, unsigned char *buf, size_t n)
{
	for (size_t off = 0; off < n;) {
		ssize_t got = take(ssl, fd, (char *)buf + off, n - off);

		if (got <= 0)
			errx(1, "the answer was cut short");
		off += (size_t)got;
	}
}

/* The same over HTTP/2: frames are read until one ends stream 1. */
static void
ask_h2(SSL *ssl, int fd)
{
	unsigned char head[9], body[65536];

	put(ssl, fd, request_h2, sizeof(request_h2) - 1);
	for (;;) {
		size_t n;

		take_all(ssl, fd, head, sizeof(head));
		n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
		if (n > sizeof(body))
			errx(1, "a frame of %zu octets", n);
		take_all(ssl, fd, body, n);
		if (head[3] == 4 && (head[4] & 1) == 0) /* SETTINGS */
			put(ssl, fd, settings_ack, sizeof(settings_ack) - 1);
		if (head[3] == 3 || head[3] == 7) /* RST_STREAM, GOAWAY */
			errx(1, "the stream was refused");
		if (head[3] == 1 && (n == 0 || body[0] != 0x88)) /* HEADERS: ":status 200" first */
			errx(1, "the answer was not 200");
		if (head[3] == 0 && (head[4] & 1) != 0) /* DATA, END_STREAM */
			return;
	}
}

/* Both sides say that they are through: the server has seen all of the handshake then. */
static void
part(SSL *ssl, int fd)
{
	char buf[4096];

	if (ssl != NULL)
		SSL_shutdown(ssl);
	shutdown(fd, SHUT_WR);
	while (take(ssl, fd, buf, sizeof(buf)) > 0)
		continue;
	close(fd);
}

static void
connection(struct thread *t, unsigned n, bool count)
{
	int fd = tcp_open(n);
	SSL *ssl = dial.tls ? tls_open(t, fd, count) : NULL;

	if (dial.keep && dial.h2)
		ask_h2(ssl, fd);
	else if (dial.keep)
		ask(ssl, fd);
	else
		part(ssl, fd);
	SSL_free(ssl); /* leaves the descriptor alone */
}

static void *
thread_main(void *arg)
{
	struct thread *t = arg;
	unsigned n;

	if (dial.resume)
		connection(t, 0, false);
	while ((n = atomic_fetch_add(&dial.next, 1)) < dial.connections)
		connection(t, n, true);
	return NULL;
}

static void
tls_set_up(void)
{
	dial.ctx = SSL_CTX_new(TLS_client_method());
	if (dial.ctx == NULL || SSL_CTX_set_min_proto_version(dial.ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(dial.ctx, "TLS_AES_128_GCM_SHA256") != 1 ||
	    SSL_CTX_set1_groups_list(dial.ctx, "X25519") != 1)
		errx(1, "OpenSSL");
	SSL_CTX_set_session_cache_mode(
	    dial.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(dial.ctx, ticket_keep);
}

static void
arguments(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "trk2n:j:")) != -1) {
		switch (c) {
		case 't':
			dial.tls = true;
			break;
		case 'r':
			dial.resume = dial.tls = true;
			break;
		case 'k':
			dial.keep = true;
			break;
		case '2':
			dial.h2 = true;
			break;
		case 'n':
			dial.connections = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'j':
			dial.threads = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			optind = argc;
		}
	}
	if (optind + 1 != argc || dial.threads == 0)
		errx(64, "usage: dial [-t] [-r] [-k] [-2] [-n CONNECTIONS] [-j THREADS] PORT");
	dial.to = (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)strtoul(argv[optind], NULL, 10)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	struct thread *threads;
	double start;
	char buf[64];

	arguments(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	if (dial.tls)
		tls_set_up();
	threads = calloc(dial.threads, sizeof(*threads));
	if (threads == NULL)
		err(1, "calloc");
	start = now();
	for (unsigned i = 0; i < dial.threads; i++)
		if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]) != 0)
			errx(1, "pthread_create");
	for (unsigned i = 0; i < dial.threads; i++) {
		pthread_join(threads[i].id, NULL);
		SSL_SESSION_free(threads[i].ticket);
	}
	printf("%u opened, %u resumed, %.3f s\n", dial.connections, atomic_load(&dial.resumed),
	    now() - start);
	fflush(stdout);
	while (dial.keep && read(STDIN_FILENO, buf, sizeof(buf)) > 0)
		continue;
	free(threads);
	SSL_CTX_free(dial.ctx);
	return 0;
}
