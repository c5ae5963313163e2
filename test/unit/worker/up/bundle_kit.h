/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles as a worker gets them, of octets that a test made.
 */
#ifndef GW_TEST_BUNDLE_KIT_H
#define GW_TEST_BUNDLE_KIT_H

#include "conf/bundle.h"
#include "test/unit/harness.h"

struct kit_blob {
	enum bundle_kind kind;
	const char *ref; /* "file:/ca.pem" */
	struct str octets;
};

UNUSED static struct bundle *
kit_bundle(const struct kit_blob *v, unsigned n)
{
	struct bundle_writer *w = bundle_new();
	const char *error = "";
	struct bundle *b;
	int fd;

	for (unsigned i = 0; i < n; i++)
		bundle_put(w, v[i].kind, str_of(v[i].ref), v[i].octets);
	fd = bundle_seal(&w, &error);
	if (fd < 0)
		fail_msg("%s", error);
	b = bundle_open(fd, &error);
	if (!b)
		fail_msg("%s", error);
	close(fd);
	return b;
}

#endif
