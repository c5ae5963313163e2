/* SPDX-License-Identifier: Apache-2.0
 *
 * Policy `fault`: delays or aborts a share of the requests, to see how clients bear it. Its delay
 * is the plainest use of WAIT: the timer is the one waker, and the answer is asked for again.
 */
#include "conf/check.h"
#include "shm/base/rnd.h"
#include "worker/policy/policy.h"

struct fault_conf {
	struct {
		double percent;
		uint64_t duration;
	} delay;
	struct {
		double percent;
		int64_t status;
	} abort;
};

static const struct field delay_rows[] = {
    {.name = "percent",
	.type = F_FLOAT,
	.offset = FIELD_IN(struct fault_conf, delay, percent),
	.def = "100",
	.max = 100,
	.unit = "percent",
	.help = "Share of the requests that are delayed."},
    {.name = "duration",
	.type = F_DURATION,
	.offset = FIELD_IN(struct fault_conf, delay, duration),
	.max = FIELD_HOUR,
	.help = "How long; 0 for no delay.",
	.example = "delay = { percent = 10; duration = \"2s\"; };"},
};
static const struct fields delay_fields = {
    .name = "delay",
    .help = "Requests that wait first.",
    .size = FIELD_SIZE(struct fault_conf, delay),
    .v = delay_rows,
    .n = ARRAY_LEN(delay_rows),
};

static const struct field abort_rows[] = {
    {.name = "percent",
	.type = F_FLOAT,
	.offset = FIELD_IN(struct fault_conf, abort, percent),
	.def = "100",
	.max = 100,
	.unit = "percent",
	.help = "Share of the requests that are answered with `status`."},
    {.name = "status",
	.type = F_INT,
	.offset = FIELD_IN(struct fault_conf, abort, status),
	.def = "0",
	.max = 599,
	.help = "Status of the answer, 200 to 599; 0 for no abort.",
	.example = "abort = { percent = 1.5; status = 503; };"},
};
static const struct fields abort_fields = {
    .name = "abort",
    .help = "Requests that get an error and go nowhere.",
    .size = FIELD_SIZE(struct fault_conf, abort),
    .v = abort_rows,
    .n = ARRAY_LEN(abort_rows),
};

static const struct field rows[] = {
    {.name = "delay",
	.type = F_GROUP,
	.offset = FIELD_AT(struct fault_conf, delay),
	.sub = &delay_fields,
	.help = "A share of the requests waits before it goes on."},
    {.name = "abort",
	.type = F_GROUP,
	.offset = FIELD_AT(struct fault_conf, abort),
	.sub = &abort_fields,
	.help = "A share of the requests, after any delay, is answered with an error."},
};

static void
fault_check(void *self, struct conf_check *c)
{
	const struct fault_conf *conf = self;

	if (conf->delay.duration == 0 && conf->abort.status == 0)
		check_error(
		    c, NULL, "no fault at all; allowed: delay.duration, abort.status, or both");
	if (conf->abort.status > 0 && conf->abort.status < 200)
		check_error(c, "abort.status", "%d is not a final status; allowed: 200 to 599",
		    (int)conf->abort.status);
}

static const struct fields fields = {
    .name = "fault",
    .help = "Injects delays and errors.",
    .size = sizeof(struct fault_conf),
    .v = rows,
    .n = ARRAY_LEN(rows),
    .check = fault_check,
};

static bool
hit(double percent)
{
	return percent >= 100 || rnd_unit() * 100 < percent;
}

struct fault_state {
	bool delayed;
};

static enum verdict
fault_answer(struct req *r, const struct policy_use *u)
{
	const struct fault_conf *conf = u->conf;
	struct fault_state *state = req_policy_state(r, u->index, sizeof(*state));

	if (state == NULL) {
		req_reply_reason(r, REASON_INTERNAL);
		return VERDICT_REPLY;
	}
	if (!state->delayed && conf->delay.duration > 0 && hit(conf->delay.percent)) {
		state->delayed = true;
		req_wait_ms(r, conf->delay.duration);
		return VERDICT_WAIT;
	}
	if (conf->abort.status == 0 || !hit(conf->abort.percent))
		return VERDICT_PASS;
	req_reply(r, (uint16_t)conf->abort.status, REASON_FAULT, STR(""), STR(""));
	return VERDICT_REPLY;
}

static const struct policy_hooks hooks = {.answer = fault_answer};

const struct policy_type policy_fault = {
    .name = "fault",
    .help = "Delays or aborts a share of the requests.",
    .fields = &fields,
    .hooks = &hooks,
};
