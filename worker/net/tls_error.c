/* SPDX-License-Identifier: Apache-2.0
 *
 * What went wrong: words for people, reasons for counting.
 */
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>

#include "shm/base/bug.h"
#include "worker/net/tls_priv.h"

int
tls_wrong(const char *what, const char *why, const char **error_r)
{
	static char text[512]; /* until the next call: copied or logged at once */

	snprintf(text, sizeof(text), "%s: %s", what, why);
	*error_r = text;
	ERR_clear_error();
	return -1;
}

const char *
tls_reason(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *text = e != 0 ? ERR_reason_error_string(e) : NULL;

	return text ? text : "no reason given";
}

void
tls_fail(struct tls *t, int err, enum tls_failure f, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (t->words != NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	t->failure = (uint8_t)f;
	t->words = xstrdup(text);
	t->s->err = err != 0 ? err : EPROTO;
}

/* OpenSSL's reasons that are not simply bad protocol. */
static const struct tls_reason_kind {
	int reason;
	enum tls_failure failure;
} kinds[] = {
    {SSL_R_UNSUPPORTED_PROTOCOL, TLS_FAIL_VERSION},
    {SSL_R_UNKNOWN_PROTOCOL, TLS_FAIL_VERSION},
    {SSL_R_UNSUPPORTED_SSL_VERSION, TLS_FAIL_VERSION},
    {SSL_R_WRONG_SSL_VERSION, TLS_FAIL_VERSION},
    {SSL_R_VERSION_TOO_HIGH, TLS_FAIL_VERSION},
    {SSL_R_VERSION_TOO_LOW, TLS_FAIL_VERSION},
    {SSL_R_NO_PROTOCOLS_AVAILABLE, TLS_FAIL_VERSION},
    {SSL_R_INAPPROPRIATE_FALLBACK, TLS_FAIL_VERSION},
    {SSL_R_NO_SHARED_CIPHER, TLS_FAIL_VERSION},
    {SSL_R_NO_CIPHERS_SPECIFIED, TLS_FAIL_VERSION},
    {SSL_R_NO_SHARED_GROUPS, TLS_FAIL_VERSION},
    {SSL_R_NO_SUITABLE_KEY_SHARE, TLS_FAIL_VERSION},
    {SSL_R_NO_SUITABLE_GROUPS, TLS_FAIL_VERSION},
    {SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS, TLS_FAIL_VERSION},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, TLS_FAIL_VERSION},
    {SSL_R_DH_KEY_TOO_SMALL, TLS_FAIL_VERSION},
    {SSL_R_NO_APPLICATION_PROTOCOL, TLS_FAIL_ALPN},
    {SSL_R_CERTIFICATE_VERIFY_FAILED, TLS_FAIL_CERTIFICATE},
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, TLS_FAIL_CERTIFICATE},
    {SSL_R_NO_CERTIFICATES_RETURNED, TLS_FAIL_CERTIFICATE},
    {SSL_R_EE_KEY_TOO_SMALL, TLS_FAIL_CERTIFICATE},
    {SSL_R_CA_KEY_TOO_SMALL, TLS_FAIL_CERTIFICATE},
    {SSL_R_CA_MD_TOO_WEAK, TLS_FAIL_CERTIFICATE},
    {SSL_R_UNKNOWN_CERTIFICATE_TYPE, TLS_FAIL_CERTIFICATE},
    {ERR_R_INTERNAL_ERROR, TLS_FAIL_OTHER},
    {ERR_R_MALLOC_FAILURE, TLS_FAIL_OTHER},
    {SSL_R_CERT_CB_ERROR, TLS_FAIL_OTHER},
    {SSL_R_CALLBACK_FAILED, TLS_FAIL_OTHER},
};

static enum tls_failure
failure_of(unsigned long e)
{
	int reason = ERR_GET_REASON(e), lib = ERR_GET_LIB(e);

	if (lib == ERR_LIB_X509 || lib == ERR_LIB_X509V3)
		return TLS_FAIL_CERTIFICATE;
	if (lib != ERR_LIB_SSL)
		return lib == ERR_LIB_ASN1 ? TLS_FAIL_PROTOCOL : TLS_FAIL_OTHER;
	if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + UINT8_MAX)
		return TLS_FAIL_REFUSED;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].reason == reason)
			return kinds[i].failure;
	return TLS_FAIL_PROTOCOL;
}

static const char *
peer(const struct tls *t)
{
	return t->server ? "client" : "server";
}

/* What the newest entry of OpenSSL's queue says. */
static void
fail_reason(struct tls *t)
{
	unsigned long e = ERR_peek_last_error();
	long verdict = t->ctx->verify ? SSL_get_verify_result(t->ssl) : X509_V_OK;

	if (ERR_GET_LIB(e) == ERR_LIB_SSL &&
	    ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		tls_fail(t, ECONNRESET, TLS_FAIL_CLOSED, "the %s closed the connection %s", peer(t),
		    t->s->connecting ? "during the TLS handshake" : "without ending TLS");
	else if (verdict != X509_V_OK)
		tls_fail(t, EPROTO, TLS_FAIL_CERTIFICATE, "the %s's certificate is refused: %s",
		    peer(t), X509_verify_cert_error_string(verdict));
	else
		tls_fail(t, EPROTO, failure_of(e), "TLS: %s", tls_reason());
}

void
tls_fail_ssl(struct tls *t, int why)
{
	if (why == SSL_ERROR_SSL)
		fail_reason(t);
	else if (t->io_err != 0)
		tls_fail(t, t->io_err, TLS_FAIL_CLOSED, "%s", strerror(t->io_err));
	else
		tls_fail(t, ECONNRESET, TLS_FAIL_CLOSED, "the %s closed the connection%s", peer(t),
		    t->s->connecting ? " during the TLS handshake" : "");
	ERR_clear_error();
}

const char *
tls_error(const struct stream *s)
{
	const struct tls *t = s->layer;

	return t != NULL && t->words != NULL ? t->words : "";
}

enum tls_failure
tls_failure(const struct stream *s)
{
	const struct tls *t = s->layer;

	return t != NULL ? (enum tls_failure)t->failure : TLS_FAIL_NONE;
}
