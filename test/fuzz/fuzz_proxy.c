/* SPDX-License-Identifier: Apache-2.0
 *
 * PROXY headers: octet 0 says which versions are allowed, the rest is what a peer sends. However
 * few octets have come, there is no other answer than "more" before the last one, and what was read
 * can be written and read again.
 */
#include "shm/base/bug.h"
#include "worker/net/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
again(const struct proxy_header *h, enum proxy_mode version)
{
	char out[PROXY_HEADER_OUT + 1];
	struct proxy_header b;
	const char *error;
	size_t n = proxy_header_format(version, &h->from, &h->to, out);

	BUG_ON(n > PROXY_HEADER_OUT);
	BUG_ON(proxy_header_parse(version, str_n(out, n), &b, &error) != (ssize_t)n || !b.named);
	BUG_ON(!addr_eq(&h->from, &b.from) || !addr_eq(&h->to, &b.to));
}

static void
prefixes(enum proxy_mode mode, struct str in, ssize_t verdict)
{
	struct proxy_header h;
	const char *error = NULL;
	size_t whole = verdict > 0 ? (size_t)verdict : in.n;

	for (size_t n = 0; n<whole; n += whole> 512 ? 97 : 1) {
		ssize_t rc = proxy_header_parse(mode, str_sub(in, 0, n), &h, &error);

		BUG_ON(rc > 0 || (rc < 0 && (verdict >= 0 || !error)));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header h = {.named = false};
	const char *error = NULL;
	enum proxy_mode mode;
	struct str in;
	ssize_t n;

	if (size < 1)
		return 0;
	mode = (enum proxy_mode)(PROXY_V1 + data[0] % 3);
	in = str_n((const char *)data + 1, size - 1);
	n = proxy_header_parse(mode, in, &h, &error);
	BUG_ON(n > (ssize_t)MIN(in.n, PROXY_HEADER_MAX) || (n < 0 && !error));
	BUG_ON(n == 0 && in.n >= PROXY_HEADER_MAX);
	prefixes(mode, in, n);
	if (n > 0 && h.named) {
		again(&h, PROXY_V1);
		again(&h, PROXY_V2);
	}
	return 0;
}
