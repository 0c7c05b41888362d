/* Compiles a JSON Schema into the nodes that schema.c walks. Keeps nothing of the document.
 *
 * Every schema of the document becomes one node, found by the address of its JSON value, so a $ref shares the node of
 * its target and recursion costs nothing. Targets wait in a queue and are compiled after what refers to them: a chain
 * of references is no nesting. Loop thread. */
#include "core/schema_compiler.h"

#include <cvm/cvm.h>
#include <stdlib.h>

int compiler_node(struct compiler *c, const json_t *source, struct node **ret_node)
{
    struct place *place;
    CVM_TRY(compiler_place(c, source, &place));
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
        return compiler_bad(c, "must be a schema: an object, true or false");
    if (++c->depth > SCHEMA_DEPTH_MAX)
        return compiler_bad(c, "the schema is nested deeper than %d", SCHEMA_DEPTH_MAX);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)source, name, value)
    {
        CVM_TRY(compiler_keyword(c, node, name, value));
    }
    if (node->pattern.code)
        CVM_TRY(compiler_pattern_name(&node->pattern, json_string_value(json_object_get(source, "pattern")),
                                      json_string_value(json_object_get(source, "title"))));
    CVM_TRY(compiler_object(c, node, source));
    c->depth--;
    return 0;
}

static int compile_waiting(struct compiler *c)
{
    struct node *unused;
    for (; c->waiting; c->waiting = c->waiting->next_waiting) {
        c->from_start = false;
        compiler_pop(c, 0);
        c->pointer_len = schema_text(c->pointer, sizeof c->pointer, 0, "%s", c->waiting->pointer);
        CVM_TRY(compiler_node(c, c->waiting->source, &unused));
    }
    return 0;
}

/* Finds how many nodes may look at one value in a row, and with it a $ref that leads back to itself without a step
 * into the value: a check of that would never end. */
static int measure(struct compiler *c, struct node *node, unsigned above);

static int measure_one(struct compiler *c, struct node *node, unsigned above, unsigned *height)
{
    if (!node)
        return 0;
    CVM_TRY(measure(c, node, above));
    if (node->height > *height)
        *height = node->height;
    return 0;
}

static int measure(struct compiler *c, struct node *node, unsigned above)
{
    const struct nodes *const lists[] = {&node->all, &node->any, &node->one};
    const struct extra *extra = node->extra;
    unsigned height = 0;
    if (node->visiting)
        return compiler_bad(c, "a $ref leads back to itself without a step into a member or item");
    if (above + node->height > SCHEMA_DEPTH_MAX)
        return compiler_bad(c, "more than %d schemas apply to one value", SCHEMA_DEPTH_MAX);
    if (node->height)
        return 0;
    node->visiting = true;
    CVM_TRY(measure_one(c, node->ref, above + 1, &height));
    for (size_t list = 0; list < 3; list++)
        for (size_t i = 0; i < lists[list]->n; i++)
            CVM_TRY(measure_one(c, lists[list]->at[i], above + 1, &height));
    if (extra) {
        struct node *const one[] = {extra->not_, extra->if_, extra->then_, extra->else_};
        for (size_t i = 0; i < sizeof one / sizeof one[0]; i++)
            CVM_TRY(measure_one(c, one[i], above + 1, &height));
        for (size_t i = 0; i < extra->n_dependencies; i++)
            CVM_TRY(measure_one(c, extra->dependencies[i].node, above + 1, &height));
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
        error = node ? compiler_node(&c, node, &c.schema->root) : compiler_bad(&c, "is missing");
    if (!error)
        error = compile_waiting(&c);
    c.from_start = true;
    compiler_pop(&c, 0);
    for (struct node *each = error ? NULL : c.schema->nodes; each && !error; each = each->next)
        error = measure(&c, each, 1);
    compiler_forget_places(&c);
    if (error) {
        schema_free(c.schema);
        if (error == CVM_ENOMEM)
            schema_text(c.error->text, sizeof c.error->text, 0, "out of memory");
        return error;
    }
    *ret_schema = c.schema;
    return 0;
}

int schema_defer(const json_t *document, const json_t *node, struct schema **ret_schema)
{
    struct schema *s = calloc(1, sizeof *s);
    if (!s)
        return CVM_ENOMEM;
    s->later_document = document;
    s->later_node = node;
    *ret_schema = s;
    return 0;
}

int schema_compile_later(struct schema *s)
{
    struct schema *made;
    int error = schema_compile(s->later_document, s->later_node, &made, NULL);
    if (error)
        return error;
    *s = *made;
    free(made);
    return 0;
}

static void extra_free(struct extra *extra)
{
    if (!extra)
        return;
    for (size_t i = 0; i < extra->n_patterns; i++) {
        pcre2_code_free(extra->patterns[i].code);
        free(extra->patterns[i].text);
    }
    for (size_t i = 0; i < extra->n_dependencies; i++) {
        for (size_t k = 0; k < extra->dependencies[i].n_required; k++)
            free(extra->dependencies[i].required[k]);
        free(extra->dependencies[i].required);
        free(extra->dependencies[i].name);
    }
    free(extra->patterns);
    free(extra->dependencies);
    free(extra);
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
        extra_free(node->extra);
        free(node->pattern.text);
        pcre2_code_free(node->pattern.code);
        json_decref(node->values);
        free(node);
    }
    pcre2_match_data_free(schema->match);
    pcre2_match_context_free(schema->match_limits);
    free(schema);
}
