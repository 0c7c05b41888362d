/* cvm.treatment: picks a treatment for a customer, or another one. What a caller does not give (treatments, limits) is
 * asked for; then treatments that want to be asked are; then a model where there is one, else the ranking decides.
 * Rules hold before and after the model. Loop thread. */
#include "decision.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_TIMEOUT_MS 10000
#define CHECKS_MAX 32 /* treatments that are asked for one customer */

/* Settled with the whole answer; the work is done with. */
static int answer(cvm_turn *t, cvm_id request, const json_t *work, struct problem *p, size_t chosen, const char *method,
                  const char *explanation, const char *model)
{
    char text[EXPLANATION_SIZE];
    if (chosen == DECIDE_NONE)
        return cvm_settle(t, request, CVM_REFUSED,
                          json_pack("{s:s, s:s, s:s}", "status", "error", "code", "NO_ALTERNATIVE", "message",
                                    "No treatment is left that may be chosen."),
                          NULL);
    if (!explanation) {
        problem_explain(p, chosen, text);
        explanation = text;
    }
    json_t *body = problem_answer(p, chosen, cvm_json_bool(work, "with_change", true));
    if (!body)
        return CVM_ENOMEM;
    json_object_set_new(body, "explanation", json_string(explanation));
    json_object_set_new(body, "status", json_string("success"));
    json_object_set_new(body, "method", json_string(method));
    if (model)
        json_object_set_new(body, "model", json_string(model));
    json_t *change = json_object_get(body, "change");
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s*, s:s, s:s, s:O*, s:O*, s:s, s:s*}", "subject",
                               cvm_json_str(p->journey, "customer_id", NULL), "chose", p->p.options[chosen].o.id, "by",
                               method, "runner_up", json_object_get(body, "runner_up"), "value_pounds",
                               json_object_get(body, "value_pounds"), "because", explanation, "smallest_change",
                               cvm_json_str(change, "text", NULL))));
    return cvm_settle(t, request, CVM_REPLIED, body, NULL);
}

static const char *id_text(cvm_id id, char text[40])
{
    snprintf(text, 40, "%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
    return text;
}

/* Treatments that want to be asked about a customer whom nothing else forbids. Returns how many were asked. */
static int ask_treatments(cvm_turn *t, cvm_id request, json_t *work, const struct problem *p)
{
    json_t *whom = json_object(); /* id of the question -> treatment */
    int asked = 0;
    const json_t *told = json_object_get(work, "verdicts");
    for (size_t i = 0; i < p->p.n && asked < CHECKS_MAX; i++) {
        const struct option *o = &p->p.options[i].o;
        const char *component = cvm_json_str(o->record, "component", NULL);
        if (!o->ask || !component || json_object_get(told, o->id) || !decide_candidate(&p->p, i, NULL, NULL))
            continue;
        json_t *facts = facts_to_json(&p->p.facts);
        json_t *data = json_pack("{s:s, s:[{s:o, s:O?}]}", "treatment_id", o->id, "customers", "facts", facts,
                                 "journey", json_object_get(work, "journey"));
        cvm_id id = {0, 0};
        char key[40];
        int e = cvm_request(t, component, "check", data,
                            &(cvm_request_opts){.on_behalf = request, .timeout_ms = ASK_TIMEOUT_MS, .ret_id = &id});
        if (e < 0 && e != CVM_ENOENT && e != CVM_EACCES) {
            json_decref(whom);
            return e;
        }
        if (e >= 0)
            json_object_set_new(whom, id_text(id, key), json_string(o->id));
        asked += e >= 0;
    }
    json_object_set_new(work, "whom", whom);
    return asked;
}

static int ask_for(cvm_turn *t, cvm_id request, const char *to, const char *type, bool *ret_asked)
{
    int e = cvm_request(t, to, type, NULL, &(cvm_request_opts){.on_behalf = request, .timeout_ms = ASK_TIMEOUT_MS});
    *ret_asked = e >= 0;
    return e == CVM_ENOENT ? 0 : e; /* without that component there is nothing to know of it */
}

static int problem_of(const json_t *work, struct problem **ret, char *why, size_t size)
{
    struct problem_given given = {.journey = json_object_get(work, "journey"),
                                  .treatments = json_object_get(work, "treatments"),
                                  .constraints = json_object_get(work, "constraints"),
                                  .permissions = json_object_get(work, "permissions"),
                                  .excluded = json_object_get(work, "excluded_treatments"),
                                  .excluded_one = cvm_json_str(work, "excluded_treatment", NULL),
                                  .unavailable = json_object_get(work, "unavailable"),
                                  .verdicts = json_object_get(work, "verdicts")};
    return problem_make(&given, ret, why, size);
}

static int keep_waiting(cvm_turn *t, cvm_id request, json_t *work)
{
    json_t *journey = work_journey(json_object_get(work, "journey"));
    json_object_set_new(work, "journey", journey);
    return work_keep(t, request, work);
}

/* The next step. Takes `work`. */
static int go_on(cvm_turn *t, cvm_id request, json_t *work)
{
    struct problem *p = NULL;
    bool asked = false;
    char why[256];
    int e = 0;
    if (!json_object_get(work, "treatments")) {
        if ((e = ask_for(t, request, TREATMENTS, "list", &asked)) < 0)
            goto out;
        if (!asked)
            json_object_set_new(work, "treatments", json_array());
    }
    if (!asked && !json_object_get(work, "constraints")) {
        if ((e = ask_for(t, request, ALLOCATION, "get_constraints", &asked)) < 0)
            goto out;
        if (!asked)
            json_object_set_new(work, "constraints", json_object());
    }
    if (asked) {
        json_object_set_new(work, "waiting", json_integer(1));
        goto keep;
    }
    if ((e = problem_of(work, &p, why, sizeof why)) < 0) {
        if (e != CVM_ENOMEM)
            e = cvm_settle(t, request, CVM_REFUSED,
                           json_pack("{s:s, s:s, s:s, s:s}", "status", "error", "code", "INVALID", "field",
                                     "treatments", "message", why),
                           NULL);
        goto out;
    }
    if (!json_object_get(work, "checked")) {
        json_object_set_new(work, "checked", json_true());
        if ((e = ask_treatments(t, request, work, p)) < 0)
            goto out;
        if (e > 0) {
            json_object_set_new(work, "waiting", json_integer(e));
            goto keep;
        }
    }
    problem_decide(p);
    size_t candidates = 0;
    for (size_t i = 0; i < p->p.n; i++)
        candidates += !*p->verdicts[i].rule;
    if (candidates > 1 && !cvm_json_bool(work, "rules_only", false) && llm_wanted(t)) {
        json_t *bad = json_object_get(work, "bad");
        if ((e = model_ask(t, p, request, bad ? json_string_value(bad) : NULL)) < 0)
            goto out;
        goto keep;
    }
    e = answer(t, request, work, p, p->r.winner, "rules", NULL, NULL);
    goto out;
keep:
    e = keep_waiting(t, request, work);
    work = NULL;
    e = e < 0 ? e : CVM_PENDING;
out:
    problem_free(p);
    json_decref(work);
    return e;
}

/* In a later turn a failure would leave the request open: it is its answer. */
static int ended(cvm_turn *t, cvm_id request, int e)
{
    if (e == CVM_ELIMIT || e == CVM_EINVAL || e == CVM_EDATA)
        e = cvm_settle(t, request, CVM_ERROR,
                       json_pack("{s:s, s:s, s:s}", "status", "error", "code", "LIMIT", "message",
                                 "The treatments or the journey are larger than can be kept meanwhile."),
                       NULL);
    return e == CVM_PENDING || e == CVM_ENOENT ? CVM_OK : e;
}

int treatment_recommend(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = json_copy((json_t *)(uintptr_t)m->data);
    return work ? go_on(t, m->id, work) : CVM_ENOMEM;
}

/* A check's answer: {"verdicts": [{"customer_id", "eligible", ..}]}; no answer is a no. */
static void take_verdict(json_t *work, const cvm_msg *m)
{
    const json_t *verdict = m->outcome == CVM_REPLIED ? json_array_get(json_object_get(m->data, "verdicts"), 0) : NULL;
    char key[40];
    const char *id = cvm_json_str(json_object_get(work, "whom"), id_text(m->in_reply_to, key), NULL);
    json_t *told = json_object(), *old = json_object_get(work, "verdicts");
    if (old)
        json_object_update(told, old);
    if (id)
        json_object_set_new(
            told, id, verdict ? cvm_json_share(verdict) : json_pack("{s:b, s:s}", "eligible", 0, "rule", "no answer"));
    json_object_set_new(work, "verdicts", told);
}

int treatment_told(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    const json_t *data = m->outcome == CVM_REPLIED ? m->data : NULL;
    int e = work_take(t, m->on_behalf, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (strcmp(m->type, "list.reply") == 0) {
        const json_t *list = json_object_get(data, "treatments");
        json_object_set_new(work, "treatments", list ? cvm_json_share(list) : json_array());
    } else if (strcmp(m->type, "get_constraints.reply") == 0) {
        const json_t *limits = json_object_get(data, "constraints");
        json_object_set_new(work, "constraints", limits ? cvm_json_share(limits) : json_object());
    } else {
        take_verdict(work, m);
    }
    int64_t waiting = cvm_json_int(work, "waiting", 1) - 1;
    json_object_set_new(work, "waiting", json_integer(waiting));
    if (waiting > 0) {
        return ended(t, m->on_behalf, work_keep(t, m->on_behalf, work));
    }
    return ended(t, m->on_behalf, go_on(t, m->on_behalf, work));
}

int treatment_modelled(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    struct problem *p = NULL;
    char why[256];
    const char *bad = NULL;
    const json_t *said = llm_data(m);
    int e = work_take(t, m->on_behalf, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if ((e = problem_of(work, &p, why, sizeof why)) < 0)
        goto out;
    problem_decide(p);
    size_t chosen = said ? model_choice(p, said, &bad) : DECIDE_NONE;
    if (chosen != DECIDE_NONE) {
        e = answer(t, m->on_behalf, work, p, chosen, "llm", cvm_json_str(said, "explanation", ""),
                   cvm_json_str(m->data, "model", NULL));
    } else if (said && !json_object_get(work, "bad")) {
        e = cvm_note(t, "refused",
                     json_pack("{s:s, s:s}", "answer", cvm_json_str(said, "selected_treatment", ""), "why", bad));
        if (e < 0)
            goto out;
        json_object_set_new(work, "bad", json_string(bad));
        problem_free(p);
        return ended(t, m->on_behalf, go_on(t, m->on_behalf, work));
    } else {
        e = answer(t, m->on_behalf, work, p, p->r.winner, "rules", NULL, NULL);
    }
out:
    problem_free(p);
    json_decref(work);
    return e == CVM_ENOENT ? CVM_OK : e;
}
