/* TreatmentCatalogueAgent: what can be done for a customer. Asks each component with the role cvm.treatment to describe
 * its treatments whenever something was loaded or removed, and keeps the answers. Who asks for the list meanwhile waits
 * for the end of that. Owns the state keys plugin/<component> -> {"treatments"}, custom/<id> -> record, and gather ->
 * what is waited for and who waits. Loop thread. */
#include "treatments.h"

#include <stdio.h>

#define DESCRIBE_TIMEOUT_MS 5000

/* ---- finding ---- */

/* Rows of the keys with that prefix: values in the order of the keys. Gives. */
static int scan_all(cvm_turn *t, const char *prefix, json_t **ret_values)
{
    json_t *pairs = NULL, *values = json_array();
    CVM_TRY(cvm_state_scan(t, prefix, NULL, 1000, &pairs));
    for (size_t i = 0; i < json_array_size(pairs); i++)
        json_array_append(values, json_array_get(json_array_get(pairs, i), 1));
    json_decref(pairs);
    *ret_values = values;
    return values ? CVM_OK : CVM_ENOMEM;
}

static void add_new(json_t *list, json_t *seen, const json_t *records)
{
    for (size_t i = 0; i < json_array_size(records); i++) {
        json_t *record = json_array_get(records, i);
        const char *id = cvm_json_str(record, "id", "");
        if (json_object_get(seen, id)) /* another component has that id already */
            continue;
        json_object_set_new(seen, id, json_true());
        json_array_append(list, record);
    }
}

/* The product's own first, then those of other plugins, then those that people wrote. Gives an array. */
static int collect(cvm_turn *t, bool custom_only, json_t **ret_list)
{
    json_t *list = json_array(), *seen = json_object(), *values = NULL;
    const json_t *own = NULL;
    int e = custom_only ? CVM_OK : cvm_state_get(t, "plugin/" STANDARD, &own);
    if (e == CVM_ENOENT)
        e = CVM_OK;
    if (e == CVM_OK && !custom_only) {
        add_new(list, seen, json_object_get(own, "treatments"));
        e = scan_all(t, "plugin/", &values);
        for (size_t i = 0; e == CVM_OK && i < json_array_size(values); i++)
            add_new(list, seen, json_object_get(json_array_get(values, i), "treatments"));
        json_decref(values);
        values = NULL;
    }
    if (e == CVM_OK)
        e = scan_all(t, "custom/", &values);
    if (e == CVM_OK)
        add_new(list, seen, values);
    json_decref(values);
    json_decref(seen);
    if (e < 0)
        json_decref(list);
    else
        *ret_list = list;
    return e;
}

int catalogue_find_custom(cvm_turn *t, const char *id, const json_t **ret_record)
{
    char key[CVM_STATE_KEY_MAX + 1];
    if (!record_is_id(id))
        return CVM_ENOENT;
    snprintf(key, sizeof key, "custom/%s", id);
    return cvm_state_get(t, key, ret_record);
}

int catalogue_find(cvm_turn *t, const char *id, json_t **ret_record)
{
    const json_t *custom = NULL;
    json_t *list = NULL, *found = NULL;
    int e = catalogue_find_custom(t, id, &custom);
    if (e >= 0)
        *ret_record = cvm_json_share(custom);
    if (e != CVM_ENOENT)
        return e;
    CVM_TRY(collect(t, false, &list));
    for (size_t i = 0; !found && i < json_array_size(list); i++)
        if (!strcmp(cvm_json_str(json_array_get(list, i), "id", ""), id))
            found = json_incref(json_array_get(list, i));
    json_decref(list);
    if (!found)
        return CVM_ENOENT;
    *ret_record = found;
    return CVM_OK;
}

int catalogue_publish(cvm_turn *t)
{
    json_t *list = NULL;
    CVM_TRY(collect(t, false, &list));
    return cvm_publish(t, TOPIC, json_pack("{s:o}", "treatments", list));
}

/* ---- answering ---- */

static int settle_list(cvm_turn *t, cvm_id request, const json_t *data)
{
    json_t *list = NULL;
    CVM_TRY(collect(t, cvm_json_bool(data, "custom_only", false), &list));
    return cvm_settle(t, request, CVM_REPLIED,
                      json_pack("{s:o, s:I}", "treatments", list, "total", (json_int_t)json_array_size(list)), NULL);
}

static int settle_get(cvm_turn *t, cvm_id request, const json_t *data)
{
    json_t *record = NULL;
    const char *id = cvm_json_str(data, "id", "");
    char text[160];
    int e = catalogue_find(t, id, &record);
    if (e != CVM_ENOENT)
        return e < 0 ? e : cvm_settle(t, request, CVM_REPLIED, record, NULL);
    snprintf(text, sizeof text, "There is no treatment %.60s. `cvmhost treatment list` shows what there is.",
             record_shown_id(id));
    return cvm_settle(t, request, CVM_REFUSED,
                      json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "id", "message", text), NULL);
}

static int settle_one(cvm_turn *t, cvm_id request, const char *type, const json_t *data)
{
    int e = !strcmp(type, "get") ? settle_get(t, request, data) : settle_list(t, request, data);
    return e == CVM_ENOENT ? CVM_OK : e; /* its deadline has passed */
}

static bool is_busy(const json_t *gather)
{
    return cvm_json_int(gather, "open", 0) > 0 || cvm_json_bool(gather, "loading", false);
}

/* Answers now, or when all components have described what they have and the file has been read. */
static int answer(cvm_turn *t, const cvm_msg *m)
{
    json_t *gather = NULL;
    if (!*m->conversation) /* it can be kept nowhere */
        return settle_one(t, m->id, m->type, m->data);
    CVM_TRY(state_copy(t, "gather", &gather));
    json_t *hold = json_object_get(gather, "hold");
    if (!is_busy(gather) || json_array_size(hold) >= WAITING_MAX) {
        json_decref(gather);
        return settle_one(t, m->id, m->type, m->data);
    }
    if (!hold)
        json_object_set_new(gather, "hold", hold = json_array());
    json_array_append_new(hold, json_pack("{s:o, s:s, s:O}", "request", id_json(m->id), "type", m->type, "data",
                                          (json_t *)(uintptr_t)m->data));
    CVM_TRY(cvm_state_put(t, "gather", gather));
    return CVM_PENDING;
}

int catalogue_list(cvm_turn *t, const cvm_msg *m)
{
    return answer(t, m);
}

int catalogue_get(cvm_turn *t, const cvm_msg *m)
{
    return answer(t, m);
}

/* Nothing is waited for any more: those who waited are answered. Takes `gather`. */
static int gathered(cvm_turn *t, json_t *gather)
{
    if (is_busy(gather))
        return cvm_state_put(t, "gather", gather);
    json_t *hold = json_incref(json_object_get(gather, "hold"));
    json_decref(gather);
    int e = cvm_state_del(t, "gather");
    for (size_t i = 0; e >= 0 && i < json_array_size(hold); i++) {
        const json_t *one = json_array_get(hold, i);
        e = settle_one(t, id_of_json(json_object_get(one, "request")), cvm_json_str(one, "type", ""),
                       json_object_get(one, "data"));
    }
    json_decref(hold);
    return e < 0 ? e : catalogue_publish(t);
}

int catalogue_loaded(cvm_turn *t)
{
    json_t *gather = NULL;
    CVM_TRY(state_copy(t, "gather", &gather));
    json_object_set_new(gather, "loading", json_false());
    return gathered(t, gather);
}

/* ---- gathering ---- */

static bool plays_role(const json_t *component)
{
    const json_t *roles = json_object_get(component, "roles");
    for (size_t r = 0; r < json_array_size(roles); r++)
        if (!strcmp(json_string_value(json_array_get(roles, r)), ROLE))
            return true;
    return false;
}

/* Forgets what components described that are not loaded any more. */
static int forget_gone(cvm_turn *t, const json_t *asked)
{
    json_t *pairs = NULL;
    int e = cvm_state_scan(t, "plugin/", NULL, 1000, &pairs);
    for (size_t i = 0; e >= 0 && i < json_array_size(pairs); i++) {
        const char *key = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        bool there = false;
        for (size_t a = 0; !there && a < json_array_size(asked); a++)
            there = !strcmp(json_string_value(json_array_get(asked, a)), key + strlen("plugin/"));
        if (!there)
            e = cvm_state_del(t, key);
    }
    json_decref(pairs);
    return e;
}

/* Begins a round: replies of an earlier one count no more. */
static int gather(cvm_turn *t, const cvm_msg *m, bool loading)
{
    const json_t *components = cvm_registry(t, "components");
    json_t *state = NULL, *asked = json_array();
    int64_t open = 0;
    int e = state_copy(t, "gather", &state);
    if (e < 0) {
        json_decref(asked);
        return e;
    }
    const uint64_t round = m->id.lo >> 1; /* so that it is a positive integer of JSON */
    for (size_t i = 0; e >= 0 && i < json_array_size(components); i++) {
        const json_t *one = json_array_get(components, i);
        const char *id = cvm_json_str(one, "id", "");
        if (!plays_role(one) || open == WAITING_MAX)
            continue;
        e = cvm_request(t, id, "describe", NULL,
                        &(cvm_request_opts){.on_behalf = {round, (uint64_t)open}, .timeout_ms = DESCRIBE_TIMEOUT_MS});
        if (e == CVM_ENOENT || e == CVM_EACCES) { /* it has the role, not the operation */
            cvm_log(t, CVM_LOG_WARNING, "%s has the role " ROLE " and no operation describe", id);
            e = CVM_OK;
            continue;
        }
        json_array_append_new(asked, json_string(id));
        open++;
    }
    json_object_set_new(state, "round", json_integer((json_int_t)round));
    json_object_set_new(state, "open", json_integer(open));
    json_object_set_new(state, "asked", asked);
    if (loading)
        json_object_set_new(state, "loading", json_true());
    if (e >= 0)
        e = forget_gone(t, asked);
    if (e < 0) {
        json_decref(state);
        return e;
    }
    return open || loading ? cvm_state_put(t, "gather", state) : gathered(t, state);
}

int catalogue_start(cvm_turn *t, const cvm_msg *m)
{
    int e = keep_load(t);
    if (e < 0 && e != CVM_ESTATE)
        return e;
    return gather(t, m, e >= 0);
}

int catalogue_changed(cvm_turn *t, const cvm_msg *m)
{
    return gather(t, m, false);
}

/* Those of an answer that are as they should be. Gives an array. */
static json_t *read_described(cvm_turn *t, const char *component, const json_t *described)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(described) && i < DESCRIBED_MAX; i++) {
        const json_t *one = json_array_get(described, i);
        json_t *record = NULL;
        record_error why = {0};
        if (record_of_plugin(one, &record, &why) < 0) {
            cvm_log(t, CVM_LOG_WARNING, "treatment %.60s of %s is left out: %s", cvm_json_str(one, "id", "?"),
                    component, why.text);
            continue;
        }
        json_t *whole = json_pack("{s:s}", "id", cvm_json_str(one, "id", ""));
        json_object_update(whole, record);
        json_object_set_new(whole, "kind", json_string("standard"));
        json_object_set_new(whole, "component", json_string(component));
        json_array_append_new(list, whole);
        json_decref(record);
    }
    return list;
}

int catalogue_described(cvm_turn *t, const cvm_msg *m)
{
    json_t *state = NULL;
    char key[CVM_STATE_KEY_MAX + 1];
    CVM_TRY(state_copy(t, "gather", &state));
    const char *component = json_string_value(json_array_get(json_object_get(state, "asked"), m->on_behalf.lo));
    int64_t open = cvm_json_int(state, "open", 0);
    if (!component || m->on_behalf.hi != (uint64_t)cvm_json_int(state, "round", 0) || open <= 0) {
        json_decref(state);
        return CVM_OK;
    }
    snprintf(key, sizeof key, "plugin/%.100s", component);
    int e = CVM_OK;
    if (m->outcome == CVM_REPLIED)
        e = cvm_state_put(
            t, key,
            json_pack("{s:o}", "treatments", read_described(t, component, json_object_get(m->data, "treatments"))));
    else /* what it said before stays */
        cvm_log(t, CVM_LOG_WARNING, "%s did not describe its treatments", component);
    json_object_set_new(state, "open", json_integer(open - 1));
    if (e < 0) {
        json_decref(state);
        return e;
    }
    return gathered(t, state);
}

/* ---- help ---- */

int catalogue_help(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(
        t, m,
        json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s}", "free_text",
            "Describe it in words. What is mentioned is taken: \"limit 10\", \"up to 10 per day\", \"priority 2\", "
            "\"high "
            "priority\", \"cost of \xc2\xa3"
            "5 each\", \"disabled\", and the channel (SMS, e-mail, call, app, letter). The words before that are the "
            "name.",
            "free_text_example",
            "cvmhost treatment add \"Send personalized video message to customer with limit 10 and priority 2\"",
            "json",
            "An object with display_name and at least description or constraints. Also: enabled, channel, applies_to "
            "(names of triggers), text (what is sent), category, service, eligible_segments, eligibility, value.",
            "json_example",
            "cvmhost treatment add '{\"display_name\": \"VIP Gift Basket\", \"description\": \"A basket for the best "
            "customers\", \"constraints\": {\"max_per_day\": 5, \"cost_per_contact_pounds\": 50.0, \"priority\": 1}}'",
            "standard_input", "\"-\" in place of either reads it from standard input.", "change",
            "cvmhost treatment update ID \"Updated description with new limit 20\", or with JSON: what is mentioned "
            "changes, null brings a default back. cvmhost treatment remove ID takes it out. Standard treatments are "
            "changed in the configuration (agents." STANDARD ".settings.treatment_overrides)."));
}
