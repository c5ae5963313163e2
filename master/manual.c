/* SPDX-License-Identifier: Apache-2.0
 *
 * See manual.h. The tables are those the worker itself is made from.
 */
#include "master/manual.h"

#include "conf/docgen.h"
#include "shm/base/base.h"

static const struct docgen_row values[] = {
#define VALUE(text, flags, fn, help) {text, help},
#include "worker/policy/template.def"
#undef VALUE
};

static const struct docgen_row access_fields[] = {
#define FIELD(name, form, value, help) {#name, help},
#include "worker/obs/fields.def"
#undef FIELD
};

static const struct docgen_section sections[] = {
    {"VALUES OF THE REQUEST",
	"In the settings of policies that say so, braces around one of these names stand for its "
	"value: {client.ip}. Any other plain name is a parameter that the route's path captures: "
	"{id}. A brace itself is written {{. A name that is neither is an error of the load.",
	values, ARRAY_LEN(values)},
    {"ACCESS LOG",
	"Each request is one line, a JSON object with these members. What is empty or was not "
	"reached "
	"is left out; times ending in _ms are milliseconds.",
	access_fields, ARRAY_LEN(access_fields)},
    {0},
};

void
manual_print(FILE *out)
{
	docgen_manual(out, sections);
}
