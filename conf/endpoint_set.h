/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a service's endpoints as they lie in the map. Readers use table.h; this is for the
 * keeper, who writes them.
 *
 *	image 'E'  digest (16), u32 service row, u32 service incarnation, u32 n, n entries, text
 *	entry	   u32 row, u32 incarnation, u32 weight, u16 port, u8 family (0 none, 1 Unix, 4, 6),
 *		   u8 flags (1: unresolved, 2: TLS), ip (16), 4 x {u16 offset, u16 length}:
 *		   host, base path, name, error. The path of a Unix socket is its name without
 *"unix:".
 */
#ifndef GW_ENDPOINT_SET_H
#define GW_ENDPOINT_SET_H

#include "conf/image.h"

struct endpoint_bytes {
	struct gbuf entries, text;
	uint32_t n;
};

/* Slices of `e` are copied. */
void endpoint_bytes_add(struct endpoint_bytes *b, const struct endpoint_ref *e);
/* The whole value, digest included, appended to `out`; frees b. -1 when it is over IMAGE_MAX. */
int endpoint_bytes_end(struct endpoint_bytes *b, uint32_t service_row, uint32_t service_incarnation,
    struct gbuf *out) NODISCARD;

/* What an endpoint is called: its address, behind "https://" with TLS; lies in `text`. */
#define ENDPOINT_NAME 160
struct str endpoint_addr_name(bool tls, const struct addr *a, char text[ENDPOINT_NAME]);

/* A value of the endpoint table: 1 or -1. */
int endpoint_set_open(struct str value, struct endpoint_set *s_r) NODISCARD;
/* The same endpoint: (service,) scheme, address, port; where unresolved, its name. */
bool endpoint_ref_same(const struct endpoint_ref *a, const struct endpoint_ref *b);

#endif
