/* The sense of workflows beyond their schema. See workflows.h. Loop thread. */
#include "workflows.h"

#include <cvm/json.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 3, 4))) static int wrong(struct workflow_fault *fault, const char *field,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(fault->text, sizeof fault->text, format, args);
    va_end(args);
    snprintf(fault->field, sizeof fault->field, "%s", field);
    return CVM_EINVAL;
}

static const char *id_of(const json_t *step)
{
    return cvm_json_str(step, "id", "");
}

static size_t find(const json_t *steps, const char *id)
{
    size_t i = 0, n = json_array_size(steps);
    while (i < n && strcmp(id_of(json_array_get(steps, i)), id) != 0)
        i++;
    return i;
}

/* ---- one step -----------------------------------------------------------------------------------------------------
 */

enum { SEND = 1, WAIT = 2, END = 4 };

static const struct {
    const char *name;
    int kinds;
} members[] = {{"output", SEND | WAIT}, {"retry", SEND},         {"timeout_ms", SEND},
               {"store", SEND},         {"on_refused", SEND},    {"when", SEND | WAIT},
               {"next", SEND | WAIT},   {"timeout_hours", WAIT}, {"on", WAIT},
               {"status", WAIT},        {"outcome", END}};

int workflows_check_step(const json_t *step, struct workflow_fault *ret_fault)
{
    static const char *const kinds[] = {"send", "wait", "end"};
    int kind = 0, n = 0;
    for (int i = 0; i < 3; i++)
        if (json_object_get(step, kinds[i])) {
            kind = 1 << i;
            n++;
        }
    if (n != 1)
        return wrong(ret_fault, "", "the step \"%s\" must have one of \"send\", \"wait\" and \"end\", got %s",
                     id_of(step), n ? "several" : "none");
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_object_get(step, members[i].name) && !(members[i].kinds & kind))
            return wrong(ret_fault, members[i].name, "does not belong to a step with \"%s\"",
                         kinds[kind == SEND   ? 0
                               : kind == WAIT ? 1
                                              : 2]);
    if (json_object_get(json_object_get(step, "on"), "timeout") && !json_object_get(step, "timeout_hours"))
        return wrong(ret_fault, "on.timeout", "needs \"timeout_hours\": without it the step waits for ever");
    if (json_object_get(step, "timeout_hours") && !json_object_get(json_object_get(step, "on"), "timeout"))
        return wrong(ret_fault, "timeout_hours", "needs \"on\": {\"timeout\": STEP}, which says what comes then");
    return 0;
}

/* ---- the ways between them ----------------------------------------------------------------------------------------
 */

struct way {
    const char *to;
    bool counted; /* taken a limited number of times */
    char field[64];
};

#define WAYS_MAX 64

static size_t put_ways(const json_t *object, const char *of, struct way ways[WAYS_MAX], size_t n)
{
    const char *key;
    json_t *to;
    json_object_foreach((json_t *)(uintptr_t)object, key, to)
    {
        if (n < WAYS_MAX) {
            ways[n] = (struct way){.to = json_string_value(to)};
            snprintf(ways[n++].field, sizeof ways->field, "%s.%s", of, key);
        }
    }
    return n;
}

/* Where it may go on, `next` last. */
static size_t ways_of(const json_t *steps, size_t at, struct way ways[WAYS_MAX])
{
    const json_t *step = json_array_get(steps, at), *when = json_object_get(step, "when"), *one;
    size_t n = 0, i;
    json_array_foreach(when, i, one)
    {
        if (n < WAYS_MAX / 2) {
            ways[n] = (struct way){.to = cvm_json_str(one, "go", ""), .counted = json_object_get(one, "times") != NULL};
            snprintf(ways[n++].field, sizeof ways->field, "when[%zu].go", i);
        }
    }
    n = put_ways(json_object_get(step, "on"), "on", ways, n);
    n = put_ways(json_object_get(step, "on_refused"), "on_refused", ways, n);
    const char *next = cvm_json_str(step, "next", NULL);
    if (!next && !json_object_get(step, "end") && at + 1 < json_array_size(steps))
        next = id_of(json_array_get(steps, at + 1));
    if (next && n < WAYS_MAX) {
        ways[n] = (struct way){.to = next};
        snprintf(ways[n++].field, sizeof ways->field, "next");
    }
    return n;
}

static int check_ways(const json_t *steps, struct workflow_fault *ret_fault)
{
    struct way ways[WAYS_MAX];
    char field[120];
    size_t n = json_array_size(steps);
    for (size_t i = 0; i < n; i++) {
        const json_t *step = json_array_get(steps, i);
        size_t n_ways = ways_of(steps, i, ways);
        snprintf(field, sizeof field, "steps[%zu].id", i);
        if (find(steps, id_of(step)) < i)
            return wrong(ret_fault, field, "\"%s\" is declared twice", id_of(step));
        for (size_t k = 0; k < n_ways; k++)
            if (find(steps, ways[k].to) == n) {
                snprintf(field, sizeof field, "steps[%zu].%s", i, ways[k].field);
                return wrong(ret_fault, field, "there is no step \"%s\"", ways[k].to);
            }
        if (!json_object_get(step, "end") && (!n_ways || strcmp(ways[n_ways - 1].field, "next") != 0)) {
            snprintf(field, sizeof field, "steps[%zu]", i);
            return wrong(ret_fault, field, "\"%s\" is the last step and no end: it needs a \"next\"", id_of(step));
        }
    }
    return 0;
}

static void reach(const json_t *steps, size_t at, bool seen[WORKFLOW_STEPS_MAX])
{
    struct way ways[WAYS_MAX];
    if (seen[at])
        return;
    seen[at] = true;
    size_t n = ways_of(steps, at, ways);
    for (size_t k = 0; k < n; k++)
        reach(steps, find(steps, ways[k].to), seen);
}

/* Whether a way leads round without a wait or a counter. marks: 1 on the way, 2 done. */
static bool goes_round(const json_t *steps, size_t at, char marks[WORKFLOW_STEPS_MAX], size_t *ret_at)
{
    struct way ways[WAYS_MAX];
    if (marks[at] || json_object_get(json_array_get(steps, at), "wait")) {
        *ret_at = at;
        return marks[at] == 1;
    }
    marks[at] = 1;
    size_t n = ways_of(steps, at, ways);
    for (size_t k = 0; k < n; k++)
        if (!ways[k].counted && goes_round(steps, find(steps, ways[k].to), marks, ret_at))
            return true;
    marks[at] = 2;
    return false;
}

int workflows_check(const json_t *steps, struct workflow_fault *ret_fault)
{
    bool seen[WORKFLOW_STEPS_MAX] = {false};
    char marks[WORKFLOW_STEPS_MAX] = {0}, field[120];
    size_t n = json_array_size(steps), at = 0;
    if (n == 0 || n > WORKFLOW_STEPS_MAX)
        return wrong(ret_fault, "steps", "expected 1 to %d steps, got %zu", WORKFLOW_STEPS_MAX, n);
    CVM_TRY(check_ways(steps, ret_fault));
    reach(steps, 0, seen);
    for (size_t i = 0; i < n; i++) {
        snprintf(field, sizeof field, "steps[%zu]", i);
        if (!seen[i])
            return wrong(ret_fault, field, "no way leads to the step \"%s\"", id_of(json_array_get(steps, i)));
        if (goes_round(steps, i, marks, &at)) {
            snprintf(field, sizeof field, "steps[%zu]", at);
            return wrong(ret_fault, field,
                         "from \"%s\" a way leads round to it again without a wait or a counter (\"times\")",
                         id_of(json_array_get(steps, at)));
        }
    }
    return 0;
}

/* ---- putting together ---------------------------------------------------------------------------------------------
 */

json_t *workflows_normal(const json_t *steps)
{
    json_t *normal = json_array();
    for (size_t i = 0; i < json_array_size(steps); i++) {
        json_t *step = json_deep_copy(json_array_get(steps, i));
        if (step && !json_object_get(step, "end") && !json_object_get(step, "next"))
            json_object_set(step, "next", json_object_get(json_array_get(steps, i + 1), "id"));
        if (json_array_append_new(normal, step) < 0) {
            json_decref(normal);
            return NULL;
        }
    }
    return normal;
}

int workflows_add(json_t *steps, json_t *added, const json_t *add, struct workflow_fault *ret_fault)
{
    const char *after = cvm_json_str(add, "after", "");
    json_t *step = json_deep_copy(json_object_get(add, "step"));
    size_t n = json_array_size(steps), at = find(steps, after);
    json_t *before = json_array_get(steps, at);
    int e = step ? 0 : CVM_ENOMEM;
    if (!e && (at == n || json_object_get(before, "end")))
        e = wrong(ret_fault, "after", at == n ? "there is no step \"%s\"" : "\"%s\" is an end: nothing comes after it",
                  after);
    if (!e && find(steps, id_of(step)) < n)
        e = wrong(ret_fault, "step.id", "there is a step \"%s\" already", id_of(step));
    if (!e && n == WORKFLOW_STEPS_MAX)
        e = wrong(ret_fault, "add", "more than %d steps in all", WORKFLOW_STEPS_MAX);
    if (e) {
        json_decref(step);
        return e;
    }
    while (at + 1 < n && strcmp(cvm_json_str(added, id_of(json_array_get(steps, at + 1)), ""), after) == 0)
        at++;
    before = json_array_get(steps, at);
    if (!json_object_get(step, "end")) {
        if (!json_object_get(step, "next"))
            json_object_set(step, "next", json_object_get(before, "next"));
    }
    json_object_set(before, "next", json_object_get(step, "id"));
    if (json_object_set_new(added, id_of(step), json_string(after)) < 0 ||
        json_array_insert_new(steps, at + 1, step) < 0)
        return CVM_ENOMEM;
    return 0;
}
