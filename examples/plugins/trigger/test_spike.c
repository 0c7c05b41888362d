/* SpikeTrigger without a host: who matches, who just does not, and what is no sum. */
#include <cvm/harness.h>

#define TRIGGER "spike.trigger"

static int match(struct harness *h, const char *accounts, const json_t **ret_answer)
{
    json_t *data = json_pack("{s:o}", "accounts", json_loads(accounts, 0, NULL));
    return harness_ask(h, TRIGGER, "match", data, ret_answer);
}

int main(void)
{
    struct harness *h = harness_new(0);
    const json_t *answer = NULL;
    harness_add(h, &cvm_plugin, "spike.json");

    HARNESS_CHECK(match(h,
                        "[{\"id\": \"A\", \"now\": 4000, \"usual\": \"2000.00\"},"
                        " {\"id\": \"B\", \"now\": 3999.99, \"usual\": 2000},"
                        " {\"id\": \"C\", \"now\": 900, \"usual\": 100}]",
                        &answer) == CVM_REPLIED);
    HARNESS_CHECK(cvm_json_int(answer, "total_matches", -1) == 1);
    const json_t *found = json_array_get(json_object_get(answer, "matches"), 0);
    const json_t *evidence = json_array_get(json_object_get(found, "evidence"), 0);
    HARNESS_CHECK(strcmp(cvm_json_str(found, "id", ""), "A") == 0);
    HARNESS_CHECK(strcmp(cvm_json_str(evidence, "excerpt", ""), "4,000.00 this month, 2,000.00 usually") == 0);

    HARNESS_CHECK(match(h, "[{\"id\": \"A\", \"now\": 1.005, \"usual\": 2000}]", &answer) == CVM_REFUSED);
    HARNESS_CHECK(match(h, "[{\"id\": \"A\", \"usual\": 2000}]", &answer) == CVM_REFUSED);
    HARNESS_CHECK(strcmp(cvm_json_str(answer, "field", ""), "accounts[0].now") == 0);
    HARNESS_CHECK(harness_ask(h, TRIGGER, "describe", NULL, &answer) == CVM_REPLIED);
    HARNESS_CHECK(strcmp(cvm_json_str(answer, "key", ""), "bill_spike") == 0);

    harness_free(h);
    return harness_finish();
}
