/* lifecycle.decision: one action for each customer, with its reason. Rules and policy decide at once; where a language
 * model is to be asked, a question for each persona leaves, and what waits stands in the state: "ask/<request>" how
 * many answers are missing, "ask/<request>/<n>" each persona's case with the decision that is the fallback. Without a
 * model that has a key the day's first answer says so, and the rest of the day is decided by rules. Loop thread. */
#include "decide.h"
#include "../../common/llm_ask.h"
#include "trial.h"

#include <stdio.h>

#define THOUGHT_MAX 600
#define BRIEF_FROM 21 /* personas of a batch whose untried options are noted once */

/* The request's id with the persona's number: what a model's answer comes back with. */
static cvm_id cookie_of(cvm_id request, int n)
{
    return (cvm_id){request.hi ^ UINT64_C(0x6c6966650000), request.lo ^ (uint64_t)(n + 1) << 48};
}

static void key_of(char key[64], cvm_id id)
{
    snprintf(key, 64, "ask/%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
}

static void path_of(char path[64], cvm_id id)
{
    snprintf(path, 64, "/asked/%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
}

/* ---- whether to ask ---- */

/* Whether a model may be asked: one is wanted, and today's first question was not answered "there is none". */
static bool wanted(cvm_turn *t, const json_t *data, bool *ret_known)
{
    const char *provider = cvm_json_str(cvm_settings(t), "provider", "auto");
    const json_t *known = NULL;
    int64_t day = cvm_json_int(data, "day", 0);
    bool rules = !*provider || strcmp(provider, "rules") == 0;
    *ret_known = true;
    if ((rules && !trial_wants(json_object_get(data, "experiments"), "provider", NULL)) || !llm_loaded(t))
        return false;
    if (cvm_state_get(t, "model", &known) < 0)
        known = NULL;
    bool there = cvm_json_bool(known, "there", false);
    if (!there && known && cvm_json_int(known, "day", -1) == day && day > 0)
        return false;
    *ret_known = there;
    return true;
}

/* ---- a request's personas ---- */

static void choosing_of(const json_t *data, size_t i, struct choosing *c)
{
    bool one = json_object_get(data, "customer") != NULL;
    c->customer = one ? json_object_get(data, "customer") : json_array_get(json_object_get(data, "customers"), i);
    c->observation =
        one ? json_object_get(data, "observation") : json_array_get(json_object_get(data, "observations"), i);
    c->memory = one ? json_object_get(data, "memory") : json_array_get(json_object_get(data, "memories"), i);
    c->options = json_object_get(data, "options");
    c->experiments = json_object_get(data, "experiments");
    c->day = cvm_json_int(data, "day", 0);
    c->seed = (uint64_t)cvm_json_int(data, "seed", 1);
    c->force = cvm_json_str(json_object_get(data, "force"), cvm_json_str(c->customer, "persona_key", ""), NULL);
}

static size_t how_many(const json_t *data)
{
    return json_object_get(data, "customer") ? 1 : json_array_size(json_object_get(data, "customers"));
}

/* Takes the decisions. */
static int answer(cvm_turn *t, cvm_id request, bool one, json_t *decisions, const char *provider)
{
    json_t *data = one ? json_copy(json_array_get(decisions, 0))
                       : json_pack("{s:O, s:s}", "decisions", decisions, "provider", provider);
    json_decref(decisions);
    int e = cvm_settle(t, request, CVM_REPLIED, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static bool wants_bandit(const json_t *data)
{
    return trial_wants(json_object_get(data, "experiments"), "policy", "thompson");
}

/* ---- asking ---- */

struct batch {
    const cvm_msg *m;
    json_t *decisions;
    struct policy_settings policy;
    struct bandit *bandit;
    bool brief;
    bool model, probe; /* a model is asked; for one persona first */
    int waiting;
    size_t at; /* the first that was not asked about, where it is a probe */
};

static json_t *case_of(const struct choosing *c, cvm_id request, int n, const json_t *decision, bool sure)
{
    return json_pack("{s:[I, I], s:b, s:i, s:O, s:O, s:O*, s:O, s:I, s:O, s:O*}", "request", (json_int_t)request.hi,
                     (json_int_t)request.lo, "sure", sure, "n", n, "customer", c->customer, "observation",
                     c->observation, "memory", c->memory, "options", c->options, "day", (json_int_t)c->day, "decision",
                     decision, "experiments", c->experiments);
}

static int ask(cvm_turn *t, struct batch *b, const struct choosing *c, int n, const json_t *decision)
{
    char key[64];
    cvm_id cookie = cookie_of(b->m->id, n);
    key_of(key, cookie);
    CVM_TRY(cvm_state_put(t, key, case_of(c, b->m->id, n, decision, !b->probe)));
    b->waiting++;
    return ask_model(t, c, cookie);
}

static int decide_one(cvm_turn *t, struct batch *b, size_t i)
{
    struct choosing c = {.policy = b->policy, .bandit = b->bandit};
    json_t *decision = NULL;
    bool may_ask = false;
    choosing_of(b->m->data, i, &c);
    if (choosing_read(&c) < 0)
        return cvm_refuse(t, "INVALID", "options",
                          "options: must be actions, [{\"action\", \"expected\"}] or their names");
    if (c.force && strcmp(c.force, "") == 0)
        c.force = NULL;
    CVM_TRY(choosing_decide(t, &c, &decision, &may_ask));
    json_array_append_new(b->decisions, decision);
    if (may_ask && b->model && !(b->probe && b->waiting))
        return ask(t, b, &c, (int)i, decision);
    return may_ask && b->model ? CVM_OK : choosing_note(t, &c, decision, b->brief);
}

int decide_on_decide(cvm_turn *t, const cvm_msg *m)
{
    struct batch b = {.m = m};
    char key[64];
    bool known;
    bool one = json_object_get(m->data, "customer") != NULL;
    b.model = wanted(t, m->data, &known);
    b.probe = b.model && !known;
    CVM_TRY(posterior_read(t, wants_bandit(b.m->data), &b.policy, &b.bandit));
    b.decisions = json_array();
    b.brief = how_many(m->data) >= BRIEF_FROM;
    int e =
        b.brief ? cvm_note(t, "options", json_pack("{s:O}", "untried", json_object_get(m->data, "options"))) : CVM_OK;
    for (size_t i = 0; e == CVM_OK && i < how_many(m->data); i++)
        e = decide_one(t, &b, i);
    bandit_free(b.bandit);
    if (e < 0) {
        json_decref(b.decisions);
        return e;
    }
    if (!b.waiting)
        return answer(t, m->id, one, b.decisions, "rules");
    path_of(key, m->id);
    CVM_TRY(cvm_context_set(t, key,
                            json_pack("{s:i, s:b, s:b, s:o, s:O*}", "waiting", b.waiting, "one", one, "probe", b.probe,
                                      "decisions", b.decisions, "data", b.probe ? m->data : NULL)));
    return CVM_PENDING;
}

/* ---- the answers ---- */

/* What is added to a decision that a model was asked for. */
static void add_cost(json_t *decision, const cvm_msg *m)
{
    const json_t *usage = json_object_get(m->data, "usage");
    double usd = json_number_value(json_object_get(m->data, "cost_usd"));
    json_object_set_new(decision, "input_tokens", json_integer((json_int_t)cvm_json_int(usage, "input_tokens", 0)));
    json_object_set_new(decision, "output_tokens", json_integer((json_int_t)cvm_json_int(usage, "output_tokens", 0)));
    json_object_set_new(decision, "cost_micro_usd", json_integer((json_int_t)(usd * 1e6 + .5)));
    json_object_set_new(decision, "duration_ms", json_integer((json_int_t)cvm_json_int(m->data, "duration_ms", 0)));
}

/* Nobody can be asked. Of a case that is sure one could be asked a moment ago: then he is only held. */
static bool has_none(const json_t *kept, const cvm_msg *m)
{
    const char *reason = cvm_json_str(m->data, "reason", "");
    return !cvm_json_bool(kept, "sure", false) && m->outcome == CVM_REPLIED &&
           (strcmp(reason, "configuration") == 0 || strcmp(reason, "rules") == 0);
}

/* The decision of a case by a model's answer. Gives. */
static json_t *decided(cvm_turn *t, const json_t *kept, const cvm_msg *m, struct choosing *c)
{
    const json_t *data = llm_data(m);
    const char *action = cvm_json_str(data, "action", ""), *text = cvm_json_str(data, "thought", "");
    json_t *decision = json_copy(json_object_get(kept, "decision"));
    *c = (struct choosing){.policy = policy_settings_usual()};
    choosing_of(kept, 0, c);
    if (choosing_read(c) < 0 || has_none(kept, m))
        return decision;
    add_cost(decision, m);
    int index = choosing_allowed(c, action);
    if (index >= 0 && *text) {
        char thought[THOUGHT_MAX + 1];
        size_t len = strlen(text) > THOUGHT_MAX ? THOUGHT_MAX : strlen(text);
        while (len < strlen(text) && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
        snprintf(thought, sizeof thought, "%.*s", (int)len, text);
        json_object_set_new(decision, "source", json_string("llm"));
        json_object_set_new(decision, "policy", json_string("llm"));
        json_object_set_new(decision, "action", json_string(action));
        json_object_set_new(decision, "thought", json_string(thought));
        json_object_set_new(decision, "adapted", json_boolean(choosing_adapted(c, index)));
        return decision;
    }
    cvm_log(t, CVM_LOG_WARNING, "no valid decision of a language model (%s): a rule decides",
            m->outcome != CVM_REPLIED ? "no answer"
            : *action                 ? "an action that is not allowed"
                                      : cvm_json_str(m->data, "reason", "no action in it"));
    json_object_set_new(decision, "source", json_string("fallback"));
    return decision;
}

/* The rest of a batch, of which the first persona's question was the probe: now all are asked about, or nobody is. */
static int go_on(cvm_turn *t, cvm_id request, json_t *waiting, bool there, int first)
{
    const json_t *data = json_object_get(waiting, "data");
    json_t *decisions = json_object_get(waiting, "decisions");
    struct cvm_msg as = {.id = request, .data = data};
    struct batch b = {.m = &as, .model = there};
    CVM_TRY(posterior_read(t, wants_bandit(b.m->data), &b.policy, &b.bandit));
    b.decisions = json_array();
    int e = CVM_OK;
    for (size_t i = 0; e == CVM_OK && i < json_array_size(decisions); i++) {
        if ((int)i <= first) { /* what came before the probe was not to be asked about */
            json_array_append(b.decisions, json_array_get(decisions, i));
            continue;
        }
        struct choosing c = {.policy = b.policy, .bandit = b.bandit};
        json_t *decision = json_array_get(decisions, i);
        choosing_of(data, i, &c);
        e = choosing_read(&c);
        bool asks = e == CVM_OK && strcmp(cvm_json_str(decision, "source", ""), "rule") == 0 &&
                    strcmp(cvm_json_str(decision, "policy", ""), "rule") != 0;
        if (asks && there)
            e = ask(t, &b, &c, (int)i, decision);
        else if (asks)
            e = choosing_note(t, &c, decision, false);
        json_array_append(b.decisions, decision);
    }
    bandit_free(b.bandit);
    json_object_set_new(waiting, "decisions", b.decisions);
    json_object_set_new(waiting, "waiting", json_integer(b.waiting));
    json_object_set_new(waiting, "probe", json_false());
    json_object_del(waiting, "data");
    return e;
}

static int note_model(cvm_turn *t, int64_t day, bool there)
{
    const json_t *known = NULL;
    if (cvm_state_get(t, "model", &known) == CVM_OK && cvm_json_bool(known, "there", false) == there &&
        cvm_json_int(known, "day", -1) == day)
        return CVM_OK;
    return cvm_state_put(t, "model", json_pack("{s:b, s:I}", "there", there, "day", (json_int_t)day));
}

int decide_on_chat(cvm_turn *t, const cvm_msg *m)
{
    char case_key[64], key[64];
    const json_t *kept = NULL, *stored = NULL;
    struct choosing c;
    key_of(case_key, m->on_behalf);
    if (cvm_state_get(t, case_key, &kept) < 0)
        return CVM_OK;
    const json_t *id = json_object_get(kept, "request");
    cvm_id request = {(uint64_t)json_integer_value(json_array_get(id, 0)),
                      (uint64_t)json_integer_value(json_array_get(id, 1))};
    int n = (int)cvm_json_int(kept, "n", 0);
    int64_t day = cvm_json_int(kept, "day", 0);
    path_of(key, request);
    stored = json_object_get(json_object_get(cvm_context(t), "asked"), key + strlen("/asked/"));
    if (!stored)
        return cvm_state_del(t, case_key);
    json_t *waiting = json_deep_copy(stored), *decision = decided(t, kept, m, &c);
    int e = choosing_note(t, &c, decision, false);
    bool answered = !has_none(kept, m);
    if (e == CVM_OK && answered && cvm_json_int(decision, "duration_ms", 0) > 0)
        e = cvm_metric(t, "lifecycle_decision_seconds", NULL, (double)cvm_json_int(decision, "duration_ms", 0) / 1000);
    json_array_set_new(json_object_get(waiting, "decisions"), (size_t)n, decision);
    json_object_set_new(waiting, "waiting", json_integer(cvm_json_int(waiting, "waiting", 1) - 1));
    if (answered)
        json_object_set_new(waiting, "provider",
                            json_string(llm_data(m) ? cvm_json_str(m->data, "provider", "llm") : "fallback"));
    if (e == CVM_OK)
        e = note_model(t, day, answered);
    if (e == CVM_OK)
        e = cvm_state_del(t, case_key);
    if (e == CVM_OK && cvm_json_bool(waiting, "probe", false))
        e = go_on(t, request, waiting, answered, n);
    if (e < 0) {
        json_decref(waiting);
        return e;
    }
    if (cvm_json_int(waiting, "waiting", 0) > 0)
        return cvm_context_set(t, key, waiting);
    json_t *decisions = json_incref(json_object_get(waiting, "decisions"));
    char provider[64];
    snprintf(provider, sizeof provider, "%.60s", cvm_json_str(waiting, "provider", "rules"));
    bool one = cvm_json_bool(waiting, "one", false);
    json_decref(waiting);
    e = cvm_context_set(t, key, NULL);
    if (e < 0) {
        json_decref(decisions);
        return e;
    }
    return answer(t, request, one, decisions, provider);
}
