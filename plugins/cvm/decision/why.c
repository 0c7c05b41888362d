/* Why a customer got what he got: the newest choice as it was stored. What is asked after may be one treatment. Reads
 * the table cvm_choices. Loop thread. */
#include "decision.h"
#include "words.h"

#include <stdio.h>

int why_customer(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer_id", "");
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = CHOICES,
                                    .where = json_pack("{s:s}", "customer_id", customer),
                                    .order_by = "-at_ms",
                                    .limit = 1,
                                    .on_behalf = m->id,
                                    .with = cvm_json_share(m->data)}));
    return CVM_PENDING;
}

/* The row with its arrays and objects, which a question may give as text. Gives. */
static json_t *whole(const json_t *row)
{
    static const char *const members[] = {"considered", "change", "alternatives_tried", "unavailable"};
    json_t *copy = json_copy((json_t *)(uintptr_t)row), *read;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const char *text = cvm_json_str(copy, members[i], NULL);
        if (text && (read = json_loads(text, 0, NULL)))
            json_object_set_new(copy, members[i], read);
    }
    return copy;
}

static const json_t *about(const json_t *considered, const char *treatment)
{
    for (size_t i = 0; i < json_array_size(considered); i++)
        if (strcmp(cvm_json_str(json_array_get(considered, i), "treatment_id", ""), treatment) == 0)
            return json_array_get(considered, i);
    return NULL;
}

#define NAME_SIZE 100

/* One sentence on one treatment. What is quoted is cut between letters, or the sentence would be no text. */
static void say_of(const json_t *choice, const json_t *one, const char *asked, char *text, size_t size)
{
    char treatment[NAME_SIZE], best_name[NAME_SIZE], rule_name[NAME_SIZE], reason[220];
    const char *rule = cvm_json_str(one, "rule", NULL), *winner = cvm_json_str(choice, "treatment_id", "");
    const char *tried = cvm_json_str(json_object_get(choice, "unavailable"), asked, NULL);
    double value = json_number_value(json_object_get(one, "value_pounds"));
    double best = json_number_value(json_object_get(choice, "value_pounds"));
    words_cut(asked, treatment, sizeof treatment);
    words_cut(winner, best_name, sizeof best_name);
    words_cut(rule ? rule : "", rule_name, sizeof rule_name);
    words_cut(tried ? tried : cvm_json_str(one, "why", "it does not hold."), reason, sizeof reason);
    if (!one)
        snprintf(text, size, "%s was not among the treatments when this was decided.", treatment);
    else if (strcmp(asked, winner) == 0)
        snprintf(text, size, "%s was chosen.", treatment);
    else if (tried)
        snprintf(text, size, "%s was chosen first, but could not be given: %s", treatment, reason);
    else if (rule)
        snprintf(text, size, "%s was rejected by the rule %s: %s", treatment, rule_name, reason);
    else
        snprintf(text, size, "%s was allowed; its value of %.2f pounds is not above the %.2f of %s.", treatment, value,
                 best, best_name);
}

/* Newest first among those that were turned down, candidates by value before them: as a reader wants it. */
static json_t *ranked(const json_t *considered, const char *winner)
{
    json_t *list = json_array(), *one;
    size_t i;
    const json_t *first = about(considered, winner);
    if (first)
        json_array_append_new(list, cvm_json_share(first));
    for (;;) { /* a few dozen at most */
        const json_t *best = NULL;
        json_array_foreach((json_t *)(uintptr_t)considered, i, one)
        {
            bool listed = false;
            for (size_t k = 0; k < json_array_size(list) && !listed; k++)
                listed = json_array_get(list, k) == one;
            if (listed || json_object_get(one, "rule"))
                continue;
            if (!best || json_number_value(json_object_get(one, "value_pounds")) >
                             json_number_value(json_object_get(best, "value_pounds")))
                best = one;
        }
        if (!best)
            break;
        json_array_append_new(list, cvm_json_share(best));
    }
    json_array_foreach((json_t *)(uintptr_t)considered, i, one) if (json_object_get(one, "rule") && one != first)
        json_array_append(list, one);
    return list;
}

static int explain(cvm_turn *t, cvm_id request, const json_t *choice, const char *treatment)
{
    char text[500];
    const json_t *considered = json_object_get(choice, "considered"), *change = json_object_get(choice, "change");
    const char *winner = cvm_json_str(choice, "treatment_id", ""), *sentence = NULL;
    json_t *list;
    if (treatment) {
        const json_t *one = about(considered, treatment);
        say_of(choice, one, treatment, text, sizeof text);
        sentence = text;
        list = json_array();
        if (one)
            json_array_append_new(list, cvm_json_share(one));
    } else {
        list = ranked(considered, winner);
    }
    static const char *const passed[] = {"choice_id", "customer_id", "at",        "method",
                                         "model",     "explanation", "runner_up", "alternatives_tried"};
    json_t *body = json_pack("{s:s, s:s*, s:o}", "chosen", winner, "answer", sentence, "considered", list);
    for (size_t i = 0; body && i < sizeof passed / sizeof *passed; i++) {
        const json_t *value = json_object_get(choice, passed[i]);
        if (value && !json_is_null(value) && !(json_is_array(value) && !json_array_size(value)))
            json_object_set_new(body, passed[i], cvm_json_share(value));
    }
    if (body && json_is_object(change)) {
        json_object_set_new(body, "smallest_change", json_string(cvm_json_str(change, "text", "")));
        if (!treatment)
            json_object_set_new(body, "change", cvm_json_share(change));
    }
    return body ? cvm_settle(t, request, CVM_REPLIED, body, NULL) : CVM_ENOMEM;
}

int why_asked(cvm_turn *t, const cvm_msg *m)
{
    char none[400], customer[300];
    const json_t *row = json_array_get(json_object_get(m->data, "rows"), 0), *asked = json_object_get(m->data, "with");
    int e;
    if (m->outcome == CVM_REPLIED && row) {
        json_t *choice = whole(row);
        e = choice ? explain(t, m->on_behalf, choice, cvm_json_str(asked, "treatment_id", NULL)) : CVM_ENOMEM;
        json_decref(choice);
    } else {
        words_cut(cvm_json_str(asked, "customer_id", ""), customer, sizeof customer);
        snprintf(none, sizeof none, "No decision about %s is stored.", customer);
        e = cvm_settle(t, m->on_behalf, CVM_REFUSED, json_pack("{s:s, s:s}", "code", "NOT_FOUND", "message", none),
                       NULL);
    }
    return e == CVM_ENOENT ? CVM_OK : e;
}
