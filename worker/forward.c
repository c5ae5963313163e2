/* SPDX-License-Identifier: Apache-2.0
 *
 * See forward.h. Hop-by-hop fields are gone before anything here is added (read.c), so that no
 * Connection header of the client can take away what the gateway says.
 */
#include "worker/forward.h"

#include "shm/base/base.h"
#include "shm/base/clock.h"
#include "shm/base/enc.h"
#include "shm/base/num.h"
#include "shm/base/rnd.h"
#include "worker/conn.h"
#include "worker/forwarded.h"
#include "worker/generation.h"
#include "worker/obs/trace.h"
#include "worker/plan.h"
#include "worker/req_life.h"

static struct str
forward_new_id(struct req *r)
{
	uint64_t v[2] = {rnd_u64(), rnd_u64()};
	char *p = ws_bytes(&r->ws, 32);

	if (!p)
		return STR("");
	enc_hex(v, sizeof(v), p);
	return str_n(p, 32);
}

static void
identify_id(struct req *r)
{
	const struct hdr *f =
	    head_find_as(&r->in, r->gen->id_header, r->gen->s->http.request_id_header);

	if (f && r->peer_trusted && forwarded_id_ok(f->value))
		r->id = f->value;
	else
		r->id = forward_new_id(r);
}

void
req_identify(struct req *r)
{
	const struct cidrs *trusted = &r->gen->s->trusted_proxies;
	struct str proto;

	r->peer_trusted = forwarded_trusted(trusted, &r->peer);
	if (r->peer_trusted) {
		if (head_first(&r->in, HDR_X_FORWARDED_FOR) || head_first(&r->in, HDR_FORWARDED))
			r->client = forwarded_client(&r->in, trusted, &r->peer);
		/* It may speak TLS with us for a client that did not, and the other way round. */
		proto = head_value(&r->in, HDR_X_FORWARDED_PROTO);
		if (proto.n > 0)
			r->tls = str_ieq(proto, STR("https"));
	}
	identify_id(r);
	trace_begin(r);
}

static bool
forward_is_claim(const struct hdr *f)
{
	static const struct str prefix = {"x-forwarded-", 12};

	if (f->id != HDR_OTHER)
		return (hdr_flags(f->id) & HDR_CLAIM) != 0;
	if ((f->name.p[0] | 0x20) != 'x')
		return false;
	return hdr_alike(f->name, hdr_name(HDR_X_REAL_IP)) ||
	       (f->name.n > prefix.n && hdr_alike(str_sub(f->name, 0, prefix.n), prefix));
}

/* Names that only become one of the gateway's or of the connection's where `_` and `-` are the
 * same, as they are to CGI and its children. No proxy spells them so. */
static bool
forward_is_disguised(const struct hdr *f)
{
	enum hdr_id id;

	if (f->id != HDR_OTHER || !memchr(f->name.p, '_', f->name.n))
		return false;
	id = hdr_lookup_alike(f->name);
	return (hdr_flags(id) & (HDR_HOP | HDR_FORBID_CONN)) != 0 || forward_is_claim(f);
}

/* What an untrusted peer says of itself is not passed on, in no spelling. */
static void
forward_drop_claims(struct head *h, bool trusted)
{
	for (uint32_t i = 0; i < h->n; i++)
		if ((!trusted && forward_is_claim(&h->h[i])) ||
		    (h->odd && forward_is_disguised(&h->h[i])))
			h->h[i].gone = true;
}

/* All values of a list field in one, with one member more. */
static void
forward_append(struct head *h, enum hdr_id id, struct str more)
{
	const struct hdr *f = head_get(h, id);
	struct str all = more;
	bool checked = true; /* `more` is made here, of what was checked */

	if (f) {
		checked = f->checked;
		all = f->value;
		while ((f = head_next(h, f))) {
			checked = checked && f->checked;
			all = ws_cat(h->ws, 3, (struct str[]){all, STR(", "), f->value});
		}
		all = ws_cat(h->ws, 3, (struct str[]){all, STR(", "), more});
		head_remove_id(h, id);
	}
	if (head_add_made(h, id, all))
		h->h[h->n - 1].checked = checked;
}

static void
forward_default(struct head *h, enum hdr_id id, struct str value)
{
	if (!head_get(h, id))
		head_add_made(h, id, value);
}

static struct str
forward_ip(struct req *r, const struct addr *a)
{
	char *p = ws_bytes(&r->ws, 48);

	if (!p || a->family == AF_UNIX || a->family == 0)
		return STR("unknown");
	return str_n(p, addr_ip_text(a, p, 48));
}

static struct str
forward_port(struct req *r)
{
	char *p = ws_bytes(&r->ws, 8);

	return p ? str_n(p, num_u64_text(r->local->port, p)) : STR("0");
}

static struct str
forward_element(struct req *r, const struct addr *who, struct str ip, struct str proto)
{
	bool v6 = who->family == AF_INET6;
	struct str host = r->in.authority;
	const struct str parts[] = {STR("for="), v6 ? STR("\"[") : STR(""), ip,
	    v6 ? STR("]\"") : STR(""), host.n ? STR(";host=\"") : STR(""), host,
	    host.n ? STR("\"") : STR(""), STR(";proto="), proto};

	return ws_cat(&r->ws, ARRAY_LEN(parts), parts);
}

static void
forward_client(struct req *r)
{
	struct head *h = &r->in;
	struct str proto = r->tls ? STR("https") : STR("http");
	struct str ip = forward_ip(r, &r->peer);
	bool own = !head_get(h, HDR_FORWARDED);
	/* A trusted proxy that only speaks X-Forwarded-For: what it said of the client is said here
	 * too. */
	const struct addr *who = own ? &r->client : &r->peer;

	bool named = own && r->peer_trusted && !addr_eq(&r->client, &r->peer);

	forward_append(
	    h, HDR_FORWARDED, forward_element(r, who, named ? forward_ip(r, who) : ip, proto));
	forward_append(h, HDR_X_FORWARDED_FOR, ip);
	forward_default(h, HDR_X_FORWARDED_PROTO, proto);
	if (r->in.authority.n)
		forward_default(h, HDR_X_FORWARDED_HOST, r->in.authority);
	if (r->local->port)
		forward_default(h, HDR_X_FORWARDED_PORT, forward_port(r));
}

/* The Host the upstream sees: first in the head, where servers look for it. */
static void
forward_make_host(struct req *r)
{
	const struct conf_service *s = r->plan ? r->plan->service : NULL;
	struct hdr *f = head_get(&r->in, HDR_HOST);
	struct str host = r->in.authority;

	if (s && s->host == HOST_FIXED)
		host = s->host_value;
	if (f) {
		f->value = host;
		f->checked = host.p == r->in.authority.p; /* that was looked at octet by octet */
	} else {
		head_add_id(&r->in, HDR_HOST, host);
	}
	r->host_made = host.p;
}

/* Under a name of the user's too it never comes again: nobody shall remember it to compress the
 * next. */
static void
set_id(struct req *r, struct head *h)
{
	struct hdr *f;

	if (!head_set_as(h, r->gen->id_header, r->gen->s->http.request_id_header, r->id))
		return;
	f = &h->h[h->n - 1];
	f->checked = f->id != HDR_OTHER; /* of a name of the user's own the writer looks at both */
	f->literal = f->id == HDR_OTHER;
}

void
forward_request(struct req *r)
{
	struct head *h = &r->in;

	forward_drop_claims(h, r->peer_trusted);
	forward_client(r);
	forward_append(h, HDR_VIA, h->minor ? r->gen->via_1_1 : r->gen->via_1_0);
	set_id(r, h);
	trace_forward(r);
	if (r->te_trailers && !r->websocket)
		head_add_id(h, HDR_TE, STR("trailers"));
	forward_make_host(r);
}

void
forward_host(struct req *r, struct str endpoint_host)
{
	const struct conf_service *s = r->plan ? r->plan->service : NULL;
	struct hdr *f = head_get(&r->in, HDR_HOST);

	/* Only what the gateway put there itself; and a request of HTTP/1.0 may have come without.
	 */
	if (!f || f->value.p != r->host_made)
		return;
	if ((s && s->host == HOST_ENDPOINT) || f->value.n == 0 || r->host_made == NULL) {
		f->value = endpoint_host;
		f->checked = false;
		r->host_made = endpoint_host.p;
	}
}

struct str
forward_target(struct req *r, struct str base_path)
{
	const struct head *h = &r->in;
	const struct str parts[] = {str_eq(r->up_path, STR("*")) ? STR("") : base_path, r->up_path,
	    h->has_query ? STR("?") : STR(""), h->query};

	if (base_path.n == 0 && !h->has_query)
		return r->up_path;
	return ws_cat(&r->ws, ARRAY_LEN(parts), parts);
}

static struct str
forward_date(struct req *r)
{
	char *p = ws_bytes(&r->ws, 30);

	if (!p)
		return STR("Thu, 01 Jan 1970 00:00:00 GMT");
	clock_http_now(p);
	return str_n(p, 29);
}

void
forward_response(struct req *r)
{
	const struct conf_settings *s = r->gen->s;
	struct head *h = &r->out;

	if (!head_get(h, HDR_DATE))
		head_add_checked(h, HDR_DATE, STR("Date"), forward_date(r));
	if (!head_find_as(h, r->gen->id_header, s->http.request_id_header))
		set_id(r, h);
	if (s->http.generation_header.n) {
		struct str number = ws_printf(&r->ws, "%llu", (unsigned long long)r->generation);

		head_set(h, s->http.generation_header, number);
	}
}
