/* What was spent today in all, by each agent and for each enquiry, and what may still be. The day is UTC's. What is
 * left of earlier days goes as new sums come. Loop thread. */
#include "llm.h"
#include "price.h"

#include <stdio.h>
#include <time.h>

#define NAME_BYTES 90
#define OLD_MAX 32 /* sums of earlier days that one call removes */

struct sum {
    char key[CVM_STATE_KEY_MAX + 1];
    int64_t limit; /* micro-dollars; 0: none */
};

static void day_of(cvm_turn *t, char day[16])
{
    time_t seconds = (time_t)(cvm_now_ms(t) / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(day, 16, "%Y-%m-%d", &tm);
}

/* Bytes of a name that a key has room for, not within a character. */
static int whole(const char *name)
{
    int n = (int)strnlen(name, NAME_BYTES);
    while (n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80)
        n--;
    return n;
}

/* The sums that a call counts to. */
static size_t sums_of(cvm_turn *t, const char *agent, const char *enquiry, struct sum sums[3])
{
    const json_t *settings = cvm_settings(t);
    const json_t *own = json_object_get(json_object_get(settings, "budget_agents_usd"), agent);
    char day[16];
    size_t n = 0;
    day_of(t, day);
    snprintf(sums[n].key, sizeof sums[n].key, "spent/%s/all", day);
    sums[n++].limit = price_micro(json_object_get(settings, "budget_day_usd"));
    if (*agent) {
        snprintf(sums[n].key, sizeof sums[n].key, "spent/%s/agent/%.*s", day, whole(agent), agent);
        sums[n++].limit = price_micro(own ? own : json_object_get(settings, "budget_agent_usd"));
    }
    if (*enquiry) {
        snprintf(sums[n].key, sizeof sums[n].key, "spent/%s/enquiry/%.*s", day, whole(enquiry), enquiry);
        sums[n++].limit = price_micro(json_object_get(settings, "budget_enquiry_usd"));
    }
    return n;
}

int budget_left(cvm_turn *t, const char *agent, const char *enquiry, int64_t *ret_micro)
{
    struct sum sums[3];
    size_t n = sums_of(t, agent, enquiry, sums);
    int64_t least = INT64_MAX, spent;
    for (size_t i = 0; i < n; i++) {
        CVM_TRY(cvm_state_int(t, sums[i].key, &spent));
        if (sums[i].limit && sums[i].limit - spent < least)
            least = sums[i].limit - spent;
    }
    *ret_micro = least < 0 ? 0 : least;
    return CVM_OK;
}

static int forget_old(cvm_turn *t)
{
    char day[16], today[32];
    json_t *pairs = NULL;
    size_t i;
    json_t *pair;
    int e = CVM_OK;
    day_of(t, day);
    snprintf(today, sizeof today, "spent/%s/", day);
    CVM_TRY(cvm_state_scan(t, "spent/", NULL, OLD_MAX, &pairs));
    json_array_foreach(pairs, i, pair)
    {
        const char *key = json_string_value(json_array_get(pair, 0));
        if (e >= 0 && strncmp(key, today, strlen(today)) != 0)
            e = cvm_state_del(t, key);
    }
    json_decref(pairs);
    return e;
}

int budget_spend(cvm_turn *t, const char *agent, const char *enquiry, int64_t micro)
{
    struct sum sums[3];
    size_t n = sums_of(t, agent, enquiry, sums);
    int64_t spent;
    if (micro <= 0)
        return CVM_OK;
    for (size_t i = 0; i < n; i++) {
        CVM_TRY(cvm_state_int(t, sums[i].key, &spent));
        if (i == 0 && !spent) /* the first of a day */
            CVM_TRY(forget_old(t));
        CVM_TRY(cvm_state_put_int(t, sums[i].key, spent + micro));
    }
    return CVM_OK;
}

int budget_status(cvm_turn *t, json_t **ret_status)
{
    struct sum sums[3];
    int64_t spent;
    sums_of(t, "", "", sums);
    CVM_TRY(cvm_state_int(t, sums[0].key, &spent));
    *ret_status = json_pack("{s:f, s:f}", "spent_usd", (double)spent / (double)MICRO, "budget_usd",
                            (double)sums[0].limit / (double)MICRO);
    return CVM_OK;
}
