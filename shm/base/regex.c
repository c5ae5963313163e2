/* SPDX-License-Identifier: Apache-2.0
 *
 * PCRE2. One match context, match data and JIT stack per process, made at first use, since a match
 * never outlives the call. Where the platform forbids writable code (JIT compilation fails) the
 * interpreter does the work under the same limits.
 */
#include "shm/base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "shm/base/bug.h"

/* Measured in backtracking steps; a hundred thousand take around a millisecond. */
#define MATCH_LIMIT        100000
#define DEPTH_LIMIT        20000
#define HEAP_LIMIT_KIB     8192
#define JIT_STACK_MIN      (32 * 1024)
#define JIT_STACK_MAX      (512 * 1024)
#define PATTERN_MAX_OCTETS 16384

/* "$" means the end and not "before a last newline"; a pattern cannot switch UTF mode on for
 * itself. */
#define COMPILE_OPTIONS (PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP)

struct regex {
	pcre2_code *code;
};

static struct regex_state {
	pcre2_match_context *context;
	pcre2_match_data *data;
	pcre2_jit_stack *stack;
	char error[320];
} state;

static void
state_init(void)
{
	if (state.context != NULL)
		return;
	state.context = pcre2_match_context_create(NULL);
	state.data = pcre2_match_data_create(REGEX_GROUPS, NULL);
	if (state.context == NULL || state.data == NULL)
		oom_fail(0);
	pcre2_set_match_limit(state.context, MATCH_LIMIT);
	pcre2_set_depth_limit(state.context, DEPTH_LIMIT);
	pcre2_set_heap_limit(state.context, HEAP_LIMIT_KIB);
	/* NULL where there is no JIT, and then nobody asks for it. */
	state.stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, NULL);
	if (state.stack != NULL)
		pcre2_jit_stack_assign(state.context, NULL, state.stack);
}

static pcre2_code *
compile(struct str pattern, const char **error_r)
{
	PCRE2_SIZE at = 0;
	pcre2_code *code;
	char text[256];
	int rc;

	if (pattern.n > PATTERN_MAX_OCTETS) {
		*error_r = "pattern longer than 16384 octets";
		return NULL;
	}
	code = pcre2_compile((PCRE2_SPTR)(pattern.n == 0 ? "" : pattern.p), pattern.n,
	    COMPILE_OPTIONS, &rc, &at, NULL);
	if (code != NULL)
		return code;
	if (pcre2_get_error_message(rc, (PCRE2_UCHAR *)text, sizeof(text)) < 0)
		snprintf(text, sizeof(text), "error %d", rc);
	snprintf(state.error, sizeof(state.error), "at offset %zu: %s", (size_t)at, text);
	*error_r = state.error;
	return NULL;
}

struct regex *
regex_new(struct str pattern, const char **error_r)
{
	pcre2_code *code = compile(pattern, error_r);
	struct regex *r;

	if (code == NULL)
		return NULL;
	pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* failing, leaves it to the interpreter */
	r = xmalloc(sizeof(*r));
	r->code = code;
	return r;
}

void
regex_free(struct regex **r)
{
	if (*r == NULL)
		return;
	pcre2_code_free((*r)->code);
	free(*r);
	*r = NULL;
}

static void
fill_groups(struct str subject, struct str groups[REGEX_GROUPS], unsigned n)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(state.data);

	for (unsigned i = 0; i < REGEX_GROUPS; i++) {
		bool set = i < n && at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1];

		groups[i] = set ? str_sub(subject, at[2 * i], at[2 * i + 1]) : STR_NONE;
	}
}

int
regex_match(const struct regex *r, struct str subject, struct str groups[REGEX_GROUPS])
{
	int rc;

	state_init();
	if (subject.p == NULL)
		subject = STR("");
	rc =
	    pcre2_match(r->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, state.data, state.context);
	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc < 0)
		return -1;
	/* 0: matched with more groups than are kept. */
	if (groups != NULL)
		fill_groups(subject, groups, rc == 0 ? REGEX_GROUPS : (unsigned)rc);
	return 1;
}

void
regex_names(
    const struct regex *r, void (*fn)(void *arg, struct str name, unsigned group), void *arg)
{
	uint32_t n = 0, size = 0;
	PCRE2_SPTR row = NULL;

	pcre2_pattern_info(r->code, PCRE2_INFO_NAMECOUNT, &n);
	pcre2_pattern_info(r->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
	pcre2_pattern_info(r->code, PCRE2_INFO_NAMETABLE, &row);
	/* A row: the number in two octets, high first; the name, terminated. */
	for (uint32_t i = 0; i < n; i++, row += size)
		fn(arg, str_of((const char *)row + 2), (unsigned)(row[0] << 8 | row[1]));
}
