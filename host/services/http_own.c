/* The listener's own routes: health, metrics, the description of all routes. Loop thread. */
#include "services/http_server_private.h"

#include "core/core.h"
#include "core/hex.h"
#include "core/json_text.h"
#include "services/openapi.h"
#include <stdio.h>
#include <stdlib.h>

#define METRICS_MAX_BYTES (16 * 1024 * 1024)

static void answer_health(struct http_exchange *x)
{
    const char *reason = core_unhealthy(x->server->options.core);
    if (!reason && x->server->stopping)
        reason = "the host is going down";
    uint64_t up_ns = uv_hrtime() - x->server->begun_ns;
    json_t *body = json_pack("{s:s, s:s, s:I}", "status", reason ? "unhealthy" : "healthy", "version",
                             x->server->options.version ? x->server->options.version : "", "uptime_seconds",
                             (json_int_t)(up_ns / 1000000000));
    if (reason)
        json_object_set_new(body, "reason", json_string(reason));
    core_health(x->server->options.core, body);
    http_answer_json(x, reason ? 503 : 200, body);
    json_decref(body);
}

void http_server_print_counts(const struct http_server *server, struct text *text)
{
    http_counters_print(&server->counters, text);
    http_streams_print(server, text);
}

static void answer_metrics(struct http_exchange *x)
{
    struct text text;
    text_init(&text, METRICS_MAX_BYTES);
    char *core = core_metrics(x->server->options.core);
    if (core)
        text_puts(&text, core);
    free(core);
    size_t n = 0;
    const struct operation *operations = registry_operations(x->server->options.core, &n);
    operation_counters_print(x->server->options.counters, operations, n, &text);
    http_server_print_counts(x->server, &text);
    if (text.failed)
        text_free(&text);
    http_answer_text(x, 200, "text/plain; version=0.0.4; charset=utf-8", text.at, text.len);
}

/* ---- the description ---- */

static void set_etag(struct http_description *d)
{
    char hash[HASH_HEX_SIZE];
    if (!d->text)
        return;
    hash_hex(d->text, d->len, hash);
    snprintf(d->etag, sizeof d->etag, "\"%.32s\"", hash);
}

/* Made once for each set of operations. */
static const struct http_description *fresh_description(struct http_server *server)
{
    struct http_description *d = &server->description;
    uint64_t version = registry_version(server->options.core);
    bool guarded = http_server_access(server) != NULL;
    if (d->text && d->version == version && d->guarded == guarded)
        return d;
    size_t n = 0;
    const struct operation *operations = registry_operations(server->options.core, &n);
    const struct openapi_options options = {.version = server->options.version ? server->options.version : "",
                                            .title = server->options.title,
                                            .guarded = guarded};
    json_t *document = openapi_of_operations(operations, n, &options);
    free(d->text);
    d->text = json_text(document, &d->len);
    d->version = version;
    d->guarded = guarded;
    set_etag(d);
    json_decref(document);
    return d;
}

static void answer_description(struct http_exchange *x)
{
    const struct http_description *d = fresh_description(x->server);
    const char *known = x->head.if_none_match;
    snprintf(x->answer.etag, sizeof x->answer.etag, "%s", d->text ? d->etag : "");
    if (d->text && known && (strstr(known, d->etag) || strcmp(known, "*") == 0)) {
        http_answer_text(x, 304, "application/json", strdup(""), 0);
        return;
    }
    char *text = d->text ? malloc(d->len + 1) : NULL;
    if (text)
        memcpy(text, d->text, d->len + 1);
    http_answer_text(x, 200, "application/json", text, d->len);
}

/* ---- finding ---- */

static const struct own_route {
    const char *path;
    void (*answer)(struct http_exchange *x);
} routes[] = {{"/health", answer_health},
              {"/metrics", answer_metrics},
              {OPENAPI_PATH, answer_description},
              {OPENAPI_PATH_SHORT, answer_description}};

static const struct own_route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(path, routes[i].path) == 0)
            return &routes[i];
    return NULL;
}

bool http_server_owns(const char *path)
{
    return find_route(path) != NULL;
}

bool http_answer_own(struct http_exchange *x)
{
    const struct own_route *route = find_route(x->url);
    if (!route)
        return false;
    if (strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0) {
        route->answer(x);
        return true;
    }
    struct problem problem;
    problem_set(&problem, 405, "METHOD_NOT_ALLOWED", NULL, "This path answers to GET, HEAD.");
    http_answer_problem(x, &problem);
    snprintf(x->answer.allow, sizeof x->answer.allow, "GET, HEAD");
    return true;
}
