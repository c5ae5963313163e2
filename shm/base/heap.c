/* SPDX-License-Identifier: Apache-2.0
 *
 * See heap.h. The thread touches nothing of ours: it asks the kernel for pages of the heap's unused
 * end, whose content stays as it is. A heap that shrinks meanwhile ends it.
 */
#include "shm/base/heap.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "shm/base/asan.h"

#define HEAP_LEAST (8u << 20)
#define HEAP_MOST  (512u << 20)
#define HEAP_STEP  (1ul << 20)  /* pages made ready by one call */
#define HEAP_TRIM  (128u << 10) /* malloc's own: unused at its end and given back */
#define HEAP_STACK (64u << 10)
#define HEAP_LARGE (512u << 10)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

static struct heap_state {
	pthread_t thread;
	bool running;
	atomic_bool stop;
	char *p; /* page-aligned */
	size_t n;
} state;

void
heap_large_apart(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_LARGE);
}

/* Room at the heap's end that stays there. NULL: none was to be had. */
static char *
grow(size_t n)
{
	char *p;

	(void)mallopt(M_TRIM_THRESHOLD, INT32_MAX);
	(void)mallopt(M_MMAP_MAX, 0);
	p = malloc(n);
	(void)mallopt(M_MMAP_MAX, 65536);
	return p;
}

static void *
populate(void *arg)
{
	for (size_t at = 0; at < state.n; at += HEAP_STEP)
		if (atomic_load_explicit(&state.stop, memory_order_relaxed) ||
		    madvise(state.p + at, HEAP_STEP, MADV_POPULATE_WRITE) < 0)
			break;
	return arg;
}

static bool
thread_start(void)
{
	pthread_attr_t attr;
	bool ok;

	if (pthread_attr_init(&attr) != 0)
		return false;
	ok = pthread_attr_setstacksize(&attr, HEAP_STACK) == 0 &&
	     pthread_create(&state.thread, &attr, populate, NULL) == 0;
	(void)pthread_attr_destroy(&attr);
	return ok;
}

void
heap_ahead(size_t n)
{
	char *p;

#ifdef __SANITIZE_ADDRESS__
	n = 0; /* its heap is another one */
#endif
	if (n < HEAP_LEAST || state.running)
		return;
	n = MIN(n, HEAP_MOST);
	p = grow(n);
	if (p == NULL)
		return;
	state.p = (char *)ALIGN_UP((uintptr_t)p, HEAP_STEP);
	state.n = (n - HEAP_STEP) / HEAP_STEP * HEAP_STEP;
	free(p); /* malloc keeps it, and hands it out from the lower end */
	atomic_store_explicit(&state.stop, false, memory_order_relaxed);
	state.running = thread_start();
}

void
heap_settle(void)
{
	if (state.running) {
		atomic_store_explicit(&state.stop, true, memory_order_relaxed);
		(void)pthread_join(state.thread, NULL);
		state.running = false;
		(void)mallopt(M_TRIM_THRESHOLD, HEAP_TRIM);
	}
	(void)malloc_trim(0);
}
