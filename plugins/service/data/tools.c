/* The tools of DataSalesAgent that sell nothing: the catalogue, advice, a line's balance. Loop thread. */
#include "data.h"

/* ---- the catalogue ---- */

int tools_list(cvm_turn *t, const cvm_msg *m)
{
    struct data_rules rules;
    struct bundle all[DATA_BUNDLES_MAX];
    char network[NETWORK_SIZE], known[160], text[260];
    const char *asked = cvm_json_str(m->data, "network", ""), *type = cvm_json_str(m->data, "package_type", "");
    json_t *list = json_array();
    data_rules_read(cvm_settings(t), &rules);
    if (*asked && network_code(&rules.networks, asked, network) < 0) {
        json_decref(list);
        snprintf(text, sizeof text, "not supported; supported networks: %s",
                 networks_text(&rules.networks, known, sizeof known));
        return cvm_refuse(t, "NETWORK", "network", text);
    }
    for (size_t i = 0; i < networks_count(&rules.networks); i++) {
        const char *code = networks_at(&rules.networks, i);
        if (*asked && strcmp(code, network) != 0)
            continue;
        size_t n = catalogue_of(&rules, code, all);
        for (size_t b = 0; b < n; b++)
            if (!*type || strcasecmp(all[b].type, type) == 0)
                json_array_append_new(list, bundle_json(code, &all[b]));
    }
    return cvm_reply(t, m, json_pack("{s:o, s:s}", "bundles", list, "currency", "NGN"));
}

/* ---- advice ---- */

static int no_bundle(cvm_turn *t, cvm_id request)
{
    return step_settle(t, request, CVM_REFUSED,
                       json_pack("{s:s, s:s, s:s}", "code", "BUNDLE", "field", "budget", "message",
                                 "the network has no bundle for this"));
}

int tools_recommend(cvm_turn *t, const cvm_msg *m)
{
    struct data_rules rules;
    struct line line;
    int64_t budget = 0, daily = cvm_json_int(m->data, "daily_mb", 0);
    const json_t *given = json_object_get(m->data, "budget");
    data_rules_read(cvm_settings(t), &rules);
    CVM_TRY(line_of_request(t, m, &rules.networks, &line));
    if (given && cvm_money_from_json(given, &budget) < 0)
        return cvm_refuse(t, "AMOUNT", "budget", "must be a sum of naira, such as 2000");
    struct need need = {daily, cvm_json_int(m->data, "days", rules.days), budget};
    if (daily > 0) {
        json_t *body = recommend(&rules, line.network, &need);
        return body ? cvm_reply(t, m, body) : no_bundle(t, m->id);
    }
    if (!*line.phone)
        return cvm_refuse(t, "USAGE", "daily_mb", "say how many MB a day are used, or whose line it is");
    int e = line_ask(t, m->id, &line, "usage",
                     json_pack("{s:s, s:I, s:I}", "kind", "recommend", "days", (json_int_t)need.days, "budget_kobo",
                               (json_int_t)budget));
    return e == CVM_ENOENT ? cvm_refuse(t, "NOT_AVAILABLE", "network", "no provider is loaded for this network") : e;
}

static int usage_told(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    struct data_rules rules;
    if (strcmp(cvm_json_str(what, "kind", ""), "recommend") != 0)
        return sales_advised(t, m, what);
    if (m->outcome != CVM_REPLIED)
        return step_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    data_rules_read(cvm_settings(t), &rules);
    struct need need = {cvm_json_int(m->data, "average_mb", 0), cvm_json_int(what, "days", 30),
                        cvm_json_int(what, "budget_kobo", 0)};
    json_t *body = recommend(&rules, cvm_json_str(what, "network", ""), &need);
    return body ? step_settle(t, m->on_behalf, CVM_REPLIED, body) : no_bundle(t, m->on_behalf);
}

int tools_usage_told(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, usage_told);
}

/* ---- balance ---- */

int tools_balance(cvm_turn *t, const cvm_msg *m)
{
    struct data_rules rules;
    struct line line;
    data_rules_read(cvm_settings(t), &rules);
    CVM_TRY(line_of_request(t, m, &rules.networks, &line));
    if (!*line.phone)
        return cvm_refuse(t, "PHONE", "phone", "say whose line it is");
    int e = line_ask(t, m->id, &line, "line_balance", json_pack("{s:s}", "kind", "balance"));
    return e == CVM_ENOENT ? cvm_refuse(t, "NOT_AVAILABLE", "network", "no provider is loaded for this network") : e;
}

static int balance_told(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    if (m->outcome != CVM_REPLIED)
        return step_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    return step_settle(t, m->on_behalf, CVM_REPLIED, line_body(m, what, "data_mb"));
}

int tools_balance_told(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, balance_told);
}
