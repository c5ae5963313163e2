/* SPDX-License-Identifier: Apache-2.0
 *
 * An arena of one's own in a temporary directory, for tests of what stands on it.
 */
#ifndef GW_TEST_ARENA_KIT_H
#define GW_TEST_ARENA_KIT_H

#include <ftw.h>
#include <sys/stat.h>

#include "shm/arena.h"
#include "test/unit/harness.h"

struct arena_kit {
	char dir[64];
	struct arena *arena;
};

static int
arena_kit_rm(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

UNUSED static void
arena_kit_open(struct arena_kit *k, unsigned endpoints)
{
	const char *error = "";

	snprintf(k->dir, sizeof(k->dir), "/tmp/gw-arena-XXXXXX");
	assert_non_null(mkdtemp(k->dir));
	if (arena_create(k->dir, 4, endpoints, 8, 0600, &error) < 0 ||
	    arena_open(k->dir, &k->arena, &error) < 0)
		fail_msg("%s", error);
}

UNUSED static void
arena_kit_close(struct arena_kit *k)
{
	arena_close(&k->arena);
	nftw(k->dir, arena_kit_rm, 8, FTW_DEPTH | FTW_PHYS);
}

/* A row in use, as keeper makes it. */
UNUSED static void
arena_kit_row(struct arena_kit *k, uint32_t *row_r, uint32_t *incarnation_r)
{
	assert_int_equal(arena_endpoint_alloc(k->arena, 0, row_r, incarnation_r), 1);
}

#endif
