/* GoodwillTreatment without a host: the budget, the week, and that a refusal changes nothing. */
#include <cvm/harness.h>

#define TREATMENT "goodwill.treatment"
#define DAY_MS INT64_C(86400000)

static int grant(struct harness *h, const char *subject, const json_t **ret_answer)
{
    return harness_ask(h, TREATMENT, "grant", json_pack("{s:s, s:s}", "subject", subject, "reason", "no service"),
                       ret_answer);
}

static bool refused_by(struct harness *h, const char *subject, const char *rule)
{
    const json_t *answer = NULL;
    return grant(h, subject, &answer) == CVM_REFUSED && strcmp(cvm_json_str(answer, "code", ""), rule) == 0;
}

int main(void)
{
    struct harness *h = harness_new(0);
    const json_t *answer = NULL;
    harness_add(h, &cvm_plugin, "goodwill.json");
    json_object_set_new(harness_settings(h, TREATMENT), "budget_per_day", json_integer(1000));

    HARNESS_CHECK(grant(h, "A", &answer) == CVM_REPLIED);
    HARNESS_CHECK(json_number_value(json_object_get(answer, "amount")) == 500);
    HARNESS_CHECK(refused_by(h, "A", "TOO_SOON"));
    HARNESS_CHECK(grant(h, "B", &answer) == CVM_REPLIED);
    HARNESS_CHECK(refused_by(h, "C", "BUDGET_SPENT"));
    HARNESS_CHECK(json_object_size(harness_rows(h, "goodwill")) == 2);
    HARNESS_CHECK(json_array_size(harness_notes(h)) == 2);

    HARNESS_CHECK(harness_ask(h, TREATMENT, "look", json_pack("{s:s}", "subject", "C"), &answer) == CVM_REPLIED);
    HARNESS_CHECK(!cvm_json_bool(answer, "allowed", true));

    harness_run(h, DAY_MS);
    HARNESS_CHECK(grant(h, "C", &answer) == CVM_REPLIED); /* a new day, a new budget */
    HARNESS_CHECK(refused_by(h, "A", "TOO_SOON"));
    harness_run(h, 6 * DAY_MS);
    HARNESS_CHECK(grant(h, "A", &answer) == CVM_REPLIED);

    /* As a treatment of a campaign. */
    HARNESS_CHECK(harness_ask(h, TREATMENT, "describe", NULL, &answer) == CVM_REPLIED);
    const json_t *record = json_array_get(json_object_get(answer, "treatments"), 0);
    HARNESS_CHECK(strcmp(cvm_json_str(record, "id", ""), "goodwill_credit") == 0);
    HARNESS_CHECK(cvm_json_int(json_object_get(record, "constraints"), "max_per_day", 0) == 2);
    HARNESS_CHECK(harness_ask(h, TREATMENT, "check",
                              json_pack("{s:s, s:[{s:{s:s}}, {s:{s:s}}]}", "treatment_id", "goodwill_credit",
                                        "customers", "facts", "customer_id", "A", "facts", "customer_id", "D"),
                              &answer) == CVM_REPLIED);
    const json_t *verdicts = json_object_get(answer, "verdicts");
    HARNESS_CHECK(!cvm_json_bool(json_array_get(verdicts, 0), "eligible", true));
    HARNESS_CHECK(cvm_json_bool(json_array_get(verdicts, 1), "eligible", false));
    static const char *const become[] = {"sent", "failed"};
    for (int i = 0; i < 2; i++) {
        HARNESS_CHECK(harness_ask(h, TREATMENT, "apply",
                                  json_pack("{s:s, s:s}", "treatment_id", "goodwill_credit", "customer_id", "D"),
                                  &answer) == CVM_REPLIED);
        HARNESS_CHECK(strcmp(cvm_json_str(answer, "status", ""), become[i]) == 0);
    }

    harness_free(h);
    return harness_finish();
}
