/* SPDX-License-Identifier: Apache-2.0
 *
 * gatewayctl(1), made from the command table, so that manual, help and program cannot disagree.
 */
#include "admin/ctl_manual.h"

/* mdoc takes a leading dot or quote, and backslashes, as its own. */
static void
manual_text(FILE *f, const char *text)
{
	if (*text == '.' || *text == '\'')
		fputs("\\&", f);
	for (; *text != '\0'; text++)
		fputs(*text == '\\' ? "\\e" : (char[2]){*text, '\0'}, f);
	fputc('\n', f);
}

static void
manual_commands(FILE *f)
{
	fprintf(f, ".Sh COMMANDS\n.Bl -tag -width Ds\n");
	for (const struct ctl_command *k = ctl_commands; k->words != NULL; k++) {
		fprintf(f, ".It Ic %s", k->words);
		if (k->args[0] != '\0')
			fprintf(f, " No \"%s\"", k->args);
		fputc('\n', f);
		manual_text(f, k->help);
	}
	fprintf(f, ".El\n");
}

void
ctl_manual(FILE *f)
{
	fprintf(f,
	    ".Dd November 21, 2026\n.Dt GATEWAYCTL 1\n.Os\n"
	    ".Sh NAME\n.Nm gatewayctl\n.Nd ask and steer a running gateway\n"
	    ".Sh SYNOPSIS\n.Nm gatewayctl\n.Op Fl s Ar socket | Fl i Ar name\n.Op Fl -json\n"
	    ".Op Fl -timeout Ar seconds\n.Ar command\n.Op Ar arguments\n"
	    ".Sh DESCRIPTION\n.Nm\ntalks to the admin socket of\n.Xr gateway 8 .\n"
	    "Output is a table for people; with\n.Fl -json\nit is the admin API's JSON.\n"
	    ".Bl -tag -width Ds\n"
	    ".It Fl s , -socket Ar socket\nThe admin socket. Without it, the variable\n"
	    ".Ev GATEWAY_SOCKET ,\nelse\n.Pa %s .\n"
	    ".It Fl i , -instance Ar name\nThe instance that gateway@name.service runs, of several "
	    "on this host.\n"
	    ".It Fl j , -json\nPrint JSON. It may also follow the command.\n"
	    ".It Fl -timeout Ar seconds\nGive up after that many seconds without an answer, by "
	    "default 130.\n"
	    ".El\n",
	    CTL_SOCKET_DEFAULT);
	manual_commands(f);
	fprintf(f,
	    ".Sh EXIT STATUS\n"
	    "0 done; 1 refused or failed by the gateway, no route matched, or not every instance "
	    "has\n"
	    "the console's newest version; 2 wrong usage; 3 the gateway cannot be reached.\n"
	    ".Sh FILES OF OBJECTS\n"
	    ".Cm apply\nand\n.Cm diff\nread lists of listeners, services, routes and certificates: "
	    "files "
	    "in the form of\n.Xr gateway.conf 5\n(names ending in .conf), or JSON (.json) as\n"
	    ".Cm export\nprints it; a JSON file may also be a change document with\n"
	    ".Dq changes .\nOf a directory, its *.conf and *.json in order of their names, as one "
	    "generation.\nSettings of the instance in them are passed over, with a word.\n"
	    "What is left out of the files stays as it is.\n"
	    ".Sh ROLES\n"
	    "Root and the gateway's own user are admin; members of the gateway's group are "
	    "viewers,\n"
	    "who may look and not change. The table\n.Cm admin.roles\nof\n.Xr gateway.conf 5\n"
	    "says otherwise where it is set.\n"
	    ".Sh EXAMPLES\n.Bd -literal\n"
	    "gatewayctl reload && gatewayctl status\n"
	    "gatewayctl diff -f objects.d && gatewayctl apply -f objects.d --comment 'release 7'\n"
	    "gatewayctl set service orders balancer=least_connections timeouts.connect=500ms\n"
	    "gatewayctl rollout status --wait 30s || echo not everywhere yet\n"
	    "gatewayctl routes test GET http://api.example.com/orders/7 'X-Beta: 1'\n"
	    "gatewayctl endpoints drain orders 10.0.0.7:8080 30m\n"
	    ".Ed\n.Sh SEE ALSO\n.Xr gateway.conf 5 ,\n.Xr gateway 8\n");
}
