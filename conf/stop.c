/* SPDX-License-Identifier: Apache-2.0
 *
 * See stop.h.
 */
#include "conf/stop.h"

#include <signal.h>

static struct stop_state {
	const char *variable;
	bool armed, late;
} state = {.variable = "GATEWAY_TEST_KEEPER_STOP"};

void
stop_process(const char *variable, bool first)
{
	state.variable = variable;
	state.late = !first;
}

void
stop_arm(bool armed)
{
	state.armed = armed;
}

void
stop_here(const char *step)
{
	const char *where = state.armed ? getenv(state.variable) : NULL;
	size_t n = strlen(step);

	if (where == NULL || strncmp(where, step, n) != 0)
		return;
	if (strcmp(where + n, ":kill") == 0 || (strcmp(where + n, ":once") == 0 && !state.late))
		(void)raise(SIGKILL);
	else if (where[n] == '\0')
		(void)raise(SIGSTOP);
}
