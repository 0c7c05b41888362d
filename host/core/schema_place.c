/* Places of a schema in its document: the pointer that an error shows, and the one node of each. Loop thread. */
#include "core/schema_compiler.h"

#include <cvm/cvm.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

size_t compiler_push(struct compiler *c, const char *name)
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

void compiler_pop(struct compiler *c, size_t before)
{
    c->pointer_len = before;
    c->pointer[before] = 0;
}

size_t compiler_push_index(struct compiler *c, size_t index)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", index);
    return compiler_push(c, number);
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
        size_t before = compiler_push(c, name);
        if (pointer_find(c, member, wanted, depth - 1))
            return true;
        compiler_pop(c, before);
    }
    json_array_foreach(in, index, member)
    {
        size_t before = compiler_push_index(c, index);
        if (pointer_find(c, member, wanted, depth - 1))
            return true;
        compiler_pop(c, before);
    }
    return false;
}

int compiler_bad(struct compiler *c, const char *format, ...)
{
    char relative[sizeof c->pointer];
    memcpy(relative, c->pointer, sizeof relative);
    if (c->from_start) {
        compiler_pop(c, 0);
        if (!pointer_find(c, c->document, c->start, SCHEMA_DEPTH_MAX))
            compiler_pop(c, 0);
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

static int by_source(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct place *)a)->source, y = (uintptr_t)((const struct place *)b)->source;
    return x < y ? -1 : x > y;
}

int compiler_place(struct compiler *c, const json_t *source, struct place **ret_place)
{
    struct place key = {.source = source};
    struct place **found = tfind(&key, &c->tree, by_source);
    if (found) {
        *ret_place = *found;
        return 0;
    }
    if (c->schema->n_nodes >= SCHEMA_NODES_MAX)
        return compiler_bad(c, "the schema has more than %d parts", SCHEMA_NODES_MAX);
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

void compiler_forget_places(struct compiler *c)
{
    while (c->places) {
        struct place *place = c->places;
        c->places = place->next_all;
        tdelete(place, &c->tree, by_source);
        free(place->pointer);
        free(place);
    }
}
