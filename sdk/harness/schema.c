/* The part of JSON Schema that catches what a plugin's author gets wrong: types, required and unknown members, lengths,
 * bounds, patterns, fixed values. Combinations ("anyOf" and its kin) are left to the host. Pure. */
#include "private.h"

#include <stdio.h>

#define DEPTH_MAX 32

struct checking {
    const json_t *manifest;
    char *field, *text;
};

static const json_t *resolve(const json_t *manifest, const json_t *schema)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        const char *ref = cvm_json_str(schema, "$ref", "");
        if (strncmp(ref, "#/schemas/", 10) != 0)
            return schema;
        schema = json_object_get(json_object_get(manifest, "schemas"), ref + 10);
        if (!schema)
            harness__die("the manifest has no schema %s", ref);
    }
    return NULL;
}

static int wrong(const struct checking *c, const char *path, const char *text)
{
    snprintf(c->field, 160, "%s", *path == '.' ? path + 1 : path);
    snprintf(c->text, 160, "%s", text);
    return CVM_EINVAL;
}

static bool is_type(const json_t *value, const char *type)
{
    static const struct {
        const char *name;
        json_type type;
    } types[] = {{"object", JSON_OBJECT},
                 {"array", JSON_ARRAY},
                 {"string", JSON_STRING},
                 {"null", JSON_NULL},
                 {"integer", JSON_INTEGER}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].name) == 0)
            return json_typeof(value) == types[i].type;
    return strcmp(type, "number") == 0 ? json_is_number(value) : strcmp(type, "boolean") == 0 && json_is_boolean(value);
}

static int check_type(const struct checking *c, const json_t *type, const json_t *value, const char *path)
{
    char text[160];
    bool good = !type;
    if (json_is_string(type))
        good = is_type(value, json_string_value(type));
    for (size_t i = 0; i < json_array_size(type); i++)
        good = good || is_type(value, json_string_value(json_array_get(type, i)));
    if (good)
        return CVM_OK;
    snprintf(text, sizeof text, "has another type than %s",
             json_is_string(type) ? json_string_value(type) : "those allowed");
    return wrong(c, path, text);
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static int check_bounds(const struct checking *c, const json_t *schema, const json_t *value, const char *path)
{
    double size = json_is_string(value)   ? (double)characters(json_string_value(value))
                  : json_is_array(value)  ? (double)json_array_size(value)
                  : json_is_number(value) ? json_number_value(value)
                                          : 0;
    const char *least = json_is_string(value)   ? "minLength"
                        : json_is_array(value)  ? "minItems"
                        : json_is_number(value) ? "minimum"
                                                : NULL;
    const char *most = json_is_string(value) ? "maxLength" : json_is_array(value) ? "maxItems" : "maximum";
    const json_t *low = least ? json_object_get(schema, least) : NULL,
                 *high = least ? json_object_get(schema, most) : NULL;
    if (low && size < json_number_value(low))
        return wrong(c, path, "is smaller than the schema allows");
    if (high && size > json_number_value(high))
        return wrong(c, path, "is larger than the schema allows");
    return CVM_OK;
}

static int check(const struct checking *c, const json_t *schema, const json_t *value, const char *path, int depth);

static int check_object(const struct checking *c, const json_t *schema, const json_t *object, const char *path,
                        int depth)
{
    const json_t *required = json_object_get(schema, "required"), *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    char at[160], text[160];
    const char *key;
    json_t *value;
    for (size_t i = 0; i < json_array_size(required); i++) {
        snprintf(at, sizeof at, "%s.%s", path, json_string_value(json_array_get(required, i)));
        if (!json_object_get(object, json_string_value(json_array_get(required, i))))
            return wrong(c, at, "is missing");
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const json_t *of = json_object_get(properties, key);
        snprintf(at, sizeof at, "%s.%s", path, key);
        snprintf(text, sizeof text, "is unknown");
        if (!of && json_is_false(others))
            return wrong(c, at, text);
        if (of || json_is_object(others))
            CVM_TRY(check(c, of ? of : others, value, at, depth + 1));
    }
    return CVM_OK;
}

static int check(const struct checking *c, const json_t *schema, const json_t *value, const char *path, int depth)
{
    schema = resolve(c->manifest, schema);
    if (!schema || json_is_true(schema) || depth > DEPTH_MAX)
        return CVM_OK;
    if (json_is_false(schema))
        return wrong(c, path, "is not allowed");
    const json_t *choices = json_object_get(schema, "enum"), *fixed = json_object_get(schema, "const");
    bool found = !choices;
    for (size_t i = 0; i < json_array_size(choices); i++)
        found = found || json_equal(json_array_get(choices, i), value);
    if (!found || (fixed && !json_equal(fixed, value)))
        return wrong(c, path, "is none of the values allowed");
    CVM_TRY(check_type(c, json_object_get(schema, "type"), value, path));
    CVM_TRY(check_bounds(c, schema, value, path));
    const char *pattern = cvm_json_str(schema, "pattern", NULL);
    cvm_span span;
    if (pattern && json_is_string(value) && harness__match(pattern, false, json_string_value(value), 0, &span, 1) < 0)
        return wrong(c, path, cvm_json_str(schema, "title", "does not match the pattern"));
    for (size_t i = 0; json_object_get(schema, "items") && i < json_array_size(value); i++) {
        char at[160];
        snprintf(at, sizeof at, "%s[%zu]", path, i);
        CVM_TRY(check(c, json_object_get(schema, "items"), json_array_get(value, i), at, depth + 1));
    }
    return json_is_object(value) ? check_object(c, schema, value, path, depth) : CVM_OK;
}

int harness__schema(const json_t *manifest, const json_t *schema, const json_t *value, char ret_field[160],
                    char ret_text[160])
{
    struct checking c = {manifest, ret_field, ret_text};
    return schema ? check(&c, schema, value, "", 0) : CVM_OK;
}
