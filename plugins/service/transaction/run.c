/* The runs of schedules: asks the seller when one is due, counts how it went, pauses after failures, reminds before a
 * renewal. An outcome that is not known yet is looked up until it is. Loop thread. */
#include "schedule.h"

#define RUN_TIMEOUT_MS INT64_C(330000)
#define LOOK_AGAIN_MS INT64_C(600000)
#define COOKIE_HI UINT64_C(0x534348) /* "SCH" */

static cvm_id cookie_of(const char *id)
{
    cvm_id cookie = {COOKIE_HI, 0};
    unsigned long long lo = 0;
    if (sscanf(id + 4, "%12llx", &lo) == 1)
        cookie.lo = lo;
    return cookie;
}

static int by_cookie(cvm_turn *t, cvm_id cookie, json_t **ret_schedule)
{
    char id[CVM_SHORT_ID_SIZE];
    if (cookie.hi != COOKIE_HI)
        return CVM_ENOENT;
    snprintf(id, sizeof id, "SCH-%012llx", (unsigned long long)cookie.lo & 0xffffffffffffULL);
    return schedule_load(t, id, ret_schedule);
}

static int tell(cvm_turn *t, const json_t *s, const char *template, const char *text)
{
    json_t *account = NULL;
    int e = account_find(t, record_str(s, "customer_id"), "", &account);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    e = tell_customer(t, record_str(s, "customer_id"), cvm_json_str(account, "phone", ""), template, text,
                      json_pack("{s:s}", "schedule_id", record_str(s, "schedule_id")));
    json_decref(account);
    return e;
}

/* ---- due ---- */

static int ask_seller(cvm_turn *t, const json_t *s)
{
    char key[64];
    struct date day = date_of(record_int(s, "next_ms")); /* of the run as planned, however late it is */
    json_t *order = json_copy(json_object_get(s, "order"));
    snprintf(key, sizeof key, "%s/%04d-%02d-%02d", record_str(s, "schedule_id"), day.year, day.month, day.day);
    json_object_set_new(order, "customer_id", json_string(record_str(s, "customer_id")));
    json_object_set_new(order, "idempotency_key", json_string(key));
    return cvm_request(
        t, record_str(s, "seller"), record_str(s, "operation"), order,
        &(cvm_request_opts){.on_behalf = cookie_of(record_str(s, "schedule_id")), .timeout_ms = RUN_TIMEOUT_MS});
}

static int count(cvm_turn *t, const cvm_msg *m, json_t *s, bool success, const char *why)
{
    int64_t failures = success ? 0 : record_int(s, "failures") + 1, most = saga_setting_ms(t, "schedule_failures", 3);
    json_object_set_new(s, "last_status", json_string(success ? "SUCCESS" : "FAILED"));
    json_object_set_new(s, "failures", json_integer(failures));
    json_object_del(s, "looking");
    if (success)
        json_object_del(s, "reason");
    else
        set_message(s, "reason", why);
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:I}", "chose", success ? "bought" : "not bought", "schedule_id",
                               record_str(s, "schedule_id"), "failures", (json_int_t)failures)));
    if (failures < most || strcmp(record_str(s, "status"), "active") != 0)
        return CVM_OK;
    char text[300];
    json_object_set_new(s, "status", json_string("paused"));
    snprintf(text, sizeof text, "Your %s purchase did not work %lld times and is paused. Last reason: %.120s",
             record_str(s, "every"), (long long)failures, why);
    CVM_TRY(schedule_disarm(t, m, s));
    return tell(t, s, "schedule_paused", text);
}

int schedule_due(cvm_turn *t, const cvm_msg *m)
{
    char at[TXN_TIME_SIZE];
    json_t *s = NULL;
    int e = schedule_load(t, cvm_json_str(m->data, "schedule_id", ""), &s);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (strcmp(record_str(s, "status"), "active") != 0)
        goto out;
    json_object_set_new(s, "last_run_at", json_string(time_text(cvm_now_ms(t), at)));
    json_object_set_new(s, "runs", json_integer(record_int(s, "runs") + 1));
    json_object_set_new(s, "last_status", json_string("PENDING"));
    e = ask_seller(t, s);
    if (e == CVM_ENOENT || e == CVM_EACCES)
        e = count(t, m, s, false, "nobody sells it at the moment");
    if (e >= 0 && strcmp(record_str(s, "status"), "active") == 0)
        e = schedule_arm(t, m, s);
    if (e >= 0)
        e = schedule_save(t, json_incref(s));
out:
    json_decref(s);
    return e;
}

/* ---- how it went ---- */

/* The transaction may still be under way: it is looked up until it has ended. */
static int look_later(cvm_turn *t, json_t *s, const char *transaction_id, int64_t delay_ms)
{
    json_object_set_new(s, "looking", json_string(transaction_id));
    return cvm_timer(t, "schedule_look", delay_ms, json_pack("{s:s}", "schedule_id", record_str(s, "schedule_id")),
                     (cvm_id){0, 0}, NULL);
}

int schedule_bought(cvm_turn *t, const cvm_msg *m)
{
    json_t *s = NULL;
    int e = by_cookie(t, m->on_behalf, &s);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *id = cvm_json_str(m->data, "transaction_id", "");
    const char *why = cvm_json_str(m->data, "error", cvm_json_str(m->data, "message", "not known"));
    if (*id)
        json_object_set_new(s, "last_transaction_id", json_string(id));
    if (m->outcome == CVM_REPLIED)
        e = count(t, m, s, true, "");
    else if (m->outcome != CVM_REFUSED && record_id_valid(id))
        e = look_later(t, s, id, RUN_TIMEOUT_MS + 60000);
    else
        e = count(t, m, s, false, why);
    if (e >= 0)
        e = schedule_save(t, json_incref(s));
    json_decref(s);
    return e;
}

int schedule_look(cvm_turn *t, const cvm_msg *m)
{
    char id[CVM_SHORT_ID_SIZE];
    json_t *s = NULL, *record = NULL;
    int e = schedule_load(t, cvm_json_str(m->data, "schedule_id", ""), &s);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    snprintf(id, sizeof id, "%.16s", record_str(s, "looking"));
    if (!*id)
        goto out;
    e = record_load(t, id, &record);
    if (e == CVM_ENOENT)
        e = count(t, m, s, false, "it was not finished in time");
    else if (e >= 0 && txn_is_final(record_state(record)))
        e = count(t, m, s, record_state(record) == TXN_SUCCESS, record_str(record, "message"));
    else if (e >= 0)
        e = look_later(t, s, id, LOOK_AGAIN_MS);
    if (e >= 0)
        e = schedule_save(t, json_incref(s));
out:
    json_decref(record);
    json_decref(s);
    return e;
}

int schedule_remind(cvm_turn *t, const cvm_msg *m)
{
    char text[300], at[TXN_TIME_SIZE];
    json_t *s = NULL;
    int e = schedule_load(t, cvm_json_str(m->data, "schedule_id", ""), &s);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (strcmp(record_str(s, "status"), "active") == 0) {
        time_text(record_int(s, "next_ms") + 3600000, at);
        snprintf(text, sizeof text, "Your plan renews on %.10s at %.5s. To stop it, reply CANCEL %s.", at, at + 11,
                 record_str(s, "schedule_id"));
        e = tell(t, s, "renewal_reminder", text);
    }
    json_decref(s);
    return e;
}
