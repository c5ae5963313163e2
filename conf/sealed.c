/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealed memory files.
 */
#include "conf/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int
sealed_new(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int
sealed_put(int fd, struct str octets)
{
	for (size_t at = 0; at < octets.n;) {
		ssize_t n = write(fd, octets.p + at, octets.n - at);

		if (n < 0 && errno != EINTR)
			return -1;
		at += n > 0 ? (size_t)n : 0;
	}
	return 1;
}

int
sealed_finish(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? -1 : 1;
}

int
sealed_map(int fd, size_t max, struct str *octets_r, const char **error_r)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *p;

	if (seals < 0 || (seals & SEALS) != SEALS) {
		*error_r = "not a sealed memory file";
		return -1;
	}
	if (fstat(fd, &st) < 0 || st.st_size <= 0 || (uint64_t)st.st_size > max) {
		*error_r = "its size is out of bounds";
		return -1;
	}
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		*error_r = strerror(errno);
		return -1;
	}
	*octets_r = str_n(p, (size_t)st.st_size);
	return 1;
}

void
sealed_unmap(struct str *octets)
{
	if (octets->p != NULL)
		munmap((void *)(uintptr_t)octets->p, octets->n);
	*octets = STR_NONE;
}
