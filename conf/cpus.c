/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting processors. A container with "cpu.max 200000 100000" on a host of 64 gets two workers.
 */
#include "conf/cpus.h"

#include <sched.h>

#include "shm/base/base.h"

static unsigned
affinity(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned)MAX(CPU_COUNT(&set), 1);
}

/* "200000 100000", or the quota alone over the default period; UINT32_MAX without a quota ("max").
 */
static unsigned
quota(const char *file)
{
	long long max = 0, period = 100000;
	FILE *f = fopen(file, "re");
	int n;

	if (f == NULL)
		return UINT32_MAX;
	n = fscanf(f, "%lld %lld", &max, &period);
	fclose(f);
	if (n < 1 || max <= 0 || period <= 0)
		return UINT32_MAX;
	return (unsigned)((max + period - 1) / period);
}

unsigned
cpus_usable(void)
{
	unsigned n = affinity();

	n = MIN(n, quota("/sys/fs/cgroup/cpu.max"));
	return MIN(n, quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
}
