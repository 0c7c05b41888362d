/* Owns a single request from its head until its answer is known: collects it, finds its operation, asks whether it is
 * permitted, submits it to the core. What bodies, queries and tokens hold is never logged. Loop thread. */
#include "services/http_server_private.h"

#include "core/audit.h"
#include "core/hex.h"
#include "core/id.h"
#include "core/log.h"
#include "core/schema.h"
#include "services/access.h"
#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* ---- what is asked of the core ------------------------------------------------------------------------------------
 */

static uint64_t random_bits(struct http_server *server)
{
    uint64_t z = (server->random += 0x9e3779b97f4a7c15); /* SplitMix64, Steele and others 2014 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Sixteen digits; returns behind them. */
static char *put_hex(char *at, uint64_t bits)
{
    uint64_t bytes = htobe64(bits);
    hex_text((const uint8_t *)&bytes, sizeof bytes, at);
    return at + 2 * sizeof bytes;
}

/* W3C Trace Context, version 00. */
static bool is_traceparent(const char *text)
{
    static const int dashes[] = {2, 35, 52};
    if (!text || strlen(text) != 55 || strncmp(text, "00-", 3) != 0)
        return false;
    for (int i = 0; i < 55; i++) {
        bool dash = i == dashes[0] || i == dashes[1] || i == dashes[2];
        if (dash ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
            return false;
    }
    return strspn(text + 3, "0") < 32 && strspn(text + 36, "0") < 16;
}

static void set_request_id(struct http_exchange *x)
{
    const char *given = x->head.request_id;
    size_t len = given ? strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-") : 0;
    if (len && len <= HTTP_REQUEST_ID_MAX_BYTES && !given[len])
        memcpy(x->request_id, given, len + 1);
    else
        put_hex(stpcpy(x->request_id, "REQ-"), random_bits(x->server));
}

/* ---- submitting ---------------------------------------------------------------------------------------------------
 */

static void on_core_done(void *arg, const struct edge_reply *reply)
{
    struct http_exchange *x = arg;
    assert(x->phase == EXCHANGE_WAITING);
    http_answer_outcome(x, reply->outcome, reply->data);
    operation_count_add(x->count, reply->outcome, uv_hrtime() - x->begun_ns);
    x->answer.repeated = reply->repeated;
    x->answer.from_core = true;
    http_server_resume(x);
}

/* Who asked for what; the id leads to the rest. */
static void log_caller(const struct http_exchange *x, const char *component, const char *type)
{
    char id[40];
    id_text(x->id, id);
    log_info("http", "%s: %s of %s, message %s, request %s", x->caller, type, component, id, x->request_id);
}

/* An operation that knows keys of its own is told the caller's, unless the body has one. */
static void tell_key(const struct http_exchange *x, const struct rest_match *match, json_t *data)
{
    static const char member[] = "idempotency_key";
    if (x->head.key && !json_object_get(data, member) &&
        schema_member(match->operation->document, match->operation->decl->request_schema, member))
        json_object_set_new(data, member, json_string(x->head.key));
}

static void submit(struct http_exchange *x, const struct rest_match *match, json_t *data)
{
    const struct manifest_operation *decl = match->operation->decl;
    char trace[64];
    const char *traceparent = x->head.traceparent;
    if (!is_traceparent(traceparent)) {
        char *at = put_hex(stpcpy(trace, "00-"), random_bits(x->server));
        at = put_hex(at, random_bits(x->server) | 1);
        at = put_hex(stpcpy(at, "-"), random_bits(x->server) | 1);
        stpcpy(at, "-01");
        traceparent = trace;
    }
    x->success = decl->expose->success ? decl->expose->success : 200;
    x->refused = decl->expose->refused ? decl->expose->refused : 422;
    x->raw = decl->raw || decl->expose->text;
    x->has_key = x->head.key != NULL;
    x->soon = decl->ephemeral;
    tell_key(x, match, data);
    x->rename = json_incref((json_t *)(uintptr_t)decl->expose->rename);
    struct edge_in in = {.source = "http",
                         .key = x->head.key,
                         .to = match->operation->component_id,
                         .type = decl->type,
                         .data = data,
                         .traceparent = traceparent,
                         .priority = -1};
    struct edge_error error = {0};
    x->phase = EXCHANGE_WAITING;
    x->count = operation_counters_get(x->server->options.counters, in.to, in.type);
    int e = edge_submit(x->server->options.core, &in, on_core_done, x, &x->id, &error);
    if (e) {
        operation_count_add(x->count, e, uv_hrtime() - x->begun_ns);
        http_answer_edge_error(x, &error);
    } else if (x->caller) {
        log_caller(x, in.to, in.type);
    }
}

/* ---- routes ---------------------------------------------------------------------------------------------------- */

static int fresh_routes(struct http_server *server)
{
    uint64_t version = registry_version(server->options.core);
    if (server->rest && version == server->rest_version)
        return 0;
    size_t n = 0;
    const struct operation *operations = registry_operations(server->options.core, &n);
    rest_free(server->rest);
    server->rest = NULL;
    server->rest_version = version;
    return rest_new(operations, n, &server->rest);
}

void http_exchange_give_up(struct http_exchange *x, int status, const char *code, const char *detail)
{
    struct problem problem;
    if (x->question)
        http_turn_forget(x);
    else
        edge_forget(x->server->options.core, x->id, x);
    problem_set(&problem, status, code, NULL, "%s %s", detail,
                x->has_key ? "Ask again with the same Idempotency-Key to get its result; it is not done twice."
                           : "Nothing can be asked for again, as the request had no Idempotency-Key.");
    http_answer_problem(x, &problem);
    operation_count_add(x->count, CVM_TIMEOUT, uv_hrtime() - x->begun_ns);
    if (x->has_key)
        x->answer.retry_after_s = 5;
    http_server_resume(x);
}

/* ---- an exchange ------------------------------------------------------------------------------------------------- */

struct http_exchange *http_exchange_new(struct http_server *server, struct MHD_Connection *mhd)
{
    struct http_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->server = server;
    x->mhd = mhd;
    x->begun_ns = uv_hrtime();
    return x;
}

void http_exchange_free(struct http_exchange *x)
{
    if (!x)
        return;
    if (x->phase == EXCHANGE_WAITING) {
        if (x->question)
            http_turn_forget(x);
        else
            edge_forget(x->server->options.core, x->id, x);
        TAILQ_REMOVE(&x->server->waiting, x, link);
    }
    http_stream_leave(x);
    json_decref(x->rename);
    free(x->answer.text);
    free(x->body);
    free(x);
}

/* "http://name/path" is a form every server must take; what stands before the path is the Host header's business. */
static const char *path_of(const char *url)
{
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return url;
    const char *path = strchr(strstr(url, "://") + 3, '/');
    return path ? path : "/";
}

bool http_exchange_head(struct http_exchange *x, const char *url, const char *method, const char *version,
                        bool target_ok)
{
    struct problem problem;
    x->url = path_of(url);
    x->method = method;
    int status = http_head_read(x->mhd, method, version, &x->head, &problem);
    set_request_id(x);
    if (!status && !target_ok)
        status = problem_set(&problem, 400, "INVALID_HTTP", NULL, "The request target has spaces.");
    if (!status && x->head.length / HTTP_DROP_FACTOR > x->server->options.body_max_bytes)
        status = problem_set(&problem, 413, "TOO_LARGE", NULL, "The body is larger than %zu bytes.",
                             x->server->options.body_max_bytes);
    if (!status)
        return true;
    http_answer_problem(x, &problem);
    x->answer.close = true;
    return false;
}

bool http_exchange_body(struct http_exchange *x, const char *data, size_t len)
{
    size_t max = x->server->options.body_max_bytes;
    if (x->dropped || len > max - x->len) {
        x->dropped += len;
        return x->dropped / HTTP_DROP_FACTOR <= max;
    }
    if (x->len + len + 1 > x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 1024;
        while (cap < x->len + len + 1)
            cap *= 2;
        char *grown = realloc(x->body, cap);
        if (!grown)
            return false;
        x->body = grown;
        x->cap = cap;
    }
    memcpy(x->body + x->len, data, len);
    x->len += len;
    return true;
}

static int route(struct http_exchange *x, struct rest_match *match, struct problem *problem)
{
    if (x->dropped) {
        x->answer.close = true;
        return problem_set(problem, 413, "TOO_LARGE", NULL, "The body is larger than %zu bytes.",
                           x->server->options.body_max_bytes);
    }
    if (x->server->stopping) {
        x->answer.retry_after_s = 1;
        return problem_set(problem, 503, "STOPPING", NULL, "The host is going down; nothing was done.");
    }
    if (fresh_routes(x->server))
        return problem_set(problem, 503, "BUSY", NULL, "Out of memory.");
    return rest_find(x->server->rest, x->method, x->url, match, x->answer.allow, sizeof x->answer.allow, problem);
}

int http_refuse_foreign(const struct http_exchange *x, struct problem *problem)
{
    if (!http_head_foreign(&x->head))
        return 0;
    return problem_set(problem, 403, "FOREIGN_ORIGIN", NULL, "A page of another origin may not do this.");
}

int http_permit(struct http_exchange *x, const char *component, const char *type, const char *permission,
                struct problem *problem)
{
    const struct access *access = http_server_access(x->server);
    const char *name;
    if (!access || !permission)
        return 0;
    enum access_answer answer = access_ask(access, x->head.authorization, permission, &name);
    if (answer == ACCESS_GRANTED) {
        x->caller = name;
        return 0;
    }
    audit_event_limited(x->server->options.core, "edge.refused",
                        json_pack("{s:s, s:s, s:s, s:s, s:s}", "component", component, "type", type, "permission",
                                  permission, "why",
                                  answer == ACCESS_LACKING         ? "the token does not hold the permission"
                                  : answer == ACCESS_UNKNOWN_TOKEN ? "the token is not known"
                                                                   : "no token came",
                                  "by", answer == ACCESS_LACKING ? name : "somebody"));
    if (answer == ACCESS_LACKING) {
        log_info("http", "%s: refused %s of %s: no permission \"%s\", request %s", name, type, component, permission,
                 x->request_id);
        snprintf(x->answer.authenticate, sizeof x->answer.authenticate,
                 "Bearer realm=\"cvmhost\", error=\"insufficient_scope\", scope=\"%s\"", permission);
        return problem_set(problem, 403, "FORBIDDEN", NULL, "The token \"%s\" does not hold the permission \"%s\".",
                           name, permission);
    }
    bool unknown = answer == ACCESS_UNKNOWN_TOKEN;
    snprintf(x->answer.authenticate, sizeof x->answer.authenticate, "Bearer realm=\"cvmhost\"%s, scope=\"%s\"",
             unknown ? ", error=\"invalid_token\"" : "", permission);
    return problem_set(problem, 401, "UNAUTHORIZED", NULL, "%s: send \"Authorization: Bearer TOKEN\".",
                       unknown ? "The token is not known" : "This needs a token");
}

static int permit(struct http_exchange *x, const struct rest_match *match, struct problem *problem)
{
    const struct manifest_operation *decl = match->operation->decl;
    return http_permit(x, match->operation->component_id, decl->type, decl->expose->permission, problem);
}

void http_exchange_handle(struct http_exchange *x)
{
    struct rest_match match;
    struct problem problem;
    json_t *data = NULL;
    if (http_answer_own(x) || http_answer_turn(x) || http_answer_page(x) || http_answer_stream(x))
        return;
    int status = route(x, &match, &problem);
    if (!status && strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0)
        status = http_refuse_foreign(x, &problem);
    if (!status)
        status = permit(x, &match, &problem);
    if (!status)
        status = http_request_data(x, &match, &data, &problem);
    if (status)
        http_answer_problem(x, &problem);
    else
        submit(x, &match, data);
}
