/* SPDX-License-Identifier: Apache-2.0
 *
 * How many processors this process may use: its affinity, and below it the CPU quota of its cgroup.
 */
#ifndef GW_CPUS_H
#define GW_CPUS_H

unsigned cpus_usable(void); /* at least 1 */

#endif
