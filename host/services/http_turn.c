/* The journal for pages, which link to what proves them: GET /api/v1/turns/SEQ is a turn as it is stored, GET
 * /api/v1/conversations/NAME/turns lists those of a conversation. Both ask for the permission `read`. Loop thread. */
#include "services/http_server_private.h"

#include "core/core.h"
#include "core/record_read.h"
#include "services/access.h"
#include <stdio.h>
#include <stdlib.h>

#define TURNS "/api/v1/turns/"
#define CONVERSATIONS "/api/v1/conversations/"
#define CONVERSATION_END "/turns"
#define NAME_MAX_BYTES 384 /* encoded */
#define LISTED_MAX 1000
#define SEQ_DIGITS_MAX 18

/* A question under way; the exchange may be gone before its answer. */
struct http_question {
    struct http_exchange *x;
    bool list;
};

static void none(struct http_exchange *x)
{
    struct problem problem;
    problem_set(&problem, 404, "NOT_FOUND", NULL, "There is no such turn or conversation.");
    http_answer_problem(x, &problem);
}

/* The row as it is, its record as JSON, whole. */
static void answer_row(struct http_exchange *x, json_t *row)
{
    record_unpack(row);
    if (!json_is_object(json_object_get(row, "record")))
        json_object_set_new(row, "record", json_null());
    http_answer_json(x, 200, row);
}

static void on_rows(void *arg, int error, json_t *rows, bool more)
{
    struct http_question *q = arg;
    struct http_exchange *x = q->x;
    struct problem problem;
    bool list = q->list;
    free(q);
    if (x) {
        x->question = NULL;
        if (error) {
            problem_set(&problem, 503, "BUSY", NULL, "The journal cannot be read: %s.", cvm_strerror(error));
            http_answer_problem(x, &problem);
        } else if (json_array_size(rows) == 0) {
            none(x);
        } else if (list) {
            json_t *body = json_pack("{s:O, s:b}", "turns", rows, "more", more);
            http_answer_json(x, 200, body);
            json_decref(body);
        } else {
            answer_row(x, json_array_get(rows, 0));
        }
        http_server_resume(x);
    }
    json_decref(rows);
}

static void ask(struct http_exchange *x, bool list, int64_t key)
{
    static const char one[] =
        "SELECT seq AS turn, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, component, type,"
        " sender, outcome, us, coalesce((SELECT name FROM contexts c WHERE c.conversation = t.conversation),"
        " (SELECT subject FROM audit_log a WHERE a.seq = t.seq AND subject != '')) AS conversation,"
        " build, record, " RECORD_COLUMNS("t") " FROM turns t WHERE seq = ?";
    static const char all[] =
        "SELECT seq AS turn, strftime('%Y-%m-%dT%H:%M:%fZ', at_ms / 1000.0, 'unixepoch') AS at, component, type,"
        " sender, outcome, us FROM turns WHERE conversation = ? ORDER BY seq";
    struct problem problem;
    struct http_question *q = malloc(sizeof *q);
    int e = CVM_ENOMEM;
    if (q) {
        *q = (struct http_question){x, list};
        x->question = q;
        x->phase = EXCHANGE_WAITING;
        e = core_query(x->server->options.core, list ? all : one, json_pack("[I]", (json_int_t)key),
                       list ? LISTED_MAX : 1, on_rows, q);
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

static void ask_turn(struct http_exchange *x, const char *digits)
{
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > SEQ_DIGITS_MAX || digits[n])
        none(x);
    else
        ask(x, false, strtoll(digits, NULL, 10));
}

static void ask_conversation(struct http_exchange *x, const char *rest)
{
    char name[NAME_MAX_BYTES + 1];
    size_t len = strlen(rest), end = strlen(CONVERSATION_END);
    if (len <= end || len - end > NAME_MAX_BYTES || strcmp(rest + len - end, CONVERSATION_END) != 0) {
        none(x);
        return;
    }
    memcpy(name, rest, len - end);
    name[len - end] = '\0';
    if (rest_decode(name))
        ask(x, true, conversation_key(name));
    else
        none(x);
}

bool http_answer_turn(struct http_exchange *x)
{
    struct problem problem;
    bool turn = strncmp(x->url, TURNS, strlen(TURNS)) == 0;
    if (!turn && strncmp(x->url, CONVERSATIONS, strlen(CONVERSATIONS)) != 0)
        return false;
    if (strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0) {
        problem_set(&problem, 405, "METHOD_NOT_ALLOWED", NULL, "This path answers to GET, HEAD.");
        http_answer_problem(x, &problem);
        snprintf(x->answer.allow, sizeof x->answer.allow, "GET, HEAD");
    } else if (http_permit(x, "host", turn ? "show_turn" : "list_turns", "read", &problem) ||
               http_request_no_query(x, &problem)) {
        http_answer_problem(x, &problem);
    } else if (turn) {
        ask_turn(x, x->url + strlen(TURNS));
    } else {
        ask_conversation(x, x->url + strlen(CONVERSATIONS));
    }
    return true;
}
