/* The keywords of a schema that are about an object's members. Loop thread. */
#include "core/schema_compiler.h"

#include <cvm/cvm.h>
#include <stdlib.h>

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
    size_t i, before = compiler_push(c, "required");
    json_array_foreach(required, i, name)
    {
        if (!json_is_string(name))
            return compiler_bad(c, "must be an array of names");
        struct property *p =
            (struct property *)schema_property(node, json_string_value(name), json_string_length(name));
        if (!p)
            CVM_TRY(property_add(node, json_string_value(name), &p));
        node->n_required += !p->required;
        p->required = true;
    }
    compiler_pop(c, before);
    return 0;
}

int compiler_object(struct compiler *c, struct node *node, const json_t *source)
{
    json_t *properties = json_object_get(source, "properties"), *required = json_object_get(source, "required");
    size_t most = json_object_size(properties) + json_array_size(required), size = 4;
    if (properties && !json_is_object(properties)) {
        compiler_push(c, "properties");
        return compiler_bad(c, "must be an object of schemas");
    }
    if (required && !json_is_array(required)) {
        compiler_push(c, "required");
        return compiler_bad(c, "must be an array of names");
    }
    if (!properties && !required)
        return 0;
    if (most > SCHEMA_NODES_MAX)
        return compiler_bad(c, "has more than %d members", SCHEMA_NODES_MAX);
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
    size_t outer = compiler_push(c, "properties");
    json_object_foreach(properties, name, member)
    {
        struct property *p;
        CVM_TRY(property_add(node, name, &p));
        size_t before = compiler_push(c, name);
        CVM_TRY(compiler_node(c, member, &p->node));
        compiler_pop(c, before);
    }
    compiler_pop(c, outer);
    node->n_declared = node->n_properties;
    return compile_required(c, node, required);
}

int key_additional(struct compiler *c, struct node *node, const json_t *value)
{
    node->has |= HAS_OBJECT;
    node->closed = json_is_false(value);
    return node->closed || json_is_true(value) ? 0 : compiler_node(c, value, &node->additional);
}

int key_member_patterns(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    const char *text;
    json_t *source;
    if (!json_is_object(value))
        return compiler_bad(c, "must be an object of schemas, each by a regular expression");
    CVM_TRY(compiler_extra(node, &extra));
    node->has |= HAS_OBJECT;
    extra->patterns = calloc(json_object_size(value) + 1, sizeof *extra->patterns);
    if (!extra->patterns)
        return CVM_ENOMEM;
    json_object_foreach((json_t *)value, text, source)
    {
        struct schema_pattern *pattern = &extra->patterns[extra->n_patterns++];
        size_t before = compiler_push(c, text);
        CVM_TRY(compiler_pattern(c, text, pattern));
        CVM_TRY(compiler_pattern_name(pattern, text, NULL));
        CVM_TRY(compiler_node(c, source, &pattern->node));
        compiler_pop(c, before);
    }
    return 0;
}

int key_names(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    CVM_TRY(compiler_extra(node, &extra));
    return compiler_node(c, value, &extra->names);
}

int key_min_members(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    CVM_TRY(compiler_extra(node, &extra));
    return compiler_limit(c, value, &extra->min_members);
}

int key_max_members(struct compiler *c, struct node *node, const json_t *value)
{
    struct extra *extra;
    CVM_TRY(compiler_extra(node, &extra));
    return compiler_limit(c, value, &extra->max_members);
}

static int dependency_names(struct compiler *c, struct dependency *d, const json_t *names)
{
    const json_t *name;
    size_t i;
    d->required = calloc(json_array_size(names) + 1, sizeof *d->required);
    if (!d->required)
        return CVM_ENOMEM;
    json_array_foreach(names, i, name)
    {
        if (!json_is_string(name))
            return compiler_bad(c, "must be an array of names");
        d->required[i] = strdup(json_string_value(name));
        if (!d->required[i])
            return CVM_ENOMEM;
        d->n_required = i + 1;
    }
    return 0;
}

/* The older keyword takes names or a schema; the newer two take one of them each. */
static int dependencies(struct compiler *c, struct node *node, const json_t *value, bool names, bool schemas)
{
    struct extra *extra;
    const char *name;
    json_t *source;
    if (!json_is_object(value))
        return compiler_bad(c, "must be an object");
    CVM_TRY(compiler_extra(node, &extra));
    size_t n = extra->n_dependencies + json_object_size(value);
    struct dependency *all = realloc(extra->dependencies, (n + 1) * sizeof *all);
    if (!all)
        return CVM_ENOMEM;
    extra->dependencies = all;
    json_object_foreach((json_t *)value, name, source)
    {
        struct dependency *d = &all[extra->n_dependencies];
        *d = (struct dependency){.name = strdup(name)};
        if (!d->name)
            return CVM_ENOMEM;
        extra->n_dependencies++;
        size_t before = compiler_push(c, name);
        if (names && json_is_array(source))
            CVM_TRY(dependency_names(c, d, source));
        else if (schemas)
            CVM_TRY(compiler_node(c, source, &d->node));
        else
            return compiler_bad(c, "must be an array of names");
        compiler_pop(c, before);
    }
    return 0;
}

int key_dependencies(struct compiler *c, struct node *node, const json_t *value)
{
    return dependencies(c, node, value, true, true);
}

int key_dependent_required(struct compiler *c, struct node *node, const json_t *value)
{
    return dependencies(c, node, value, true, false);
}

int key_dependent_schemas(struct compiler *c, struct node *node, const json_t *value)
{
    return dependencies(c, node, value, false, true);
}
