/* What people do to a ticket: approve, reject, send back, end, ask the customer, open again. An open ticket's request
 * is handed on into its lane, so that it comes before or after whatever else happens there; for one that is not open
 * the table says why nothing can be done. Loop thread. */
#include "support.h"

#include <stdio.h>

static int hand_on(cvm_turn *t, const cvm_msg *m, const char *what, json_t *data)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const char *id = cvm_json_str(m->data, "ticket_id", "");
    const json_t *instance = NULL;
    snprintf(key, sizeof key, "t/%s", id);
    json_t *all = json_pack("{s:s, s:s, s:o}", "what", what, "ticket_id", id, "data", data ? data : json_object());
    if (!all)
        return CVM_ENOMEM;
    int e = cvm_state_get(t, key, &instance);
    const char *open = json_string_value(instance);
    if ((e < 0 && e != CVM_ENOENT) || !open || !*open) {
        if (e == CVM_OK || e == CVM_ENOENT)
            e = ask_ticket(t, m->id, id, "closed", json_incref(all));
        json_decref(all);
        return e < 0 ? e : CVM_PENDING;
    }
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_FORWARD,
                   .to = SUPPORT,
                   .type = "decide",
                   .data = all,
                   .conversation = open,
                   .request = m->id,
                   .priority = -1};
    CVM_TRY(t->host->emit(t, &out, NULL));
    return CVM_PENDING;
}

/* ---- from the edges -----------------------------------------------------------------------------------------------
 */

static int approve(cvm_turn *t, const cvm_msg *m, bool approved, bool rework, const char *solution, const char *notes)
{
    char at[TIME_SIZE];
    if (!approved && !rework && !blank(solution))
        return cvm_refuse(t, "INVALID", "final_solution", "goes with an approval: say in the notes why it is rejected");
    if (approved && rework)
        return cvm_refuse(t, "INVALID", "rework", "goes with approved false: a solution that is approved is final");
    if (strlen(solution) > SOLUTION_BYTES_MAX) /* the schema counts characters */
        return cvm_refuse(t, "TOO_LARGE", "final_solution", "a solution has at most 16384 bytes");
    if (strlen(notes) > NOTES_BYTES_MAX)
        return cvm_refuse(t, "TOO_LARGE", "support_notes", "notes have at most 8192 bytes");
    json_t *data = json_pack("{s:b, s:b, s:s, s:s, s:s, s:s}", "approved", approved, "rework", rework, "final_solution",
                             solution, "support_notes", notes, "decided_by", cvm_json_str(m->data, "by", "support"),
                             "decided_at", text_of_time(cvm_now_ms(t), at));
    return data ? hand_on(t, m, "approve", data) : CVM_ENOMEM;
}

int decide_approve(cvm_turn *t, const cvm_msg *m)
{
    return approve(t, m, cvm_json_bool(m->data, "approved", false), cvm_json_bool(m->data, "rework", false),
                   cvm_json_str(m->data, "final_solution", ""), cvm_json_str(m->data, "support_notes", ""));
}

int decide_from_words(cvm_turn *t, const cvm_msg *m)
{
    bool rework = cvm_json_bool(m->data, "rework", false), reject = cvm_json_bool(m->data, "reject", false);
    if (rework && reject)
        return cvm_refuse(t, "INVALID", "rework", "goes without reject: it is sent back, or it is rejected");
    return approve(t, m, !rework && !reject, rework, cvm_json_str(m->data, "solution", ""),
                   cvm_json_str(m->data, "notes", ""));
}

int decide_terminate(cvm_turn *t, const cvm_msg *m)
{
    return hand_on(t, m, "terminate",
                   json_pack("{s:s, s:s}", "reason", cvm_json_str(m->data, "reason", ""), "by",
                             cvm_json_str(m->data, "by", "support")));
}

int decide_ask(cvm_turn *t, const cvm_msg *m)
{
    if (blank(cvm_json_str(m->data, "question", "")))
        return cvm_refuse(t, "INVALID", "question", "is empty");
    return hand_on(t, m, "ask",
                   json_pack("{s:s, s:s}", "text", cvm_json_str(m->data, "question", ""), "by",
                             cvm_json_str(m->data, "by", "support")));
}

int decide_answer(cvm_turn *t, const cvm_msg *m)
{
    if (blank(cvm_json_str(m->data, "answer", "")))
        return cvm_refuse(t, "INVALID", "answer", "is empty");
    return hand_on(t, m, "answer",
                   json_pack("{s:s, s:s}", "text", cvm_json_str(m->data, "answer", ""), "by",
                             cvm_json_str(m->data, "by", "customer")));
}

int decide_reopen(cvm_turn *t, const cvm_msg *m)
{
    return hand_on(t, m, "reopen", json_pack("{s:s}", "by", cvm_json_str(m->data, "by", "support")));
}

/* ---- in the lane --------------------------------------------------------------------------------------------------
 */

static int audit_person(struct ticket *k, const json_t *data, const char *what, const char *input)
{
    char who[481]; /* 120 characters: what comes in through an edge has no more */
    snprintf(who, sizeof who, "%s", cvm_json_str(data, "by", cvm_json_str(data, "decided_by", "support")));
    text_clip(who, 120);
    return audit_row(k->t, k->m,
                     &(struct audit){.ticket = k->id,
                                     .actor = who,
                                     .step = cvm_json_str(k->record, "step", ""),
                                     .what = what,
                                     .input = input,
                                     .duration_ms = -1});
}

/* What was decided, with what the customer is to get or, where that is nothing, why; else why is another row. */
static int audit_decision(struct ticket *k, const json_t *data, const char *what)
{
    const char *solution = cvm_json_str(data, "final_solution", ""), *notes = cvm_json_str(data, "support_notes", "");
    CVM_TRY(audit_person(k, data, what, *solution ? solution : notes));
    return *solution && *notes ? audit_person(k, data, "noted", notes) : CVM_OK;
}

static int done(struct ticket *k, cvm_id request, const char *status)
{
    return settle(k->t, request, CVM_REPLIED,
                  json_pack("{s:s, s:s, s:s}", "status", status, "ticket_id", k->id, "instance_id", k->instance));
}

/* The customer is not asked any more: the clocks go on. Gives how long the wait had left; 0: no question, or no end. */
static int64_t end_question(struct ticket *k)
{
    const json_t *asked = json_object_get(k->record, "asked");
    int64_t left = cvm_json_int(asked, "left_ms", 0);
    if (!asked)
        return 0;
    sla_resume(k->record, k->w.now_ms);
    json_object_set_new(k->record, "status", json_string(cvm_json_str(workflow_step(&k->w), "status", "WAITING")));
    json_object_del(k->record, "asked");
    return left;
}

/* Whether the record can take that in, and still be kept. */
static bool has_room(const struct ticket *k, const json_t *data)
{
    return json_dumpb(k->record, NULL, 0, JSON_COMPACT) + json_dumpb(data, NULL, 0, JSON_COMPACT) <= RECORD_BYTES_MAX;
}

static int no_room(struct ticket *k, cvm_id request, const char *field)
{
    return refuse(k->t, request, "TOO_LARGE", field,
                  "%s holds too much text already for one that is so long: write a shorter one", k->id);
}

static int not_waiting(struct ticket *k, cvm_id request)
{
    const json_t *approval = json_object_get(k->outputs, "approval");
    const char *status = ticket_status(k);
    if (cvm_json_bool(approval, "approved", false))
        return refuse(k->t, request, "NOT_WAITING", "ticket_id", "%s was approved already, at %s; it is %s", k->id,
                      cvm_json_str(approval, "decided_at", "?"), status);
    return refuse(k->t, request, "NOT_WAITING", "ticket_id", "%s does not wait for this: it is %s, in the step %s",
                  k->id, status, cvm_json_str(k->record, "step", "?"));
}

bool decide_is_empty(const json_t *decision, const json_t *analysis)
{
    return cvm_json_bool(decision, "approved", false) && blank(cvm_json_str(decision, "final_solution", "")) &&
           !cvm_json_bool(analysis, "found", true);
}

static int take_approval(struct ticket *k, cvm_id request, json_t *data)
{
    bool approved = cvm_json_bool(data, "approved", false), rework = cvm_json_bool(data, "rework", false);
    const char *what = approved ? "approved" : rework ? "rework" : "rejected";
    struct workflow_event e = {.what = WORKFLOW_EVENT, .code = APPROVED, .data = data};
    if (!workflow_waits(&k->w, APPROVED) && !workflow_may_wait(&k->w, APPROVED))
        return not_waiting(k, request);
    if (decide_is_empty(data, json_object_get(k->outputs, "analysis")))
        return refuse(k->t, request, "NO_SOLUTION", "final_solution",
                      "for %s no documented solution was found, so that there is nothing to approve: say what the "
                      "customer is to do (cvmhost support ticket approve %s --solution \"...\"), or reject it",
                      k->id, k->id);
    if (workflow_exhausted(&k->w, APPROVED, data))
        return refuse(k->t, request, "REWORK_LIMIT", "rework",
                      "%s was sent back as often as it may be (setting max_rework): approve, change or reject what is "
                      "proposed",
                      k->id);
    if (json_object_get(json_object_get(k->record, "early"), APPROVED))
        return refuse(k->t, request, "NOT_WAITING", "ticket_id",
                      "a decision about %s has come already; it is taken as soon as the analysis is ready", k->id);
    if (!workflow_waits(&k->w, APPROVED) && !has_room(k, data))
        return no_room(k, request, "final_solution");
    CVM_TRY(audit_decision(k, data, what));
    CVM_TRY(done(k, request, "approval_sent"));
    CVM_TRY(tell_event(k, what, cvm_json_str(k->record, "step", "")));
    cvm_log(k->t, CVM_LOG_INFO, "%s: %s", k->id, what);
    end_question(k);
    return ticket_happens(k, &e);
}

static int take_termination(struct ticket *k, cvm_id request, const json_t *data)
{
    CVM_TRY(audit_person(k, data, "terminated", cvm_json_str(data, "reason", "")));
    CVM_TRY(done(k, request, "TERMINATED"));
    return ticket_stop(k, "TERMINATED");
}

static int take_question(struct ticket *k, cvm_id request, const json_t *data)
{
    char at[TIME_SIZE];
    json_t *questions = json_object_get(k->record, "questions");
    int64_t deadline = cvm_json_int(k->record, "deadline_ms", 0), left = deadline ? deadline - k->w.now_ms : 0;
    if (deadline && left < 1)
        left = 1; /* its timer is about to fire: none at all would be a wait without an end */
    if (!workflow_waits(&k->w, APPROVED) || json_object_get(k->record, "asked"))
        return not_waiting(k, request);
    if (json_array_size(questions) >= QUESTIONS_MAX)
        return refuse(k->t, request, "TOO_MANY", "question", "a ticket has at most %d questions", QUESTIONS_MAX);
    if (!has_room(k, data))
        return no_room(k, request, "question");
    if (!questions && (questions = json_array()))
        json_object_set_new(k->record, "questions", questions);
    json_array_append_new(questions, json_pack("{s:s, s:s}", "question", cvm_json_str(data, "text", ""), "asked_at",
                                               text_of_time(k->w.now_ms, at)));
    json_object_set_new(k->record, "asked", json_pack("{s:I}", "left_ms", (json_int_t)left));
    json_object_set_new(k->record, "deadline_ms", json_integer(0));
    json_object_set_new(k->record, "status", json_string("WAITING_FOR_CUSTOMER"));
    sla_pause(k->record, k->w.now_ms);
    CVM_TRY(ticket_hold(k));
    CVM_TRY(ticket_clocks(k));
    CVM_TRY(audit_person(k, data, "asked", cvm_json_str(data, "text", "")));
    CVM_TRY(tell_event(k, "asked", cvm_json_str(k->record, "step", "")));
    CVM_TRY(tell_team(k, "asked", workflow_step(&k->w), TEAM_TOPIC));
    CVM_TRY(send_question(k, cvm_json_str(data, "text", "")));
    CVM_TRY(send_progress(k));
    CVM_TRY(ticket_save(k));
    return done(k, request, "WAITING_FOR_CUSTOMER");
}

static int take_answer(struct ticket *k, cvm_id request, const json_t *data)
{
    char at[TIME_SIZE];
    json_t *questions = json_object_get(k->record, "questions");
    json_t *last = json_array_get(questions, json_array_size(questions) - 1);
    if (!json_object_get(k->record, "asked"))
        return refuse(k->t, request, "NOT_WAITING", "ticket_id", "the customer of %s is not asked anything: it is %s",
                      k->id, ticket_status(k));
    if (!has_room(k, data))
        return no_room(k, request, "answer");
    json_object_set_new(last, "answer", json_string(cvm_json_str(data, "text", "")));
    json_object_set_new(last, "answered_at", json_string(text_of_time(k->w.now_ms, at)));
    int64_t left = end_question(k);
    CVM_TRY(left > 0 ? ticket_wait(k, left) : CVM_OK);
    CVM_TRY(ticket_clocks(k));
    CVM_TRY(audit_person(k, data, "answered", cvm_json_str(data, "text", "")));
    CVM_TRY(tell_event(k, "answered", cvm_json_str(k->record, "step", "")));
    CVM_TRY(tell_team(k, "answered", workflow_step(&k->w), TEAM_TOPIC));
    CVM_TRY(send_progress(k));
    CVM_TRY(ticket_save(k));
    return done(k, request, ticket_status(k));
}

int decide_in_lane(cvm_turn *t, const cvm_msg *m)
{
    struct ticket k;
    const char *what = cvm_json_str(m->data, "what", "");
    json_t *data = json_object_get(m->data, "data");
    int e = ticket_load(t, m, m->conversation, &k);
    if (e == CVM_ENOENT) { /* it ended while this was on its way */
        CVM_TRY(ask_ticket(t, m->id, cvm_json_str(m->data, "ticket_id", ""), "closed", cvm_json_share(m->data)));
        return CVM_PENDING;
    }
    CVM_TRY(e);
    if (strcmp(what, "approve") == 0)
        e = take_approval(&k, m->id, data);
    else if (strcmp(what, "terminate") == 0)
        e = take_termination(&k, m->id, data);
    else if (strcmp(what, "ask") == 0)
        e = take_question(&k, m->id, data);
    else if (strcmp(what, "answer") == 0)
        e = take_answer(&k, m->id, data);
    else
        e = refuse(t, m->id, "NOT_CLOSED", "ticket_id", "%s is open: it is %s", k.id, ticket_status(&k));
    ticket_free(&k);
    return e;
}

/* ---- of a ticket that is not open ---------------------------------------------------------------------------------
 */

static const json_t *row_of(const cvm_msg *m)
{
    return json_array_get(json_object_get(m->data, "rows"), 0);
}

static int answer_closed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with"), *row = row_of(m);
    const char *id = cvm_json_str(with, "ticket_id", ""), *status = cvm_json_str(row, "status", "");
    if (m->outcome != CVM_REPLIED)
        return settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    if (!row)
        return refuse(t, m->on_behalf, "NOT_FOUND", "ticket_id", "there is no ticket %s", id);
    if (strcmp(cvm_json_str(json_object_get(with, "data"), "what", ""), "reopen") == 0)
        return reopen_found(t, m);
    if (strcmp(status, "TIMED_OUT") == 0)
        return refuse(t, m->on_behalf, "NOT_WAITING", "ticket_id",
                      "%s timed out at %s: nobody approved it in time, which is a refusal; cvmhost support ticket "
                      "reopen %s starts a new wait",
                      id, cvm_json_str(row, "updated_at", "?"), id);
    return refuse(t, m->on_behalf, "NOT_WAITING", "ticket_id", "%s has ended: it is %s since %s", id, status,
                  cvm_json_str(row, "updated_at", "?"));
}

int decide_closed(cvm_turn *t, const cvm_msg *m)
{
    int e = answer_closed(t, m);
    bool lane = strncmp(m->conversation, INSTANCE_PREFIX, strlen(INSTANCE_PREFIX)) == 0;
    return e >= 0 && lane ? end_again(t, m) : e;
}

static json_t *parsed(const json_t *value)
{
    return json_is_string(value) ? json_loads(json_string_value(value), 0, NULL) : json_deep_copy(value);
}

/* The step that it goes on with; "": none, it ended there without a fault. */
static const char *step_again(const json_t *record)
{
    return strcmp(cvm_json_str(record, "status", ""), "FAILED") == 0
               ? cvm_json_str(json_object_get(record, "error"), "step", "")
               : cvm_json_str(record, "timed_out_step", "");
}

/* Takes `record`, `outputs`. */
static int open_again(cvm_turn *t, const cvm_msg *m, json_t *record, const json_t *steps, json_t *outputs,
                      const char *by)
{
    struct ticket k;
    char step[128];
    snprintf(step, sizeof step, "%s", step_again(record));
    static const char *const gone[] = {"timer", "sla_timer", "asked", "early", "error", "outcome"};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        json_object_del(record, gone[i]);
        json_object_del(outputs, i < 4 ? "questions" : gone[i]);
    }
    json_object_set_new(record, "status", json_string("PENDING"));
    CVM_TRY(ticket_make(t, m, record, steps, outputs, &k));
    char instance[INSTANCE_SIZE];
    snprintf(instance, sizeof instance, "%s", k.instance);
    sla_resume(k.record, k.w.now_ms);
    int e = audit_row(
        t, m, &(struct audit){.ticket = k.id, .actor = by, .step = step, .what = "reopened", .duration_ms = -1});
    if (e >= 0)
        e = tell_event(&k, "reopened", step);
    if (e >= 0)
        e = ticket_save(&k);
    if (e >= 0)
        e = settle(t, m->on_behalf, CVM_REPLIED,
                   json_pack("{s:s, s:s, s:s}", "status", "reopened", "ticket_id", k.id, "instance_id", instance));
    ticket_free(&k);
    CVM_TRY(e);
    return send_begin(t, instance, step);
}

int reopen_found(cvm_turn *t, const cvm_msg *m)
{
    const json_t *row = row_of(m), *with = json_object_get(m->data, "with"), *there;
    const json_t *data = json_object_get(json_object_get(with, "data"), "data");
    const char *id = cvm_json_str(with, "ticket_id", "");
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "t/%s", id);
    if (cvm_state_get(t, key, &there) == CVM_OK && json_is_string(there))
        return refuse(t, m->on_behalf, "NOT_CLOSED", "ticket_id", "%s is open already", id);
    json_t *again = parsed(json_object_get(row, "reopening")), *outputs = parsed(json_object_get(row, "output"));
    const json_t *steps = json_object_get(again, "steps");
    json_t *record = json_incref(json_object_get(again, "record"));
    int e;
    if (steps && outputs && *step_again(record)) {
        e = open_again(t, m, record, steps, outputs, cvm_json_str(data, "by", "support"));
    } else {
        json_decref(record);
        json_decref(outputs);
        e = refuse(t, m->on_behalf, "NOT_TIMED_OUT", "ticket_id",
                   "%s is %s: only what timed out or failed can be opened again", id, cvm_json_str(row, "status", "?"));
    }
    json_decref(again);
    return e;
}
