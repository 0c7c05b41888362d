/* GoodwillTreatment: a credit for somebody who was treated badly, out of a day's budget, once a week for each. Shows
 * money kept as state (what is spent can never pass the budget, however many ask at once), a table for people, and a
 * note that `cvmhost why` shows. It promises the credit; paying it out is another component's work.
 *
 * By the role cvm.treatment it is a treatment like those of the product: `describe` gives its record, `check` says who
 * may have it, `apply` gives it. People look and grant by commands of their own. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <cvm/money.h>

#define DAY_MS INT64_C(86400000)
#define TABLE "goodwill"

struct terms {
    int64_t amount, budget, spent, again_ms; /* minor units; again_ms: from when on this one may have another */
    char spent_key[48], last_key[CVM_STATE_KEY_MAX + 1];
};

static int read_terms(cvm_turn *t, const char *subject, struct terms *ret)
{
    const json_t *settings = cvm_settings(t);
    int64_t last;
    CVM_TRY(cvm_money_from_json(json_object_get(settings, "amount"), &ret->amount));
    CVM_TRY(cvm_money_from_json(json_object_get(settings, "budget_per_day"), &ret->budget));
    snprintf(ret->spent_key, sizeof ret->spent_key, "spent/%lld", (long long)(cvm_now_ms(t) / DAY_MS));
    snprintf(ret->last_key, sizeof ret->last_key, "last/%.64s", subject);
    CVM_TRY(cvm_state_int(t, ret->spent_key, &ret->spent));
    CVM_TRY(cvm_state_int(t, ret->last_key, &last));
    ret->again_ms = last ? last + cvm_json_int(settings, "days_between", 7) * DAY_MS : 0;
    return CVM_OK;
}

/* The rule that forbids it, or NULL. */
static const char *forbidden(cvm_turn *t, const struct terms *terms)
{
    if (terms->again_ms > cvm_now_ms(t))
        return "TOO_SOON";
    return terms->spent + terms->amount > terms->budget ? "BUDGET_SPENT" : NULL;
}

/* Operation "describe": the record is in the form of docs/reference/treatments.md. */
static int describe(cvm_turn *t, const cvm_msg *m)
{
    int64_t amount, budget;
    CVM_TRY(cvm_money_from_json(json_object_get(cvm_settings(t), "amount"), &amount));
    CVM_TRY(cvm_money_from_json(json_object_get(cvm_settings(t), "budget_per_day"), &budget));
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:{s:I, s:o, s:i}, s:s, s:b, s:b, s:{s:s, s:f, s:o}}", "id", "goodwill_credit",
                  "display_name", "Goodwill credit", "description", "A credit after something went wrong",
                  "constraints", "max_per_day", (json_int_t)(amount ? budget / amount : 0), "cost_per_contact_pounds",
                  cvm_money_to_json(amount), "priority", 6, "channel", "none", "service", 1, "check", 1, "value",
                  "kind", "fixed", "propensity", 0.5, "amount_pounds", cvm_money_to_json(amount));
    return cvm_reply(t, m, json_pack("{s:[o]}", "treatments", record));
}

/* Operation "look": a look without consequences. */
static int look(cvm_turn *t, const cvm_msg *m)
{
    struct terms terms;
    CVM_TRY(read_terms(t, cvm_json_str(m->data, "subject", ""), &terms));
    const char *rule = forbidden(t, &terms);
    return cvm_reply(t, m,
                     json_pack("{s:b, s:s?, s:o}", "allowed", !rule, "rule", rule, "left_today",
                               cvm_money_to_json(terms.budget - terms.spent)));
}

/* Operation "check": the same of many customers. */
static int check(cvm_turn *t, const cvm_msg *m)
{
    const json_t *customers = json_object_get(m->data, "customers");
    json_t *verdicts = json_array();
    for (size_t i = 0; i < json_array_size(customers); i++) {
        const char *id = cvm_json_str(json_object_get(json_array_get(customers, i), "facts"), "customer_id", "");
        struct terms terms;
        int e = read_terms(t, id, &terms);
        if (e < 0) {
            json_decref(verdicts);
            return e;
        }
        const char *rule = forbidden(t, &terms);
        json_array_append_new(verdicts,
                              json_pack("{s:s, s:b, s:s*}", "customer_id", id, "eligible", !rule, "rule", rule));
    }
    return cvm_reply(t, m, json_pack("{s:o}", "verdicts", verdicts));
}

static int keep(cvm_turn *t, const cvm_msg *m, const struct terms *terms, const char *subject, const char *reason,
                const char *id)
{
    CVM_TRY(cvm_state_put_int(t, terms->spent_key, terms->spent + terms->amount));
    CVM_TRY(cvm_state_put_int(t, terms->last_key, cvm_now_ms(t)));
    CVM_TRY(cvm_row_put(t, TABLE,
                        json_pack("{s:s, s:s, s:s, s:o, s:I, s:s}", "goodwill_id", id, "subject", subject, "reason",
                                  reason, "amount", cvm_money_to_json(terms->amount), "at_ms",
                                  (json_int_t)cvm_now_ms(t), "conversation", m->conversation)));
    return cvm_note(t, "decision",
                    json_pack("{s:s, s:I, s:I}", "chose", "grant", "spent_today",
                              (json_int_t)(terms->spent + terms->amount), "budget", (json_int_t)terms->budget));
}

/* The rule that forbids it, or NULL and it is given. */
static int give(cvm_turn *t, const cvm_msg *m, const char *subject, const char *reason, struct terms *terms,
                char id[CVM_SHORT_ID_SIZE], const char **ret_rule)
{
    CVM_TRY(read_terms(t, subject, terms));
    const char *rule = forbidden(t, terms);
    *ret_rule = rule;
    if (rule)
        return CVM_OK;
    CVM_TRY(cvm_new_id(t, "GW", id));
    return keep(t, m, terms, subject, reason, id);
}

/* Operation "grant". */
static int grant(cvm_turn *t, const cvm_msg *m)
{
    struct terms terms;
    char id[CVM_SHORT_ID_SIZE];
    const char *rule;
    CVM_TRY(give(t, m, cvm_json_str(m->data, "subject", ""), cvm_json_str(m->data, "reason", ""), &terms, id, &rule));
    if (rule)
        return cvm_refuse(t, rule, NULL, *rule == 'T' ? "This one had a credit lately." : "The day's budget is spent.");
    return cvm_reply(t, m, json_pack("{s:s, s:o}", "goodwill_id", id, "amount", cvm_money_to_json(terms.amount)));
}

/* Operation "apply": of a campaign. What cannot be given is no error; the answer says so. */
static int apply(cvm_turn *t, const cvm_msg *m)
{
    struct terms terms;
    char id[CVM_SHORT_ID_SIZE];
    const char *rule, *customer = cvm_json_str(m->data, "customer_id", "");
    CVM_TRY(give(t, m, customer, cvm_json_str(m->data, "text", "campaign"), &terms, id, &rule));
    return cvm_reply(t, m,
                     rule ? json_pack("{s:s, s:s}", "status", "failed", "rule", rule)
                          : json_pack("{s:s, s:s}", "status", "sent", "goodwill_id", id));
}

static const cvm_component components[] = {{.id = "goodwill.treatment", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"goodwill.treatment", "describe", describe}, {"goodwill.treatment", "check", check},
                                   {"goodwill.treatment", "apply", apply},       {"goodwill.treatment", "look", look},
                                   {"goodwill.treatment", "grant", grant},       {0}};
CVM_PLUGIN(.name = "goodwill", .version = "1.0.0", .components = components, .routes = routes);
