/* Writes the OpenAPI document: paths, parameters, answers, problems. Owns nothing; see openapi.h. */
#include "services/openapi_private.h"

#include "services/catalogue.h"
#include "services/problem.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_MAX_BYTES 512

static json_t *ref_to(const char *place, const char *name)
{
    return json_pack("{s:o}", "$ref", json_sprintf("#/components/%s/%s", place, name));
}

static json_t *content(const char *type, json_t *schema)
{
    return json_pack("{s:{s:o}}", type, "schema", schema);
}

/* ---- what all routes share ---- */

static const struct shared_answer {
    const char *name;
    int status;
    const char *text;
    bool retry_after;
} shared_answers[] = {
    {"BadRequest", 400, "The request is wrong; nothing was done. `field` names the member where one is at fault.",
     false},
    {"Unauthorized", 401, "No token came, or one that is not known.", false},
    {"Forbidden", 403, "The token does not hold the permission.", false},
    {"NotFound", 404, "There is nothing of this name, or the component that answers is not loaded.", false},
    {"KeyReused", 409, "The Idempotency-Key was used with another body.", false},
    {"TooLarge", 413, "The body is over the limit.", false},
    {"UnsupportedType", 415, "The body is not JSON, or compressed.", false},
    {"Internal", 500, "The handler failed.", false},
    {"Busy", 503, "Come back after Retry-After seconds; nothing was done.", true},
    {"StillRunning", 504, "No answer in time; the work may go on. The same Idempotency-Key asks for its result.", true},
};

static json_t *problem_schema(void)
{
    static const char text[] =
        "{'type':'object','description':'An error as of RFC 9457','required':['type','title','status'],'properties':{"
        "'type':{'type':'string','format':'uri-reference'},'title':{'type':'string'},"
        "'status':{'type':'integer','minimum':400,'maximum':599},'detail':{'type':'string','description':'a sentence'},"
        "'code':{'type':'string','description':'for programs'},"
        "'field':{'type':'string','description':'the member or parameter at fault'},"
        "'request_id':{'type':'string'}}}";
    char json[sizeof text];
    for (size_t i = 0; i < sizeof text; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    return json_loads(json, 0, NULL);
}

static json_t *shared_answer(const struct shared_answer *a)
{
    json_t *answer =
        json_pack("{s:s, s:o}", "description", a->text, "content", content(PROBLEM_TYPE, ref_to("schemas", "Problem")));
    if (a->retry_after)
        json_object_set_new(answer, "headers", json_pack("{s:o}", "Retry-After", ref_to("headers", "RetryAfter")));
    return answer;
}

static json_t *components(struct openapi *o)
{
    json_t *answers = json_object();
    for (size_t i = 0; i < sizeof shared_answers / sizeof *shared_answers; i++)
        json_object_set_new(answers, shared_answers[i].name, shared_answer(&shared_answers[i]));
    json_t *key =
        json_pack("{s:s, s:s, s:s, s:{s:s, s:i, s:i, s:s}}", "name", "Idempotency-Key", "in", "header", "description",
                  "Makes the request repeatable: the same key with the same body is done once and gives the "
                  "first one's answer. Keys are kept for 24 hours.",
                  "schema", "type", "string", "minLength", 1, "maxLength", 128, "pattern", "^[ -~]+$");
    json_t *headers =
        json_pack("{s:{s:s, s:{s:s}}, s:{s:s, s:{s:s}}}", "RetryAfter", "description", "seconds", "schema", "type",
                  "integer", "IdempotentReplayed", "description",
                  "\"true\": the answer of an earlier request with the same key", "schema", "type", "string");
    json_t *security =
        json_pack("{s:{s:s, s:s, s:s}}", OPENAPI_SECURITY, "type", "http", "scheme", "bearer", "description",
                  "A token of the configuration (access.tokens) with the permissions it "
                  "holds");
    return json_pack("{s:O, s:o, s:{s:o}, s:o, s:o}", "schemas", o->schemas, "responses", answers, "parameters",
                     "IdempotencyKey", key, "headers", headers, "securitySchemes", security);
}

/* ---- parameters ---- */

/* Texts of a query become these; an object cannot stand in one. */
static bool fits_query(const struct openapi *o, const char *plugin, const json_t *schema)
{
    schema = openapi__resolve(o, plugin, schema);
    const json_t *type = json_object_get(schema, "type"), *one;
    size_t i;
    if (json_is_string(type) && strcmp(json_string_value(type), "array") == 0)
        schema = openapi__resolve(o, plugin, json_object_get(schema, "items"));
    type = json_object_get(schema, "type");
    json_array_foreach(type, i,
                       one) if (json_is_string(one) && strcmp(json_string_value(one), "object") != 0) return true;
    return !json_is_string(type) ? !json_is_array(type) && !json_object_get(schema, "properties")
                                 : strcmp(json_string_value(type), "object") != 0;
}

static json_t *parameter(struct openapi *o, const char *plugin, const char *name, const char *in, bool required,
                         const json_t *schema)
{
    const char *text = cvm_json_str(openapi__resolve(o, plugin, schema), "description", NULL);
    json_t *written = schema ? openapi__schema(o, plugin, schema, 0) : json_pack("{s:s}", "type", "string");
    return json_pack("{s:s, s:s, s:s*, s:b, s:o}", "name", name, "in", in, "description", text, "required", required,
                     "schema", written);
}

static const json_t *member_of(const struct openapi *o, const char *plugin, const json_t *request, const char *name,
                               int depth)
{
    static const char *const combined[] = {"allOf", "anyOf", "oneOf"};
    request = openapi__resolve(o, plugin, request);
    const json_t *found = json_object_get(json_object_get(request, "properties"), name), *one;
    size_t i;
    for (size_t list = 0; list < 3 && !found && depth < OPENAPI_DEPTH_MAX / 4; list++)
        json_array_foreach(json_object_get(request, combined[list]), i, one)
        {
            if (!found)
                found = member_of(o, plugin, one, name, depth + 1);
        }
    return found;
}

static const char *renamed(const json_t *rename, const char *name)
{
    const char *to = json_string_value(json_object_get(rename, name));
    return to ? to : name;
}

/* The parameters of the path as this operation declares it, under the names that `path`, which may be another
 * operation's with the same shape, has for them. Their request members go into `taken`. */
static void add_path_parameters(struct openapi *o, const json_t *entry, const char *path, json_t *parameters,
                                json_t *taken)
{
    const json_t *expose = json_object_get(entry, "expose"), *rename = json_object_get(expose, "rename");
    const char *plugin = cvm_json_str(entry, "plugin", ""), *own = cvm_json_str(expose, "path", "");
    char name[PATH_MAX_BYTES], shown[PATH_MAX_BYTES];
    while ((own = strchr(own, '{')) && (path = strchr(path, '{'))) {
        own++;
        path++;
        snprintf(name, sizeof name, "%.*s", (int)strcspn(own, "}"), own);
        snprintf(shown, sizeof shown, "%.*s", (int)strcspn(path, "}"), path);
        const char *member = renamed(rename, name);
        const json_t *schema = member_of(o, plugin, json_object_get(entry, "request"), member, 0);
        json_object_set_new(taken, member, json_true());
        json_array_append_new(parameters, parameter(o, plugin, shown, "path", true, schema));
    }
}

static bool lists(const json_t *required, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(required, i,
                       one) if (json_is_string(one) && strcmp(json_string_value(one), name) == 0) return true;
    return false;
}

static void add_query_parameters(struct openapi *o, const json_t *entry, const json_t *request, json_t *parameters,
                                 json_t *taken, int depth)
{
    const char *plugin = cvm_json_str(entry, "plugin", ""), *name;
    const json_t *rename = json_object_get(json_object_get(entry, "expose"), "rename"), *one;
    json_t *schema;
    size_t i;
    request = openapi__resolve(o, plugin, request);
    json_object_foreach(json_object_get(request, "properties"), name, schema)
    {
        if (json_object_get(taken, name) || !fits_query(o, plugin, schema))
            continue;
        json_object_set_new(taken, name, json_true());
        json_array_append_new(parameters, parameter(o, plugin, openapi__edge_name(rename, name), "query",
                                                    lists(json_object_get(request, "required"), name), schema));
    }
    if (depth < OPENAPI_DEPTH_MAX / 4)
        json_array_foreach(json_object_get(request, "allOf"), i, one)
            add_query_parameters(o, entry, one, parameters, taken, depth + 1);
}

/* ---- body and answers ---- */

static json_t *request_body(struct openapi *o, const json_t *entry, const json_t *taken)
{
    const json_t *request = openapi__resolve(o, cvm_json_str(entry, "plugin", ""), json_object_get(entry, "request")),
                 *one;
    if (cvm_json_bool(entry, "raw", false))
        return json_pack("{s:s, s:{s:{}}}", "description", "handed over as it is", "content", "*/*");
    size_t left = json_object_size(json_object_get(request, "properties")), i;
    bool required = false;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)taken, name, value) left -=
        json_object_get(json_object_get(request, "properties"), name) != NULL;
    json_array_foreach(json_object_get(request, "required"), i, one) required =
        required || !json_object_get(taken, json_string_value(one));
    if (left == 0 && json_is_false(json_object_get(request, "additionalProperties")))
        return NULL;
    return json_pack("{s:b, s:o}", "required", required, "content",
                     content("application/json", openapi__body(o, entry, taken)));
}

static json_t *success(struct openapi *o, const json_t *entry)
{
    const json_t *response = json_object_get(entry, "response");
    json_t *answer;
    if (cvm_json_bool(entry, "raw", false) || cvm_json_bool(json_object_get(entry, "expose"), "text", false))
        return json_pack("{s:s, s:{s:{}}}", "description", "What the operation answers", "content", "*/*");
    answer = json_pack(
        "{s:s, s:o}", "description", "Done", "content",
        content("application/json", response ? openapi__schema(o, cvm_json_str(entry, "plugin", ""), response, 0)
                                             : json_pack("{s:s}", "type", "object")));
    if (cvm_json_bool(entry, "durable", false))
        json_object_set_new(answer, "headers",
                            json_pack("{s:o}", "Idempotent-Replayed", ref_to("headers", "IdempotentReplayed")));
    return answer;
}

/* The operation's own body, or a problem where it has none. */
static json_t *refusal(const char *also)
{
    return json_pack("{s:o, s:{s:{s:{s:s}}, s:{s:o}}}", "description",
                     json_sprintf("Refused by a rule or limit of the operation%s%s", *also ? ". Or: " : "", also),
                     "content", "application/json", "schema", "type", "object", PROBLEM_TYPE, "schema",
                     ref_to("schemas", "Problem"));
}

static void set_answer(json_t *answers, int status, json_t *answer)
{
    char text[16];
    snprintf(text, sizeof text, "%d", status);
    json_object_set_new(answers, text, answer);
}

static json_t *answers_of(struct openapi *o, const json_t *entry)
{
    const json_t *expose = json_object_get(entry, "expose");
    int done = (int)cvm_json_int(expose, "success", 200), refused = (int)cvm_json_int(expose, "refused", 422);
    bool durable = cvm_json_bool(entry, "durable", false), guarded = json_object_get(expose, "permission") != NULL;
    json_t *answers = json_object();
    const char *also = "";
    if (durable)
        set_answer(answers, 202,
                   json_pack("{s:s, s:o}", "description", "Nobody knows yet whether it was done; look again later",
                             "content", content("application/json", json_pack("{s:s}", "type", "object"))));
    set_answer(answers, done, success(o, entry));
    for (size_t i = 0; i < sizeof shared_answers / sizeof *shared_answers; i++) {
        const struct shared_answer *a = &shared_answers[i];
        if (((a->status == 401 || a->status == 403) && !guarded) || (a->status == 409 && !durable))
            continue;
        if (a->status == refused)
            also = a->text;
        set_answer(answers, a->status, ref_to("responses", a->name));
    }
    set_answer(answers, refused, refusal(also));
    return answers;
}

/* ---- paths ---- */

/* The path in the document: two whose parameters differ by name only are one. Borrowed. */
static const char *document_path(struct openapi *o, const char *path)
{
    char shape[PATH_MAX_BYTES];
    size_t n = 0;
    for (const char *s = path; *s && n + 2 < sizeof shape; s++) {
        shape[n++] = *s;
        if (*s == '{' && strchr(s, '}'))
            s = strchr(s, '}') - 1;
    }
    shape[n] = 0;
    if (!json_object_get(o->shapes, shape))
        json_object_set_new(o->shapes, shape, json_string(path));
    return json_string_value(json_object_get(o->shapes, shape));
}

static json_t *operation_id(struct openapi *o, const json_t *entry)
{
    char text[PATH_MAX_BYTES];
    snprintf(text, sizeof text, "%s_%s", cvm_json_str(entry, "component", ""), cvm_json_str(entry, "type", ""));
    char *key = openapi__key(text, "_", o->ids);
    json_t *id = json_string(key ? key : "operation");
    if (key)
        json_object_set_new(o->ids, key, json_true());
    free(key);
    return id;
}

static void add_tag(struct openapi *o, const json_t *entry)
{
    const char *component = cvm_json_str(entry, "component", "?"), *alias = cvm_json_str(entry, "alias", component);
    const char *plugin = cvm_json_str(entry, "plugin", "?");
    const json_t *document = json_object_get(json_object_get(o->catalogue, "documents"), plugin), *tag;
    size_t i;
    json_array_foreach(o->tags, i, tag) if (strcmp(cvm_json_str(tag, "name", ""), component) == 0) return;
    json_array_append_new(
        o->tags,
        json_pack("{s:s, s:o}", "name", component, "description",
                  json_sprintf("%s, %s of plugin %s %s: %s", alias, cvm_json_str(entry, "kind", "component"), plugin,
                               cvm_json_str(document, "version", ""), cvm_json_str(document, "description", ""))));
}

/* Without configured tokens nobody is asked for one, and the requirement is optional. */
static json_t *security(const struct openapi *o, const char *permission)
{
    if (!permission)
        return json_array();
    return o->options->guarded ? json_pack("[{s:[s]}]", OPENAPI_SECURITY, permission)
                               : json_pack("[{s:[s]},{}]", OPENAPI_SECURITY, permission);
}

static json_t *route(struct openapi *o, const json_t *entry, const char *path, bool has_body)
{
    const json_t *expose = json_object_get(entry, "expose");
    const char *description = cvm_json_str(entry, "description", ""), *help = cvm_json_str(expose, "help", NULL),
               *permission = cvm_json_str(expose, "permission", NULL), *command = cvm_json_str(expose, "cli", NULL);
    json_t *parameters = json_array(), *taken = json_object();
    json_t *made =
        json_pack("{s:o, s:s, s:o, s:[s]}", "operationId", operation_id(o, entry), "summary", help ? help : description,
                  "description",
                  json_sprintf("%s%sAnswered by %s, operation %s%s%s.", description, *description ? ". " : "",
                               cvm_json_str(entry, "component", ""), cvm_json_str(entry, "type", ""),
                               command ? "; the same as the command: cvmhost " : "", command ? command : ""),
                  "tags", cvm_json_str(entry, "component", ""));
    add_path_parameters(o, entry, path, parameters, taken);
    json_t *body = has_body ? request_body(o, entry, taken) : NULL;
    if (!has_body)
        add_query_parameters(o, entry, json_object_get(entry, "request"), parameters, taken, 0);
    if (cvm_json_bool(entry, "durable", false))
        json_array_append_new(parameters, ref_to("parameters", "IdempotencyKey"));
    if (json_array_size(parameters))
        json_object_set(made, "parameters", parameters);
    if (body)
        json_object_set_new(made, "requestBody", body);
    json_object_set_new(made, "responses", answers_of(o, entry));
    json_object_set_new(made, "security", security(o, permission));
    json_decref(parameters);
    json_decref(taken);
    return made;
}

static void add_entry(struct openapi *o, const json_t *entry)
{
    static const char *const known[][2] = {
        {"GET", "get"}, {"PUT", "put"}, {"POST", "post"}, {"DELETE", "delete"}, {"PATCH", "patch"}};
    const json_t *expose = json_object_get(entry, "expose");
    const char *path = cvm_json_str(expose, "path", NULL), *method = cvm_json_str(expose, "method", "");
    for (size_t i = 0; path && i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i][0], method) != 0)
            continue;
        path = document_path(o, path);
        if (!json_object_get(o->paths, path))
            json_object_set_new(o->paths, path, json_object());
        bool has_body = strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0;
        json_t *item = json_object_get(o->paths, path);
        if (!json_object_get(item, known[i][1]))
            json_object_set_new(item, known[i][1], route(o, entry, path, has_body));
        add_tag(o, entry);
        return;
    }
}

static json_t *own_route(const char *id, const char *summary, const char *type, json_t *schema)
{
    return json_pack("{s:{s:s, s:s, s:[s], s:[], s:{s:{s:s, s:o}}}}", "get", "operationId", id, "summary", summary,
                     "tags", "host", "security", "responses", "200", "description", summary, "content",
                     content(type, schema));
}

static void add_own(struct openapi *o)
{
    json_t *health =
        own_route("health", "Whether the host serves", "application/json",
                  json_pack("{s:s, s:[s], s:{s:{s:[s,s,s]}, s:{s:s}, s:{s:s, s:{s:s}}}}", "type", "object", "required",
                            "status", "properties", "status", "enum", "healthy", "degraded", "unhealthy", "reason",
                            "type", "string", "down", "type", "array", "items", "type", "string"));
    json_t *answers = json_object_get(json_object_get(health, "get"), "responses");
    json_t *sick = json_copy(json_object_get(answers, "200"));
    json_object_set_new(sick, "description", json_string("The host does not serve; the reason says why"));
    json_object_set_new(answers, "503", sick);
    json_array_append_new(o->tags, json_pack("{s:s, s:s}", "name", "host", "description", "Of the host itself"));
    json_object_set_new(o->paths, "/health", health);
    json_object_set_new(
        o->paths, "/metrics",
        own_route("metrics", "Counters in Prometheus text format", "text/plain", json_pack("{s:s}", "type", "string")));
    json_t *turn = own_route("show_turn", "A turn of the journal, as it is stored", "application/json",
                             json_pack("{s:s}", "type", "object"));
    json_object_set_new(json_object_get(turn, "get"), "parameters",
                        json_pack("[{s:s, s:s, s:b, s:{s:s, s:i}}]", "name", "turn", "in", "path", "required", true,
                                  "schema", "type", "integer", "minimum", 1));
    json_object_set_new(json_object_get(turn, "get"), "security", security(o, "read"));
    json_object_set_new(o->paths, "/api/v1/turns/{turn}", turn);
    json_t *turns = own_route("list_turns", "The turns of a conversation", "application/json",
                              json_pack("{s:s, s:[s]}", "type", "object", "required", "turns"));
    json_object_set_new(json_object_get(turns, "get"), "parameters",
                        json_pack("[{s:s, s:s, s:b, s:{s:s}}]", "name", "conversation", "in", "path", "required", true,
                                  "schema", "type", "string"));
    json_object_set_new(json_object_get(turns, "get"), "security", security(o, "read"));
    json_object_set_new(o->paths, "/api/v1/conversations/{conversation}/turns", turns);
    json_object_set_new(
        o->paths, OPENAPI_PATH,
        own_route("openapi", "This document", "application/json", json_pack("{s:s}", "type", "object")));
}

/* A stream, whose events OpenAPI cannot say more of than their topics. */
static void add_stream(struct openapi *o, const char *plugin, const json_t *stream)
{
    const char *path = strchr(cvm_json_str(stream, "rest", " /"), ' ') + 1;
    const char *description = cvm_json_str(stream, "description", "Server-sent events");
    char topics[1024] = "";
    const json_t *topic;
    size_t i, at = 0;
    json_array_foreach(json_object_get(stream, "topics"), i, topic)
    {
        int n = snprintf(topics + at, sizeof topics - at, "%s%s", i ? ", " : "", json_string_value(topic));
        at += n > 0 && (size_t)n < sizeof topics - at ? (size_t)n : 0;
    }
    json_t *entry = json_pack("{s:s, s:s}", "component", plugin, "type", path);
    json_t *made = json_pack(
        "{s:o, s:s, s:o, s:[s], s:[{s:s, s:s, s:s, s:{s:s}}], s:{s:{s:s, s:o}, s:o}, s:o}", "operationId",
        operation_id(o, entry), "summary", description, "description",
        json_sprintf("Server-sent events of plugin %s: \"event\" is one of %s, or \"reset\" where some may be missing.",
                     plugin, topics),
        "tags", "streams", "parameters", "name", "Last-Event-ID", "in", "header", "description",
        "the id of the last event that was read: those after it come first", "schema", "type", "string", "responses",
        "200", "description", "Events as they become durable, without an end", "content",
        content("text/event-stream", json_pack("{s:s}", "type", "string")), "503", ref_to("responses", "Busy"),
        "security", security(o, cvm_json_str(stream, "permission", NULL)));
    if (made && !json_object_get(o->paths, path))
        json_object_set_new(o->paths, path, json_object());
    if (made)
        json_object_set_new(json_object_get(o->paths, path), "get", made);
    json_decref(entry);
}

struct stream_of {
    const char *plugin;
    const json_t *stream;
};

static int by_rest(const void *a, const void *b)
{
    const struct stream_of *left = a, *right = b;
    return strcmp(cvm_json_str(left->stream, "rest", ""), cvm_json_str(right->stream, "rest", ""));
}

/* By path, for the same reason as the operations are sorted. */
static void add_streams(struct openapi *o)
{
    const char *plugin;
    json_t *document, *stream, *documents = json_object_get(o->catalogue, "documents");
    size_t i, n = 0;
    json_object_foreach(documents, plugin, document) n += json_array_size(json_object_get(document, "streams"));
    struct stream_of *all = n ? calloc(n, sizeof *all) : NULL;
    n = 0;
    json_object_foreach(documents, plugin, document)
    {
        json_array_foreach(json_object_get(document, "streams"), i, stream) if (all) all[n++] =
            (struct stream_of){plugin, stream};
    }
    if (n) {
        qsort(all, n, sizeof *all, by_rest);
        json_array_append_new(
            o->tags, json_pack("{s:s, s:s}", "name", "streams", "description", "What happens, told as it happens"));
    }
    for (i = 0; i < n; i++)
        add_stream(o, all[i].plugin, all[i].stream);
    free(all);
}

struct place {
    const char *component;
    size_t at;
};

static int by_component(const void *a, const void *b)
{
    const struct place *left = a, *right = b;
    int order = strcmp(left->component, right->component);
    return order ? order : (left->at > right->at) - (left->at < right->at);
}

/* By component, as declared: a running host and its files then give the same document. Gives a new array. */
static json_t *sorted(const json_t *operations)
{
    size_t n = json_array_size(operations);
    struct place *places = calloc(n + 1, sizeof *places);
    json_t *made = json_array();
    for (size_t i = 0; places && i < n; i++)
        places[i] = (struct place){cvm_json_str(json_array_get(operations, i), "component", ""), i};
    if (places)
        qsort(places, n, sizeof *places, by_component);
    for (size_t i = 0; places && i < n; i++)
        json_array_append(made, json_array_get(operations, places[i].at));
    free(places);
    return made;
}

json_t *openapi_of_catalogue(const json_t *catalogue, const struct openapi_options *options)
{
    struct openapi o = {.catalogue = catalogue,
                        .options = options,
                        .paths = json_object(),
                        .schemas = json_object(),
                        .tags = json_array(),
                        .shapes = json_object(),
                        .ids = json_pack("{s:b, s:b, s:b}", "health", 1, "metrics", 1, "openapi", 1),
                        .schema_names = json_object()};
    json_t *entries;
    const json_t *entry;
    size_t i;
    json_object_set_new(o.schemas, "Problem", problem_schema());
    add_own(&o);
    entries = sorted(json_object_get(catalogue, "operations"));
    json_array_foreach(entries, i, entry) add_entry(&o, entry);
    json_decref(entries);
    add_streams(&o);
    json_t *document =
        json_pack("{s:s, s:{s:s, s:s, s:s}, s:[{s:s}], s:O, s:O, s:o}", "openapi", "3.1.0", "info", "title",
                  options->title ? options->title : "cvmhost", "version", options->version, "description",
                  "The routes of the plugins that are loaded, and of the host. Routes come and go with their plugins.",
                  "servers", "url", "/", "tags", o.tags, "paths", o.paths, "components", components(&o));
    json_decref(o.paths);
    json_decref(o.schemas);
    json_decref(o.tags);
    json_decref(o.shapes);
    json_decref(o.ids);
    json_decref(o.schema_names);
    return document;
}

json_t *openapi_of_operations(const struct operation *operations, size_t n, const struct openapi_options *options)
{
    json_t *catalogue = catalogue_new();
    for (size_t i = 0; i < n; i++)
        if ((operations[i].decl->expose && operations[i].decl->expose->path) ||
            json_object_get(operations[i].document, "streams"))
            (void)catalogue_add(catalogue, &operations[i]);
    json_t *document = openapi_of_catalogue(catalogue, options);
    json_decref(catalogue);
    return document;
}
