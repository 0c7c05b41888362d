/* Which providers are left alone, and how long: back-off that doubles with each failure, what a server asks for, long
 * where only an operator can help. When its time is over one request is let through to try it. Loop thread. */
#include "llm.h"

#include <stdio.h>

#define FIRST_MS 1000
#define MOST_MS 300000
#define OPERATOR_MS 600000 /* no quota, a key that is refused */
#define PROBE_MS 90000     /* a request that tries it has ended by then, one way or another */

static void health_key(const char *provider, char key[CVM_STATE_KEY_MAX + 1])
{
    snprintf(key, CVM_STATE_KEY_MAX + 1, "health/%.100s", provider);
}

static int read(cvm_turn *t, const char *key, const json_t **ret_health)
{
    int e = cvm_state_get(t, key, ret_health);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int health_admit(cvm_turn *t, const char *provider, bool *ret_may, int64_t *ret_wait_ms)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *h = NULL;
    int64_t now = cvm_now_ms(t);
    health_key(provider, key);
    CVM_TRY(read(t, key, &h));
    int64_t until = cvm_json_int(h, "until_ms", 0), probe = cvm_json_int(h, "probe_ms", 0);
    *ret_may = !h || (until <= now && probe + PROBE_MS <= now);
    if (!*ret_may)
        *ret_wait_ms = until > now ? until - now : PROBE_MS;
    if (!h || !*ret_may)
        return CVM_OK;
    json_t *probing = json_copy((json_t *)(uintptr_t)h);
    json_object_set_new(probing, "probe_ms", json_integer(now));
    return cvm_state_put(t, key, probing);
}

/* What says nothing about the server itself: it answered, or was not asked. */
static bool is_sick(const char *failure)
{
    static const char *const sick[] = {FAIL_TIMEOUT, FAIL_CONNECTION, FAIL_RATE, FAIL_QUOTA,
                                       FAIL_SERVER,  FAIL_KEY,        FAIL_DOWN, FAIL_UNREADABLE};
    for (size_t i = 0; i < sizeof sick / sizeof *sick; i++)
        if (!strcmp(failure, sick[i]))
            return true;
    return false;
}

int health_tell(cvm_turn *t, const char *provider, const char *failure, int64_t retry_ms)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *h = NULL;
    health_key(provider, key);
    CVM_TRY(read(t, key, &h));
    if (!is_sick(failure)) {
        if (h)
            cvm_log(t, CVM_LOG_INFO, "%s works again", provider);
        return h ? cvm_state_del(t, key) : CVM_OK;
    }
    int64_t failures = cvm_json_int(h, "failures", 0) + 1, hold = FIRST_MS;
    for (int64_t i = 1; i < failures && hold < MOST_MS; i++)
        hold *= 2;
    hold = hold > MOST_MS ? MOST_MS : hold;
    if (!strcmp(failure, FAIL_QUOTA) || !strcmp(failure, FAIL_KEY))
        hold = OPERATOR_MS;
    if (retry_ms > 0) /* the server knows best, in both directions */
        hold = !strcmp(failure, FAIL_RATE) || retry_ms > hold ? retry_ms : hold;
    cvm_log(t, CVM_LOG_WARNING, "%s failed (%s), left alone for %lld ms", provider, failure, (long long)hold);
    return cvm_state_put(t, key,
                         json_pack("{s:I, s:I, s:I, s:s}", "failures", (json_int_t)failures, "until_ms",
                                   (json_int_t)(cvm_now_ms(t) + hold), "probe_ms", (json_int_t)0, "reason", failure));
}

static void unset_key(const char *provider, char key[CVM_STATE_KEY_MAX + 1])
{
    snprintf(key, CVM_STATE_KEY_MAX + 1, "unset/%.100s", provider);
}

int health_set_up(cvm_turn *t, const char *provider, const char *missing)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *was = NULL;
    unset_key(provider, key);
    CVM_TRY(read(t, key, &was));
    if ((was != NULL) == (missing != NULL))
        return CVM_OK;
    return missing ? cvm_state_put(t, key, json_string(missing)) : cvm_state_del(t, key);
}

json_t *health_status(cvm_turn *t, const char *provider)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *h = NULL, *unset = NULL;
    unset_key(provider, key);
    if (read(t, key, &unset) == CVM_OK && unset)
        return json_pack("{s:s, s:s, s:i, s:i, s:O}", "provider", provider, "state", "not set up", "failures", 0,
                         "held_ms", 0, "reason", unset);
    health_key(provider, key);
    if (read(t, key, &h) < 0)
        h = NULL;
    int64_t left = cvm_json_int(h, "until_ms", 0) - cvm_now_ms(t);
    return json_pack("{s:s, s:s, s:I, s:I, s:s}", "provider", provider, "state",
                     !h         ? "works"
                     : left > 0 ? "held"
                                : "to be tried",
                     "failures", (json_int_t)cvm_json_int(h, "failures", 0), "held_ms",
                     (json_int_t)(left > 0 ? left : 0), "reason", cvm_json_str(h, "reason", ""));
}
