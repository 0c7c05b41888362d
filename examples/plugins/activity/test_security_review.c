/* SecurityReviewAgent turn by turn, without a host. */
#include <cvm/harness.h>
#include <cvm/json.h>

static const json_t *checked(struct harness *h, json_t *steps)
{
    const json_t *answer = NULL;
    json_t *data = json_pack("{s:{s:s}, s:{s:{s:o}}}", "ticket", "ticket_id", "TICK1", "outputs", "analysis",
                             "resolution_steps", steps);
    HARNESS_CHECK(harness_ask(h, "review.security", "check", data, &answer) == CVM_REPLIED);
    return answer;
}

int main(void)
{
    struct harness *h = harness_new(0);
    harness_add(h, &cvm_plugin, "security_review.json");

    const json_t *answer = checked(h, json_pack("[s, s]", "Restart the pod", "kubectl delete pod NAME --force"));
    HARNESS_CHECK(strcmp(cvm_json_str(answer, "risk", ""), "high") == 0);
    HARNESS_CHECK(json_array_size(json_object_get(answer, "findings")) == 2);
    HARNESS_CHECK(cvm_json_int(json_array_get(json_object_get(answer, "findings"), 0), "step", 0) == 2);

    answer = checked(h, json_pack("[s]", "Compare the two ports"));
    HARNESS_CHECK(strcmp(cvm_json_str(answer, "risk", ""), "low") == 0);
    HARNESS_CHECK(cvm_json_int(answer, "reviewed_steps", 0) == 1);

    harness_free(h);
    return harness_finish();
}
