/* Messages on their way to a gateway (role:channel): tried, tried again after a while, then by the next channel. Owns
 * the state keys out/<id> -> record of a message that is not through yet; the row in `outbox` shows it. Without a
 * gateway the row is all there is: people read it there. Loop thread. */
#include "operations.h"

static int row_of(cvm_turn *t, const json_t *record, const char *status, const char *reference, const char *error)
{
    static const char *const copied[] = {
        "notification_id", "customer_id", "enquiry_id", "transaction_id", "template",    "channel",      "recipient",
        "subject",         "text",        "created_at", "conversation",   "sealed_code", "challenge_id", "number"};
    char at[TIME_SIZE];
    json_t *row = json_pack("{s:s, s:I, s:s, s:s, s:s}", "status", status, "attempts",
                            (json_int_t)cvm_json_int(record, "attempts", 0), "reference", reference, "error", error,
                            "updated_at", ops_time(cvm_now_ms(t), at));
    for (size_t i = 0; row && i < sizeof copied / sizeof *copied; i++)
        if (json_object_get(record, copied[i]))
            json_object_set(row, copied[i], json_object_get(record, copied[i]));
    CVM_TRY(cvm_metric(t, "notifications_total", status, 1));
    return row ? cvm_row_put(t, "outbox", row) : CVM_ENOMEM;
}

static int keep(cvm_turn *t, const json_t *record, bool open)
{
    char key[48];
    snprintf(key, sizeof key, "out/%s", cvm_json_str(record, "notification_id", ""));
    return open ? cvm_state_put(t, key, json_deep_copy(record)) : cvm_state_del(t, key);
}

static const json_t *way(const json_t *record)
{
    return json_array_get(json_object_get(record, "ways"), (size_t)cvm_json_int(record, "way", 0));
}

static void take_way(json_t *record, const json_t *chosen)
{
    json_object_set(record, "channel", json_object_get(chosen, "channel"));
    json_object_set(record, "recipient", json_object_get(chosen, "recipient"));
}

static int ask_gateway(cvm_turn *t, const json_t *record)
{
    json_t *data = json_pack("{s:s, s:s, s:s, s:s, s:s}", "channel", cvm_json_str(record, "channel", ""), "recipient",
                             cvm_json_str(record, "recipient", ""), "text", cvm_json_str(record, "text", ""), "subject",
                             cvm_json_str(record, "subject", ""), "key", cvm_json_str(record, "notification_id", ""));
    static const char *const code[] = {"sealed_code", "challenge_id", "number"}; /* the gateway opens it, or refuses */
    const char *named =
        cvm_json_str(json_object_get(cvm_settings(t), "channels"), cvm_json_str(record, "channel", ""), "");
    if (data && *named) { /* in the words of a channel plugin */
        json_object_set_new(data, "channel", json_string(named));
        json_object_set(data, "to", json_object_get(record, "recipient"));
        json_object_set(data, "reference", json_object_get(record, "notification_id"));
    }
    for (size_t i = 0; data && i < sizeof code / sizeof *code; i++)
        if (json_object_get(record, code[i]))
            json_object_set(data, code[i], json_object_get(record, code[i]));
    return cvm_request(t, "role:channel", "deliver", data,
                       &(cvm_request_opts){.on_behalf = ops_cookie(cvm_json_str(record, "notification_id", "")),
                                           .has_priority = true,
                                           .priority = CVM_LOW,
                                           .timeout_ms = cvm_json_int(cvm_settings(t), "gateway_timeout_ms", 15000)});
}

/* Tries the ways from the record's on, until a gateway takes it up. */
static int attempt(cvm_turn *t, json_t *record, const char *last_error)
{
    bool gateways = ops_has_role(t, "channel");
    for (const json_t *w; gateways && (w = way(record));) {
        take_way(record, w);
        int e = ask_gateway(t, record);
        if (e == CVM_OK) {
            json_object_set_new(record, "attempts", json_integer(cvm_json_int(record, "attempts", 0) + 1));
            CVM_TRY(keep(t, record, true));
            return row_of(t, record, "queued", "", last_error);
        }
        if (e != CVM_ENOENT)
            return e;
        json_object_set_new(record, "way", json_integer(cvm_json_int(record, "way", 0) + 1));
        json_object_set_new(record, "tries", json_integer(0));
    }
    bool tried = cvm_json_int(record, "attempts", 0) > 0;
    if (!tried) /* no gateway serves any of them: people read it as it was meant to go */
        take_way(record, json_array_get(json_object_get(record, "ways"), 0));
    CVM_TRY(keep(t, record, false));
    return row_of(t, record, tried ? "failed" : "written", "", last_error);
}

int deliver_begin(cvm_turn *t, json_t *record)
{
    take_way(record, way(record));
    int e = attempt(t, record, "");
    json_decref(record);
    return e;
}

/* CVM_ENOENT: it is through, or given up. Gives. */
static int load(cvm_turn *t, cvm_id cookie, json_t **ret_record)
{
    char id[CVM_SHORT_ID_SIZE], key[48];
    const json_t *kept = NULL;
    ops_short_id("NTF", cookie, id);
    snprintf(key, sizeof key, "out/%s", id);
    CVM_TRY(cvm_state_get(t, key, &kept));
    *ret_record = json_deep_copy(kept);
    return *ret_record ? CVM_OK : CVM_ENOMEM;
}

/* A gateway that says no is not asked again; trouble passes, so it is, later each time. */
static int failed(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    const json_t *settings = cvm_settings(t);
    int64_t tries = cvm_json_int(record, "tries", 0) + 1, most = cvm_json_int(settings, "tries", 3);
    int64_t wait_ms = cvm_json_int(settings, "back_off_ms", 2000);
    const char *why = cvm_json_str(m->data, "code", m->outcome == CVM_TIMEOUT ? "TIMEOUT" : "FAILED");
    json_object_set_new(record, "tries", json_integer(tries));
    if (m->outcome != CVM_REFUSED && tries < most) {
        for (int64_t i = 1; i < tries && wait_ms < 3600000; i++)
            wait_ms *= 4;
        CVM_TRY(keep(t, record, true));
        CVM_TRY(row_of(t, record, "queued", "", why));
        return cvm_timer(t, "again", wait_ms, NULL, m->on_behalf, NULL);
    }
    json_object_set_new(record, "way", json_integer(cvm_json_int(record, "way", 0) + 1));
    json_object_set_new(record, "tries", json_integer(0));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s}", "chose", way(record) ? "the next channel" : "to give up",
                               "notification_id", cvm_json_str(record, "notification_id", ""), "because", why)));
    return attempt(t, record, why);
}

int deliver_answered(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = load(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (m->outcome == CVM_REPLIED) {
        e = keep(t, record, false);
        if (e >= 0)
            e = row_of(t, record, "sent", cvm_json_str(m->data, "message_id", cvm_json_str(m->data, "provider_id", "")),
                       "");
    } else {
        e = failed(t, m, record);
    }
    json_decref(record);
    return e;
}

int deliver_again(cvm_turn *t, const cvm_msg *m)
{
    json_t *record = NULL;
    int e = load(t, m->on_behalf, &record);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    e = attempt(t, record, "");
    json_decref(record);
    return e;
}
