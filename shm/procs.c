/* SPDX-License-Identifier: Apache-2.0
 *
 * Size and layout of the process table; everything else about it is loads and stores at the places
 * of use.
 */
#include "shm/procs.h"

size_t
procs_size(void)
{
	return sizeof(struct procs);
}

uint64_t
procs_layout(void)
{
	const uint64_t numbers[] = {sizeof(struct procs), sizeof(struct proc_row), PROCS_MAX,
	    offsetof(struct procs, row), offsetof(struct procs, last_reload_error),
	    offsetof(struct proc_row, beat_ms), offsetof(struct proc_row, endpoints),
	    PROC_KIND_COUNT};

	return region_hash(ARRAY_LEN(numbers), numbers);
}
