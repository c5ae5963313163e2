/* SPDX-License-Identifier: Apache-2.0
 *
 * What was decided about endpoints, as records of the state:
 *
 *	key	service, NUL, endpoint
 *	text	"down - 0 1795226400000000 author": verdict, weight or "-", expiry, time it was set
 *		(both microseconds since 1970), author to the end
 */
#include "shm/base/bug.h"
#include "shm/base/num.h"
#include "shm/state_priv.h"

#define TEXT_MAX (STATE_AUTHOR_MAX + 128)

static int
word_u64(struct str *rest, uint64_t max, uint64_t *v_r)
{
	const char *error;
	struct str word;

	return str_cut(rest, ' ', &word) == 1 ? num_u64(word, max, v_r, &error) : -1;
}

static int
word_verdict(struct str *rest, enum endpoint_verdict *v_r)
{
	struct str word;

	if (str_cut(rest, ' ', &word) != 1)
		return -1;
	for (unsigned i = 0; i < VERDICT_COUNT; i++) {
		if (str_eq(word, str_of(endpoint_verdict_names[i]))) {
			*v_r = i;
			return 1;
		}
	}
	return -1;
}

static int
word_weight(struct str *rest, uint32_t *v_r)
{
	uint64_t n;

	if (str_starts(*rest, STR("- "))) {
		*rest = str_sub(*rest, 2, rest->n);
		*v_r = WEIGHT_UNSET;
		return 1;
	}
	if (word_u64(rest, WEIGHT_UNSET - 1, &n) < 0)
		return -1;
	*v_r = (uint32_t)n;
	return 1;
}

int
state_verdict_decode(struct str key, struct str text, struct str *service_r, struct str *endpoint_r,
    struct state_verdict *v_r)
{
	struct str rest = text;
	ssize_t nul = str_chr(key, '\0');
	struct state_verdict v = {0};

	if (nul <= 0 || (size_t)nul + 1 == key.n || text.n > TEXT_MAX)
		return -1;
	if (word_verdict(&rest, &v.verdict) < 0 || word_weight(&rest, &v.weight) < 0 ||
	    word_u64(&rest, UINT64_MAX, &v.expires_us) < 0 ||
	    word_u64(&rest, UINT64_MAX, &v.set_us) < 0 || rest.p == NULL)
		return -1;
	v.author = rest;
	*service_r = str_sub(key, 0, (size_t)nul);
	*endpoint_r = str_sub(key, (size_t)nul + 1, key.n);
	*v_r = v;
	return 1;
}

static struct str
verdict_encode(const struct state_verdict *v, char out[TEXT_MAX])
{
	char weight[12] = "-";
	int n;

	if (v->weight != WEIGHT_UNSET)
		snprintf(weight, sizeof(weight), "%u", v->weight);
	n = snprintf(out, TEXT_MAX, "%s %s %llu %llu ", endpoint_verdict_names[v->verdict], weight,
	    (unsigned long long)v->expires_us, (unsigned long long)v->set_us);
	for (size_t i = 0; i < MIN(v->author.n, (size_t)STATE_AUTHOR_MAX); i++) {
		unsigned char c = (unsigned char)v->author.p[i];

		out[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	return str_n(out, (size_t)n);
}

static int
verdict_key(struct str service, struct str endpoint, char out[DB_KEY_MAX], struct str *key_r)
{
	if (service.n == 0 || endpoint.n == 0 || str_chr(service, '\0') >= 0 ||
	    service.n + 1 + endpoint.n > DB_KEY_MAX)
		return -1;
	memcpy(out, service.p, service.n);
	out[service.n] = '\0';
	memcpy(out + service.n + 1, endpoint.p, endpoint.n);
	*key_r = str_n(out, service.n + 1 + endpoint.n);
	return 1;
}

int
state_verdict_put(struct state *s, struct str service, struct str endpoint,
    const struct state_verdict *v, const char **error_r)
{
	char name[DB_KEY_MAX], text[TEXT_MAX];
	struct state_txn *t;
	struct str key;

	BUG_ON((unsigned)v->verdict >= VERDICT_COUNT);
	if (verdict_key(service, endpoint, name, &key) < 0)
		return state_fail(error_r,
		    "verdict: service and endpoint must not be empty, and 510 octets together at "
		    "most");
	if (state_begin(s, &t, error_r) < 0)
		return -1;
	if (state_record_put(t, STATE_VERDICTS, key, verdict_encode(v, text), error_r) < 0) {
		state_abort(&t);
		return -1;
	}
	return state_commit(&t, error_r);
}

int
state_verdict_del(struct state *s, struct str service, struct str endpoint, const char **error_r)
{
	char name[DB_KEY_MAX];
	struct state_txn *t;
	struct str key;
	int rc;

	if (verdict_key(service, endpoint, name, &key) < 0)
		return 0;
	if (state_begin(s, &t, error_r) < 0)
		return -1;
	rc = state_record_del(t, STATE_VERDICTS, key, error_r);
	if (rc == 1)
		return state_commit(&t, error_r);
	state_abort(&t);
	return rc;
}

struct each {
	state_verdict_f *fn;
	void *arg;
	const char **error_r;
};

static int
each_one(void *arg, struct str key, struct str text)
{
	struct each *e = arg;
	struct str service, endpoint;
	struct state_verdict v;

	if (state_verdict_decode(key, text, &service, &endpoint, &v) < 0)
		return state_fail(e->error_r, "a verdict is malformed");
	e->fn(e->arg, service, endpoint, &v);
	return 1;
}

int
state_verdict_each(struct state *s, state_verdict_f *fn, void *arg, const char **error_r)
{
	struct each e = {fn, arg, error_r};
	struct state_txn *t;
	int rc;

	if (state_begin(s, &t, error_r) < 0)
		return -1;
	rc = state_record_each(t, STATE_VERDICTS, STR_NONE, each_one, &e, error_r);
	state_abort(&t);
	return rc;
}
