/* How often a message is understood as somebody labelled it: the domain, and domain and intent both. Some rows a turn,
 * then the rest is handed on to a turn of its own. Changes nothing. Loop thread. */
#include "service.h"

#define ROWS_A_TURN 16
#define WRONG_SHOWN 50

static const char *labelled(const json_t *row, const char *name, const char *other)
{
    const json_t *expect = json_object_get(row, "expect");
    const char *value = cvm_json_str(json_is_object(expect) ? expect : row, name, "");
    return *value ? value : cvm_json_str(row, other, "");
}

/* "intent", or one of "intent_any"; without either every intent will do. */
static bool intent_right(const json_t *row, const char *got)
{
    const json_t *expect = json_object_get(row, "expect");
    const json_t *any = json_object_get(json_is_object(expect) ? expect : row, "intent_any");
    const char *intent = labelled(row, "intent", "intent");
    bool found = !json_array_size(any) && (!*intent || !strcmp(got, intent));
    for (size_t i = 0; i < json_array_size(any); i++) {
        const char *one = json_string_value(json_array_get(any, i));
        found |= one && !strcmp(got, one);
    }
    return found;
}

struct counts {
    int64_t right, domains, by_rules; /* domain and intent; the domain; without a model's answer */
};

static void judge_row(cvm_turn *t, const json_t *row, struct counts *c, json_t *wrong)
{
    const char *text = cvm_json_str(row, "message", cvm_json_str(row, "text", ""));
    const char *domain = labelled(row, "service_domain", "domain"), *intent = labelled(row, "intent", "intent");
    json_t *reading = classifier_read(t, text, cvm_json_str(row, "channel", "SMS"));
    const char *got = cvm_json_str(reading, "service_domain", ""), *meant = cvm_json_str(reading, "intent", "");
    bool same = !strcmp(got, domain), all = same && intent_right(row, meant);
    c->domains += same;
    c->right += all;
    c->by_rules += json_is_true(json_object_get(reading, "fallback_used"));
    if (!all && json_array_size(wrong) < WRONG_SHOWN)
        json_array_append_new(wrong, json_pack("{s:s, s:s+++, s:s+++}", "message", text, "expected", domain, "/",
                                               intent, "", "got", got, "/", meant, ""));
    json_decref(reading);
}

int evaluate_rows(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "rows");
    size_t at = (size_t)cvm_json_int(m->data, "at", 0), n = json_array_size(rows);
    struct counts c = {cvm_json_int(m->data, "right", 0), cvm_json_int(m->data, "domains", 0),
                       cvm_json_int(m->data, "by_rules", 0)};
    json_t *wrong = json_copy(json_object_get(m->data, "wrong"));
    if (!wrong)
        wrong = json_array();
    for (size_t i = 0; i < ROWS_A_TURN && at < n; i++, at++)
        judge_row(t, json_array_get(rows, at), &c, wrong);
    if (at >= n)
        return cvm_reply(t, m,
                         json_pack("{s:I, s:I, s:I, s:I, s:o}", "n", (json_int_t)n, "right", (json_int_t)c.right,
                                   "domains", (json_int_t)c.domains, "by_rules", (json_int_t)c.by_rules, "wrong",
                                   wrong));
    CVM_TRY(cvm_forward(t, m->id, SERVICE_DESK, "evaluate",
                        json_pack("{s:o, s:I, s:I, s:I, s:I, s:o}", "rows", cvm_json_share(rows), "at", (json_int_t)at,
                                  "right", (json_int_t)c.right, "domains", (json_int_t)c.domains, "by_rules",
                                  (json_int_t)c.by_rules, "wrong", wrong)));
    return CVM_PENDING;
}
