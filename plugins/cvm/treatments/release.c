/* What a customer has been given and how often he was contacted. A unit whose application failed goes back; before a
 * contact is made the policy is asked once more. Owns the state keys customer/<id> -> array of what he holds, oldest
 * first: {"id", "treatment", "day", "at_ms", "channel", "category", "service", "sent"}. Loop thread. */
#include "treatments.h"

#include <stdio.h>

static const char *customer_key(const char *customer, char key[ALLOCATION_KEY_SIZE])
{
    snprintf(key, ALLOCATION_KEY_SIZE, "customer/%.100s", customer);
    return key;
}

int holds_get(cvm_turn *t, const char *customer, json_t **ret_list)
{
    char key[ALLOCATION_KEY_SIZE];
    const json_t *kept = NULL;
    int e = cvm_state_get(t, customer_key(customer, key), &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *list = kept ? json_deep_copy(kept) : json_array();
    if (!list)
        return CVM_ENOMEM;
    *ret_list = list;
    return CVM_OK;
}

/* What no cap looks at any more is forgotten. */
int holds_put(cvm_turn *t, const char *customer, json_t *list)
{
    char key[ALLOCATION_KEY_SIZE];
    int64_t window = contact_window_ms(json_object_get(cvm_settings(t), "contact_policy"));
    while (json_array_size(list) && (json_array_size(list) > CONTACTS_MAX ||
                                     cvm_json_int(json_array_get(list, 0), "at_ms", 0) < cvm_now_ms(t) - window))
        json_array_remove(list, 0);
    customer_key(customer, key);
    if (json_array_size(list))
        return cvm_state_put(t, key, list);
    json_decref(list);
    return cvm_state_del(t, key);
}

void holds_check(cvm_turn *t, const json_t *list, int but, const struct limit *limit, const json_t *permissions,
                 struct contact_verdict *ret)
{
    struct contact past[CONTACTS_MAX];
    struct zone z = allocation_zone(t);
    size_t n = 0, size = json_array_size(list);
    for (size_t i = size > CONTACTS_MAX ? size - CONTACTS_MAX : 0; i < size; i++) {
        const json_t *one = json_array_get(list, i);
        if ((int)i != but)
            past[n++] = (struct contact){.at_ms = cvm_json_int(one, "at_ms", 0),
                                         .channel = cvm_json_str(one, "channel", "none"),
                                         .category = cvm_json_str(one, "category", ""),
                                         .service = cvm_json_bool(one, "service", false)};
    }
    contact_check(
        json_object_get(cvm_settings(t), "contact_policy"), &z, permissions,
        &(struct contact){
            .at_ms = cvm_now_ms(t), .channel = limit->channel, .category = limit->category, .service = limit->service},
        past, n, ret);
}

json_t *verdict_json(const struct contact_verdict *v)
{
    char at[MOMENT_SIZE];
    bool ends = !v->allowed && v->until_ms != CONTACT_NEVER;
    return json_pack("{s:b, s:s*, s:s*, s:s*}", "allowed", v->allowed, "rule", v->allowed ? NULL : v->rule, "message",
                     v->allowed ? NULL : v->why, "until", ends ? moment_text(v->until_ms, at) : NULL);
}

/* The newest unit of the treatment; with `id` that one. -1: there is none. */
static int find_hold(const json_t *list, const char *treatment, const char *id, bool unsent)
{
    for (size_t i = json_array_size(list); i-- > 0;) {
        const json_t *one = json_array_get(list, i);
        if (strcmp(cvm_json_str(one, "treatment", ""), treatment) != 0 ||
            (*id && strcmp(cvm_json_str(one, "id", ""), id) != 0) || (unsent && cvm_json_bool(one, "sent", false)))
            continue;
        return (int)i;
    }
    return -1;
}

/* ---- giving back ---- */

/* The count of its day goes down, unless it began anew since. */
static int uncount(cvm_turn *t, const json_t *hold, int64_t *ret_used)
{
    char key[ALLOCATION_KEY_SIZE];
    const char *treatment = cvm_json_str(hold, "treatment", "");
    int64_t reset, used;
    snprintf(key, sizeof key, "reset/%s", treatment);
    CVM_TRY(cvm_state_int(t, key, &reset));
    used_key(treatment, cvm_json_str(hold, "day", ""), key);
    CVM_TRY(cvm_state_int(t, key, &used));
    if (used > 0 && cvm_json_int(hold, "at_ms", 0) > reset)
        CVM_TRY(cvm_state_put_int(t, key, --used));
    *ret_used = used;
    return CVM_OK;
}

int release_resource(cvm_turn *t, const cvm_msg *m)
{
    const char *treatment = cvm_json_str(m->data, "treatment_key", "");
    const char *customer = cvm_json_str(m->data, "customer_id", "");
    char id[CVM_SHORT_ID_SIZE];
    struct limit l = {.unlimited = true};
    json_t *list = NULL;
    int64_t used = 0;
    int e = limit_get(t, treatment, &l);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    CVM_TRY(holds_get(t, customer, &list));
    int at = find_hold(list, treatment, cvm_json_str(m->data, "allocation_id", ""), false);
    if (at < 0) {
        json_decref(list);
        return cvm_reply(t, m, json_pack("{s:s, s:b}", "status", "success", "released", 0));
    }
    e = uncount(t, json_array_get(list, (size_t)at), &used);
    json_array_remove(list, (size_t)at);
    if (e < 0) {
        json_decref(list);
        return e;
    }
    CVM_TRY(holds_put(t, customer, list));
    int64_t remaining = l.unlimited ? -1 : l.max > used ? l.max - used : 0;
    CVM_TRY(history_put(t, m,
                        &(struct event){.treatment = treatment,
                                        .customer = customer,
                                        .outcome = "released",
                                        .reason = cvm_json_str(m->data, "reason", NULL),
                                        .remaining = remaining,
                                        .cost = l.cost},
                        id));
    return cvm_reply(t, m,
                     json_pack("{s:s, s:b, s:o}", "status", "success", "released", 1, "remaining",
                               l.unlimited ? json_null() : json_integer(remaining)));
}

/* ---- contacts ---- */

int confirm_contact(cvm_turn *t, const cvm_msg *m)
{
    const char *treatment = cvm_json_str(m->data, "treatment_key", "");
    const char *customer = cvm_json_str(m->data, "customer_id", "");
    struct limit l;
    struct contact_verdict v;
    json_t *list = NULL;
    int e = limit_get(t, treatment, &l);
    if (e == CVM_ENOENT)
        return cvm_refuse(t, "NOT_FOUND", "treatment_key", "There is no such treatment.");
    CVM_TRY(e);
    CVM_TRY(holds_get(t, customer, &list));
    int at = find_hold(list, treatment, cvm_json_str(m->data, "allocation_id", ""), true);
    holds_check(t, list, at, &l, json_object_get(m->data, "permissions"), &v);
    if (!v.allowed) {
        json_decref(list);
        return cvm_reply(t, m, verdict_json(&v));
    }
    if (at >= 0)
        json_object_set_new(json_array_get(list, (size_t)at), "sent", json_true());
    else if (contact_needs_consent(l.channel)) /* nothing was allocated: the contact counts all the same */
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:s, s:s, s:b, s:b}", "treatment", "", "day", "",
                                              "at_ms", (json_int_t)cvm_now_ms(t), "channel", l.channel, "category",
                                              l.category, "service", l.service, "sent", 1));
    CVM_TRY(holds_put(t, customer, list));
    return cvm_reply(t, m, verdict_json(&v));
}

int check_contact(cvm_turn *t, const cvm_msg *m)
{
    const json_t *keys = json_object_get(m->data, "treatment_keys");
    json_t *list = NULL, *verdicts;
    CVM_TRY(holds_get(t, cvm_json_str(m->data, "customer_id", ""), &list));
    verdicts = json_object();
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *id = json_string_value(json_array_get(keys, i));
        struct limit l;
        struct contact_verdict v;
        if (!id || limit_get(t, id, &l) < 0)
            continue;
        holds_check(t, list, -1, &l, json_object_get(m->data, "permissions"), &v);
        json_object_set_new(verdicts, id, verdict_json(&v));
    }
    json_decref(list);
    return cvm_reply(t, m, json_pack("{s:s, s:o}", "status", "success", "verdicts", verdicts));
}
