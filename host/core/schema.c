/* Checks values against compiled schemas. Knows nothing of how a schema is written (schema_compile.c). Runs for every
 * message that enters, so a value that is right costs no allocation and no text. Loop thread. */
#include "core/schema_node.h"

#include <cvm/cvm.h>

/* ---- keywords --------------------------------------------------------------------------------------------------- */

static int check_values(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    size_t n = json_array_size(node->values);
    for (size_t i = 0; i < n; i++)
        if (schema_equal(json_array_get(node->values, i), value, &c->steps))
            return 0;
    if (c->steps > SCHEMA_STEPS_MAX)
        return schema_give_up(c, at, "takes too much work to check");
    if (c->silent)
        return CVM_EINVAL;
    char known[200];
    schema_values_text(known, sizeof known, node->values);
    return schema_wrong(c, at, NULL, value, "must be %s%s", node->is_const || n == 1 ? "" : "one of ", known);
}

static int check_string(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    size_t bytes = json_string_length(value); /* never fewer than characters, at most four to one */
    if (bytes > node->max_length || (bytes + 3) / 4 < node->min_length) {
        size_t n = schema_characters(value);
        if (n > node->max_length)
            return schema_wrong(c, at, NULL, NULL, "must be at most %zu character%s long, got %zu", node->max_length,
                                node->max_length == 1 ? "" : "s", n);
        if (n < node->min_length)
            return schema_wrong(c, at, NULL, NULL, "must be at least %zu character%s long, got %zu", node->min_length,
                                node->min_length == 1 ? "" : "s", n);
    }
    if (!node->pattern.code)
        return 0;
    int matches = schema_matches(c, &node->pattern, json_string_value(value), bytes, at);
    CVM_TRY(matches);
    return matches ? 0 : schema_wrong(c, at, NULL, value, "%s", node->pattern.text);
}

static int check_number(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    const struct bound *least = &node->minimum, *most = &node->maximum, *missed;
    int low = least->set ? schema_compare(value, least) : 1, high = most->set ? schema_compare(value, most) : -1;
    if (low < 0 || (low == 0 && least->exclusive))
        missed = least;
    else if (high > 0 || (high == 0 && most->exclusive))
        missed = most;
    else
        return 0;
    const char *side = missed->exclusive ? missed == least ? "more than" : "less than"
                       : missed == least ? "at least"
                                         : "at most";
    if (missed->real)
        return schema_wrong(c, at, NULL, value, "must be %s %.15g", side, missed->number);
    return schema_wrong(c, at, NULL, value, "must be %s %" JSON_INTEGER_FORMAT, side, missed->integer);
}

static int check_array(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    size_t n = json_array_size(value);
    if (n < node->min_items)
        return schema_wrong(c, at, NULL, NULL, "must have at least %zu item%s, got %zu", node->min_items,
                            node->min_items == 1 ? "" : "s", n);
    if (n > node->max_items)
        return schema_wrong(c, at, NULL, NULL, "must have at most %zu item%s, got %zu", node->max_items,
                            node->max_items == 1 ? "" : "s", n);
    if (!node->items)
        return 0;
    struct step step = {.up = at, .depth = at ? at->depth + 1 : 1};
    if (step.depth > SCHEMA_DEPTH_MAX)
        return schema_give_up(c, at, "is nested too deeply");
    for (; step.index < n; step.index++) {
        int error = schema_check_node(c, node->items, json_array_get(value, step.index), &step);
        if (error)
            return error;
    }
    return 0;
}

static int unknown_member(struct check *c, const struct node *node, const char *name, const struct step *at)
{
    if (c->silent)
        return CVM_EINVAL;
    char known[sizeof c->error->text];
    size_t len = 0;
    known[0] = 0;
    for (size_t i = 0; i < node->n_declared; i++) {
        if (len + node->properties[i].len + 32 >= sizeof known) {
            schema_text(known, sizeof known, len, ", ..");
            break;
        }
        len = schema_text(known, sizeof known, len, "%s%s", i ? ", " : "", node->properties[i].name);
    }
    if (!node->n_declared)
        return schema_wrong(c, at, name, NULL, "unknown field; none is allowed here");
    return schema_wrong(c, at, name, NULL, "unknown field; known are: %s", known);
}

static int missing_member(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    for (size_t i = 0; i < node->n_properties; i++) {
        const struct property *p = &node->properties[i];
        if (!p->required || json_object_getn(value, p->name, p->len))
            continue;
        const struct node *member = p->node;
        while (member && member->types == TYPE_ANY && member->ref)
            member = member->ref;
        if (!member || member->types == TYPE_ANY || !member->types)
            return schema_wrong(c, at, p->name, NULL, "is required, but missing");
        char types[96];
        schema_types_text(types, sizeof types, member->types);
        return schema_wrong(c, at, p->name, NULL, "is required (%s), but missing", types);
    }
    return CVM_EINVAL;
}

static int check_member(struct check *c, const struct node *node, const json_t *value, const struct step *at,
                        size_t *required)
{
    const struct property *p = schema_property(node, at->name, strlen(at->name));
    const struct node *member = p ? p->node : NULL;
    bool matched = false;
    if (p)
        *required += p->required;
    if (node->extra && node->extra->n_patterns)
        CVM_TRY(schema_check_member_patterns(c, node->extra, value, at, &matched));
    if (!member && !matched) {
        if (node->closed)
            return unknown_member(c, node, at->name, at->up);
        member = node->additional;
    }
    return member ? schema_check_node(c, member, value, at) : 0;
}

static int check_object(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    json_t *object = (json_t *)value; /* the iterator's signature; nothing is changed */
    struct step step = {.up = at, .depth = at ? at->depth + 1 : 1};
    size_t required = 0;
    if (step.depth > SCHEMA_DEPTH_MAX)
        return schema_give_up(c, at, "is nested too deeply");
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        step.name = json_object_iter_key(it);
        CVM_TRY(check_member(c, node, json_object_iter_value(it), &step, &required));
    }
    return required == node->n_required ? 0 : missing_member(c, node, value, at);
}

/* 1: the value is right under `node`, 0: it is not, CVM_ELIMIT: cannot tell. Writes no fault but the last. */
int schema_holds(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    c->silent++;
    int error = schema_check_node(c, node, value, at);
    if (error == CVM_ELIMIT)
        return error; /* schema_give_up() ended the silence */
    c->silent--;
    return error == 0;
}

/* How many of `nodes` accept the value, counting no further than `enough`; or CVM_ELIMIT. */
static int count_holding(struct check *c, const struct nodes *nodes, size_t enough, const json_t *value,
                         const struct step *at)
{
    size_t n = 0;
    for (size_t i = 0; i < nodes->n && n < enough; i++) {
        int holds = schema_holds(c, nodes->at[i], value, at);
        if (holds < 0)
            return holds;
        n += holds == 1;
    }
    return (int)n;
}

static int check_combined(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    for (size_t i = 0; i < node->all.n; i++) {
        int error = schema_check_node(c, node->all.at[i], value, at);
        if (error)
            return error;
    }
    if (node->any.n) {
        int n = count_holding(c, &node->any, 1, value, at);
        if (n < 0)
            return n;
        if (n == 0)
            return schema_wrong(c, at, NULL, value, "must match at least one of %zu alternatives, matches none",
                                node->any.n);
    }
    if (node->one.n) {
        int n = count_holding(c, &node->one, node->one.n, value, at);
        if (n < 0)
            return n;
        if (n == 0)
            return schema_wrong(c, at, NULL, value, "must match exactly one of %zu alternatives, matches none",
                                node->one.n);
        if (n > 1)
            return schema_wrong(c, at, NULL, value, "must match exactly one of %zu alternatives, matches %d",
                                node->one.n, n);
    }
    return 0;
}

int schema_check_node(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    if (++c->steps > SCHEMA_STEPS_MAX)
        return schema_give_up(c, at, "takes too much work to check");
    unsigned type = schema_type(value);
    if (!(node->types & type)) {
        if (!node->types)
            return schema_wrong(c, at, NULL, value, "must not be there");
        char types[96];
        schema_types_text(types, sizeof types, node->types);
        return schema_wrong(c, at, NULL, value, "must be %s", types);
    }
    if (!node->has)
        return 0;
    int error = 0;
    if (node->has & HAS_REF)
        error = schema_check_node(c, node->ref, value, at);
    if (!error && node->has & HAS_VALUES)
        error = check_values(c, node, value, at);
    if (!error && node->has & HAS_OBJECT && type == TYPE_OBJECT)
        error = check_object(c, node, value, at);
    if (!error && node->has & HAS_STRING && type == TYPE_STRING)
        error = check_string(c, node, value, at);
    if (!error && node->has & HAS_NUMBER && type & TYPE_NUMBER)
        error = check_number(c, node, value, at);
    if (!error && node->has & HAS_ARRAY && type == TYPE_ARRAY)
        error = check_array(c, node, value, at);
    if (!error && node->has & HAS_COMBINED)
        error = check_combined(c, node, value, at);
    if (!error && node->has & HAS_EXTRA)
        error = schema_check_extra(c, node, value, type, at);
    return error;
}

static int check_value(const struct schema *schema, const json_t *value, bool quote, struct schema_error *ret_error)
{
    struct schema_error unread;
    if (!schema)
        return 0;
    struct check c = {.schema = schema, .error = ret_error ? ret_error : &unread, .quote = quote};
    if (!schema->root && schema_compile_later((struct schema *)(uintptr_t)schema) < 0)
        return schema_wrong(&c, NULL, NULL, value, "cannot be checked: out of memory"), CVM_EINVAL;
    int error =
        value ? schema_check_node(&c, schema->root, value, NULL) : schema_wrong(&c, NULL, NULL, NULL, "is missing");
    return error ? CVM_EINVAL : 0;
}

int schema_check(const struct schema *schema, const json_t *value, struct schema_error *ret_error)
{
    return check_value(schema, value, false, ret_error);
}

int schema_check_quoting(const struct schema *schema, const json_t *value, struct schema_error *ret_error)
{
    return check_value(schema, value, true, ret_error);
}
