/* SpikeTrigger: whose bill this month is far above the usual one. Shows a batch, money in integers, evidence and
 * reasoning with every match. It is handed what it needs and keeps nothing. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <cvm/money.h>

#define TEXT_SIZE 160

/* Operation "describe". */
static int describe(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:{s:O}}", "key", "bill_spike", "description",
                               "Accounts whose bill is far above the usual one", "parameters", "percent",
                               json_object_get(cvm_settings(t), "percent")));
}

/* One account: a match, NULL for none, or CVM_EINVAL for sums that are no sums. */
static int look_at(const json_t *account, int64_t percent, int64_t least, json_t **ret_match)
{
    int64_t now, usual;
    char a[32], b[32], excerpt[TEXT_SIZE], reasoning[TEXT_SIZE];
    const char *id = cvm_json_str(account, "id", "");
    CVM_TRY(cvm_money_from_json(json_object_get(account, "now"), &now));
    CVM_TRY(cvm_money_from_json(json_object_get(account, "usual"), &usual));
    *ret_match = NULL;
    if (now < least || usual <= 0 || now * 100 < usual * percent)
        return CVM_OK;
    snprintf(excerpt, sizeof excerpt, "%s this month, %s usually", cvm_money_text(now, a, sizeof a),
             cvm_money_text(usual, b, sizeof b));
    snprintf(reasoning, sizeof reasoning, "%lld%% of the usual bill; from %lld%% on it is looked at",
             (long long)(now * 100 / usual), (long long)percent);
    *ret_match = json_pack("{s:s, s:[{s:s, s:s, s:s}], s:s}", "id", id, "evidence", "source", "billing", "ref", id,
                           "excerpt", excerpt, "reasoning", reasoning);
    return CVM_OK;
}

/* Operation "match". */
static int match(cvm_turn *t, const cvm_msg *m)
{
    const json_t *accounts = json_object_get(m->data, "accounts");
    int64_t percent = cvm_json_int(m->data, "percent", cvm_json_int(cvm_settings(t), "percent", 200)), least = 0;
    json_t *matches = json_array(), *found;
    int e = cvm_money_from_json(json_object_get(cvm_settings(t), "least"), &least);
    for (size_t i = 0; e == CVM_OK && i < json_array_size(accounts); i++) {
        e = look_at(json_array_get(accounts, i), percent, least, &found);
        if (e == CVM_OK && found)
            json_array_append_new(matches, found);
    }
    if (e < 0) {
        json_decref(matches);
        return cvm_refuse(t, "INVALID", "accounts", "A sum is a number with at most two decimals, or such a text.");
    }
    json_t *body = json_pack("{s:I, s:o}", "total_matches", (json_int_t)json_array_size(matches), "matches", matches);
    return cvm_reply(t, m, body);
}

static const cvm_component components[] = {{.id = "spike.trigger", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"spike.trigger", "describe", describe}, {"spike.trigger", "match", match}, {0}};
CVM_PLUGIN(.name = "spike", .version = "1.0.0", .components = components, .routes = routes);
