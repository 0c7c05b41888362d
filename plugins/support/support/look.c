/* What is known of tickets: read from the tables, which have what is committed of open and of closed ones. Loop
 * thread. */
#include "support.h"

#include <stdio.h>

int look_status(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(ask_ticket(t, m->id, cvm_json_str(m->data, "ticket_id", ""), "status", NULL));
    return CVM_PENDING;
}

int look_list(cvm_turn *t, const cvm_msg *m)
{
    static const char *const members[] = {"status", "customer_id"};
    cvm_query q = {.size = sizeof q,
                   .table = "support_tickets",
                   .where = json_object(),
                   .order_by = "-created_at",
                   .limit = cvm_json_int(m->data, "limit", 100),
                   .on_behalf = m->id,
                   .with = json_pack("{s:s}", "what", "list")};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_object_get(m->data, members[i]))
            json_object_set(q.where, members[i], json_object_get(m->data, members[i]));
    CVM_TRY(cvm_ask(t, &q));
    return CVM_PENDING;
}

int look_audit(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(ask_ticket(t, m->id, cvm_json_str(m->data, "ticket_id", ""), "audit",
                       json_pack("{s:O*}", "after", json_object_get(m->data, "after"))));
    return CVM_PENDING;
}

static json_t *member(const json_t *row, const char *name)
{
    const json_t *value = json_object_get(row, name);
    json_t *parsed = json_is_string(value) ? json_loads(json_string_value(value), JSON_DECODE_ANY, NULL) : NULL;
    return parsed ? parsed : json_is_object(value) ? cvm_json_share(value) : json_object();
}

static bool over(const char *status)
{
    static const char *const all[] = {"PENDING", "RUNNING", "WAITING_FOR_APPROVAL", "WAITING_FOR_CUSTOMER", "WAITING"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(status, all[i]) == 0)
            return false;
    return true;
}

/* Seconds since 1970 in ms of "2026-11-20T09:34:02.117Z"; 0: none. */
static int64_t read_time(const char *text)
{
    int y, mo, d, h, mi, s, ms;
    if (sscanf(text, "%d-%d-%dT%d:%d:%d.%dZ", &y, &mo, &d, &h, &mi, &s, &ms) != 7)
        return 0;
    int64_t era_year = mo > 2 ? y : y - 1, days; /* days from civil, H. Hinnant */
    int64_t era = era_year / 400, of_era = era_year - era * 400;
    int64_t of_year = (153 * (mo + (mo > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
    return ((days * 24 + h) * 60 + mi) * 60000 + (int64_t)s * 1000 + ms;
}

/* How long it may still take: as of now where the clock runs. */
static json_t *sla_of(const json_t *row, int64_t now_ms)
{
    const json_t *left = json_object_get(row, "sla_left_ms");
    const char *due = cvm_json_str(row, "sla_due_at", "");
    if (!json_is_integer(left))
        return NULL;
    int64_t ms = *due ? read_time(due) - now_ms : json_integer_value(left);
    return json_pack("{s:s, s:I, s:b, s:b}", "due_at", due, "remaining_seconds", (json_int_t)(ms / 1000), "paused",
                     !*due && !over(cvm_json_str(row, "status", "")), "breached",
                     cvm_json_int(row, "sla_breached", 0) != 0);
}

static void add_times(const json_t *row, int64_t now_ms, json_t *to)
{
    const char *expires = cvm_json_str(row, "expires_at", "");
    json_t *sla = sla_of(row, now_ms);
    if (*expires) {
        json_object_set_new(to, "expires_at", json_string(expires));
        json_object_set_new(to, "remaining_seconds", json_integer((read_time(expires) - now_ms) / 1000));
    }
    if (sla)
        json_object_set_new(to, "sla", sla);
}

static json_t *listed(const json_t *row, int64_t now_ms)
{
    static const char *const members[] = {"ticket_id", "instance_id", "customer_id", "status",
                                          "step",      "outcome",     "created_at",  "updated_at"};
    json_t *one = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        json_object_set(one, members[i], json_object_get(row, members[i]));
    json_object_set_new(one, "description", audit_clipped(cvm_json_str(row, "description", "")));
    add_times(row, now_ms, one);
    return one;
}

static int found_list(cvm_turn *t, const cvm_msg *m)
{
    json_t *all = json_array();
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(m->data, "rows"), i, row) json_array_append_new(all, listed(row, cvm_now_ms(t)));
    return settle(t, m->on_behalf, CVM_REPLIED,
                  json_pack("{s:o, s:O?}", "tickets", all, "more", json_object_get(m->data, "more")));
}

/* What a person can do about a ticket that waits. */
static void add_hint(const json_t *row, json_t *to)
{
    const char *status = cvm_json_str(row, "status", ""), *id = cvm_json_str(row, "ticket_id", "");
    char text[400];
    if (strcmp(status, "WAITING_FOR_APPROVAL") != 0)
        return;
    snprintf(
        text, sizeof text,
        "The workflow waits for a decision until %.40s. To go on: POST /support/approve/%.64s, or: cvmhost support "
        "ticket approve %.64s",
        cvm_json_str(row, "expires_at", ""), id, id);
    json_object_set_new(to, "hint", json_string(text));
}

static int found_status(cvm_turn *t, const cvm_msg *m, const json_t *row)
{
    json_t *status = listed(row, cvm_now_ms(t));
    json_object_set(status, "description", json_object_get(row, "description"));
    json_object_set_new(status, "output", member(row, "output"));
    add_hint(row, status);
    return settle(t, m->on_behalf, CVM_REPLIED, status);
}

static int ask_audit(cvm_turn *t, const cvm_msg *m, const char *id)
{
    cvm_query q = {.size = sizeof q,
                   .table = "support_audit",
                   .where = json_pack("{s:s}", "ticket_id", id),
                   .order_by = "id",
                   .limit = 1000,
                   .on_behalf = m->on_behalf,
                   .with = json_pack("{s:s, s:s}", "what", "entries", "ticket_id", id)};
    return cvm_ask(t, &q);
}

static bool ends_activity(const json_t *row)
{
    const char *what = cvm_json_str(row, "what", "");
    return !strcmp(what, "finished") || !strcmp(what, "failed") || !strcmp(what, "refused");
}

/* Row `i`, said before the end of its activity, gets the step of that end. */
static void take_step(json_t *entries, size_t i)
{
    json_t *row = json_array_get(entries, i);
    for (size_t k = i + 1; k < json_array_size(entries); k++) {
        const json_t *one = json_array_get(entries, k);
        if (ends_activity(one) && !strcmp(cvm_json_str(one, "actor", ""), cvm_json_str(row, "actor", "?"))) {
            json_object_set(row, "step", json_object_get(one, "step"));
            return;
        }
    }
}

/* What an activity says of itself may come after its answer, though it was done before: it goes before the end of that
 * activity, which is not earlier, and gets its step. */
static void put_in_order(json_t *entries)
{
    for (size_t i = 1; i < json_array_size(entries); i++) {
        json_t *row = json_array_get(entries, i), *end = NULL;
        size_t k = i;
        if (*cvm_json_str(row, "step", "") || !strcmp(cvm_json_str(row, "what", ""), "created"))
            continue;
        while (k > 0 && !end) {
            json_t *one = json_array_get(entries, --k);
            if (ends_activity(one) && !strcmp(cvm_json_str(one, "actor", ""), cvm_json_str(row, "actor", "?")))
                end = one;
        }
        if (end && strcmp(cvm_json_str(end, "time", ""), cvm_json_str(row, "time", "")) < 0)
            end = NULL; /* of a later run */
        if (!end) {
            take_step(entries, i);
            continue;
        }
        json_incref(row);
        json_object_set(row, "step", json_object_get(end, "step"));
        json_array_remove(entries, i);
        json_array_insert_new(entries, k, row);
    }
}

static int found_entries(cvm_turn *t, const cvm_msg *m)
{
    json_t *entries = json_deep_copy(json_object_get(m->data, "rows")), *row;
    size_t i;
    put_in_order(entries);
    json_array_foreach(entries, i, row)
    {
        json_object_del(row, "conversation");
        json_object_del(row, "ticket_id");
        json_object_del(row, "id");
    }
    return settle(t, m->on_behalf, CVM_REPLIED,
                  json_pack("{s:O, s:o, s:O?}", "ticket_id",
                            json_object_get(json_object_get(m->data, "with"), "ticket_id"), "entries", entries, "more",
                            json_object_get(m->data, "more")));
}

int look_found(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with");
    const json_t *row = json_array_get(json_object_get(m->data, "rows"), 0);
    const char *what = cvm_json_str(with, "what", ""), *id = cvm_json_str(with, "ticket_id", "");
    if (m->outcome != CVM_REPLIED)
        return settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    if (strcmp(what, "list") == 0)
        return found_list(t, m);
    if (strcmp(what, "entries") == 0)
        return found_entries(t, m);
    if (!row)
        return refuse(t, m->on_behalf, "NOT_FOUND", "ticket_id", "there is no ticket %s", id);
    return strcmp(what, "audit") == 0 ? ask_audit(t, m, id) : found_status(t, m, row);
}

int look_answer(cvm_turn *t, const cvm_msg *m)
{
    const char *what = cvm_json_str(json_object_get(m->data, "with"), "what", "");
    if (strcmp(what, "create") == 0)
        return create_looked_up(t, m);
    if (strcmp(what, "closed") == 0)
        return decide_closed(t, m);
    return look_found(t, m);
}
