/* PowerSalesAgent in a conversation: reads what the customer named, asks for exactly what is missing, has a complete
 * order's meter validated, answers questions from what it knows or what PowerBillingAgent finds. Decides by the context
 * and rules, never by words of the customer that look like instructions. Loop thread. */
#include "power.h"

/* What is known of an order; a member that is missing or open is asked for. */
struct wish {
    const char *disco, *meter; /* "" for missing */
    const json_t *amount;      /* NULL for missing */
    bool many_discos, many_meters, many_amounts;
};

static const char *text_or_empty(const json_t *value)
{
    return json_is_string(value) ? json_string_value(value) : "";
}

static void wish_read(cvm_turn *t, struct wish *w)
{
    const json_t *entities = step_entities(t), *before = json_object_get(cvm_context(t), "power_context");
    *w = (struct wish){.disco = "", .meter = ""};
    w->disco = text_or_empty(step_only(json_object_get(entities, "discos"), &w->many_discos));
    w->meter = text_or_empty(step_only(json_object_get(entities, "meter_numbers"), &w->many_meters));
    w->amount = step_only(json_object_get(entities, "amounts"), &w->many_amounts);
    if (!*w->disco && !w->many_discos)
        w->disco = cvm_json_str(before, "disco", "");
    if (!*w->meter && !w->many_meters)
        w->meter = cvm_json_str(before, "meter_number", "");
    if (!w->amount && !w->many_amounts && json_is_number(json_object_get(before, "amount")))
        w->amount = json_object_get(before, "amount");
}

/* ---- asking ---- */

static size_t missing(const struct power_rules *rules, const struct wish *w,
                      char pieces[SALE_PIECES_MAX][SALE_PIECE_SIZE], json_t *names)
{
    char low[40], high[40];
    size_t n = 0;
    if (!w->amount) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "%s (from %s to %s)",
                 w->many_amounts ? "the one amount you want" : "the amount", sale_naira(rules->min_kobo, low),
                 sale_naira(rules->max_kobo, high));
        json_array_append_new(names, json_string("amount"));
    }
    if (!*w->meter) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "%s",
                 w->many_meters ? "which one meter to load first" : "the meter number (11 to 13 digits)");
        json_array_append_new(names, json_string("meter_number"));
    }
    if (!*w->disco) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "%s",
                 w->many_discos ? "which one company"
                                : "your distribution company, such as EKEDC, Ikeja Electric or AEDC");
        json_array_append_new(names, json_string("disco"));
    }
    return n;
}

static int ask(cvm_turn *t, const cvm_msg *m, const struct power_rules *rules, const struct wish *w)
{
    char pieces[SALE_PIECES_MAX][SALE_PIECE_SIZE], more[100], charge[40];
    bool several = w->many_amounts || w->many_discos || w->many_meters;
    json_t *names = json_array();
    size_t n = missing(rules, w, pieces, names);
    snprintf(more, sizeof more, " There is a service charge of %s.", sale_naira(rules->charge_kobo, charge));
    return sale_ask(t, m->id, "electricity", pieces, n, several, more, names);
}

/* The words of a purchase, but also of something that went wrong before: nothing is sold on a guess. */
static int ask_which(cvm_turn *t, const cvm_msg *m)
{
    return step_ask(t, m->id,
                    "Do you want to buy electricity now, or is it about an earlier payment? To buy, please write the "
                    "amount, your distribution company and the meter number. About an earlier payment, please write "
                    "when it was.",
                    "unclear_purchase", json_pack("[s]", "purpose"));
}

/* ---- buying ---- */

static int purchase(cvm_turn *t, const cvm_msg *m, const struct power_rules *rules)
{
    struct wish w;
    struct power_order o;
    struct sale_failure f;
    const char *hold = hold_rule(t);
    if (hold)
        return sale_hold(t, m->id, hold);
    wish_read(t, &w);
    if (power_leaf(t, "register for postpaid") && !w.amount)
        return case_step(t, m, "REGISTRATION", "");
    if (hold_cue(t, "complaint"))
        return ask_which(t, m);
    if (!w.amount || !*w.meter || !*w.disco)
        return ask(t, m, rules, &w);
    if (power_check(rules, w.disco, w.meter, w.amount, &o, &f) == CVM_OK)
        return sell_step(t, m, rules, &o);
    if (strcmp(f.rule, "APPROVAL") == 0)
        return step_hand_over(t, m->id, "", "transaction_amount_threshold", f.error, "transactions");
    return sale_step_refuse(t, m->id, &f, "PowerSalesAgent");
}

/* ---- answering ---- */

/* A question that PowerBillingAgent answers: the bill of a meter that is named, else what this customer paid. */
static int ask_billing(cvm_turn *t, const cvm_msg *m, const struct wish *w)
{
    static const char *const reasons[] = {"explain", "breakdown", "break down", "why", NULL};
    bool bill = *w->disco && *w->meter;
    const char *tool = !bill                                       ? "confirm_payment"
                       : words_have_any(step_words(t, m), reasons) ? "explain_bill"
                                                                   : "check_bill";
    json_t *data = bill ? json_pack("{s:s, s:s}", "disco", w->disco, "meter_number", w->meter)
                        : json_pack("{s:s}", "customer", cvm_json_str(cvm_context(t), "customer_id", ""));
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "ask PowerBillingAgent", "for", tool)));
    CVM_TRY(cvm_request(t, POWER_BILLING, tool, data, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int sales_told(cvm_turn *t, const cvm_msg *m)
{
    const char *text = cvm_json_str(m->data, "text", cvm_json_str(m->data, "error", ""));
    if (m->outcome != CVM_REPLIED && !*text)
        return step_hand_over(t, m->on_behalf, "", "no_answer", "what was billed or paid could not be found",
                              "general");
    return step_say(t, m->on_behalf, text, json_pack("{s:b}", "answered", 1), "service.qa");
}

/* Wants a meter, not only to know how one is had. */
static bool meter_requested(cvm_turn *t)
{
    return power_leaf(t, "meter upgrade") && !hold_cue(t, "question") && !hold_cue(t, "how_to");
}

static int answer(cvm_turn *t, const cvm_msg *m, const struct power_rules *rules)
{
    static const char *const paid[] = {"paid",    "payment",      "pay",     "posted", "reflect",
                                       "confirm", "confirmation", "receipt", "bought", NULL};
    char text[POWER_LONG_SIZE * 2];
    const char *words = step_words(t, m);
    struct wish w;
    wish_read(t, &w);
    if (meter_requested(t))
        return case_step(t, m, "METER_REQUEST", "");
    bool bill = *w.disco && *w.meter && words_have(words, "bill"), status = power_leaf(t, "bill status");
    if (bill || (status && words_have_any(words, paid)))
        return ask_billing(t, m, &w);
    if (status)
        return step_ask(t, m->id,
                        "To look at your bill I need your distribution company and your meter number. To hear about an "
                        "earlier payment, please write that you paid.",
                        "needs_input", json_pack("[s, s]", "disco", "meter_number"));
    size_t topics = power_facts(rules, words, text, sizeof text);
    return sale_answer(t, m->id, topics, text, "I do not have the answer to this electricity question at hand.");
}

int sales_handle(cvm_turn *t, const cvm_msg *m)
{
    struct power_rules rules;
    power_rules_read(cvm_settings(t), &rules);
    if (strcasecmp(cvm_json_str(cvm_context(t), "intent", ""), "PURCHASE") == 0)
        return purchase(t, m, &rules);
    return answer(t, m, &rules);
}

/* ---- requests for people on the ground ---- */

int sales_register(cvm_turn *t, const cvm_msg *m)
{
    return case_operation(t, m, "REGISTRATION");
}

int sales_request_meter(cvm_turn *t, const cvm_msg *m)
{
    return case_operation(t, m, "METER_REQUEST");
}

int sales_case(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, case_validated);
}
