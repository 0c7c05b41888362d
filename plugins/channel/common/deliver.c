/* See deliver.h. Loop thread. */
#include "deliver.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define REQUESTS_MAX 20 /* that wait for one message */
#define KEPT_DAYS 30
#define PRUNED_AT_ONCE 4
#define MOMENT_MS 2000
#define WAIT_SHIFT_MAX 5 /* a minute */
#define DAY_MS (24 * 3600 * INT64_C(1000))

static void ask_key(cvm_id cookie, char key[64])
{
    snprintf(key, 64, "ask/%016" PRIx64 "%016" PRIx64, cookie.hi, cookie.lo);
}

static void ref_key(const char *reference, char key[CVM_STATE_KEY_MAX])
{
    snprintf(key, CVM_STATE_KEY_MAX, "ref/%.*s", CHANNEL_REFERENCE_MAX, reference);
}

static void day_key(int64_t at_ms, const char *reference, char key[CVM_STATE_KEY_MAX])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    snprintf(key, CVM_STATE_KEY_MAX, "day/%04d%02d%02d/%.*s", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday,
             CHANNEL_REFERENCE_MAX, reference);
}

static json_t *id_json(cvm_id id)
{
    return json_pack("[I, I]", (json_int_t)id.hi, (json_int_t)id.lo);
}

static cvm_id id_of(const json_t *pair)
{
    return (cvm_id){(uint64_t)json_integer_value(json_array_get(pair, 0)),
                    (uint64_t)json_integer_value(json_array_get(pair, 1))};
}

bool channel_has_secret(cvm_turn *t, const char *name)
{
    const char *value = NULL;
    return cvm_secret(t, name, &value) == CVM_OK && *value;
}

/* ---- what is through ----------------------------------------------------------------------------------------------
 */

/* The oldest go, a few with each that comes. */
static int forget_old(cvm_turn *t, const char *today)
{
    char key[CVM_STATE_KEY_MAX];
    json_t *old = NULL, *pair;
    size_t i;
    int e = cvm_state_scan(t, "day/", NULL, PRUNED_AT_ONCE, &old);
    json_array_foreach(old, i, pair)
    {
        const char *at = json_string_value(json_array_get(pair, 0)), *reference = at ? strchr(at + 4, '/') : NULL;
        if (e < 0 || !reference || strcmp(at, today) >= 0)
            break;
        ref_key(reference + 1, key);
        e = cvm_state_del(t, key);
        if (e >= 0)
            e = cvm_state_del(t, at);
    }
    json_decref(old);
    return e;
}

static int remember(cvm_turn *t, const char *reference, const char *provider_id)
{
    char key[CVM_STATE_KEY_MAX], oldest[CVM_STATE_KEY_MAX];
    int64_t now = cvm_now_ms(t);
    day_key(now - KEPT_DAYS * DAY_MS, "", oldest);
    CVM_TRY(forget_old(t, oldest));
    day_key(now, reference, key);
    CVM_TRY(cvm_state_put(t, key, json_object()));
    ref_key(reference, key);
    return cvm_state_put(t, key, json_pack("{s:s, s:s}", "status", "sent", "provider_id", provider_id));
}

/* ---- under way -----------------------------------------------------------------------------------------------------
 */

/* The message that the answer or timer `m` is about; both given. CVM_ENOENT: it is over. */
static int load(cvm_turn *t, const cvm_msg *m, char ret_key[CVM_STATE_KEY_MAX], json_t **ret_record)
{
    char ask[64];
    const json_t *reference = NULL, *kept = NULL;
    ask_key(m->on_behalf, ask);
    CVM_TRY(cvm_state_get(t, ask, &reference));
    ref_key(json_string_value(reference), ret_key);
    CVM_TRY(cvm_state_get(t, ret_key, &kept));
    *ret_record = json_deep_copy(kept);
    return *ret_record ? CVM_OK : CVM_ENOMEM;
}

static int settle_all(cvm_turn *t, const json_t *record, int outcome, const json_t *answer)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(record, "requests"), i, one)
    {
        int e = cvm_settle(t, id_of(one), outcome, cvm_json_share(answer), NULL);
        if (e < 0 && e != CVM_ENOENT) /* who asked has gone */
            return e;
    }
    return CVM_OK;
}

static int end(cvm_turn *t, const cvm_msg *m, int outcome, json_t *answer)
{
    char ask[64], key[CVM_STATE_KEY_MAX];
    json_t *record = NULL;
    int e = answer ? load(t, m, key, &record) : CVM_ENOMEM;
    if (outcome != CVM_REPLIED && cvm_json_bool(record, "doubtful", false))
        outcome = CVM_UNKNOWN; /* what became of the second says nothing of the first */
    ask_key(m->on_behalf, ask);
    if (e >= 0)
        e = cvm_state_del(t, ask);
    if (e >= 0)
        e = outcome == CVM_REPLIED ? remember(t, key + strlen("ref/"), cvm_json_str(answer, "provider_id", ""))
                                   : cvm_state_del(t, key); /* may be given once more */
    if (e >= 0)
        e = settle_all(t, record, outcome, answer);
    json_decref(record);
    json_decref(answer);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int channel_sent(cvm_turn *t, const cvm_msg *m, const char *provider_id)
{
    return end(t, m, CVM_REPLIED, json_pack("{s:s, s:s}", "status", "sent", "provider_id", provider_id));
}

int channel_failed(cvm_turn *t, const cvm_msg *m, int outcome, const char *code, const char *text)
{
    return end(t, m, outcome, json_pack("{s:s, s:n, s:s}", "code", code, "field", "message", text));
}

static int wait_for(cvm_turn *t, const cvm_msg *m, const char *key, json_t *record, int64_t wait_ms)
{
    CVM_TRY(cvm_state_put(t, key, json_incref(record)));
    return cvm_timer(t, "again", wait_ms, NULL, m->on_behalf, NULL);
}

int channel_unknown(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX];
    json_t *record = NULL;
    int e = load(t, m, key, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (cvm_json_bool(record, "doubtful", false)) {
        e = channel_failed(t, m, CVM_UNKNOWN, "UNKNOWN", "It is not known whether the message has arrived.");
    } else {
        json_object_set_new(record, "doubtful", json_true());
        e = cvm_note(
            t, "decision",
            json_pack("{s:s, s:s}", "chose", "to send once more", "because", "nobody knows whether it has arrived"));
        if (e >= 0)
            e = wait_for(t, m, key, record, MOMENT_MS);
    }
    json_decref(record);
    return e;
}

int channel_later(cvm_turn *t, const cvm_msg *m, int64_t wait_ms, const char *text)
{
    char key[CVM_STATE_KEY_MAX];
    json_t *record = NULL;
    int e = load(t, m, key, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    int64_t attempts = cvm_json_int(record, "attempts", 0);
    if (!wait_ms)
        wait_ms = MOMENT_MS << (attempts < WAIT_SHIFT_MAX ? attempts : WAIT_SHIFT_MAX);
    json_object_set_new(record, "attempts", json_integer(attempts + 1));
    if (cvm_now_ms(t) + wait_ms < cvm_json_int(record, "until_ms", 0))
        e = wait_for(t, m, key, record, wait_ms);
    else
        e = channel_failed(t, m, CVM_ERROR, "NOT_SENT", text);
    json_decref(record);
    return e;
}

int channel_again(cvm_turn *t, const cvm_msg *m, channel_send send)
{
    char key[CVM_STATE_KEY_MAX];
    json_t *record = NULL;
    int e = load(t, m, key, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    int64_t until = cvm_json_int(record, "until_ms", 0), now = cvm_now_ms(t);
    e = send(t, m->on_behalf, json_object_get(record, "data"), until > now + 1000 ? until : now + 1000);
    if (e == CVM_EINVAL || e == CVM_ENOENT) /* the settings are not what they were */
        e = channel_failed(t, m, CVM_ERROR, "NOT_SENT", "The channel's settings do not allow it any more.");
    json_decref(record);
    return e;
}

/* ---- a message comes -----------------------------------------------------------------------------------------------
 */

/* The same reference again: what is through is through; what is under way has one more who waits. */
static int known(cvm_turn *t, const cvm_msg *m, const char *key, const json_t *kept)
{
    if (!json_object_get(kept, "requests"))
        return m->requires_response ? cvm_reply(t, m, cvm_json_share(kept)) : CVM_OK;
    if (!m->requires_response)
        return CVM_OK;
    if (json_array_size(json_object_get(kept, "requests")) >= REQUESTS_MAX)
        return cvm_refuse(t, "BUSY", "reference", "Too many wait for this message already.");
    json_t *record = json_deep_copy(kept);
    if (!record)
        return CVM_ENOMEM;
    json_array_append_new(json_object_get(record, "requests"), id_json(m->id));
    CVM_TRY(cvm_state_put(t, key, record));
    return CVM_PENDING;
}

int channel_deliver(cvm_turn *t, const cvm_msg *m, channel_send send)
{
    char ask[64], key[CVM_STATE_KEY_MAX];
    const char *reference = cvm_json_str(m->data, "reference", "");
    const json_t *kept = NULL;
    int64_t until = cvm_now_ms(t) + cvm_json_int(cvm_settings(t), "deadline_s", 300) * 1000;
    if (!*reference || strlen(reference) > CHANNEL_REFERENCE_MAX) /* of a component, which no schema checks */
        return cvm_refuse(t, "INVALID", "reference", "A reference has 1 to 100 bytes.");
    ref_key(reference, key);
    int e = cvm_state_get(t, key, &kept);
    if (e >= 0)
        return known(t, m, key, kept);
    if (e != CVM_ENOENT)
        return e;
    CVM_TRY(send(t, m->id, m->data, until));
    json_t *record =
        json_pack("{s:O, s:[o], s:I}", "data", m->data, "requests", id_json(m->id), "until_ms", (json_int_t)until);
    if (!record)
        return CVM_ENOMEM;
    CVM_TRY(cvm_state_put(t, key, record));
    ask_key(m->id, ask);
    CVM_TRY(cvm_state_put(t, ask, json_string(reference)));
    return m->requires_response ? CVM_PENDING : CVM_OK;
}
