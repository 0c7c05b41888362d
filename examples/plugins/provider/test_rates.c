/* RatesProvider without a host and without the service: fresh, remembered, old, none. */
#include <cvm/harness.h>

#define PROVIDER "rates.provider"

static cvm_id ask(struct harness *h)
{
    static int n;
    char conversation[16] = "ask-";
    conversation[4] = (char)('a' + n++);
    cvm_id id =
        harness_request(h, "", PROVIDER, "rate", conversation, json_pack("{s:s, s:s}", "base", "USD", "quote", "NGN"));
    harness_run(h, 0);
    return id;
}

static void service_says(struct harness *h, double rate)
{
    cvm_id call;
    HARNESS_CHECK(harness_call(h, &call) != NULL);
    HARNESS_CHECK(harness_answer_http(h, call, 200, json_pack("{s:{s:f}}", "rates", "NGN", rate)));
    harness_run(h, 0);
}

static void service_is_down(struct harness *h)
{
    cvm_id call;
    HARNESS_CHECK(harness_call(h, &call) != NULL);
    HARNESS_CHECK(harness_answer(h, call, CVM_ERROR, NULL));
    harness_run(h, 0);
}

int main(void)
{
    struct harness *h = harness_new(0);
    const json_t *answer = NULL;
    cvm_id id;
    harness_add(h, &cvm_plugin, "rates.json");

    id = ask(h);
    service_is_down(h);
    HARNESS_CHECK(harness_result(h, id, &answer) == CVM_REFUSED);

    id = ask(h);
    service_says(h, 1450.5);
    HARNESS_CHECK(harness_result(h, id, &answer) == CVM_REPLIED);
    HARNESS_CHECK(json_number_value(json_object_get(answer, "rate")) == 1450.5);

    id = ask(h); /* remembered: nobody is asked */
    HARNESS_CHECK(harness_result(h, id, &answer) == CVM_REPLIED);
    HARNESS_CHECK(harness_call(h, NULL) == NULL);

    harness_run(h, 601000);
    id = ask(h);
    service_is_down(h);
    HARNESS_CHECK(harness_result(h, id, &answer) == CVM_REPLIED);
    HARNESS_CHECK(cvm_json_bool(answer, "stale", false));

    id = ask(h);
    service_says(h, 1500);
    HARNESS_CHECK(harness_result(h, id, &answer) == CVM_REPLIED);
    HARNESS_CHECK(!cvm_json_bool(answer, "stale", true));

    harness_free(h);
    return harness_finish();
}
