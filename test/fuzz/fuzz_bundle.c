/* SPDX-License-Identifier: Apache-2.0
 *
 * A bundle of somebody else's: whatever is handed out lies inside, and every look-up ends.
 */
#include "conf/bundle.h"
#include "conf/sealed.h"
#include "shm/base/bug.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads it all, so that a slice that leads out of the mapping is a crash. */
static void
touch(struct str s)
{
	volatile unsigned char sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum = (unsigned char)(sum + (unsigned char)s.p[i]);
}

static void
look_up(const struct bundle *b, struct str name)
{
	struct digest d;
	struct str s;
	uint32_t v[4];

	for (unsigned n = bundle_named(b, name, v, ARRAY_LEN(v)); n > 0; n--)
		BUG_ON(v[n - 1] >= bundle_certs(b));
	BUG_ON(bundle_cert_find(b, name, v) == 1 && v[0] >= bundle_certs(b));
	for (unsigned kind = 0; kind < BUNDLE_KIND_COUNT; kind++)
		if (bundle_get(b, (enum bundle_kind)kind, name, &s, &d) == 1)
			touch(s);
}

static void
walk(const struct bundle *b)
{
	struct bundle_cert c;

	/* Many rows may share their octets: what is read is bounded. */
	for (uint32_t i = 0; i < bundle_certs(b) && i < 64; i++) {
		if (bundle_cert_at(b, i, &c) < 0)
			continue;
		touch(c.id);
		touch(c.chain);
		touch(c.key);
		touch(c.ocsp);
		look_up(b, c.id);
	}
	look_up(b, STR("a.test"));
	look_up(b, STR("*.test"));
	look_up(b, STR("file:/a"));
	look_up(b, STR(""));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = sealed_new("fuzz");
	const char *error = NULL;
	struct bundle *b;

	BUG_ON(fd < 0 || sealed_put(fd, str_n((const char *)data, size)) < 0);
	BUG_ON(sealed_finish(fd) < 0);
	b = bundle_open(fd, &error);
	(void)close(fd);
	BUG_ON(b == NULL && error == NULL);
	if (b == NULL)
		return 0;
	walk(b);
	bundle_unref(&b);
	return 0;
}
