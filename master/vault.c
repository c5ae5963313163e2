/* SPDX-License-Identifier: Apache-2.0
 *
 * See vault.h.
 */
#include "master/vault.h"

#include <unistd.h>

#include "conf/changeset.h"
#include "conf/sealed.h"
#include "master/child.h"
#include "master/verdict.h"

#define DEATHS_MAX 1 /* over one question; the next one is its failure */

static void
hold(int *held, int fd)
{
	if (*held >= 0)
		(void)close(*held);
	*held = fd;
}

static void
set_drop(struct vault_set *s)
{
	hold(&s->objects, -1);
	hold(&s->bundle, -1);
	hold(&s->facts, -1);
	s->txn = 0;
}

void
vault_init(struct vault *v)
{
	*v = (struct vault){.now = {0, -1, -1, -1}, .next = {0, -1, -1, -1}};
}

void
vault_close(struct vault *v)
{
	set_drop(&v->now);
	set_drop(&v->next);
}

static struct child *
secrets_of(struct master *m)
{
	return child_of(m, PROC_SECRETS);
}

/* Up or on its way: what it is sent now it reads when it is up. */
static bool
listens(const struct child *c)
{
	return c->state == CHILD_UP || c->state == CHILD_STARTING;
}

/* --- what is sent ----------------------------------------------------------------------------- */

static bool
send_seal(struct child *secrets, uint32_t txn, int objects)
{
	child_begin(secrets, MSG_SEAL, txn);
	msg_put_fd(&secrets->master->out, objects);
	return child_send(secrets);
}

static void
send_question(struct master *m)
{
	struct vault *v = &m->vault;
	struct child *c = secrets_of(m);

	if (v->asking && !v->sent && c->state == CHILD_UP)
		v->sent = send_seal(c, v->next.txn, v->next.objects);
}

static bool
send_bundle(struct child *worker, uint32_t txn, int bundle)
{
	child_begin(worker, MSG_BUNDLE, txn);
	msg_put_fd(&worker->master->out, bundle);
	return child_send(worker);
}

static void
tell_workers(struct master *m)
{
	for (unsigned i = 0; i < m->slots; i++)
		if (listens(child_worker(m, i)))
			(void)send_bundle(child_worker(m, i), 0, m->vault.now.bundle);
}

static void
tell_admin(struct master *m)
{
	struct child *admin = child_of(m, PROC_ADMIN);

	if (!listens(admin) || m->vault.now.facts < 0)
		return;
	child_begin(admin, MSG_FACTS, 0);
	msg_put_fd(&m->out, m->vault.now.facts);
	(void)child_send(admin);
}

/* To whoever sealed it. A successor knows nothing of the transaction. */
static void
tell_end(struct master *m, bool ok)
{
	struct vault *v = &m->vault;
	struct child *c = secrets_of(m);

	if (c->state != CHILD_UP)
		return;
	if (v->sent) {
		child_begin(c, MSG_SEAL_END, v->next.txn);
		msg_put_u32(&m->out, ok);
		(void)child_send(c);
	} else if (ok) {
		(void)send_seal(c, 0, v->next.objects);
	}
}

/* --- a reload --------------------------------------------------------------------------------- */

/* Nobody needs the process any more. */
static void
let_go(struct master *m)
{
	struct child *c = secrets_of(m);

	if (c->wanted && m->vault.now.objects < 0 && m->vault.next.objects < 0)
		child_renew(c, false);
}

void
vault_ask(struct master *m, uint32_t txn, int objects)
{
	struct vault *v = &m->vault;

	vault_retract(m);
	vault_forget(m);
	v->next.txn = txn;
	v->next.objects = objects;
	v->asking = true;
	v->deaths = 0;
	child_want(secrets_of(m), true);
	send_question(m);
}

unsigned
vault_offer(struct child *worker, uint32_t txn)
{
	struct vault *v = &worker->master->vault;

	if (v->next.bundle < 0 || v->next.txn != txn)
		return 0;
	v->offered = true;
	return send_bundle(worker, txn, v->next.bundle);
}

static void
next_over(struct vault *v)
{
	v->asking = v->sent = v->offered = false;
	set_drop(&v->next);
}

/* The last object has gone. */
static bool
is_empty(int objects)
{
	struct changeset set;
	const char *error;
	bool empty;

	if (changeset_open(objects, &set, &error) < 0)
		return false;
	empty = set.n == 0;
	changeset_close(&set);
	return empty;
}

static void
take(int *to, int *from)
{
	hold(to, *from);
	*from = -1;
}

static void
adopt_next(struct master *m, uint32_t changed)
{
	struct vault *v = &m->vault;
	bool other = v->next.bundle >= 0;

	if (v->next.objects < 0)
		return;
	tell_end(m, true);
	if (is_empty(v->next.objects))
		hold(&v->next.objects, -1);
	take(&v->now.objects, &v->next.objects);
	if (other) {
		take(&v->now.bundle, &v->next.bundle);
		take(&v->now.facts, &v->next.facts);
		tell_admin(m);
	}
	next_over(v);
	if (other && changed == 0)
		tell_workers(m);
	let_go(m);
}

/* "No certificates", for people. -1: no memory for it. */
static int
facts_none(void)
{
	int fd = sealed_new("gateway-facts");

	if (fd < 0 || (sealed_put(fd, STR("[]")) == 1 && sealed_finish(fd) == 1))
		return fd;
	(void)close(fd);
	return -1;
}

static void
adopt_none(struct master *m)
{
	struct vault *v = &m->vault;

	vault_retract(m);
	vault_forget(m);
	hold(&v->now.objects, -1);
	hold(&v->now.bundle, -1);
	if (v->now.facts >= 0) {
		hold(&v->now.facts, facts_none());
		tell_admin(m);
		hold(&v->now.facts, -1);
	}
	let_go(m);
}

void
vault_adopt(struct master *m, enum reload_seal what, uint32_t changed)
{
	if (what == RELOAD_SEAL_NEXT)
		adopt_next(m, changed);
	else if (what == RELOAD_SEAL_NONE)
		adopt_none(m);
}

void
vault_retract(struct master *m)
{
	struct vault *v = &m->vault;

	for (unsigned i = 0; v->offered && i < m->slots; i++) {
		struct child *c = child_worker(m, i);

		if (!listens(c))
			continue;
		child_begin(c, MSG_BUNDLE_DROP, v->next.txn);
		(void)child_send(c);
	}
	v->offered = false;
}

void
vault_forget(struct master *m)
{
	if (m->vault.next.objects < 0)
		return;
	tell_end(m, false);
	next_over(&m->vault);
	let_go(m);
}

/* --- the secrets process ---------------------------------------------------------------------- */

void
vault_up(struct child *secrets)
{
	struct vault *v = &secrets->master->vault;

	if (v->now.objects >= 0)
		(void)send_seal(secrets, 0, v->now.objects);
	send_question(secrets->master);
}

void
vault_gone(struct child *secrets, bool told)
{
	struct vault *v = &secrets->master->vault;

	v->sent = false;
	if (!v->asking || told || ++v->deaths <= DEATHS_MAX)
		return;
	v->asking = false;
	reload_seal_failed(secrets->master->reload,
	    "the secrets process died twice over these certificates and keys");
}

/* Files changed by themselves, or a successor has looked at them. */
static void
by_itself(struct master *m, bool ok, int report, bool other)
{
	verdict_note(ok ? LOG_WARN_L : LOG_ERROR_L, "certificates", report);
	if (!other)
		return;
	log_info("certificates: other files are in force");
	tell_workers(m);
	tell_admin(m);
}

/* An answer to nobody's question any more. */
static bool
is_late(const struct child *secrets, uint32_t txn)
{
	const struct vault *v = &secrets->master->vault;

	if (secrets->state != CHILD_UP)
		return true;
	return txn == 0 ? v->now.objects < 0 : !v->asking || txn != v->next.txn;
}

void
vault_sealed(struct child *secrets, uint32_t txn, bool ok, int report, int bundle, int facts)
{
	struct master *m = secrets->master;
	struct vault_set *to = txn == 0 ? &m->vault.now : &m->vault.next;
	bool other = bundle >= 0;

	if (is_late(secrets, txn)) {
		hold(&report, -1);
		hold(&bundle, -1);
		hold(&facts, -1);
		return;
	}
	if (other) {
		hold(&to->bundle, bundle);
		hold(&to->facts, facts);
	}
	if (txn == 0) {
		by_itself(m, ok, report, other);
		return;
	}
	m->vault.asking = false;
	reload_sealed(m->reload, txn, ok, report);
}
