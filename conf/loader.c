/* SPDX-License-Identifier: Apache-2.0
 *
 * The loader process. Whatever becomes of the load, the master hears it in one message: the
 * verdict, the settings it needs itself, the report, the change set for the keeper, and the secrets
 * that settings name. Everything here may block within its deadlines; that is what this process is
 * for.
 */
#include "conf/loader.h"

#include <malloc.h>
#include <unistd.h>

#include "conf/boot.h"
#include "conf/changeset.h"
#include "conf/load.h"
#include "conf/secret.h"
#include "shm/base/bug.h"
#include "shm/base/msg.h"

#define SEND_WAIT_MS 10000
#define HEAP_GROWTH  (16 << 20)
#define HEAP_LARGE   (128 << 10)

/* After a failed load there is still a change set, an empty one: the message has one form. */
static int
changeset_fd(const struct load_result *r, bool ok, const char **error_r)
{
	struct changeset_writer *w = changeset_new(STR("file"), STR("loader"), ok);

	for (uint32_t i = 0; ok && i < r->n; i++)
		changeset_put(w, CHANGE_PUT, &r->v[i]);
	return changeset_seal(&w, error_r);
}

/* Settings travel in the message itself: everything else in it is small. */
#define BOOT_MAX (MSG_MAX - 1024)

static bool
encode_boot(const struct load_result *r, struct gbuf *boot, struct conf_check *check)
{
	boot_encode(r->settings, boot);
	if (boot->n <= BOOT_MAX)
		return true;
	check_error_at(check, &check->at,
	    "the settings take %zu octets; allowed: up to %u, so that lists such as admin.roles "
	    "and trusted_proxies are shorter",
	    boot->n, BOOT_MAX);
	boot->n = 0;
	return false;
}

/* A failed load has a bundle too, an empty one. */
static int
secrets_fd(const struct load_result *r, bool *ok, struct conf_check *check)
{
	struct secrets_writer *w = secrets_new();
	const char *error;
	int fd;

	if (*ok)
		*ok = load_secrets(r->settings, w, check) == 1;
	fd = secrets_seal(&w, &error);
	if (fd >= 0)
		return fd;
	check_error_at(check, &check->at, "the secrets could not be kept: %s", error);
	*ok = false;
	return -1;
}

static void
put_loaded(struct msg *m, bool ok, const struct gbuf *boot, const struct conf_check *check)
{
	msg_begin(m, MSG_LOADED, 0);
	msg_put_u32(m, ok);
	msg_put_u32(m, check->errors);
	msg_put_str(m, str_n(boot->p, boot->n));
}

static int
send_loaded(int chan, const struct load_result *r, bool ok, struct conf_check *check)
{
	struct msg *m = xmalloc(sizeof(*m));
	struct gbuf boot = {0};
	const char *error = NULL;
	int rc, set, report, secrets;

	ok = ok && encode_boot(r, &boot, check);
	secrets = secrets_fd(r, &ok, check);
	set = changeset_fd(r, ok, &error);
	if (set < 0) {
		check_error_at(check, &check->at, "the change set could not be written: %s", error);
		ok = false;
		set = changeset_fd(r, false, &error);
	}
	if (!ok)
		boot.n = 0;
	report = check_fd(check);
	put_loaded(m, ok, &boot, check);
	msg_put_fd(m, report);
	msg_put_fd(m, set);
	msg_put_fd(m, secrets);
	rc = msg_send_wait(chan, m, SEND_WAIT_MS);
	gbuf_free(&boot);
	free(m);
	close(report);
	close(set);
	close(secrets);
	return rc;
}

/* What becomes of a hundred thousand routes is many small pieces, none of which is freed before the
 * end: the heap grows in large steps. What grows beyond HEAP_LARGE by itself is
 * moved by the kernel, not copied. (Large pages were tried: to clear them costs more than the small
 * ones' faults where the host has to find the memory first.) */
static void
heap_prepare(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_LARGE);
	(void)mallopt(M_TOP_PAD, HEAP_GROWTH);
}

/* The result stays: to take it down costs as much as reading it, and this process ends. */
int
loader_main(const struct heritage *h)
{
	static struct load_result result;
	struct conf_check check;
	bool ok;

	load_free(&result); /* of a test's earlier load */
	heap_prepare();
	check_init(&check);
	ok = load_files(h->conf_file, true, &result, &check) == 1;
	if (send_loaded(h->chan, &result, ok, &check) < 0)
		log_error("the master did not take the load's result");
	check_free(&check);
	return 0;
}
