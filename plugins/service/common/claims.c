/* See claims.h. What waits: {"kind", "step", ..}. Loop thread. */
#include "claims.h"

#include "clip.h"
#include "hold.h"
#include "phone.h"
#include "sale.h"
#include "words.h"

#include <cvm/money.h>

#define LIST_LIMIT 50
#define HISTORY_SHOWN 5
#define TEXT_SIZE 2048
#define VERIFY_TIMEOUT_MS 60000

/* ---- asking ---- */

/* Takes `what`. */
static int list(cvm_turn *t, const cvm_msg *m, const char *customer, const char *id, int64_t limit, json_t *what)
{
    /* Nobody has the id "?": who is not known is shown nothing, and "" would stand for everybody. */
    json_t *data = json_pack("{s:s, s:s*, s:I}", "customer", *customer ? customer : "?", "transaction_id",
                             *id ? id : NULL, "limit", (json_int_t)limit);
    int e = pending_put(t, m->id, what);
    if (e < 0) {
        json_decref(data);
        return e;
    }
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "list_transactions", data, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

static int operation(cvm_turn *t, const cvm_msg *m, const char *kind)
{
    const char *customer = cvm_json_str(m->data, "customer", "");
    int64_t limit = cvm_json_int(m->data, "limit", LIST_LIMIT);
    return list(t, m, customer, cvm_json_str(m->data, "transaction_id", ""), limit,
                json_pack("{s:s, s:s}", "kind", kind, "customer", customer));
}

int claims_lookup(cvm_turn *t, const cvm_msg *m)
{
    return operation(t, m, "lookup");
}

int claims_history(cvm_turn *t, const cvm_msg *m)
{
    return operation(t, m, "history");
}

int claims_refund(cvm_turn *t, const cvm_msg *m)
{
    return operation(t, m, "refund");
}

int claims_requery(cvm_turn *t, const cvm_msg *m)
{
    return operation(t, m, "requery");
}

static int step(cvm_turn *t, const cvm_msg *m, const char *kind)
{
    const json_t *context = cvm_context(t);
    return list(t, m, *m->customer_id ? m->customer_id : cvm_json_str(context, "customer_id", ""), "", LIST_LIMIT,
                json_pack("{s:s, s:b}", "kind", kind, "step", 1));
}

int claims_step(cvm_turn *t, const cvm_msg *m)
{
    return step(t, m, "claim");
}

int claims_requery_step(cvm_turn *t, const cvm_msg *m)
{
    return step(t, m, "requery");
}

/* ---- ending ---- */

static json_t *view(const json_t *row)
{
    static const char *const kept[] = {"transaction_id", "status",      "service_type", "network_or_disco",
                                       "recipient",      "amount",      "total_amount", "external_reference",
                                       "initiated_at",   "completed_at"};
    json_t *v = json_object();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        if (json_object_get(row, kept[i]))
            json_object_set(v, kept[i], json_object_get(row, kept[i]));
    return v;
}

static int answered(cvm_turn *t, cvm_id request, const char *text, const json_t *row, const char *chose)
{
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s}", "chose", chose, "status", cvm_json_str(row, "status", "none"))));
    return step_say(t, request, text, json_pack("{s:b, s:o}", "answered", 1, "purchase", row ? view(row) : json_null()),
                    "service.qa");
}

static int to_human(cvm_turn *t, cvm_id request, const char *text, const char *rule, const char *reason)
{
    return step_hand_over(t, request, text, rule, reason, "transactions");
}

static int not_found(cvm_turn *t, cvm_id request, const char *text)
{
    return step_settle(t, request, CVM_REFUSED,
                       json_pack("{s:s, s:s, s:s, s:b}", "code", "NOT_FOUND", "field", "transaction_id", "message",
                                 text, "handoff", 1));
}

/* ---- asking the network ---- */

static int verify(cvm_turn *t, cvm_id request, const json_t *what, const json_t *row)
{
    json_t *waits = json_copy((json_t *)(uintptr_t)what);
    json_object_set_new(waits, "row", view(row));
    CVM_TRY(pending_put(t, request, waits));
    return cvm_request(t, SALE_TRANSACTION, "verify_transaction",
                       json_pack("{s:s}", "transaction_id", cvm_json_str(row, "transaction_id", "")),
                       &(cvm_request_opts){.on_behalf = request, .timeout_ms = VERIFY_TIMEOUT_MS});
}

/* What the network says of it, in words. */
static void delivery_text(const json_t *row, const char *delivery, char *text, size_t size)
{
    char told[400];
    books_text(row, told, sizeof told);
    if (strcmp(delivery, "delivered") == 0)
        snprintf(text, size, "I asked the network: your %s purchase of %s The network confirms the delivery; %s",
                 claims.noun, told, claims.arrived);
    else if (strcmp(cvm_json_str(row, "status", ""), "SUCCESS") == 0)
        snprintf(text, size, "I asked the network about your %s purchase of %s It cannot confirm the delivery now.",
                 claims.noun, told);
    else
        snprintf(text, size, "I asked the network about your %s purchase: %s", claims.noun, told);
}

static int verified(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[TEXT_SIZE];
    const json_t *row = json_object_get(what, "row");
    bool told = m->outcome == CVM_REPLIED;
    const char *delivery = told ? cvm_json_str(m->data, "delivery", "unknown") : "unknown";
    bool delivered = strcmp(delivery, "delivered") == 0, paid = strcmp(cvm_json_str(row, "status", ""), "SUCCESS") == 0;
    delivery_text(row, delivery, text, sizeof text);
    if (!cvm_json_bool(what, "step", false)) {
        json_t *body = view(row);
        json_object_set_new(body, "delivery", json_string(delivery));
        json_object_set_new(body, "text", json_string(text));
        if (told)
            json_object_set_new(body, "status", json_string(cvm_json_str(m->data, "status", "")));
        return step_settle(t, m->on_behalf, CVM_REPLIED, body);
    }
    if (paid && !delivered)
        return to_human(t, m->on_behalf, text, "delivery_missing", "paid for, and the network does not confirm it");
    if (paid && (hold_cue(t, "overdue") || hold_cue(t, "refund") || hold_cue(t, "followup")))
        return to_human(t, m->on_behalf, text, "delivery_disputed", "the network confirms what the customer misses");
    return answered(t, m->on_behalf, text, row, "tell what the network says");
}

int claims_verified(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, verified);
}

static int requery(cvm_turn *t, const cvm_msg *m, const json_t *what, const json_t *row)
{
    char text[TEXT_SIZE], told[400];
    bool in_step = cvm_json_bool(what, "step", false);
    const char *status = cvm_json_str(row, "status", "");
    if (!row && in_step) {
        snprintf(text, sizeof text, "I find no %s purchase of yours with us.", claims.noun);
        return to_human(t, m->on_behalf, text, "payment_not_found", "reports a purchase that our books do not have");
    }
    if (!row)
        return not_found(t, m->on_behalf, "no such transaction of this customer");
    if (strcmp(status, "REFUNDED") != 0 && strcmp(status, "FAILED") != 0)
        return verify(t, m->on_behalf, what, row);
    books_text(row, told, sizeof told);
    snprintf(text, sizeof text, "Your %s purchase of %s You can buy again.", claims.noun, told);
    if (in_step)
        return answered(t, m->on_behalf, text, row, "tell that the money is back");
    json_t *body = view(row);
    json_object_set_new(body, "delivery", json_string("failed"));
    json_object_set_new(body, "text", json_string(text));
    return step_settle(t, m->on_behalf, CVM_REPLIED, body);
}

/* ---- a claim in a conversation ---- */

static int duplicate(cvm_turn *t, const cvm_msg *m, const json_t *rows, const json_t *row)
{
    char text[TEXT_SIZE], newer[400], older[400];
    const json_t *two[2];
    int64_t minutes = cvm_json_int(cvm_settings(t), "duplicate_minutes", 30);
    if (!books_repeat(rows, claims.service, minutes, two)) {
        books_text(row, newer, sizeof newer);
        snprintf(text, sizeof text,
                 "I find one such purchase only: %s A colleague checks whether you were charged twice.", newer);
        return to_human(t, m->on_behalf, text, "refund_claim", "reports a double charge that our books do not have");
    }
    books_text(two[0], newer, sizeof newer);
    books_text(two[1], older, sizeof older);
    bool settled = strcmp(cvm_json_str(two[0], "status", ""), "SUCCESS") != 0 ||
                   strcmp(cvm_json_str(two[1], "status", ""), "SUCCESS") != 0;
    snprintf(text, sizeof text, "I find two purchases that are alike: %s And %s%s", older, newer,
             settled ? " So only one of them was charged, or will be." : " A colleague decides about a refund.");
    if (settled)
        return answered(t, m->on_behalf, text, two[0], "tell both purchases");
    return to_human(t, m->on_behalf, text, "duplicate_charge", "two purchases alike, both delivered");
}

static json_t *views(const json_t *rows)
{
    json_t *shown = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++)
        if (strcmp(cvm_json_str(json_array_get(rows, i), "service_type", ""), claims.service) == 0)
            json_array_append_new(shown, view(json_array_get(rows, i)));
    return shown;
}

static int history(cvm_turn *t, const cvm_msg *m, const json_t *rows)
{
    char text[TEXT_SIZE], lines[TEXT_SIZE - 200];
    size_t n = books_history(rows, claims.service, HISTORY_SHOWN, lines, sizeof lines);
    if (n)
        snprintf(text, sizeof text, "Your latest %s purchases: %s", claims.noun, lines);
    else
        snprintf(text, sizeof text, "I find no %s purchase of yours with us.", claims.noun);
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:i}", "chose", "tell the history", "purchases", (int)n)));
    return step_say(t, m->on_behalf, text, json_pack("{s:b, s:o}", "answered", 1, "purchases", views(rows)),
                    "service.qa");
}

/* Delivered, by our books, and the customer is not content. */
static int delivered_claim(cvm_turn *t, const cvm_msg *m, const json_t *what, const json_t *row, const char *text)
{
    int64_t window = cvm_json_int(cvm_settings(t), "refund_window_hours", 24);
    char more[TEXT_SIZE];
    if (hold_cue(t, "wrong_target"))
        return to_human(t, m->on_behalf, text, "wrong_recipient", "delivered to a number that was not meant");
    if (hold_cue(t, "refund") || hold_cue(t, "refund_overdue")) {
        bool late = books_age_hours(row, cvm_now_ms(t)) > window;
        snprintf(more, sizeof more, "%s%s", text,
                 late ? " The time for a refund by us is over; a colleague looks at it." : "");
        return to_human(t, m->on_behalf, more, late ? "refund_window" : "refund_claim",
                        "claims money back for a purchase that was delivered");
    }
    bool missing = hold_cue(t, "not_received") || hold_cue(t, "failed") || hold_cue(t, "waiting") ||
                   hold_cue(t, "debited") || hold_cue(t, "complaint");
    if (!missing)
        return answered(t, m->on_behalf, text, row, "tell what was bought");
    if (!claims.technical)
        return verify(t, m->on_behalf, what, row);
    CVM_TRY(
        cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "have the network asked", "by", claims.technical)));
    return step_say(t, m->on_behalf, text, json_pack("{s:b}", "requery", 1), claims.technical);
}

static int claim(cvm_turn *t, const cvm_msg *m, const json_t *what, const json_t *rows)
{
    char text[TEXT_SIZE], told[400];
    bool many = false;
    int64_t kobo = 0;
    const json_t *entities = step_entities(t), *phone = step_only(json_object_get(entities, "phone_numbers"), &many);
    const json_t *amount = step_only(json_object_get(entities, "amounts"), &many);
    if (hold_cue(t, "history") && !hold_cue(t, "complaint"))
        return history(t, m, rows);
    if (amount && cvm_money_from_json(amount, &kobo) < 0)
        kobo = 0;
    const char *to = json_is_string(phone) ? json_string_value(phone) : "";
    const json_t *row = books_newest(rows, claims.service, to, kobo);
    if (!row)
        row = books_newest(rows, claims.service, "", 0);
    if (!row)
        return requery(t, m, what, NULL);
    if (hold_cue(t, "duplicate") || hold_cue(t, "many_charges"))
        return duplicate(t, m, rows, row);
    books_text(row, told, sizeof told);
    snprintf(text, sizeof text, "Your latest %s purchase, %s", claims.noun, told);
    const char *status = cvm_json_str(row, "status", "");
    if (strcmp(status, "SUCCESS") == 0)
        return delivered_claim(t, m, what, row, text);
    if (strcmp(status, "REFUNDED") == 0 || strcmp(status, "FAILED") == 0)
        return answered(t, m->on_behalf, text, row, "tell that the money is back");
    if (claims.technical)
        return step_say(t, m->on_behalf, text, json_pack("{s:b}", "requery", 1), claims.technical);
    return verify(t, m->on_behalf, what, row);
}

/* ---- the answers of the saga ---- */

static int refund(cvm_turn *t, const cvm_msg *m, const json_t *what, const json_t *row)
{
    int64_t window = cvm_json_int(cvm_settings(t), "refund_window_hours", 24);
    if (!row)
        return not_found(t, m->on_behalf, "no such transaction of this customer");
    if (books_age_hours(row, cvm_now_ms(t)) >= window && strcmp(cvm_json_str(row, "status", ""), "REFUNDED") != 0)
        return step_settle(t, m->on_behalf, CVM_REFUSED,
                           json_pack("{s:s, s:s, s:s, s:b}", "code", "REFUND_WINDOW", "field", "transaction_id",
                                     "message", "The time for a refund is over; a colleague can look at it.", "handoff",
                                     1));
    json_t *waits = json_copy((json_t *)(uintptr_t)what);
    json_object_set_new(waits, "row", view(row));
    CVM_TRY(pending_put(t, m->on_behalf, waits));
    return cvm_request(t, SALE_TRANSACTION, "refund_transaction",
                       json_pack("{s:s}", "transaction_id", cvm_json_str(row, "transaction_id", "")),
                       &(cvm_request_opts){.on_behalf = m->on_behalf});
}

static int refunded(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[400];
    json_t *body = json_copy((json_t *)(uintptr_t)m->data);
    books_text(json_object_get(what, "row"), text, sizeof text);
    if (json_is_object(body) && m->outcome == CVM_REPLIED)
        json_object_set_new(body, "text", json_string(text));
    return step_settle(t, m->on_behalf, m->outcome, body ? body : json_object());
}

int claims_refunded(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, refunded);
}

static int told(cvm_turn *t, const cvm_msg *m, const char *kind, const json_t *rows, const json_t *row)
{
    char text[TEXT_SIZE];
    json_t *body;
    if (strcmp(kind, "history") == 0) {
        books_history(rows, claims.service, HISTORY_SHOWN, text, sizeof text);
        body = json_pack("{s:o, s:s}", "transactions", views(rows), "text", text);
    } else {
        snprintf(text, sizeof text, "I find no such purchase.");
        if (row)
            books_text(row, text, sizeof text);
        body = json_pack("{s:b, s:s, s:o}", "found", row != NULL, "text", text, "transaction",
                         row ? view(row) : json_null());
    }
    return step_settle(t, m->on_behalf, CVM_REPLIED, body);
}

static int listed(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const char *kind = cvm_json_str(what, "kind", "");
    const json_t *rows = json_object_get(m->data, "transactions"), *row = books_newest(rows, claims.service, "", 0);
    /* A customer without a wallet has bought nothing. */
    bool none = m->outcome == CVM_REFUSED && strcmp(cvm_json_str(m->data, "code", ""), "NOT_FOUND") == 0;
    if (m->outcome != CVM_REPLIED && !none) {
        if (cvm_json_bool(what, "step", false))
            return to_human(t, m->on_behalf, "", "no_answer", "the customer's purchases could not be read");
        return step_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    }
    if (strcmp(kind, "claim") == 0)
        return claim(t, m, what, rows);
    if (strcmp(kind, "requery") == 0)
        return requery(t, m, what, row);
    if (strcmp(kind, "refund") == 0)
        return refund(t, m, what, row);
    return told(t, m, kind, rows, row);
}

int claims_listed(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, listed);
}
