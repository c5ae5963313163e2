/* SPDX-License-Identifier: Apache-2.0
 *
 * What every report of complaints must be, whatever octets it is about: as many lines as were
 * counted, no control characters, UTF-8.
 */
#ifndef GW_FUZZ_REPORT_H
#define GW_FUZZ_REPORT_H

#include "conf/check.h"
#include "shm/base/bug.h"
#include "shm/base/enc.h"

static void
check_utf8(struct str s)
{
	while (s.n > 0) {
		unsigned n = enc_utf8_len(s);

		BUG_ON(n == 0);
		s = str_sub(s, n, s.n);
	}
}

static void
report_check(const struct conf_check *c)
{
	unsigned lines = 0;

	for (size_t i = 0; i < c->text.n; i++) {
		unsigned char octet = (unsigned char)c->text.p[i];

		BUG_ON(octet != '\n' && (octet < 0x20 || octet == 0x7f));
		lines += octet == '\n';
	}
	BUG_ON(lines != MIN(c->errors + c->warnings, CHECK_LINES));
	check_utf8(str_n(c->text.p, c->text.n));
}

#endif
