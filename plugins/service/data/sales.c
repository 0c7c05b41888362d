/* DataSalesAgent in a conversation: reads what the customer named, asks for exactly what is missing, hands a complete
 * order to the saga, advises, and answers from what it knows. Decides by the context and rules, never by words of the
 * customer that look like instructions. Loop thread. */
#include "data.h"

/* What is known of an order; a member that is missing or open is asked for. */
struct wish {
    char network[NETWORK_SIZE]; /* "" for missing */
    const char *phone;          /* as named; "" for missing */
    struct wanted wanted;
    const json_t *amount;
    bool many_networks, many_phones, named, own;
};

static bool own_line_named(cvm_turn *t, const char *words)
{
    static const char *const cues[] = {"my line",     "my own line", "my number", "my phone", "this line",
                                       "this number", "my sim",      "myself",    NULL};
    return hold_cue(t, "request") && words_have_any(words, cues);
}

static void wish_read(cvm_turn *t, const struct data_rules *rules, const char *words, struct wish *w)
{
    const json_t *entities = step_entities(t), *context = cvm_context(t);
    bool many_amounts = false;
    char e164[PHONE_SIZE];
    *w = (struct wish){.phone = ""};
    const json_t *network = step_only(json_object_get(entities, "networks"), &w->many_networks);
    const json_t *phone = step_only(json_object_get(entities, "phone_numbers"), &w->many_phones);
    w->amount = step_only(json_object_get(entities, "amounts"), &many_amounts);
    wanted_read(words, w->amount, &w->wanted);
    if (json_is_string(network) && network_code(&rules->networks, json_string_value(network), w->network) < 0)
        w->network[0] = '\0';
    if (json_is_string(phone))
        w->phone = json_string_value(phone);
    w->named = *w->network || *w->phone || w->many_networks || w->many_phones || own_line_named(t, words);
    if (!*w->phone && !w->many_phones && !words_someone_else(words)) {
        w->phone = cvm_json_str(context, "customer_phone", "");
        w->own = *w->phone != '\0';
    }
    if (!*w->network && !w->many_networks && *w->phone && phone_normalise(w->phone, e164) == CVM_OK)
        network_of_prefix(&rules->networks, e164, w->network);
}

/* ---- asking ---- */

static bool wants_any(const struct wanted *w)
{
    return w->mb || w->kobo || *w->type || *w->code;
}

/* Asks which of the bundles; `found` are those that fit so far, or all where none does. */
static int ask_bundle(cvm_turn *t, const cvm_msg *m, const struct wish *w, const struct bundle *found, size_t n,
                      bool none_fits)
{
    char list[700], text[DATA_LONG_SIZE];
    bundles_text(found, n, list, sizeof list);
    snprintf(text, sizeof text, "%s%s%s %s data plan you want: %s.", none_fits ? w->network : "",
             none_fits ? " has no such plan. " : "",
             none_fits ? "Please tell me which" : "To buy data, please tell me which", none_fits ? "other" : w->network,
             list);
    return step_ask(t, m->id, text, none_fits ? "BUNDLE" : "needs_input", json_pack("[s]", "bundle_code"));
}

static int ask(cvm_turn *t, const cvm_msg *m, const struct data_rules *rules, const struct wish *w)
{
    char pieces[SALE_PIECES_MAX][SALE_PIECE_SIZE], list[160];
    bool several = w->many_networks || w->many_phones;
    json_t *names = json_array();
    size_t n = 0;
    if (!wants_any(&w->wanted)) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "the size (such as 2GB) or the price");
        json_array_append_new(names, json_string("bundle_code"));
    }
    if (!*w->network || !w->named) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "%s (%s)%s", w->many_networks ? "which one network" : "the network",
                 networks_text(&rules->networks, list, sizeof list), w->own ? ", or the phone number" : "");
        json_array_append_new(names, json_string("network"));
    }
    if (!*w->phone) {
        snprintf(pieces[n++], SALE_PIECE_SIZE, "%s",
                 w->many_phones ? "which one number to send it to first" : "the phone number to send it to");
        json_array_append_new(names, json_string("recipient_phone"));
    }
    return sale_ask(t, m->id, "data", pieces, n, several, "", names);
}

/* The words of a purchase, but also of something that went wrong before: nothing is sold on a guess. */
static int ask_which(cvm_turn *t, const cvm_msg *m)
{
    return step_ask(
        t, m->id,
        "Do you want to buy data now, or is it about an earlier purchase? To buy, please write the size, the "
        "network and the number. About an earlier purchase, please write DATA NOT RECEIVED and when it was.",
        "unclear_purchase", json_pack("[s]", "purpose"));
}

/* ---- buying ---- */

int sales_order(cvm_turn *t, const cvm_msg *m, cvm_id request, const struct data_rules *rules, struct data_order *o,
                bool confirmed)
{
    char text[SALE_TEXT_SIZE];
    struct sale_failure f;
    const json_t *context = cvm_context(t);
    o->gift = strcmp(o->phone, cvm_json_str(context, "customer_phone", o->phone)) != 0;
    if (o->gift && !rules->gifting) {
        snprintf(f.error, sizeof f.error, "Data cannot be bought for another number here.");
        sale_refused(&f, "GIFTING", "Buy it from that number.");
        return sale_step_refuse(t, request, &f, "DataSalesAgent");
    }
    CVM_TRY(sell_context(t, o));
    if (*o->prefix_network && !confirmed) {
        network_ask_text(o->phone, o->prefix_network, o->network, text, sizeof text);
        return step_ask(t, request, text, "confirm_network", json_pack("[s]", "network"));
    }
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s, s:I, s:b}", "chose", "sell", "network", o->network, "bundle_code",
                               o->bundle.code, "amount_kobo", (json_int_t)o->bundle.kobo, "gift", o->gift)));
    json_t *body = data_purchase_body(rules, o);
    if (body && hold_cue(t, "auto"))
        json_object_set_new(body, "remark", json_string("To have it renewed by itself, write AUTO RENEW ON."));
    return sale_order(t, m, request, body);
}

static int order(cvm_turn *t, const cvm_msg *m, const struct data_rules *rules, const struct wish *w)
{
    struct bundle found[DATA_BUNDLES_MAX];
    struct data_order o;
    struct sale_failure f;
    struct wanted wanted = w->wanted;
    if (!*w->phone || !*w->network || !w->named || !wants_any(&wanted))
        return ask(t, m, rules, w);
    size_t n = catalogue_pick(rules, w->network, &wanted, found);
    if (n == 0 && wanted.mb && wanted.kobo) { /* a size says more than a sum */
        wanted.kobo = 0;
        n = catalogue_pick(rules, w->network, &wanted, found);
    }
    if (n == 0) {
        n = catalogue_of(rules, w->network, found);
        return ask_bundle(t, m, w, found, n, true);
    }
    if (n > 1 || wanted.kobo != w->wanted.kobo)
        return ask_bundle(t, m, w, found, n, false);
    if (data_check(rules, w->network, w->phone, found[0].code, &o, &f) < 0)
        return sale_step_refuse(t, m->id, &f, "DataSalesAgent");
    return sales_order(t, m, m->id, rules, &o, network_confirmed(step_words(t, m)));
}

/* ---- advice and prices ---- */

static int ask_network(cvm_turn *t, const cvm_msg *m, const struct data_rules *rules)
{
    char list[160], text[240];
    snprintf(text, sizeof text, "For which network is it: %s?", networks_text(&rules->networks, list, sizeof list));
    return step_ask(t, m->id, text, "needs_input", json_pack("[s]", "network"));
}

static int say_plans(cvm_turn *t, const cvm_msg *m, const struct data_rules *rules, const struct wish *w)
{
    static const char *const least[] = {"cheapest", "cheaper", "lowest", "smallest", NULL};
    struct bundle found[DATA_BUNDLES_MAX];
    char list[1400], text[DATA_LONG_SIZE];
    bool cheapest = words_have_any(step_words(t, m), least);
    size_t n = catalogue_pick(rules, w->network, &w->wanted, found);
    bool none = n == 0;
    if (none)
        n = catalogue_of(rules, w->network, found);
    for (size_t i = 1; cheapest && i < n; i++)
        if (found[i].kobo < found[0].kobo)
            found[0] = found[i];
    bundles_text(found, cheapest && n ? 1 : n, list, sizeof list);
    snprintf(text, sizeof text, "%s%s%s: %s. To buy one, tell me the size and the number.",
             none && wants_any(&w->wanted) ? "There is no such plan. " : "",
             cheapest ? "The cheapest plan of " : "Data plans of ", w->network, n ? list : "none at the moment");
    return sale_answer(t, m->id, 1, text, "");
}

static int say_advice(cvm_turn *t, cvm_id request, json_t *advice)
{
    char text[DATA_LONG_SIZE];
    snprintf(text, sizeof text, "%.1800s To buy it, tell me the size and the number.",
             cvm_json_str(advice, "text", ""));
    CVM_TRY(
        cvm_note(t, "decision",
                 json_pack("{s:s, s:O}", "chose", "recommend", "recommended", json_object_get(advice, "recommended"))));
    return step_say(t, request, text, json_pack("{s:b, s:o}", "answered", 1, "recommendation", advice), "service.qa");
}

/* By what is used: as stated, else as the line's network counted it. */
static int advise(cvm_turn *t, const cvm_msg *m, const struct data_rules *rules, const struct wish *w, int64_t daily)
{
    int64_t days = wanted_days(w->wanted.type);
    struct need need = {daily, days > 0 ? days : rules->days, w->wanted.kobo};
    struct line line;
    if (daily > 0) {
        json_t *advice = recommend(rules, w->network, &need);
        return advice ? say_advice(t, m->id, advice) : say_plans(t, m, rules, w);
    }
    line_of_step(t, &rules->networks, &line);
    snprintf(line.network, sizeof line.network, "%s", w->network);
    int e = line_ask(t, m->id, &line, "usage",
                     json_pack("{s:s, s:I, s:I}", "kind", "advise", "days", (json_int_t)need.days, "budget_kobo",
                               (json_int_t)need.budget_kobo));
    return e == CVM_ENOENT ? say_plans(t, m, rules, w) : e;
}

int sales_advised(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    struct data_rules rules;
    struct bundle all[DATA_BUNDLES_MAX];
    char list[1400], text[DATA_LONG_SIZE];
    const char *network = cvm_json_str(what, "network", "");
    data_rules_read(cvm_settings(t), &rules);
    struct need need = {cvm_json_int(m->data, "average_mb", 0), cvm_json_int(what, "days", 30),
                        cvm_json_int(what, "budget_kobo", 0)};
    json_t *advice = m->outcome == CVM_REPLIED ? recommend(&rules, network, &need) : NULL;
    if (advice)
        return say_advice(t, m->on_behalf, advice);
    size_t n = catalogue_of(&rules, network, all);
    snprintf(text, sizeof text, "Data plans of %s: %s. Tell me how many MB you use a day, and I recommend one.",
             network, n ? bundles_text(all, n, list, sizeof list) : "none at the moment");
    return step_say(t, m->on_behalf, text, json_pack("{s:b}", "answered", 1), "service.qa");
}

/* A question about plans, not an order. */
static bool asks_advice(cvm_turn *t)
{
    bool question = hold_cue(t, "price") || hold_cue(t, "question") || hold_cue(t, "how_to");
    return data_leaf(t, "recommendation") || hold_cue(t, "recommend") || (question && !hold_cue(t, "request"));
}

static int advice(cvm_turn *t, const cvm_msg *m, const struct data_rules *rules, const struct wish *w)
{
    char text[DATA_LONG_SIZE];
    const char *words = step_words(t, m);
    int64_t daily = wanted_daily_mb(words);
    bool recommends = daily > 0 || data_leaf(t, "recommendation") || hold_cue(t, "recommend");
    size_t topics = recommends || w->wanted.mb ? 0 : data_facts(rules, words, text, sizeof text);
    if (topics)
        return sale_answer(t, m->id, topics, text, "");
    if (!*w->network)
        return ask_network(t, m, rules);
    return recommends ? advise(t, m, rules, w, daily) : say_plans(t, m, rules, w);
}

static int purchase(cvm_turn *t, const cvm_msg *m, const struct data_rules *rules)
{
    struct wish w;
    const char *hold = hold_rule(t);
    if (hold)
        return sale_hold(t, m->id, hold);
    if (hold_cue(t, "complaint"))
        return ask_which(t, m);
    wish_read(t, rules, step_words(t, m), &w);
    if (data_leaf(t, "renew") && !wants_any(&w.wanted))
        return renew_step(t, m, "renew");
    if (data_leaf(t, "upgrade") && !w.wanted.mb && !*w.wanted.code)
        return renew_step(t, m, "upgrade");
    return asks_advice(t) ? advice(t, m, rules, &w) : order(t, m, rules, &w);
}

/* ---- managing ---- */

static int say_known(cvm_turn *t, const cvm_msg *m, const char *topic, const char *text)
{
    CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "guidance", "topic", topic)));
    return step_say(t, m->id, text, json_pack("{s:b}", "answered", 1), "service.qa");
}

static int manage(cvm_turn *t, const cvm_msg *m, const struct data_rules *rules)
{
    const char *words = step_words(t, m);
    struct wish w;
    wish_read(t, rules, words, &w);
    if (data_leaf(t, "borrow data") || hold_cue(t, "borrow"))
        return say_known(t, m, "borrow", data_borrow_text);
    if (data_leaf(t, "auto-renewal") || hold_cue(t, "auto") || hold_cue(t, "stop"))
        return renew_auto_step(t, m);
    if (wants_any(&w.wanted) && *w.phone && !w.own && !hold_cue(t, "how_to"))
        return purchase(t, m, rules); /* a gift is bought */
    return say_known(t, m, "sharing", data_share_text);
}

int sales_handle(cvm_turn *t, const cvm_msg *m)
{
    struct data_rules rules;
    struct wish w;
    const char *intent = cvm_json_str(cvm_context(t), "intent", "");
    data_rules_read(cvm_settings(t), &rules);
    if (strcasecmp(intent, "PURCHASE") == 0)
        return purchase(t, m, &rules);
    if (strcasecmp(intent, "MANAGEMENT") == 0)
        return manage(t, m, &rules);
    wish_read(t, &rules, step_words(t, m), &w);
    return advice(t, m, &rules, &w);
}
