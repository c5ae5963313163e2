/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway.conf(5): what conf prints from its tables, and the tables of the worker that who writes a
 * configuration needs. Called by main for --manual.
 */
#ifndef GW_MANUAL_H
#define GW_MANUAL_H

#include <stdio.h>

void manual_print(FILE *out);

#endif
