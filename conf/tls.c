/* SPDX-License-Identifier: Apache-2.0
 *
 * What TLS settings have in common: paths and references, SPIFFE ids. And those of the instance.
 */
#include "conf/tls_priv.h"

#include "conf/check.h"
#include "conf/secret.h"

#define PATH_OCTETS 1024

const char *const tls_version_names[] = {"1.2", "1.3", NULL};

/* --- paths and references --------------------------------------------------------------------- */

struct str
tls_ref(struct str setting, struct ws *ws)
{
	return secret_path_ref(setting, ws);
}

static bool
no_text(struct str s, const char *setting, struct conf_check *c)
{
	if (str_find(s, STR("-----BEGIN")) >= 0)
		check_error(c, setting,
		    "a key or certificate itself; allowed: the file it is in, or a reference to a "
		    "secret");
	else if (s.n > PATH_OCTETS)
		check_error(c, setting, "%zu octets; allowed: up to %d", s.n, PATH_OCTETS);
	else if (s.n > 0 && memchr(s.p, '\0', s.n) != NULL)
		check_error(c, setting, "there is a NUL in it; allowed: a path");
	else
		return false;
	return true;
}

void
tls_check_path(struct str path, const char *setting, struct conf_check *c)
{
	if (path.n == 0 || no_text(path, setting, c))
		return;
	if (str_starts(path, STR("secret:")))
		check_error(c, setting, "a reference to a secret; allowed: a file");
	else if (path.p[0] != '/')
		check_error(c, setting, "not a whole path; allowed: one that begins with \"/\"");
}

void
tls_check_ref(struct str ref, const char *setting, struct conf_check *c)
{
	const char *wrong;

	if (ref.n == 0 || no_text(ref, setting, c))
		return;
	if (str_starts(ref, STR("secret:"))) {
		wrong = secret_ref_error(ref);
		if (wrong != NULL)
			check_error(c, setting, "%s", wrong);
	} else if (ref.p[0] != '/') {
		check_error(c, setting,
		    "neither a whole path nor a reference to a secret; allowed: a path that begins "
		    "with \"/\", secret://env/NAME, secret://file/PATH");
	}
}

/* --- SPIFFE ----------------------------------------------------------------------------------- */

#define SPIFFE        "spiffe://"
#define SPIFFE_OCTETS 2048
#define DOMAIN_OCTETS 255

bool
tls_is_word(char c, bool upper)
{
	return (c >= 'a' && c <= 'z') || (upper && c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/* SPIFFE-ID 2.1. */
static const char *
domain_wrong(struct str domain)
{
	if (domain.n == 0)
		return "the trust domain is missing";
	if (domain.n > DOMAIN_OCTETS)
		return "the trust domain is longer than 255 octets";
	for (size_t i = 0; i < domain.n; i++)
		if (!tls_is_word(domain.p[i], false))
			return "a trust domain has small letters, digits, \".\", \"-\" and \"_\" "
			       "only";
	return NULL;
}

/* SPIFFE-ID 2.2. */
static const char *
segment_wrong(struct str segment, bool star)
{
	if (star && str_eq(segment, STR("*")))
		return NULL;
	if (segment.n == 0)
		return "a segment of the path is empty";
	if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
		return "\".\" and \"..\" are no segments of such a path";
	for (size_t i = 0; i < segment.n; i++)
		if (!tls_is_word(segment.p[i], true))
			return segment.p[i] == '*'
				   ? "a star stands at the end alone, behind a slash"
				   : "its path has letters, digits, \".\", \"-\" "
				     "and \"_\" only";
	return NULL;
}

struct str
tls_spiffe_domain(struct str id)
{
	struct str rest = str_sub(id, sizeof(SPIFFE) - 1, id.n);
	ssize_t slash = str_chr(rest, '/');

	return slash < 0 ? rest : str_sub(rest, 0, (size_t)slash);
}

const char *
tls_spiffe_wrong(struct str id, bool pattern)
{
	struct str domain, rest;
	const char *wrong;

	if (!str_starts(id, STR(SPIFFE)))
		return "it does not begin with \"spiffe://\"";
	if (id.n > SPIFFE_OCTETS)
		return "longer than 2048 octets";
	domain = tls_spiffe_domain(id);
	wrong = domain_wrong(domain);
	rest = str_sub(id, sizeof(SPIFFE) - 1 + domain.n, id.n);
	while (wrong == NULL && rest.n > 0) {
		ssize_t slash = str_chr(str_sub(rest, 1, rest.n), '/');
		size_t end = slash < 0 ? rest.n : (size_t)slash + 1;

		wrong = segment_wrong(str_sub(rest, 1, end), pattern && end == rest.n);
		rest = str_sub(rest, end, rest.n);
	}
	return wrong;
}

static bool
fits_one(struct str pattern, struct str id)
{
	struct str front;

	if (!str_ends(pattern, STR("/*")))
		return str_eq(pattern, id);
	front = str_sub(pattern, 0, pattern.n - 1);
	return id.n > front.n && str_starts(id, front);
}

bool
tls_spiffe_fits(const struct strs *patterns, struct str id)
{
	for (uint32_t i = 0; i < patterns->n; i++)
		if (fits_one(patterns->v[i], id))
			return true;
	return patterns->n == 0;
}

void
tls_check_domain(struct str domain, const char *setting, struct conf_check *c)
{
	const char *wrong = domain.n > 0 ? domain_wrong(domain) : NULL;

	if (wrong != NULL)
		check_error(c, setting, "\"%.*s\": %s; allowed: a name such as \"example.org\"",
		    STR_ARG(str_sub(domain, 0, 100)), wrong);
}

/* --- the instance ----------------------------------------------------------------------------- */

#define AT(member) FIELD_AT(struct conf_settings_tls, member)

static const struct field settings_rows[] = {
    {.name = "ticket_secret",
	.type = F_STRING,
	.offset = AT(ticket_secret),
	.flags = FIELD_SECRET,
	.help = "What the keys of tickets are made from, by reference: 32 octets or more, the same "
		"on every host that is to resume the others' sessions. Left out: one is made when "
		"the instance starts and lives as long as it does.",
	.example = "ticket_secret = \"secret://file/etc/gateway/tls/tickets\";"},
    {.name = "ticket_lifetime",
	.type = F_DURATION,
	.offset = AT(ticket_lifetime),
	.def = "12h",
	.min = FIELD_SECOND,
	.max = 7 * FIELD_DAY,
	.help = "How long a ticket can be resumed with; its keys change as often."},
    {.name = "certificate_cache",
	.type = F_INT,
	.offset = AT(certificate_cache),
	.def = "2048",
	.min = 1,
	.max = 1000000,
	.unit = "certificates",
	.help = "Certificates each worker keeps ready for use; the one used least recently makes "
		"room."},
};
#undef AT

static void
settings_check(void *self, struct conf_check *c)
{
	const struct conf_settings_tls *t = self;
	const char *wrong = secret_ref_error(t->ticket_secret);

	if (wrong != NULL)
		check_error(c, "ticket_secret", "%s", wrong);
	else if (t->ticket_secret.n > PATH_OCTETS)
		check_error(c, "ticket_secret", "%zu octets; allowed: up to %d", t->ticket_secret.n,
		    PATH_OCTETS);
}

const struct fields settings_tls_fields = {
    .name = "tls",
    .help = "TLS of all listeners.",
    .size = sizeof(struct conf_settings_tls),
    .v = settings_rows,
    .n = ARRAY_LEN(settings_rows),
    .check = settings_check,
};
