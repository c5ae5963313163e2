/* SPDX-License-Identifier: Apache-2.0
 *
 * See remember.h.
 */
#include "conf/remember.h"

#include "shm/base/bug.h"
#include "shm/base/buf.h"
#include "shm/base/clock.h"
#include "shm/base/log.h"
#include "shm/base/num.h"

/* --- notes ----------------------------------------------------------------------------------- */

/* The text is taken over. */
static void
note_add(struct remember *r, enum state_table tab, struct str key, char *text)
{
	struct remember_note *n;

	if (r->n == r->cap) {
		r->cap = r->cap == 0 ? 64 : r->cap * 2;
		r->v = xrealloc(r->v, r->cap * sizeof(*r->v));
	}
	n = &r->v[r->n++];
	*n = (struct remember_note){.tab = tab, .key = str_n(NULL, key.n), .text = text};
	n->key.p = memcpy(xmalloc(key.n + 1), key.p, key.n);
	r->octets += key.n + (text != NULL ? strlen(text) : 0);
}

void
remember_put(struct remember *r, enum state_table tab, struct str key, struct str text)
{
	note_add(r, tab, key, str_z(text));
}

void
remember_json(struct remember *r, enum state_table tab, struct str key, const json_t *j)
{
	char *text = document_text(j);

	BUG_ON(text == NULL);
	note_add(r, tab, key, text);
}

void
remember_del(struct remember *r, enum state_table tab, struct str key)
{
	note_add(r, tab, key, NULL);
}

static int
note_write(const struct remember_note *n, struct state_txn *t, const char **error_r)
{
	if (n->text == NULL)
		return state_del(t, n->tab, n->key, error_r);
	return state_put(t, n->tab, n->key, str_of(n->text), error_r);
}

int
remember_commit(struct remember *r, struct state *s, const char **error_r)
{
	struct state_txn *t;

	if (r->n == 0)
		return 1;
	if (state_begin(s, &t, error_r) < 0)
		return -1;
	for (uint32_t i = 0; i < r->n; i++)
		if (note_write(&r->v[i], t, error_r) < 0) {
			state_abort(&t);
			return -1;
		}
	if (state_commit(&t, error_r) < 0)
		return -1;
	remember_drop(r);
	return 1;
}

void
remember_drop(struct remember *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		free((char *)r->v[i].key.p);
		free(r->v[i].text);
	}
	free(r->v);
	*r = (struct remember){.n = 0};
}

void
remember_cat(struct remember *r, struct remember *more)
{
	if (r->n + more->n > r->cap) {
		r->cap = r->n + more->n + 64;
		r->v = xrealloc(r->v, r->cap * sizeof(*r->v));
	}
	if (more->n > 0)
		memcpy(r->v + r->n, more->v, more->n * sizeof(*more->v));
	r->n += more->n;
	r->octets += more->octets;
	free(more->v);
	*more = (struct remember){.n = 0};
}

/* --- keys ------------------------------------------------------------------------------------ */

struct str
remember_key_object(char out[REMEMBER_KEY], int kind, struct str id)
{
	const char *word = document_kind_word(kind);
	size_t n = strlen(word) + 1;

	BUG_ON(n + id.n > REMEMBER_KEY);
	memcpy(out, word, n);
	memcpy(out + n, id.p, id.n);
	return str_n(out, n + id.n);
}

int
remember_key_read(struct str key, enum conf_kind *kind_r, struct str *id_r)
{
	ssize_t cut = str_chr(key, '\0');
	int kind;

	if (cut < 0)
		return -1;
	kind = document_kind(str_sub(key, 0, (size_t)cut));
	*id_r = str_sub(key, (size_t)cut + 1, key.n);
	if (kind < 0 || kind >= CONF_KIND_COUNT || !object_id_ok(*id_r))
		return -1;
	*kind_r = (enum conf_kind)kind;
	return 1;
}

struct str
remember_key_number(char out[REMEMBER_KEY], uint64_t n)
{
	return str_n(out, (size_t)snprintf(out, REMEMBER_KEY, "%016llx", (unsigned long long)n));
}

uint64_t
remember_number(struct str key)
{
	uint64_t n = 0;

	return num_hex(key, UINT64_MAX, &n) == 1 ? n : 0;
}

/* --- records --------------------------------------------------------------------------------- */

json_t *
remember_parse(struct str text, struct str key)
{
	json_error_t error;
	json_t *j = json_loadb(text.p, text.n, JSON_DECODE_ANY, &error);

	if (j == NULL)
		log_error("state: record %.*s is no JSON: %s", STR_ARG(key), error.text);
	return j;
}

json_t *
remember_get(struct state *s, enum state_table tab, struct str key)
{
	const char *error;
	struct state_txn *t;
	json_t *j = NULL;
	struct str text;
	int got;

	if (s == NULL)
		return NULL;
	if (state_begin(s, &t, &error) < 0) {
		log_error("state: cannot be read: %s", error);
		return NULL;
	}
	got = state_get(t, tab, key, &text, &error);
	if (got == 1)
		j = remember_parse(text, key);
	else if (got < 0)
		log_error("state: cannot be read: %s", error);
	state_abort(&t);
	return j;
}

uint64_t
remember_generation(struct state *s)
{
	json_t *j = remember_get(s, STATE_META, STR("generation"));
	uint64_t n = json_is_integer(j) ? (uint64_t)json_integer_value(j) : 0;

	json_decref(j);
	return n;
}

/* --- times and members ----------------------------------------------------------------------- */

json_t *
remember_now(void)
{
	char text[25];

	clock_rfc3339(clock_wall_us(), text);
	return json_string(text);
}

/* Days since 1970 of a date in the proleptic Gregorian calendar; March is month 0 of the count. */
static int64_t
days_of(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = y / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Two digits at p, at most max; sets *bad. */
static unsigned
two(const char *p, unsigned max, bool *bad)
{
	unsigned v = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');

	if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9' || v > max)
		*bad = true;
	return v;
}

/* "Z" or "+hh:mm" as minutes east. */
static int
zone_of(struct str s, bool *bad)
{
	int minutes;

	if (s.n == 1 && (s.p[0] == 'Z' || s.p[0] == 'z'))
		return 0;
	if (s.n != 6 || s.p[3] != ':' || (s.p[0] != '+' && s.p[0] != '-')) {
		*bad = true;
		return 0;
	}
	minutes = (int)(two(s.p + 1, 23, bad) * 60 + two(s.p + 4, 59, bad));
	return s.p[0] == '-' ? -minutes : minutes;
}

/* ".123456" as microseconds; *s is cut behind it. */
static uint64_t
fraction_of(struct str *s, bool *bad)
{
	uint64_t us = 0, unit = 100000;
	size_t i = 1;

	if (s->n == 0 || s->p[0] != '.')
		return 0;
	for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, unit /= 10)
		us += (uint64_t)(s->p[i] - '0') * unit;
	if (i == 1)
		*bad = true;
	*s = str_sub(*s, i, s->n);
	return us;
}

uint64_t
remember_time(struct str t)
{
	struct str rest = str_sub(t, 19, t.n);
	bool bad = false;
	int64_t year, seconds;
	uint64_t us;

	if (t.n < 20 || t.p[4] != '-' || t.p[7] != '-' || (t.p[10] != 'T' && t.p[10] != 't') ||
	    t.p[13] != ':' || t.p[16] != ':')
		return 0;
	year = (int64_t)two(t.p, 99, &bad) * 100 + two(t.p + 2, 99, &bad);
	seconds = days_of(year, two(t.p + 5, 12, &bad), two(t.p + 8, 31, &bad)) * 86400 +
		  two(t.p + 11, 23, &bad) * 3600 + two(t.p + 14, 59, &bad) * 60 +
		  two(t.p + 17, 60, &bad);
	us = fraction_of(&rest, &bad);
	seconds -= zone_of(rest, &bad) * 60;
	return bad || seconds < 0 ? 0 : (uint64_t)seconds * 1000000 + us;
}

struct str
json_str(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return json_is_string(v) ? str_n(json_string_value(v), json_string_length(v)) : STR("");
}

uint64_t
json_u64(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return json_is_integer(v) && json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v)
							       : 0;
}

json_t *
json_of(struct str s)
{
	json_t *j = json_stringn(s.p == NULL ? "" : s.p, s.n);

	return j != NULL ? j : json_string("?"); /* not UTF-8 */
}
