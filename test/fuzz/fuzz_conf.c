/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as a configuration file: it loads, or every complaint is a line; what loaded, printed,
 * loads again and gives the same objects; and so it does when its lists are cut into runs of one
 * member each.
 */
#include "conf/load.h"
#include "conf/runs.h"
#include "conf/show.h"
#include "shm/base/bug.h"
#include "test/fuzz/policy.h"
#include "test/fuzz/report.h"
#include "test/lib/libconfig_leak.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file without a name in any directory, so that nothing is written to disk and no conf.d is
 * found. */
static int
load(struct str text, size_t aim, struct load_result *r, struct conf_check *c)
{
	int fd = memfd_create("fuzz", 0), rc;
	char path[32];

	BUG_ON(fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	rc = load_files_by(path, false, aim, r, c);
	close(fd);
	return rc;
}

static void
check_same(const struct load_result *r, struct str text, size_t aim)
{
	struct load_result again;
	struct conf_check c;

	check_init(&c);
	BUG_ON(load(text, aim, &again, &c) < 0 || again.n != r->n);
	for (uint32_t i = 0; i < r->n; i++)
		BUG_ON(!digest_eq(&r->v[i].digest, &again.v[i].digest));
	load_free(&again);
	check_free(&c);
}

static void
check_again(const struct load_result *r, struct str text)
{
	struct gbuf shown = {0};

	BUG_ON(show_objects(r->v, r->n, true, &shown) < 0);
	check_same(r, str_n(shown.p, shown.n), RUNS_AIM);
	check_same(r, text, 1);
	gbuf_free(&shown);
}

static void
check_refused(struct str text)
{
	struct load_result r;
	struct conf_check c;

	check_init(&c);
	BUG_ON(load(text, 1, &r, &c) == 1);
	load_free(&r);
	check_free(&c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_n((const char *)data, size);
	struct load_result r;
	struct conf_check c;

	/* What libconfig itself would open is not ours to try. */
	if (memmem(data, size, "@include", 8) != NULL)
		return 0;
	policy_types_set(policies);
	check_init(&c);
	if (load(text, RUNS_AIM, &r, &c) == 1)
		check_again(&r, text);
	else
		check_refused(text);
	report_check(&c);
	load_free(&r);
	check_free(&c);
	return 0;
}
