/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the HTTP/1.1 codec share: the steps of parsing a head, each on the head as the
 * step before left it. All return 1, or -1 with the reason.
 */
#ifndef GW_H1_PRIV_H
#define GW_H1_PRIV_H

#include "worker/http/h1.h"

/* h1_line.c: the first line, without its CRLF. Sets method, target, path, query, minor; status,
 * reason. */
int h1_request_line(
    struct str line, bool merge_slashes, struct head *h, enum reason *why_r) NODISCARD;
/* Sets path, query and what else h->target says, by h->method. origin: the origin form, whatever
 * the method (RFC 8441). */
int h1_target(struct head *h, bool merge_slashes, bool origin) NODISCARD;
int h1_status_line(struct str line, struct head *h) NODISCARD;
/* One field for one authority: exactly one Host, the absolute form's and Host's the same. After the
 * fields. */
int h1_host(struct head *h, enum reason *why_r) NODISCARD;

/* h1_frame.c: where the message ends and whether the connection goes on; from the fields alone. */
int h1_frame_request(struct head *h, enum reason *why_r) NODISCARD;
int h1_frame_response(struct head *h, bool head_request) NODISCARD;

#endif
