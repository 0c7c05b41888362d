/* Humans take a handoff and answer it: open -> claimed -> resolved, and no other way. Who has it is state of the
 * component, so that of two who claim it at once one gets it; the row shows it. A change reads the row first, which
 * takes another turn; what is wanted waits for it in the context of the change's own conversation. Loop thread. */
#include "service.h"

#define WANTED "handoff_change"

static int refuse(cvm_turn *t, const cvm_msg *m, const char *code, const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Settles the request; what the turn changed is kept. */
static int refuse(cvm_turn *t, const cvm_msg *m, const char *code, const char *field, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                      json_pack("{s:s, s:s, s:s}", "code", code, "field", field, "message", text), NULL);
}

/* What was asked for outlives the turn: what the row could not take must be refused before. */
static bool longer(const cvm_msg *m, const char *name, size_t most)
{
    size_t n = 0;
    for (const char *s = cvm_json_str(m->data, name, ""); *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n > most;
}

/* Asks for the row; handoffs_changed goes on. */
static int begin(cvm_turn *t, const cvm_msg *m, const char *to)
{
    const char *id = cvm_json_str(m->data, "handoff_id", "");
    if (!*id)
        return cvm_refuse(t, "REQUIRED", "handoff_id", "say which handoff");
    if (strcmp(to, "resolved") == 0 && !json_is_string(json_object_get(m->data, "note")))
        return cvm_refuse(t, "REQUIRED", "note", "say in a note what the customer is told");
    if (longer(m, "by", 120) || longer(m, "note", 16384))
        return cvm_refuse(t, "TOO_LONG", longer(m, "by", 120) ? "by" : "note", "at most 120 and 16,384 characters");
    json_t *wanted = json_pack("{s:s, s:s, s:O*, s:O*}", "handoff_id", id, "to", to, "by",
                               json_object_get(m->data, "by"), "note", json_object_get(m->data, "note"));
    if (json_is_object(json_object_get(cvm_context(t), WANTED))) {
        json_decref(wanted);
        return cvm_refuse(t, "BUSY", "handoff_id", "another change of a handoff is under way in this conversation");
    }
    CVM_TRY(cvm_context_set(t, "/" WANTED, wanted));
    CVM_TRY(cvm_request(t, SERVICE_ESCALATION, "list_handoffs", json_pack("{s:s, s:i}", "handoff_id", id, "limit", 1),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int handoffs_claim(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m, "claimed");
}

int handoffs_resolve(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m, "resolved");
}

bool handoffs_changing(cvm_turn *t, const cvm_msg *m)
{
    return *m->conversation && json_is_object(json_object_get(cvm_context(t), WANTED));
}

/* What the row is to be; NULL: a rule says no, and *ret_error is what came of telling so. */
static json_t *changed(cvm_turn *t, const cvm_msg *m, const json_t *wanted, const json_t *row, int *ret_error)
{
    char at[SERVICE_TIME_SIZE];
    const char *id = cvm_json_str(wanted, "handoff_id", ""), *by = cvm_json_str(wanted, "by", "");
    const char *status = cvm_json_str(row, "status", ""), *holder = cvm_json_str(row, "claimed_by", "");
    bool claim = strcmp(cvm_json_str(wanted, "to", ""), "claimed") == 0;
    json_t *next = NULL;
    if (strcmp(status, "resolved") == 0)
        *ret_error = refuse(t, m, "RESOLVED", "handoff_id", "%s was resolved at %s; a resolved handoff is not changed",
                            id, cvm_json_str(row, "resolved_at", "?"));
    else if (claim && strcmp(status, "claimed") == 0)
        *ret_error = refuse(t, m, "CLAIMED", "by", "%s was claimed by %s at %s; only an open handoff can be claimed",
                            id, holder, cvm_json_str(row, "claimed_at", "?"));
    else if (!claim && strcmp(status, "claimed") != 0)
        *ret_error =
            refuse(t, m, "NOT_CLAIMED", "handoff_id", "%s is open: it must be claimed before it can be resolved", id);
    else if (!claim && *by && strcmp(by, holder) != 0)
        *ret_error = refuse(t, m, "CLAIMED", "by", "%s was claimed by %s: nobody else can resolve it", id, holder);
    else if (claim)
        next = json_pack("{s:s, s:s, s:s}", "status", "claimed", "claimed_by", by, "claimed_at",
                         service_time(cvm_now_ms(t), at));
    else
        next = json_pack("{s:s, s:s, s:s, s:s, s:O}", "status", "resolved", "claimed_by", holder, "claimed_at",
                         cvm_json_str(row, "claimed_at", ""), "resolved_at", service_time(cvm_now_ms(t), at), "answer",
                         json_object_get(wanted, "note"));
    return next;
}

/* State, row, note, topic. `next` is taken. */
static int write(cvm_turn *t, const cvm_msg *m, const char *key, json_t *row, json_t *next)
{
    const char *status = cvm_json_str(next, "status", ""), *id = cvm_json_str(row, "handoff_id", "");
    json_t *kept = json_copy(next);
    json_object_del(kept, "answer"); /* it may be longer than a value of the state */
    json_object_update(row, next);
    json_decref(next);
    CVM_TRY(cvm_state_put(t, key, kept));
    CVM_TRY(cvm_row_put(t, "handoffs", json_deep_copy(row)));
    CVM_TRY(cvm_note(
        t, "decision",
        json_pack("{s:s, s:s, s:s}", "chose", status, "handoff_id", id, "by", cvm_json_str(row, "claimed_by", ""))));
    CVM_TRY(cvm_publish(t, strcmp(status, "claimed") == 0 ? "handoff.claimed" : "handoff.resolved",
                        json_pack("{s:s, s:s, s:s, s:s, s:s*, s:O*}", "handoff_id", id, "enquiry_id",
                                  cvm_json_str(row, "enquiry_id", ""), "queue", cvm_json_str(row, "queue", ""),
                                  "customer_id", cvm_json_str(row, "customer_id", ""), "channel",
                                  cvm_json_str(json_object_get(row, "context"), "channel", NULL), "answer",
                                  json_object_get(row, "answer"))));
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, json_deep_copy(row), NULL);
}

int handoffs_changed(cvm_turn *t, const cvm_msg *m)
{
    char key[48];
    const json_t *known = NULL, *found = json_array_get(json_object_get(m->data, "handoffs"), 0);
    json_t *wanted = json_deep_copy(json_object_get(cvm_context(t), WANTED)), *row = json_deep_copy(found), *next;
    int e = cvm_context_set(t, "/" WANTED, json_null());
    if (e == CVM_OK && m->outcome != CVM_REPLIED) {
        e = cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    } else if (e == CVM_OK && !row) {
        e = refuse(t, m, "NOT_FOUND", "handoff_id", "There is no handoff with this id.");
    } else if (e == CVM_OK) {
        snprintf(key, sizeof key, "handoff/%s", cvm_json_str(row, "handoff_id", ""));
        e = cvm_state_get(t, key, &known);
        if (e == CVM_OK && known) /* the row was read before another change of it was written */
            json_object_update(row, (json_t *)(uintptr_t)known);
        if (e == CVM_OK || e == CVM_ENOENT) {
            next = changed(t, m, wanted, row, &e);
            if (next)
                e = write(t, m, key, row, next);
        }
    }
    json_decref(row);
    json_decref(wanted);
    return e;
}
