/* Recurring purchases: the record of each, its timers, and what operators and agents may do with it. A run is an
 * ordinary purchase, asked of the seller under a key of its own; see run.c. Owns the state keys sch/ and renews/ and
 * the table `schedules`. Each schedule has a conversation of its own, in which its timers fire. Loop thread. */
#include "schedule.h"
#include <stdlib.h>

#define SCHEDULE_AHEAD_MAX_MS (366 * TXN_DAY_MS) /* a timer reaches 400 days */

static bool id_valid(const char *id)
{
    return strlen(id) == 16 && strncmp(id, "SCH-", 4) == 0 && strspn(id + 4, "0123456789abcdef") == 12;
}

int schedule_load(cvm_turn *t, const char *id, json_t **ret_schedule)
{
    char key[32];
    const json_t *stored = NULL;
    if (!id_valid(id))
        return CVM_ENOENT;
    snprintf(key, sizeof key, "sch/%s", id);
    CVM_TRY(cvm_state_get(t, key, &stored));
    json_t *copy = json_copy((json_t *)(uintptr_t)stored);
    if (!copy)
        return CVM_ENOMEM;
    *ret_schedule = copy;
    return CVM_OK;
}

int schedule_save(cvm_turn *t, json_t *s)
{
    static const char *const texts[] = {
        "schedule_id", "customer_id", "seller",      "kind",   "every",      "at",          "start",
        "status",      "service",     "last_status", "reason", "created_at", "last_run_at", "last_transaction_id"};
    char key[32], at[TXN_TIME_SIZE];
    json_t *row = json_pack("{s:I, s:I, s:O, s:s}", "failures", (json_int_t)record_int(s, "failures"), "runs",
                            (json_int_t)record_int(s, "runs"), "order", json_object_get(s, "order"), "conversation",
                            record_str(s, "schedule_id"));
    if (!row)
        return CVM_ENOMEM;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (*record_str(s, texts[i]))
            json_object_set_new(row, texts[i], json_string(record_str(s, texts[i])));
    if (record_int(s, "next_ms"))
        json_object_set_new(row, "next_run_at", json_string(time_text(record_int(s, "next_ms"), at)));
    CVM_TRY(cvm_row_put(t, "schedules", row));
    snprintf(key, sizeof key, "sch/%s", record_str(s, "schedule_id"));
    return cvm_state_put(t, key, s);
}

/* ---- timers ---- */

static int disarm(cvm_turn *t, const cvm_msg *m, json_t *s, const char *which)
{
    cvm_id timer = id_from_text(record_str(s, which));
    json_object_del(s, which);
    if (cvm_id_is_none(timer) || cvm_id_eq(timer, m->id))
        return CVM_OK;
    int e = cvm_timer_cancel(t, timer);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int arm(cvm_turn *t, json_t *s, const char *which, const char *type, int64_t at_ms)
{
    char text[33];
    cvm_id timer;
    int64_t delay = at_ms - cvm_now_ms(t);
    CVM_TRY(cvm_timer(t, type, delay > 0 ? delay : 0, json_pack("{s:s}", "schedule_id", record_str(s, "schedule_id")),
                      (cvm_id){0, 0}, &timer));
    id_to_text(timer, text);
    json_object_set_new(s, which, json_string(text));
    return CVM_OK;
}

int schedule_disarm(cvm_turn *t, const cvm_msg *m, json_t *s)
{
    CVM_TRY(disarm(t, m, s, "timer"));
    json_object_del(s, "next_ms");
    return disarm(t, m, s, "reminder");
}

int schedule_arm(cvm_turn *t, const cvm_msg *m, json_t *s)
{
    struct date anchor;
    enum period period;
    int minute;
    int64_t now = cvm_now_ms(t), remind = saga_setting_ms(t, "remind_before_s", 86400) * 1000;
    if (period_parse(record_str(s, "every"), &period) < 0 || date_parse(record_str(s, "start"), &anchor) < 0 ||
        clock_parse(record_str(s, "at"), &minute) < 0)
        return CVM_EDATA;
    CVM_TRY(schedule_disarm(t, m, s));
    int64_t after = record_int(s, "after_ms");
    int64_t next = period_next(period, anchor, minute, after > now ? after : now);
    json_object_set_new(s, "next_ms", json_integer(next));
    CVM_TRY(arm(t, s, "timer", "schedule_due", next));
    if (strcmp(record_str(s, "kind"), "auto_renewal") == 0 && next - remind > now)
        CVM_TRY(arm(t, s, "reminder", "schedule_remind", next - remind));
    return CVM_OK;
}

static json_t *view(const json_t *s)
{
    char at[TXN_TIME_SIZE];
    json_t *v = json_pack("{s:s, s:s, s:s, s:s, s:s}", "schedule_id", record_str(s, "schedule_id"), "status",
                          record_str(s, "status"), "customer_id", record_str(s, "customer_id"), "every",
                          record_str(s, "every"), "kind", record_str(s, "kind"));
    if (v && record_int(s, "next_ms"))
        json_object_set_new(v, "next_run_at", json_string(time_text(record_int(s, "next_ms"), at)));
    return v;
}

static int resume(cvm_turn *t, const cvm_msg *m, json_t *s)
{
    json_object_set_new(s, "status", json_string("active"));
    json_object_set_new(s, "failures", json_integer(0));
    json_object_del(s, "reason");
    return schedule_arm(t, m, s);
}

/* ---- operation schedule_add ---- */

static const struct {
    const char *service, *seller, *operation;
} services[] = {{"airtime", "service.airtime_sales", "process_purchase"},
                {"data", "service.data_sales", "activate_bundle"},
                {"power", "service.power_sales", "purchase_token"}};

/* What the seller is asked, without the payer. Gives; NULL: nothing was named. */
static json_t *order_of(const json_t *data)
{
    static const char *const members[] = {"network", "recipient_phone", "amount",
                                          "disco",   "meter_number",    "bundle_code"};
    const json_t *given = json_object_get(data, "order");
    json_t *order = given ? json_copy((json_t *)(uintptr_t)given) : json_object();
    for (size_t i = 0; order && i < sizeof members / sizeof members[0]; i++)
        if (json_object_get(data, members[i]))
            json_object_set_new(order, members[i], cvm_json_share(json_object_get(data, members[i])));
    if (json_object_size(order))
        return order;
    json_decref(order);
    return NULL;
}

/* *ret_after_ms: when the first run may be, untouched where a first day is named. */
static int check_times(cvm_turn *t, const json_t *data, char ret_start[16], int64_t *ret_after_ms)
{
    struct date date;
    enum period period;
    int minute;
    const char *start = cvm_json_str(data, "start", "");
    if (period_parse(cvm_json_str(data, "every", ""), &period) < 0)
        return cvm_refuse(t, "PERIOD", "every", "the period must be daily, weekly or monthly");
    if (clock_parse(cvm_json_str(data, "at", "08:00"), &minute) < 0)
        return cvm_refuse(t, "TIME", "at", "the time must be one such as 08:00, as it is in Lagos");
    if (*start && date_parse(start, &date) < 0)
        return cvm_refuse(t, "DATE", "start", "the first day must be one such as 2026-11-30");
    if (*start) {
        if (date_at(date, 0) > cvm_now_ms(t) + SCHEDULE_AHEAD_MAX_MS)
            return cvm_refuse(t, "DATE", "start", "the first day must be within a year");
        snprintf(ret_start, 16, "%.10s", start);
        return CVM_OK;
    }
    date = date_of(cvm_now_ms(t)); /* one period from today */
    snprintf(ret_start, 16, "%04d-%02d-%02d", date.year, date.month, date.day);
    *ret_after_ms = date_at(date, 24 * 60) - 1;
    return CVM_OK;
}

/* The state key under which the renewal of this order for this customer is found. */
static int renewal_key(cvm_turn *t, const char *customer, const char *seller, const json_t *order,
                       char ret_key[CVM_STATE_KEY_MAX + 1])
{
    uint8_t hash[32];
    char *text = json_dumps(order, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return CVM_ENOMEM;
    int e = t->host->hmac_sha256(t, seller, strlen(seller), text, strlen(text), hash);
    free(text);
    CVM_TRY(e);
    int n = snprintf(ret_key, CVM_STATE_KEY_MAX + 1, "renews/%.64s/", customer);
    for (int i = 0; i < 16; i++)
        n += snprintf(ret_key + n, CVM_STATE_KEY_MAX + 1 - (size_t)n, "%02x", hash[i]);
    return CVM_OK;
}

/* A bundle is renewed by one schedule, however often that is asked for. CVM_ENOENT: there is none yet. */
static int renewed_already(cvm_turn *t, const cvm_msg *m, const char *key)
{
    const json_t *id = NULL;
    json_t *s = NULL;
    CVM_TRY(cvm_state_get(t, key, &id));
    CVM_TRY(schedule_load(t, json_string_value(id), &s));
    int e = strcmp(record_str(s, "status"), "cancelled") == 0 ? CVM_ENOENT : CVM_OK;
    if (e == CVM_OK && strcmp(record_str(s, "status"), "paused") == 0)
        e = resume(t, m, s);
    if (e >= 0 && (e = schedule_save(t, json_incref(s))) >= 0)
        e = cvm_reply(t, m, view(s));
    json_decref(s);
    return e;
}

int schedule_add(cvm_turn *t, const cvm_msg *m)
{
    char id[CVM_SHORT_ID_SIZE], start[16], at[TXN_TIME_SIZE], renews[CVM_STATE_KEY_MAX + 1] = "";
    const char *customer = cvm_json_str(m->data, "customer", ""), *service = cvm_json_str(m->data, "service", "");
    const char *named = cvm_json_str(m->data, "seller", ""), *operation = "process_purchase", *seller = NULL;
    json_t *account = NULL, *order = NULL, *s;
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        bool hit = *named ? saga_seller(t, named) && strcmp(saga_seller(t, named), services[i].seller) == 0
                          : strcmp(service, services[i].service) == 0;
        if (hit) {
            operation = services[i].operation;
            service = services[i].service;
            seller = saga_seller(t, services[i].seller);
        }
    }
    if (*named && !seller)
        seller = saga_seller(t, named);
    if (!seller)
        return cvm_refuse(t, "SELLER", *named ? "seller" : "service", "nobody here sells this");
    int64_t after_ms = 0;
    CVM_TRY(check_times(t, m->data, start, &after_ms));
    int e = account_find(t, customer, customer, &account);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "customer", "no account with this customer id or phone number");
    if (e < 0)
        return e;
    if (!(order = order_of(m->data))) {
        json_decref(account);
        return cvm_refuse(t, "ORDER", "order", "say what is to be bought, such as network, recipient_phone and amount");
    }
    if (strcmp(cvm_json_str(m->data, "kind", ""), "auto_renewal") == 0) {
        if ((e = renewal_key(t, cvm_json_str(account, "customer_id", ""), seller, order, renews)) < 0 ||
            (e = renewed_already(t, m, renews)) != CVM_ENOENT)
            goto out;
    }
    if ((e = cvm_new_id(t, "SCH", id)) < 0 || (*renews && (e = cvm_state_put(t, renews, json_string(id))) < 0))
        goto out;
    s = json_pack("{s:s, s:s, s:s, s:s, s:s*, s:O, s:s, s:s, s:s, s:s, s:s, s:s}", "schedule_id", id, "customer_id",
                  cvm_json_str(account, "customer_id", ""), "seller", seller, "operation", operation, "service",
                  *service ? service : NULL, "order", order, "every", cvm_json_str(m->data, "every", ""), "at",
                  cvm_json_str(m->data, "at", "08:00"), "start", start, "kind", cvm_json_str(m->data, "kind", "top_up"),
                  "status", "active", "created_at", time_text(cvm_now_ms(t), at));
    if (!s) {
        e = CVM_ENOMEM;
        goto out;
    }
    if (after_ms)
        json_object_set_new(s, "after_ms", json_integer(after_ms));
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_REQUEST,
                   .to = TXN_SELF,
                   .type = "open_schedule",
                   .data = s,
                   .conversation = id,
                   .fresh = 1,
                   .on_behalf = m->id,
                   .priority = -1};
    e = t->host->emit(t, &out, NULL);
    if (e >= 0)
        e = CVM_PENDING;
out:
    json_decref(order);
    json_decref(account);
    return e;
}

/* In the schedule's own conversation. */
int schedule_opened(cvm_turn *t, const cvm_msg *m)
{
    if (strcmp(m->sender, TXN_SELF) != 0)
        return cvm_refuse(t, "NOT_ALLOWED", NULL, "schedules are made with schedule_add");
    json_t *s = json_copy((json_t *)(uintptr_t)m->data);
    int e = schedule_arm(t, m, s);
    if (e >= 0)
        e = cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s}", "chose", "schedule", "schedule_id", record_str(s, "schedule_id"),
                               "every", record_str(s, "every")));
    if (e >= 0 && (e = schedule_save(t, json_incref(s))) >= 0)
        e = cvm_reply(t, m, view(s));
    json_decref(s);
    return e;
}

int schedule_passed(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
}

/* ---- operations schedule_cancel, schedule_pause, schedule_resume ---- */

static int changed(cvm_turn *t, const cvm_msg *m, json_t *s)
{
    const char *status = record_str(s, "status");
    bool cancel = strcmp(m->type, "schedule_cancel") == 0, pause = strcmp(m->type, "schedule_pause") == 0;
    if (strcmp(status, "cancelled") == 0 && !cancel)
        return cvm_refuse(t, "CANCELLED", "schedule_id", "the schedule was cancelled; add a new one");
    if (cancel || pause) {
        CVM_TRY(schedule_disarm(t, m, s));
        json_object_set_new(s, "status", json_string(cancel ? "cancelled" : "paused"));
    } else if (strcmp(status, "paused") == 0) {
        CVM_TRY(resume(t, m, s));
    }
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s}", "chose", record_str(s, "status"), "schedule_id",
                               record_str(s, "schedule_id"), "because", m->type)));
    CVM_TRY(schedule_save(t, json_incref(s)));
    return cvm_reply(t, m, view(s));
}

int schedule_change(cvm_turn *t, const cvm_msg *m)
{
    json_t *s = NULL;
    const char *customer = cvm_json_str(m->data, "customer", "");
    int e = schedule_load(t, cvm_json_str(m->data, "schedule_id", ""), &s);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (!s || (*customer && strcmp(customer, record_str(s, "customer_id")) != 0)) {
        json_decref(s);
        return cvm_refuse(t, "NOT_FOUND", "schedule_id", "no schedule with this id");
    }
    e = changed(t, m, s);
    json_decref(s);
    return e;
}

int schedule_list(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", "");
    json_t *where = json_object(), *account = NULL;
    static const char *const asked[] = {"status", "kind"};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        if (json_object_get(m->data, asked[i]))
            json_object_set(where, asked[i], json_object_get(m->data, asked[i]));
    if (*customer) {
        int e = account_find(t, customer, customer, &account);
        if (e < 0) {
            json_decref(where);
            return e == CVM_ENOENT ? cvm_refuse(t, "NOT_FOUND", "customer", "no account with this customer id or phone")
                                   : e;
        }
        json_object_set_new(where, "customer_id", json_string(cvm_json_str(account, "customer_id", "")));
        json_decref(account);
    }
    return lookup_table(t, m, "schedules", where, "-created_at");
}
