/* SPDX-License-Identifier: Apache-2.0
 *
 * The small parsers of shm/base over one text: numbers, addresses, blocks, encodings, lists. What
 * is taken is written back and must be taken again as the same.
 */
#include "shm/base/addr.h"
#include "shm/base/bug.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"
#include "shm/base/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *error;

static void
numbers(struct str s)
{
	char text[32];
	uint64_t v, again;
	int64_t i;
	double d;

	if (num_duration(s, &v, &error) == 1)
		BUG_ON(num_duration(str_n(text, num_duration_text(v, text)), &again, &error) != 1 ||
		       again != v);
	if (num_size(s, &v, &error) == 1)
		BUG_ON(num_size(str_n(text, num_size_text(v, text)), &again, &error) != 1 ||
		       again != v);
	if (num_u64(s, UINT64_MAX, &v, &error) == 1)
		BUG_ON(num_u64(str_n(text, num_u64_text(v, text)), v, &again, &error) != 1 ||
		       again != v);
	if (num_percent(s, &d, &error) == 1)
		BUG_ON(d < 0 || d > 100);
	if (num_i64(s, &i, &error) == 1 && num_hex(s, UINT64_MAX, &v) == 1)
		BUG_ON(i < 0);
}

static void
addresses(struct str s)
{
	struct sockaddr_storage ss;
	struct addr a, b;
	struct cidr c;
	char text[128];

	if (addr_parse(s, 80, &a, &error) == 1) {
		BUG_ON(
		    addr_parse(str_n(text, addr_text(&a, text, sizeof(text))), 0, &b, &error) != 1);
		BUG_ON(!addr_eq(&a, &b));
		addr_from_sockaddr((struct sockaddr *)&ss, addr_sockaddr(&a, &ss), &b);
		BUG_ON(!addr_eq(&a, &b));
	}
	if (addr_ip(s, &a) == 1) {
		BUG_ON(
		    cidr_parse(str_n(text, addr_ip_text(&a, text, sizeof(text))), &c, &error) != 1);
		BUG_ON(!cidr_has(&c, &a));
	}
	if (cidr_parse(s, &c, &error) == 1)
		cidr_has(&c, &a);
}

static void
encodings(struct str s, struct ws *ws)
{
	char *out = ws_bytes(ws, s.n * 6 + 8), *back = ws_bytes(ws, s.n + 8);
	struct str got;
	ssize_t n;

	n = enc_unbase64url(s, back, s.n + 8);
	if (n >= 0)
		BUG_ON(!str_eq(str_n(out, enc_base64url(back, (size_t)n, out)), s));
	if (enc_unpercent(s, ws, &got) == 1)
		BUG_ON(got.n > s.n);
	n = enc_json(s, out, s.n * 6);
	BUG_ON(n < 0);
	for (struct str j = str_n(out, (size_t)n); j.n > 0;) {
		unsigned used = enc_utf8_len(j);

		BUG_ON(used == 0 || (unsigned char)j.p[0] < 0x20);
		j = str_sub(j, used, j.n);
	}
	BUG_ON(regex_prefix(s, out, s.n).n > s.n);
}

static void
lists(struct str s)
{
	struct str rest = s, piece;
	size_t total = 0;

	while (str_list_next(&rest, &piece) == 1)
		BUG_ON(piece.n == 0 || piece.p < s.p || piece.p + piece.n > s.p + s.n);
	for (rest = s; str_cut(&rest, ',', &piece) == 1;)
		total += piece.n + 1;
	BUG_ON(s.p != NULL && total != s.n + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Of exactly this size, so that one octet too far is seen. */
	char *copy = xmalloc(size);
	struct str s = str_n(copy, size);
	struct ws ws;

	if (size > 0)
		memcpy(copy, data, size);
	ws_init(&ws, NULL, 0);
	numbers(s);
	addresses(s);
	encodings(s, &ws);
	lists(s);
	ws_free(&ws);
	free(copy);
	return 0;
}
