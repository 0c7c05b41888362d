/* Makes an operation's data of a request: its body, its query, the parts of its path; or, for a "raw" operation, the
 * request itself. What they hold is never logged. Owns nothing. Loop thread. */
#include "services/http_server_private.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static int check_key(const char *key, struct problem *problem)
{
    if (!key)
        return 0;
    size_t len = strlen(key);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)key[i] < 0x20 || (unsigned char)key[i] > 0x7e)
            len = 0;
    if (len && len <= HTTP_KEY_MAX_BYTES)
        return 0;
    return problem_set(problem, 400, "INVALID_REQUEST", "Idempotency-Key", "A key is 1 to %d printable characters.",
                       HTTP_KEY_MAX_BYTES);
}

static bool is_json_type(const char *type)
{
    if (!type)
        return true;
    size_t len = strcspn(type, "; \t");
    if (len == 16 && strncasecmp(type, "application/json", 16) == 0)
        return true;
    return len > 17 && strncasecmp(type, "application/", 12) == 0 && strncasecmp(type + len - 5, "+json", 5) == 0;
}

static int read_body(struct http_exchange *x, json_t **ret_body, struct problem *problem)
{
    if (x->head.content_encoding && strcasecmp(x->head.content_encoding, "identity") != 0)
        return problem_set(problem, 415, "UNSUPPORTED_ENCODING", "Content-Encoding", "Send the body as it is.");
    if (!x->len)
        return 0;
    if (!is_json_type(x->head.content_type))
        return problem_set(problem, 415, "UNSUPPORTED_TYPE", "Content-Type", "Send application/json.");
    return rest_parse(x->body, x->len, ret_body, problem);
}

struct query {
    struct http_server *server;
    struct rest_pair pairs[REST_QUERY_MAX];
    size_t n, used;
    bool fault;
};

static const char *decoded(struct query *query, const char *text, size_t len)
{
    char *copy = query->server->scratch + query->used;
    if (query->used + len + 1 > sizeof query->server->scratch) {
        query->fault = true;
        return "";
    }
    memcpy(copy, text, len);
    copy[len] = 0;
    query->used += len + 1;
    if (!rest_decode(copy))
        query->fault = true;
    return copy;
}

static enum MHD_Result on_parameter(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                    const char *value, size_t len)
{
    struct query *query = arg;
    if (!name_len && !len)
        return MHD_YES; /* "?a=1&&b=2" */
    if (query->n == REST_QUERY_MAX) {
        query->fault = true;
        return MHD_NO;
    }
    struct rest_pair *pair = &query->pairs[query->n++];
    pair->name = decoded(query, name, name_len);
    pair->value = decoded(query, value ? value : "", value ? len : 0);
    return query->fault ? MHD_NO : MHD_YES;
}

static int read_query(struct http_exchange *x, struct query *query, struct problem *problem)
{
    query->server = x->server;
    query->n = query->used = 0;
    query->fault = false;
    MHD_get_connection_values_n(x->mhd, MHD_GET_ARGUMENT_KIND, on_parameter, query);
    if (query->fault)
        return problem_set(problem, 400, "INVALID_QUERY", NULL,
                           "The query is not correctly percent-encoded or has more than %d parameters.",
                           REST_QUERY_MAX);
    return 0;
}

int http_request_no_query(struct http_exchange *x, struct problem *ret_problem)
{
    struct query query;
    int status = read_query(x, &query, ret_problem);
    if (!status && query.n)
        status = problem_set(ret_problem, 400, "INVALID_REQUEST", query.pairs[0].name,
                             "This path knows no parameters of the query.");
    return status;
}

struct raw_headers {
    json_t *object;
    bool authorized; /* a token of ours is no business of the operation's, nor of the journal's */
};

static enum MHD_Result on_raw_header(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                     const char *value, size_t len)
{
    const struct raw_headers *headers = arg;
    char lower[128];
    if (name_len >= sizeof lower || strcasecmp(name, "cookie") == 0 ||
        (headers->authorized && strcasecmp(name, "authorization") == 0))
        return MHD_YES;
    for (size_t i = 0; i <= name_len; i++)
        lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    json_object_set_new(headers->object, lower, json_stringn(value ? value : "", value ? len : 0));
    return MHD_YES;
}

/* What a "raw" operation gets: the request itself, whatever its body is. */
static int raw_data(struct http_exchange *x, const struct rest_match *match, const struct query *query,
                    json_t **ret_data, struct problem *problem)
{
    json_t *parameters = json_object();
    struct raw_headers headers = {json_object(), x->caller != NULL};
    for (size_t i = 0; i < query->n; i++)
        json_object_set_new(parameters, query->pairs[i].name, json_string(query->pairs[i].value));
    for (size_t i = 0; i < match->n_params; i++)
        json_object_setn_new(parameters, match->params[i].name, strcspn(match->params[i].name, "}"),
                             json_string(match->params[i].value));
    MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, on_raw_header, &headers);
    char *body = malloc(x->len / 3 * 4 + 8);
    if (body) {
        body[0] = 0;
        EVP_EncodeBlock((unsigned char *)body, (const unsigned char *)(x->body ? x->body : ""), (int)x->len);
    }
    json_t *data = json_pack("{ss,ss,so,so,ss}", "method", x->method, "path", x->url, "parameters", parameters,
                             "headers", headers.object, "body", body ? body : "");
    free(body);
    if (!data)
        return problem_set(problem, 400, "INVALID_REQUEST", NULL, "The request is not valid UTF-8.");
    *ret_data = data;
    return 0;
}

int http_request_data(struct http_exchange *x, const struct rest_match *match, json_t **ret_data,
                      struct problem *problem)
{
    struct query query;
    json_t *body = NULL;
    int status = check_key(x->head.key, problem);
    if (!status)
        status = read_query(x, &query, problem);
    if (status)
        return status;
    if (match->operation->decl->raw)
        return raw_data(x, match, &query, ret_data, problem);
    status = read_body(x, &body, problem);
    if (!status)
        status = rest_data(match, query.pairs, query.n, body, ret_data, problem);
    json_decref(body);
    return status;
}
