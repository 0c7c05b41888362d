/* Takes a schema apart into what it demands together. A part that is left out only makes a comparison more careful. */
#include "core/schema_parts.h"

static void add(const json_t *document, const json_t *schema, struct parts *parts, unsigned depth)
{
    const json_t *one;
    size_t i;
    if (json_is_false(schema))
        parts->never = true;
    if (!json_is_object(schema) || parts->n == PARTS_MAX || depth == 0)
        return;
    parts->at[parts->n++] = schema;
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    if (ref && *ref == '#')
        add(document, schema_pointer(document, ref + 1), parts, depth - 1);
    json_array_foreach(json_object_get(schema, "allOf"), i, one)
    {
        add(document, one, parts, depth - 1);
    }
}

void parts_add(const json_t *document, const json_t *schema, struct parts *parts)
{
    add(document, schema, parts, SCHEMA_DEPTH_MAX);
}

/* What holds for the items. */
struct parts parts_of_items(const json_t *document, const struct parts *parts)
{
    struct parts items = {.n = 0};
    for (size_t i = 0; i < parts->n; i++)
        parts_add(document, json_object_get(parts->at[i], "items"), &items);
    return items;
}

/* Whether a name that no pattern of `beside` matches is matched by none of `patterns`. */
static bool no_pattern_matches(const json_t *patterns, const json_t *beside)
{
    const char *pattern;
    json_t *unused;
    json_object_foreach((json_t *)patterns, pattern, unused)
    {
        if (!json_object_get(beside, pattern))
            return false;
    }
    return true;
}

/* What holds for the member `name`; NULL: for any that no part names. `beside`: patterns that it surely does not
 * match. */
struct parts parts_of_member(const json_t *document, const struct parts *parts, const char *name, const json_t *beside)
{
    struct parts member = {.n = 0};
    for (size_t i = 0; i < parts->n; i++) {
        const json_t *part = parts->at[i];
        const json_t *declared = name ? json_object_get(json_object_get(part, "properties"), name) : NULL;
        if (!declared && no_pattern_matches(json_object_get(part, "patternProperties"), beside))
            declared = json_object_get(part, "additionalProperties");
        parts_add(document, declared, &member);
    }
    return member;
}

bool parts_require(const struct parts *parts, const char *name)
{
    const json_t *one;
    size_t k;
    for (size_t i = 0; i < parts->n; i++)
        json_array_foreach(json_object_get(parts->at[i], "required"), k, one)
        {
            if (strcmp(json_string_value(one), name) == 0)
                return true;
        }
    return false;
}

static unsigned types_named(const json_t *type)
{
    static const char *const names[] = {"null", "boolean", "object", "array", "string", "number", "integer"};
    const json_t *one;
    size_t k;
    unsigned types = 0;
    for (unsigned i = 0; i < 7 && json_is_string(type); i++)
        if (strcmp(json_string_value(type), names[i]) == 0)
            types = i == 5 ? TYPE_NUMBER | TYPE_INTEGER : 1u << i;
    json_array_foreach(type, k, one)
    {
        types |= types_named(one);
    }
    return types;
}

unsigned schema_types_named(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    return type ? types_named(type) : TYPE_ANY;
}

unsigned parts_types(const struct parts *parts)
{
    unsigned types = TYPE_ANY;
    for (size_t i = 0; i < parts->n; i++)
        types &= schema_types_named(parts->at[i]);
    return types;
}

const json_t *parts_keyword(const struct parts *parts, const char *keyword)
{
    for (size_t i = 0; i < parts->n; i++) {
        const json_t *value = json_object_get(parts->at[i], keyword);
        if (value)
            return value;
    }
    return NULL;
}
