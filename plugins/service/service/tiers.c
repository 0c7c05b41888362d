/* How a customer is served: the tier that an operator set, or the higher one that what they bought in 90 days gives
 * (D-75); how a customer is reached. Owns the state keys spend/<customer> -> {day: kobo}. Loop thread. */
#include "service.h"

#define DAY_MS 86400000LL
#define DAYS 90

static const char *const tiers[] = {"BRONZE", "SILVER", "GOLD", "PLATINUM"};

static int rank(const char *tier)
{
    for (int i = 0; i < 4; i++)
        if (!strcmp(tiers[i], tier))
            return i;
    return 0;
}

static void spend_key(const char *customer, char ret_key[96])
{
    snprintf(ret_key, 96, "spend/%.64s", customer);
}

int tiers_of(cvm_turn *t, const char *customer, const char *set, char ret_tier[16])
{
    const json_t *days = NULL, *kobo, *steps = json_object_get(cvm_settings(t), "tier_spend_naira");
    const char *day;
    char key[96];
    int64_t sum = 0, today = cvm_now_ms(t) / DAY_MS;
    int least = rank(set);
    spend_key(customer, key);
    int e = cvm_state_get(t, key, &days);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_object_foreach((json_t *)(uintptr_t)days, day, kobo) if (today - strtoll(day, NULL, 10) < DAYS) sum +=
        json_integer_value(kobo);
    for (int i = 1; i < 4; i++) {
        int64_t naira = cvm_json_int(steps, tiers[i], 0);
        if (naira > 0 && sum >= naira * 100 && i > least)
            least = i;
    }
    snprintf(ret_tier, 16, "%s", tiers[least]);
    return CVM_OK;
}

/* Topic transaction.ended. */
int tiers_spent(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer_id", ""), *day;
    const json_t *kept = NULL, *kobo;
    char key[96], name[24];
    int64_t today = cvm_now_ms(t) / DAY_MS, sum = cvm_json_int(m->data, "total_kobo", 0);
    if (!*customer || sum <= 0 || strcmp(cvm_json_str(m->data, "status", ""), "SUCCESS") != 0)
        return CVM_OK;
    spend_key(customer, key);
    int e = cvm_state_get(t, key, &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *days = json_object();
    json_object_foreach((json_t *)(uintptr_t)kept, day, kobo) if (today - strtoll(day, NULL, 10) < DAYS)
        json_object_set_new(days, day, json_integer(json_integer_value(kobo)));
    snprintf(name, sizeof name, "%lld", (long long)today);
    json_object_set_new(days, name, json_integer(cvm_json_int(days, name, 0) + sum));
    return cvm_state_put(t, key, days);
}

int tiers_set(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer_id", ""), *tier = cvm_json_str(m->data, "tier", "");
    char tier_now[16];
    CVM_TRY(customers_set_tier(t, m, customer, tiers[rank(tier)]));
    CVM_TRY(tiers_of(t, customer, tiers[rank(tier)], tier_now));
    return cvm_reply(
        t, m,
        json_pack("{s:s, s:s, s:s}", "customer_id", customer, "set", tiers[rank(tier)], "customer_tier", tier_now));
}

/* For who writes to customers: where they are. */
int tiers_contact(cvm_turn *t, const cvm_msg *m)
{
    const json_t *record = NULL;
    char key[96];
    snprintf(key, sizeof key, "customer/%.64s", cvm_json_str(m->data, "customer_id", ""));
    int e = cvm_state_get(t, key, &record);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "customer_id", "There is no customer with this id.");
    if (e < 0)
        return e;
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:s, s:s, s:s*}", "phone", cvm_json_str(record, "phone", ""), "email",
                               cvm_json_str(record, "email", ""), "name", cvm_json_str(record, "name", ""), "language",
                               cvm_json_str(record, "language", "en"), "channel",
                               cvm_json_str(json_object_get(record, "session"), "channel", NULL)));
}
