/* One day after the other. Owns the state key "run": the request that is served, its options, today's catalogue of
 * actions and the batch under way; while it is there no other run begins. The catalogue is asked anew each day of all
 * that hold the role lifecycle.action, so an action that was dropped in joins the next day. Loop thread. */
#include "trial.h"

#include <stdio.h>

#define DESCRIBE_MS 10000
#define EXPERIMENTS_MAX_BYTES 24000         /* of those that run, as JSON text */
#define DESCRIBED_MAX_BYTES 1000            /* of a treatment, as JSON text */
#define ASKED_MAX 64                        /* components with actions */
#define COOKIE UINT64_C(0x6465736372696265) /* of a describe, beside the component's place in "asked" */
#define CARD_DAYS_MAX 20
#define DAYS_SHOWN_MAX 400

static int read_run(cvm_turn *t, json_t **ret_run)
{
    const json_t *run;
    CVM_TRY(cvm_state_get(t, "run", &run));
    *ret_run = json_deep_copy(run);
    return *ret_run ? CVM_OK : CVM_ENOMEM;
}

static cvm_id request_of(const json_t *run)
{
    const json_t *id = json_object_get(run, "request");
    return (cvm_id){(uint64_t)json_integer_value(json_array_get(id, 0)),
                    (uint64_t)json_integer_value(json_array_get(id, 1))};
}

static int settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int refuse(cvm_turn *t, cvm_id request, const char *code, const char *field, const char *text)
{
    return settle(t, request, CVM_REFUSED,
                  json_pack("{s:s, s:s*, s:s}", "code", code, "field", field, "message", text));
}

static int drop_run(cvm_turn *t, cvm_id request, const char *code, const char *field, const char *text)
{
    CVM_TRY(cvm_state_del(t, "run"));
    return refuse(t, request, code, field, text);
}

/* ---- beginning ---- */

static int add_force(json_t *force, const char *text)
{
    char key[LIFE_KEY_MAX + 1];
    const char *equals = text ? strchr(text, '=') : NULL;
    if (!equals || equals == text || !equals[1] || (size_t)(equals - text) > LIFE_KEY_MAX)
        return CVM_EINVAL;
    snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
    return json_object_set_new(force, key, json_string(equals + 1)) < 0 ? CVM_ENOMEM : CVM_OK;
}

/* {"PERSONA": "ACTION"} of what was asked for; NULL: a word is none of these. Gives. */
static json_t *forced(const json_t *data)
{
    const json_t *words = json_object_get(data, "force");
    json_t *force = json_object();
    for (size_t i = 0; i < json_array_size(words); i++)
        if (add_force(force, json_string_value(json_array_get(words, i))) < 0) {
            json_decref(force);
            return NULL;
        }
    return force;
}

static int start_day(cvm_turn *t, json_t *run);

int day_begin(cvm_turn *t, cvm_id request, const char *type, const json_t *data)
{
    static const char *const options[] = {"seed", "noise"};
    const json_t *running;
    json_t *world = NULL;
    char field[64], text[200];
    if (cvm_state_get(t, "run", &running) == CVM_OK)
        return refuse(t, request, "BUSY", NULL, "A day is running: wait for it, or see `cvmhost lifecycle status`.");
    if (settings_fault(cvm_settings(t), field, text))
        return refuse(t, request, "BAD_SETTING", field, text);
    CVM_TRY(people_world(t, &world));
    int64_t personas = cvm_json_int(world, "personas", 0), day = cvm_json_int(world, "day", 0);
    json_decref(world);
    if (personas == 0)
        return refuse(t, request, "NO_PERSONAS", NULL,
                      "There is no persona: the log and `lifecycle status` say what is wrong with the file.");
    json_t *force = forced(data);
    if (!force)
        return refuse(t, request, "INVALID_FORCE", "force", "force: must be PERSONA=ACTION");
    json_t *run = json_pack("{s:[I, I], s:I, s:i, s:I, s:o}", "request", (json_int_t)request.hi, (json_int_t)request.lo,
                            "days", (json_int_t)(strcmp(type, "run") == 0 ? cvm_json_int(data, "days", 1) : 1), "done",
                            0, "from", (json_int_t)(day + 1), "force", force);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (json_object_get(data, options[i]))
            json_object_set(run, options[i], json_object_get(data, options[i]));
    if (json_object_size(json_object_get(run, "force")) == 0)
        json_object_del(run, "force");
    return start_day(t, run);
}

static int begin(cvm_turn *t, const cvm_msg *m)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    bool loaded = cvm_json_bool(world, "loaded", false);
    json_decref(world);
    if (!loaded)
        return load_keep(t, m);
    CVM_TRY(day_begin(t, m->id, m->type, m->data));
    return CVM_PENDING;
}

int day_on_next(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m);
}

int day_on_run(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m);
}

/* ---- what can be done today ---- */

static bool has_role(const json_t *component)
{
    const json_t *roles = json_object_get(component, "roles");
    for (size_t i = 0; i < json_array_size(roles); i++)
        if (strcmp(json_string_value(json_array_get(roles, i)), "lifecycle.action") == 0)
            return true;
    return false;
}

/* By the action's name, so that it does not matter who was loaded first. */
static void insert(json_t *catalogue, json_t *option)
{
    size_t at = 0;
    const char *action = cvm_json_str(option, "action", "");
    for (; at < json_array_size(catalogue); at++) {
        int order = strcmp(cvm_json_str(json_array_get(catalogue, at), "action", ""), action);
        if (order == 0) { /* two treatments for one action: the first by its component */
            json_decref(option);
            return;
        }
        if (order > 0)
            break;
    }
    if (json_array_size(catalogue) >= LIFE_ACTIONS_MAX)
        json_decref(option);
    else
        json_array_insert_new(catalogue, at, option);
}

static int start_batch(cvm_turn *t, json_t *run);
static int with_catalogue(cvm_turn *t, json_t *run);

/* Takes the run. */
static int start_day(cvm_turn *t, json_t *run)
{
    const json_t *components = cvm_registry(t, "components");
    json_t *world = NULL, *asked = json_array();
    int64_t waiting = 0;
    int e = people_world(t, &world);
    for (size_t i = 0; e == CVM_OK && i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i);
        const char *id = cvm_json_str(c, "id", "");
        if (!has_role(c) || waiting == ASKED_MAX)
            continue;
        e = cvm_request(t, id, "describe", NULL,
                        &(cvm_request_opts){.timeout_ms = DESCRIBE_MS, .on_behalf = {COOKIE, (uint64_t)waiting++}});
        json_array_append_new(asked, json_string(id));
    }
    json_object_set_new(run, "asked", asked);
    for (size_t i = 0; e == CVM_OK && i < json_array_size(components); i++)
        if (strcmp(cvm_json_str(json_array_get(components, i), "id", ""), EXPERIMENTS) == 0) {
            e = cvm_request(t, EXPERIMENTS, "running", json_pack("{s:s}", "area", "lifecycle"),
                            &(cvm_request_opts){.timeout_ms = DESCRIBE_MS});
            waiting++;
        }
    json_object_del(run, "experiments");
    if (e < 0) {
        json_decref(world);
        json_decref(run);
        return e;
    }
    int64_t day = cvm_json_int(world, "day", 0) + 1;
    bool goes_on = cvm_json_int(world, "batches_of", 0) == day;
    json_object_set_new(run, "day", json_integer(day));
    json_object_set_new(run, "batch", json_integer(goes_on ? cvm_json_int(world, "batches_done", 0) : 0));
    json_object_set_new(run, "batches", json_integer((cvm_json_int(world, "personas", 0) + BATCH - 1) / BATCH));
    json_object_set_new(run, "waiting", json_integer(waiting));
    json_object_set_new(run, "catalogue", json_array());
    if (!goes_on)
        json_object_set_new(world, "today", json_object());
    e = people_world_put(t, world);
    if (e < 0) {
        json_decref(run);
        return e;
    }
    return waiting ? cvm_state_put(t, "run", run) : with_catalogue(t, run);
}

/* The run holds up to 32 of them in one value; actions are names in the context. */
static bool is_option(const json_t *treatment)
{
    return json_dumpb(treatment, NULL, 0, JSON_COMPACT) <= DESCRIBED_MAX_BYTES &&
           !strpbrk(cvm_json_str(treatment, "action", ""), "/~");
}

static void take_described(cvm_turn *t, json_t *run, const cvm_msg *m)
{
    const json_t *treatments = json_object_get(m->data, "treatments");
    const char *component = json_string_value(json_array_get(json_object_get(run, "asked"), (size_t)m->on_behalf.lo));
    for (size_t i = 0; component && i < json_array_size(treatments); i++) {
        if (!is_option(json_array_get(treatments, i))) {
            cvm_log(t, CVM_LOG_WARNING, "%s describes an action that is too long, or has / or ~ in its name",
                    component);
            continue;
        }
        const json_t *one = json_array_get(treatments, i), *expected = json_object_get(one, "expected");
        const char *action = cvm_json_str(one, "action", "");
        if (strcmp(cvm_json_str(one, "area", ""), "lifecycle") == 0 && *action && strlen(action) <= LIFE_NAME_MAX)
            insert(json_object_get(run, "catalogue"),
                   json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "action", action, "id", cvm_json_str(one, "id", ""),
                             "component", component, "name", cvm_json_str(one, "name", action), "description",
                             cvm_json_str(one, "description", ""), "expected",
                             json_is_object(expected) ? cvm_json_share(expected) : json_object()));
    }
}

int day_on_described(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    if (read_run(t, &run) < 0)
        return CVM_OK;
    if (m->outcome == CVM_REPLIED)
        take_described(t, run, m);
    else
        cvm_log(t, CVM_LOG_WARNING, "%s does not describe its action and is left out today", m->sender);
    int64_t waiting = cvm_json_int(run, "waiting", 0) - 1;
    json_object_set_new(run, "waiting", json_integer(waiting));
    return waiting > 0 ? cvm_state_put(t, "run", run) : with_catalogue(t, run);
}

/* The first day of an experiment is kept: scores are counted from there on. Those that run no more are forgotten. */
static int note_since(cvm_turn *t, const json_t *experiments, int64_t day)
{
    json_t *world = NULL, *since = json_object();
    int e = people_world(t, &world);
    for (size_t i = 0; e == CVM_OK && i < json_array_size(experiments); i++) {
        const char *id = cvm_json_str(json_array_get(experiments, i), "id", "");
        json_object_set_new(since, id, json_integer(cvm_json_int(json_object_get(world, "trials"), id, day)));
    }
    if (e < 0) {
        json_decref(since);
        return e;
    }
    bool changed = !json_equal(since, json_object_get(world, "trials"));
    json_object_set_new(world, "trials", since);
    if (changed)
        return people_world_put(t, world);
    json_decref(world);
    return CVM_OK;
}

int day_on_experiments(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    const json_t *experiments = json_object_get(m->data, "experiments");
    if (read_run(t, &run) < 0)
        return CVM_OK;
    if (json_dumpb(experiments, NULL, 0, JSON_COMPACT) > EXPERIMENTS_MAX_BYTES) {
        cvm_log(t, CVM_LOG_WARNING, "the experiments that run have too long settings: today is no part of them");
        experiments = NULL;
    }
    if (m->outcome == CVM_REPLIED && json_array_size(experiments))
        json_object_set_new(run, "experiments", cvm_json_share(experiments));
    else if (m->outcome != CVM_REPLIED)
        cvm_log(t, CVM_LOG_WARNING, EXPERIMENTS " does not answer: today is no part of an experiment");
    int e = note_since(t, experiments, cvm_json_int(run, "day", 0));
    if (e < 0) {
        json_decref(run);
        return e;
    }
    int64_t waiting = cvm_json_int(run, "waiting", 0) - 1;
    json_object_set_new(run, "waiting", json_integer(waiting));
    return waiting > 0 ? cvm_state_put(t, "run", run) : with_catalogue(t, run);
}

int day_on_told(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        cvm_log(t, CVM_LOG_WARNING, EXPERIMENTS " did not take a day's figures: its reports are without them");
    return CVM_OK;
}

/* "" or what is wrong with the actions that are to be forced. */
static int check_force(cvm_turn *t, const json_t *run, char text[200])
{
    const char *key;
    json_t *action;
    *text = 0;
    json_object_foreach(json_object_get(run, "force"), key, action)
    {
        int place;
        bool known = false;
        const json_t *catalogue = json_object_get(run, "catalogue");
        CVM_TRY(people_find(t, key, &place));
        for (size_t i = 0; i < json_array_size(catalogue); i++)
            known |= strcmp(cvm_json_str(json_array_get(catalogue, i), "action", ""), json_string_value(action)) == 0;
        if (place < 0)
            snprintf(text, 200, "force: there is no persona %.100s", key);
        else if (!known)
            snprintf(text, 200, "force: there is no action %.63s", json_string_value(action));
    }
    return CVM_OK;
}

static int with_catalogue(cvm_turn *t, json_t *run)
{
    char text[200];
    insert(json_object_get(run, "catalogue"), json_pack("{s:s, s:s, s:s, s:s, s:{}}", "action", LIFE_NO_ACTION, "id",
                                                        "", "component", "", "name", "Nothing", "expected"));
    int e = check_force(t, run, text);
    if (e == CVM_OK && *text) {
        e = drop_run(t, request_of(run), "INVALID_FORCE", "force", text);
        json_decref(run);
        return e;
    }
    if (e == CVM_OK)
        e = cvm_publish(t, "lifecycle.day",
                        json_pack("{s:I, s:s}", "day", (json_int_t)cvm_json_int(run, "day", 0), "state", "running"));
    if (e < 0) {
        json_decref(run);
        return e;
    }
    return start_batch(t, run);
}

/* ---- batches ---- */

static int end_day(cvm_turn *t, json_t *run);

/* Takes the run. */
static int start_batch(cvm_turn *t, json_t *run)
{
    char conversation[64];
    json_t *world = NULL;
    int64_t day = cvm_json_int(run, "day", 0), batch = cvm_json_int(run, "batch", 0);
    int e = people_world(t, &world);
    if (e < 0 || batch >= cvm_json_int(run, "batches", 0)) {
        json_decref(world);
        if (e == CVM_OK)
            return end_day(t, run);
        json_decref(run);
        return e;
    }
    int n = snprintf(conversation, sizeof conversation, "life-%lld-%lld", (long long)cvm_json_int(world, "epoch", 1),
                     (long long)day);
    if (batch)
        snprintf(conversation + n, sizeof conversation - (size_t)n, "-%lld", (long long)batch);
    json_decref(world);
    e = cvm_state_put(t, "run", run);
    if (e < 0)
        return e;
    return cvm_request(t, SIMULATION, "simulate_user_behavior",
                       json_pack("{s:I, s:I}", "day", (json_int_t)day, "batch", (json_int_t)batch),
                       &(cvm_request_opts){.timeout_ms = STEP_TIMEOUT_MS, .conversation = conversation});
}

int day_on_batch_done(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    if (read_run(t, &run) < 0)
        return CVM_OK;
    if (m->outcome != CVM_REPLIED) {
        int e = cvm_state_del(t, "run");
        if (e == CVM_OK)
            e = settle(t, request_of(run), CVM_ERROR,
                       json_pack("{s:s, s:s}", "code", "STOPPED", "message",
                                 cvm_json_str(m->data, "message",
                                              "an agent did not answer in time; the next run goes on from there")));
        json_decref(run);
        return e;
    }
    json_object_set_new(run, "batch", json_integer(cvm_json_int(run, "batch", 0) + 1));
    return start_batch(t, run);
}

/* ---- the end ---- */

static double figure(const json_t *today, const char *name)
{
    return json_number_value(json_object_get(today, name));
}

static json_t *day_row(const json_t *world, int64_t day)
{
    char key[32];
    const json_t *today = json_object_get(world, "today"), *totals = json_object_get(today, "clv_totals");
    int64_t epoch = cvm_json_int(world, "epoch", 1);
    double active = figure(today, "active"), tried = figure(today, "successes") + figure(today, "failures");
    snprintf(key, sizeof key, "%06lld/%06lld", (long long)epoch, (long long)day);
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o*, s:O*, s:I, s:I, s:I}", "day_id", key,
        "epoch", (json_int_t)epoch, "day", (json_int_t)day, "active", (json_int_t)active, "churned",
        (json_int_t)figure(today, "churned"), "decisions", (json_int_t)figure(today, "decisions"), "adapted",
        (json_int_t)figure(today, "adapted"), "explored", (json_int_t)figure(today, "explored"), "successes",
        (json_int_t)figure(today, "successes"), "failures", (json_int_t)figure(today, "failures"), "mean_impact",
        life_number(tried > 0 ? figure(today, "impact") / tried : 0), "mean_score",
        life_number(active > 0 ? figure(today, "score") / active : 0), "clv_total", look_one_total(totals),
        "clv_totals", totals, "input_tokens", (json_int_t)figure(today, "input_tokens"), "output_tokens",
        (json_int_t)figure(today, "output_tokens"), "cost_micro_usd", (json_int_t)figure(today, "cost_micro_usd"));
}

static int ask_days(cvm_turn *t)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    json_t *where = json_pack("{s:I}", "epoch", (json_int_t)cvm_json_int(world, "epoch", 1));
    json_decref(world);
    return cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                   .table = DAYS,
                                   .where = where,
                                   .order_by = "-day",
                                   .limit = DAYS_SHOWN_MAX,
                                   .with = json_pack("{s:s}", "cards", "days")});
}

static int ask_cards(cvm_turn *t, int64_t day)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    json_t *where =
        json_pack("{s:I, s:I}", "epoch", (json_int_t)cvm_json_int(world, "epoch", 1), "day", (json_int_t)day);
    json_decref(world);
    return cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                   .table = HISTORY,
                                   .where = where,
                                   .limit = STORIES_MAX,
                                   .with = json_pack("{s:I}", "cards", (json_int_t)day)});
}

/* Takes the run. The figures of its days go with the answer, and the cards of the last ones, as many as it may hold. */
static int finish(cvm_turn *t, json_t *run)
{
    int e = cvm_context_set(t, "/cards", json_array());
    if (e == CVM_OK)
        e = ask_days(t);
    if (e < 0) {
        json_decref(run);
        return e;
    }
    return cvm_state_put(t, "run", run);
}

static int tell_trials(cvm_turn *t, int64_t day)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    int e =
        trial_tell(t, json_object_get(json_object_get(world, "today"), "trials"), cvm_json_int(world, "epoch", 1), day);
    json_decref(world);
    return e;
}

/* Takes the run. */
static int end_day(cvm_turn *t, json_t *run)
{
    json_t *world = NULL;
    int64_t day = cvm_json_int(run, "day", 0);
    int e = people_world(t, &world);
    if (e < 0) {
        json_decref(run);
        return e;
    }
    json_t *row = day_row(world, day), *told = json_copy(row);
    json_object_set_new(world, "day", json_integer(day));
    json_object_del(told, "day_id");
    json_object_del(told, "epoch");
    json_object_set_new(told, "state", json_string("done"));
    json_object_set_new(run, "done", json_integer(cvm_json_int(run, "done", 0) + 1));
    e = people_world_put(t, world);
    if (e == CVM_OK)
        e = cvm_row_put(t, DAYS, row);
    else
        json_decref(row);
    if (e == CVM_OK)
        e = cvm_publish(t, "lifecycle.day", told);
    else
        json_decref(told);
    if (e == CVM_OK)
        e = tell_trials(t, day);
    if (e < 0) {
        json_decref(run);
        return e;
    }
    return cvm_json_int(run, "done", 0) < cvm_json_int(run, "days", 1) ? start_day(t, run) : finish(t, run);
}

/* Takes the run. */
static int answer(cvm_turn *t, json_t *run)
{
    json_t *state = NULL, *cards = json_deep_copy(json_object_get(cvm_context(t), "cards"));
    json_t *days = json_deep_copy(json_object_get(cvm_context(t), "days"));
    int e = look_state(t, &state);
    if (e < 0) {
        json_decref(days);
        json_decref(cards);
        json_decref(run);
        return e;
    }
    json_object_del(state, "customers"); /* they are in the cards */
    json_object_set_new(state, "days", days);
    json_object_set_new(state, "stories", cards);
    json_object_set_new(state, "running", json_false());
    cvm_id request = request_of(run);
    json_decref(run);
    e = cvm_state_del(t, "run");
    if (e == CVM_OK)
        e = cvm_context_set(t, "/cards", NULL);
    if (e == CVM_OK)
        e = cvm_context_set(t, "/days", NULL);
    if (e < 0) {
        json_decref(state);
        return e;
    }
    return settle(t, request, CVM_REPLIED, state);
}

/* Those of this run, oldest first. Gives. */
static json_t *days_of(const json_t *rows, const json_t *run)
{
    json_t *days = json_array();
    for (size_t i = json_array_size(rows); i-- > 0;) {
        json_t *day = json_copy(json_array_get(rows, i));
        json_object_del(day, "day_id");
        json_object_del(day, "epoch");
        json_object_del(day, "key_id");
        if (cvm_json_int(day, "day", 0) >= cvm_json_int(run, "from", 1))
            json_array_append(days, day);
        json_decref(day);
    }
    return days;
}

/* The first day whose cards go with the answer. */
static int first_day(cvm_turn *t, const json_t *run, int64_t *ret_day)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    int64_t personas = cvm_json_int(world, "personas", 1), last = cvm_json_int(run, "day", 0),
            from = cvm_json_int(run, "from", 1);
    int64_t most = STORIES_MAX / (personas > 0 ? personas : 1);
    json_decref(world);
    most = most < 1 ? 1 : most > CARD_DAYS_MAX ? CARD_DAYS_MAX : most;
    *ret_day = last - most + 1 > from ? last - most + 1 : from;
    return CVM_OK;
}

static int take_cards(cvm_turn *t, const json_t *rows)
{
    json_t *cards = json_deep_copy(json_object_get(cvm_context(t), "cards"));
    for (size_t i = 0; i < json_array_size(rows); i++)
        json_array_append_new(cards, story_card(json_array_get(rows, i)));
    return cvm_context_set(t, "/cards", cards);
}

int day_on_rows(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    const json_t *rows = json_object_get(m->data, "rows"),
                 *which = json_object_get(json_object_get(m->data, "with"), "cards");
    int64_t day = json_integer_value(which);
    int e;
    if (read_run(t, &run) < 0)
        return CVM_OK;
    if (json_is_string(which)) {
        e = cvm_context_set(t, "/days", days_of(rows, run));
        if (e == CVM_OK)
            e = first_day(t, run, &day);
        day--;
    } else {
        e = take_cards(t, rows);
    }
    if (e == CVM_OK && day >= cvm_json_int(run, "day", 0))
        return answer(t, run);
    if (e == CVM_OK)
        e = ask_cards(t, day + 1);
    json_decref(run);
    return e;
}
