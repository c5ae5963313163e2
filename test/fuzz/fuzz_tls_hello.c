/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client sends before anybody knows who it is: octets into a listener's TLS, with
 * certificates by name, tickets and a wish for a client's certificate (octet 0 chooses), in pieces
 * of a size of its own (octet 1). However it goes on, it ends with a stream that is open, waits, or
 * was refused for a reason with words; and no name but a clean one is asked for.
 */
#include <ctype.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shm/base/bug.h"
#include "worker/net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuzz {
	struct loop *loop;
	struct tls_cert *cert;
	struct tls_tickets *tickets;
	struct tls_ctx *ctx[8];
	struct str ca;
	char der[2][4096];
} fuzz;

static unsigned
pick(void *arg UNUSED, struct str sni, struct tls_cert *v_r[TLS_PICK_MAX])
{
	BUG_ON(sni.n > 253);
	for (size_t i = 0; i < sni.n; i++)
		BUG_ON(isupper((unsigned char)sni.p[i]) ||
		       (!isalnum((unsigned char)sni.p[i]) && !strchr("-_.", sni.p[i])));
	if (str_starts(sni, STR("no.")))
		return 0;
	v_r[0] = tls_cert_ref(fuzz.cert);
	return 1;
}

static void
nothing(struct stream *s UNUSED)
{
}

static void
cert_make(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	unsigned char *p = (unsigned char *)fuzz.der[0], *q = (unsigned char *)fuzz.der[1];
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	struct bundle_cert b = {.id = STR("a")};
	const char *error = "";

	X509_gmtime_adj(X509_getm_notBefore(x), -86400);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	BUG_ON(X509_sign(x, key, EVP_sha256()) <= 0);
	b.chain = str_n(fuzz.der[0], (size_t)i2d_X509(x, &p));
	b.key = str_n(fuzz.der[1], (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &q));
	fuzz.cert = tls_cert_new(&b, &error);
	fuzz.ca = b.chain;
	PKCS8_PRIV_KEY_INFO_free(info);
	X509_free(x);
	EVP_PKEY_free(key);
	BUG_ON(!fuzz.cert);
}

static struct tls_ctx *
profile_new(unsigned choice)
{
	struct conf_listener_tls conf = {.tickets = choice & 1, .max_version = TLS_1_3};
	struct tls_server_opts o = {
	    .conf = &conf, .ca = fuzz.ca, .tickets = fuzz.tickets, .pick = pick};
	const char *error = "";
	struct tls_ctx *c;

	conf.client.mode = choice & 2 ? TLS_CLIENT_OPTIONAL : TLS_CLIENT_NONE;
	conf.max_version = choice & 4 ? TLS_1_2 : TLS_1_3;
	c = tls_server_new(&o, &error);
	BUG_ON(!c);
	return c;
}

static struct tls_ctx *
profile(unsigned choice)
{
	struct tls_ctx **c = &fuzz.ctx[choice % ARRAY_LEN(fuzz.ctx)];

	if (!*c)
		*c = profile_new(choice);
	return *c;
}

static void
judge(struct stream *s)
{
	char buf[256];
	ssize_t n = stream_read(s, buf, sizeof(buf));

	BUG_ON(s->connecting && n != STREAM_AGAIN);
	BUG_ON(s->refused && (n != STREAM_ERROR || s->err == 0 || tls_error(s)[0] == '\0' ||
				 tls_failure(s) == TLS_FAIL_NONE));
	BUG_ON((tls_facts(s) == NULL) != (s->connecting || s->refused));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *error = "";
	struct stream s;
	size_t step;
	int fd[2];

	if (size < 2 || size > 32768)
		return 0;
	if (!fuzz.loop) {
		fuzz.loop = loop_new();
		fuzz.tickets = tls_tickets_new(STR("0123456789abcdef"), 3600);
		cert_make();
	}
	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0);
	BUG_ON(stream_tcp_accept(&s, fuzz.loop, fd[0], false, nothing) != 1);
	BUG_ON(tls_accept(&s, profile(data[0]), NULL, nothing, &error) != 1);
	step = data[1] == 0 ? size : MAX((size_t)data[1], size / 64);
	for (size_t at = 2; at < size; at += step) {
		(void)!send(fd[1], data + at, MIN(step, size - at), MSG_NOSIGNAL);
		loop_turn(fuzz.loop, 0);
		judge(&s);
	}
	shutdown(fd[1], SHUT_WR);
	loop_turn(fuzz.loop, 0);
	judge(&s);
	BUG_ON(s.connecting);
	stream_close(&s);
	close(fd[1]);
	return 0;
}
