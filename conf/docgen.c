/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing the manual of the configuration. Names of nested settings are written with dots, those
 * in lists of groups with [].
 */
#include "conf/docgen.h"

#include "conf/field_text.h"
#include "conf/object.h"
#include "conf/policy.h"
#include "shm/reason.h"

/* A text line: what roff would take for its own is escaped. */
static void
put_text(FILE *out, struct str s)
{
	if (s.n > 0 && (s.p[0] == '.' || s.p[0] == '\''))
		fputs("\\&", out);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			fputs("\\e", out);
		else
			fputc(s.p[i], out);
	}
}

static void
put_line(FILE *out, const char *text)
{
	put_text(out, str_of(text));
	fputc('\n', out);
}

static void
put_literal(FILE *out, const char *text)
{
	fputs(".Bd -literal -offset indent\n", out);
	put_line(out, text);
	fputs(".Ed\n", out);
}

/* --- one setting ------------------------------------------------------------------------------ */

static void
put_default(FILE *out, const struct field *row)
{
	const char *quote = field_quoted(row) && row->def != NULL && row->def[0] != '"' ? "\"" : "";

	if ((row->flags & FIELD_REQUIRED) != 0)
		fputs("It is required.\n", out);
	else if (row->def != NULL)
		fprintf(out, "Default: %s%s%s.\n", quote, row->def, quote);
}

static void
put_kind(FILE *out, const struct field *row)
{
	struct gbuf text = {0};

	field_allowed(row, &text);
	if (row->unit != NULL)
		gbuf_printf(&text, ", in %s", row->unit);
	gbuf_str(&text, STR("."));
	if (text.p[0] >= 'a' && text.p[0] <= 'z')
		text.p[0] = (char)(text.p[0] - 'a' + 'A');
	put_text(out, str_n(text.p, text.n));
	fputc('\n', out);
	gbuf_free(&text);
}

static void
put_flags(FILE *out, const struct field *row)
{
	if ((row->flags & FIELD_PATH) != 0)
		put_line(out, "A relative path begins at the main file's directory.");
	if ((row->flags & FIELD_SECRET) != 0)
		put_line(out,
		    "The secret itself is refused here: secret://env/NAME takes it from the "
		    "gateway's environment, secret://file/PATH from a file.");
	if ((row->flags & FIELD_RESTART) != 0)
		put_line(out, "A change takes effect at the next start.");
}

static void
put_row(FILE *out, const struct field *row, const char *prefix)
{
	fprintf(out, ".It Ic %s%s\n", prefix, row->name);
	put_line(out, row->help);
	put_kind(out, row);
	put_default(out, row);
	put_flags(out, row);
	if (row->example != NULL)
		put_literal(out, row->example);
}

static void
put_rows(FILE *out, const struct fields *f, const char *prefix)
{
	for (unsigned i = 0; i < f->n; i++) {
		const struct field *row = &f->v[i];
		char below[160];

		if ((row->flags & (FIELD_DERIVED | FIELD_HIDDEN)) != 0)
			continue;
		if (row->type != F_GROUP)
			put_row(out, row, prefix);
		if (row->type != F_GROUP && row->type != F_LIST)
			continue;
		snprintf(below, sizeof(below), "%s%s%s.", prefix, row->name,
		    row->type == F_LIST ? "[]" : "");
		put_rows(out, row->sub, below);
	}
}

static void
put_table(FILE *out, const struct fields *f)
{
	fputs(".Bl -tag -width Ds\n", out);
	put_rows(out, f, "");
	fputs(".El\n", out);
}

/* --- sections --------------------------------------------------------------------------------- */

static const char head[] =
    ".Dd November 21, 2026\n"
    ".Dt GATEWAY.CONF 5\n"
    ".Os\n"
    ".Sh NAME\n"
    ".Nm gateway.conf\n"
    ".Nd configuration of the API gateway\n"
    ".Sh DESCRIPTION\n"
    "The gateway reads\n"
    ".Nm\n"
    "and then, in byte order of their names, the files\n"
    ".Pa *.conf\n"
    "in the directory\n"
    ".Pa conf.d\n"
    "beside it.\n"
    "Lists of all files are joined; any other setting may stand in one of them only.\n"
    "A configuration with an error changes nothing: every error is reported with file, line and\n"
    "setting, and the gateway goes on with what it had.\n"
    ".Bl -bullet\n"
    ".It\n"
    "A setting is written name = value; and a comment begins with #.\n"
    ".It\n"
    "Strings stand in double quotes; \\e in front of a double quote or of itself.\n"
    ".It\n"
    "Durations are strings with a unit: \"250ms\", \"5s\", \"10m\", \"2h\", \"7d\".\n"
    "Sizes are strings too: \"512\", \"16k\", \"10m\", \"2g\", in steps of 1024.\n"
    ".It\n"
    "Whole numbers over 2147483647 need an L behind them.\n"
    "Any number may stand in quotes.\n"
    ".It\n"
    "A group is { name = value; ... }, a list of groups ( { ... }, { ... } ), a list of strings\n"
    "[ \"a\", \"b\" ]; none takes a comma behind its last member.\n"
    "A single string may stand for a list of one.\n"
    ".It\n"
    "In strings ${VAR} is replaced by the environment's VAR, which must be set, ${VAR:-default} "
    "by\n"
    "the default where VAR is unset or empty, and $$ by a dollar.\n"
    ".It\n"
    "@include \"file\" on a line of its own reads another file, found from the main file's\n"
    "directory.\n"
    ".El\n"
    ".Pp\n"
    "Names of settings within groups are written with dots below:\n"
    ".Ic limits.body\n"
    "is limits = { body = ...; };\n"
    "Settings of every group in a list are written with [].\n";

static const char tail[] = ".Sh FILES\n"
			   ".Bl -tag -width Ds -compact\n"
			   ".It Pa " GW_CONF_DIR "/gateway.conf\n"
			   "the main file\n"
			   ".It Pa " GW_CONF_DIR "/conf.d/*.conf\n"
			   "further files\n"
			   ".El\n"
			   ".Sh EXAMPLES\n"
			   "A service behind a prefix:\n"
			   ".Bd -literal -offset indent\n"
			   "listeners = ( { id = \"main\"; address = \"*:8080\"; } );\n"
			   "services = ( { id = \"orders\"; url = \"http://127.0.0.1:9001\"; } );\n"
			   "routes = ( {\n"
			   "    id = \"orders\";\n"
			   "    path = \"/orders/*\";\n"
			   "    service = \"orders\";\n"
			   "} );\n"
			   ".Ed\n"
			   ".Sh SEE ALSO\n"
			   ".Xr gateway 8 ,\n"
			   ".Xr gatewayctl 1\n";

/* contrib/doc/routing says the same, with examples of every rule. */
static const char precedence[] =
    ".Sh WHICH ROUTE TAKES A REQUEST\n"
    "A route stands for a request when its path, its listener and all its conditions hold.\n"
    "Of those that stand, the first one in this order that takes the method is used:\n"
    ".Bl -enum\n"
    ".It\n"
    "Routes for exactly this host; then those for a wildcard, the longest first; then those\n"
    "without a host.\n"
    "\"*.example.com\" is for a.example.com and a.b.example.com, not for example.com itself.\n"
    "Port and case do not count.\n"
    "When a route of one host stands no other host is asked, whatever its method.\n"
    ".It\n"
    "The more segments of the path a route names, the better; a star at the end is none.\n"
    ".It\n"
    "At the first segment where two differ a literal one comes before a {parameter} or a star.\n"
    ".It\n"
    "Exact paths, then regular expressions, then prefixes (a star at the end).\n"
    "A regular expression is placed where its longest literal beginning ends: \"~^/v1/[0-9]+$\" "
    "at\n"
    "/v1.\n"
    ".It\n"
    "The higher\n"
    ".Ic priority .\n"
    ".It\n"
    "More conditions: each entry of headers, query and cookies, method and listener.\n"
    ".It\n"
    "The source: routes of the admin API, then of the console, then of files.\n"
    ".It\n"
    "The smaller id.\n"
    ".El\n"
    ".Pp\n"
    "When none of the routes that stand takes the method the answer is 405, and Allow lists what "
    "they\n"
    "take; when none stands it is 404.\n"
    "Paths are compared normalised, as they are forwarded, and case counts.\n"
    "Escapes of letters, digits and -._~ are decoded; an encoded separator stays what it is:\n"
    "\"/admin%2Fx\" is one segment and not below /admin, and so it goes to another route, as it "
    "was sent.\n"
    "Where a service decodes it, a policy on /admin/* alone does not protect what is below.\n"
    "\"/a/*\" takes /a, /a/ and all below, not /ab.\n"
    "Routes whose method is GET take HEAD too.\n"
    "Of a header any line may satisfy a condition; of a query parameter or cookie the first "
    "counts,\n"
    "as it was sent.\n"
    ".Pp\n"
    ".Ql gatewayctl routes test METHOD URL\n"
    "shows the candidates in this order, and why each was passed over.\n";

static void
put_objects(FILE *out, enum conf_kind kind)
{
	const struct object_kind *k = &object_kinds[kind];

	fputs(".Sh ", out);
	for (const char *p = k->list; *p != '\0'; p++)
		fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, out);
	fputc('\n', out);
	put_line(out, k->fields->help);
	fprintf(out, "They are the groups in the list\n.Ic %s .\n", k->list);
	fputs(".Bl -tag -width Ds\n.It Ic id\n", out);
	fprintf(out,
	    "Its name, unique among %s: 1 to 63 letters, digits, dots, underscores and hyphens.\n"
	    "It is required.\n",
	    k->list);
	put_rows(out, k->fields, "");
	fputs(".El\n", out);
}

static void
put_policies(FILE *out)
{
	const struct policy_type *const *t = policy_types();

	fputs(".Sh POLICIES\n", out);
	fputs("Policies stand in the lists\n.Ic policies\nof services and routes, each as\n"
	      "{ policy = \"name\"; ... } with the settings listed here.\n"
	      "Those of the service run first, then those of the route, in the order they are "
	      "written.\n",
	    out);
	for (; t != NULL && *t != NULL; t++) {
		fprintf(out, ".Ss %s\n", (*t)->name);
		put_line(out, (*t)->help);
		if ((*t)->fields->n > 0)
			put_table(out, (*t)->fields);
	}
}

static void
put_section(FILE *out, const struct docgen_section *s)
{
	fprintf(out, ".Sh %s\n", s->title);
	put_line(out, s->intro);
	fputs(".Bl -tag -width Ds\n", out);
	for (unsigned i = 0; i < s->n; i++) {
		fprintf(out, ".It Ic %s\n", s->rows[i].name);
		put_line(out, s->rows[i].help);
	}
	fputs(".El\n", out);
}

/* Words of reasons, by the status they are answered with. */
static void
put_reasons(FILE *out)
{
	fputs(".Sh ANSWERS OF THE GATEWAY ITSELF\n"
	      "They are problem JSON (RFC 9457).\n"
	      "The reason stands there, in the access log and in gateway_errors_total.\n"
	      "Those without a status closed the connection or ended an answer under way;\n"
	      "fault answers with the status its policy has.\n"
	      ".Bl -tag -width Ds\n",
	    out);
	for (unsigned i = 1; i < REASON_COUNT; i++) {
		const struct reason_info *r = &reason_table[i];

		fprintf(out, ".It Ic %s", r->word);
		if (r->status != 0)
			fprintf(out, " Pq %u", (unsigned)r->status);
		fputc('\n', out);
		put_line(out, r->detail);
	}
	fputs(".El\n", out);
}

void
docgen_manual(FILE *out, const struct docgen_section *more)
{
	fputs(head, out);
	fputs(".Sh SETTINGS\n", out);
	put_line(out, object_kinds[CONF_SETTINGS].fields->help);
	put_table(out, object_kinds[CONF_SETTINGS].fields);
	for (unsigned k = CONF_SETTINGS + 1; k < CONF_KIND_COUNT; k++)
		put_objects(out, (enum conf_kind)k);
	put_policies(out);
	fputs(precedence, out);
	for (; more != NULL && more->title != NULL; more++)
		put_section(out, more);
	put_reasons(out);
	fputs(tail, out);
}
