/* See sale.h. Loop thread; the first part any. */
#include "sale.h"

#include "clip.h"

#include <cvm/money.h>

#include <stdio.h>

/* ---- pure ---- */

const char *sale_naira_exact(int64_t kobo, char buf[40])
{
    memcpy(buf, "\xe2\x82\xa6", 3); /* the naira sign */
    cvm_money_text(kobo, buf + 3, 37);
    return buf;
}

const char *sale_naira(int64_t kobo, char buf[40])
{
    sale_naira_exact(kobo, buf);
    if (kobo % 100 == 0)
        buf[strlen(buf) - 3] = '\0';
    return buf;
}

int64_t sale_setting_kobo(const json_t *settings, const char *name, int64_t otherwise)
{
    int64_t kobo;
    return cvm_money_from_json(json_object_get(settings, name), &kobo) < 0 ? otherwise : kobo;
}

int sale_refused(struct sale_failure *f, const char *rule, const char *recommendation)
{
    f->rule = rule;
    snprintf(f->recommendation, sizeof f->recommendation, "%s", recommendation);
    return CVM_EREFUSED;
}

int sale_check_amount(const json_t *amount, int64_t min_kobo, int64_t max_kobo, const char *what, int64_t *ret_kobo,
                      struct sale_failure *f)
{
    char low[40], high[40], advice[160];
    int64_t kobo = 0;
    snprintf(advice, sizeof advice, "Choose an amount from %s to %s.", sale_naira(min_kobo, low),
             sale_naira(max_kobo, high));
    int e = cvm_money_from_json(amount, &kobo);
    if (e == CVM_EINVAL) {
        char digits[240];
        snprintf(digits, sizeof digits, "Write it in digits only, such as 500 or 500.50. %s", advice);
        snprintf(f->error, sizeof f->error, "The amount is not a sum of naira.");
        return sale_refused(f, "AMOUNT", digits);
    }
    if (e == CVM_ELIMIT)
        kobo = json_is_number(amount) && json_number_value(amount) < 0 ? -1 : CVM_MONEY_MAX_MINOR;
    if (kobo < min_kobo) {
        snprintf(f->error, sizeof f->error, "The minimum %s purchase is %s.", what, low);
        return sale_refused(f, "MIN_AMOUNT", advice);
    }
    if (kobo > max_kobo) {
        snprintf(f->error, sizeof f->error, "The maximum %s purchase is %s per transaction.", what, high);
        return sale_refused(f, "MAX_AMOUNT", advice);
    }
    *ret_kobo = kobo;
    return CVM_OK;
}

json_t *sale_failure_body(const struct sale_failure *f, const char *agent)
{
    return json_pack("{s:b, s:s, s:s, s:s}", "success", 0, "error", f->error, "recommendation", f->recommendation,
                     "agent", agent);
}

void sale_advise(struct sale_failure *f, const char *given, const char *id)
{
    bool named = !*id || strstr(given, id);
    snprintf(f->recommendation, sizeof f->recommendation, "%.*s%s%s%s", clip(given, 400), given,
             named ? "" : " Reference ", named ? "" : id, named ? "" : ".");
}

json_t *sale_unsold_body(const cvm_msg *reply, const char *agent, enum cvm_outcome *ret_outcome)
{
    const json_t *d = reply->data;
    const char *id = cvm_json_str(d, "transaction_id", "");
    const char *message = cvm_json_str(d, "message", "The purchase is not confirmed yet.");
    const char *advice =
        cvm_json_str(d, "recommendation", "It may still go through. Please do not repeat it; check in 5 minutes.");
    struct sale_failure f = {.rule = ""};
    if (reply->outcome == CVM_BUSY || reply->outcome == CVM_ERROR) {
        /* The first turn of the purchase did not happen: nothing is held. */
        *ret_outcome = reply->outcome;
        snprintf(f.error, sizeof f.error, "The service is not available at the moment.");
        snprintf(f.recommendation, sizeof f.recommendation, "You were not charged. Please try again later.");
        return sale_failure_body(&f, agent);
    }
    *ret_outcome = CVM_UNKNOWN;
    snprintf(f.error, sizeof f.error, "%.*s", clip(message, 300), message);
    snprintf(f.recommendation, sizeof f.recommendation, "%.*s", clip(advice, 400), advice);
    json_t *body = sale_failure_body(&f, agent);
    if (body && *id) {
        json_object_set_new(body, "transaction_id", json_string(id));
        json_object_set_new(body, "status", json_string("PENDING"));
    }
    /* What it waits for, where that is not the network. */
    static const char *const kept[] = {"waits_for", "challenge_id", "payment_url", "expires_at"};
    for (size_t i = 0; body && i < sizeof kept / sizeof kept[0]; i++)
        if (json_object_get(d, kept[i]))
            json_object_set_new(body, kept[i], cvm_json_share(json_object_get(d, kept[i])));
    return body;
}

/* ---- operations ---- */

static int note_rule(cvm_turn *t, const struct sale_failure *f)
{
    return cvm_note(t, "rule", json_pack("{s:s, s:s}", "rule", f->rule, "because", f->error));
}

int sale_refuse(cvm_turn *t, cvm_id request, const struct sale_failure *f, const char *agent)
{
    CVM_TRY(note_rule(t, f));
    return step_settle(t, request, CVM_REFUSED, sale_failure_body(f, agent));
}

/* ---- a step of a conversation ---- */

int sale_hold(cvm_turn *t, cvm_id request, const char *hold)
{
    CVM_TRY(cvm_note(t, "rule", json_pack("{s:s, s:s}", "rule", hold, "because", "nothing is sold before a human")));
    return step_say(t, request, "", json_pack("{s:s}", "rule", hold), "service.escalation");
}

int sale_ask(cvm_turn *t, cvm_id request, const char *what, char pieces[][SALE_PIECE_SIZE], size_t n, bool several,
             const char *more, json_t *names)
{
    char text[SALE_TEXT_SIZE * 2];
    size_t at = (size_t)snprintf(text, sizeof text, "%sTo buy %s, please tell me ",
                                 several ? "I can do one order in a message. " : "", what);
    for (size_t i = 0; i < n; i++) {
        const char *before = i == 0 ? "" : i + 1 == n ? " and " : ", ";
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", before, pieces[i]);
    }
    snprintf(text + at, sizeof text - at, ".%s", more);
    return step_ask(t, request, text, several ? "several_orders" : "needs_input", names);
}

int sale_step_refuse(cvm_turn *t, cvm_id request, const struct sale_failure *f, const char *agent)
{
    char text[SALE_TEXT_SIZE * 2];
    snprintf(text, sizeof text, "%s %s", f->error, f->recommendation);
    CVM_TRY(note_rule(t, f));
    return step_say(t, request, text, json_pack("{s:o, s:s}", "result", sale_failure_body(f, agent), "rule", f->rule),
                    "service.qa");
}

int sale_order(cvm_turn *t, const cvm_msg *m, cvm_id request, json_t *body)
{
    const json_t *context = cvm_context(t);
    const char *customer = *m->customer_id ? m->customer_id : cvm_json_str(context, "customer_id", "");
    char text[200];
    if (!body)
        return CVM_ENOMEM;
    if (*customer)
        json_object_set_new(body, "customer_id", json_string(customer));
    json_object_set_new(body, "phone", json_string(cvm_json_str(context, "customer_phone", "")));
    snprintf(text, sizeof text, "Buying %s for %s.", cvm_json_str(body, "summary", ""),
             cvm_json_str(body, "destination", ""));
    return step_say(t, request, text, json_pack("{s:o}", "order", body), SALE_TRANSACTION);
}

int sale_answer(cvm_turn *t, cvm_id request, size_t topics, const char *facts, const char *not_known)
{
    if (topics) {
        CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:i}", "chose", "answer from facts", "topics", (int)topics)));
        return step_say(t, request, facts, json_pack("{s:b}", "answered", 1), "service.qa");
    }
    if (!step_loaded(t, "service.research"))
        return step_hand_over(t, request, "", "no_answer", "the answer is not among what the agents know", "general");
    /* The rest of the route may know more. */
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:i}", "chose", "no answer known", "topics", 0)));
    return step_say(t, request, not_known, json_pack("{s:b}", "answered", 0), NULL);
}

/* ---- for the saga ---- */

bool sale_from_saga(const cvm_msg *m)
{
    return strcmp(m->sender, SALE_TRANSACTION) == 0;
}

json_t *sale_not_delivered(const char *code, const char *message)
{
    return json_pack("{s:s, s:s}", "error_code", code, "message", message);
}

json_t *sale_not_vended(const cvm_msg *reply, const char *refused, const char *busy, const char *late,
                        enum cvm_outcome *ret_outcome)
{
    const char *code = cvm_json_str(reply->data, "error_code", cvm_json_str(reply->data, "code", "UNKNOWN"));
    *ret_outcome = CVM_REFUSED;
    if (reply->outcome == CVM_REFUSED)
        return sale_not_delivered(code, cvm_json_str(reply->data, "message", refused));
    if (reply->outcome == CVM_BUSY) /* nothing was sent */
        return sale_not_delivered("CONNECTION_ERROR", busy);
    *ret_outcome = CVM_UNKNOWN;
    return sale_not_delivered("TIMEOUT", late);
}

const char *sale_checked(const cvm_msg *reply)
{
    const char *status = reply->outcome == CVM_REPLIED ? cvm_json_str(reply->data, "status", "") : "";
    if (strcmp(status, "delivered") == 0)
        return "delivered";
    if (strcmp(status, "failed") == 0)
        return "failed";
    return strcmp(status, "not_found") == 0 ? "absent" : "unknown";
}

void sale_copy_checked(const cvm_msg *reply, json_t *into)
{
    static const char *const kept[] = {"reference", "transaction_id", "error_code", "message"};
    for (size_t i = 0; into && reply->outcome == CVM_REPLIED && i < sizeof kept / sizeof kept[0]; i++) {
        const json_t *v = json_object_get(reply->data, kept[i]);
        if (v)
            json_object_set_new(into, kept[i], cvm_json_share(v));
    }
}
