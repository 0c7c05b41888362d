/* The agent's turns: what is asked becomes the input of the job "scan", whose answer is the reply, confirmed by a
 * language model where one is to be asked. Owns the state keys ask/<request>. Loop thread. */
#include "find.h"
#include <stdio.h>
#include <string.h>

#define SCAN_TIMEOUT_MS 600000

const struct builtin builtins[TRIGGERS + 1] = {
    {"network_issues", "Customers with network connection or quality problems",
     "trouble on the home network as it stands today, from what was said; or three of: dropped calls >= 5 %, signal <= "
     "-105 "
     "dBm, download <= 2 Mbit/s, >= 5 outages in 30 days"},
    {"billing_disputes", "Customers who contest a charge or a deduction",
     "contests a charge and it is not settled, from what was said; or a dispute is open"},
    {"churn_risk", "Customers with a high probability of leaving",
     "says or shows that they are leaving; or churn score or churn model >= 0.70; or contract end within 30 days with "
     "usage "
     "down by 30 %"},
    {"high_value", "Customers of high value by usage and payments",
     "mean monthly spend above the natural break of the base, else in its top 20 %; at least 95 % of payments on time"},
    {"roaming_issues", "Customers with international roaming problems",
     "service or charges abroad went wrong and it is not settled; asking for rates does not count"},
    {"custom", "Customers who match a description or keywords", "compiled from the description and keywords"}};

static void key_of(cvm_id id, char key[48])
{
    snprintf(key, 48, "ask/%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
}

int ask_keep(cvm_turn *t, cvm_id request, json_t *what)
{
    char key[48];
    key_of(request, key);
    return cvm_state_put(t, key, what);
}

int ask_take(cvm_turn *t, cvm_id request, json_t **ret_what)
{
    char key[48];
    const json_t *kept;
    key_of(request, key);
    CVM_TRY(cvm_state_get(t, key, &kept));
    *ret_what = cvm_json_share(kept);
    return cvm_state_del(t, key);
}

static bool is_builtin(const char *name)
{
    for (size_t i = 0; i < TRIGGERS; i++)
        if (!strcmp(builtins[i].name, name))
            return true;
    return false;
}

/* The custom trigger of either form: {"custom_trigger": {..}} or the members of a command. NULL: none. Gives. */
static json_t *custom_of(const json_t *data)
{
    static const char *const members[] = {"description", "keywords", "data_types", "match"};
    const json_t *given = json_object_get(data, "custom_trigger");
    json_t *custom = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *v = json_object_get(json_is_object(given) ? given : data, members[i]);
        if (v && !json_is_null(v))
            json_object_set(custom, members[i], v);
    }
    return custom;
}

static bool has_words(const json_t *custom)
{
    return *cvm_json_str(custom, "description", "") || json_array_size(json_object_get(custom, "keywords")) ||
           *cvm_json_str(custom, "keywords", "");
}

/* Which customers: the ids into ret_ids (NULL: all). Refuses where none are named. */
static int customers_of(cvm_turn *t, const json_t *data, const json_t **ret_ids)
{
    const json_t *ids = json_object_get(data, "customer_ids");
    if (!ids)
        ids = json_object_get(data, "customers");
    bool all =
        cvm_json_bool(data, "all_customers", false) || (json_is_string(ids) && !strcmp(json_string_value(ids), "*"));
    if (!all && !json_array_size(ids))
        return cvm_refuse(t, "NO_CUSTOMERS", "customers",
                          "name customers (--customers ID,ID) or take all of them (--all-customers)");
    *ret_ids = all ? NULL : ids;
    return 0;
}

/* A loaded trigger of another plugin, by its id or the last part of it; NULL: none. */
static const char *other_trigger(cvm_turn *t, const char *name)
{
    const json_t *components = cvm_registry(t, "components"), *c, *role;
    size_t i, r;
    json_array_foreach(components, i, c)
    {
        const char *id = cvm_json_str(c, "id", ""), *dot = strrchr(id, '.');
        if (strcmp(id, name) && (!dot || strcmp(dot + 1, name)))
            continue;
        json_array_foreach(json_object_get(c, "roles"), r,
                           role) if (!strcmp(json_string_value(role), TRIGGER_ROLE)) return id;
    }
    return NULL;
}

bool asked_by_people(const cvm_msg *m)
{
    return !strcmp(m->type, "run");
}

/* The job's input. Refuses what cannot be. */
static int input_of(cvm_turn *t, const cvm_msg *m, json_t **ret_input)
{
    const char *type = cvm_json_str(m->data, "trigger_type", "");
    static const char *const files[] = {"output_file", "file", "rules"};
    const json_t *ids = NULL;
    json_t *custom = NULL, *names = json_array(), *input;
    int e = customers_of(t, m->data, &ids);
    if (e == 0 && !strcmp(type, "all")) {
        for (size_t i = 0; i < TRIGGERS; i++)
            json_array_append_new(names, json_string(builtins[i].name));
    } else if (e == 0 && !strcmp(type, "custom")) {
        custom = custom_of(m->data);
        if (!has_words(custom) && !json_array_size(json_object_get(m->data, "rules")))
            e = cvm_refuse(t, "NO_WORDS", "description", "a custom trigger needs --description, --keywords or both");
    } else if (e == 0 && is_builtin(type)) {
        json_array_append_new(names, json_string(type));
    } else if (e == 0) {
        e = cvm_refuse(t, "NO_TRIGGER", "trigger_type", "there is no such trigger; `cvmhost trigger list` shows them");
    }
    if (e < 0) {
        json_decref(names);
        json_decref(custom);
        return e;
    }
    input = json_pack("{s:o, s:O*, s:o*}", "triggers", names, "customers", ids, "custom",
                      custom && has_words(custom) ? custom : NULL);
    if (custom && !has_words(custom))
        json_decref(custom);
    for (size_t i = 0; input && i < sizeof files / sizeof *files; i++)
        if (json_object_get(m->data, files[i]))
            json_object_set(input, files[i], json_object_get(m->data, files[i]));
    if (input && asked_by_people(m))
        json_object_set_new(input, "strict", json_true());
    *ret_input = input;
    return input ? 0 : CVM_ENOMEM;
}

static int start(cvm_turn *t, const cvm_msg *m, json_t *input, const char *kind)
{
    const char *mode = cvm_json_str(m->data, "mode", cvm_json_str(cvm_settings(t), "trigger_mode", "hybrid"));
    json_t *custom = json_object_get(input, "custom");
    int e = ask_keep(t, m->id,
                     json_pack("{s:s, s:s, s:s, s:O*}", "kind", kind, "mode", mode, "trigger",
                               cvm_json_str(m->data, "trigger_type", ""), "custom", custom));
    if (e < 0) {
        json_decref(input);
        return e;
    }
    CVM_TRY(cvm_job_start(t, "scan", input, m->id, SCAN_TIMEOUT_MS));
    return CVM_PENDING;
}

int find_customers(cvm_turn *t, const cvm_msg *m)
{
    const char *type = cvm_json_str(m->data, "trigger_type", "");
    const json_t *ids;
    json_t *input;
    const char *other =
        is_builtin(type) || !strcmp(type, "all") || !strcmp(type, "custom") ? NULL : other_trigger(t, type);
    if (other) {
        CVM_TRY(customers_of(t, m->data, &ids));
        return others_begin(t, m, other, ids);
    }
    CVM_TRY(input_of(t, m, &input));
    return start(t, m, input, "find");
}

int compile_trigger(cvm_turn *t, const cvm_msg *m)
{
    json_t *custom = custom_of(m->data);
    if (!has_words(custom)) {
        json_decref(custom);
        return cvm_refuse(t, "NO_WORDS", "description", "give --description, --keywords or both");
    }
    return start(t, m,
                 json_pack("{s:[], s:o, s:b, s:I}", "triggers", "custom", custom, "explain", 1, "limit", (json_int_t)5),
                 "compile");
}

/* A trigger component's `match`: the same judging, of customers that are given. */
int match_customers(cvm_turn *t, const cvm_msg *m)
{
    const char *name = strrchr(m->recipient, '.') + 1;
    json_t *custom = NULL, *names = json_array();
    if (!strcmp(name, "custom")) {
        custom = custom_of(m->data);
        if (!has_words(custom)) {
            json_decref(custom);
            json_decref(names);
            return cvm_refuse(t, "NO_WORDS", "custom_trigger", "give a custom_trigger with a description or keywords");
        }
    } else {
        json_array_append_new(names, json_string(name));
    }
    CVM_TRY(cvm_job_start(t, "scan",
                          json_pack("{s:o, s:o*, s:O}", "triggers", names, "custom", custom, "data",
                                    json_object_get(m->data, "customers")),
                          m->id, SCAN_TIMEOUT_MS));
    return CVM_PENDING;
}

/* What the job could not do: of the caller's making, or not. */
int settle_failed(cvm_turn *t, const cvm_msg *m)
{
    const char *code = cvm_json_str(m->data, "code", "FAILED"),
               *text = cvm_json_str(m->data, "text", cvm_json_str(m->data, "message", ""));
    bool refused = !strncmp(code, "BAD_", 4) || !strncmp(code, "NO_", 3);
    int e = cvm_settle(t, m->on_behalf,
                       m->outcome == CVM_TIMEOUT ? CVM_TIMEOUT
                       : refused                 ? CVM_REFUSED
                                                 : CVM_ERROR,
                       json_pack("{s:s, s:s, s:s}", "status", "error", "code", code, "message", text), text);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int settle_found(cvm_turn *t, cvm_id request, json_t *data)
{
    json_object_set_new(data, "status", json_string("success"));
    int e = cvm_settle(t, request, CVM_REPLIED, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static json_t *compiled(const json_t *result)
{
    json_t *rule = json_array_get(json_object_get(result, "rules"), 0);
    return json_pack("{s:O?, s:O, s:O, s:O}", "rule", rule, "matches", json_object_get(result, "total_matches"),
                     "customers", json_object_get(result, "customers"), "sample", json_object_get(result, "matches"));
}

int find_scanned(cvm_turn *t, const cvm_msg *m)
{
    json_t *kept = NULL;
    int e = ask_take(t, m->on_behalf, &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (m->outcome != CVM_REPLIED)
        e = settle_failed(t, m);
    else if (!kept) /* a component's match: what was asked is settled as it is */
        e = settle_found(t, m->on_behalf, json_pack("{s:O}", "matches", json_object_get(m->data, "matches")));
    else if (!strcmp(cvm_json_str(kept, "kind", ""), "compile"))
        e = settle_found(t, m->on_behalf, compiled(m->data));
    else if (model_wanted(t, kept, m->data))
        e = model_confirm(t, m->on_behalf, kept, m->data);
    else
        e = settle_found(t, m->on_behalf, json_copy((json_t *)(uintptr_t)m->data));
    json_decref(kept);
    return e;
}

int list_triggers(cvm_turn *t, const cvm_msg *m)
{
    const json_t *components = cvm_registry(t, "components"), *c, *role;
    json_t *list = json_array();
    size_t i, r;
    for (size_t k = 0; k <= TRIGGERS; k++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", builtins[k].name, "description",
                                              builtins[k].description, "kind", k == TRIGGERS ? "custom" : "builtin",
                                              "rule", builtins[k].rule));
    json_array_foreach(components, i, c)
    {
        const char *id = cvm_json_str(c, "id", "");
        if (!strcmp(cvm_json_str(c, "plugin", ""), "triggers"))
            continue;
        json_array_foreach(json_object_get(c, "roles"), r, role) if (!strcmp(json_string_value(role), TRIGGER_ROLE))
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "name", id, "description",
                                                  cvm_json_str(c, "description", cvm_json_str(c, "alias", "")), "kind",
                                                  "plugin", "rule", "the plugin's own"));
    }
    return cvm_reply(t, m, json_pack("{s:o}", "triggers", list));
}

int describe_trigger(cvm_turn *t, const cvm_msg *m)
{
    const char *name = strrchr(m->recipient, '.') + 1;
    size_t k = 0;
    while (k < TRIGGERS && strcmp(builtins[k].name, name))
        k++;
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:s, s:s}", "name", builtins[k].name, "description", builtins[k].description,
                               "kind", k == TRIGGERS ? "custom" : "builtin", "rule", builtins[k].rule));
}

/* ---- applying: the orchestrator finds and treats ---- */

int apply_trigger(cvm_turn *t, const cvm_msg *m)
{
    const json_t *ids;
    json_t *custom = NULL;
    const char *type = cvm_json_str(m->data, "trigger_type", "");
    CVM_TRY(customers_of(t, m->data, &ids));
    if (!strcmp(type, "custom")) {
        custom = custom_of(m->data);
        if (!has_words(custom)) {
            json_decref(custom);
            return cvm_refuse(t, "NO_WORDS", "description", "a custom trigger needs --description, --keywords or both");
        }
    }
    json_t *question = json_pack("{s:s, s:s, s:o*}", "trigger_type", type, "treatment_id",
                                 cvm_json_str(m->data, "treatment", ""), "custom_trigger", custom);
    json_object_set_new(question, "customer_ids", ids ? cvm_json_share(ids) : json_string("*"));
    int e = cvm_request(t, ORCHESTRATOR, "trigger_and_process", question,
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = APPLY_TIMEOUT_MS});
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NO_ORCHESTRATOR", NULL,
                          "treatments are applied by the plugin decision, which is not loaded");
    return e < 0 ? e : CVM_PENDING;
}

int apply_done(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), m->content);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- the churn model ---- */

int train_churn(cvm_turn *t, const cvm_msg *m)
{
    if (strcmp(cvm_json_str(m->data, "trigger_type", ""), "churn_risk"))
        return cvm_refuse(t, "NO_MODEL", "trigger_type", "only churn_risk has a model that learns from the base");
    CVM_TRY(cvm_job_start(
        t, "learn",
        json_pack("{s:s}", "label",
                  cvm_json_str(m->data, "label", cvm_json_str(cvm_settings(t), "churn_label", "attributes.Churn"))),
        m->id, SCAN_TIMEOUT_MS));
    return CVM_PENDING;
}

/* The chances are figures from now on, by which others decide. */
int train_done(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return settle_failed(t, m);
    return cvm_request(t, "cvm.data", "take_churn_scores",
                       json_pack("{s:{s:O}}", "with", "report", (json_t *)(uintptr_t)m->data),
                       &(cvm_request_opts){.on_behalf = m->on_behalf, .timeout_ms = SCAN_TIMEOUT_MS});
}

int train_taken(cvm_turn *t, const cvm_msg *m)
{
    const json_t *report = json_object_get(json_object_get(m->data, "with"), "report");
    return m->outcome == CVM_REPLIED ? settle_found(t, m->on_behalf, json_copy((json_t *)(uintptr_t)report))
                                     : settle_failed(t, m);
}
