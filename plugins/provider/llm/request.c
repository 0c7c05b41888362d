/* Chat requests in the form that OpenAI-compatible servers take. A structured answer is asked for by response_format,
 * by a tool, or by an object and the schema in words, whatever the server knows; it is never looked for in prose. Pure.
 */
#include "check.h"
#include "llm.h"

#include <stdio.h>

#define BYTES_PER_TOKEN 3 /* fewer than models need, so that a budget is not passed */
#define MAX_TOKENS 1024
#define NAME_MAX_BYTES 64

/* A name as servers take it. */
static json_t *name_of(const char *text)
{
    char name[NAME_MAX_BYTES + 1];
    size_t n = 0;
    for (; *text && n < NAME_MAX_BYTES; text++)
        name[n++] = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                            (*text >= '0' && *text <= '9') || *text == '-'
                        ? *text
                        : '_';
    name[n] = 0;
    return json_string(n ? name : "answer");
}

static json_t *message(const json_t *given)
{
    static const char *const members[] = {"role", "content", "name", "tool_call_id"};
    const json_t *calls = json_object_get(given, "tool_calls");
    json_t *made = json_object(), *list;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_object_get(given, members[i]))
            json_object_set(made, members[i], json_object_get(given, members[i]));
    if (!json_array_size(calls))
        return made;
    list = json_array();
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *c = json_array_get(calls, i);
        char *arguments = json_dumps(json_object_get(c, "arguments"), JSON_COMPACT | JSON_ENCODE_ANY);
        json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s, s:s}}", "id", cvm_json_str(c, "id", ""), "type",
                                              "function", "function", "name", cvm_json_str(c, "name", ""), "arguments",
                                              arguments ? arguments : "{}"));
        free(arguments);
    }
    json_object_set_new(made, "tool_calls", list);
    if (!json_object_get(made, "content"))
        json_object_set_new(made, "content", json_null());
    return made;
}

static json_t *function(const char *name, const char *description, const json_t *parameters)
{
    return json_pack("{s:s, s:{s:o, s:s, s:o, s:b}}", "type", "function", "function", "name", name_of(name),
                     "description", description, "parameters",
                     parameters ? cvm_json_share(parameters) : json_pack("{s:s, s:{}}", "type", "object", "properties"),
                     "strict", check_is_strict(parameters));
}

static void put_tools(json_t *body, const json_t *tools, const char *choice)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        json_array_append_new(list, function(cvm_json_str(tool, "name", ""), cvm_json_str(tool, "description", ""),
                                             json_object_get(tool, "parameters")));
    }
    json_object_set_new(body, "tools", list);
    json_object_set_new(body, "tool_choice", json_string(choice));
}

static void put_schema(json_t *body, const json_t *schema, const char *name, const char *how)
{
    if (!strcmp(how, "tool")) {
        json_object_set_new(body, "tools", json_pack("[o]", function(name, "Gives the answer", schema)));
        json_object_set_new(body, "tool_choice",
                            json_pack("{s:s, s:{s:o}}", "type", "function", "function", "name", name_of(name)));
    } else if (!strcmp(how, "json_object")) {
        char *text = json_dumps(schema, JSON_COMPACT);
        json_array_insert_new(
            json_object_get(body, "messages"), 0,
            json_pack("{s:s, s:o}", "role", "system", "content",
                      json_sprintf("Answer with one JSON object that fits this JSON Schema: %s", text ? text : "{}")));
        json_object_set_new(body, "response_format", json_pack("{s:s}", "type", "json_object"));
        free(text);
    } else {
        json_object_set_new(body, "response_format",
                            json_pack("{s:s, s:{s:o, s:O, s:b}}", "type", "json_schema", "json_schema", "name",
                                      name_of(name), "schema", schema, "strict", check_is_strict(schema)));
    }
}

json_t *request_body(const json_t *request, const struct llm_form *form)
{
    const json_t *messages = json_object_get(request, "messages"), *tools = json_object_get(request, "tools");
    const json_t *schema = json_object_get(request, "schema"), *temperature = json_object_get(request, "temperature");
    json_t *list = json_array(), *body;
    for (size_t i = 0; i < json_array_size(messages); i++)
        json_array_append_new(list, message(json_array_get(messages, i)));
    body = json_pack("{s:s, s:o}", "model", form->model, "messages", list);
    if (!body)
        return NULL;
    if (json_is_number(temperature))
        json_object_set_new(body, "temperature", cvm_json_share(temperature));
    if (*form->max_tokens_member)
        json_object_set_new(body, form->max_tokens_member,
                            json_integer(cvm_json_int(request, "max_tokens", MAX_TOKENS)));
    if (json_array_size(tools)) {
        bool last = cvm_json_int(request, "iteration", 0) >= cvm_json_int(request, "max_iterations", 3);
        put_tools(body, tools, last ? "none" : cvm_json_str(request, "tool_choice", "auto"));
    }
    if (schema)
        put_schema(body, schema, cvm_json_str(request, "schema_name", "answer"),
                   json_array_size(tools) && !strcmp(form->structured, "tool") ? "json_object" : form->structured);
    if (form->stream) {
        json_object_set_new(body, "stream", json_true());
        json_object_set_new(body, "stream_options", json_pack("{s:b}", "include_usage", 1));
    }
    return body;
}

int64_t request_tokens(const json_t *request)
{
    static const char *const members[] = {"messages", "tools", "schema"};
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *part = json_object_get(request, members[i]);
        bytes += part ? json_dumpb(part, NULL, 0, JSON_COMPACT) : 0;
    }
    return (int64_t)(bytes / BYTES_PER_TOKEN) + 1;
}
