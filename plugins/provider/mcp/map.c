/* See map.h. Servers answer in three ways: data beside the text (structuredContent), JSON as text, plain text. */
#include "map.h"

#include <stdio.h>

/* ---- arguments ---- */

/* The value of {name} in a template, or NULL: then it stands there as it is. */
static const char *value_of(const json_t *question, const char *name, size_t len)
{
    const char *query = cvm_json_str(question, "query", "");
    if (len == 5 && !memcmp(name, "query", 5))
        return query;
    if (len == 17 && !memcmp(name, "issue_description", 17))
        return cvm_json_str(question, "issue_description", query);
    if (len == 11 && !memcmp(name, "system_info", 11))
        return cvm_json_str(question, "system_info", "");
    return NULL;
}

/* A text cut after at most `most` bytes, not within a character. */
static size_t cut(const char *text, size_t len, size_t most)
{
    if (len <= most)
        return len;
    while (most && ((unsigned char)text[most] & 0xC0) == 0x80)
        most--;
    return most;
}

static json_t *fill_in(const char *template, const json_t *question)
{
    char text[MAP_ARGUMENT_MAX_BYTES + 1];
    size_t n = 0;
    for (const char *s = template; *s && n < MAP_ARGUMENT_MAX_BYTES;) {
        const char *close = *s == '{' ? strchr(s, '}') : NULL;
        const char *value = close ? value_of(question, s + 1, (size_t)(close - s - 1)) : NULL;
        if (!value) {
            text[n++] = *s++;
            continue;
        }
        size_t len = cut(value, strlen(value), MAP_ARGUMENT_MAX_BYTES - n);
        memcpy(text + n, value, len);
        n += len;
        s = close + 1;
    }
    return json_stringn(text, n);
}

json_t *map_template(const json_t *settings)
{
    json_t *template = json_object_get(settings, "arguments");
    return json_object_size(template) ? json_incref(template) : json_pack("{s:s}", "query", "{query}");
}

json_t *map_arguments(const json_t *template, const json_t *question)
{
    json_t *arguments = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t) template, name, value)
    {
        json_t *one = json_is_string(value) ? fill_in(json_string_value(value), question) : json_incref(value);
        json_object_set_new(arguments, name, one ? one : json_string(""));
    }
    return arguments;
}

static const char *type_of(const json_t *value)
{
    return json_is_string(value)    ? "string"
           : json_is_integer(value) ? "integer"
           : json_is_real(value)    ? "number"
           : json_is_boolean(value) ? "boolean"
           : json_is_array(value)   ? "array"
           : json_is_object(value)  ? "object"
                                    : "null";
}

static bool takes(const json_t *schema, const json_t *value)
{
    const char *wanted = cvm_json_str(schema, "type", ""),
               *given = type_of(value); /* a list of types: the server judges */
    return !*wanted || !strcmp(wanted, given) || (!strcmp(wanted, "number") && json_is_integer(value));
}

static void list_names(const json_t *object, char *ret_text, size_t size)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    ret_text[0] = 0;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) if (n + strlen(name) + 3 < size) n +=
        (size_t)snprintf(ret_text + n, size - n, "%s%s", n ? ", " : "", name);
}

bool map_fits(const json_t *schema, const json_t *template, char ret_fault[MAP_FAULT_SIZE])
{
    const json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required");
    const json_t *others = json_object_get(schema, "additionalProperties");
    const char *name;
    json_t *value;
    size_t i;
    char names[200];
    list_names(properties, names, sizeof names);
    json_object_foreach((json_t *)(uintptr_t) template, name, value)
    {
        const json_t *property = json_object_get(properties, name);
        if (!property && !json_is_true(others) && !json_is_object(others)) {
            snprintf(ret_fault, MAP_FAULT_SIZE, "the tool takes no \"%.60s\"; it takes: %s", name,
                     *names ? names : "nothing");
            return false;
        }
        if (!takes(property, value)) {
            snprintf(ret_fault, MAP_FAULT_SIZE, "the tool wants \"%.60s\" as %.20s, the template gives %s", name,
                     cvm_json_str(property, "type", ""), type_of(value));
            return false;
        }
    }
    json_array_foreach((json_t *)(uintptr_t)required, i,
                       value) if (json_is_string(value) && !json_object_get(template, json_string_value(value)))
    {
        snprintf(ret_fault, MAP_FAULT_SIZE, "the tool cannot do without \"%.60s\"; it takes: %s",
                 json_string_value(value), names);
        return false;
    }
    return true;
}

/* ---- results ---- */

struct mapping {
    const json_t *fields; /* document_id, source, relevance, text: the server's names of them */
    double relevance;     /* where the server says none */
    size_t top_k, bytes;
    json_t *results;
};

static const char *field(const struct mapping *m, const char *name)
{
    return cvm_json_str(m->fields, name, name);
}

/* Takes nothing; a text that is empty is no result. */
static void add(struct mapping *m, const char *id, const char *source, double relevance, const char *text)
{
    char made[32];
    size_t position = json_array_size(m->results) + 1, len = cut(text, strlen(text), MAP_TEXT_MAX_BYTES);
    if (!len || position > m->top_k || m->bytes + len > MAP_TEXTS_MAX_BYTES)
        return;
    m->bytes += len;
    snprintf(made, sizeof made, "mcp-%zu", position);
    relevance = relevance < 0 ? 0 : relevance > 1 ? 1 : relevance;
    json_t *shown = json_stringn(text, len);
    if (!shown)
        return;
    json_array_append_new(m->results,
                          json_pack("{s:s, s:i, s:s, s:f, s:f, s:O, s:[{s:O, s:f}]}", "document_id", *id ? id : made,
                                    "position", (int)position, "source", source, "relevance", relevance, "coverage",
                                    1.0, "text", shown, "passages", "text", shown, "relevance", relevance));
    json_decref(shown);
}

/* A member as text: an id may be a number. */
static const char *member(const json_t *object, const char *name, char buffer[32])
{
    const json_t *value = json_object_get(object, name);
    if (json_is_integer(value)) {
        snprintf(buffer, 32, "%lld", (long long)json_integer_value(value));
        return buffer;
    }
    return json_is_string(value) ? json_string_value(value) : "";
}

static void add_object(struct mapping *m, const json_t *one)
{
    char id[32], source[32];
    const json_t *relevance = json_object_get(one, field(m, "relevance"));
    const char *text = cvm_json_str(one, field(m, "text"), "");
    const char *document = member(one, field(m, "document_id"), id);
    char *whole = *text ? NULL : json_dumps(one, JSON_COMPACT); /* better all of it than nothing */
    const char *from = member(one, field(m, "source"), source);
    add(m, document, *from ? from : document, json_is_number(relevance) ? json_number_value(relevance) : m->relevance,
        whole ? whole : text);
    free(whole);
}

static void add_value(struct mapping *m, const json_t *value)
{
    const json_t *one;
    size_t i;
    if (json_is_string(value))
        add(m, "", "", m->relevance, json_string_value(value));
    else if (json_is_object(value))
        add_object(m, value);
    else
        json_array_foreach((json_t *)(uintptr_t)value, i, one) if (!json_is_array(one)) add_value(m, one);
}

/* "data.items": a member of a member; a number is a place in an array. NULL: there is none. */
static const json_t *at_path(const json_t *value, const char *path, char ret_fault[MAP_FAULT_SIZE])
{
    while (*path && value) {
        char name[64], names[200];
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)(len < 63 ? len : 63), path);
        char *end;
        size_t place = (size_t)strtoul(name, &end, 10);
        const json_t *next =
            json_is_array(value) && !*end && end > name ? json_array_get(value, place) : json_object_get(value, name);
        if (!next) {
            list_names(value, names, sizeof names);
            snprintf(ret_fault, MAP_FAULT_SIZE, "the tool's answer has no \"%s\"; there it has: %s", name,
                     *names ? names : type_of(value));
        }
        value = next;
        path += len + (path[len] == '.');
    }
    return value;
}

/* Results in data. Without a path: an array, or the member "results", or the data as a whole. */
static bool add_data(struct mapping *m, const char *path, const json_t *data, char ret_fault[MAP_FAULT_SIZE])
{
    const json_t *found = *path ? at_path(data, path, ret_fault) : json_object_get(data, "results");
    if (*path && !found)
        return false;
    add_value(m, found ? found : data);
    return true;
}

static void add_content(struct mapping *m, const json_t *item)
{
    const char *type = cvm_json_str(item, "type", "");
    const json_t *resource = !strcmp(type, "resource") ? json_object_get(item, "resource") : item;
    const char *uri = cvm_json_str(resource, "uri", "");
    if (!strcmp(type, "text"))
        add(m, "", "", m->relevance, cvm_json_str(item, "text", ""));
    else if (!strcmp(type, "resource"))
        add(m, uri, uri, m->relevance, cvm_json_str(resource, "text", ""));
    else if (!strcmp(type, "resource_link"))
        add(m, uri, uri, m->relevance, cvm_json_str(item, "description", cvm_json_str(item, "name", "")));
}

/* The JSON in a text, or NULL. */
static json_t *json_in(const json_t *item)
{
    const char *text = !strcmp(cvm_json_str(item, "type", ""), "text") ? cvm_json_str(item, "text", "") : "";
    text += strspn(text, " \t\r\n");
    return *text == '{' || *text == '[' ? json_loads(text, 0, NULL) : NULL;
}

json_t *map_results(const json_t *settings, const json_t *result, size_t top_k, char ret_fault[MAP_FAULT_SIZE])
{
    const json_t *data = json_object_get(result, "structuredContent"), *content = json_object_get(result, "content");
    const json_t *relevance = json_object_get(settings, "relevance"), *item;
    const char *path = cvm_json_str(settings, "result", "");
    struct mapping m = {.fields = json_object_get(settings, "fields"),
                        .relevance = json_is_number(relevance) ? json_number_value(relevance) : 0.5,
                        .top_k = top_k < 1                 ? 1
                                 : top_k > MAP_RESULTS_MAX ? MAP_RESULTS_MAX
                                                           : top_k,
                        .results = json_array()};
    bool good = true, any_data = data && !json_is_null(data);
    size_t i;
    if (any_data)
        good = add_data(&m, path, data, ret_fault);
    json_array_foreach((json_t *)(uintptr_t)content, i, item)
    {
        json_t *inside = any_data ? NULL : json_in(item);
        if (inside) {
            good = good && add_data(&m, path, inside, ret_fault);
        } else if (!any_data && *path && !strcmp(cvm_json_str(item, "type", ""), "text")) {
            snprintf(ret_fault, MAP_FAULT_SIZE, "the tool answers with plain text, in which nothing can be named");
            good = false;
        } else if (!any_data) {
            add_content(&m, item);
        }
        json_decref(inside);
    }
    if (good)
        return json_pack("{s:o, s:[]}", "results", m.results, "topics");
    json_decref(m.results);
    return NULL;
}

void map_text(const json_t *result, char *ret_text, size_t size)
{
    const json_t *item;
    size_t i;
    snprintf(ret_text, size, "without saying why");
    json_array_foreach(json_object_get(result, "content"), i, item)
    {
        const char *text = cvm_json_str(item, "text", "");
        if (*text) {
            snprintf(ret_text, size, "%.*s", (int)cut(text, strlen(text), size - 1), text);
            return;
        }
    }
}
