/* A batch's way through the agents on one day: simulate, Observe, Decide, Act, Evaluate, Learn, each a message in the
 * batch's conversation. What is known on the way stands in the conversation's context under "/b"; nothing of a persona
 * changes before the turn that evaluates. Draws are by seed, day and persona, so a turn that is run again, or another
 * one that needs the same, finds the same. Loop thread. */
#include "trial.h"

#include <stdio.h>

#define ACTS_MAX 64

static const json_t *step(cvm_turn *t)
{
    return json_object_get(cvm_context(t), "b");
}

static int run_of(cvm_turn *t, const json_t **ret_run)
{
    return cvm_state_get(t, "run", ret_run);
}

static uint64_t seed_of(cvm_turn *t, const json_t *run)
{
    return (uint64_t)cvm_json_int(run, "seed", cvm_json_int(cvm_settings(t), "seed", 1));
}

static double number(const json_t *object, const char *name, double otherwise)
{
    const json_t *value = json_object_get(object, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* Ends the batch's request, and with it the day. */
static int give_up(cvm_turn *t, const cvm_msg *m, const char *who)
{
    char text[256];
    const json_t *id = json_object_get(step(t), "request");
    cvm_id request = {(uint64_t)json_integer_value(json_array_get(id, 0)),
                      (uint64_t)json_integer_value(json_array_get(id, 1))};
    snprintf(text, sizeof text, "%s did not answer: %.160s", who,
             cvm_json_str(m->data, "message", "no reason was given"));
    cvm_log(t, CVM_LOG_ERROR, "the day stops: %s", text);
    CVM_TRY(cvm_context_set(t, "/b", NULL));
    int e = cvm_settle(t, request, CVM_ERROR, json_pack("{s:s, s:s}", "code", "STOPPED", "message", text), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* The batch's personas as they are before we do anything today. */
static int todays(cvm_turn *t, const json_t *run, int64_t day, int batch, struct people *ret_people)
{
    uint64_t seed = seed_of(t, run);
    int e = people_read(t, batch, ret_people);
    for (int i = 0; e == CVM_OK && i < ret_people->n; i++) {
        struct life_random r = life_random_of(seed, day, ret_people->of[i].key, LIFE_BEHAVIOUR);
        life_simulate(&ret_people->of[i], &r);
    }
    return e;
}

/* What others need of a persona. */
static json_t *customer(const struct life_persona *p)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:I, s:s, s:O*}", "persona_key", p->key, "display_name", p->name,
                     "segment", p->segment, "engagement_score", life_number(p->score), "score_before",
                     life_number(p->score_before), "days_inactive", (json_int_t)p->days_inactive, "status",
                     p->churned ? "churned" : "active", "traits", p->traits);
}

static json_t *customers_of(const struct people *people)
{
    json_t *all = json_array();
    for (int i = 0; i < people->n; i++)
        json_array_append_new(all, customer(&people->of[i]));
    return all;
}

/* What a decision needs beside the observation. */
static json_t *subjects_of(const struct people *people)
{
    json_t *all = json_array();
    for (int i = 0; i < people->n; i++) {
        const struct life_persona *p = &people->of[i];
        json_array_append_new(all,
                              json_pack("{s:s, s:s, s:s*, s:s*, s:s*}", "persona_key", p->key, "segment", p->segment,
                                        "last_action", *p->last_action ? p->last_action : NULL, "display_name",
                                        p->churned ? p->name : NULL, "status", p->churned ? "churned" : NULL));
    }
    return all;
}

static json_t *keys_of(const struct people *people)
{
    json_t *all = json_array();
    for (int i = 0; i < people->n; i++)
        json_array_append_new(all, json_string(people->of[i].key));
    return all;
}

static int ask(cvm_turn *t, const char *to, const char *type, json_t *data)
{
    return cvm_request(t, to, type, data, &(cvm_request_opts){.timeout_ms = STEP_TIMEOUT_MS});
}

/* ---- simulate, Observe ---- */

/* One customer's day, for whoever asks. */
static int simulate_one(cvm_turn *t, const cvm_msg *m)
{
    struct life_persona p;
    char error[160];
    if (life_persona_read(json_object_get(m->data, "customer"), &p, error, sizeof error) < 0)
        return cvm_refuse(t, "INVALID", "customer", error);
    struct life_random r = life_random_of(seed_of(t, m->data), cvm_json_int(m->data, "day", 1), p.key, LIFE_BEHAVIOUR);
    double drift = life_simulate(&p, &r);
    return cvm_reply(t, m, json_pack("{s:o, s:o}", "customer", life_persona_json(&p), "drift", life_number(drift)));
}

int batch_on_simulate(cvm_turn *t, const cvm_msg *m)
{
    const json_t *run;
    struct people people;
    if (json_object_get(m->data, "customer"))
        return simulate_one(t, m);
    int64_t day = cvm_json_int(m->data, "day", 0);
    int batch = (int)cvm_json_int(m->data, "batch", -1);
    if (strcmp(m->sender, SIMULATION) != 0 || batch < 0 || run_of(t, &run) < 0)
        return cvm_refuse(t, "INVALID", "customer", "customer: must be a persona's record");
    int e = todays(t, run, day, batch, &people);
    if (e == CVM_OK)
        e = cvm_context_set(t, "/b",
                            json_pack("{s:[I, I], s:I, s:i}", "request", (json_int_t)m->id.hi, (json_int_t)m->id.lo,
                                      "day", (json_int_t)day, "batch", batch));
    if (e == CVM_OK)
        e = ask(t, OBSERVER, "analyze", json_pack("{s:o}", "customers", customers_of(&people)));
    if (e == CVM_OK)
        e = ask(t, MEMORY, "recall", json_pack("{s:I, s:o}", "day", (json_int_t)day, "personas", keys_of(&people)));
    people_fini(&people);
    return e < 0 ? e : CVM_PENDING;
}

/* ---- Decide ---- */

static int decide(cvm_turn *t)
{
    const json_t *b = step(t), *run;
    struct people people;
    int64_t day = cvm_json_int(b, "day", 0);
    if (!json_object_get(b, "observations") || !json_object_get(b, "memories"))
        return CVM_OK;
    CVM_TRY(run_of(t, &run));
    int e = todays(t, run, day, (int)cvm_json_int(b, "batch", 0), &people);
    json_t *data = e < 0 ? NULL
                         : json_pack("{s:I, s:I, s:O, s:O, s:O, s:o}", "day", (json_int_t)day, "seed",
                                     (json_int_t)seed_of(t, run), "options", json_object_get(run, "catalogue"),
                                     "observations", json_object_get(b, "observations"), "memories",
                                     json_object_get(b, "memories"), "customers", subjects_of(&people));
    people_fini(&people);
    if (!data)
        return e < 0 ? e : CVM_ENOMEM;
    if (json_object_get(run, "experiments"))
        json_object_set(data, "experiments", json_object_get(run, "experiments"));
    if (cvm_json_int(run, "done", 0) == 0 && json_object_get(run, "force"))
        json_object_set(data, "force", json_object_get(run, "force"));
    return ask(t, DECISION, "decide", data);
}

int batch_on_observed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *observations = json_object_get(m->data, "observations");
    if (!step(t))
        return CVM_OK;
    if (m->outcome != CVM_REPLIED || !json_is_array(observations))
        return give_up(t, m, OBSERVER);
    CVM_TRY(cvm_context_set(t, "/b/observations", cvm_json_share(observations)));
    return decide(t);
}

int batch_on_recalled(cvm_turn *t, const cvm_msg *m)
{
    const json_t *memories = json_object_get(m->data, "memories");
    if (!step(t))
        return CVM_OK;
    if (m->outcome != CVM_REPLIED || !json_is_array(memories))
        return give_up(t, m, MEMORY);
    CVM_TRY(cvm_context_set(t, "/b/memories", cvm_json_share(memories)));
    return decide(t);
}

/* ---- Act ---- */

static const json_t *option_of(const json_t *run, const char *action)
{
    const json_t *catalogue = json_object_get(run, "catalogue");
    for (size_t i = 0; i < json_array_size(catalogue); i++)
        if (strcmp(cvm_json_str(json_array_get(catalogue, i), "action", ""), action) == 0)
            return json_array_get(catalogue, i);
    return NULL;
}

/* Hands the personas of one action to its treatment; 1: asked, 0: it has none. */
static int act(cvm_turn *t, const cvm_msg *m, const json_t *run, const char *action, json_t *customers)
{
    const json_t *option = option_of(run, action);
    const char *component = cvm_json_str(option, "component", ""),
               *channel = cvm_json_str(cvm_settings(t), "notify_channel", "");
    char application[CVM_NAME_MAX + 1];
    if (!*component) {
        json_decref(customers);
        return 0;
    }
    snprintf(application, sizeof application, "%.60s:%.63s", m->conversation, action);
    json_t *data = json_pack("{s:s, s:s, s:o}", "treatment_id", cvm_json_str(option, "id", ""), "application_id",
                             application, "customers", customers);
    if (data && *channel)
        json_object_set_new(data, "channel", json_string(channel));
    CVM_TRY(cvm_request(t, component, "apply", data, &(cvm_request_opts){.timeout_ms = 60000}));
    return 1;
}

/* {action: [customer, ..]} of those who are active. */
static json_t *by_action(const json_t *decisions, const struct people *people, bool sent)
{
    json_t *groups = json_object();
    for (int i = 0; i < people->n; i++) {
        const char *action = cvm_json_str(json_array_get(decisions, (size_t)i), "action", LIFE_NO_ACTION);
        if (people->of[i].churned)
            continue;
        json_t *group = json_object_get(groups, action);
        if (!group) {
            group = json_array();
            json_object_set_new(groups, action, group);
        }
        json_array_append_new(group, json_pack("{s:s, s:s*}", "customer_id", people->of[i].key, "to",
                                               sent && *people->of[i].contact ? people->of[i].contact : NULL));
    }
    return groups;
}

static int evaluate(cvm_turn *t)
{
    const json_t *b = step(t);
    return ask(t, SIMULATION, "evaluate_agent_action",
               json_pack("{s:I, s:I}", "day", (json_int_t)cvm_json_int(b, "day", 0), "batch",
                         (json_int_t)cvm_json_int(b, "batch", 0)));
}

int batch_on_decided(cvm_turn *t, const cvm_msg *m)
{
    const json_t *b = step(t), *decisions = json_object_get(m->data, "decisions"), *run;
    struct people people;
    const char *action;
    json_t *group;
    int64_t waiting = 0;
    if (!b)
        return CVM_OK;
    if (m->outcome != CVM_REPLIED || !json_is_array(decisions))
        return give_up(t, m, DECISION);
    CVM_TRY(run_of(t, &run));
    CVM_TRY(cvm_context_set(t, "/b/decisions", cvm_json_share(decisions)));
    CVM_TRY(cvm_context_set(t, "/b/provider", json_string(cvm_json_str(m->data, "provider", "rules"))));
    CVM_TRY(cvm_context_set(t, "/b/memories", NULL));
    int e = people_read(t, (int)cvm_json_int(step(t), "batch", 0), &people);
    json_t *groups =
        e < 0 ? NULL : by_action(decisions, &people, *cvm_json_str(cvm_settings(t), "notify_channel", "") != 0);
    json_object_foreach(groups, action, group)
    {
        e = e < 0 ? e : act(t, m, run, action, json_incref(group));
        waiting += e > 0;
    }
    json_decref(groups);
    people_fini(&people);
    CVM_TRY(e);
    CVM_TRY(cvm_context_set(t, "/b/waiting", json_integer(waiting)));
    return waiting ? CVM_OK : evaluate(t);
}

/* What a treatment did not do is no reason to stop: its cards say so. */
int batch_on_applied(cvm_turn *t, const cvm_msg *m)
{
    const json_t *b = step(t);
    int64_t waiting = cvm_json_int(b, "waiting", 0) - 1;
    if (!b)
        return CVM_OK;
    if (m->outcome != CVM_REPLIED || strcmp(cvm_json_str(m->data, "status", ""), "failed") == 0) {
        char path[CVM_NAME_MAX + 16];
        const char *action = cvm_json_str(m->data, "action", "");
        cvm_log(t, CVM_LOG_WARNING, "%s did not carry its action out", m->sender);
        snprintf(path, sizeof path, "/b/undone/%s", *action ? action : m->sender);
        CVM_TRY(cvm_context_set(t, path, json_true()));
    }
    CVM_TRY(cvm_context_set(t, "/b/waiting", json_integer(waiting)));
    return waiting ? CVM_OK : evaluate(t);
}

/* ---- Evaluate ---- */

/* What an action does to a customer, for whoever asks. */
static int evaluate_one(cvm_turn *t, const cvm_msg *m)
{
    struct life_persona p;
    char error[160];
    const char *action = cvm_json_str(m->data, "action", "");
    if (life_persona_read(json_object_get(m->data, "customer"), &p, error, sizeof error) < 0)
        return cvm_refuse(t, "INVALID", "customer", error);
    struct life_random r = life_random_of(seed_of(t, m->data), cvm_json_int(m->data, "day", 1), p.key, LIFE_NOISE);
    double before = p.score, noise = number(m->data, "noise", number(cvm_settings(t), "noise", 2));
    double impact = life_impact(&p, action, number(m->data, "expected", 0), noise, &r);
    life_act(&p, impact);
    p.churned = p.churned || life_churns(&p, number(cvm_settings(t), "churn_score", 10),
                                         cvm_json_int(cvm_settings(t), "churn_inactive_days", 30));
    return cvm_reply(t, m,
                     json_pack("{s:s, s:o, s:o, s:o, s:s, s:s}", "action", action, "impact", life_number(impact),
                               "score_before", life_number(before), "score_after", life_number(p.score), "outcome",
                               story_outcome(action, impact, false), "status", p.churned ? "churned" : "active"));
}

struct evaluation {
    const cvm_msg *m;
    const json_t *run, *b;
    json_t *world, *updates, *outcomes, *stories;
    int64_t day, epoch;
    int batch;
    double noise, churn_score, discount;
    int64_t churn_days;
    bool live;
};

static void grow(json_t *object, const char *name, double by)
{
    const json_t *was = json_object_get(object, name);
    double sum = (was ? json_number_value(was) : 0) + by;
    json_object_set_new(object, name, sum == (double)(int64_t)sum ? json_integer((json_int_t)sum) : json_real(sum));
}

/* What a decision adds to the day's figures. */
static void count(struct evaluation *e, const json_t *decision, const char *outcome, double impact, bool decided)
{
    static const char *const sums[] = {"input_tokens", "output_tokens", "cost_micro_usd"};
    json_t *today = json_object_get(e->world, "today");
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) {
        int64_t n = cvm_json_int(decision, sums[i], 0);
        if (n) {
            grow(today, sums[i], (double)n);
            grow(e->world, sums[i], (double)n);
        }
    }
    if (!decided)
        return;
    bool tried = strcmp(outcome, "NONE") != 0;
    grow(today, "decisions", 1);
    grow(today, "adapted", cvm_json_bool(decision, "adapted", false));
    grow(today, "explored", strcmp(cvm_json_str(decision, "source", ""), "explore") == 0);
    grow(today, "successes", strcmp(outcome, "SUCCESS") == 0);
    grow(today, "failures", strcmp(outcome, "FAILED") == 0);
    grow(today, "impact", tried ? impact : 0);
    grow(e->world, "adapted", cvm_json_bool(decision, "adapted", false));
}

static double expected_of(const json_t *run, const char *action, const char *state)
{
    return number(json_object_get(option_of(run, action), "expected"), state, 0);
}

static void learn_of(struct evaluation *e, const struct life_persona *p, const struct life_observation *seen,
                     const char *action, const char *outcome, double impact, double before, const json_t *decision)
{
    json_array_append_new(e->updates,
                          json_pack("{s:s, s:s, s:s, s:I, s:o}", "customer", p->key, "action", action, "status",
                                    outcome, "day", (json_int_t)e->day, "impact", life_number(impact)));
    if (strcmp(cvm_json_str(decision, "policy", "source"), "thompson") == 0)
        json_array_append_new(e->outcomes,
                              json_pack("{s:s, s:s, s:s, s:s, s:b, s:f, s:f}", "customer", p->key, "segment",
                                        p->segment, "state", life_state_name(seen->state), "action", action,
                                        "yesterday", strcmp(action, p->last_action) == 0, "expected",
                                        expected_of(e->run, action, life_state_name(seen->state)), "impact", impact));
    (void)before;
}

static void count_trials(struct evaluation *e, const struct life_persona *p, const json_t *decision,
                         const char *outcome, double impact)
{
    const json_t *experiments = json_object_get(e->run, "experiments");
    json_t *today = json_object_get(e->world, "today");
    if (!json_array_size(experiments))
        return;
    if (!json_object_get(today, "trials"))
        json_object_set_new(today, "trials", json_object());
    trial_count(json_object_get(today, "trials"), json_object_get(e->world, "trials"), experiments, p, e->day, decision,
                outcome, impact);
}

/* One persona's evaluation; changes it. */
static int evaluate_persona(cvm_turn *t, struct evaluation *e, struct life_persona *p, int place)
{
    const json_t *decision = json_array_get(json_object_get(e->b, "decisions"), (size_t)(place % BATCH));
    const char *action = cvm_json_str(decision, "action", LIFE_NO_ACTION);
    const json_t *option = option_of(e->run, action), *undone = json_object_get(e->b, "undone");
    struct life_observation seen;
    bool was_churned = p->churned;
    life_observe(p, &seen);
    struct story s = {.day = e->day,
                      .epoch = e->epoch,
                      .place = place,
                      .p = p,
                      .seen = &seen,
                      .decision = decision,
                      .before = p->score,
                      .conversation = e->m->conversation};
    s.undone = json_object_get(undone, action) || json_object_get(undone, cvm_json_str(option, "component", "?"));
    struct life_random r = life_random_of(seed_of(t, e->run), e->day, p->key, LIFE_NOISE);
    s.impact = s.undone || was_churned
                   ? 0
                   : life_impact(p, action, expected_of(e->run, action, life_state_name(seen.state)), e->noise, &r);
    life_act(p, s.impact);
    const char *outcome = story_outcome(action, s.impact, s.undone || was_churned);
    if (strcmp(outcome, "NONE") != 0)
        learn_of(e, p, &seen, action, outcome, s.impact, s.before, decision);
    if (!was_churned && life_churns(p, e->churn_score, e->churn_days)) {
        p->churned = s.churned_now = true;
        p->churned_on_day = e->day;
    }
    p->last_action = was_churned ? "" : action;
    s.clv = life_clv(p, e->discount);
    count(e, decision, outcome, s.impact, !was_churned);
    count_trials(e, p, decision, outcome, s.impact);
    json_t *row = story_row(&s), *today = json_object_get(e->world, "today");
    if (!row)
        return CVM_ENOMEM;
    grow(today, p->churned ? "churned" : "active", 1);
    if (!json_object_get(today, "clv_totals"))
        json_object_set_new(today, "clv_totals", json_object());
    grow(json_object_get(today, "clv_totals"), p->currency, (double)s.clv);
    grow(today, "score", p->churned ? 0 : p->score);
    if (e->live)
        json_array_append_new(e->stories, story_card(row));
    return cvm_row_put(t, HISTORY, row);
}

static int tell(cvm_turn *t, struct evaluation *e)
{
    for (size_t i = 0; i < json_array_size(e->stories); i++)
        CVM_TRY(cvm_publish(t, "lifecycle.story", json_incref(json_array_get(e->stories, i))));
    return CVM_OK;
}

static int learn(cvm_turn *t, struct evaluation *e)
{
    int64_t waiting = 0;
    if (json_array_size(e->updates)) {
        CVM_TRY(ask(t, MEMORY, "update", json_pack("{s:O}", "updates", e->updates)));
        waiting++;
    }
    if (json_array_size(e->outcomes)) {
        CVM_TRY(ask(t, DECISION, "learn", json_pack("{s:I, s:O}", "day", (json_int_t)e->day, "outcomes", e->outcomes)));
        waiting++;
    }
    return cvm_context_set(t, "/b/waiting", json_integer(waiting));
}

static int evaluate_batch(cvm_turn *t, struct evaluation *e)
{
    struct people people;
    const json_t *settings = cvm_settings(t);
    e->noise = number(e->run, "noise", number(settings, "noise", 2));
    e->churn_score = number(settings, "churn_score", 10);
    e->churn_days = cvm_json_int(settings, "churn_inactive_days", 30);
    e->discount = number(settings, "clv_discount_rate", .01);
    e->epoch = cvm_json_int(e->world, "epoch", 1);
    e->live = cvm_json_int(e->world, "personas", 0) <= LIVE_MAX;
    int rc = todays(t, e->run, e->day, e->batch, &people);
    for (int i = 0; rc == CVM_OK && i < people.n; i++)
        rc = evaluate_persona(t, e, &people.of[i], e->batch * BATCH + i);
    if (rc == CVM_OK)
        rc = people_write(t, e->batch, &people);
    people_fini(&people);
    CVM_TRY(rc);
    json_object_set(e->world, "provider", json_object_get(e->b, "provider"));
    CVM_TRY(people_world_put(t, json_incref(e->world)));
    CVM_TRY(tell(t, e));
    return learn(t, e);
}

/* Later batches go on from here: this one is done, also if the rest of the day is not. */
int batch_on_evaluate(cvm_turn *t, const cvm_msg *m)
{
    struct evaluation e = {
        .m = m, .b = step(t), .day = cvm_json_int(m->data, "day", 0), .batch = (int)cvm_json_int(m->data, "batch", -1)};
    if (json_object_get(m->data, "customer"))
        return evaluate_one(t, m);
    if (strcmp(m->sender, SIMULATION) != 0 || e.batch < 0 || !e.b || run_of(t, &e.run) < 0)
        return cvm_refuse(t, "INVALID", "customer", "customer: must be a persona's record");
    int rc = people_world(t, &e.world);
    if (rc < 0)
        return rc;
    json_object_set_new(e.world, "batches_done", json_integer(e.batch + 1));
    json_object_set_new(e.world, "batches_of", json_integer(e.day));
    e.updates = json_array();
    e.outcomes = json_array();
    e.stories = json_array();
    rc = evaluate_batch(t, &e);
    json_decref(e.stories);
    json_decref(e.outcomes);
    json_decref(e.updates);
    json_decref(e.world);
    CVM_TRY(rc);
    return cvm_reply(t, m, json_pack("{s:i}", "batch", e.batch));
}

/* ---- Learn ---- */

static int finish(cvm_turn *t)
{
    const json_t *id = json_object_get(step(t), "request");
    cvm_id request = {(uint64_t)json_integer_value(json_array_get(id, 0)),
                      (uint64_t)json_integer_value(json_array_get(id, 1))};
    int e = cvm_settle(t, request, CVM_REPLIED, json_pack("{s:O}", "batch", json_object_get(step(t), "batch")), NULL);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    CVM_TRY(cvm_context_set(t, "/b", NULL));
    return cvm_end(t);
}

int batch_on_evaluated(cvm_turn *t, const cvm_msg *m)
{
    if (!step(t))
        return CVM_OK;
    if (m->outcome != CVM_REPLIED)
        return give_up(t, m, SIMULATION);
    return cvm_json_int(step(t), "waiting", 0) ? CVM_OK : finish(t);
}

int batch_on_learnt(cvm_turn *t, const cvm_msg *m)
{
    int64_t waiting = cvm_json_int(step(t), "waiting", 0) - 1, fresh = cvm_json_int(m->data, "new", 0);
    if (!step(t))
        return CVM_OK;
    if (m->outcome != CVM_REPLIED)
        cvm_log(t, CVM_LOG_ERROR, "%s did not learn a day's outcomes", m->sender);
    if (fresh) {
        json_t *world = NULL;
        CVM_TRY(people_world(t, &world));
        grow(world, "outcomes", (double)fresh);
        CVM_TRY(people_world_put(t, world));
    }
    CVM_TRY(cvm_context_set(t, "/b/waiting", json_integer(waiting)));
    return waiting ? CVM_OK : finish(t);
}
