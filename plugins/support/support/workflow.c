/* The engine. See workflow.h. Pure; any thread. */
#include "workflow.h"

#include <cvm/json.h>
#include <math.h>
#include <stdio.h>

/* ---- reading ------------------------------------------------------------------------------------------------------
 */

static const json_t *find(const json_t *steps, const char *id)
{
    for (size_t i = 0; i < json_array_size(steps); i++)
        if (strcmp(cvm_json_str(json_array_get(steps, i), "id", ""), id) == 0)
            return json_array_get(steps, i);
    return NULL;
}

const json_t *workflow_step(const struct workflow *w)
{
    return find(w->steps, cvm_json_str(w->instance, "step", ""));
}

const char *workflow_output(const json_t *step)
{
    return cvm_json_str(step, "output", cvm_json_str(step, "id", ""));
}

double workflow_number(const struct workflow *w, const json_t *value, double otherwise)
{
    const char *text = json_string_value(value);
    if (text && strncmp(text, "setting:", 8) == 0)
        value = json_object_get(w->settings, text + 8);
    double n = json_is_number(value) ? json_number_value(value) : otherwise;
    return isfinite(n) ? n : otherwise;
}

void workflow_fill(const json_t *instance, const char *pattern, char *ret_text, size_t size)
{
    size_t at = 0;
    for (const char *s = pattern; *s && at + 1 < size; s++) {
        const char *end = *s == '{' ? strchr(s, '}') : NULL;
        char name[64];
        if (!end || (size_t)(end - s) > sizeof name) {
            ret_text[at++] = *s;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(end - s - 1), s + 1);
        int n = snprintf(ret_text + at, size - at, "%s", cvm_json_str(instance, name, ""));
        at = (size_t)n < size - at ? at + (size_t)n : size - 1;
        s = end;
    }
    ret_text[at] = 0;
}

/* The value at "a.b.c"; NULL: there is none. */
static const json_t *look(const json_t *object, const char *field)
{
    char name[128];
    const json_t *value = object;
    while (value && *field) {
        size_t n = strcspn(field, ".");
        snprintf(name, sizeof name, "%.*s", (int)n, field);
        value = json_object_get(value, name);
        field += n + (field[n] == '.');
    }
    return value;
}

/* What is not there is null; 2 equals 2.0. */
static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return (!a || json_is_null(a)) ? !b || json_is_null(b) : b && json_equal(a, b);
}

static bool holds(const json_t *branch, const json_t *outputs)
{
    const json_t *value = look(outputs, cvm_json_str(branch, "field", ""));
    const json_t *is = json_object_get(branch, "equals"), *not = json_object_get(branch, "not_equals");
    const json_t *least = json_object_get(branch, "at_least"), *below = json_object_get(branch, "below");
    if ((is && !same(value, is)) || (not &&same(value, not )))
        return false;
    if (least && !(json_is_number(value) && json_number_value(value) >= json_number_value(least)))
        return false;
    if (below && !(json_is_number(value) && json_number_value(value) < json_number_value(below)))
        return false;
    return is || not || least || below || (value && !json_is_null(value) && !json_is_false(value));
}

static void count_key(const json_t *step, size_t branch, char ret_key[96])
{
    snprintf(ret_key, 96, "%s/%zu", cvm_json_str(step, "id", ""), branch);
}

static bool used_up(const struct workflow *w, const json_t *step, size_t i)
{
    char key[96];
    const json_t *times = json_object_get(json_array_get(json_object_get(step, "when"), i), "times");
    count_key(step, i, key);
    return times &&
           (double)cvm_json_int(json_object_get(w->instance, "counts"), key, 0) >= workflow_number(w, times, 1);
}

bool workflow_waits(const struct workflow *w, const char *event)
{
    const json_t *step = workflow_step(w);
    return step && strcmp(cvm_json_str(w->instance, "phase", ""), "wait") == 0 &&
           strcmp(cvm_json_str(step, "wait", ""), event) == 0;
}

/* Marks what is reached from a step; says whether a wait for the event is among it. */
static bool leads_to(const struct workflow *w, const char *id, const char *event, json_t *seen)
{
    static const char *const maps[] = {"on", "on_refused"};
    const json_t *step = find(w->steps, id);
    const char *key;
    json_t *to;
    size_t i;
    if (!step || json_object_get(seen, id) || json_object_set_new(seen, id, json_true()) < 0)
        return false;
    if (strcmp(cvm_json_str(step, "wait", ""), event) == 0)
        return true;
    json_array_foreach(json_object_get(step, "when"), i,
                       to) if (leads_to(w, cvm_json_str(to, "go", ""), event, seen)) return true;
    for (i = 0; i < 2; i++)
        json_object_foreach(json_object_get(step, maps[i]), key,
                            to) if (leads_to(w, json_string_value(to), event, seen)) return true;
    return leads_to(w, cvm_json_str(step, "next", ""), event, seen);
}

bool workflow_may_wait(const struct workflow *w, const char *event)
{
    json_t *seen = json_object();
    bool may = leads_to(w, cvm_json_str(w->instance, "step", ""), event, seen);
    json_decref(seen);
    return may;
}

/* The wait that an event will come to: where the instance is, else the first there is. */
static const json_t *wait_for(const struct workflow *w, const char *event)
{
    for (size_t i = 0; !workflow_waits(w, event) && i < json_array_size(w->steps); i++)
        if (strcmp(cvm_json_str(json_array_get(w->steps, i), "wait", ""), event) == 0)
            return json_array_get(w->steps, i);
    return workflow_step(w);
}

bool workflow_exhausted(const struct workflow *w, const char *event, const json_t *data)
{
    const json_t *step = wait_for(w, event), *when = json_object_get(step, "when");
    json_t *outputs = json_copy(w->outputs);
    bool exhausted = false;
    json_object_set(outputs, workflow_output(step), (json_t *)(uintptr_t)data);
    for (size_t i = 0; outputs && i < json_array_size(when); i++)
        if (holds(json_array_get(when, i), outputs)) {
            exhausted = used_up(w, step, i);
            break;
        }
    json_decref(outputs);
    return exhausted;
}

/* ---- changing -----------------------------------------------------------------------------------------------------
 */

static void set(struct workflow *w, const char *key, json_t *value)
{
    json_object_set_new(w->instance, key, value);
}

static void tell(struct workflow_todo *todo, const char *what, const json_t *step)
{
    json_t *id = json_object_get(step, "id"), *pair = json_array();
    if (json_array_append_new(pair, json_string(what)) < 0 ||
        json_array_append_new(pair, id ? json_incref(id) : json_string("")) < 0) {
        json_decref(pair);
        pair = NULL;
    }
    json_array_append_new(todo->told, pair);
}

static int done(struct workflow_todo *todo, enum workflow_todo_kind kind, const json_t *step, int64_t delay_ms)
{
    todo->kind = kind;
    todo->step = step;
    todo->delay_ms = delay_ms;
    return 0;
}

static void phase(struct workflow *w, const char *name)
{
    set(w, "phase", json_string(name));
    set(w, "run", json_integer(cvm_json_int(w->instance, "run", 0) + 1));
}

static int end(struct workflow *w, const json_t *step, const char *status, const char *outcome,
               struct workflow_todo *todo)
{
    phase(w, "end");
    set(w, "status", json_string(status));
    set(w, "deadline_ms", json_integer(0));
    set(w, "since_ms", json_integer(w->now_ms));
    if (outcome)
        set(w, "outcome", json_string(outcome));
    json_object_del(w->instance, "early");
    tell(todo, "ended", step);
    return done(todo, WORKFLOW_END, step, 0);
}

static int64_t timeout_of(const struct workflow *w, const json_t *step)
{
    const json_t *hours = json_object_get(step, "timeout_hours");
    double n = hours ? workflow_number(w, hours, 24) : 0;
    if (hours && !(n > 0))
        n = 24;
    return (int64_t)llround((n > WORKFLOW_HOURS_MAX ? WORKFLOW_HOURS_MAX : n) * 3600000.0);
}

/* Where it goes from a step that is done. */
static const char *way_on(struct workflow *w, const json_t *step)
{
    const json_t *when = json_object_get(step, "when");
    for (size_t i = 0; i < json_array_size(when); i++) {
        const json_t *branch = json_array_get(when, i);
        char key[96];
        if (!holds(branch, w->outputs) || used_up(w, step, i))
            continue;
        if (json_object_get(branch, "times")) {
            json_t *counts = json_object_get(w->instance, "counts");
            if (!counts && (counts = json_object()))
                set(w, "counts", counts);
            count_key(step, i, key);
            json_object_set_new(counts, key, json_integer(cvm_json_int(counts, key, 0) + 1));
        }
        return cvm_json_str(branch, "go", "");
    }
    return cvm_json_str(step, "next", "");
}

static int enter(struct workflow *w, const char *id, struct workflow_todo *todo);

/* An event that a wait was for, now or before it began. */
static int receive(struct workflow *w, const json_t *step, json_t *data, struct workflow_todo *todo)
{
    json_object_set(w->outputs, workflow_output(step), data);
    tell(todo, "received", step);
    return enter(w, way_on(w, step), todo);
}

static int enter_wait(struct workflow *w, const json_t *step, struct workflow_todo *todo)
{
    json_t *early = json_object_get(w->instance, "early"), *data;
    const char *event = cvm_json_str(step, "wait", "");
    int64_t timeout = timeout_of(w, step);
    tell(todo, "waiting", step);
    phase(w, "wait");
    set(w, "status", json_string(cvm_json_str(step, "status", "WAITING")));
    set(w, "deadline_ms", json_integer(timeout ? w->now_ms + timeout : 0));
    if ((data = json_incref(json_object_get(early, event)))) {
        json_object_del(early, event);
        int e = receive(w, step, data, todo);
        json_decref(data);
        return e;
    }
    return done(todo, WORKFLOW_WAIT, step, timeout);
}

static int enter(struct workflow *w, const char *id, struct workflow_todo *todo)
{
    const json_t *step = find(w->steps, id);
    if (!step || json_array_size(todo->told) > WORKFLOW_ENTERED_MAX)
        return CVM_EDATA;
    set(w, "step", json_string(id));
    set(w, "attempt", json_integer(1));
    set(w, "since_ms", json_integer(w->now_ms));
    if (json_object_get(step, "end"))
        return end(w, step, cvm_json_str(step, "end", ""), cvm_json_str(step, "outcome", NULL), todo);
    if (json_object_get(step, "wait"))
        return enter_wait(w, step, todo);
    phase(w, "run");
    set(w, "status", json_string("RUNNING"));
    set(w, "deadline_ms", json_integer(0));
    tell(todo, "started", step);
    return done(todo, WORKFLOW_SEND, step, 0);
}

static int leave(struct workflow *w, const json_t *step, struct workflow_todo *todo)
{
    json_object_del(w->instance, "error");
    tell(todo, "finished", step);
    return enter(w, way_on(w, step), todo);
}

static int take_done(struct workflow *w, const json_t *step, json_t *data, struct workflow_todo *todo)
{
    json_object_set(w->outputs, workflow_output(step), data);
    if (!json_object_get(step, "store"))
        return leave(w, step, todo);
    phase(w, "store");
    set(w, "attempt", json_integer(1));
    return done(todo, WORKFLOW_STORE, step, 0);
}

static void set_error(struct workflow *w, const json_t *step, const struct workflow_event *e)
{
    set(w, "error",
        json_pack("{s:s, s:s, s:s}", "code", e->code ? e->code : "FAILED", "message", e->text ? e->text : "", "step",
                  cvm_json_str(step, "id", "")));
}

/* What is behind "again-" is tried again. */
static int take_failed(struct workflow *w, const json_t *step, const struct workflow_event *e,
                       struct workflow_todo *todo)
{
    int64_t attempt = cvm_json_int(w->instance, "attempt", 1), retry = cvm_json_int(step, "retry", WORKFLOW_RETRY);
    bool store = strcmp(cvm_json_str(w->instance, "phase", ""), "store") == 0;
    set_error(w, step, e);
    tell(todo, "failed", step);
    if (attempt > retry)
        return end(w, step, "FAILED", "failed", todo);
    phase(w, store ? "again-store" : "again-run");
    return done(todo, WORKFLOW_DELAY, step, (int64_t)WORKFLOW_FIRST_DELAY_MS << (attempt - 1));
}

static int take_refused(struct workflow *w, const json_t *step, const struct workflow_event *e,
                        struct workflow_todo *todo)
{
    const json_t *ways = json_object_get(step, "on_refused");
    const char *to = cvm_json_str(ways, e->code ? e->code : "", cvm_json_str(ways, "*", NULL));
    set_error(w, step, e);
    tell(todo, "refused", step);
    return to ? enter(w, to, todo) : end(w, step, "FAILED", "failed", todo);
}

static int take_again(struct workflow *w, const json_t *step, struct workflow_todo *todo)
{
    bool store = strcmp(cvm_json_str(w->instance, "phase", ""), "again-store") == 0;
    phase(w, store ? "store" : "run");
    set(w, "attempt", json_integer(cvm_json_int(w->instance, "attempt", 1) + 1));
    return done(todo, store ? WORKFLOW_STORE : WORKFLOW_SEND, step, 0);
}

static int take_event(struct workflow *w, const json_t *step, const struct workflow_event *e,
                      struct workflow_todo *todo)
{
    json_t *early = json_object_get(w->instance, "early");
    if (workflow_waits(w, e->code))
        return receive(w, step, e->data, todo);
    if (!workflow_may_wait(w, e->code))
        return CVM_ESTATE;
    if (json_object_get(early, e->code))
        return CVM_EEXIST;
    if (!early && (early = json_object()))
        set(w, "early", early);
    if (json_object_set(early, e->code, e->data) < 0)
        return CVM_ENOMEM;
    return done(todo, WORKFLOW_NOTHING, step, 0);
}

static int take_timeout(struct workflow *w, const json_t *step, struct workflow_todo *todo)
{
    tell(todo, "timed_out", step);
    set(w, "timed_out_step", json_string(cvm_json_str(step, "id", "")));
    return enter(w, cvm_json_str(json_object_get(step, "on"), "timeout", ""), todo);
}

/* Which phase an occurrence belongs to; "": any. */
static bool fits(const struct workflow *w, enum workflow_happened what)
{
    const char *is = cvm_json_str(w->instance, "phase", "");
    switch (what) {
    case WORKFLOW_BEGIN:
        return strcmp(is, "") == 0 || strcmp(is, "end") == 0;
    case WORKFLOW_DONE:
    case WORKFLOW_REFUSED:
        return strcmp(is, "run") == 0;
    case WORKFLOW_STORED:
        return strcmp(is, "store") == 0;
    case WORKFLOW_FAILED:
        return strcmp(is, "run") == 0 || strcmp(is, "store") == 0;
    case WORKFLOW_AGAIN:
        return strncmp(is, "again-", 6) == 0;
    case WORKFLOW_TIMED_OUT:
        return strcmp(is, "wait") == 0;
    case WORKFLOW_EVENT:
        return strcmp(is, "end") != 0;
    }
    return false;
}

static int take(struct workflow *w, const struct workflow_event *e, struct workflow_todo *todo)
{
    const json_t *step = workflow_step(w);
    if (!step && e->what != WORKFLOW_BEGIN)
        return CVM_EDATA;
    switch (e->what) {
    case WORKFLOW_BEGIN:
        return enter(w, e->step ? e->step : cvm_json_str(json_array_get(w->steps, 0), "id", ""), todo);
    case WORKFLOW_DONE:
        return take_done(w, step, e->data, todo);
    case WORKFLOW_STORED:
        return leave(w, step, todo);
    case WORKFLOW_FAILED:
        return take_failed(w, step, e, todo);
    case WORKFLOW_REFUSED:
        return take_refused(w, step, e, todo);
    case WORKFLOW_AGAIN:
        return take_again(w, step, todo);
    case WORKFLOW_EVENT:
        return take_event(w, step, e, todo);
    case WORKFLOW_TIMED_OUT:
        return take_timeout(w, step, todo);
    }
    return CVM_EINVAL;
}

int workflow_take(struct workflow *w, const struct workflow_event *e, struct workflow_todo *ret_todo)
{
    if (!fits(w, e->what))
        return CVM_ESTATE;
    struct workflow_todo todo = {.told = json_array()};
    int error = todo.told ? take(w, e, &todo) : CVM_ENOMEM;
    if (error < 0)
        json_decref(todo.told);
    else
        *ret_todo = todo;
    return error;
}

int workflow_stop(struct workflow *w, const char *status, struct workflow_todo *ret_todo)
{
    struct workflow_todo todo = {.told = json_array()};
    if (!todo.told)
        return CVM_ENOMEM;
    end(w, workflow_step(w), status, NULL, &todo);
    *ret_todo = todo;
    return 0;
}
