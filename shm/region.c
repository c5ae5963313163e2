/* SPDX-License-Identifier: Apache-2.0
 *
 * Regions by memfd. The size is sealed at creation, so that no holder of the descriptor can cut the
 * memory from under the others; a descriptor without that seal is not mapped.
 */
#include "shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/base/bug.h"

#define REGION_MAGIC UINT64_C(0x4e4f494745525747) /* "GWREGION" in memory */
#define HEAD_SIZE    ALIGN_UP(sizeof(struct region_head), CACHE_LINE)
#define SEALS        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static const struct {
	const char *name;
	uint32_t version;
} region_table[REGION_COUNT] = {
#define REGION(NAME, version, help) {#NAME, version},
#include "shm/region.def"
#undef REGION
};

static struct region_state {
	char error[160];
} state;

#define FAIL(error_r, id, ...) region_fail(error_r, region_table[id].name, __VA_ARGS__)

static int region_fail(const char **error_r, const char *name, const char *fmt, ...) PRINTF(3, 4);
static int
region_fail(const char **error_r, const char *name, const char *fmt, ...)
{
	int n = snprintf(state.error, sizeof(state.error), "region %s: ", name);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(state.error + n, sizeof(state.error) - (size_t)n, fmt, ap);
	va_end(ap);
	*error_r = state.error;
	return -1;
}

uint64_t
region_hash(unsigned n, const uint64_t *numbers)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits */

	for (unsigned i = 0; i < n; i++)
		for (unsigned byte = 0; byte < 8; byte++)
			h = (h ^ (numbers[i] >> (8 * byte) & 0xff)) * UINT64_C(0x100000001b3);
	return h == 0 ? 1 : h;
}

static int
head_write(int fd, enum region_id id, size_t size, uint64_t layout)
{
	struct region_head h = {.magic = REGION_MAGIC,
	    .version = region_table[id].version,
	    .head_size = HEAD_SIZE,
	    .layout = layout,
	    .size = size};

	snprintf(h.name, sizeof(h.name), "%s", region_table[id].name);
	return pwrite(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) ? 1 : -1;
}

int
region_allocate(int fd, enum region_id id, size_t from, size_t to, const char **error_r)
{
	int rc = posix_fallocate(fd, (off_t)(HEAD_SIZE + from), (off_t)(to - from));

	if (rc == 0)
		return 1;
	return FAIL(error_r, id, "cannot allocate %zu octets: %s", to - from, strerror(rc));
}

int
region_create(enum region_id id, size_t payload, uint64_t layout, const char **error_r)
{
	return region_create_part(id, payload, payload, layout, error_r);
}

int
region_create_part(
    enum region_id id, size_t payload, size_t now, uint64_t layout, const char **error_r)
{
	size_t size = HEAD_SIZE + ALIGN_UP(payload, CACHE_LINE);
	int fd = memfd_create(region_table[id].name, MFD_CLOEXEC | MFD_ALLOW_SEALING), rc;

	if (fd < 0)
		return FAIL(error_r, id, "memfd_create: %s", strerror(errno));
	rc = ftruncate(fd, (off_t)size) < 0 ? errno : 0;
	if (rc == 0) /* or SIGBUS for somebody later */
		rc = posix_fallocate(fd, 0, (off_t)(HEAD_SIZE + MIN(now, size - HEAD_SIZE)));
	if (rc == 0 && (head_write(fd, id, size, layout) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0))
		rc = errno;
	if (rc == 0)
		return fd;
	close(fd);
	return FAIL(error_r, id, "cannot allocate %zu octets: %s", size, strerror(rc));
}

static int
head_check(const struct region_head *h, enum region_id id, uint64_t layout, size_t size,
    const char **error_r)
{
	if (h->magic != REGION_MAGIC)
		return FAIL(error_r, id, "not a region");
	if (strncmp(h->name, region_table[id].name, sizeof(h->name)) != 0)
		return FAIL(error_r, id, "this is region %.*s", (int)sizeof(h->name), h->name);
	if (h->version != region_table[id].version)
		return FAIL(error_r, id, "version %u, this binary knows %u", h->version,
		    region_table[id].version);
	if (h->size != size || h->head_size != HEAD_SIZE)
		return FAIL(error_r, id, "sizes %u + %llu do not fit %zu octets", h->head_size,
		    (unsigned long long)h->size, size);
	if (layout != 0 && h->layout != layout)
		return FAIL(error_r, id, "layout %016llx, expected %016llx",
		    (unsigned long long)h->layout, (unsigned long long)layout);
	return 1;
}

int
region_attach(int fd, enum region_id id, uint64_t layout, bool writable, struct region *r_r,
    const char **error_r)
{
	struct region_head copy, *h;
	struct stat st;
	size_t size;
	int seals;

	if (fstat(fd, &st) < 0 || (seals = fcntl(fd, F_GET_SEALS)) < 0)
		return FAIL(error_r, id, "descriptor %d: %s", fd, strerror(errno));
	size = (size_t)st.st_size;
	if ((seals & SEALS) != SEALS || size < HEAD_SIZE)
		return FAIL(
		    error_r, id, "%zu octets, seals %x: not a region", size, (unsigned)seals);
	h = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return FAIL(error_r, id, "mmap: %s", strerror(errno));
	copy = *h;
	if (head_check(&copy, id, layout, size, error_r) < 0) {
		munmap(h, size);
		return -1;
	}
	*r_r = (struct region){.head = h, .data = (char *)h + HEAD_SIZE, .size = size - HEAD_SIZE};
	return 1;
}

void
region_detach(struct region *r)
{
	if (r->head != NULL)
		munmap(r->head, r->size + HEAD_SIZE);
	*r = (struct region){0};
}
