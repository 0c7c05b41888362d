/* AirtimeSalesAgent in a conversation: reads what the customer named, asks for exactly what is missing, hands a
 * complete order to the saga, answers questions from what it knows. Decides by the context and rules, never by words of
 * the customer that look like instructions. Loop thread. */
#include "../common/hold.h"
#include "airtime.h"

#define PIECES_MAX 3

/* What is known of an order; a member that is missing or open is asked for. */
struct wish {
    const char *network;  /* code; "" for missing */
    const char *phone;    /* as named; "" for missing */
    const json_t *amount; /* NULL for missing */
    bool many_networks, many_phones, many_amounts;
    bool named; /* the network or the number: one of them must come from the customer */
    bool own;   /* the customer's own number was assumed */
    char hint[AIRTIME_NETWORK_SIZE];
};

static const json_t *entities_of(cvm_turn *t, const json_t *message)
{
    const json_t *context = cvm_context(t);
    const json_t *places[] = {json_object_get(context, "entities"),
                              json_object_get(json_object_get(context, "classification"), "entities"),
                              json_object_get(json_object_get(message, "structured_data"), "entities")};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (json_is_object(places[i]))
            return places[i];
    return NULL;
}

static const char *customer_words(cvm_turn *t, const json_t *message)
{
    static const char *const names[] = {"original_message", "message", "enquiry_text"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = cvm_json_str(cvm_context(t), names[i], "");
        if (*text)
            return text;
    }
    return cvm_json_str(message, "content", "");
}

/* The one value of a list without regard to repeats; *ret_many when there are several. */
static const json_t *only(const json_t *list, bool *ret_many)
{
    const json_t *first = json_array_get(list, 0);
    for (size_t i = 1; i < json_array_size(list); i++)
        if (!json_equal(first, json_array_get(list, i)))
            *ret_many = true;
    return *ret_many ? NULL : first;
}

static bool for_somebody_else(const char *words)
{
    static const char *const cues[] = {
        "him",      "her",       "them",   "his",       "their",       "brother",     "sister",         "mother",
        "mum",      "mom",       "mama",   "father",    "dad",         "papa",        "wife",           "husband",
        "son",      "daughter",  "friend", "uncle",     "aunt",        "aunty",       "boss",           "someone",
        "somebody", "colleague", "cousin", "neighbour", "that number", "this number", "another number", "other number",
        NULL};
    return words_have_any(words, cues);
}

/* "Load 500 on my line": a plain request that says whose number it is. */
static bool own_line_named(cvm_turn *t, const char *words)
{
    static const char *const cues[] = {"my line",     "my own line", "my number", "my phone", "this line",
                                       "this number", "my sim",      "myself",    NULL};
    return hold_cue(t, "request") && words_have_any(words, cues);
}

static void wish_read(cvm_turn *t, const struct airtime_rules *rules, const json_t *message, struct wish *w)
{
    const json_t *entities = entities_of(t, message), *context = cvm_context(t);
    const json_t *before = json_object_get(context, "airtime_context");
    *w = (struct wish){.network = "", .phone = ""};
    const json_t *network = only(json_object_get(entities, "networks"), &w->many_networks);
    const json_t *phone = only(json_object_get(entities, "phone_numbers"), &w->many_phones);
    w->amount = only(json_object_get(entities, "amounts"), &w->many_amounts);
    if (json_is_string(network))
        w->network = json_string_value(network);
    else if (!w->many_networks)
        w->network = cvm_json_str(before, "network", "");
    if (json_is_string(phone))
        w->phone = json_string_value(phone);
    else if (!w->many_phones)
        w->phone = cvm_json_str(before, "recipient_phone", "");
    if (!w->amount && !w->many_amounts && json_is_number(json_object_get(before, "amount")))
        w->amount = json_object_get(before, "amount");

    w->named =
        *w->network || *w->phone || w->many_networks || w->many_phones || own_line_named(t, customer_words(t, message));
    if (!*w->phone && !w->many_phones && !for_somebody_else(customer_words(t, message))) {
        w->phone = cvm_json_str(context, "customer_phone", "");
        w->own = *w->phone != '\0';
    }
    char e164[PHONE_SIZE];
    if (!*w->network && !w->many_networks && *w->phone && phone_normalise(w->phone, e164) == CVM_OK) {
        airtime_prefix(rules, e164, w->hint);
        w->network = w->hint;
    }
}

static int step(cvm_turn *t, const cvm_msg *m, const char *content, json_t *structured, const char *next)
{
    return cvm_reply(
        t, m,
        json_pack("{s:s, s:o, s:s?, s:b}", "content", content, "structured_data", structured, "next", next, "end", 0));
}

/* ---- asking ---- */

static size_t missing(const struct airtime_rules *rules, const struct wish *w, char pieces[PIECES_MAX][200],
                      json_t *names)
{
    char low[40], high[40], list[120];
    size_t n = 0;
    if (!w->amount) {
        snprintf(pieces[n++], 200, "%s (from %s to %s)", w->many_amounts ? "the one amount you want" : "the amount",
                 airtime_naira(rules->min_kobo, low), airtime_naira(rules->max_kobo, high));
        json_array_append_new(names, json_string("amount"));
    }
    if (!*w->phone) {
        snprintf(pieces[n++], 200, "%s",
                 w->many_phones ? "which one number to recharge first" : "the phone number to recharge");
        json_array_append_new(names, json_string("recipient_phone"));
    }
    /* A number may still tell its network. */
    if ((!*w->network && (*w->phone || w->many_networks)) || (!w->named && *w->phone)) {
        snprintf(pieces[n++], 200, "%s (%s)%s", w->many_networks ? "which one network" : "the network",
                 airtime_networks_text(rules, list, sizeof list), w->own ? ", or the phone number to recharge" : "");
        json_array_append_new(names, json_string("network"));
    }
    return n;
}

/* An agent's question to the customer; `rule` says why there is no more than that. */
static int ask_text(cvm_turn *t, const cvm_msg *m, const char *text, const char *rule, json_t *names)
{
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s, s:O}", "chose", "ask", "rule", rule, "missing", names)));
    return step(t, m, text, json_pack("{s:O, s:b, s:s}", "missing", names, "needs_input", 1, "rule", rule),
                "service.qa");
}

static int ask(cvm_turn *t, const cvm_msg *m, const struct wish *w, char pieces[PIECES_MAX][200], size_t n,
               json_t *names)
{
    bool several = w->many_amounts || w->many_networks || w->many_phones;
    char text[AIRTIME_TEXT_SIZE * 2];
    snprintf(text, sizeof text, "%sTo buy the airtime, please tell me ",
             several ? "I can do one order in a message. " : "");
    size_t at = strlen(text);
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s",
                               i == 0       ? ""
                               : i + 1 == n ? " and "
                                            : ", ",
                               pieces[i]);
    snprintf(text + at, sizeof text - at, ".");
    return ask_text(t, m, text, several ? "several_orders" : "needs_input", names);
}

/* The words of a purchase, but also of something that went wrong before: nothing is sold on a guess. */
static int ask_which(cvm_turn *t, const cvm_msg *m)
{
    json_t *names = json_pack("[s]", "purpose");
    int e = ask_text(t, m,
                     "Do you want to buy airtime now, or is it about an earlier purchase? To buy, please write the "
                     "amount, the network and the number. About an earlier purchase, please write when it was.",
                     "unclear_purchase", names);
    json_decref(names);
    return e;
}

/* A human is needed; `content` is what can be said meanwhile. */
static int hand_over(cvm_turn *t, const cvm_msg *m, const char *content, const char *rule, const char *reason,
                     const char *queue)
{
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s, s:s}", "chose", "a human", "rule", rule, "because", reason)));
    return step(
        t, m, content,
        json_pack("{s:s, s:{s:s, s:s, s:s}}", "rule", rule, "escalate", "rule", rule, "reason", reason, "queue", queue),
        "service.escalation");
}

/* ---- buying ---- */

static int context_put(cvm_turn *t, const struct wish *w, const struct airtime_order *o)
{
    json_t *c = json_pack("{s:n, s:b}", "transaction_reference", "is_bulk_purchase", o ? o->bulk : w->many_phones);
    if (!c)
        return CVM_ENOMEM;
    const char *network = o ? o->network : w->network, *phone = o ? o->phone : w->phone;
    if (*network)
        json_object_set_new(c, "network", json_string(network));
    if (*phone && (o || !w->own))
        json_object_set_new(c, "recipient_phone", json_string(phone));
    if (o)
        json_object_set_new(c, "amount", cvm_money_to_json(o->amount_kobo));
    else if (w->amount)
        json_object_set_new(c, "amount", cvm_json_share(w->amount));
    return cvm_context_set(t, "/airtime_context", c);
}

static int order(cvm_turn *t, const cvm_msg *m, const struct airtime_rules *rules, const struct wish *w)
{
    struct airtime_order o;
    struct airtime_failure f;
    char text[AIRTIME_TEXT_SIZE];
    if (airtime_check(rules, w->network, w->phone, w->amount, &o, &f) < 0) {
        snprintf(text, sizeof text, "%.*s %.*s", clip(f.error, 250), f.error, clip(f.recommendation, 250),
                 f.recommendation);
        CVM_TRY(cvm_note(t, "rule", json_pack("{s:s, s:s}", "rule", f.rule, "because", f.error)));
        return step(t, m, text,
                    json_pack("{s:o, s:s}", "result", airtime_failure_body(f.error, f.recommendation), "rule", f.rule),
                    "service.qa");
    }
    const json_t *context = cvm_context(t);
    const char *customer = *m->customer_id ? m->customer_id : cvm_json_str(context, "customer_id", "");
    json_t *body = airtime_purchase_body(rules, &o);
    if (!body)
        return CVM_ENOMEM;
    if (*customer)
        json_object_set_new(body, "customer_id", json_string(customer));
    json_object_set_new(body, "phone", json_string(cvm_json_str(context, "customer_phone", "")));
    snprintf(text, sizeof text, "Buying %s for %s.", cvm_json_str(body, "summary", ""),
             cvm_json_str(body, "destination", ""));
    int e = context_put(t, w, &o);
    if (e >= 0)
        e = cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:b, s:b, s:I}", "chose", "sell", "network", o.network, "network_by_prefix",
                               *w->hint != '\0', "own_number", w->own, "amount_kobo", (json_int_t)o.amount_kobo));
    if (e < 0) {
        json_decref(body);
        return e;
    }
    return step(t, m, text, json_pack("{s:o}", "order", body), AIRTIME_TRANSACTION);
}

static int purchase(cvm_turn *t, const cvm_msg *m, const struct airtime_rules *rules, const json_t *message)
{
    struct wish w;
    char pieces[PIECES_MAX][200];
    const char *hold = hold_rule(t);
    if (hold) {
        CVM_TRY(
            cvm_note(t, "rule", json_pack("{s:s, s:s}", "rule", hold, "because", "nothing is sold before a human")));
        return step(t, m, "", json_pack("{s:s}", "rule", hold), "service.escalation");
    }
    if (hold_cue(t, "complaint"))
        return ask_which(t, m);
    wish_read(t, rules, message, &w);
    if (hold_cue(t, "bulk") && (!*w.phone || w.own || w.many_amounts))
        return hand_over(t, m, "", "bulk_order", "an order for several numbers that are not in the message",
                         "transactions");
    json_t *names = json_array();
    size_t n = missing(rules, &w, pieces, names);
    int e;
    if (n == 0)
        e = order(t, m, rules, &w);
    else if ((e = context_put(t, &w, NULL)) >= 0)
        e = ask(t, m, &w, pieces, n, names);
    json_decref(names);
    return e;
}

/* ---- answering ---- */

static bool loaded(cvm_turn *t, const char *id)
{
    const json_t *components = cvm_registry(t, "components");
    for (size_t i = 0; i < json_array_size(components); i++)
        if (strcmp(cvm_json_str(json_array_get(components, i), "id", ""), id) == 0)
            return true;
    return false;
}

static int answer(cvm_turn *t, const cvm_msg *m, const struct airtime_rules *rules, const json_t *message)
{
    char text[AIRTIME_TEXT_SIZE * 3];
    size_t topics = airtime_facts(rules, customer_words(t, message), text, sizeof text);
    if (topics) {
        CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:i}", "chose", "answer from facts", "topics", (int)topics)));
        return step(t, m, text, json_pack("{s:b}", "answered", 1), "service.qa");
    }
    if (!loaded(t, "service.research"))
        return hand_over(t, m, "", "no_answer", "the answer is not among what the agents know", "general");
    /* The rest of the route may know more. */
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:i}", "chose", "no answer known", "topics", 0)));
    return step(t, m, "I do not have the answer to this airtime question at hand.", json_pack("{s:b}", "answered", 0),
                NULL);
}

int airtime_handle(cvm_turn *t, const cvm_msg *m)
{
    struct airtime_rules rules;
    const json_t *message = json_object_get(m->data, "message");
    airtime_rules_read(cvm_settings(t), &rules);
    if (strcasecmp(cvm_json_str(cvm_context(t), "intent", ""), "PURCHASE") == 0)
        return purchase(t, m, &rules, message);
    return answer(t, m, &rules, message);
}
