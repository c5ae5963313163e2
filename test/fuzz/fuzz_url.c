/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths and authorities: what is taken is normal, and normal is normal for good. Octet 0: whether
 * slashes are merged.
 */
#include "shm/base/bug.h"
#include "worker/http/octet.h"
#include "worker/http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_path(struct str raw, bool merge, struct ws *ws)
{
	struct str path, twice, rest, segment;

	if (url_path(raw, merge, ws, &path) != 1)
		return;
	BUG_ON(path.n == 0 || path.p[0] != '/' || path.n > raw.n);
	BUG_ON(merge && str_find(path, STR("//")) >= 0);
	for (rest = path; str_cut(&rest, '/', &segment) == 1;)
		BUG_ON(str_eq(segment, STR(".")) || str_eq(segment, STR("..")));
	for (size_t i = 0; i < path.n; i++)
		BUG_ON(!octet_is(path.p[i], OCT_PATH) && path.p[i] != '%');
	BUG_ON(url_path(path, merge, ws, &twice) != 1 || !str_eq(path, twice));
}

static void
check_authority(struct str raw, struct ws *ws)
{
	struct str a, host, a2, host2;
	uint16_t port, port2;

	if (url_authority(raw, ws, &a, &host, &port) != 1)
		return;
	BUG_ON(host.n == 0 || !str_starts(a, host));
	for (size_t i = 0; i < a.n; i++)
		BUG_ON(a.p[i] >= 'A' && a.p[i] <= 'Z');
	BUG_ON(url_authority(a, ws, &a2, &host2, &port2) != 1);
	BUG_ON(!str_eq(a, a2) || !str_eq(host, host2) || port != port2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_n((const char *)data + 1, size - 1);
	struct ws ws;

	if (size < 1)
		return 0;
	ws_init(&ws, NULL, 0);
	check_path(in, (data[0] & 1) != 0, &ws);
	check_authority(in, &ws);
	ws_free(&ws);
	return 0;
}
