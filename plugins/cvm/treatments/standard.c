/* The standard treatments: records in the settings, with what the operator lays over them (treatment_overrides), and
 * whether a customer may have one. Keeps nothing. Loop thread. */
#include "../decision/value.h"
#include "treatments.h"

#include <stdio.h>

#define CUSTOMERS_MAX 1000

/* The operator's members over a record's; those that are wrong are left out and logged. Gives. */
static json_t *overridden(cvm_turn *t, const json_t *record)
{
    const char *id = cvm_json_str(record, "id", "");
    const json_t *over = json_object_get(json_object_get(cvm_settings(t), "treatment_overrides"), id);
    json_t *plain, *merged = NULL;
    record_error why = {0};
    if (!over || !strcmp(id, IGNORE))
        return cvm_json_share(record);
    plain = copy_of(record);
    json_object_del(plain, "id");
    if (record_merge(plain, over, &merged, &why) < 0) {
        cvm_log(t, CVM_LOG_WARNING, "setting treatment_overrides of %s is left out: %s", id, why.text);
        json_decref(plain);
        return cvm_json_share(record);
    }
    json_decref(plain);
    json_object_set_new(merged, "id", json_string(id));
    return merged;
}

int standard_describe(cvm_turn *t, const cvm_msg *m)
{
    const json_t *records = json_object_get(cvm_settings(t), "treatments");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(records); i++)
        json_array_append_new(list, overridden(t, json_array_get(records, i)));
    return cvm_reply(t, m, json_pack("{s:o}", "treatments", list));
}

int standard_find(cvm_turn *t, const char *id, json_t **ret_record)
{
    const json_t *records = json_object_get(cvm_settings(t), "treatments");
    for (size_t i = 0; i < json_array_size(records); i++) {
        if (strcmp(cvm_json_str(json_array_get(records, i), "id", ""), id) != 0)
            continue;
        json_t *found = overridden(t, json_array_get(records, i));
        if (!found)
            return CVM_ENOMEM;
        *ret_record = found;
        return CVM_OK;
    }
    return CVM_ENOENT;
}

/* ---- check ---- */

static json_t *verdict(const struct option *o, const json_t *customer)
{
    struct cvm_facts facts;
    const char *rule = NULL, *why = NULL;
    if (!facts_from_json(customer, &facts))
        return json_pack("{s:n, s:b, s:s, s:s}", "customer_id", "eligible", 0, "rule", "facts", "why",
                         "there are no facts of this customer");
    const struct option_rule *broken = option_broken_rule(o, &facts);
    if (!o->enabled)
        rule = "enabled", why = "the treatment is disabled";
    else if (!option_suits_segment(o, &facts))
        rule = "eligible_segments", why = "the treatment is for other segments";
    else if (broken)
        rule = broken->id, why = broken->why;
    return json_pack("{s:s, s:b, s:s*, s:s*}", "customer_id", facts.customer_id, "eligible", !rule, "rule", rule, "why",
                     why);
}

static int check(cvm_turn *t, const cvm_msg *m, const json_t *record)
{
    const json_t *customers = json_object_get(m->data, "customers");
    struct option option;
    char why[200];
    if (!option_read(record, &option, why, sizeof why))
        return cvm_refuse(t, "INVALID", "treatment_id", why);
    json_t *verdicts = json_array();
    for (size_t i = 0; i < json_array_size(customers) && i < CUSTOMERS_MAX; i++)
        json_array_append_new(verdicts, verdict(&option, json_array_get(customers, i)));
    return cvm_reply(t, m, json_pack("{s:o}", "verdicts", verdicts));
}

static int unknown(cvm_turn *t, const char *id)
{
    char text[120];
    snprintf(text, sizeof text, "There is no treatment %.60s here.", record_shown_id(id));
    return cvm_refuse(t, "NOT_FOUND", "treatment_id", text);
}

int standard_check(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "treatment_id", "");
    json_t *record = NULL;
    int e = standard_find(t, id, &record);
    if (e < 0)
        return e == CVM_ENOENT ? unknown(t, id) : e;
    e = check(t, m, record);
    json_decref(record);
    return e;
}

int custom_check(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "treatment_id", "");
    const json_t *record = NULL;
    int e = catalogue_find_custom(t, id, &record);
    if (e < 0)
        return e == CVM_ENOENT ? unknown(t, id) : e;
    return check(t, m, record);
}
