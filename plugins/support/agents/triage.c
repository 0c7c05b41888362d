/* Support Triage Agent: who the customer is, what the plan entitles to, what the system looks like. Both tools read a
 * store; the entitlement stands in the customer's record and is nobody's guess. Loop thread. */
#include "agents.h"

#include "../../common/object.h"

#include <stdio.h>

#define SUMMARY_SIZE 1024

static const char unknown_customer[] =
    "Customer not found: no customer has this id. Load the sample data first (cvmhost support load-samples; its ids "
    "are "
    "CUST001, CUST002, CUST003), or put the customer's record: cvmhost state put customer-state ID @record.json";

/* ---- tools ---- */

static struct part get_part(const char *tool, const char *store, const char *customer_id)
{
    json_t *data = json_object();
    OBJECT_TEXT(data, "store", store);
    OBJECT_TEXT(data, "key", customer_id);
    return (struct part){.to = "role:store", .type = "get", .name = tool, .data = data, .timeout_ms = STORE_TIMEOUT_MS};
}

static const char *store_of(const char *tool)
{
    return strcmp(tool, "lookup_customer") == 0 ? "customer-state" : "system-state";
}

static int use_alone(cvm_turn *t, const cvm_msg *m, const char *tool)
{
    struct part part = get_part(tool, store_of(tool), cvm_json_str(m->data, "customer_id", ""));
    int n = many_send(t, m->id, json_pack("{s:s}", TOOL_ALONE, tool), &part, 1);
    if (n != 0)
        return n < 0 ? n : CVM_PENDING;
    char text[400];
    store_trouble(store_of(tool), text, sizeof text);
    return settle_failed(t, m->id, CVM_ERROR, "STORE_UNAVAILABLE", "", text);
}

int triage_lookup_customer(cvm_turn *t, const cvm_msg *m)
{
    return use_alone(t, m, "lookup_customer");
}

int triage_lookup_system(cvm_turn *t, const cvm_msg *m)
{
    return use_alone(t, m, "lookup_system_info");
}

static bool is_missing(const json_t *part)
{
    return cvm_json_int(part, "outcome", CVM_ERROR) == CVM_REFUSED &&
           strcmp(cvm_json_str(json_object_get(part, "data"), "code", ""), "NOT_FOUND") == 0;
}

static const json_t *record_of(const json_t *part)
{
    const json_t *value = many_replied(part) ? json_object_get(json_object_get(part, "data"), "value") : NULL;
    return json_is_object(value) ? value : NULL;
}

static int answer_alone(cvm_turn *t, const cvm_msg *m, const json_t *run, const char *tool)
{
    const json_t *part = many_part(run, tool), *record = record_of(part);
    char text[400];
    if (record)
        return settle(t, m->on_behalf, CVM_REPLIED, cvm_json_share(record));
    if (is_missing(part) && strcmp(tool, "lookup_customer") == 0)
        return settle_failed(t, m->on_behalf, CVM_REFUSED, "CUSTOMER_NOT_FOUND", "customer_id", unknown_customer);
    if (is_missing(part))
        return settle_failed(
            t, m->on_behalf, CVM_REFUSED, "SYSTEM_NOT_FOUND", "customer_id",
            "Nothing is known of this customer's system: cvmhost state put system-state ID @record.json");
    store_trouble(store_of(tool), text, sizeof text);
    return settle_failed(t, m->on_behalf, CVM_ERROR, "STORE_UNAVAILABLE", "", text);
}

/* ---- the activity ---- */

/* Whether all stores give several values in one answer, for as long as the same components are loaded. */
static struct {
    json_t *components;
    bool give_several;
} stores;

void triage_forget(void)
{
    json_decref(stores.components);
    stores.components = NULL;
}

static bool lists(const json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), word) == 0)
            return true;
    return false;
}

static bool stores_give_several(cvm_turn *t)
{
    const json_t *components = cvm_registry(t, "components");
    size_t n = 0, able = 0;
    if (stores.components == components)
        return stores.give_several;
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i);
        bool store = lists(json_object_get(c, "roles"), "store");
        n += store;
        able += store && lists(json_object_get(c, "operations"), "get_several");
    }
    triage_forget();
    stores.components = cvm_json_share(components);
    stores.give_several = n && able == n;
    return stores.give_several;
}

/* Both tools in one request: its answer is one turn. */
static struct part both_part(const char *customer_id)
{
    json_t *data = json_object(), *system = json_object(), *then = json_array();
    OBJECT_TEXT(system, "store", "system-state");
    OBJECT_TEXT(system, "key", customer_id);
    json_array_append_new(then, system);
    OBJECT_TEXT(data, "store", "customer-state");
    OBJECT_TEXT(data, "key", customer_id);
    OBJECT_PUT(data, "then", then);
    return (struct part){
        .to = "role:store", .type = "get_several", .name = "both", .data = data, .timeout_ms = STORE_TIMEOUT_MS};
}

/* `together`: both tools in one request. */
static int look_up(cvm_turn *t, cvm_id request, const json_t *what, bool together)
{
    const char *customer_id = cvm_json_str(what, "customer_id", "");
    struct part parts[2] = {0};
    char text[400];
    if (together) {
        parts[0] = both_part(customer_id);
    } else {
        parts[0] = get_part("lookup_customer", "customer-state", customer_id);
        parts[1] = get_part("lookup_system_info", "system-state", customer_id);
    }
    int n = many_send(t, request, cvm_json_share(what), parts, together ? 1 : 2);
    if (n != 0)
        return n < 0 ? n : CVM_PENDING;
    store_trouble("customer-state", text, sizeof text);
    cvm_log(t, CVM_LOG_ERROR, "ticket %.64s: the stores are not loaded", cvm_json_str(what, "ticket_id", ""));
    return settle_failed(t, request, CVM_ERROR, "STORE_UNAVAILABLE", "", text);
}

int triage_run(cvm_turn *t, const cvm_msg *m)
{
    json_t *what = json_object();
    OBJECT_TEXT(what, "ticket_id", ticket_text(m, "ticket_id"));
    OBJECT_TEXT(what, "customer_id", ticket_text(m, "customer_id"));
    if (!what)
        return CVM_ENOMEM;
    cvm_log(t, CVM_LOG_DEBUG, "ticket %.64s: triage begins", ticket_text(m, "ticket_id"));
    int e = look_up(t, m->id, what, stores_give_several(t));
    json_decref(what);
    return e;
}

/* "dapr version 1.14.4, cloud provider AWS, applications order-api, payments": of what a record has, whatever it is. */
static size_t describe(const json_t *system, char *ret, size_t size)
{
    const char *name;
    json_t *value;
    size_t at = 0;
    ret[0] = '\0';
    json_object_foreach((json_t *)(uintptr_t)system, name, value)
    {
        if (strcmp(name, "customer_id") == 0 || at + 160 > size || strlen(name) > 40)
            continue;
        size_t begin = at;
        at += (size_t)snprintf(ret + at, size - at, "%s%s ", at ? ", " : "", name);
        for (char *c = ret + begin; *c; c++)
            if (*c == '_')
                *c = ' ';
        if (json_is_string(value))
            at += (size_t)snprintf(ret + at, size - at, "%.*s", text_cut(json_string_value(value), 60),
                                   json_string_value(value));
        else if (json_is_integer(value))
            at += (size_t)snprintf(ret + at, size - at, "%lld", (long long)json_integer_value(value));
        else if (json_is_array(value)) {
            for (size_t i = 0; i < json_array_size(value) && i < 8 && at + 60 < size; i++) {
                const char *one = json_string_value(json_array_get(value, i));
                at += (size_t)snprintf(ret + at, size - at, "%s%.*s", i ? " and " : "", one ? text_cut(one, 40) : 1,
                                       one ? one : "?");
            }
        } else
            ret[at = begin] = '\0';
    }
    return at;
}

static json_t *output_of(cvm_turn *t, const json_t *run, const json_t *customer, const json_t *system)
{
    char text[SUMMARY_SIZE], has[SUMMARY_SIZE / 2], at[TIME_SIZE], started[TIME_SIZE], ended[TIME_SIZE];
    const char *level = cvm_json_str(customer, "support_level", "none"),
               *plan = cvm_json_str(customer, "plan", "unknown"),
               *company = cvm_json_str(customer, "company_name", "The customer");
    bool entitled = cvm_json_bool(customer, "support_entitled", false);
    json_t *tools = json_array(), *parts = json_object_get(run, "parts"), *part;
    size_t i;
    describe(system, has, sizeof has);
    snprintf(text, sizeof text, "%.*s has the plan %.*s, which %s (support level: %.*s). System: %s.",
             text_cut(company, 120), company, text_cut(plan, 40), plan,
             entitled ? "entitles to support" : "does not include support", text_cut(level, 40), level,
             *has ? has : "nothing is known of it");
    json_array_foreach(parts, i, part)
    {
        json_t *tool = json_object();
        OBJECT_PUT(tool, "tool", json_incref(json_object_get(part, "name")));
        OBJECT_KNOWN(tool, "started_at", text_of_time(cvm_json_int(part, "started_ms", 0), started));
        OBJECT_KNOWN(tool, "ended_at", text_of_time(cvm_json_int(part, "ended_ms", 0), ended));
        OBJECT_PUT(tool, "found", json_boolean(record_of(part) != NULL));
        json_array_append_new(tools, tool);
    }
    json_t *output = json_object();
    OBJECT_PUT(output, "entitled", json_boolean(entitled));
    OBJECT_PUT(output, "customer", cvm_json_share(customer));
    OBJECT_PUT(output, "system", system ? cvm_json_share(system) : json_object());
    OBJECT_KNOWN(output, "plan", plan);
    OBJECT_KNOWN(output, "support_level", level);
    OBJECT_TEXT(output, "summary", text);
    OBJECT_PUT(output, "tools", tools);
    OBJECT_KNOWN(output, "created_at", text_of_time(cvm_now_ms(t), at));
    return output;
}

static json_t *used_tools(const json_t *run)
{
    const json_t *parts = json_object_get(run, "parts"), *what = json_object_get(run, "what");
    json_t *entries = json_array();
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *tool = cvm_json_str(part, "name", "");
        json_array_append_new(
            entries,
            audit_entry(tool, audit_pair("customer_id", cvm_json_str(what, "customer_id", ""), "store", store_of(tool)),
                        json_string(record_of(part) ? "{\"found\":true}" : "{\"found\":false}"),
                        cvm_json_int(part, "ended_ms", 0) - cvm_json_int(part, "started_ms", 0)));
    }
    return entries;
}

static int finish(cvm_turn *t, const cvm_msg *m, const json_t *run)
{
    const json_t *asked = many_part(run, "lookup_customer"), *also = many_part(run, "lookup_system_info");
    const json_t *customer = record_of(asked), *system = record_of(also), *what = json_object_get(run, "what");
    const char *ticket_id = cvm_json_str(what, "ticket_id", "");
    char text[400];
    json_t *used = used_tools(run);
    if (!customer && is_missing(asked)) {
        cvm_log(t, CVM_LOG_WARNING, "ticket %.64s: customer not found", ticket_id);
        return settle_activity(t, m->on_behalf, CVM_REFUSED,
                               failure_data("CUSTOMER_NOT_FOUND", "customer_id", unknown_customer), ticket_id, TRIAGE,
                               used);
    }
    if (!customer || (!system && !is_missing(also))) {
        const char *store = customer ? "system-state" : "customer-state";
        store_trouble(store, text, sizeof text);
        cvm_log(t, CVM_LOG_ERROR, "ticket %.64s: the store %s did not answer", ticket_id, store);
        return settle_activity(t, m->on_behalf, CVM_ERROR, failure_data("STORE_UNAVAILABLE", "", text), ticket_id,
                               TRIAGE, used);
    }
    json_t *output = output_of(t, run, customer, system);
    bool entitled = cvm_json_bool(output, "entitled", false);
    cvm_log(t, CVM_LOG_INFO, "ticket %.64s: triage ends: the customer is %s, the system is %s", ticket_id,
            entitled ? "entitled" : "not entitled", system ? "known" : "not known");
    int e = cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:O, s:O}", "chose", entitled ? "entitled" : "not entitled", "because",
                               "the customer's record says so", "plan", json_object_get(output, "plan"),
                               "support_level", json_object_get(output, "support_level")));
    if (!e)
        e = say(t, TRIAGE, ticket_id, entitled ? "The customer is entitled to support" : "The plan has no support");
    if (!e)
        e = remember(t, TRIAGE, ticket_id,
                     json_pack("{s:O, s:b, s:O, s:s}", "customer_id", json_object_get(what, "customer_id"), "entitled",
                               entitled, "plan", json_object_get(output, "plan"), "did",
                               "looked up the customer and the system"));
    if (e < 0) {
        json_decref(output);
        json_decref(used);
        return e;
    }
    return settle_activity(t, m->on_behalf, CVM_REPLIED, output, ticket_id, TRIAGE, used);
}

int triage_found(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    CVM_TRY(many_answer(t, m, NULL, &run));
    if (!run)
        return CVM_OK;
    const char *tool = cvm_json_str(json_object_get(run, "what"), TOOL_ALONE, "");
    int e = *tool ? answer_alone(t, m, run, tool) : finish(t, m, run);
    json_decref(run);
    return e;
}

/* A tool's part of the answer to both, in the form of an answer to it alone. Gives. */
static json_t *part_of(const json_t *both, const char *tool, const json_t *entry)
{
    json_t *part = json_object();
    OBJECT_TEXT(part, "name", tool);
    OBJECT_SHARE(part, "started_ms", json_object_get(both, "started_ms"));
    OBJECT_SHARE(part, "ended_ms", json_object_get(both, "ended_ms"));
    OBJECT_INT(part, "outcome", json_object_get(entry, "version") ? CVM_REPLIED : CVM_REFUSED);
    OBJECT_SHARE(part, "data", entry);
    return part;
}

/* The run as it is where each tool was asked by itself. Gives. */
static json_t *parted(const json_t *run, const json_t *both, const json_t *found)
{
    json_t *parts = json_array(), *each = json_object();
    json_array_append_new(parts, part_of(both, "lookup_customer", json_array_get(found, 0)));
    json_array_append_new(parts, part_of(both, "lookup_system_info", json_array_get(found, 1)));
    bool whole = json_array_size(parts) == 2;
    OBJECT_SHARE(each, "what", json_object_get(run, "what"));
    OBJECT_PUT(each, "parts", parts);
    if (whole)
        return each;
    json_decref(each);
    return NULL;
}

/* "get_several.reply". Where that is of no use each store is asked by itself, which tells what is wrong. */
int triage_found_both(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL, *each = NULL;
    CVM_TRY(many_answer(t, m, NULL, &run));
    if (!run)
        return CVM_OK;
    const json_t *both = many_part(run, "both"), *found = json_object_get(json_object_get(both, "data"), "found");
    int e = CVM_ENOMEM;
    if (!many_replied(both) || json_array_size(found) != 2)
        e = look_up(t, m->on_behalf, json_object_get(run, "what"), false);
    else if ((each = parted(run, both, found)))
        e = finish(t, m, each);
    json_decref(each);
    json_decref(run);
    return e < 0 ? e : CVM_OK;
}
