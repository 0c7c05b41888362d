/* AirtimeTechnicalAgent: recharges that did not arrive, the state of the networks, and how things are done: converting,
 * sharing, borrowing, PINs, auto-recharge, which is a schedule of the saga's. Loop thread. */
#include "airtime.h"

#define STATUS_TIMEOUT_MS 15000
#define CANCELLED_MAX 10

/* ---- the state of a network ---- */

static int ask_network(cvm_turn *t, const cvm_msg *m, const char *network, const char *e164, bool in_step)
{
    int e = cvm_request(t, "role:network", "network_status",
                        json_pack("{s:s, s:s*}", "network", network, "phone", *e164 ? e164 : NULL),
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = STATUS_TIMEOUT_MS});
    if (e < 0)
        return e;
    CVM_TRY(
        pending_put(t, m->id, json_pack("{s:s, s:s, s:b}", "kind", "network", "network", network, "step", in_step)));
    return CVM_PENDING;
}

int technical_network(cvm_turn *t, const cvm_msg *m)
{
    struct networks networks;
    char network[NETWORK_SIZE], e164[PHONE_SIZE] = "";
    const char *phone = cvm_json_str(m->data, "phone", "");
    networks_read(cvm_settings(t), &networks);
    if (network_code(&networks, cvm_json_str(m->data, "network", ""), network) < 0)
        return cvm_refuse(t, "NETWORK", "network", "not a supported network");
    if (*phone && phone_normalise(phone, e164) < 0)
        return cvm_refuse(t, "PHONE", "phone", "the number must be like 08012345678 or +2348012345678");
    int e = ask_network(t, m, network, e164, false);
    return e == CVM_ENOENT ? cvm_refuse(t, "NOT_AVAILABLE", "network", "no provider is loaded for this network") : e;
}

static int network_told(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[SALE_TEXT_SIZE];
    const char *network = cvm_json_str(what, "network", ""), *status = cvm_json_str(m->data, "status", "");
    const char *message = cvm_json_str(m->data, "message", "");
    bool trouble = strcmp(status, "degraded") == 0 || strcmp(status, "outage") == 0;
    if (!cvm_json_bool(what, "step", false))
        return m->outcome == CVM_REPLIED
                   ? step_settle(t, m->on_behalf, CVM_REPLIED,
                                 json_pack("{s:s, s:s, s:s}", "network", network, "status", status, "message", message))
                   : step_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    if (trouble)
        snprintf(text, sizeof text, "%s has %s near this line: %.300s", network,
                 strcmp(status, "outage") == 0 ? "an outage" : "trouble", message);
    else
        snprintf(text, sizeof text,
                 "%s. Switch flight mode on for 10 seconds and off again, check that the SIM is not barred (dial "
                 "*310#), and "
                 "restart the phone. If calls still fail, write since when and where.",
                 m->outcome == CVM_REPLIED ? "The network works as it should"
                                           : "The network cannot be asked at the moment");
    return step_say(t, m->on_behalf, text,
                    json_pack("{s:b, s:s}", "answered", 1, "cause", trouble ? "network" : "device"), "service.qa");
}

int technical_network_told(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, network_told);
}

/* ---- auto-recharge ---- */

static const char *period_named(const char *words)
{
    static const char *const daily[] = {"daily", "every day", "everyday", "each day", NULL};
    static const char *const weekly[] = {"weekly",       "every week",   "each week",      "every monday",
                                         "every friday", "every sunday", "every saturday", NULL};
    static const char *const monthly[] = {"monthly", "every month", "each month", "month end", NULL};
    return words_have_any(words, daily)     ? "daily"
           : words_have_any(words, weekly)  ? "weekly"
           : words_have_any(words, monthly) ? "monthly"
                                            : "";
}

static int auto_off(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "schedule_list",
                        json_pack("{s:s}", "customer", cvm_json_str(cvm_context(t), "customer_id", "")),
                        &(cvm_request_opts){.on_behalf = m->id}));
    CVM_TRY(pending_put(t, m->id, json_pack("{s:s}", "kind", "off")));
    return CVM_PENDING;
}

static int auto_on(cvm_turn *t, const cvm_msg *m)
{
    struct airtime_rules rules;
    struct airtime_order o;
    struct sale_failure f;
    bool many = false;
    char local[PHONE_SIZE], prefix[NETWORK_SIZE] = "";
    const json_t *entities = step_entities(t), *amount = step_only(json_object_get(entities, "amounts"), &many);
    const json_t *phone = step_only(json_object_get(entities, "phone_numbers"), &many);
    const json_t *network = step_only(json_object_get(entities, "networks"), &many);
    const char *customer = cvm_json_str(cvm_context(t), "customer_id", ""), *every = period_named(step_words(t, m));
    const char *to =
        json_is_string(phone) ? json_string_value(phone) : cvm_json_str(cvm_context(t), "customer_phone", "");
    airtime_rules_read(cvm_settings(t), &rules);
    if (many || !amount || !*every)
        return step_ask(
            t, m->id,
            "To set up auto-recharge, please write the amount, how often (daily, weekly or monthly), and the number "
            "where it is not your own: for example, auto recharge 500 MTN airtime weekly. To stop one, write "
            "AUTO RECHARGE OFF.",
            "needs_input", json_pack("[s, s]", "amount", "every"));
    if (phone_normalise(to, o.phone) == CVM_OK)
        network_of_prefix(&rules.networks, o.phone, prefix);
    if (airtime_check(&rules, json_is_string(network) ? json_string_value(network) : prefix, to, amount, &o, &f) < 0)
        return sale_step_refuse(t, m->id, &f, "AirtimeTechnicalAgent");
    phone_local(o.phone, local);
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "schedule_add",
                        json_pack("{s:s, s:s, s:{s:s, s:s, s:o}, s:s, s:s}", "customer", customer, "seller",
                                  AIRTIME_SELF, "order", "network", o.network, "recipient_phone", local, "amount",
                                  cvm_money_to_json(o.amount_kobo), "every", every, "kind", "top_up"),
                        &(cvm_request_opts){.on_behalf = m->id}));
    CVM_TRY(pending_put(t, m->id,
                        json_pack("{s:s, s:s, s:s, s:s, s:I}", "kind", "on", "phone", local, "network", o.network,
                                  "every", every, "amount_kobo", (json_int_t)o.amount_kobo)));
    return CVM_PENDING;
}

static int scheduled(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[SALE_TEXT_SIZE], sum[40];
    const char *next = cvm_json_str(m->data, "next_run_at", "");
    const char *why = cvm_json_str(m->data, "message", "It cannot be set up at the moment; please try again later.");
    if (m->outcome != CVM_REPLIED) {
        snprintf(text, sizeof text, "Auto-recharge was not set up. %.*s", clip(why, 300), why);
        return step_say(t, m->on_behalf, text, json_pack("{s:s}", "rule", "AUTO_RECHARGE"), "service.qa");
    }
    snprintf(text, sizeof text,
             "Auto-recharge is on: %s airtime for %s on %s, %s%s%.10s, paid from your wallet. To stop it, write AUTO "
             "RECHARGE OFF.",
             sale_naira(cvm_json_int(what, "amount_kobo", 0), sum), cvm_json_str(what, "phone", ""),
             cvm_json_str(what, "network", ""), cvm_json_str(what, "every", ""), *next ? ", next on " : "", next);
    return step_say(t, m->on_behalf, text,
                    json_pack("{s:b, s:s}", "answered", 1, "schedule_id", cvm_json_str(m->data, "schedule_id", "")),
                    "service.qa");
}

int technical_scheduled(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, scheduled);
}

static int off_listed(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    const json_t *rows = json_object_get(m->data, "rows");
    int64_t asked = 0;
    if (m->outcome != CVM_REPLIED)
        return step_hand_over(t, m->on_behalf, "", "no_answer", "the customer's schedules could not be read",
                              "transactions");
    for (size_t i = 0; i < json_array_size(rows) && asked < CANCELLED_MAX; i++) {
        const json_t *row = json_array_get(rows, i);
        const char *status = cvm_json_str(row, "status", "");
        if (strcmp(cvm_json_str(row, "kind", ""), "top_up") != 0 || strcasecmp(status, "cancelled") == 0 ||
            strcasecmp(status, "ended") == 0)
            continue;
        CVM_TRY(cvm_request(t, SALE_TRANSACTION, "schedule_cancel",
                            json_pack("{s:s, s:s}", "schedule_id", cvm_json_str(row, "schedule_id", ""), "customer",
                                      cvm_json_str(cvm_context(t), "customer_id", "")),
                            &(cvm_request_opts){.on_behalf = m->on_behalf}));
        asked++;
    }
    if (asked)
        return pending_put(t, m->on_behalf,
                           json_pack("{s:s, s:I}", "kind", cvm_json_str(what, "kind", ""), "left", (json_int_t)asked));
    return step_say(
        t, m->on_behalf,
        "No auto-recharge of ours runs on your line. To stop a service that the network charges for, dial *305#.",
        json_pack("{s:b}", "answered", 1), "service.qa");
}

int technical_listed_schedules(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, off_listed);
}

static int off_cancelled(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    int64_t left = cvm_json_int(what, "left", 1) - 1;
    bool failed = cvm_json_bool(what, "failed", false) || m->outcome != CVM_REPLIED;
    if (left > 0)
        return pending_put(t, m->on_behalf,
                           json_pack("{s:s, s:I, s:b}", "kind", "off", "left", (json_int_t)left, "failed", failed));
    if (failed)
        return step_hand_over(t, m->on_behalf, "Auto-recharge could not be turned off; a colleague does it.",
                              "AUTO_RECHARGE", "a schedule could not be cancelled", "transactions");
    return step_say(t, m->on_behalf, "Auto-recharge is off. Nothing more is bought by itself.",
                    json_pack("{s:b}", "answered", 1), "service.qa");
}

int technical_cancelled(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, off_cancelled);
}

/* ---- guidance ---- */

/* clang-format off */
static const struct guidance {
    const char *leaf, *cue;
    const char *const words[6];
    const char *text;
} guidances[] = {
    { "convert airtime to data", "convert", { "airtime to data", NULL },
      "To turn airtime into data, dial *312# on the line, choose a plan and pay with airtime; it works on all networks. Airtime cannot be turned into cash. Or tell me "
      "a size, the network and the number, such as 2GB MTN data for my line, and I sell it from your wallet." },
    { "share airtime", "share", { "share airtime", "transfer airtime", "share credit", NULL },
      "To share airtime from your line, dial *321# and enter the amount, the other number and your share PIN; it works on all networks. Or tell me an amount, the "
      "network and their number, and I send airtime from your wallet." },
    { "borrow airtime", "borrow", { "borrow", "loan", NULL },
      "To borrow airtime, dial *303# on the line; it works on all networks. What was borrowed, and a fee of the network, is taken from your next recharge." },
    { "PIN reset", "pin", { "reset pin", "pin reset", "share pin", "transfer pin", "puk", NULL },
      "To set or change the PIN for sharing airtime, dial *321# on the line and choose the PIN. If you forgot it, or the SIM asks for its PUK, dial 300 from a line of the "
      "same network: the network asks who you are and resets it. Never tell your PIN to anybody, us included." },
    { "", "stop", { "unsubscribe", "caller tune", "value added", NULL },
      "To stop a service that takes airtime, dial *305# on the line and choose it. To stop promotional messages, send STOP to 2442 (do not disturb)." },
    { "", "barring", { "do not disturb", "dnd", NULL },
      "To stop services that take airtime, dial *305# on the line. To stop promotional messages, send STOP to 2442 (do not disturb). To have a line barred, dial 300." },
};
/* clang-format on */

static const struct guidance *guidance_for(cvm_turn *t, const char *words)
{
    const char *leaf = cvm_json_str(cvm_context(t), "sub_intent", "");
    for (size_t i = 0; i < sizeof guidances / sizeof guidances[0]; i++)
        if (*leaf && strcasecmp(guidances[i].leaf, leaf) == 0)
            return &guidances[i];
    for (size_t i = 0; i < sizeof guidances / sizeof guidances[0]; i++)
        if (hold_cue(t, guidances[i].cue) || words_have_any(words, guidances[i].words))
            return &guidances[i];
    return NULL;
}

/* ---- a step of a conversation ---- */

static int support(cvm_turn *t, const cvm_msg *m, const char *words)
{
    static const char *const autos[] = {"auto recharge", "auto-recharge", "automatic recharge",
                                        "recurring",     "auto top up",   NULL};
    static const char *const off[] = {"off", "stop", "cancel", "disable", "deactivate", NULL};
    struct networks networks;
    bool many = false,
         recurring = strcasecmp(cvm_json_str(cvm_context(t), "sub_intent", ""), "activate auto-recharge") == 0 ||
                     hold_cue(t, "auto") || words_have_any(words, autos);
    const struct guidance *g = guidance_for(t, words);
    char network[NETWORK_SIZE] = "", e164[PHONE_SIZE] = "";
    if (recurring)
        return words_have_any(words, off) ? auto_off(t, m) : auto_on(t, m);
    if (g) {
        CVM_TRY(cvm_note(t, "decision", json_pack("{s:s, s:s}", "chose", "guidance", "topic", g->cue)));
        return step_say(t, m->id, g->text, json_pack("{s:b}", "answered", 1), "service.qa");
    }
    networks_read(cvm_settings(t), &networks);
    const json_t *named = step_only(json_object_get(step_entities(t), "networks"), &many);
    if (phone_normalise(cvm_json_str(cvm_context(t), "customer_phone", ""), e164) == CVM_OK)
        network_of_prefix(&networks, e164, network);
    if (json_is_string(named) && network_code(&networks, json_string_value(named), network) < 0)
        network[0] = '\0';
    int e = *network ? ask_network(t, m, network, e164, true) : CVM_ENOENT;
    if (e != CVM_ENOENT)
        return e;
    return step_say(
        t, m->id,
        "For help with a line, dial 300; *301# lists all codes. Tell me what does not work, and I help you with it.",
        json_pack("{s:b}", "answered", 1), "service.qa");
}

int technical_handle(cvm_turn *t, const cvm_msg *m)
{
    if (strcasecmp(cvm_json_str(cvm_context(t), "intent", ""), "SUPPORT") == 0)
        return support(t, m, step_words(t, m));
    return claims_requery_step(t, m);
}
