/* Owns what a client reads: turns the core's outcomes and errors into a status, headers and a body. Loop thread. */
#include "services/http_server_private.h"

#include "core/crash.h"
#include "core/json_text.h"
#include "core/page.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define JSON_TYPE "application/json"
/* What a page may do: scripts, styles and data of this origin, nothing inline, in nobody's frame. */
#define PAGE_POLICY                                                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src "     \
    "'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

/* ---- answers ------------------------------------------------------------------------------------------------------
 */

void http_answer_text(struct http_exchange *x, int status, const char *type, char *text, size_t len)
{
    free(x->answer.text);
    x->answer.status = text ? status : 500;
    x->answer.text = text;
    x->answer.len = text ? len : 0;
    snprintf(x->answer.type, sizeof x->answer.type, "%s", type);
    x->phase = EXCHANGE_ANSWERED;
}

void http_answer_problem(struct http_exchange *x, const struct problem *problem)
{
    size_t len = 0;
    char *text = problem_text(problem, x->request_id, &len);
    http_answer_text(x, problem->status, PROBLEM_TYPE, text, len);
}

void http_answer_json(struct http_exchange *x, int status, const json_t *body)
{
    size_t len = 0;
    char *text = json_text(body, &len);
    http_answer_text(x, status, JSON_TYPE, text, len);
}

enum MHD_Result http_answer_reply(struct http_exchange *x)
{
    struct http_answer *answer = &x->answer;
    char number[16];
    struct MHD_Response *response = MHD_create_response_from_buffer(answer->len, answer->text, MHD_RESPMEM_MUST_FREE);
    if (!response)
        return MHD_NO;
    answer->text = NULL;
    MHD_add_response_header(response, "Content-Type", answer->type);
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Cache-Control", answer->etag[0] ? "no-cache" : "no-store");
    if (answer->etag[0])
        MHD_add_response_header(response, "ETag", answer->etag);
    if (answer->page) {
        MHD_add_response_header(response, "Content-Security-Policy", PAGE_POLICY);
        MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    }
    if (answer->location)
        MHD_add_response_header(response, "Location", answer->location);
    if (answer->authenticate[0])
        MHD_add_response_header(response, "WWW-Authenticate", answer->authenticate);
    MHD_add_response_header(response, "X-Request-Id", x->request_id);
    if (answer->allow[0])
        MHD_add_response_header(response, "Allow", answer->allow);
    if (answer->repeated)
        MHD_add_response_header(response, "Idempotent-Replayed", "true");
    if (answer->retry_after_s) {
        snprintf(number, sizeof number, "%d", answer->retry_after_s);
        MHD_add_response_header(response, "Retry-After", number);
    }
    if (answer->close || x->server->stopping || x->server->draining)
        MHD_add_response_header(response, "Connection", "close");
    uint64_t now = uv_hrtime();
    struct page *page = x->server->options.page;
    http_counters_add(&x->server->counters, answer->status, now - x->begun_ns);
    if (page)
        atomic_store_explicit(&page->last_answer_ns, (int64_t)now, memory_order_relaxed);
    if (page && !atomic_load_explicit(&page->first_answer_ns, memory_order_relaxed))
        atomic_store_explicit(&page->first_answer_ns, (int64_t)now, memory_order_relaxed);
    if (answer->from_core)
        crash_here(CRASH_REPLY_COMMITTED);
    enum MHD_Result result = MHD_queue_response(x->mhd, (unsigned)answer->status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- what the core says -------------------------------------------------------------------------------------------
 */

/* {"code", "field", "message"}: a refusal in the core's words, not the operation's own body. */
static bool is_plain_refusal(const json_t *data)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)data, key, value)
    {
        if (strcmp(key, "code") != 0 && strcmp(key, "field") != 0 && strcmp(key, "message") != 0)
            return false;
    }
    return json_is_string(json_object_get(data, "code")) && json_is_string(json_object_get(data, "message"));
}

static void answer_failure(struct http_exchange *x, int status, const json_t *data, const char *otherwise)
{
    const char *code = json_string_value(json_object_get(data, "code"));
    const char *field = json_string_value(json_object_get(data, "field"));
    const char *message = json_string_value(json_object_get(data, "message"));
    struct problem problem;
    char name[sizeof problem.field] = "";
    if (field)
        rest_edge_field(x->rename, field, name, sizeof name);
    problem_set(&problem, status, code ? code : otherwise, name, "%s", message ? message : "");
    http_answer_problem(x, &problem);
}

static int refusal_status(const struct http_exchange *x, const json_t *data)
{
    const char *code = json_string_value(json_object_get(data, "code"));
    if (strncmp(code, "INVALID", 7) == 0)
        return 400;
    return strcmp(code, "NOT_FOUND") == 0 ? 404 : x->refused;
}

/* A raw operation, and one whose answer is a text, may say all of the answer: {"status", "content_type", "body"}. */
static bool answer_raw(struct http_exchange *x, const json_t *data)
{
    json_int_t status = json_integer_value(json_object_get(data, "status"));
    const char *type = json_string_value(json_object_get(data, "content_type"));
    const json_t *body = json_object_get(data, "body");
    if (status < 200 || status > 599 || !type || !json_is_string(body) || strpbrk(type, "\r\n") ||
        strlen(type) >= sizeof x->answer.type)
        return false;
    size_t len = json_string_length(body);
    char *text = malloc(len + 1);
    if (text)
        memcpy(text, json_string_value(body), len + 1);
    http_answer_text(x, (int)status, type, text, len);
    return true;
}

void http_answer_outcome(struct http_exchange *x, int outcome, const json_t *data)
{
    switch (outcome) {
    case CVM_REPLIED:
        if (!x->raw || !answer_raw(x, data))
            http_answer_json(x, x->success, data);
        break;
    case CVM_REFUSED:
        if (is_plain_refusal(data))
            answer_failure(x, refusal_status(x, data), data, NULL);
        else
            http_answer_json(x, x->refused, data);
        break;
    case CVM_UNKNOWN:
        http_answer_json(x, 202, data);
        break;
    case CVM_BUSY:
        answer_failure(x, 503, data, "BUSY");
        x->answer.retry_after_s = 1;
        break;
    case CVM_TIMEOUT:
        answer_failure(x, 504, data, "TIMEOUT");
        break;
    default:
        answer_failure(x, 500, data, "INTERNAL");
    }
}

void http_answer_edge_error(struct http_exchange *x, const struct edge_error *error)
{
    static const struct {
        int error, status;
        const char *code;
    } table[] = {{CVM_EINVAL, 400, "INVALID_REQUEST"}, {CVM_ENOENT, 404, "NOT_AVAILABLE"},
                 {CVM_EEXIST, 409, "KEY_REUSED"},      {CVM_EBUSY, 503, "BUSY"},
                 {CVM_ELIMIT, 413, "TOO_LARGE"},       {CVM_EACCES, 403, "FORBIDDEN"}};
    int status = 500;
    const char *code = "INTERNAL";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].error == error->error) {
            status = table[i].status;
            code = table[i].code;
        }
    struct problem problem;
    char name[sizeof problem.field], text[sizeof error->text];
    rest_edge_field(x->rename, error->field, name, sizeof name);
    rest_edge_text(x->rename, error->text, text, sizeof text);
    problem_set(&problem, status, code, name, "%s", text);
    http_answer_problem(x, &problem);
    if (status == 503)
        x->answer.retry_after_s = error->retry_after_s > 0 ? error->retry_after_s : 1;
}
