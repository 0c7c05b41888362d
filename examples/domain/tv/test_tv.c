/* TvAgent turn by turn, without a host. */
#include <cvm/harness.h>

#define AGENT "tv.agent"
#define DAY_MS INT64_C(86400000)

static int renew(struct harness *h, const char *card, const char *package, const json_t **ret_answer)
{
    return harness_ask(h, AGENT, "renew", json_pack("{s:s, s:s}", "card", card, "package", package), ret_answer);
}

/* A step of a conversation as the desk begins it: what was understood stands in the context. */
static const json_t *converse(struct harness *h, const char *conversation, const char *intent, const char *words)
{
    const json_t *answer = NULL;
    json_t *context = harness_context(h, conversation);
    json_object_set_new(context, "intent", json_string(intent));
    json_object_set_new(context, "message", json_string(words));
    HARNESS_CHECK(harness_handle(h, conversation, AGENT, words, &answer) == CVM_REPLIED);
    return answer;
}

static bool says(const json_t *answer, const char *text)
{
    return strstr(cvm_json_str(answer, "content", ""), text) != NULL;
}

int main(void)
{
    struct harness *h = harness_new(0); /* 1 Jan 2026 */
    const json_t *answer = NULL;
    harness_add(h, &cvm_plugin, "tv.json");

    HARNESS_CHECK(renew(h, "7021334455", "FAMILY", &answer) == CVM_REPLIED);
    HARNESS_CHECK(strcmp(cvm_json_str(answer, "paid_until", ""), "31 Jan 2026") == 0);
    HARNESS_CHECK(renew(h, "7021334455", "SPORT", &answer) == CVM_REPLIED); /* from where it ends */
    HARNESS_CHECK(strcmp(cvm_json_str(answer, "paid_until", ""), "02 Mar 2026") == 0);
    HARNESS_CHECK(renew(h, "7021334455", "GOLD", &answer) == CVM_REFUSED);
    HARNESS_CHECK(renew(h, "70213344", "SPORT", &answer) == CVM_REFUSED); /* by the schema */

    HARNESS_CHECK(says(converse(h, "C-1", "RENEWAL", "renew 7021334466 family please"), "FAMILY is renewed until"));
    HARNESS_CHECK(says(converse(h, "C-2", "RENEWAL", "renew my tv"), "smart card"));
    HARNESS_CHECK(says(converse(h, "C-3", "INQUIRY", "how much is it?"), "3,500"));
    HARNESS_CHECK(!strcmp(cvm_json_str(converse(h, "C-4", "SUPPORT", "it smells"), "next", ""), "service.escalation"));

    /* What the build before stored is read, and goes on. */
    harness_state_put(h, AGENT, "card/7021000001", 1,
                      json_pack("{s:s, s:I}", "package", "BASIC", "paid_until_ms", (json_int_t)harness_now(h)));
    HARNESS_CHECK(renew(h, "7021000001", "BASIC", &answer) == CVM_REPLIED);
    HARNESS_CHECK(cvm_json_int(answer, "renewals", 0) == 2);
    HARNESS_CHECK(renew(h, "7021000001", "BASIC", &answer) == CVM_REPLIED);
    HARNESS_CHECK(strcmp(cvm_json_str(answer, "paid_until", ""), "05 Mar 2026") == 0); /* 30 + 33 days */

    harness_free(h);
    return harness_finish();
}
