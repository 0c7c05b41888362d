/* Owns the route table; see rest.h. */
#include "services/rest.h"

#include <stdio.h>
#include <stdlib.h>

struct segment {
    const char *text; /* literal, or name of the parameter; not terminated */
    size_t len;
    bool param;
};

struct route {
    const struct operation *operation;
    struct segment segments[REST_SEGMENTS_MAX];
    size_t n;
};

struct rest {
    size_t n;
    struct route routes[];
};

/* ---- the table ----------------------------------------------------------------------------------------------------
 */

static bool compile(const struct operation *operation, struct route *ret_route)
{
    const struct manifest_expose *expose = operation->decl->expose;
    if (!expose || !expose->method || !expose->path || expose->path[0] != '/')
        return false;
    ret_route->operation = operation;
    ret_route->n = 0;
    for (const char *at = expose->path; *at;) {
        at++;
        size_t len = strcspn(at, "/");
        if (ret_route->n == REST_SEGMENTS_MAX)
            return false;
        struct segment *segment = &ret_route->segments[ret_route->n++];
        segment->param = len > 2 && at[0] == '{' && at[len - 1] == '}';
        segment->text = segment->param ? at + 1 : at;
        segment->len = segment->param ? len - 2 : len;
        at += len;
    }
    return true;
}

/* Fewer segments first; at the first difference in kind the literal goes before the parameter. */
static int by_precedence(const void *a, const void *b)
{
    const struct route *left = a, *right = b;
    if (left->n != right->n)
        return left->n < right->n ? -1 : 1;
    for (size_t i = 0; i < left->n; i++)
        if (left->segments[i].param != right->segments[i].param)
            return left->segments[i].param ? 1 : -1;
    return strcmp(left->operation->decl->expose->path, right->operation->decl->expose->path);
}

int rest_new(const struct operation *operations, size_t n, struct rest **ret_rest)
{
    struct rest *rest = malloc(sizeof *rest + n * sizeof *rest->routes);
    if (!rest)
        return CVM_ENOMEM;
    rest->n = 0;
    for (size_t i = 0; i < n; i++)
        if (compile(&operations[i], &rest->routes[rest->n]))
            rest->n++;
    qsort(rest->routes, rest->n, sizeof *rest->routes, by_precedence);
    *ret_rest = rest;
    return 0;
}

void rest_free(struct rest *rest)
{
    free(rest);
}

/* ---- finding ------------------------------------------------------------------------------------------------------
 */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool rest_decode(char *text)
{
    char *out = text;
    for (; *text; text++, out++) {
        if (*text != '%') {
            *out = *text;
            continue;
        }
        int high = hex(text[1]), low = high < 0 ? -1 : hex(text[2]);
        if (low < 0 || (high | low) == 0)
            return false;
        *out = (char)(high * 16 + low);
        text += 2;
    }
    *out = 0;
    return true;
}

/* Splits a copy of the path and decodes each part by itself, so that an encoded slash is no separator. Returns 0 or a
 * status. */
static int split(const char *path, struct rest_match *match, char *parts[REST_SEGMENTS_MAX], size_t *ret_n,
                 struct problem *problem)
{
    if (strlen(path) > REST_PATH_MAX_BYTES)
        return problem_set(problem, 414, "PATH_TOO_LONG", NULL, "The path is longer than %d bytes.",
                           REST_PATH_MAX_BYTES);
    memcpy(match->path, path, strlen(path) + 1);
    size_t n = 0;
    for (char *at = match->path; at;) {
        if (n == REST_SEGMENTS_MAX)
            return problem_set(problem, 404, "NOT_FOUND", NULL, "There is nothing at this path.");
        parts[n++] = ++at;
        char *slash = strchr(at, '/');
        if (slash)
            *slash = 0;
        at = slash;
    }
    for (size_t i = 0; i < n; i++)
        if (!rest_decode(parts[i]))
            return problem_set(problem, 400, "INVALID_PATH", NULL, "The path is not correctly percent-encoded.");
    *ret_n = n;
    return 0;
}

static bool matches(const struct route *route, char *const parts[], const size_t lens[], size_t n)
{
    if (route->n != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct segment *segment = &route->segments[i];
        if (segment->param ? !lens[i] : segment->len != lens[i] || memcmp(segment->text, parts[i], lens[i]) != 0)
            return false;
    }
    return true;
}

static void add_allowed(char *allow, size_t size, const char *method)
{
    if (strstr(allow, method))
        return; /* no method's name is part of another's */
    size_t len = strlen(allow);
    snprintf(allow + len, size - len, "%s%s", len ? ", " : "", method);
    if (strcmp(method, "GET") == 0)
        add_allowed(allow, size, "HEAD");
}

static void take_params(const struct route *route, char *const parts[], struct rest_match *match)
{
    match->operation = route->operation;
    match->n_params = 0;
    for (size_t i = 0; i < route->n; i++)
        if (route->segments[i].param) /* the name ends with '}' in the manifest: see rest_data */
            match->params[match->n_params++] = (struct rest_pair){route->segments[i].text, parts[i]};
}

int rest_find(const struct rest *rest, const char *method, const char *path, struct rest_match *ret_match,
              char *ret_allow, size_t allow_size, struct problem *ret_problem)
{
    char *parts[REST_SEGMENTS_MAX];
    size_t lens[REST_SEGMENTS_MAX], n = 0;
    ret_allow[0] = 0;
    if (path[0] != '/')
        return problem_set(ret_problem, 404, "NOT_FOUND", NULL, "There is nothing at this path.");
    int status = split(path, ret_match, parts, &n, ret_problem);
    if (status)
        return status;
    for (size_t i = 0; i < n; i++)
        lens[i] = strlen(parts[i]);
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (size_t i = 0; i < rest->n; i++) {
        const struct route *route = &rest->routes[i];
        if (!matches(route, parts, lens, n))
            continue;
        if (strcmp(route->operation->decl->expose->method, wanted) == 0) {
            take_params(route, parts, ret_match);
            return 0;
        }
        add_allowed(ret_allow, allow_size, route->operation->decl->expose->method);
    }
    if (ret_allow[0])
        return problem_set(ret_problem, 405, "METHOD_NOT_ALLOWED", NULL, "This path answers to %s.", ret_allow);
    return problem_set(ret_problem, 404, "NOT_FOUND", NULL, "There is nothing at this path.");
}
