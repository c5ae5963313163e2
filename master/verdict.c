/* SPDX-License-Identifier: Apache-2.0
 *
 * See verdict.h.
 */
#include "master/verdict.h"

#include <sys/mman.h>
#include <unistd.h>

#include "master/child.h"
#include "shm/base/clock.h"

#define LINES_LOGGED 10

#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

/* The first lines of a report, one log line each. */
static void
report_log(enum log_level level, const char *what, struct str report)
{
	struct str line;
	unsigned n = 0;

	while (str_cut(&report, '\n', &line) == 1) {
		if (line.n == 0)
			continue;
		if (n++ == LINES_LOGGED) {
			log_line(level, "... and more: gateway -t shows all of it");
			return;
		}
		log_line(level, "%s: %.*s", what, (int)MIN(line.n, (size_t)1000), line.p);
	}
}

void
verdict_note(enum log_level level, const char *what, int report)
{
	char text[8192];
	ssize_t n = report < 0 ? 0 : pread(report, text, sizeof(text), 0);

	if (n > 0)
		report_log(level, what, str_n(text, (size_t)n));
	if (report >= 0)
		(void)close(report);
}

static const char *
what_of(const struct master *m)
{
	return m->boot_served ? "reload" : "start";
}

static void
answer(struct child *admin, uint32_t id, const struct reload_outcome *o, struct str report)
{
	struct msg *out = &admin->master->out;
	int fd = memfd_create("gateway-report", MFD_CLOEXEC);

	if (fd < 0 || write(fd, report.p, report.n) != (ssize_t)report.n) {
		log_error("no memory for the report of a reload");
		if (fd < 0)
			return;
	}
	child_begin(admin, MSG_VERDICT, id);
	msg_put_u32(out, o->ok);
	msg_put_u64(out, o->generation);
	msg_put_u32(out, o->changed);
	msg_put_fd(out, fd);
	(void)child_send(admin);
	(void)close(fd);
}

/* Those whose run is over. Each gets a report of its own: a shared descriptor would share its
 * position. */
static void
answer_all(struct master *m, const struct reload_outcome *o, struct str report)
{
	unsigned left = 0;

	for (unsigned i = 0; i < m->n_askers; i++) {
		struct asker a = m->asker[i];
		struct child *c = &m->child[a.row];

		if (a.run > o->run)
			m->asker[left++] = a;
		else if (c->pid == a.pid)
			answer(c, a.id, o, report);
	}
	m->n_askers = left;
}

void
verdict_good(struct master *m, const struct reload_outcome *o)
{
	struct gbuf report = {0};
	struct str restart = m->now.restart;

	gbuf_str(&report, o->report);
	if (restart.n > 0)
		gbuf_printf(&report,
		    "warning: changed, but taking effect only at the next start: %.*s\n",
		    STR_ARG(restart));
	report_log(LOG_WARN_L, what_of(m), str_n(report.p, report.n));
	log_info("configuration: generation %llu, %u objects changed, %u listeners",
	    (unsigned long long)o->generation, o->changed, listens_count(m->listens));
	if (m->boot_served)
		atomic_fetch_add_explicit(&m->procs->reloads_ok, 1, memory_order_relaxed);
	m->procs->last_reload_error[0] = '\0';
	STORE(m->procs->last_reload_ok, 1);
	STORE(m->procs->last_reload_us, clock_wall_us());
	answer_all(m, o, str_n(report.p, report.n));
	gbuf_free(&report);
}

static void
failure_store(struct procs *p, struct str report)
{
	struct str first = STR_NONE;

	(void)str_cut(&report, '\n', &first);
	snprintf(p->last_reload_error, sizeof(p->last_reload_error), "%.*s",
	    (int)MIN(first.n, sizeof(p->last_reload_error) - 1), first.p ? first.p : "");
	atomic_fetch_add_explicit(&p->reloads_failed, 1, memory_order_relaxed);
	STORE(p->last_reload_ok, 0);
	STORE(p->last_reload_us, clock_wall_us());
}

void
verdict_bad(struct master *m, const struct reload_outcome *o)
{
	/* A failed start says it on stderr itself. */
	if (m->boot_served || m->log_is_file)
		report_log(LOG_ERROR_L, what_of(m), o->report);
	if (m->boot_served)
		log_error("reload failed: %s",
		    o->in_doubt ? "whether it was committed is not known; reload again"
				: "nothing has changed");
	if (m->procs)
		failure_store(m->procs, o->report);
	answer_all(m, o, o->report);
}

void
verdict_submitted(const struct master *m, const struct reload_outcome *o)
{
	/* A taken port is whoever asked for it's mistake, and they are told. */
	report_log(o->in_doubt ? LOG_ERROR_L : LOG_WARN_L, "change", o->report);
	if (o->in_doubt)
		log_error("a change of listeners: whether it was committed is not known yet");
	else if (!o->ok)
		log_warn("a change of listeners failed: nothing has changed");
	else if (o->generation == 0)
		log_info("the change of listeners was committed before the keeper died");
	else
		log_info("configuration: generation %llu, %u objects changed, %u listeners",
		    (unsigned long long)o->generation, o->changed, listens_count(m->listens));
}

void
verdict_owe(struct master *m, const struct child *admin, uint32_t id, uint64_t run)
{
	if (m->n_askers == ASKERS_MAX) {
		log_warn("too many wait for a reload: this one gets no answer");
		return;
	}
	m->asker[m->n_askers++] =
	    (struct asker){.row = admin->row, .pid = admin->pid, .id = id, .run = run};
}

void
verdict_forget(struct master *m, unsigned row)
{
	unsigned left = 0;

	for (unsigned i = 0; i < m->n_askers; i++)
		if (m->asker[i].row != row)
			m->asker[left++] = m->asker[i];
	m->n_askers = left;
}

void
verdict_refuse(struct child *admin, uint32_t id, const char *why)
{
	struct reload_outcome o = {.ok = false};

	answer(admin, id, &o, str_of(why));
}
