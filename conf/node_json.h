/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON values as neutral trees, so that what comes over a socket is read by the same field tables
 * as files are.
 */
#ifndef GW_NODE_JSON_H
#define GW_NODE_JSON_H

#include <jansson.h>

#include "conf/node.h"

#define NODE_JSON_DEPTH 32     /* as files have it */
#define NODE_JSON_MAX   200000 /* values of one tree */

/* The tree of `value` (an object), its strings borrowed from it; nodes lie in c->ws and are of no
 * file. A member "_meta" is passed over at the top: it is for people and
 * tools. NULL after errors, each at its path below c->at. */
struct node *node_json(const json_t *value, struct conf_check *c);

#endif
