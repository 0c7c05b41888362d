/* AllocationAgent: one unit of a treatment for one customer. A turn reads the count, decides and counts, so that there
 * are never more units than the day has, however many ask at once. Owns the state keys ask/<request> -> what waits for
 * the catalogue's list. Loop thread. */
#include "../../common/pending.h"
#include "treatments.h"

#include <stdio.h>

/* What the turn knows. */
struct wish {
    cvm_id request;
    const json_t *data;
    struct limit limit;
    const char *customer, *by; /* by: who asks */
    char day[ZONE_DAY_SIZE], used_key[ALLOCATION_KEY_SIZE];
    int64_t used, reset_ms;
    json_t *holds;
};

/* Why not. */
struct refusal {
    const char *outcome; /* of the history; NULL: it is allocated */
    const char *code, *rule;
    char text[240];
    char until[MOMENT_SIZE]; /* "" */
};

/* ---- deciding ---- */

static bool has_today(const struct wish *w)
{
    for (size_t i = 0; i < json_array_size(w->holds); i++) {
        const json_t *one = json_array_get(w->holds, i);
        if (!strcmp(cvm_json_str(one, "treatment", ""), w->limit.id) && !strcmp(cvm_json_str(one, "day", ""), w->day) &&
            cvm_json_int(one, "at_ms", 0) > w->reset_ms)
            return true;
    }
    return false;
}

/* Whether the last units of the day are kept from this customer: from one who is known not to be of high value. Of whom
 * nothing is said is not held against him. */
static bool is_lesser(cvm_turn *t, const json_t *data)
{
    const json_t *high = json_object_get(data, "high_value"), *value = json_object_get(data, "customer_value");
    int64_t bar;
    if (json_is_boolean(high))
        return !json_is_true(high);
    return json_is_number(value) && bar_get(t, &bar) && json_number_value(value) * 100 < (double)bar - 0.5;
}

__attribute__((format(printf, 5, 6))) static void refuse(struct refusal *r, const char *outcome, const char *code,
                                                         const char *rule, const char *format, ...)
{
    va_list args;
    r->outcome = outcome;
    r->code = code;
    r->rule = rule;
    va_start(args, format);
    vsnprintf(r->text, sizeof r->text, format, args);
    va_end(args);
}

static void decide(cvm_turn *t, const struct wish *w, struct contact_verdict *v, struct refusal *r)
{
    const struct limit *l = &w->limit;
    int64_t percent = cvm_json_int(cvm_settings(t), "high_value_reserve_percent", 10);
    int64_t left = l->max - w->used, reserve = l->max * (percent < 0 ? 0 : percent > 100 ? 100 : percent) / 100;
    if (!l->enabled) {
        refuse(r, "disabled", "DISABLED", "enabled", "%s is disabled.", l->id);
        return;
    }
    if (!cvm_json_bool(cvm_settings(t), "allow_repeat_allocation", false) && has_today(w)) {
        refuse(r, "repeated", "REPEATED", "allow_repeat_allocation", "This customer has %s today already.", l->id);
        return;
    }
    holds_check(t, w->holds, -1, l, json_object_get(w->data, "permissions"), v);
    if (!v->allowed) {
        refuse(r, "forbidden", "CONTACT_POLICY", v->rule, "%s", v->why);
        if (v->until_ms != CONTACT_NEVER)
            moment_text(v->until_ms, r->until);
    } else if (!l->unlimited && left <= 0) {
        refuse(r, "exhausted", "EXHAUSTED", "max_per_day", "%s is used up: all %lld units of %s are taken.", l->id,
               (long long)l->max, w->day);
    } else if (!l->unlimited && left <= reserve && is_lesser(t, w->data)) {
        refuse(r, "reserved", "RESERVED", "high_value_reserve_percent",
               "The remaining %lld units of %s are reserved for customers of high value.", (long long)left, l->id);
    }
}

/* ---- keeping and telling ---- */

/* That nobody waits for the answer changes nothing. */
static int tell(cvm_turn *t, const struct wish *w, int outcome, json_t *data)
{
    int e = cvm_settle(t, w->request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int64_t remaining(const struct wish *w)
{
    return w->limit.unlimited ? -1 : w->limit.max > w->used ? w->limit.max - w->used : 0;
}

static json_t *remaining_json(const struct wish *w)
{
    return w->limit.unlimited ? json_null() : json_integer(remaining(w));
}

static int write_down(cvm_turn *t, const cvm_msg *m, const struct wish *w, const struct refusal *r,
                      char id[CVM_SHORT_ID_SIZE])
{
    const char *outcome = r->outcome ? r->outcome : "allocated";
    CVM_TRY(history_put(t, m,
                        &(struct event){.treatment = w->limit.id,
                                        .customer = w->customer,
                                        .outcome = outcome,
                                        .reason = r->outcome ? r->rule : NULL,
                                        .by = w->by,
                                        .remaining = remaining(w),
                                        .cost = w->limit.cost},
                        id));
    CVM_TRY(cvm_metric(t, "allocations_total", outcome, 1));
    return cvm_note(t, "decision",
                    json_pack("{s:s, s:s, s:I, s:o, s:s*}", "chose", outcome, "treatment", w->limit.id, "used_today",
                              (json_int_t)w->used, "remaining", remaining_json(w), "rule", r->rule));
}

static int give(cvm_turn *t, const cvm_msg *m, struct wish *w)
{
    char id[CVM_SHORT_ID_SIZE];
    const struct limit *l = &w->limit;
    w->used++;
    CVM_TRY(cvm_state_put_int(t, w->used_key, w->used));
    CVM_TRY(write_down(t, m, w, &(struct refusal){0}, id));
    json_array_append_new(w->holds, json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:b}", "id", id, "treatment", l->id,
                                              "day", w->day, "at_ms", (json_int_t)cvm_now_ms(t), "channel", l->channel,
                                              "category", l->category, "service", l->service));
    CVM_TRY(holds_put(t, w->customer, json_incref(w->holds)));
    return tell(t, w, CVM_REPLIED,
                json_pack("{s:s, s:b, s:s, s:s, s:s, s:o, s:o, s:o}", "status", "success", "allocated", 1,
                          "allocation_id", id, "treatment_key", l->id, "customer_id", w->customer, "remaining",
                          remaining_json(w), "max_per_day", l->unlimited ? json_null() : json_integer(l->max),
                          "cost_per_contact_pounds", cvm_money_to_json(l->cost)));
}

/* A refusal is kept too, so the turn must stand. */
static int deny(cvm_turn *t, const cvm_msg *m, const struct wish *w, const struct refusal *r)
{
    char id[CVM_SHORT_ID_SIZE];
    CVM_TRY(write_down(t, m, w, r, id));
    return tell(t, w, CVM_REFUSED,
                json_pack("{s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:o, s:s*}", "status", "error", "allocated", 0, "code",
                          r->code, "message", r->text, "rule", r->rule, "treatment_key", w->limit.id, "customer_id",
                          w->customer, "remaining", remaining_json(w), "until", *r->until ? r->until : NULL));
}

/* ---- the operation ---- */

static int read_wish(cvm_turn *t, struct wish *w)
{
    char key[ALLOCATION_KEY_SIZE];
    struct zone z = allocation_zone(t);
    w->customer = cvm_json_str(w->data, "customer_id", "");
    zone_day(&z, cvm_now_ms(t), w->day);
    used_key(w->limit.id, w->day, w->used_key);
    CVM_TRY(cvm_state_int(t, w->used_key, &w->used));
    snprintf(key, sizeof key, "reset/%s", w->limit.id);
    CVM_TRY(cvm_state_int(t, key, &w->reset_ms));
    return holds_get(t, w->customer, &w->holds);
}

/* `ignore` is nobody's resource: it is neither counted nor kept. */
static int leave_alone(cvm_turn *t, const struct wish *w)
{
    return tell(t, w, CVM_REPLIED,
                json_pack("{s:s, s:b, s:s, s:s, s:n}", "status", "success", "allocated", 1, "treatment_key", IGNORE,
                          "customer_id", cvm_json_str(w->data, "customer_id", ""), "remaining"));
}

/* CVM_ENOENT: no such treatment is known. */
static int allocate(cvm_turn *t, const cvm_msg *m, cvm_id request, const json_t *data, const char *by)
{
    struct wish w = {.request = request, .data = data, .by = cvm_json_str(data, "requested_by", by)};
    struct contact_verdict v = {.allowed = true};
    struct refusal r = {0};
    const char *id = cvm_json_str(data, "treatment_key", "");
    if (!strcmp(id, IGNORE))
        return leave_alone(t, &w);
    CVM_TRY(limit_get(t, id, &w.limit));
    int e = json_object_get(data, "customer_value") ? bar_start(t) : CVM_OK;
    if (e < 0 && e != CVM_ESTATE)
        return e;
    CVM_TRY(read_wish(t, &w));
    decide(t, &w, &v, &r);
    e = r.outcome ? deny(t, m, &w, &r) : give(t, m, &w);
    json_decref(w.holds);
    return e;
}

int allocate_wait(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, CATALOGUE, "list", NULL, &(cvm_request_opts){.on_behalf = m->id}));
    CVM_TRY(pending_put(t, m->id,
                        json_pack("{s:s, s:O, s:s, s:I}", "type", m->type, "data", (json_t *)(uintptr_t)m->data, "by",
                                  m->sender, "deadline_ms", (json_int_t)m->deadline_ms)));
    return CVM_PENDING;
}

int allocate_resource(cvm_turn *t, const cvm_msg *m)
{
    int e = allocate(t, m, m->id, m->data, m->sender);
    return e == CVM_ENOENT ? allocate_wait(t, m) : e; /* it may be so new that nobody has told us yet */
}

static int resume(cvm_turn *t, const cvm_msg *m, const json_t *kept)
{
    const char *type = cvm_json_str(kept, "type", "");
    const json_t *data = json_object_get(kept, "data");
    int64_t deadline = cvm_json_int(kept, "deadline_ms", 0);
    char text[160];
    int e;
    if (deadline && cvm_now_ms(t) >= deadline) /* who asked has gone */
        return CVM_OK;
    if (!strcmp(type, "check_availability") || !strcmp(type, "get_constraints")) {
        e = *type == 'c' ? check_say(t, m->on_behalf, data) : constraints_say(t, m->on_behalf, data);
        return e == CVM_ENOENT ? CVM_OK : e;
    }
    e = allocate(t, m, m->on_behalf, data, cvm_json_str(kept, "by", ""));
    if (e != CVM_ENOENT)
        return e;
    snprintf(text, sizeof text, "There is no treatment %.60s. `cvmhost allocation show` lists what there is.",
             record_shown_id(cvm_json_str(data, "treatment_key", "")));
    e = cvm_settle(t, m->on_behalf, CVM_REFUSED,
                   json_pack("{s:s, s:b, s:s, s:s, s:s}", "status", "error", "allocated", 0, "code", "NOT_FOUND",
                             "message", text, "field", "treatment_key"),
                   NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int allocate_listed(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome == CVM_REPLIED)
        CVM_TRY(limits_take(t, json_object_get(m->data, "treatments")));
    return pending_resume(t, m, resume);
}
