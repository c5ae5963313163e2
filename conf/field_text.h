/* SPDX-License-Identifier: Apache-2.0
 *
 * A row's value from and to text, as a person writes it. Files, JSON, defaults and the manual all
 * go through here, so that a value printed is a value that can be read.
 */
#ifndef GW_FIELD_TEXT_H
#define GW_FIELD_TEXT_H

#include "conf/field.h"

/* One word into the place of a row that is not a group or a list of groups. A list row becomes a
 * list of one. Strings are borrowed from `text`. -1 with *error_r ("not a number"). */
int field_parse(const struct field *row, struct str text, void *at, struct ws *ws,
    const char **error_r) NODISCARD;
/* The row's default: quotes are optional, list members are separated by commas. */
int field_default(const struct field *row, void *at, struct ws *ws, const char **error_r) NODISCARD;
/* One member more for the array of a F_STRINGS or F_CIDRS row; `room` was allocated for all. */
int field_parse_member(
    const struct field *row, struct str text, void *at, const char **error_r) NODISCARD;
/* Room for n members in a F_STRINGS or F_CIDRS place; it starts empty. -1 over the limit of ws. */
int field_room(const struct field *row, uint32_t n, void *at, struct ws *ws) NODISCARD;

/* Is the number in its range? true for rows without one. */
bool field_in_range(const struct field *row, const void *at);

/* A scalar as text, without quotes. Lists and groups: nothing. */
void field_text(const struct field *row, const void *at, struct gbuf *out);
void cidr_text(const struct cidr *c, struct gbuf *out);
/* Should its text stand in quotes in a file? */
bool field_quoted(const struct field *row);

/* What may stand there: "a duration from 1ms to 1h, such as \"5s\"". */
void field_allowed(const struct field *row, struct gbuf *out);

#endif
