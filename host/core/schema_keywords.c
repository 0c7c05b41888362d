/* The keywords of a schema, and how each becomes part of a node; those of objects are in schema_object.c. Loop thread.
 */
#include "core/schema_compiler.h"

#include <cvm/cvm.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int compiler_extra(struct node *node, struct extra **ret_extra)
{
    if (!node->extra) {
        node->extra = calloc(1, sizeof *node->extra);
        if (!node->extra)
            return CVM_ENOMEM;
        node->extra->max_members = SIZE_MAX;
        node->has |= HAS_EXTRA;
    }
    *ret_extra = node->extra;
    return 0;
}

static int type_bit(const json_t *name)
{
    static const char *const names[] = {"null", "boolean", "object", "array", "string", "number", "integer"};
    for (int i = 0; i < 7 && json_is_string(name); i++)
        if (strcmp(json_string_value(name), names[i]) == 0)
            return i == 5 ? TYPE_NUMBER | TYPE_INTEGER : 1 << i;
    return 0;
}

static int key_type(struct compiler *c, struct node *node, const json_t *value)
{
    const json_t *name;
    size_t i;
    int types = type_bit(value);
    json_array_foreach(value, i, name)
    {
        int bit = type_bit(name);
        if (!bit) {
            types = 0;
            break;
        }
        types |= bit;
    }
    if (!types)
        return compiler_bad(
            c, "must be one of \"null\", \"boolean\", \"object\", \"array\", \"string\", \"number\", \"integer\", "
               "or an array of these");
    node->types = (uint8_t)types;
    return 0;
}

static int key_values(struct compiler *c, struct node *node, const json_t *value, bool is_const)
{
    if (!is_const && json_array_size(value) == 0)
        return compiler_bad(c, "must be an array of at least one value");
    json_t *values = is_const ? json_pack("[O]", value) : json_incref((json_t *)value);
    json_t *copy = json_deep_copy(values); /* the document is the caller's */
    json_decref(values);
    if (!copy)
        return CVM_ENOMEM;
    if (node->values) { /* both const and enum: what is in the two */
        json_decref(copy);
        return compiler_bad(c, "const and enum exclude each other");
    }
    node->values = copy;
    node->is_const = is_const;
    node->has |= HAS_VALUES;
    return 0;
}

static int key_enum(struct compiler *c, struct node *node, const json_t *value)
{
    return key_values(c, node, value, false);
}

static int key_const(struct compiler *c, struct node *node, const json_t *value)
{
    return key_values(c, node, value, true);
}

int compiler_limit(struct compiler *c, const json_t *value, size_t *ret_limit)
{
    double v = json_number_value(value);
    if (!json_is_number(value) || v < 0 || v != floor(v) || v > 1e15)
        return compiler_bad(c, "must be a whole number, 0 or more");
    *ret_limit = (size_t)v;
    return 0;
}

static int key_min_length(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_STRING;
    return compiler_limit(c, value, &node->min_length);
}

static int key_max_length(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_STRING;
    return compiler_limit(c, value, &node->max_length);
}

static int key_min_items(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_ARRAY;
    return compiler_limit(c, value, &node->min_items);
}

static int key_max_items(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_ARRAY;
    return compiler_limit(c, value, &node->max_items);
}

/* The keyword with `exclusive` and the one without may stand together: the stricter counts. */
static int bound(struct compiler *c, struct node *node, const json_t *value, struct bound *bound, bool exclusive)
{
    if (!json_is_number(value))
        return compiler_bad(c, "must be a number");
    int side = bound == &node->minimum ? 1 : -1, compared = bound->set ? side * schema_compare(value, bound) : 1;
    if (compared > 0 || (compared == 0 && exclusive)) {
        *bound = schema_bound(value);
        bound->exclusive = exclusive;
    }
    node->has |= HAS_NUMBER;
    return 0;
}

static int key_minimum(struct compiler *c, struct node *node, const json_t *value)
{
    return bound(c, node, value, &node->minimum, false);
}

static int key_maximum(struct compiler *c, struct node *node, const json_t *value)
{
    return bound(c, node, value, &node->maximum, false);
}

static int key_exclusive_minimum(struct compiler *c, struct node *node, const json_t *value)
{
    return bound(c, node, value, &node->minimum, true);
}

static int key_exclusive_maximum(struct compiler *c, struct node *node, const json_t *value)
{
    return bound(c, node, value, &node->maximum, true);
}

static int key_multiple_of(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    if (!json_is_number(value) || json_number_value(value) <= 0)
        return compiler_bad(c, "must be a number above 0");
    CVM_TRY(compiler_extra(node, &extra));
    extra->multiple_of = schema_bound(value);
    return 0;
}

static int match_open(struct schema *schema)
{
    if (schema->match)
        return 0;
    schema->match = pcre2_match_data_create(1, NULL);
    schema->match_limits = pcre2_match_context_create(NULL);
    if (!schema->match || !schema->match_limits)
        return CVM_ENOMEM;
    pcre2_set_match_limit(schema->match_limits, SCHEMA_MATCH_LIMIT);
    pcre2_set_depth_limit(schema->match_limits, SCHEMA_MATCH_LIMIT);
    return 0;
}

int compiler_pattern(struct compiler *c, const char *text, struct schema_pattern *ret_pattern)
{
    int code;
    PCRE2_SIZE at;
    size_t len = text ? strlen(text) : SIZE_MAX;
    if (len > SCHEMA_PATTERN_MAX_BYTES)
        return compiler_bad(c, "must be a regular expression of at most %d bytes", SCHEMA_PATTERN_MAX_BYTES);
    /* As in ECMAScript: \uXXXX is a character, and $ does not match before a newline at the end. */
    ret_pattern->code =
        pcre2_compile((PCRE2_SPTR)text, len,
                      PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!ret_pattern->code) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        return compiler_bad(c, "is no regular expression: %s (at byte %zu)", (const char *)why, (size_t)at);
    }
    pcre2_jit_compile(ret_pattern->code, PCRE2_JIT_COMPLETE); /* where there is no JIT the interpreter runs */
    return match_open(c->schema);
}

/* How a text names the pattern: people understand the schema's title sooner than an expression. */
int compiler_pattern_name(struct schema_pattern *pattern, const char *text, const char *title)
{
    int n = title ? asprintf(&pattern->text, "must be %s (pattern %s)", title, text)
                  : asprintf(&pattern->text, "must match the pattern %s", text);
    if (n < 0)
        pattern->text = NULL;
    return n < 0 ? CVM_ENOMEM : 0;
}

static int key_pattern(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_STRING;
    return compiler_pattern(c, json_string_value(value), &node->pattern);
}

static int key_items(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_ARRAY;
    return compiler_node(c, value, &node->items);
}

static int key_contains(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    CVM_TRY(compiler_extra(node, &extra));
    return compiler_node(c, value, &extra->contains);
}

static int key_unique(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    if (!json_is_boolean(value))
        return compiler_bad(c, "must be true or false");
    CVM_TRY(compiler_extra(node, &extra));
    extra->unique = json_is_true(value);
    return 0;
}

static int alternatives(struct compiler *c, struct node *node, const json_t *value, struct nodes *ret_nodes)
{
    const json_t *source;
    size_t i;
    if (json_array_size(value) == 0)
        return compiler_bad(c, "must be an array of at least one schema");
    node->has |= HAS_COMBINED;
    ret_nodes->at = calloc(json_array_size(value), sizeof(struct node *));
    if (!ret_nodes->at)
        return CVM_ENOMEM;
    json_array_foreach(value, i, source)
    {
        size_t before = compiler_push_index(c, i);
        CVM_TRY(compiler_node(c, source, &ret_nodes->at[i]));
        compiler_pop(c, before);
        ret_nodes->n = i + 1;
    }
    return 0;
}

static int key_all(struct compiler *c, struct node *node, const json_t *value)
{
    return alternatives(c, node, value, &node->all);
}

static int key_any(struct compiler *c, struct node *node, const json_t *value)
{
    return alternatives(c, node, value, &node->any);
}

static int key_one(struct compiler *c, struct node *node, const json_t *value)
{
    return alternatives(c, node, value, &node->one);
}

static int key_not(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    CVM_TRY(compiler_extra(node, &extra));
    return compiler_node(c, value, &extra->not_);
}

static int key_if(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    CVM_TRY(compiler_extra(node, &extra));
    return compiler_node(c, value, &extra->if_);
}

static int key_then(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    CVM_TRY(compiler_extra(node, &extra));
    return compiler_node(c, value, &extra->then_);
}

static int key_else(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    CVM_TRY(compiler_extra(node, &extra));
    return compiler_node(c, value, &extra->else_);
}

static int key_ref(struct compiler *c, struct node *node, const json_t *value)
{
    const char *ref = json_string_value(value);
    if (!ref || *ref != '#' || (ref[1] && ref[1] != '/'))
        return compiler_bad(c, "must be \"#\" or a JSON pointer within the document, such as \"#/schemas/Name\"");
    const json_t *target = schema_pointer(c->document, ref + 1);
    if (!target)
        return compiler_bad(c, "points to \"%s\", which the document does not have", ref);
    struct place *place;
    CVM_TRY(compiler_place(c, target, &place));
    node->ref = place->node;
    node->has |= HAS_REF;
    if (place->node->compiled || place->pointer)
        return 0;
    place->pointer = strdup(ref + 1);
    if (!place->pointer)
        return CVM_ENOMEM;
    *c->waiting_end = place;
    c->waiting_end = &place->next_waiting;
    return 0;
}

static int key_defs(struct compiler *c, struct node *node, const json_t *value)
{
    const char *name;
    json_t *source;
    struct node *unused;
    (void)node;
    if (!json_is_object(value))
        return compiler_bad(c, "must be an object of schemas");
    json_object_foreach((json_t *)value, name, source)
    {
        size_t before = compiler_push(c, name);
        CVM_TRY(compiler_node(c, source, &unused));
        compiler_pop(c, before);
    }
    return 0;
}

/* NULL: an annotation, or done by compiler_object(). */
static const struct keyword {
    const char *name;
    int (*compile)(struct compiler *c, struct node *node, const json_t *value);
} keywords[] = {
    {"type", key_type},
    {"properties", NULL},
    {"required", NULL},
    {"additionalProperties", key_additional},
    {"patternProperties", key_member_patterns},
    {"propertyNames", key_names},
    {"dependencies", key_dependencies},
    {"dependentRequired", key_dependent_required},
    {"dependentSchemas", key_dependent_schemas},
    {"minProperties", key_min_members},
    {"maxProperties", key_max_members},
    {"items", key_items},
    {"minItems", key_min_items},
    {"maxItems", key_max_items},
    {"uniqueItems", key_unique},
    {"contains", key_contains},
    {"minLength", key_min_length},
    {"maxLength", key_max_length},
    {"pattern", key_pattern},
    {"minimum", key_minimum},
    {"maximum", key_maximum},
    {"exclusiveMinimum", key_exclusive_minimum},
    {"exclusiveMaximum", key_exclusive_maximum},
    {"multipleOf", key_multiple_of},
    {"enum", key_enum},
    {"const", key_const},
    {"oneOf", key_one},
    {"anyOf", key_any},
    {"allOf", key_all},
    {"not", key_not},
    {"if", key_if},
    {"then", key_then},
    {"else", key_else},
    {"$ref", key_ref},
    {"$defs", key_defs},
    {"definitions", key_defs},
    {"title", NULL},
    {"description", NULL},
    {"default", NULL},
    {"examples", NULL},
    {"$schema", NULL},
    {"$id", NULL},
    {"$comment", NULL},
    {"deprecated", NULL},
    {"format", NULL},
    {"x-check", NULL},
};

int compiler_keyword(struct compiler *c, struct node *node, const char *name, const json_t *value)
{
    size_t n = sizeof keywords / sizeof keywords[0], i = 0;
    while (i < n && strcmp(keywords[i].name, name) != 0)
        i++;
    size_t before = compiler_push(c, name);
    if (i == n)
        return compiler_bad(
            c, "unknown keyword; a misspelt one would check nothing. docs/reference/schema.md has the list");
    if (keywords[i].compile)
        CVM_TRY(keywords[i].compile(c, node, value));
    compiler_pop(c, before);
    return 0;
}
