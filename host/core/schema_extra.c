/* Checks the keywords that few schemas have: not, if, contains, uniqueItems, multipleOf, and what an object's member
 * names ask for. Loop thread. */
#include "core/schema_node.h"

#include <cvm/cvm.h>

/* 1: matches, 0: does not, CVM_ELIMIT: cannot tell. */
int schema_matches(struct check *c, const struct schema_pattern *pattern, const char *text, size_t len,
                   const struct step *at)
{
    const struct schema *s = c->schema;
    int rc = pcre2_match(pattern->code, (PCRE2_SPTR)text, len, 0, 0, s->match, s->match_limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(pattern->code, (PCRE2_SPTR)text, len, 0, PCRE2_NO_JIT, s->match, s->match_limits);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
        return rc >= 0;
    return schema_give_up(c, at, "takes too long to compare: it %s", pattern->text);
}

static int check_not(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    int holds = schema_holds(c, node, value, at);
    CVM_TRY(holds);
    return holds ? schema_wrong(c, at, NULL, value, "must not be what is ruled out here (not)") : 0;
}

static int check_condition(struct check *c, const struct extra *extra, const json_t *value, const struct step *at)
{
    int holds = schema_holds(c, extra->if_, value, at);
    CVM_TRY(holds);
    const struct node *branch = holds ? extra->then_ : extra->else_;
    return branch ? schema_check_node(c, branch, value, at) : 0;
}

static int check_contains(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    struct step step = {.up = at, .depth = at ? at->depth + 1 : 1};
    size_t n = json_array_size(value);
    if (step.depth > SCHEMA_DEPTH_MAX)
        return schema_give_up(c, at, "is nested too deeply");
    for (; step.index < n; step.index++) {
        int holds = schema_holds(c, node, json_array_get(value, step.index), &step);
        if (holds)
            return holds < 0 ? holds : 0;
    }
    return schema_wrong(c, at, NULL, NULL, "must have an item of the kind it has to contain, none of %zu is", n);
}

static int check_unique(struct check *c, const json_t *value, const struct step *at)
{
    for (size_t b = 1; b < json_array_size(value); b++) {
        for (size_t a = 0; a < b; a++) {
            bool equal = schema_equal(json_array_get(value, a), json_array_get(value, b), &c->steps);
            if (c->steps > SCHEMA_STEPS_MAX)
                return schema_give_up(c, at, "takes too much work to check");
            if (equal)
                return schema_wrong(c, at, NULL, NULL, "must have no item twice, [%zu] is equal to [%zu]", b, a);
        }
    }
    return 0;
}

static int check_number(struct check *c, const struct bound *of, const json_t *value, const struct step *at)
{
    if (schema_is_multiple(value, of))
        return 0;
    if (of->real)
        return schema_wrong(c, at, NULL, value, "must be a multiple of %.15g", of->number);
    return schema_wrong(c, at, NULL, value, "must be a multiple of %" JSON_INTEGER_FORMAT, of->integer);
}

/* What is wrong with a name stands where the name is, so the text has to say that it is not about the value. */
static int check_name(struct check *c, const struct node *node, const char *name, const struct step *at)
{
    struct step step = {.up = at, .name = name, .depth = at ? at->depth + 1 : 1};
    json_t *value = json_string_nocheck(name);
    if (!value)
        return schema_give_up(c, at, "cannot be checked: out of memory");
    int error = schema_check_node(c, node, value, &step);
    json_decref(value);
    if (error && !c->silent) {
        char text[sizeof c->error->text];
        schema_text(text, sizeof text, 0, "%s", c->error->text);
        schema_text(c->error->text, sizeof c->error->text, 0, "the name itself %s", text);
    }
    return error;
}

static int check_dependency(struct check *c, const struct dependency *d, const json_t *value, const struct step *at)
{
    for (size_t i = 0; i < d->n_required; i++)
        if (!json_object_get(value, d->required[i]))
            return schema_wrong(c, at, d->required[i], NULL, "is required beside %s, but missing", d->name);
    return d->node ? schema_check_node(c, d->node, value, at) : 0;
}

static int check_object(struct check *c, const struct extra *extra, const json_t *value, const struct step *at)
{
    size_t n = json_object_size(value);
    const char *name;
    json_t *member;
    if (n < extra->min_members)
        return schema_wrong(c, at, NULL, NULL, "must have at least %zu field%s, got %zu", extra->min_members,
                            extra->min_members == 1 ? "" : "s", n);
    if (n > extra->max_members)
        return schema_wrong(c, at, NULL, NULL, "must have at most %zu field%s, got %zu", extra->max_members,
                            extra->max_members == 1 ? "" : "s", n);
    if (extra->names)
        json_object_foreach((json_t *)value, name, member)
        {
            CVM_TRY(check_name(c, extra->names, name, at));
        }
    for (size_t i = 0; i < extra->n_dependencies; i++)
        if (json_object_get(value, extra->dependencies[i].name))
            CVM_TRY(check_dependency(c, &extra->dependencies[i], value, at));
    return 0;
}

/* `at` names the member. *ret_matched: whether a pattern did, right or wrong. */
int schema_check_member_patterns(struct check *c, const struct extra *extra, const json_t *value, const struct step *at,
                                 bool *ret_matched)
{
    *ret_matched = false;
    for (size_t i = 0; i < extra->n_patterns; i++) {
        int matches = schema_matches(c, &extra->patterns[i], at->name, strlen(at->name), at);
        CVM_TRY(matches);
        if (!matches)
            continue;
        *ret_matched = true;
        CVM_TRY(schema_check_node(c, extra->patterns[i].node, value, at));
    }
    return 0;
}

int schema_check_extra(struct check *c, const struct node *node, const json_t *value, unsigned type,
                       const struct step *at)
{
    const struct extra *extra = node->extra;
    if (type & TYPE_NUMBER && extra->multiple_of.set)
        CVM_TRY(check_number(c, &extra->multiple_of, value, at));
    if (type == TYPE_ARRAY && extra->contains)
        CVM_TRY(check_contains(c, extra->contains, value, at));
    if (type == TYPE_ARRAY && extra->unique)
        CVM_TRY(check_unique(c, value, at));
    if (type == TYPE_OBJECT)
        CVM_TRY(check_object(c, extra, value, at));
    if (extra->not_)
        CVM_TRY(check_not(c, extra->not_, value, at));
    return extra->if_ ? check_condition(c, extra, value, at) : 0;
}
