/* Messages: drawn by number and seed, written down and read back. Pure. */
#include "conform/parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES 12

size_t operations_count(const struct conform *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->manifest->n_components; i++)
        n += c->manifest->components[i].n_operations;
    return n;
}

const struct manifest_operation *operation_at(const struct conform *c, size_t i,
                                              const struct manifest_component **ret_component)
{
    for (size_t k = 0; k < c->manifest->n_components; k++) {
        const struct manifest_component *component = &c->manifest->components[k];
        if (i < component->n_operations) {
            *ret_component = component;
            return &component->operations[i];
        }
        i -= component->n_operations;
    }
    return NULL;
}

static void name_input(struct input *in, int number, int conversation)
{
    snprintf(in->key, sizeof in->key, "check-%d", number);
    snprintf(in->conversation, sizeof in->conversation, "check-%d", conversation);
}

/* Every operation in turn. `calm`: only what its schema takes. */
void draw_input(struct conform *c, struct gen *g, json_t *seen, int number, bool calm, struct input *ret_input)
{
    struct schema_error fault;
    struct input in = {.n = 0};
    in.operation = operation_at(c, (size_t)number % operations_count(c), &in.component);
    g->document = c->manifest->doc;
    g->words = c->words;
    g->seen = seen;
    for (int i = 0; i < TRIES; i++) {
        json_decref(in.data);
        in.data = gen_object(g, in.operation->request_schema);
        if (schema_check(in.operation->request, in.data, &fault) == 0)
            break;
        in.mutated = i == TRIES - 1;
    }
    if (!calm && gen_chance(g, 40)) {
        in.data = gen_mutated(g, in.data);
        in.mutated = schema_check(in.operation->request, in.data, &fault) < 0 || in.mutated;
    }
    in.forward = in.mutated || gen_chance(g, 30);
    name_input(&in, number, !calm && gen_chance(g, 20) ? number - (int)gen_below(g, 4) : number);
    *ret_input = in;
}

json_t *step_of(const struct input *in)
{
    return json_pack("{s:s, s:s, s:O, s:b, s:b}", "component", in->component->id, "type", in->operation->type, "data",
                     in->data, "forward", (int)in->forward, "mutated", (int)in->mutated);
}

bool step_input(const struct conform *c, const json_t *step, int number, struct input *ret_input)
{
    struct input in = {.forward = cvm_json_bool(step, "forward", false), .mutated = cvm_json_bool(step, "mutated", 0)};
    for (size_t i = 0; i < c->manifest->n_components; i++)
        if (strcmp(c->manifest->components[i].id, cvm_json_str(step, "component", "")) == 0)
            in.component = &c->manifest->components[i];
    in.operation = in.component ? manifest_find_operation(in.component, cvm_json_str(step, "type", "")) : NULL;
    if (!in.operation)
        return false;
    in.data = json_incref(json_object_get(step, "data"));
    name_input(&in, number, number);
    *ret_input = in;
    return true;
}

void input_free(struct input *in)
{
    json_decref(in->data);
    json_decref(in->answer);
    in->data = in->answer = NULL;
}
