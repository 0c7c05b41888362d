/* AllocationAgent: what there is of each treatment. Owns the state keys prices -> of the last campaign,
 * limit/<treatment> -> what the catalogue says of it, used/<treatment>/<local day> -> units taken (until prune.c
 * forgets them), reset/<treatment> -> when its counts began anew. Loop thread. */
#include "treatments.h"

#include <math.h>
#include <stdio.h>

struct zone allocation_zone(cvm_turn *t)
{
    struct zone z = {0};
    if (zone_find(cvm_json_str(cvm_settings(t), "timezone", "Europe/London"), &z) < 0)
        return (struct zone){0};
    return z;
}

const char *used_key(const char *id, const char *day, char key[ALLOCATION_KEY_SIZE])
{
    snprintf(key, ALLOCATION_KEY_SIZE, "used/%s/%s", id, day);
    return key;
}

/* ---- what the catalogue says ---- */

/* What is kept of a record. Gives. */
static json_t *limit_of(const json_t *record)
{
    const json_t *constraints = json_object_get(record, "constraints");
    const json_t *max = json_object_get(constraints, "max_per_day");
    int64_t cost = 0;
    if (cvm_money_from_json(json_object_get(constraints, "cost_per_contact_pounds"), &cost) < 0)
        cost = 0;
    return json_pack(
        "{s:o, s:I, s:I, s:b, s:b, s:s, s:s}", "max", json_is_integer(max) ? cvm_json_share(max) : json_null(), "cost",
        (json_int_t)cost, "priority", (json_int_t)cvm_json_int(constraints, "priority", 5), "enabled",
        cvm_json_bool(record, "enabled", true), "service", cvm_json_bool(record, "service", false), "channel",
        cvm_json_str(record, "channel", "none"), "category", cvm_json_str(record, "category", ""));
}

static int take_one(cvm_turn *t, const json_t *record)
{
    char key[ALLOCATION_KEY_SIZE];
    const json_t *before = NULL;
    snprintf(key, sizeof key, "limit/%s", cvm_json_str(record, "id", ""));
    int e = cvm_state_get(t, key, &before);
    json_t *now = limit_of(record);
    if (e == CVM_OK && json_equal((json_t *)(uintptr_t)before, now)) {
        json_decref(now);
        return CVM_OK;
    }
    if (e < 0 && e != CVM_ENOENT) {
        json_decref(now);
        return e;
    }
    return cvm_state_put(t, key, now);
}

int limits_take(cvm_turn *t, const json_t *treatments)
{
    json_t *pairs = NULL, *seen = json_object();
    int e = CVM_OK;
    for (size_t i = 0; e >= 0 && i < json_array_size(treatments); i++) {
        const json_t *record = json_array_get(treatments, i);
        const char *id = cvm_json_str(record, "id", "");
        if (!record_is_id(id) || json_object_get(seen, id))
            continue;
        json_object_set_new(seen, id, json_true());
        e = take_one(t, record);
    }
    if (e >= 0)
        e = cvm_state_scan(t, "limit/", NULL, 1000, &pairs);
    for (size_t i = 0; e >= 0 && i < json_array_size(pairs); i++) {
        const char *key = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        if (!json_object_get(seen, key + strlen("limit/")))
            e = cvm_state_del(t, key);
    }
    json_decref(pairs);
    json_decref(seen);
    return e;
}

int allocation_limits(cvm_turn *t, const cvm_msg *m)
{
    return limits_take(t, json_object_get(m->data, "treatments"));
}

int allocation_start(cvm_turn *t, const cvm_msg *m)
{
    const char *name = cvm_json_str(cvm_settings(t), "timezone", "Europe/London");
    char names[1024];
    struct zone z;
    (void)m;
    if (zone_find(name, &z) < 0)
        cvm_log(t, CVM_LOG_ERROR,
                "setting timezone: \"%.40s\" is not known, days are those of UTC; known are +HH:MM, %s", name,
                zone_names(names, sizeof names));
    int e = bar_start(t);
    if (e < 0 && e != CVM_ESTATE)
        return e;
    CVM_TRY(prune_arm(t));
    return cvm_request(t, CATALOGUE, "list", NULL, NULL);
}

static void limit_from(const char *id, const json_t *kept, struct limit *ret)
{
    const json_t *max = json_object_get(kept, "max");
    *ret = (struct limit){.enabled = cvm_json_bool(kept, "enabled", true),
                          .service = cvm_json_bool(kept, "service", false),
                          .unlimited = !json_is_integer(max),
                          .max = json_integer_value(max),
                          .cost = cvm_json_int(kept, "cost", 0),
                          .priority = cvm_json_int(kept, "priority", 5),
                          .channel = cvm_json_str(kept, "channel", "none"),
                          .category = cvm_json_str(kept, "category", "")};
    snprintf(ret->id, sizeof ret->id, "%s", id);
}

int limit_get(cvm_turn *t, const char *id, struct limit *ret_limit)
{
    char key[ALLOCATION_KEY_SIZE];
    const json_t *kept = NULL;
    if (!record_is_id(id))
        return CVM_ENOENT;
    snprintf(key, sizeof key, "limit/%s", id);
    CVM_TRY(cvm_state_get(t, key, &kept));
    limit_from(id, kept, ret_limit);
    return CVM_OK;
}

/* ---- what a unit is worth ---- */

/* A campaign over the whole base tells what its limits make of one unit; that holds for its days. */
int allocation_prices(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_state_put(t, "prices", cvm_json_share(m->data));
    return e == CVM_ELIMIT ? CVM_OK : e; /* more than there can be treatments */
}

/* Minor units, 0 where nothing is known. */
static int price_of(cvm_turn *t, const char *id, double *ret_price)
{
    const json_t *kept = NULL;
    *ret_price = 0;
    int e = cvm_state_get(t, "prices", &kept);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const json_t *price = json_object_get(json_object_get(kept, "prices"), id);
    if (cvm_json_int(kept, "until_ms", 0) > cvm_now_ms(t) && json_is_number(price))
        *ret_price = json_number_value(price);
    return CVM_OK;
}

/* ---- looking ---- */

static int unknown(cvm_turn *t, cvm_id request, const char *id)
{
    char text[160];
    snprintf(text, sizeof text, "There is no treatment %.60s. `cvmhost allocation show` lists what there is.",
             record_shown_id(id));
    return cvm_settle(t, request, CVM_REFUSED,
                      json_pack("{s:s, s:s, s:s, s:s}", "status", "error", "code", "NOT_FOUND", "field",
                                "treatment_key", "message", text),
                      NULL);
}

/* Before the catalogue has told for the first time nothing can be said. */
static int none_known(cvm_turn *t, bool *ret_none)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, "limit/", NULL, 1, &pairs));
    *ret_none = json_array_size(pairs) == 0;
    json_decref(pairs);
    return CVM_OK;
}

/* Answers now, or when the catalogue has told. */
static int answer(cvm_turn *t, const cvm_msg *m, int (*say)(cvm_turn *t, cvm_id request, const json_t *data))
{
    bool none = false;
    CVM_TRY(none_known(t, &none));
    return none && *m->conversation ? allocate_wait(t, m) : say(t, m->id, m->data);
}

/* Gives {"max_per_day", "used_today", "remaining", ..}; without a limit the numbers of it are null. */
static int constraints_of(cvm_turn *t, const struct limit *l, const char *day, json_t **ret_constraints)
{
    char key[ALLOCATION_KEY_SIZE];
    int64_t used;
    double price;
    CVM_TRY(price_of(t, l->id, &price));
    CVM_TRY(cvm_state_int(t, used_key(l->id, day, key), &used));
    json_t *c = json_pack("{s:I, s:I, s:I, s:o, s:I, s:b, s:s}", "max_per_day", (json_int_t)l->max, "used_today",
                          (json_int_t)used, "remaining", (json_int_t)(l->max > used ? l->max - used : 0),
                          "cost_per_contact_pounds", cvm_money_to_json(l->cost), "priority", (json_int_t)l->priority,
                          "enabled", l->enabled, "channel", l->channel);
    if (!c)
        return CVM_ENOMEM;
    if (price > 0)
        json_object_set_new(c, "price_pounds", json_real(round(price) / 100));
    if (l->unlimited) {
        json_object_set_new(c, "max_per_day", json_null());
        json_object_set_new(c, "remaining", json_null());
    }
    *ret_constraints = c;
    return CVM_OK;
}

int check_say(cvm_turn *t, cvm_id request, const json_t *data)
{
    const char *id = cvm_json_str(data, "treatment_key", "");
    char day[ZONE_DAY_SIZE];
    struct zone z = allocation_zone(t);
    struct limit l;
    json_t *c = NULL;
    int e = limit_get(t, id, &l);
    if (e < 0)
        return e == CVM_ENOENT ? unknown(t, request, id) : e;
    CVM_TRY(constraints_of(t, &l, zone_day(&z, cvm_now_ms(t), day), &c));
    bool available = l.enabled && (l.unlimited || cvm_json_int(c, "remaining", 0) > 0);
    json_t *said = json_pack("{s:s, s:s, s:b, s:O, s:O, s:O}", "status", "success", "treatment_key", id, "available",
                             available, "remaining", json_object_get(c, "remaining"), "max_per_day",
                             json_object_get(c, "max_per_day"), "used_today", json_object_get(c, "used_today"));
    json_decref(c);
    return cvm_settle(t, request, CVM_REPLIED, said, NULL);
}

int constraints_say(cvm_turn *t, cvm_id request, const json_t *data)
{
    const char *wanted = cvm_json_str(data, "treatment_key", "");
    char day[ZONE_DAY_SIZE];
    struct zone z = allocation_zone(t);
    json_t *pairs = NULL, *all = json_object();
    zone_day(&z, cvm_now_ms(t), day);
    int e = cvm_state_scan(t, "limit/", NULL, 1000, &pairs);
    for (size_t i = 0; e >= 0 && i < json_array_size(pairs); i++) {
        json_t *pair = json_array_get(pairs, i), *c = NULL;
        const char *id = json_string_value(json_array_get(pair, 0)) + strlen("limit/");
        struct limit l;
        if (*wanted && strcmp(wanted, id) != 0)
            continue;
        limit_from(id, json_array_get(pair, 1), &l);
        e = constraints_of(t, &l, day, &c);
        if (e >= 0)
            json_object_set_new(all, id, c);
    }
    json_decref(pairs);
    if (e < 0 || (*wanted && !json_object_size(all))) {
        json_decref(all);
        return e < 0 ? e : unknown(t, request, wanted);
    }
    return cvm_settle(t, request, CVM_REPLIED,
                      json_pack("{s:s, s:o, s:s, s:s}", "status", "success", "constraints", all, "day", day, "timezone",
                                cvm_json_str(cvm_settings(t), "timezone", "Europe/London")),
                      NULL);
}

int allocation_check(cvm_turn *t, const cvm_msg *m)
{
    return answer(t, m, check_say);
}

int allocation_constraints(cvm_turn *t, const cvm_msg *m)
{
    return answer(t, m, constraints_say);
}

/* ---- beginning anew ---- */

static int reset_one(cvm_turn *t, const cvm_msg *m, const struct limit *l, const char *day)
{
    char key[ALLOCATION_KEY_SIZE], id[CVM_SHORT_ID_SIZE];
    CVM_TRY(cvm_state_del(t, used_key(l->id, day, key)));
    snprintf(key, sizeof key, "reset/%s", l->id);
    CVM_TRY(cvm_state_put_int(t, key, cvm_now_ms(t)));
    return history_put(t, m,
                       &(struct event){.treatment = l->id,
                                       .customer = "",
                                       .outcome = "reset",
                                       .remaining = l->unlimited ? -1 : l->max,
                                       .cost = l->cost},
                       id);
}

int allocation_reset(cvm_turn *t, const cvm_msg *m)
{
    const char *wanted = cvm_json_str(m->data, "treatment_key", "");
    char day[ZONE_DAY_SIZE];
    struct zone z = allocation_zone(t);
    json_t *pairs = NULL;
    int64_t n = 0;
    zone_day(&z, cvm_now_ms(t), day);
    int e = cvm_state_scan(t, "limit/", NULL, 1000, &pairs);
    for (size_t i = 0; e >= 0 && i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i);
        const char *id = json_string_value(json_array_get(pair, 0)) + strlen("limit/");
        struct limit l;
        if (*wanted && strcmp(wanted, id) != 0)
            continue;
        limit_from(id, json_array_get(pair, 1), &l);
        e = reset_one(t, m, &l, day);
        n++;
    }
    json_decref(pairs);
    if (e < 0)
        return e;
    if (*wanted && !n)
        return unknown(t, m->id, wanted);
    return cvm_reply(t, m, json_pack("{s:s, s:I}", "status", "success", "reset", (json_int_t)n));
}
