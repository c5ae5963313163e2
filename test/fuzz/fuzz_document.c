/* SPDX-License-Identifier: Apache-2.0
 *
 * Any octets as a change document: it is read or every complaint is a line of UTF-8; what became an
 * object is the same object by way of its own JSON; patches never do more than their octets say.
 */
#include "conf/document.h"
#include "shm/base/bug.h"
#include "test/fuzz/policy.h"
#include "test/fuzz/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same_again(const struct conf_object *o, struct ws *ws)
{
	struct conf_object again;
	struct conf_check c;
	json_t *value = document_value(o, true);

	check_init(&c);
	BUG_ON(value == NULL);
	BUG_ON(document_object(o->kind, o->id, o->source, value, ws, &again, &c) != 1);
	BUG_ON(!digest_eq(&o->digest, &again.digest));
	json_decref(value);
	check_free(&c);
}

static void
object(const struct document_change *change, const json_t *value, struct ws *ws)
{
	struct conf_object o;
	struct conf_check c;

	check_init(&c);
	if (document_object(
		(enum conf_kind)change->kind, change->id, STR("admin"), value, ws, &o, &c) == 1)
		same_again(&o, ws);
	else
		BUG_ON(c.errors == 0);
	report_check(&c);
	check_free(&c);
}

/* Each entry upon the one before it. */
static void
patch(const struct document_change *change, const json_t *before, struct ws *ws)
{
	json_t *patched = document_patch(before, change->value);
	char *text = document_text(patched);

	BUG_ON(patched == NULL || text == NULL);
	check_utf8(str_of(text));
	object(change, patched, ws);
	free(text);
	json_decref(patched);
}

static void
entries(const struct document *d, struct ws *ws)
{
	for (uint32_t i = 0; i < d->n; i++) {
		const struct document_change *change = &d->v[i];

		check_utf8(change->error);
		if (change->error.n > 0)
			continue;
		BUG_ON(change->id.n == 0 || document_kind_word(change->kind)[0] == '\0');
		BUG_ON((change->value == NULL) != (change->op == DOC_DELETE));
		if (change->value == NULL || change->kind >= DOC_VERDICT)
			continue;
		object(change, change->value, ws);
		patch(change, i > 0 ? d->v[i - 1].value : NULL, ws);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf_check c;
	struct document d;
	struct ws ws;

	policy_types_set(policies);
	check_init(&c);
	ws_init(&ws, NULL, 0);
	if (document_read(str_n((const char *)data, size), &d, &ws, &c) == 1) {
		BUG_ON(c.errors > 0);
		entries(&d, &ws);
		document_free(&d);
	} else {
		BUG_ON(c.errors == 0);
	}
	report_check(&c);
	check_free(&c);
	ws_free(&ws);
	return 0;
}
