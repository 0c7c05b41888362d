/* REST requests on their way to an operation's data: "METHOD TARGET\nBODY", against the routes of a manifest. What
 * comes out is an object that its schema can judge, and a refusal names the field as the client knows it. */
#include "fuzz.h"

#include "core/schema.h"
#include "services/rest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char shop_text[] =
    "{\"manifest\": 1, \"name\": \"shop\", \"version\": \"1.0.0\", \"abi\": \"1.0\", \"components\": [{\"id\": "
    "\"test.shop\","
    "\"kind\": \"agent\", \"operations\": ["
    "{\"type\": \"make\", \"request\": {\"$ref\": \"#/schemas/Thing\"}, \"expose\": {\"rest\": \"POST "
    "/things/{thing_id}\","
    " \"rename\": {\"phone\": \"recipient_phone\", \"n\": \"count\"}}},"
    "{\"type\": \"list\", \"request\": {\"$ref\": \"#/schemas/Thing\"}, \"expose\": {\"rest\": \"GET /things\"}},"
    "{\"type\": \"part\", \"request\": {\"$ref\": \"#/schemas/Thing\"}, \"expose\": {\"rest\": \"PUT "
    "/things/{thing_id}/parts/{count}\"}},"
    "{\"type\": \"other\", \"expose\": {\"rest\": \"POST /other\"}}]}],"
    "\"schemas\": {\"Thing\": {\"type\": \"object\", \"additionalProperties\": false, \"allOf\": [{\"$ref\": "
    "\"#/schemas/More\"}],"
    "\"required\": [\"thing_id\"], \"properties\": {\"thing_id\": {\"type\": \"string\", \"maxLength\": 20},"
    "\"recipient_phone\": {\"type\": \"string\", \"pattern\": \"^[+0-9]+$\"}, \"count\": {\"type\": \"integer\", "
    "\"minimum\": 0},"
    "\"price\": {\"$ref\": \"#/schemas/Price\"}, \"fast\": {\"type\": \"boolean\"}, \"amount\": {\"type\": "
    "[\"number\", \"string\"]},"
    "\"tags\": {\"type\": \"array\", \"maxItems\": 3, \"items\": {\"type\": \"integer\"}}, \"parts\": {\"type\": "
    "\"array\","
    "\"items\": {\"$ref\": \"#/schemas/Price\"}}}},"
    "\"More\": {\"properties\": {\"extra\": {\"type\": [\"integer\", \"null\"]}}},"
    "\"Price\": {\"type\": [\"number\", \"null\"], \"maximum\": 1000}}}";

static struct manifest *manifest;
static struct operation operations[4];
static struct rest *rest;

static void forget(void)
{
    rest_free(rest);
    manifest_free(manifest);
}

static void prepare(void)
{
    char path[] = "/tmp/fuzz_rest_XXXXXX.json", error[512] = "";
    int fd = mkstemps(path, 5);
    FUZZ_CHECK(fd >= 0 && write(fd, shop_text, sizeof shop_text - 1) == (ssize_t)sizeof shop_text - 1);
    close(fd);
    int e = manifest_load(path, &manifest, error, sizeof error);
    if (e)
        fprintf(stderr, "%s\n", error);
    FUZZ_CHECK(e == 0);
    unlink(path);
    const struct manifest_component *c = &manifest->components[0];
    for (size_t i = 0; i < c->n_operations; i++)
        operations[i] = (struct operation){
            .component_id = c->id, .plugin = "shop", .decl = &c->operations[i], .document = manifest->doc};
    FUZZ_CHECK(rest_new(operations, c->n_operations, &rest) == 0);
    atexit(forget);
}

/* Cuts "a=1&b" into decoded pairs, in place. */
static bool read_query(char *text, struct rest_pair *pairs, size_t *ret_n)
{
    size_t n = 0;
    for (char *next; text && *text; text = next) {
        next = strchr(text, '&');
        if (next)
            *next++ = 0;
        char *value = strchr(text, '=');
        if (value)
            *value++ = 0;
        if (n == REST_QUERY_MAX || !rest_decode(text) || (value && !rest_decode(value)))
            return false;
        pairs[n++] = (struct rest_pair){text, value ? value : ""};
    }
    *ret_n = n;
    return true;
}

static void judge(const struct rest_match *match, const json_t *data)
{
    const struct manifest_operation *decl = match->operation->decl;
    struct schema_error error = {0};
    char field[128], text[512];
    FUZZ_CHECK(json_is_object(data));
    for (size_t i = 0; i < match->n_params; i++)
        FUZZ_CHECK(!memchr(match->params[i].value, '%', 0) && match->params[i].value);
    if (!decl->request || schema_check(decl->request, data, &error) == 0)
        return;
    FUZZ_CHECK(error.text[0]);
    rest_edge_field(decl->expose->rename, error.field, field, sizeof field);
    rest_edge_text(decl->expose->rename, error.text, text, sizeof text);
    FUZZ_CHECK(text[0]);
}

static void run(char *line, const char *body, size_t body_len)
{
    struct rest_pair pairs[REST_QUERY_MAX];
    struct rest_match match;
    struct problem problem = {0};
    char allow[64] = "";
    size_t n = 0;
    json_t *parsed = NULL, *data = NULL;
    char *target = strchr(line, ' ');
    if (!target)
        return;
    *target++ = 0;
    char *query = strchr(target, '?');
    if (query)
        *query++ = 0;
    int status = rest_find(rest, line, target, &match, allow, sizeof allow, &problem);
    FUZZ_CHECK(status == 0 || (status == problem.status && problem.detail[0] && (status != 405 || allow[0])));
    if (!status && !read_query(query, pairs, &n))
        return;
    if (!status && body_len)
        status = rest_parse(body, body_len, &parsed, &problem);
    if (!status)
        status = rest_data(&match, pairs, n, parsed, &data, &problem);
    FUZZ_CHECK(status == 0 ? data != NULL : status == problem.status && problem.detail[0]);
    if (data)
        judge(&match, data);
    char *text = problem_text(&problem, "REQ-1", &n);
    json_t *shown = json_loadb(text, n, 0, NULL);
    FUZZ_CHECK(shown);
    json_decref(shown);
    free(text);
    json_decref(parsed);
    json_decref(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = size ? memchr(text, '\n', size) : NULL;
    size_t len = end ? (size_t)(end - text) : size;
    if (!manifest)
        prepare();
    if (len > 32768) /* the longest head */
        return 0;
    char *line = strndup(text, len);
    FUZZ_CHECK(line);
    run(line, end ? end + 1 : "", end ? size - len - 1 : 0);
    free(line);
    return 0;
}
