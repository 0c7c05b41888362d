/* Solves an assignment problem from a file (job solve_file) and relays what came out. The job runs on a thread of its
 * own, the handlers on the loop's. */
#include "allocate.h"
#include "gap_text.h"

#include <math.h>
#include <string.h>

#define WHY_SIZE 512
#define ASSIGNMENT_MAX 120000 /* longer ones do not fit into a result */

static double clock_ms(void *arg)
{
    return (double)cvm_job_elapsed_us(arg) / 1000;
}

static bool stopped(void *arg, double done)
{
    cvm_job *j = arg;
    cvm_job_progress(j, (int64_t)(done * 100), 100, "solving");
    return cvm_job_stopped(j);
}

static int read_file(cvm_job *j, const char *path, struct gap_text *text)
{
    cvm_file *file = NULL;
    const char *line;
    char why[200], whole[WHY_SIZE];
    size_t len;
    int e = cvm_job_file(j, path, &file);
    if (e != CVM_OK) {
        snprintf(whole, sizeof whole, "%.300s: %s", path, cvm_strerror(e));
        return cvm_job_fail(j, e == CVM_ENOENT ? "NOT_FOUND" : "FILE", whole);
    }
    while ((e = cvm_file_line(file, &line, &len)) > 0)
        if (!gap_text_line(text, line, len, why, sizeof why)) {
            snprintf(whole, sizeof whole, "%.300s: %s", path, why);
            e = cvm_job_fail(j, "FILE", whole);
            break;
        }
    cvm_file_close(file);
    return e;
}

static json_t *numbers(const double *x, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, x[i] == floor(x[i]) && fabs(x[i]) < 1e15 ? json_integer((json_int_t)x[i])
                                                                             : json_real(x[i]));
    return list;
}

/* Thousandths are enough of a figure that was measured or divided. */
static double rounded(double x)
{
    return round(x * 1000) / 1000;
}

static json_t *one_number(double x)
{
    return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *result_of(const solve_problem *p, const solve_result *r, bool minimise)
{
    double sign = minimise ? -1 : 1;
    /* Where somebody is left without, value and bound are not of the same thing. */
    json_t *gap = r->unplaced ? json_null() : json_real(round(r->gap * 1e7) / 1e5);
    json_t *capacities = json_array(), *prices = json_array(), *assignment = json_array(), *words = json_array();
    for (size_t i = 0; i < p->limits; i++) {
        char text[160], whole[200];
        json_array_append_new(capacities, one_number(p->limit[i].maximum));
        json_array_append_new(prices, json_real(rounded(r->prices[i])));
        solve_price_words(p, r, i, "", text, sizeof text);
        snprintf(whole, sizeof whole, "agent %zu: %s", i, text);
        json_array_append_new(words, json_string(whole));
    }
    for (size_t i = 0; i < p->customers && p->customers <= ASSIGNMENT_MAX; i++)
        json_array_append_new(assignment, json_integer(r->assignment[i]));
    return json_pack("{s:o, s:o, s:o, s:f, s:b, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "value",
                     one_number(sign * r->value), "bound", one_number(sign * r->bound), "gap_percent", gap,
                     "milliseconds", rounded(r->milliseconds), "feasible", r->feasible, "unplaced", (int)r->unplaced,
                     "agents", (int)p->limits, "jobs", (int)p->customers, "loads", numbers(r->loads, p->limits),
                     "capacities", capacities, "prices", prices, "words", words, "assignment", assignment);
}

int allocate_file(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const char *path = cvm_json_str(input, "file", "");
    bool minimise = cvm_json_bool(input, "min", false);
    struct gap_text text = {0};
    struct gap_problem p = {0};
    char why[200], whole[WHY_SIZE];
    int e = read_file(j, path, &text);
    if (e == CVM_OK &&
        !gap_text_problem(&text, (size_t)cvm_json_int(input, "problem", 1), minimise, &p, why, sizeof why)) {
        snprintf(whole, sizeof whole, "%.300s: %s", path, why);
        e = cvm_job_fail(j, "FILE", whole);
    }
    gap_text_fini(&text);
    if (e != CVM_OK)
        return e;
    solve_options o = {.time_limit_ms = 1000.0 * json_number_value(json_object_get(input, "time_limit")),
                       .stopped = stopped,
                       .clock_ms = clock_ms,
                       .arg = j};
    solve_result r;
    int solved = solve_run(&p.problem, &o, &r, why, sizeof why);
    if (solved == SOLVE_OK) {
        *ret_result = result_of(&p.problem, &r, minimise);
        e = *ret_result ? CVM_OK : CVM_ENOMEM;
        solve_result_fini(&r);
    } else {
        e = cvm_job_fail(j, solved == SOLVE_E_STOPPED ? "STOPPED" : "FILE", why);
    }
    gap_problem_fini(&p);
    return e;
}

static int start(cvm_turn *t, const cvm_msg *m, const char *job)
{
    CVM_TRY(cvm_job_start(t, job, cvm_json_share(m->data), m->id, 0));
    return CVM_PENDING;
}

int allocate_on_solve(cvm_turn *t, const cvm_msg *m)
{
    return start(t, m, "solve_file");
}

int allocate_on_plan(cvm_turn *t, const cvm_msg *m)
{
    return start(t, m, "solve_plan");
}

/* What a person wrote wrongly is a refusal, not a failure. */
int allocate_on_reply(cvm_turn *t, const cvm_msg *m)
{
    const char *code = cvm_json_str(m->data, "code", "");
    bool refused = m->outcome == CVM_ERROR && (!strcmp(code, "FILE") || !strcmp(code, "NOT_FOUND"));
    json_t *data = refused ? json_pack("{s:s, s:s, s:s}", "code", code, "field", "file", "message",
                                       cvm_json_str(m->data, "text", ""))
                           : cvm_json_share(m->data);
    int e = cvm_settle(t, m->on_behalf, refused ? CVM_REFUSED : m->outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}
