/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends the process on our own mistakes and on exhausted memory. Writes with one write(2) and no
 * allocation: whatever called may hold anything, or be out of memory.
 */
#include "shm/base/bug.h"

#include <sysexits.h>
#include <unistd.h>

static void
say(const char *line, int n, size_t cap)
{
	if (n > 0 && write(STDERR_FILENO, line, MIN((size_t)n, cap - 1)) < 0)
		return; /* nobody is left to tell */
}

void
bug_fail(const char *file, int line, const char *what)
{
	char text[512];
	int n = snprintf(
	    text, sizeof(text), "BUG %s:%d: %s (pid %d)\n", file, line, what, (int)getpid());

	say(text, n, sizeof(text));
	abort();
}

void
oom_fail(size_t asked)
{
	char text[128];
	int n = snprintf(
	    text, sizeof(text), "out of memory: %zu bytes wanted (pid %d)\n", asked, (int)getpid());

	say(text, n, sizeof(text));
	_exit(EX_SOFTWARE);
}

void *
xmalloc(size_t n)
{
	void *p = malloc(n == 0 ? 1 : n);

	if (unlikely(p == NULL))
		oom_fail(n);
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p = calloc(n == 0 ? 1 : n, size == 0 ? 1 : size);
	size_t total;

	if (unlikely(p == NULL))
		oom_fail(__builtin_mul_overflow(n, size, &total) ? SIZE_MAX : total);
	return p;
}

void *
xrealloc(void *p, size_t n)
{
	p = realloc(p, n == 0 ? 1 : n);
	if (unlikely(p == NULL))
		oom_fail(n);
	return p;
}

char *
xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;

	return memcpy(xmalloc(n), s, n);
}
