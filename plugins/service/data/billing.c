/* DataBillingAgent: what a line has left, what it used, what rolls over; purchases that went wrong. Loop thread. */
#include "data.h"

static int line_operation(cvm_turn *t, const cvm_msg *m, const char *kind, const char *type)
{
    struct networks networks;
    struct line line;
    networks_read(cvm_settings(t), &networks);
    CVM_TRY(line_of_request(t, m, &networks, &line));
    if (!*line.phone)
        return cvm_refuse(t, "PHONE", "phone", "say whose line it is");
    int e = line_ask(t, m->id, &line, type, json_pack("{s:s}", "kind", kind));
    return e == CVM_ENOENT ? cvm_refuse(t, "NOT_AVAILABLE", "network", "no provider is loaded for this network") : e;
}

int billing_balance(cvm_turn *t, const cvm_msg *m)
{
    return line_operation(t, m, "balance", "line_balance");
}

int billing_usage(cvm_turn *t, const cvm_msg *m)
{
    return line_operation(t, m, "usage", "usage");
}

static void rollover_text(cvm_turn *t, const char *network, char *text, size_t size)
{
    struct data_rules rules;
    data_rules_read(cvm_settings(t), &rules);
    data_rollover_text(&rules, network, text, size);
}

int billing_rollover(cvm_turn *t, const cvm_msg *m)
{
    struct data_rules rules;
    struct line line;
    char text[DATA_LONG_SIZE];
    data_rules_read(cvm_settings(t), &rules);
    CVM_TRY(line_of_request(t, m, &rules.networks, &line));
    data_rollover_text(&rules, line.network, text, sizeof text);
    return cvm_reply(t, m,
                     json_pack("{s:s, s:b, s:s}", "network", line.network, "rollover",
                               data_rolls_over(&rules, line.network), "text", text));
}

/* ---- texts ---- */

static void balance_text(const json_t *what, const json_t *told, char *text, size_t size)
{
    char left[24], until[32] = "";
    const json_t *bundles = json_object_get(told, "bundles");
    int64_t mb = cvm_json_int(told, "data_mb", 0);
    for (size_t i = 0; i < json_array_size(bundles); i++) { /* RFC 3339 dates order as text */
        const char *at = cvm_json_str(json_array_get(bundles, i), "expires_at", "");
        if (strcmp(at, until) > 0 && cvm_json_int(json_array_get(bundles, i), "left_mb", 0) > 0)
            snprintf(until, sizeof until, "%.10s", at);
    }
    if (mb > 0)
        snprintf(text, size, "%s on %s has %s of data left%s%s.", cvm_json_str(what, "phone", ""),
                 cvm_json_str(what, "network", ""), data_size_text(mb, left), *until ? ", until " : "", until);
    else
        snprintf(text, size, "%s on %s has no data left.", cvm_json_str(what, "phone", ""),
                 cvm_json_str(what, "network", ""));
}

static void usage_text(const json_t *what, const json_t *told, char *text, size_t size)
{
    char daily[24], one[24];
    const json_t *apps = json_object_get(told, "by_app");
    int64_t sum = 0;
    size_t at = (size_t)snprintf(
        text, size, "%s used %s a day on average over the last %zu days", cvm_json_str(what, "phone", ""),
        data_size_text(cvm_json_int(told, "average_mb", 0), daily), json_array_size(json_object_get(told, "days")));
    for (size_t i = 0; i < json_array_size(apps); i++)
        sum += cvm_json_int(json_array_get(apps, i), "used_mb", 0);
    for (size_t i = 0; i < json_array_size(apps) && sum > 0 && at < size; i++) {
        const json_t *app = json_array_get(apps, i);
        int64_t mb = cvm_json_int(app, "used_mb", 0);
        at += (size_t)snprintf(text + at, size - at, "%s%.40s %s (%d %%)", i ? ", " : ": ",
                               cvm_json_str(app, "app", ""), data_size_text(mb, one), (int)(mb * 100 / sum));
    }
    if (at < size)
        snprintf(text + at, size - at, ".");
}

/* ---- what the network told ---- */

static int not_told(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[SALE_TEXT_SIZE];
    const char *why = cvm_json_str(m->data, "message", "It did not answer; please try again later.");
    if (!cvm_json_bool(what, "step", false))
        return step_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    snprintf(text, sizeof text,
             "I could not ask %s about %s: %.*s You can dial *323# on the line to see its data balance.",
             cvm_json_str(what, "network", ""), cvm_json_str(what, "phone", ""), clip(why, 200), why);
    return step_say(t, m->on_behalf, text, json_pack("{s:s}", "rule", "NOT_AVAILABLE"), "service.qa");
}

static int told(cvm_turn *t, const cvm_msg *m, const json_t *what, const char *figure, const char *text)
{
    json_t *body = line_body(m, what, figure);
    if (!body)
        return CVM_ENOMEM;
    json_object_set_new(body, "text", json_string(text));
    if (!cvm_json_bool(what, "step", false))
        return step_settle(t, m->on_behalf, CVM_REPLIED, body);
    return step_say(t, m->on_behalf, text, json_pack("{s:b, s:o}", "answered", 1, "line", body), "service.qa");
}

static int line_told(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[DATA_LONG_SIZE], rollover[200];
    const char *kind = cvm_json_str(what, "kind", "");
    if (m->outcome != CVM_REPLIED)
        return not_told(t, m, what);
    balance_text(what, m->data, text, sizeof text);
    if (strcmp(kind, "depletion") == 0) { /* and where it went */
        struct line line = {.own = true};
        json_t *next = json_pack("{s:s, s:b, s:s}", "kind", "depletion", "step", 1, "balance", text);
        snprintf(line.network, sizeof line.network, "%s", cvm_json_str(what, "network", ""));
        if (phone_normalise(cvm_json_str(what, "phone", ""), line.phone) < 0)
            line.phone[0] = '\0';
        int e = line_ask(t, m->on_behalf, &line, "usage", next);
        return e == CVM_PENDING ? CVM_OK : e == CVM_ENOENT ? told(t, m, what, "data_mb", text) : e;
    }
    if (strcmp(kind, "rollover") == 0) {
        size_t at = strlen(text);
        rollover_text(t, cvm_json_str(what, "network", ""), rollover, sizeof rollover);
        snprintf(text + at, sizeof text - at, " %s", rollover);
    }
    return told(t, m, what, "data_mb", text);
}

int billing_line_told(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, line_told);
}

static int usage_told(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[DATA_LONG_SIZE], used[DATA_LONG_SIZE / 2];
    const char *balance = cvm_json_str(what, "balance", "");
    if (m->outcome != CVM_REPLIED)
        return not_told(t, m, what);
    usage_text(what, m->data, used, sizeof used);
    if (*balance)
        snprintf(text, sizeof text,
                 "%s %s To make it last, stop updates over mobile data, turn off autoplay of videos and use the data "
                 "saver. If "
                 "you do not recognise this usage, write DATA DISPUTE and a colleague looks at it.",
                 balance, used);
    else
        snprintf(text, sizeof text, "%s", used);
    return told(t, m, what, "average_mb", text);
}

int billing_usage_told(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, usage_told);
}

/* ---- a step of a conversation ---- */

static int line_step(cvm_turn *t, const cvm_msg *m, const char *kind)
{
    struct data_rules rules;
    struct line line;
    char text[DATA_LONG_SIZE];
    data_rules_read(cvm_settings(t), &rules);
    line_of_step(t, &rules.networks, &line);
    if (!*line.phone || !*line.network)
        return step_ask(t, m->id, "Please tell me the number and its network.", "needs_input",
                        json_pack("[s]", "network"));
    int e = line_ask(t, m->id, &line, "line_balance", json_pack("{s:s, s:b}", "kind", kind, "step", 1));
    if (e != CVM_ENOENT)
        return e;
    data_rollover_text(&rules, line.network, text, sizeof text);
    size_t at = strlen(text);
    snprintf(text + at, sizeof text - at, " To see the data balance, dial *323# on the line.");
    return step_say(t, m->id, text, json_pack("{s:b}", "answered", 1), "service.qa");
}

/* A line's figures are its owner's: others hear how they see them. */
static bool is_own(cvm_turn *t)
{
    struct networks networks;
    struct line line;
    networks_read(cvm_settings(t), &networks);
    line_of_step(t, &networks, &line);
    return line.own;
}

int billing_handle(cvm_turn *t, const cvm_msg *m)
{
    static const char *const purchases[] = {"refund",       "duplicate",      "many_charges", "debited",
                                            "wrong_target", "refund_overdue", "history",      NULL};
    static const char *const rolls[] = {"rollover", "roll over", "carried over", "carry over", "carried forward", NULL};
    char text[DATA_LONG_SIZE];
    const char *words = step_words(t, m);
    bool purchase = hold_cue(t, "not_received") && !data_leaf(t, "unexpected depletion");
    for (const char *const *cue = purchases; *cue; cue++)
        purchase = purchase || hold_cue(t, *cue);
    bool rollover = data_leaf(t, "query rollover") || words_have_any(words, rolls);
    if (words_have(words, "data dispute"))
        return step_hand_over(t, m->id, "A colleague looks at what your line used.", "usage_disputed",
                              "contests what was deducted from the data", "general");
    if (rollover && !is_own(t)) {
        rollover_text(t, "", text, sizeof text);
        return step_say(t, m->id, text, json_pack("{s:b}", "answered", 1), "service.qa");
    }
    if (rollover)
        return line_step(t, m, "rollover");
    if (purchase && !hold_cue(t, "finished"))
        return claims_step(t, m);
    if (!is_own(t))
        return step_say(
            t, m->id,
            "The balance of a line is told to its owner only. Please dial *323# on that line, or write from it.",
            json_pack("{s:s}", "rule", "not_own_line"), "service.qa");
    return line_step(t, m, data_leaf(t, "unexpected depletion") || hold_cue(t, "finished") ? "depletion" : "balance");
}
