/* What people and pages see of lifecycle.simulation: state, stories, series, downloads. Changes nothing. Loop thread.
 */
#include "lifecycle.h"

#include <stdio.h>

#define CUSTOMERS_MAX 200

/* ---- state ---- */

struct sums {
    json_t *customers, *clv; /* {currency: total} */
    int64_t active, churned, shown;
    double discount;
};

static void take(struct sums *s, const struct life_persona *p)
{
    int64_t clv = life_clv(p, s->discount);
    s->active += !p->churned;
    s->churned += p->churned;
    json_object_set_new(s->clv, p->currency, json_integer((json_int_t)(cvm_json_int(s->clv, p->currency, 0) + clv)));
    if (s->shown++ >= CUSTOMERS_MAX)
        return;
    json_array_append_new(
        s->customers,
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:s, s:s, s:o, s:O*, s:I, s:s}", "persona_key", p->key,
                  "display_name", p->name, "segment", p->segment, "engagement_score", life_number(p->score), "change",
                  life_number(p->score - p->score_before), "days_inactive", (json_int_t)p->days_inactive, "state",
                  life_state_name(life_state_of(p)), "status", p->churned ? "churned" : "active", "churned_on_day",
                  p->churned_on_day ? json_integer((json_int_t)p->churned_on_day) : json_null(), "traits", p->traits,
                  "clv", (json_int_t)clv, "currency", p->currency));
}

static const char *learning(const json_t *world, int64_t active)
{
    int64_t outcomes = cvm_json_int(world, "outcomes", 0);
    if (cvm_json_int(world, "day", 0) == 0 && outcomes == 0)
        return "not started";
    if (json_number_value(json_object_get(world, "adapted")) > 0)
        return "adapted";
    return outcomes < 2 * active ? "exploring" : "learning";
}

static int sum_up(cvm_turn *t, const json_t *world, struct sums *s)
{
    int64_t n = cvm_json_int(world, "personas", 0);
    const json_t *discount = json_object_get(cvm_settings(t), "clv_discount_rate");
    s->discount = json_is_number(discount) ? json_number_value(discount) : .01;
    for (int batch = 0; (int64_t)batch * BATCH < n; batch++) {
        struct people people;
        int e = people_read(t, batch, &people);
        for (int i = 0; e == CVM_OK && i < people.n; i++)
            take(s, &people.of[i]);
        people_fini(&people);
        CVM_TRY(e);
    }
    return CVM_OK;
}

static const char *first_currency(const json_t *totals)
{
    return json_object_iter_key(json_object_iter((json_t *)(uintptr_t)totals));
}

json_t *look_one_total(const json_t *totals)
{
    const char *currency = first_currency(totals);
    if (json_object_size(totals) > 1)
        return NULL;
    return json_integer(currency ? cvm_json_int(totals, currency, 0) : 0);
}

static void tell_value(json_t *state, const json_t *totals)
{
    const char *currency = first_currency(totals);
    json_t *total = look_one_total(totals);
    json_object_set_new(state, "clv_total", total ? total : json_null());
    json_object_set_new(state, "currency", total ? json_string(currency ? currency : LIFE_CURRENCY) : json_null());
    json_object_set_new(state, "clv_totals", cvm_json_share(totals));
}

int look_state(cvm_turn *t, json_t **ret_state)
{
    const json_t *settings = cvm_settings(t), *run;
    json_t *world = NULL;
    struct sums s = {.customers = json_array(), .clv = json_object()};
    int e = people_world(t, &world);
    if (e == CVM_OK)
        e = sum_up(t, world, &s);
    if (e < 0) {
        json_decref(world);
        json_decref(s.customers);
        json_decref(s.clv);
        return e;
    }
    int64_t input = cvm_json_int(world, "input_tokens", 0), output = cvm_json_int(world, "output_tokens", 0),
            cost = cvm_json_int(world, "cost_micro_usd", 0);
    bool running = cvm_state_get(t, "run", &run) == CVM_OK;
    json_t *state = json_pack(
        "{s:I, s:s, s:I, s:I, s:o, s:b, s:s, s:s, s:s}", "day", (json_int_t)cvm_json_int(world, "day", 0),
        "learning_status", learning(world, s.active), "active", (json_int_t)s.active, "churned", (json_int_t)s.churned,
        "customers", s.customers, "more", s.shown > CUSTOMERS_MAX, "policy", cvm_json_str(settings, "policy", "source"),
        "provider", cvm_json_str(world, "provider", cvm_json_str(settings, "provider", "auto")), "model",
        cvm_json_str(settings, "model", ""));
    json_t *more = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:o, s:b, s:O*, s:O*}", "personas", (json_int_t)cvm_json_int(world, "personas", 0),
        "tokens", (json_int_t)(input + output), "input_tokens", (json_int_t)input, "output_tokens", (json_int_t)output,
        "cost_usd", (double)cost / 1e6, "adapted_decisions",
        life_number(json_number_value(json_object_get(world, "adapted"))), "running", running, "problems",
        json_array_size(json_object_get(world, "problems")) ? json_object_get(world, "problems") : NULL,
        "personas_file", json_object_get(world, "file"));
    tell_value(state, s.clv);
    json_object_update(state, more);
    json_decref(more);
    json_decref(s.clv);
    json_decref(world);
    *ret_state = state;
    return state ? CVM_OK : CVM_ENOMEM;
}

static int answer_status(cvm_turn *t, cvm_id request)
{
    json_t *state = NULL;
    CVM_TRY(look_state(t, &state));
    int e = cvm_settle(t, request, CVM_REPLIED, state, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int look_on_status(cvm_turn *t, const cvm_msg *m)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    bool loaded = cvm_json_bool(world, "loaded", false);
    json_decref(world);
    if (loaded)
        return answer_status(t, m->id);
    CVM_TRY(cvm_request(
        t, SIMULATION, "wait", NULL,
        &(cvm_request_opts){.on_behalf = m->id, .conversation = "component:" SIMULATION, .timeout_ms = 20000}));
    return CVM_PENDING;
}

int look_on_waited(cvm_turn *t, const cvm_msg *m)
{
    return answer_status(t, m->on_behalf);
}

/* ---- stories ---- */

int look_on_stories(cvm_turn *t, const cvm_msg *m)
{
    json_t *world = NULL, *where;
    const char *persona = cvm_json_str(m->data, "persona", NULL);
    int place = 0;
    CVM_TRY(people_world(t, &world));
    int64_t day = cvm_json_int(m->data, "day", cvm_json_int(world, "day", 0));
    int e = persona && cvm_json_bool(world, "loaded", false) ? people_find(t, persona, &place) : CVM_OK;
    if (e == CVM_OK && place < 0)
        e = cvm_refuse(t, "NOT_FOUND", "persona",
                       "There is no such persona; `cvmhost lifecycle status` shows their keys.");
    if (e != CVM_OK) {
        json_decref(world);
        return e;
    }
    where = json_pack("{s:I, s:s*}", "epoch", (json_int_t)cvm_json_int(world, "epoch", 1), "persona_key", persona);
    if (!persona || json_object_get(m->data, "day"))
        json_object_set_new(where, "day", json_integer(day));
    json_decref(world);
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = HISTORY,
                                    .where = where,
                                    .order_by = persona ? "-day" : NULL,
                                    .on_behalf = m->id,
                                    .limit = cvm_json_int(m->data, "limit", STORIES_MAX),
                                    .with = json_pack("{s:I}", "stories", (json_int_t)day)}));
    return CVM_PENDING;
}

static int not_told(cvm_turn *t, const cvm_msg *m, const char *otherwise)
{
    const char *code = cvm_json_str(m->data, "code", "FAILED");
    int e = cvm_settle(t, m->on_behalf, strcmp(code, "TOO_LARGE") == 0 ? CVM_REFUSED : CVM_ERROR,
                       json_pack("{s:s, s:s}", "code", code, "message",
                                 cvm_json_str(m->data, "text", cvm_json_str(m->data, "message", otherwise))),
                       NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int tell_stories(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "rows");
    if (m->outcome != CVM_REPLIED)
        return not_told(t, m, "the stories cannot be read");
    json_t *cards = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++)
        json_array_append_new(cards, story_card(json_array_get(rows, i)));
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED,
                       json_pack("{s:O, s:o, s:b}", "day", json_object_get(json_object_get(m->data, "with"), "stories"),
                                 "stories", cards, "more", cvm_json_bool(m->data, "more", false)),
                       NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int look_on_rows(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with");
    if (json_object_get(with, "load"))
        return load_on_rows(t, m);
    return json_object_get(with, "cards") ? day_on_rows(t, m) : tell_stories(t, m);
}

/* ---- series and downloads ---- */

/* Days that no range holds are asked for by mistake. */
static int check_range(cvm_turn *t, const cvm_msg *m)
{
    char text[120];
    int64_t from = cvm_json_int(m->data, "from", 1), to = cvm_json_int(m->data, "to", 0);
    if (!to || from <= to)
        return CVM_OK;
    snprintf(text, sizeof text, "from (%lld) must not be after to (%lld): no day is in between", (long long)from,
             (long long)to);
    return cvm_refuse(t, "INVALID", "from", text);
}

static int start_report(cvm_turn *t, const cvm_msg *m, const char *what)
{
    json_t *world = NULL, *input = json_copy((json_t *)(uintptr_t)m->data);
    int e = people_world(t, &world);
    if (e < 0) {
        json_decref(input);
        return e;
    }
    json_object_set_new(input, "what", json_string(what));
    json_object_set_new(input, "epoch", json_integer((json_int_t)cvm_json_int(world, "epoch", 1)));
    json_decref(world);
    CVM_TRY(cvm_job_start(t, "report", input, m->id, 120000));
    return CVM_PENDING;
}

int look_on_metrics(cvm_turn *t, const cvm_msg *m)
{
    int e = check_range(t, m);
    return e != CVM_OK ? e : start_report(t, m, "series");
}

int look_on_export(cvm_turn *t, const cvm_msg *m)
{
    const char *what = cvm_json_str(m->data, "what", "");
    int e = check_range(t, m);
    if (e != CVM_OK)
        return e;
    if (strcmp(what, "memory") != 0)
        return start_report(t, m, what);
    CVM_TRY(cvm_request(t, MEMORY, "download", cvm_json_share(m->data), &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

/* The memory is a text already; the job writes it where it writes the history. */
static int save_memory(cvm_turn *t, const cvm_msg *m)
{
    bool csv = strncmp(cvm_json_str(m->data, "content_type", ""), "text/csv", 8) == 0;
    json_t *input = json_pack("{s:s, s:s, s:b, s:s}", "what", "memory", "format", csv ? "csv" : "json", "save", true,
                              "text", cvm_json_str(m->data, "body", ""));
    return input ? cvm_job_start(t, "report", input, m->on_behalf, 120000) : CVM_ENOMEM;
}

int look_on_report(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        return not_told(t, m, "the history cannot be read");
    if (cvm_json_bool(m->data, "save", false))
        return save_memory(t, m);
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, cvm_json_share(m->data), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}
