/* See check.h. */
#include "check.h"

#include <math.h>
#include <stdio.h>

#define DEPTH_MAX 32

struct checking {
    const json_t *root;
    char *text;
};

static bool wrong(const struct checking *c, const char *path, const char *what)
{
    snprintf(c->text, CHECK_TEXT_SIZE, "%.120s: %.120s", *path ? path : "the answer", what);
    return false;
}

static const json_t *resolve(const json_t *root, const json_t *schema)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        const char *ref = cvm_json_str(schema, "$ref", "");
        if (strncmp(ref, "#/$defs/", 8) != 0)
            return schema;
        schema = json_object_get(json_object_get(root, "$defs"), ref + 8);
    }
    return NULL;
}

static bool is_type(const json_t *value, const char *type)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return !strcmp(type, "object");
    case JSON_ARRAY:
        return !strcmp(type, "array");
    case JSON_STRING:
        return !strcmp(type, "string");
    case JSON_INTEGER:
        return !strcmp(type, "integer") || !strcmp(type, "number");
    case JSON_REAL:
        return !strcmp(type, "number") ||
               (!strcmp(type, "integer") && floor(json_real_value(value)) == json_real_value(value));
    case JSON_TRUE:
    case JSON_FALSE:
        return !strcmp(type, "boolean");
    default:
        return !strcmp(type, "null");
    }
}

static bool has_type(const json_t *type, const json_t *value)
{
    if (json_is_string(type))
        return is_type(value, json_string_value(type));
    for (size_t i = 0; i < json_array_size(type); i++)
        if (json_is_string(json_array_get(type, i)) && is_type(value, json_string_value(json_array_get(type, i))))
            return true;
    return !json_is_array(type);
}

static bool check(const struct checking *c, const json_t *schema, const json_t *value, const char *path, int depth);

static bool check_object(const struct checking *c, const json_t *schema, const json_t *value, const char *path,
                         int depth)
{
    const json_t *properties = json_object_get(schema, "properties"), *required = json_object_get(schema, "required");
    const json_t *additional = json_object_get(schema, "additionalProperties");
    const char *key;
    json_t *member;
    char at[160];
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        snprintf(at, sizeof at, "%s.%.60s", path, name ? name : "");
        if (name && !json_object_get(value, name))
            return wrong(c, *path ? at : at + 1, "is missing");
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        const json_t *its = json_object_get(properties, key);
        snprintf(at, sizeof at, "%s%s%.60s", path, *path ? "." : "", key);
        if (!its && json_is_false(additional))
            return wrong(c, at, "is not allowed");
        its = its ? its : json_is_object(additional) ? additional : NULL;
        if (its && !check(c, its, member, at, depth + 1))
            return false;
    }
    return true;
}

static bool check_array(const struct checking *c, const json_t *schema, const json_t *value, const char *path,
                        int depth)
{
    const json_t *items = json_object_get(schema, "items");
    size_t i;
    json_t *item;
    char at[160];
    if ((int64_t)json_array_size(value) < cvm_json_int(schema, "minItems", 0) ||
        (int64_t)json_array_size(value) > cvm_json_int(schema, "maxItems", INT64_MAX))
        return wrong(c, path, "has too few or too many items");
    json_array_foreach((json_t *)(uintptr_t)value, i, item)
    {
        snprintf(at, sizeof at, "%.140s[%zu]", path, i);
        if (items && !check(c, items, item, at, depth + 1))
            return false;
    }
    return true;
}

static bool check_bounds(const struct checking *c, const json_t *schema, const json_t *value, const char *path)
{
    const json_t *least = json_object_get(schema, "minimum"), *most = json_object_get(schema, "maximum");
    if (json_is_number(value) && ((json_is_number(least) && json_number_value(value) < json_number_value(least)) ||
                                  (json_is_number(most) && json_number_value(value) > json_number_value(most))))
        return wrong(c, path, "is out of bounds");
    if (!json_is_string(value))
        return true;
    int64_t n = 0;
    for (const char *s = json_string_value(value); *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    if (n < cvm_json_int(schema, "minLength", 0) || n > cvm_json_int(schema, "maxLength", INT64_MAX))
        return wrong(c, path, "is too short or too long");
    return true;
}

static bool is_among(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), value))
            return true;
    return false;
}

static bool fits_any(const struct checking *c, const json_t *any, const json_t *value, const char *path, int depth)
{
    for (size_t i = 0; i < json_array_size(any); i++)
        if (check(c, json_array_get(any, i), value, path, depth + 1)) {
            c->text[0] = 0; /* what did not fit the others is no fault */
            return true;
        }
    return wrong(c, path, "fits none of the forms it may have");
}

static bool check(const struct checking *c, const json_t *schema, const json_t *value, const char *path, int depth)
{
    const json_t *type, *any, *one;
    schema = resolve(c->root, schema);
    if (!schema || depth > DEPTH_MAX)
        return wrong(c, path, "is nested too deep");
    type = json_object_get(schema, "type");
    any = json_object_get(schema, "anyOf");
    one = json_object_get(schema, "const");
    if (type && !has_type(type, value))
        return wrong(c, path, "has the wrong type");
    if ((json_object_get(schema, "enum") && !is_among(json_object_get(schema, "enum"), value)) ||
        (one && !json_equal(one, value)))
        return wrong(c, path, "is none of the values it may have");
    if (any && !fits_any(c, any, value, path, depth))
        return false;
    if (json_is_object(value) && !check_object(c, schema, value, path, depth))
        return false;
    if (json_is_array(value) && !check_array(c, schema, value, path, depth))
        return false;
    return check_bounds(c, schema, value, path);
}

bool check_value(const json_t *schema, const json_t *value, char ret_text[CHECK_TEXT_SIZE])
{
    struct checking c = {schema, ret_text};
    ret_text[0] = 0;
    return check(&c, schema, value, "", 0);
}

static bool strict(const json_t *schema, int depth)
{
    const json_t *properties = json_object_get(schema, "properties"), *any = json_object_get(schema, "anyOf");
    const char *key;
    json_t *member;
    if (depth > DEPTH_MAX)
        return false;
    if (properties && (!json_is_false(json_object_get(schema, "additionalProperties")) ||
                       json_array_size(json_object_get(schema, "required")) != json_object_size(properties)))
        return false;
    if (!properties && !strcmp(cvm_json_str(schema, "type", ""), "object"))
        return false;
    json_object_foreach((json_t *)(uintptr_t)properties, key, member)
    {
        if (!strict(member, depth + 1))
            return false;
    }
    json_object_foreach(json_object_get(schema, "$defs"), key, member)
    {
        if (!strict(member, depth + 1))
            return false;
    }
    for (size_t i = 0; i < json_array_size(any); i++)
        if (!strict(json_array_get(any, i), depth + 1))
            return false;
    return !json_is_object(json_object_get(schema, "items")) || strict(json_object_get(schema, "items"), depth + 1);
}

bool check_is_strict(const json_t *schema)
{
    return json_is_object(schema) && strict(schema, 0);
}
