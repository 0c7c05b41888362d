/* A turn of the journal by its number, GET /api/v1/turns/SEQ: what happened in it and why, as it is stored. A page that
 * claims something links to it. Asks for the permission `read`. Loop thread. */
#include "services/http_server_private.h"

#include "core/core.h"
#include "services/access.h"
#include <stdio.h>
#include <stdlib.h>

#define TURNS "/api/v1/turns/"
#define SEQ_DIGITS_MAX 18

/* A question under way; the exchange may be gone before its answer. */
struct http_question {
    struct http_exchange *x;
};

static void none(struct http_exchange *x)
{
    struct problem problem;
    problem_set(&problem, 404, "NOT_FOUND", NULL, "There is no such turn.");
    http_answer_problem(x, &problem);
}

/* The row as it is, its record as JSON. */
static void answer_row(struct http_exchange *x, json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "record"));
    json_t *record = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    json_object_set_new(row, "record", record ? record : json_null());
    http_answer_json(x, 200, row);
}

static void on_rows(void *arg, int error, json_t *rows, bool more)
{
    struct http_question *q = arg;
    struct http_exchange *x = q->x;
    struct problem problem;
    (void)more;
    free(q);
    if (x) {
        x->question = NULL;
        if (error) {
            problem_set(&problem, 503, "BUSY", NULL, "The journal cannot be read: %s.", cvm_strerror(error));
            http_answer_problem(x, &problem);
        } else if (json_array_size(rows) == 0) {
            none(x);
        } else {
            answer_row(x, json_array_get(rows, 0));
        }
        http_server_resume(x);
    }
    json_decref(rows);
}

static void ask(struct http_exchange *x, int64_t seq)
{
    static const char sql[] =
        "SELECT seq AS turn, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, component, type,"
        " sender, outcome, us, (SELECT name FROM contexts c WHERE c.conversation = t.conversation) AS conversation,"
        " build, record FROM turns t WHERE seq = ?";
    struct problem problem;
    struct http_question *q = malloc(sizeof *q);
    int e = CVM_ENOMEM;
    if (q) {
        q->x = x;
        x->question = q;
        x->phase = EXCHANGE_WAITING;
        e = core_query(x->server->options.core, sql, json_pack("[I]", (json_int_t)seq), 1, on_rows, q);
    }
    if (e == 0)
        return;
    free(q);
    x->question = NULL;
    problem_set(&problem, 503, "BUSY", NULL, "The journal cannot be read: %s.", cvm_strerror(e));
    http_answer_problem(x, &problem);
}

void http_turn_forget(struct http_exchange *x)
{
    if (x->question)
        x->question->x = NULL;
    x->question = NULL;
}

bool http_answer_turn(struct http_exchange *x)
{
    struct problem problem;
    if (strncmp(x->url, TURNS, strlen(TURNS)) != 0)
        return false;
    const char *digits = x->url + strlen(TURNS);
    size_t n = strspn(digits, "0123456789");
    if (strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0) {
        problem_set(&problem, 405, "METHOD_NOT_ALLOWED", NULL, "This path answers to GET, HEAD.");
        http_answer_problem(x, &problem);
        snprintf(x->answer.allow, sizeof x->answer.allow, "GET, HEAD");
    } else if (http_permit(x, "host", "show_turn", "read", &problem)) {
        http_answer_problem(x, &problem);
    } else if (n == 0 || n > SEQ_DIGITS_MAX || digits[n]) {
        none(x);
    } else {
        ask(x, strtoll(digits, NULL, 10));
    }
    return true;
}
