/* AirtimeSalesAgent in a conversation: reads what the customer named, asks for exactly what is missing, hands a
 * complete order to the saga, answers questions from what it knows. Decides by the context and rules, never by words of
 * the customer that look like instructions. Loop thread. */
#include "airtime.h"

/* What is known of an order; a member that is missing or open is asked for. */
struct wish {
    const char *network;  /* code; "" for missing */
    const char *phone;    /* as named; "" for missing */
    const json_t *amount; /* NULL for missing */
    bool many_networks, many_phones, many_amounts;
    bool named; /* the network or the number: one of them must come from the customer */
    bool own;   /* the customer's own number was assumed */
    char hint[NETWORK_SIZE];
};

/* "Load 500 on my line": a plain request that says whose number it is. */
static bool own_line_named(cvm_turn *t, const char *words)
{
    static const char *const cues[] = {"my line",     "my own line", "my number", "my phone", "this line",
                                       "this number", "my sim",      "myself",    NULL};
    return hold_cue(t, "request") && words_have_any(words, cues);
}

static void wish_read(cvm_turn *t, const struct airtime_rules *rules, const cvm_msg *m, struct wish *w)
{
    const json_t *entities = step_entities(t), *context = cvm_context(t);
    const json_t *before = json_object_get(context, "airtime_context");
    const char *words = step_words(t, m);
    *w = (struct wish){.network = "", .phone = ""};
    const json_t *network = step_only(json_object_get(entities, "networks"), &w->many_networks);
    const json_t *phone = step_only(json_object_get(entities, "phone_numbers"), &w->many_phones);
    w->amount = step_only(json_object_get(entities, "amounts"), &w->many_amounts);
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

    w->named = *w->network || *w->phone || w->many_networks || w->many_phones || own_line_named(t, words);
    if (!*w->phone && !w->many_phones && !words_someone_else(words)) {
        w->phone = cvm_json_str(context, "customer_phone", "");
        w->own = *w->phone != '\0';
    }
    char e164[PHONE_SIZE];
    if (!*w->network && !w->many_networks && *w->phone && phone_normalise(w->phone, e164) == CVM_OK) {
        network_of_prefix(&rules->networks, e164, w->hint);
        w->network = w->hint;
    }
}

/* ---- asking ---- */

static size_t missing(const struct airtime_rules *rules, const struct wish *w,
                      char pieces[SALE_PIECES_MAX][SALE_PIECE_SIZE], json_t *names)
{
    char low[40], high[40], list[120];
    size_t n = 0;
    if (!w->amount) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "%s (from %s to %s)",
                 w->many_amounts ? "the one amount you want" : "the amount", sale_naira(rules->min_kobo, low),
                 sale_naira(rules->max_kobo, high));
        json_array_append_new(names, json_string("amount"));
    }
    if (!*w->phone) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "%s",
                 w->many_phones ? "which one number to recharge first" : "the phone number to recharge");
        json_array_append_new(names, json_string("recipient_phone"));
    }
    /* A number may still tell its network. */
    if ((!*w->network && (*w->phone || w->many_networks)) || (!w->named && *w->phone)) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "%s (%s)%s", w->many_networks ? "which one network" : "the network",
                 networks_text(&rules->networks, list, sizeof list), w->own ? ", or the phone number to recharge" : "");
        json_array_append_new(names, json_string("network"));
    }
    return n;
}

/* The words of a purchase, but also of something that went wrong before: nothing is sold on a guess. */
static int ask_which(cvm_turn *t, const cvm_msg *m)
{
    return step_ask(t, m->id,
                    "Do you want to buy airtime now, or is it about an earlier purchase? To buy, please write the "
                    "amount, the network and the number. About an earlier purchase, please write when it was.",
                    "unclear_purchase", json_pack("[s]", "purpose"));
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
    struct sale_failure f;
    if (airtime_check(rules, w->network, w->phone, w->amount, &o, &f) < 0)
        return sale_step_refuse(t, m->id, &f, AIRTIME_ALIAS);
    if (*o.prefix_network && strcmp(o.prefix_network, o.network) != 0 && !network_confirmed(step_words(t, m))) {
        char text[SALE_TEXT_SIZE];
        CVM_TRY(context_put(t, w, &o));
        network_ask_text(o.phone, o.prefix_network, o.network, text, sizeof text);
        return step_ask(t, m->id, text, "confirm_network", json_pack("[s]", "network"));
    }
    CVM_TRY(context_put(t, w, &o));
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:b, s:b, s:I}", "chose", "sell", "network", o.network, "network_by_prefix",
                               *w->hint != '\0', "own_number", w->own, "amount_kobo", (json_int_t)o.amount_kobo)));
    return sale_order(t, m, m->id, airtime_purchase_body(rules, &o));
}

static int purchase(cvm_turn *t, const cvm_msg *m, const struct airtime_rules *rules)
{
    struct wish w;
    char pieces[SALE_PIECES_MAX][SALE_PIECE_SIZE];
    const char *hold = hold_rule(t);
    if (hold)
        return sale_hold(t, m->id, hold);
    if (hold_cue(t, "complaint"))
        return ask_which(t, m);
    wish_read(t, rules, m, &w);
    if (hold_cue(t, "bulk") && (!*w.phone || w.own || w.many_amounts))
        return step_hand_over(t, m->id, "", "bulk_order", "an order for several numbers that are not in the message",
                              "transactions");
    json_t *names = json_array();
    size_t n = missing(rules, &w, pieces, names);
    int e = n ? context_put(t, &w, NULL) : order(t, m, rules, &w);
    if (e < 0 || n == 0) {
        json_decref(names);
        return e;
    }
    return sale_ask(t, m->id, "the airtime", pieces, n, w.many_amounts || w.many_networks || w.many_phones, "", names);
}

int airtime_handle(cvm_turn *t, const cvm_msg *m)
{
    struct airtime_rules rules;
    char text[SALE_TEXT_SIZE * 3];
    airtime_rules_read(cvm_settings(t), &rules);
    if (strcasecmp(cvm_json_str(cvm_context(t), "intent", ""), "PURCHASE") == 0)
        return purchase(t, m, &rules);
    size_t topics = airtime_facts(&rules, step_words(t, m), text, sizeof text);
    return sale_answer(t, m->id, topics, text, "I do not have the answer to this airtime question at hand.");
}
