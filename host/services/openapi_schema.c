/* Schemas of manifests as an OpenAPI document has them. Both are JSON Schema 2020-12, so only references and names
 * change. Owns nothing. */
#include "services/openapi_private.h"

#include "core/schema.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 256

char *openapi__key(const char *text, const char *also, const json_t *taken)
{
    size_t len = strlen(text);
    char *key = malloc(len + 16);
    if (!key)
        return NULL;
    for (size_t i = 0; i <= len; i++) {
        char c = text[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(also, c);
        key[i] = plain ? c : '_'; /* strchr finds the end, too */
    }
    for (int n = 2; json_object_get(taken, key); n++)
        snprintf(key + len, 16, "_%d", n);
    return key;
}

/* ---- references ---- */

static const json_t *document_of(const struct openapi *o, const char *plugin)
{
    return json_object_get(json_object_get(o->catalogue, "documents"), plugin);
}

const json_t *openapi__resolve(const struct openapi *o, const char *plugin, const json_t *schema)
{
    return schema ? schema_resolve(document_of(o, plugin), schema) : NULL;
}

/* The first step of a JSON pointer in a URI fragment (RFC 6901, section 6), decoded. Gives what follows; NULL: it is
 * too long. */
static const char *first_step(const char *at, char ret_name[NAME_MAX_BYTES])
{
    size_t n = 0;
    for (; *at && *at != '/'; at++) {
        char c = *at;
        if (c == '%' && at[1] && strspn(at + 1, "0123456789abcdefABCDEF") >= 2) {
            char digits[3] = {at[1], at[2], 0};
            c = (char)strtol(digits, NULL, 16);
            at += 2;
        } else if (c == '~' && (at[1] == '0' || at[1] == '1')) {
            c = *++at == '0' ? '~' : '/';
        }
        if (n + 1 >= NAME_MAX_BYTES)
            return NULL;
        ret_name[n++] = c;
    }
    ret_name[n] = 0;
    return at;
}

/* The key of a named schema of a plugin, which is added to the document the first time. Borrowed; NULL: there is no
 * such schema. */
static const char *component_of(struct openapi *o, const char *plugin, const char *name, int depth)
{
    char known[NAME_MAX_BYTES * 2], text[NAME_MAX_BYTES * 2];
    snprintf(known, sizeof known, "%s %s", plugin, name);
    const char *there = json_string_value(json_object_get(o->schema_names, known));
    const json_t *schema = json_object_get(json_object_get(document_of(o, plugin), "schemas"), name);
    if (there || !schema)
        return there;
    snprintf(text, sizeof text, "%s.%s", plugin, name);
    char *key = openapi__key(text, "._-", o->schemas);
    if (!key)
        return NULL;
    json_object_set_new(o->schema_names, known, json_string(key));
    json_object_set_new(o->schemas, key, json_object()); /* taken before its own references are followed */
    json_object_set_new(o->schemas, key, openapi__schema(o, plugin, schema, depth + 1));
    free(key);
    return json_string_value(json_object_get(o->schema_names, known));
}

static json_t *reference(struct openapi *o, const char *plugin, const char *ref, int depth)
{
    static const char place[] = "#/schemas/";
    char name[NAME_MAX_BYTES];
    const char *rest = strncmp(ref, place, strlen(place)) == 0 ? first_step(ref + strlen(place), name) : NULL;
    const char *key = rest ? component_of(o, plugin, name, depth) : NULL;
    return key ? json_sprintf("#/components/schemas/%s%s", key, rest) : NULL;
}

/* ---- schemas ---- */

enum holds { VALUE, SCHEMA, SCHEMA_LIST, SCHEMA_MEMBERS, NOTHING };

/* What stands under a keyword. "$id" would change what references are relative to. */
static enum holds held_by(const char *keyword)
{
    static const struct {
        const char *keyword;
        enum holds holds;
    } table[] = {
        {"items", SCHEMA},      {"additionalProperties", SCHEMA}, {"allOf", SCHEMA_LIST},    {"anyOf", SCHEMA_LIST},
        {"oneOf", SCHEMA_LIST}, {"properties", SCHEMA_MEMBERS},   {"$defs", SCHEMA_MEMBERS}, {"$id", NOTHING},
        {"$schema", NOTHING}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(keyword, table[i].keyword) == 0)
            return table[i].holds;
    return VALUE;
}

static json_t *keyword_value(struct openapi *o, const char *plugin, const char *keyword, const json_t *value, int depth)
{
    json_t *made;
    const json_t *one;
    const char *name;
    size_t i;
    switch (held_by(keyword)) {
    case SCHEMA:
        return openapi__schema(o, plugin, value, depth + 1);
    case SCHEMA_LIST:
        made = json_array();
        json_array_foreach(value, i, one) json_array_append_new(made, openapi__schema(o, plugin, one, depth + 1));
        return made;
    case SCHEMA_MEMBERS:
        made = json_object();
        for (void *it = json_object_iter((json_t *)(uintptr_t)value); it;
             it = json_object_iter_next((json_t *)(uintptr_t)value, it)) {
            name = json_object_iter_key(it);
            json_object_set_new(made, name, openapi__schema(o, plugin, json_object_iter_value(it), depth + 1));
        }
        return made;
    case NOTHING:
        return NULL;
    case VALUE:
        break;
    }
    if (strcmp(keyword, "$ref") == 0)
        return reference(o, plugin, json_string_value(value) ? json_string_value(value) : "", depth);
    return cvm_json_share(value);
}

json_t *openapi__schema(struct openapi *o, const char *plugin, const json_t *schema, int depth)
{
    if (!json_is_object(schema) || depth > OPENAPI_DEPTH_MAX)
        return json_is_false(schema) ? json_false() : json_object();
    json_t *made = json_object(), *value;
    const char *keyword;
    json_object_foreach((json_t *)(uintptr_t)schema, keyword, value)
    {
        json_t *written = keyword_value(o, plugin, keyword, value, depth);
        if (written)
            json_object_set_new(made, keyword, written);
    }
    return made;
}

/* ---- requests at the edge ---- */

const char *openapi__edge_name(const json_t *rename, const char *member)
{
    const char *name;
    json_t *to;
    json_object_foreach((json_t *)(uintptr_t)rename, name, to)
    {
        if (json_is_string(to) && strcmp(json_string_value(to), member) == 0)
            return name;
    }
    return member;
}

static json_t *edge_members(struct openapi *o, const json_t *entry, const json_t *except, const json_t *properties,
                            int depth)
{
    const json_t *rename = json_object_get(json_object_get(entry, "expose"), "rename");
    const char *plugin = cvm_json_str(entry, "plugin", ""), *name;
    json_t *made = json_object(), *schema;
    json_object_foreach((json_t *)(uintptr_t)properties, name, schema)
    {
        if (!json_object_get(except, name))
            json_object_set_new(made, openapi__edge_name(rename, name), openapi__schema(o, plugin, schema, depth + 1));
    }
    return made;
}

static json_t *edge_required(const json_t *entry, const json_t *except, const json_t *required)
{
    const json_t *rename = json_object_get(json_object_get(entry, "expose"), "rename"), *one;
    json_t *made = json_array();
    size_t i;
    json_array_foreach(required, i, one)
    {
        const char *name = json_string_value(one);
        if (name && !json_object_get(except, name))
            json_array_append_new(made, json_string(openapi__edge_name(rename, name)));
    }
    if (json_array_size(made))
        return made;
    json_decref(made);
    return NULL;
}

/* References are followed, not kept: under the same name the members would have other names. */
static json_t *edge_schema(struct openapi *o, const json_t *entry, const json_t *except, const json_t *schema,
                           int depth)
{
    const char *plugin = cvm_json_str(entry, "plugin", ""), *keyword;
    schema = openapi__resolve(o, plugin, schema);
    if (!json_is_object(schema) || depth > OPENAPI_DEPTH_MAX / 4)
        return openapi__schema(o, plugin, schema, depth);
    json_t *made = json_object(), *value;
    const json_t *one;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)schema, keyword, value)
    {
        json_t *written;
        if (strcmp(keyword, "properties") == 0) {
            written = edge_members(o, entry, except, value, depth);
        } else if (strcmp(keyword, "required") == 0) {
            written = edge_required(entry, except, value);
        } else if (held_by(keyword) == SCHEMA_LIST) {
            written = json_array();
            json_array_foreach(value, i, one)
                json_array_append_new(written, edge_schema(o, entry, except, one, depth + 1));
        } else {
            written = keyword_value(o, plugin, keyword, value, depth);
        }
        if (written)
            json_object_set_new(made, keyword, written);
    }
    return made;
}

json_t *openapi__body(struct openapi *o, const json_t *entry, const json_t *except)
{
    const json_t *request = json_object_get(entry, "request");
    const json_t *rename = json_object_get(json_object_get(entry, "expose"), "rename");
    if (!request)
        return json_pack("{s:s}", "type", "object");
    if (json_object_size(rename) || json_object_size(except))
        return edge_schema(o, entry, except, request, 0);
    return openapi__schema(o, cvm_json_str(entry, "plugin", ""), request, 0);
}
