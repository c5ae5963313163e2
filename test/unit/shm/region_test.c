/* SPDX-License-Identifier: Apache-2.0
 *
 * Regions (C-3): what is made can be attached by another process, and nothing else can.
 */
#include "test/unit/harness.h"

#include <sys/stat.h>

#include "shm/procs.h"
#include "shm/region.h"
#include "test/unit/shm/procs_kit.h"

static int
make(size_t payload, uint64_t layout)
{
	const char *error = NULL;
	int fd = region_create(REGION_METRICS, payload, layout, &error);

	if (fd < 0)
		print_error("%s\n", error);
	assert_true(fd >= 0);
	return fd;
}

static int
write_in_child(void *arg)
{
	struct region r;
	const char *error;

	if (region_attach(*(int *)arg, REGION_METRICS, 7, true, &r, &error) != 1)
		return 1;
	((char *)r.data)[4999] = 'x';
	return 0;
}

static void
two_processes_share_it(void **state)
{
	int fd = make(5000, 7);
	struct region r;
	const char *error;

	(void)state;
	assert_int_equal(region_attach(fd, REGION_METRICS, 7, false, &r, &error), 1);
	assert_true(r.size >= 5000);
	assert_int_equal((uintptr_t)r.data % CACHE_LINE, 0);
	for (size_t i = 0; i < r.size; i++)
		assert_int_equal(((char *)r.data)[i], 0);
	assert_int_equal(kit_wait(kit_start(write_in_child, &fd)), 0);
	assert_int_equal(((char *)r.data)[4999], 'x');
	region_detach(&r);
	assert_null(r.head);
	region_detach(&r);
	close(fd);
}

static size_t
allocated(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (size_t)st.st_blocks * 512;
}

/* Large as a whole, and with memory only for what was asked for. */
static void
a_part_is_allocated_when_it_is_needed(void **state)
{
	const size_t whole = 4u << 20, part = 1u << 20;
	const char *error = "";
	int fd = region_create_part(REGION_METRICS, whole, part, 7, &error);
	struct region r;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(region_attach(fd, REGION_METRICS, 7, true, &r, &error), 1);
	assert_true(r.size >= whole);
	assert_in_range(allocated(fd), part, 2 * part);
	memset(r.data, 'x', part);
	assert_int_equal(region_allocate(fd, REGION_METRICS, part, 3 * part, &error), 1);
	assert_in_range(allocated(fd), 3 * part, whole - 1);
	for (size_t i = part; i < 3 * part; i++)
		assert_int_equal(((char *)r.data)[i], 0);
	/* What was there stays, however often it is asked for. */
	assert_int_equal(region_allocate(fd, REGION_METRICS, 0, whole, &error), 1);
	assert_true(allocated(fd) >= whole);
	assert_int_equal(((char *)r.data)[part - 1], 'x');
	/* Its size is sealed. */
	assert_int_equal(region_allocate(fd, REGION_METRICS, whole, 2 * whole, &error), -1);
	assert_non_null(strstr(error, "cannot allocate 4194304 octets"));
	region_detach(&r);
	close(fd);
}

static void
refused(int fd, enum region_id id, uint64_t layout, const char *words)
{
	struct region r = {0};
	const char *error = "";

	assert_int_equal(region_attach(fd, id, layout, true, &r, &error), -1);
	assert_null(r.head);
	if (strstr(error, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", error, words);
}

/* Writes into the head what another binary might have written. */
static void
patch(int fd, size_t offset, const void *p, size_t n)
{
	assert_int_equal(pwrite(fd, p, n, (off_t)offset), n);
}

static void
foreign_ones_are_refused(void **state)
{
	int fd = make(100, 7);
	uint32_t version = 99, head_size = 1 << 20;
	uint64_t zero = 0;
	struct region r;
	const char *error;

	(void)state;
	refused(fd, REGION_METRICS, 8, "layout");
	refused(fd, REGION_ACCESS, 7, "METRICS");
	assert_int_equal(region_attach(fd, REGION_METRICS, 0, true, &r, &error), 1);
	region_detach(&r);
	patch(fd, offsetof(struct region_head, version), &version, sizeof(version));
	refused(fd, REGION_METRICS, 7, "version 99, this binary knows");
	close(fd);

	fd = make(100, 7);
	patch(fd, offsetof(struct region_head, head_size), &head_size, sizeof(head_size));
	refused(fd, REGION_METRICS, 7, "sizes");
	patch(fd, 0, &zero, sizeof(zero));
	refused(fd, REGION_METRICS, 7, "not a region");
	close(fd);
	refused(fd, REGION_METRICS, 7, "descriptor");
}

static void
its_size_cannot_change(void **state)
{
	int fd = make(100, 7), plain = memfd_create("plain", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 64), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	close(fd);
	/* One whose size could be changed under us is not mapped. */
	assert_true(plain >= 0);
	assert_int_equal(ftruncate(plain, 4096), 0);
	refused(plain, REGION_METRICS, 0, "not a region");
	close(plain);
}

static void
layouts_differ(void **state)
{
	const uint64_t a[] = {1, 2}, b[] = {2, 1}, c[] = {1, 2, 0};

	(void)state;
	assert_int_not_equal(region_hash(2, a), region_hash(2, b));
	assert_int_not_equal(region_hash(2, a), region_hash(3, c));
	assert_int_not_equal(region_hash(0, a), 0);
	assert_int_equal(region_hash(2, a), region_hash(2, a));
}

static void
the_process_table_fits(void **state)
{
	const char *error;
	struct region r;
	int fd = region_create(REGION_PROCS, procs_size(), procs_layout(), &error);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(region_attach(fd, REGION_PROCS, procs_layout(), true, &r, &error), 1);
	assert_true(r.size >= sizeof(struct procs));
	atomic_store(&procs_of(&r)->row[PROCS_MAX - 1].beat_ms, 1);
	region_detach(&r);
	close(fd);
}

static const struct CMUnitTest tests[] = {
    TEST(two_processes_share_it),
    TEST(a_part_is_allocated_when_it_is_needed),
    TEST(foreign_ones_are_refused),
    TEST(its_size_cannot_change),
    TEST(layouts_differ),
    TEST(the_process_table_fits),
};
RUN_TESTS(tests)
