/* WebhookChannel without a host and without a gateway: the test plays the gateway. */
#include <cvm/harness.h>

#define CHANNEL "webhook.channel"

static cvm_id deliver(struct harness *h, const char *reference)
{
    cvm_id id =
        harness_request(h, "", CHANNEL, "deliver", "c",
                        json_pack("{s:s, s:s, s:s}", "recipient", "ada", "text", "hello", "reference", reference));
    harness_run(h, 0);
    return id;
}

/* How a delivery ends when the gateway answers so. */
static int ends(struct harness *h, int status, json_t *body)
{
    cvm_id call, request = deliver(h, "R-1");
    HARNESS_CHECK(harness_call(h, &call) != NULL);
    HARNESS_CHECK(harness_answer_http(h, call, status, body));
    harness_run(h, 0);
    return harness_result(h, request, NULL);
}

int main(void)
{
    struct harness *h = harness_new(0);
    cvm_id call, request;
    harness_add(h, &cvm_plugin, "webhook.json");

    request = deliver(h, "R-1");
    const json_t *sent = harness_call(h, &call);
    HARNESS_CHECK(sent != NULL);
    HARNESS_CHECK(strcmp(cvm_json_str(sent, "key", ""), "R-1") == 0);
    HARNESS_CHECK(strstr(cvm_json_str(json_object_get(sent, "headers"), "Authorization", ""), "${WEBHOOK_TOKEN}") !=
                  NULL);
    HARNESS_CHECK(strcmp(cvm_json_str(json_object_get(sent, "body"), "text", ""), "hello") == 0);
    HARNESS_CHECK(harness_answer(h, call, CVM_UNKNOWN, NULL));
    harness_run(h, 0);
    HARNESS_CHECK(harness_result(h, request, NULL) == CVM_UNKNOWN);

    HARNESS_CHECK(ends(h, 201, json_pack("{s:s}", "id", "G-7")) == CVM_REPLIED);
    HARNESS_CHECK(ends(h, 400, NULL) == CVM_REFUSED);

    HARNESS_CHECK(harness_ask(h, CHANNEL, "receive", json_pack("{s:s, s:s}", "sender", "ada", "text", "hi"), NULL) ==
                  CVM_REPLIED);
    const json_t *all = harness_sent(h), *last = json_array_get(all, json_array_size(all) - 1);
    HARNESS_CHECK(strcmp(cvm_json_str(last, "kind", ""), "publish") == 0);

    harness_free(h);
    return harness_finish();
}
