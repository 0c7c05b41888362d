/* Runs tickets: what happened goes through the engine, what it says is done, all in one turn of the instance's lane.
 * Loop thread. */
#include "support.h"

#include "../../common/json_bytes.h"

#include <stdio.h>
#include <stdlib.h>

#define STEP_TEXT_SIZE 160 /* of one thing that happened, in the log */
#define LINE_SIZE 800      /* of several; the host's log takes 1 KiB */

enum { REPLY_ACTIVITY = 1, REPLY_STORE = 2 }; /* second half of a request's cookie; the first is the record's "run" */

int end_again(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *there;
    snprintf(key, sizeof key, "i/%s", m->conversation);
    return cvm_state_get(t, key, &there) == CVM_ENOENT ? cvm_end(t) : CVM_OK;
}

/* ---- timers -------------------------------------------------------------------------------------------------------
 */

/* One at a time under each name of the record; that it is gone is no error. */
static int disarm(struct ticket *k, const char *name)
{
    const json_t *id = json_object_get(k->record, name);
    if (!id)
        return CVM_OK;
    int e = cvm_timer_cancel(k->t, (cvm_id){(uint64_t)json_integer_value(json_array_get(id, 0)),
                                            (uint64_t)json_integer_value(json_array_get(id, 1))});
    json_object_del(k->record, name);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int arm(struct ticket *k, const char *name, const char *type, int64_t delay_ms)
{
    cvm_id id;
    json_t *data = json_pack("{s:I}", "run", (json_int_t)cvm_json_int(k->record, "run", 0));
    CVM_TRY(cvm_timer(k->t, type, delay_ms < 0 ? 0 : delay_ms, data, (cvm_id){0, 0}, &id));
    json_object_set_new(k->record, name, json_pack("[I, I]", (json_int_t)id.hi, (json_int_t)id.lo));
    return CVM_OK;
}

int ticket_clocks(struct ticket *k)
{
    bool runs = !k->over && sla_runs(k->record) && !cvm_json_bool(k->record, "breached", false);
    if (!runs)
        return disarm(k, "sla_timer");
    if (json_object_get(k->record, "sla_timer"))
        return CVM_OK;
    return arm(k, "sla_timer", "sla", sla_left_ms(k->record, k->w.now_ms));
}

int ticket_hold(struct ticket *k)
{
    return disarm(k, "timer");
}

int ticket_wait(struct ticket *k, int64_t left_ms)
{
    json_object_set_new(k->record, "deadline_ms", json_integer(k->w.now_ms + left_ms));
    return arm(k, "timer", "deadline", left_ms);
}

/* ---- saying what happened -----------------------------------------------------------------------------------------
 */

static const json_t *step_of(const struct ticket *k, const char *id)
{
    for (size_t i = 0; i < json_array_size(k->w.steps); i++)
        if (strcmp(cvm_json_str(json_array_get(k->w.steps, i), "id", ""), id) == 0)
            return json_array_get(k->w.steps, i);
    return NULL;
}

static void actor_of(const json_t *step, char ret_actor[CVM_NAME_MAX + 1])
{
    const char *send = cvm_json_str(step, "send", SUPPORT);
    snprintf(ret_actor, CVM_NAME_MAX + 1, "%.*s", (int)strcspn(send, "/"), send);
}

static int audit_step(struct ticket *k, const char *what, const json_t *step)
{
    char actor[CVM_NAME_MAX + 1], input[160] = "", output[SUMMARY_MAX * 4 + 1] = "", at[TIME_SIZE];
    const json_t *error = json_object_get(k->record, "error");
    int64_t deadline = cvm_json_int(k->record, "deadline_ms", 0);
    bool finished = strcmp(what, "finished") == 0, failed = !strcmp(what, "failed") || !strcmp(what, "refused");
    actor_of(finished || failed ? step : NULL, actor);
    if (strcmp(what, "started") == 0)
        snprintf(input, sizeof input, "%.120s, attempt %lld", cvm_json_str(step, "send", ""),
                 (long long)cvm_json_int(k->record, "attempt", 1));
    else if (strcmp(what, "waiting") == 0)
        snprintf(input, sizeof input, "%.60s until %s", cvm_json_str(step, "wait", ""),
                 deadline ? text_of_time(deadline, at) : "it comes");
    if (finished)
        audit_summary(json_object_get(k->outputs, workflow_output(step)), output);
    else if (failed)
        snprintf(output, sizeof output, "%.60s: %.1000s", cvm_json_str(error, "code", ""),
                 cvm_json_str(error, "message", ""));
    else if (strcmp(what, "ended") == 0)
        snprintf(output, sizeof output, "%s%s%s", ticket_status(k), json_object_get(k->record, "outcome") ? ": " : "",
                 cvm_json_str(k->record, "outcome", ""));
    text_whole(output);
    return audit_row(k->t, k->m,
                     &(struct audit){.ticket = k->id,
                                     .actor = actor,
                                     .step = cvm_json_str(step, "id", ""),
                                     .what = what,
                                     .input = input,
                                     .output = output,
                                     .duration_ms = finished || failed ? k->w.now_ms - k->since_ms : -1});
}

static const char *event_name(const char *what)
{
    static const char *const names[][2] = {{"started", "step_started"},
                                           {"finished", "step_finished"},
                                           {"failed", "step_failed"},
                                           {"refused", "step_refused"},
                                           {"ended", "ended"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], what) == 0)
            return names[i][1];
    return what;
}

/* "triage finished", "expert failed: TIMEOUT". Gives its length; *ret_level is raised where something is wrong. */
static size_t describe_step(const struct ticket *k, const char *what, const char *step, char ret_text[STEP_TEXT_SIZE],
                            int *ret_level)
{
    bool failed = !strcmp(what, "failed") || !strcmp(what, "refused");
    bool lost = !strcmp(what, "ended") && !strcmp(ticket_status(k), "FAILED");
    const char *more = failed ? cvm_json_str(json_object_get(k->record, "error"), "code", "") : lost ? "FAILED" : "";
    if (failed || lost)
        *ret_level = CVM_LOG_ERROR;
    int n = snprintf(ret_text, STEP_TEXT_SIZE, "%.64s %.20s%s%.64s", *step ? step : "?", what,
                     failed ? ": "
                     : lost ? " "
                            : "",
                     more);
    return (size_t)n;
}

/* One line for all of them, as each line is written to several files: "T1: triage finished, expert started". */
static void log_steps(struct ticket *k, const json_t *told)
{
    char line[LINE_SIZE] = "", one[STEP_TEXT_SIZE];
    size_t at = 0, i;
    int level = CVM_LOG_INFO;
    json_t *pair;
    json_array_foreach((json_t *)(uintptr_t)told, i, pair)
    {
        size_t n = describe_step(k, json_string_value(json_array_get(pair, 0)),
                                 json_string_value(json_array_get(pair, 1)), one, &level);
        if (at + n + 3 > sizeof line) {
            cvm_log(k->t, level, "%s: %s", k->id, line);
            at = 0;
        }
        at += (size_t)snprintf(line + at, sizeof line - at, "%s%s", at ? ", " : "", one);
    }
    if (at)
        cvm_log(k->t, level, "%s: %s", k->id, line);
}

/* Topics that a step names are told when it is done; of a wait, when it begins. */
static int publish_step(struct ticket *k, const char *what, const json_t *step)
{
    const char *topic = cvm_json_str(step, "publish", NULL);
    bool wait = json_object_get(step, "wait") != NULL;
    bool due = strcmp(what, wait ? "waiting" : json_object_get(step, "end") ? "ended" : "finished") == 0;
    bool failed = strcmp(what, "ended") == 0 && strcmp(ticket_status(k), "FAILED") == 0;
    if (topic && due)
        CVM_TRY(tell_team(k, wait || !strcmp(what, "finished") ? "solution_ready" : "ended", step, topic));
    if (failed)
        return tell_team(k, "failed", step, TEAM_TOPIC);
    return CVM_OK;
}

static int tell_all(struct ticket *k, const json_t *told)
{
    size_t i;
    json_t *one;
    log_steps(k, told);
    json_array_foreach((json_t *)(uintptr_t)told, i, one)
    {
        const char *what = json_string_value(json_array_get(one, 0));
        const json_t *step = step_of(k, json_string_value(json_array_get(one, 1)));
        CVM_TRY(audit_step(k, what, step));
        CVM_TRY(tell_event(k, event_name(what), cvm_json_str(step, "id", "")));
        CVM_TRY(publish_step(k, what, step));
        if (strcmp(what, "timed_out") == 0)
            CVM_TRY(tell_team(k, "timed_out", step, TEAM_TOPIC));
    }
    return CVM_OK;
}

/* ---- doing what is to be done -------------------------------------------------------------------------------------
 */

/* Of the approval the difference that the team made, once what was proposed is known. */
static int complete_approval(struct ticket *k)
{
    json_t *approval = json_copy(json_object_get(k->outputs, "approval"));
    char *proposed = solution_text(json_object_get(k->outputs, "analysis"));
    const char *given = cvm_json_str(approval, "final_solution", "");
    const char *final = given[strspn(given, " \t\r\n")] ? given : proposed;
    if (!approval || !proposed || !final) {
        json_decref(approval);
        free(proposed);
        return CVM_ENOMEM;
    }
    bool changed = strcmp(final, proposed) != 0;
    json_object_set_new(approval, "proposed_solution", json_string(proposed));
    json_object_set_new(approval, "final_solution", json_string(final));
    json_object_set_new(approval, "changed", json_boolean(changed));
    json_object_set_new(approval, "diff", changed ? diff_lines(proposed, final) : json_array());
    if (json_dumpb(approval, NULL, 0, JSON_COMPACT) > OUTPUT_BYTES_MAX) /* what was proposed stands in the analysis */
        json_object_set_new(approval, "diff", json_array());
    if (json_dumpb(approval, NULL, 0, JSON_COMPACT) > OUTPUT_BYTES_MAX)
        json_object_set_new(approval, "proposed_solution", json_string(""));
    free(proposed);
    return json_object_set_new(k->outputs, "approval", approval) < 0 ? CVM_ENOMEM : CVM_OK;
}

static bool was_told(const json_t *told, const char *what, const char *step)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)told, i,
                       one) if (strcmp(json_string_value(json_array_get(one, 0)), what) == 0 &&
                                strcmp(json_string_value(json_array_get(one, 1)), step) == 0) return true;
    return false;
}

static int close_ticket(struct ticket *k)
{
    k->over = true;
    sla_pause(k->record, k->w.now_ms);
    json_object_del(k->record, "asked");
    return cvm_end(k->t);
}

static int act(struct ticket *k, const struct workflow_todo *todo, char *ret_why, size_t size)
{
    CVM_TRY(disarm(k, "timer"));
    switch (todo->kind) {
    case WORKFLOW_NOTHING:
        break;
    case WORKFLOW_SEND:
        return send_activity(k, todo->step, ret_why, size);
    case WORKFLOW_STORE:
        return send_store(k, todo->step, ret_why, size);
    case WORKFLOW_DELAY:
        return arm(k, "timer", "again", todo->delay_ms);
    case WORKFLOW_WAIT:
        return todo->delay_ms ? arm(k, "timer", "deadline", todo->delay_ms) : CVM_OK;
    case WORKFLOW_END:
        return close_ticket(k);
    }
    return CVM_OK;
}

int ticket_proceed(struct ticket *k, struct workflow_todo *todo)
{
    char why[400];
    int e = CVM_OK;
    bool moved = false;
    json_t *told = todo->told;
    todo->told = NULL;
    if (was_told(told, "received", "approval"))
        e = complete_approval(k);
    if (e >= 0 && todo->kind != WORKFLOW_NOTHING)
        e = act(k, todo, why, sizeof why);
    if (e == CVM_ENOENT) { /* nobody took it: as if it had failed, which is told with it */
        struct workflow_event failed = {.what = WORKFLOW_FAILED, .code = "NOT_AVAILABLE", .text = why};
        struct workflow_todo next;
        if ((e = workflow_take(&k->w, &failed, &next)) >= 0) {
            json_array_extend(told, next.told);
            json_decref(next.told);
            e = act(k, &next, why, sizeof why);
        }
    }
    if (e >= 0)
        e = tell_all(k, told);
    for (size_t i = 0; i < json_array_size(told); i++)
        moved |= strcmp(json_string_value(json_array_get(json_array_get(told, i), 0)), "started") != 0;
    json_decref(told);
    CVM_TRY(e);
    CVM_TRY(ticket_clocks(k));
    k->unseen = !moved && todo->kind == WORKFLOW_STORE; /* the activity is over, its step is not */
    if (moved)
        CVM_TRY(send_progress(k));
    return ticket_save(k);
}

/* An approval that came before there was an analysis, which now has nothing that could be approved: as if it had not
 * come. */
static int forget_empty_approval(struct ticket *k, const json_t *output)
{
    json_t *early = json_object_get(k->record, "early");
    if (strcmp(workflow_output(workflow_step(&k->w)), "analysis") != 0 ||
        !decide_is_empty(json_object_get(early, APPROVED), output))
        return CVM_OK;
    json_object_del(early, APPROVED);
    return audit_row(k->t, k->m,
                     &(struct audit){.ticket = k->id,
                                     .actor = SUPPORT,
                                     .step = cvm_json_str(k->record, "step", ""),
                                     .what = "approval_dropped",
                                     .output = "no documented solution was found: it waits for one",
                                     .duration_ms = -1});
}

int ticket_happens(struct ticket *k, const struct workflow_event *e)
{
    struct workflow_todo todo;
    if (e->what == WORKFLOW_DONE)
        CVM_TRY(forget_empty_approval(k, e->data));
    CVM_TRY(workflow_take(&k->w, e, &todo));
    return ticket_proceed(k, &todo);
}

int ticket_stop(struct ticket *k, const char *status)
{
    struct workflow_todo todo;
    CVM_TRY(workflow_stop(&k->w, status, &todo));
    return ticket_proceed(k, &todo);
}

/* ---- turns of the lane --------------------------------------------------------------------------------------------
 */

/* What comes for a ticket that has ended meanwhile, or is somewhere else by now, is over. */
static int take(cvm_turn *t, const cvm_msg *m, const struct workflow_event *e, int64_t run)
{
    struct ticket k;
    int error = ticket_load(t, m, m->conversation, &k);
    if (error == CVM_ENOENT)
        return cvm_end(t);
    CVM_TRY(error);
    if (run >= 0 && run != cvm_json_int(k.record, "run", -1)) {
        ticket_free(&k);
        return CVM_OK;
    }
    error = ticket_happens(&k, e);
    ticket_free(&k);
    return error == CVM_ESTATE ? CVM_OK : error;
}

/* From ourselves: the ticket is kept, or kept again; `step` says where it begins. */
int run_begin(cvm_turn *t, const cvm_msg *m)
{
    struct ticket k;
    int e = ticket_load(t, m, m->conversation, &k);
    if (e < 0)
        return e == CVM_ENOENT ? cvm_end(t) : e;
    struct workflow_event begin = {.what = WORKFLOW_BEGIN, .step = cvm_json_str(m->data, "step", NULL)};
    e = ticket_happens(&k, &begin);
    ticket_free(&k);
    return e == CVM_ESTATE ? CVM_OK : e;
}

static struct workflow_event failure(const cvm_msg *m, const char *code)
{
    static const char *const texts[] = {[CVM_ERROR] = "the activity failed",
                                        [CVM_TIMEOUT] = "the activity gave no answer in time",
                                        [CVM_BUSY] = "its component is full, down or being removed: cvmhost plugin "
                                                     "list shows how it is",
                                        [CVM_UNKNOWN] = "an outside effect may or may not have happened: look before "
                                                        "you open the ticket again"};
    bool again = strcmp(code, "NOT_AVAILABLE") == 0 || strcmp(code, "BUSY") == 0;
    const char *text = cvm_json_str(m->data, "message", m->outcome <= CVM_UNKNOWN ? texts[m->outcome] : NULL);
    bool sure = m->outcome == CVM_UNKNOWN || (m->outcome == CVM_REFUSED && !again);
    return (struct workflow_event){
        .what = sure ? WORKFLOW_REFUSED : WORKFLOW_FAILED, .code = code, .text = text ? text : "no reason was given"};
}

static bool too_large(const json_t *data)
{
    return json_most_bytes(data) > OUTPUT_BYTES_MAX && json_dumpb(data, NULL, 0, JSON_COMPACT) > OUTPUT_BYTES_MAX;
}

static int take_store_reply(cvm_turn *t, const cvm_msg *m, int64_t run)
{
    char why[500];
    if (m->outcome == CVM_REPLIED)
        return take(t, m, &(struct workflow_event){.what = WORKFLOW_STORED}, run);
    const char *said = cvm_json_str(m->data, "message", "no answer");
    snprintf(why, sizeof why,
             "the store did not take it: %.*s (cvmhost plugin list shows whether the plugin stores is well)",
             text_cut(said, 300), said);
    return take(
        t, m,
        &(struct workflow_event){.what = WORKFLOW_FAILED, .code = cvm_json_str(m->data, "code", "STORE"), .text = why},
        run);
}

int run_reply(cvm_turn *t, const cvm_msg *m)
{
    static const char *const codes[] = {[CVM_REFUSED] = "REFUSED",
                                        [CVM_ERROR] = "FAILED",
                                        [CVM_TIMEOUT] = "TIMEOUT",
                                        [CVM_BUSY] = "BUSY",
                                        [CVM_UNKNOWN] = "UNKNOWN"};
    int64_t run = (int64_t)m->on_behalf.hi;
    if (m->on_behalf.lo == REPLY_STORE)
        return take_store_reply(t, m, run);
    if (m->on_behalf.lo != REPLY_ACTIVITY)
        return end_again(t, m);
    CVM_TRY(audit_answer(t, m));
    json_t *output = json_copy((json_t *)(uintptr_t)m->data);
    json_object_del(output, "audit");
    struct workflow_event e = {.what = WORKFLOW_DONE, .data = output};
    if (m->outcome != CVM_REPLIED)
        e = failure(m, cvm_json_str(m->data, "code", m->outcome <= CVM_UNKNOWN ? codes[m->outcome] : "FAILED"));
    else if (too_large(output))
        e = (struct workflow_event){
            .what = WORKFLOW_REFUSED, .code = "TOO_LARGE", .text = "what the activity gave is larger than 48 KiB"};
    int error = take(t, m, &e, run);
    json_decref(output);
    return error;
}

/* A timer that fired is not there any more to be cancelled. */
static int fired(cvm_turn *t, const cvm_msg *m, enum workflow_happened what)
{
    struct ticket k;
    int e = ticket_load(t, m, m->conversation, &k);
    if (e < 0)
        return e == CVM_ENOENT ? cvm_end(t) : e;
    struct workflow_event event = {.what = what};
    if (cvm_json_int(m->data, "run", 0) == cvm_json_int(k.record, "run", -1)) {
        json_object_del(k.record, "timer");
        e = ticket_happens(&k, &event);
    }
    ticket_free(&k);
    return e == CVM_ESTATE ? CVM_OK : e;
}

int run_again(cvm_turn *t, const cvm_msg *m)
{
    return fired(t, m, WORKFLOW_AGAIN);
}

int run_deadline(cvm_turn *t, const cvm_msg *m)
{
    return fired(t, m, WORKFLOW_TIMED_OUT);
}

int run_sla(cvm_turn *t, const cvm_msg *m)
{
    struct ticket k;
    int e = ticket_load(t, m, m->conversation, &k);
    if (e < 0)
        return e == CVM_ENOENT ? cvm_end(t) : e;
    json_object_del(k.record, "sla_timer");
    if (sla_runs(k.record) && sla_left_ms(k.record, k.w.now_ms) <= 0 && !cvm_json_bool(k.record, "breached", false)) {
        json_object_set_new(k.record, "breached", json_true());
        cvm_log(t, CVM_LOG_WARNING, "%s: its time (sla_hours) is over", k.id);
        e = audit_row(t, m,
                      &(struct audit){.ticket = k.id,
                                      .actor = SUPPORT,
                                      .step = cvm_json_str(k.record, "step", ""),
                                      .what = "sla_breached",
                                      .duration_ms = -1});
        if (e >= 0)
            e = tell_event(&k, "sla_breached", cvm_json_str(k.record, "step", ""));
        if (e >= 0)
            e = tell_team(&k, "sla_breached", workflow_step(&k.w), TEAM_TOPIC);
        if (e >= 0)
            e = ticket_save(&k);
    } else {
        e = ticket_clocks(&k);
        if (e >= 0)
            e = ticket_save(&k);
    }
    ticket_free(&k);
    return e;
}
