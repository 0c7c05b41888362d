/* Compiles a JSON Schema into the nodes that schema.c walks. Owns the list of keywords; keeps nothing of the document.
 *
 * Every schema of the document becomes one node, found by the address of its JSON value, so a $ref shares the node of
 * its target and recursion costs nothing. Targets wait in a queue and are compiled after what refers to them: a chain
 * of references is no nesting. Loop thread. */
#include "core/schema_node.h"

#include <cvm/cvm.h>
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#define POINTER_MAX_BYTES 512

/* A node by the address of the JSON it comes from; the first member of struct place is the key of the search tree. */
struct place {
    const json_t *source;
    struct node *node;
    char *pointer; /* of a target that waits; else NULL */
    struct place *next_all, *next_waiting;
};

struct compiler {
    const json_t *document, *start;
    struct schema *schema;
    struct schema_error *error;
    void *tree;
    struct place *places, *waiting, **waiting_end;
    bool from_start; /* `pointer` is relative to `start`, else to the document */
    char pointer[POINTER_MAX_BYTES];
    size_t pointer_len;
    unsigned depth;
};

static int compile_node(struct compiler *c, const json_t *source, struct node **ret_node);

/* ---- pointers --------------------------------------------------------------------------------------------------- */

static size_t pointer_push(struct compiler *c, const char *name)
{
    size_t before = c->pointer_len;
    c->pointer_len = schema_text(c->pointer, sizeof c->pointer, before, "/");
    for (const char *s = name; *s; s++) {
        const char *escaped = *s == '~' ? "~0" : *s == '/' ? "~1" : NULL;
        if (escaped)
            c->pointer_len = schema_text(c->pointer, sizeof c->pointer, c->pointer_len, "%s", escaped);
        else if (c->pointer_len + 1 < sizeof c->pointer)
            c->pointer[c->pointer_len++] = *s;
    }
    c->pointer[c->pointer_len] = 0;
    return before;
}

static void pointer_pop(struct compiler *c, size_t before)
{
    c->pointer_len = before;
    c->pointer[before] = 0;
}

/* The pointer of `wanted` in `in`, written to c->pointer. Slow: only for an error. */
static bool pointer_find(struct compiler *c, const json_t *in, const json_t *wanted, unsigned depth)
{
    const char *name;
    json_t *member;
    size_t index;
    if (in == wanted)
        return true;
    if (depth == 0)
        return false;
    json_object_foreach((json_t *)in, name, member)
    {
        size_t before = pointer_push(c, name);
        if (pointer_find(c, member, wanted, depth - 1))
            return true;
        pointer_pop(c, before);
    }
    json_array_foreach(in, index, member)
    {
        char number[24];
        snprintf(number, sizeof number, "%zu", index);
        size_t before = pointer_push(c, number);
        if (pointer_find(c, member, wanted, depth - 1))
            return true;
        pointer_pop(c, before);
    }
    return false;
}

static int __attribute__((format(printf, 2, 3))) bad(struct compiler *c, const char *format, ...)
{
    char relative[sizeof c->pointer];
    memcpy(relative, c->pointer, sizeof relative);
    if (c->from_start) {
        pointer_pop(c, 0);
        if (!pointer_find(c, c->document, c->start, SCHEMA_DEPTH_MAX))
            pointer_pop(c, 0);
        schema_text(c->pointer, sizeof c->pointer, c->pointer_len, "%s", relative);
    }
    schema_text(c->error->field, sizeof c->error->field, 0, "%s", c->pointer);
    va_list args;
    va_start(args, format);
    char text[sizeof c->error->text];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    schema_text(c->error->text, sizeof c->error->text, 0, "%s", text);
    return CVM_EINVAL;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------ */

static int by_source(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct place *)a)->source, y = (uintptr_t)((const struct place *)b)->source;
    return x < y ? -1 : x > y;
}

/* The place of `source`, made if there is none. */
static int place_get(struct compiler *c, const json_t *source, struct place **ret_place)
{
    struct place key = {.source = source};
    struct place **found = tfind(&key, &c->tree, by_source);
    if (found) {
        *ret_place = *found;
        return 0;
    }
    if (c->schema->n_nodes >= SCHEMA_NODES_MAX)
        return bad(c, "the schema has more than %d parts", SCHEMA_NODES_MAX);
    struct place *place = calloc(1, sizeof *place);
    struct node *node = calloc(1, sizeof *node);
    if (!place || !node || (place->source = source, !tsearch(place, &c->tree, by_source))) {
        free(place);
        free(node);
        return CVM_ENOMEM;
    }
    node->types = TYPE_ANY;
    node->max_length = node->max_items = SIZE_MAX;
    node->next = c->schema->nodes;
    c->schema->nodes = node;
    c->schema->n_nodes++;
    place->node = node;
    place->next_all = c->places;
    c->places = place;
    *ret_place = place;
    return 0;
}

/* ---- keywords --------------------------------------------------------------------------------------------------- */

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
        return bad(c,
                   "must be one of \"null\", \"boolean\", \"object\", \"array\", \"string\", \"number\", \"integer\", "
                   "or an array of these");
    node->types = (uint8_t)types;
    return 0;
}

static int key_values(struct compiler *c, struct node *node, const json_t *value, bool is_const)
{
    if (!is_const && json_array_size(value) == 0)
        return bad(c, "must be an array of at least one value");
    json_t *values = is_const ? json_pack("[O]", value) : json_incref((json_t *)value);
    json_t *copy = json_deep_copy(values); /* the document is the caller's */
    json_decref(values);
    if (!copy)
        return CVM_ENOMEM;
    if (node->values) { /* both const and enum: what is in the two */
        json_decref(copy);
        return bad(c, "const and enum exclude each other");
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

static int limit(struct compiler *c, struct node *node, const json_t *value, size_t *ret_limit, unsigned group)
{
    double v = json_number_value(value);
    if (!json_is_number(value) || v < 0 || v != floor(v) || v > 1e15)
        return bad(c, "must be a whole number, 0 or more");
    *ret_limit = (size_t)v;
    node->has |= (uint8_t)group;
    return 0;
}

static int key_min_length(struct compiler *c, struct node *node, const json_t *value)
{
    return limit(c, node, value, &node->min_length, HAS_STRING);
}

static int key_max_length(struct compiler *c, struct node *node, const json_t *value)
{
    return limit(c, node, value, &node->max_length, HAS_STRING);
}

static int key_min_items(struct compiler *c, struct node *node, const json_t *value)
{
    return limit(c, node, value, &node->min_items, HAS_ARRAY);
}

static int key_max_items(struct compiler *c, struct node *node, const json_t *value)
{
    return limit(c, node, value, &node->max_items, HAS_ARRAY);
}

static int bound(struct compiler *c, struct node *node, const json_t *value, struct bound *ret_bound)
{
    if (!json_is_number(value))
        return bad(c, "must be a number");
    *ret_bound = (struct bound){true, json_is_real(value), json_integer_value(value), json_real_value(value)};
    node->has |= HAS_NUMBER;
    return 0;
}

static int key_minimum(struct compiler *c, struct node *node, const json_t *value)
{
    return bound(c, node, value, &node->minimum);
}

static int key_maximum(struct compiler *c, struct node *node, const json_t *value)
{
    return bound(c, node, value, &node->maximum);
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

static int key_pattern(struct compiler *c, struct node *node, const json_t *value)
{
    int code;
    PCRE2_SIZE at;
    if (!json_is_string(value) || json_string_length(value) > SCHEMA_PATTERN_MAX_BYTES)
        return bad(c, "must be a regular expression of at most %d bytes", SCHEMA_PATTERN_MAX_BYTES);
    /* As in ECMAScript: \uXXXX is a character, and $ does not match before a newline at the end. */
    node->pattern =
        pcre2_compile((PCRE2_SPTR)json_string_value(value), json_string_length(value),
                      PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!node->pattern) {
        PCRE2_UCHAR why[128];
        pcre2_get_error_message(code, why, sizeof why);
        return bad(c, "is no regular expression: %s (at byte %zu)", (const char *)why, (size_t)at);
    }
    pcre2_jit_compile(node->pattern, PCRE2_JIT_COMPLETE); /* where there is no JIT the interpreter runs */
    node->has |= HAS_STRING;
    return match_open(c->schema);
}

/* How a text names the pattern: people understand the schema's title sooner than an expression. */
static int pattern_name(struct node *node, const json_t *source)
{
    const char *pattern = json_string_value(json_object_get(source, "pattern"));
    const char *title = json_string_value(json_object_get(source, "title"));
    int n = title ? asprintf(&node->pattern_text, "must be %s (pattern %s)", title, pattern)
                  : asprintf(&node->pattern_text, "must match the pattern %s", pattern);
    if (n < 0)
        node->pattern_text = NULL;
    return n < 0 ? CVM_ENOMEM : 0;
}

static int key_items(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_ARRAY;
    return compile_node(c, value, &node->items);
}

static int key_additional(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_OBJECT;
    node->closed = json_is_false(value);
    return node->closed || json_is_true(value) ? 0 : compile_node(c, value, &node->additional);
}

static int alternatives(struct compiler *c, struct node *node, const json_t *value, struct nodes *ret_nodes)
{
    const json_t *source;
    size_t i;
    if (json_array_size(value) == 0)
        return bad(c, "must be an array of at least one schema");
    node->has |= HAS_COMBINED;
    ret_nodes->at = calloc(json_array_size(value), sizeof(struct node *));
    if (!ret_nodes->at)
        return CVM_ENOMEM;
    json_array_foreach(value, i, source)
    {
        char number[24];
        snprintf(number, sizeof number, "%zu", i);
        size_t before = pointer_push(c, number);
        CVM_TRY(compile_node(c, source, &ret_nodes->at[i]));
        pointer_pop(c, before);
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

static int key_ref(struct compiler *c, struct node *node, const json_t *value)
{
    const char *ref = json_string_value(value);
    if (!ref || *ref != '#' || (ref[1] && ref[1] != '/'))
        return bad(c, "must be \"#\" or a JSON pointer within the document, such as \"#/schemas/Name\"");
    const json_t *target = schema_pointer(c->document, ref + 1);
    if (!target)
        return bad(c, "points to \"%s\", which the document does not have", ref);
    struct place *place;
    CVM_TRY(place_get(c, target, &place));
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
        return bad(c, "must be an object of schemas");
    json_object_foreach((json_t *)value, name, source)
    {
        size_t before = pointer_push(c, name);
        CVM_TRY(compile_node(c, source, &unused));
        pointer_pop(c, before);
    }
    return 0;
}

/* ---- objects ---------------------------------------------------------------------------------------------------- */

static int property_add(struct node *node, const char *name, struct property **ret_property)
{
    struct property *p = &node->properties[node->n_properties];
    p->len = strlen(name);
    p->name = strdup(name);
    if (!p->name)
        return CVM_ENOMEM;
    size_t at = schema_hash(name, p->len) & node->table_mask;
    while (node->table[at])
        at = (at + 1) & node->table_mask;
    node->table[at] = (uint16_t)++node->n_properties;
    *ret_property = p;
    return 0;
}

static int compile_required(struct compiler *c, struct node *node, const json_t *required)
{
    const json_t *name;
    size_t i, before = pointer_push(c, "required");
    json_array_foreach(required, i, name)
    {
        if (!json_is_string(name))
            return bad(c, "must be an array of names");
        struct property *p =
            (struct property *)schema_property(node, json_string_value(name), json_string_length(name));
        if (!p)
            CVM_TRY(property_add(node, json_string_value(name), &p));
        node->n_required += !p->required;
        p->required = true;
    }
    pointer_pop(c, before);
    return 0;
}

static int compile_object(struct compiler *c, struct node *node, const json_t *source)
{
    json_t *properties = json_object_get(source, "properties"), *required = json_object_get(source, "required");
    size_t most = json_object_size(properties) + json_array_size(required), size = 4;
    if (properties && !json_is_object(properties)) {
        pointer_push(c, "properties");
        return bad(c, "must be an object of schemas");
    }
    if (required && !json_is_array(required)) {
        pointer_push(c, "required");
        return bad(c, "must be an array of names");
    }
    if (!properties && !required)
        return 0;
    if (most > SCHEMA_NODES_MAX)
        return bad(c, "has more than %d members", SCHEMA_NODES_MAX);
    while (size < most * 2)
        size *= 2;
    node->has |= HAS_OBJECT;
    node->table_mask = size - 1;
    node->table = calloc(size, sizeof *node->table);
    node->properties = calloc(most + 1, sizeof *node->properties);
    if (!node->table || !node->properties)
        return CVM_ENOMEM;
    const char *name;
    json_t *member;
    size_t outer = pointer_push(c, "properties");
    json_object_foreach(properties, name, member)
    {
        struct property *p;
        CVM_TRY(property_add(node, name, &p));
        size_t before = pointer_push(c, name);
        CVM_TRY(compile_node(c, member, &p->node));
        pointer_pop(c, before);
    }
    pointer_pop(c, outer);
    node->n_declared = node->n_properties;
    return compile_required(c, node, required);
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

/* NULL: an annotation, or done by compile_object(). */
static const struct keyword {
    const char *name;
    int (*compile)(struct compiler *c, struct node *node, const json_t *value);
} keywords[] = {
    {"type", key_type},
    {"properties", NULL},
    {"required", NULL},
    {"additionalProperties", key_additional},
    {"items", key_items},
    {"minItems", key_min_items},
    {"maxItems", key_max_items},
    {"minLength", key_min_length},
    {"maxLength", key_max_length},
    {"pattern", key_pattern},
    {"minimum", key_minimum},
    {"maximum", key_maximum},
    {"enum", key_enum},
    {"const", key_const},
    {"oneOf", key_one},
    {"anyOf", key_any},
    {"allOf", key_all},
    {"$ref", key_ref},
    {"$defs", key_defs},
    {"title", NULL},
    {"description", NULL},
    {"default", NULL},
    {"examples", NULL},
    {"$schema", NULL},
    {"$id", NULL},
    {"$comment", NULL},
    {"deprecated", NULL},
    {"format", NULL},
};

static int compile_keyword(struct compiler *c, struct node *node, const char *name, const json_t *value)
{
    size_t n = sizeof keywords / sizeof keywords[0], i = 0;
    while (i < n && strcmp(keywords[i].name, name) != 0)
        i++;
    size_t before = pointer_push(c, name);
    if (i == n)
        return bad(c,
                   "unknown keyword; the keywords known are type, enum, const, required, properties, "
                   "additionalProperties, items, minItems, maxItems, minLength, maxLength, pattern, minimum, maximum, "
                   "oneOf, anyOf, allOf, $ref, $defs");
    if (keywords[i].compile)
        CVM_TRY(keywords[i].compile(c, node, value));
    pointer_pop(c, before);
    return 0;
}

static int compile_node(struct compiler *c, const json_t *source, struct node **ret_node)
{
    struct place *place;
    CVM_TRY(place_get(c, source, &place));
    struct node *node = place->node;
    *ret_node = node;
    if (node->compiled)
        return 0;
    node->compiled = true;
    if (json_is_boolean(source)) {
        node->types = json_is_true(source) ? TYPE_ANY : 0;
        return 0;
    }
    if (!json_is_object(source))
        return bad(c, "must be a schema: an object, true or false");
    if (++c->depth > SCHEMA_DEPTH_MAX)
        return bad(c, "the schema is nested deeper than %d", SCHEMA_DEPTH_MAX);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)source, name, value)
    {
        CVM_TRY(compile_keyword(c, node, name, value));
    }
    if (node->pattern)
        CVM_TRY(pattern_name(node, source));
    CVM_TRY(compile_object(c, node, source));
    c->depth--;
    return 0;
}

static int compile_waiting(struct compiler *c)
{
    struct node *unused;
    for (; c->waiting; c->waiting = c->waiting->next_waiting) {
        c->from_start = false;
        pointer_pop(c, 0);
        c->pointer_len = schema_text(c->pointer, sizeof c->pointer, 0, "%s", c->waiting->pointer);
        CVM_TRY(compile_node(c, c->waiting->source, &unused));
    }
    return 0;
}

/* Finds how many nodes may look at one value in a row, and with it a $ref that leads back to itself without a step
 * into the value: a check of that would never end. */
static int measure(struct compiler *c, struct node *node, unsigned above)
{
    const struct nodes *const lists[] = {&node->all, &node->any, &node->one};
    unsigned height = 0;
    if (node->visiting)
        return bad(c, "a $ref leads back to itself without a step into a member or item");
    if (above + node->height > SCHEMA_DEPTH_MAX)
        return bad(c, "more than %d schemas apply to one value", SCHEMA_DEPTH_MAX);
    if (node->height)
        return 0;
    node->visiting = true;
    if (node->ref) {
        CVM_TRY(measure(c, node->ref, above + 1));
        height = node->ref->height;
    }
    for (size_t list = 0; list < 3; list++) {
        for (size_t i = 0; i < lists[list]->n; i++) {
            CVM_TRY(measure(c, lists[list]->at[i], above + 1));
            if (lists[list]->at[i]->height > height)
                height = lists[list]->at[i]->height;
        }
    }
    node->visiting = false;
    node->height = (uint8_t)(height + 1);
    return 0;
}

int schema_compile(const json_t *document, const json_t *node, struct schema **ret_schema,
                   struct schema_error *ret_error)
{
    struct schema_error unread;
    struct compiler c = {.document = document ? document : node, .start = node, .from_start = true};
    c.error = ret_error ? ret_error : &unread;
    c.waiting_end = &c.waiting;
    c.error->field[0] = c.error->text[0] = 0;
    c.schema = calloc(1, sizeof *c.schema);
    int error = c.schema ? 0 : CVM_ENOMEM;
    if (!error)
        error = node ? compile_node(&c, node, &c.schema->root) : bad(&c, "is missing");
    if (!error)
        error = compile_waiting(&c);
    c.from_start = true;
    pointer_pop(&c, 0);
    for (struct node *each = error ? NULL : c.schema->nodes; each && !error; each = each->next)
        error = measure(&c, each, 1);
    while (c.places) {
        struct place *place = c.places;
        c.places = place->next_all;
        tdelete(place, &c.tree, by_source);
        free(place->pointer);
        free(place);
    }
    if (error) {
        schema_free(c.schema);
        if (error == CVM_ENOMEM)
            schema_text(c.error->text, sizeof c.error->text, 0, "out of memory");
        return CVM_EINVAL;
    }
    *ret_schema = c.schema;
    return 0;
}

void schema_free(struct schema *schema)
{
    if (!schema)
        return;
    while (schema->nodes) {
        struct node *node = schema->nodes;
        schema->nodes = node->next;
        for (size_t i = 0; i < node->n_properties; i++)
            free(node->properties[i].name);
        free(node->properties);
        free(node->table);
        free(node->all.at);
        free(node->any.at);
        free(node->one.at);
        free(node->pattern_text);
        pcre2_code_free(node->pattern);
        json_decref(node->values);
        free(node);
    }
    pcre2_match_data_free(schema->match);
    pcre2_match_context_free(schema->match_limits);
    free(schema);
}
