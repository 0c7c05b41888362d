/* CallbackAgent turn by turn, without a host and without waiting. */
#include <cvm/harness.h>
#include <stdio.h>

#define MINUTE_MS INT64_C(60000)
#define AGENT "callback.agent"

static void asks(struct harness *h, const char *who, int minutes, char ret_id[64])
{
    const json_t *answer = NULL;
    json_t *data = json_pack("{s:s, s:i}", "who", who, "minutes", minutes);
    HARNESS_CHECK(harness_ask(h, AGENT, "request", data, &answer) == CVM_REPLIED);
    snprintf(ret_id, 64, "%s", cvm_json_str(answer, "callback_id", ""));
}

int main(void)
{
    struct harness *h = harness_new(0);
    const json_t *answer = NULL;
    char ada[64], bola[64];
    harness_add(h, &cvm_plugin, "callback.json");

    asks(h, "ada", 10, ada);
    asks(h, "bola", 20, bola);
    HARNESS_CHECK(harness_ask(h, AGENT, "list", NULL, &answer) == CVM_REPLIED);
    HARNESS_CHECK(json_array_size(json_object_get(answer, "callbacks")) == 2);
    HARNESS_CHECK(json_array_size(harness_timers(h)) == 2);

    HARNESS_CHECK(harness_ask(h, AGENT, "cancel", json_pack("{s:s}", "callback_id", bola), NULL) == CVM_REPLIED);
    HARNESS_CHECK(harness_ask(h, AGENT, "cancel", json_pack("{s:s}", "callback_id", bola), NULL) == CVM_REFUSED);
    HARNESS_CHECK(json_array_size(harness_timers(h)) == 1);

    harness_run(h, 9 * MINUTE_MS);
    HARNESS_CHECK(json_array_size(harness_sent(h)) == 0);
    harness_run(h, 30 * MINUTE_MS);
    HARNESS_CHECK(json_array_size(harness_sent(h)) == 1);
    const json_t *sent = json_array_get(harness_sent(h), 0);
    HARNESS_CHECK(strcmp(cvm_json_str(sent, "type", ""), "callback.due") == 0);
    HARNESS_CHECK(strcmp(cvm_json_str(json_object_get(sent, "data"), "who", ""), "ada") == 0);
    HARNESS_CHECK(json_object_size(harness_state(h, AGENT)) == 0);

    HARNESS_CHECK(harness_handle(h, "C-1", AGENT, "Please call me in 2 hours", &answer) == CVM_REPLIED);
    HARNESS_CHECK(strstr(cvm_json_str(answer, "content", ""), "in 120 minutes") != NULL);
    HARNESS_CHECK(harness_handle(h, "C-2", AGENT, "Please call me", &answer) == CVM_REPLIED);
    HARNESS_CHECK(!cvm_json_bool(answer, "end", true));

    harness_free(h);
    return harness_finish();
}
