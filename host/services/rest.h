/* REST routes as the manifests declare them (expose.rest): which operation a method and path mean, and how the parts of
 * a request become the operation's data. Knows no HTTP library and no core but the registry's list. Loop thread. */
#ifndef HOST_SERVICES_REST_H
#define HOST_SERVICES_REST_H

#include "core/registry.h"
#include "services/problem.h"

#define REST_PATH_MAX_BYTES 2048
#define REST_SEGMENTS_MAX 16
#define REST_QUERY_MAX 64 /* parameters of one request */
#define REST_JSON_DEPTH_MAX 64

struct rest; /* the table */

struct rest_pair {
    const char *name, *value;
};

struct rest_match {
    const struct operation *operation;
    struct rest_pair params[REST_SEGMENTS_MAX]; /* of the path, decoded */
    size_t n_params;
    char path[REST_PATH_MAX_BYTES + 1]; /* what `params` point into */
};

/* Compiles the routes; `operations` is borrowed as long as the table lives. Routes that cannot be read are left out:
 * the loader has refused them. Returns 0 or CVM_ENOMEM. */
int rest_new(const struct operation *operations, size_t n, struct rest **ret_rest);
void rest_free(struct rest *rest); /* accepts NULL */

/* Finds the operation for a method and a path as it came (still percent-encoded, without the query). Literal segments
 * go before parameters; HEAD finds what GET finds. Returns 0, or the status of *ret_problem: 400, 404, 414, or 405 with
 * the methods there are in `ret_allow` ("GET, POST"). */
int rest_find(const struct rest *rest, const char *method, const char *path, struct rest_match *ret_match,
              char *ret_allow, size_t allow_size, struct problem *ret_problem);

/* Decodes %XX in place. False: malformed, or a NUL. */
bool rest_decode(char *text);

/* Reads a JSON object from a request's body. Returns 0 and gives *ret_body, or 400 with the position. */
int rest_parse(const char *text, size_t len, json_t **ret_body, struct problem *ret_problem);

/* The operation's data: the query's parameters, over them the body's members, over them the path's parameters, each
 * after `rename`. Texts of query and path become numbers and booleans where the request's schema says so. `body` is
 * borrowed, NULL for none. Returns 0 and gives *ret_data, or 400. */
int rest_data(const struct rest_match *match, const struct rest_pair *query, size_t n_query, const json_t *body,
              json_t **ret_data, struct problem *ret_problem);

/* The client's name for a field of the operation's data ("recipient_phone[1]" -> "phone[1]"), in `ret_name`. */
void rest_edge_field(const json_t *rename, const char *field, char *ret_name, size_t size);
/* The same for a sentence that ends with a list of fields: "unknown field; known are: a, b". */
void rest_edge_text(const json_t *rename, const char *text, char *ret_text, size_t size);

#endif
