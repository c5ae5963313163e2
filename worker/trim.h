/* SPDX-License-Identifier: Apache-2.0
 *
 * Gives back what a burst needed and nobody has used since: requests, connections, buffers and
 * workspace blocks are recycled, and of those that lie about every second one is freed every other
 * second, down to what makes no difference.
 */
#ifndef GW_TRIM_H
#define GW_TRIM_H

struct worker;

void trim_start(struct worker *w);
void trim_now(struct worker *w); /* one round */

#endif
