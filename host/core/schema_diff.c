/* Compares two schemas: see schema_diff.h. The old one is taken apart into parts that all hold (itself, what $ref leads
 * to, allOf); the new one into demands, each of which must follow from one of the parts. */
#include "core/schema_diff.h"

#include "core/schema_parts.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

/* A comparison under way, and those it is part of: one that comes again further inside is already being shown. */
struct pair {
    const struct pair *up;
    const struct parts *old_parts;
    const json_t *new_schema;
    unsigned depth;
};

struct diff {
    const json_t *old_document, *new_document;
    char *why; /* NULL: nobody asks */
    size_t size;
    char path[128];
    size_t path_len;
    unsigned *steps;
};

static bool follows(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *schema);

static bool __attribute__((format(printf, 2, 3))) no(struct diff *d, const char *format, ...)
{
    char text[256];
    if (!d->why)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = schema_text(d->why, d->size, 0, "%s%s", d->path_len ? d->path : "the message", ": ");
    schema_text(d->why, d->size, len, "%s", text);
    return false;
}

/* ---- demands of the new schema ---------------------------------------------------------------------------------- */

/* A $ref may lead to something else in the other document. */
static bool has_ref(const json_t *json, unsigned depth)
{
    const char *name;
    json_t *member;
    size_t i;
    if (depth == 0 || json_object_get(json, "$ref"))
        return true;
    json_object_foreach((json_t *)json, name, member)
    {
        if (has_ref(member, depth - 1))
            return true;
    }
    json_array_foreach(json, i, member)
    {
        if (has_ref(member, depth - 1))
            return true;
    }
    return false;
}

static bool is_unchanged(const struct parts *parts, const json_t *schema)
{
    for (size_t i = 0; i < parts->n; i++)
        if (json_equal(parts->at[i], schema))
            return !has_ref(schema, SCHEMA_DEPTH_MAX);
    return false;
}

/* Whether each value that satisfies `a`, of the document of the new schema, satisfies `b`, of the old one's. */
static bool follows_backwards(const struct diff *d, const struct pair *up, const json_t *a, const json_t *b)
{
    struct diff back = {.old_document = d->new_document, .new_document = d->old_document, .steps = d->steps};
    struct parts parts = {.n = 0};
    parts_add(back.old_document, a, &parts);
    return follows(&back, up, &parts, b);
}

static bool follows_one(struct diff *d, const struct pair *up, const json_t *old_schema, const json_t *new_schema)
{
    struct diff quiet = *d;
    struct parts parts = {.n = 0};
    quiet.why = NULL;
    parts_add(d->old_document, old_schema, &parts);
    return follows(&quiet, up, &parts, new_schema);
}

static bool same(struct diff *d, const struct pair *up, const json_t *old_schema, const json_t *new_schema)
{
    return follows_one(d, up, old_schema, new_schema) && follows_backwards(d, up, new_schema, old_schema);
}

/* Few values: each is tried. Also enums that the new schema extends pass here. */
static bool values_follow(struct diff *d, const json_t *values, const json_t *new_schema)
{
    struct schema *compiled;
    struct schema_error fault;
    const json_t *value;
    size_t i;
    bool all = true;
    if (schema_compile(d->new_document, new_schema, &compiled, &fault) < 0)
        return no(d, "cannot be told: %s", fault.text);
    json_array_foreach(values, i, value)
    {
        *d->steps += 1;
        if (schema_check_quoting(compiled, value, &fault) == 0)
            continue;
        all = no(d, "a value that was allowed is not any more: %s", fault.text);
        break;
    }
    schema_free(compiled);
    return all;
}

static bool number_follows(struct diff *d, const struct parts *parts, const json_t *schema, const char *keyword,
                           int sign)
{
    const json_t *asked = json_object_get(schema, keyword);
    if (!asked || (sign > 0 && json_number_value(asked) == 0)) /* from 0 on: everything */
        return true;
    struct bound bound = schema_bound(asked);
    for (size_t i = 0; i < parts->n; i++) {
        const json_t *had = json_object_get(parts->at[i], keyword);
        if (had && sign * schema_compare(had, &bound) >= 0)
            return true;
    }
    return no(d, "%s is %.15g now, and was %s", keyword, json_number_value(asked),
              parts_keyword(parts, keyword) ? "looser" : "not asked for");
}

/* minimum and exclusiveMinimum speak of one thing; so do the two of the maximum. */
static bool bound_follows(struct diff *d, const struct parts *parts, const json_t *schema, const char *keyword,
                          const char *closed, const char *open, int sign)
{
    const json_t *asked = json_object_get(schema, keyword);
    if (!asked)
        return true;
    struct bound bound = schema_bound(asked);
    int least = strcmp(keyword, open) == 0 ? 1 : 0; /* 3 is within "from 3 on", and not within "above 3" */
    for (size_t i = 0; i < parts->n; i++) {
        const json_t *at = json_object_get(parts->at[i], closed), *beyond = json_object_get(parts->at[i], open);
        if (at && sign * schema_compare(at, &bound) >= least)
            return true;
        if (beyond && sign * schema_compare(beyond, &bound) >= 0)
            return true;
    }
    return no(d, "%s is %.15g now, and there was no bound as strict", keyword, json_number_value(asked));
}

static bool multiple_follows(struct diff *d, const struct parts *parts, const json_t *asked)
{
    if (!asked)
        return true;
    struct bound of = schema_bound(asked);
    for (size_t i = 0; i < parts->n; i++) {
        const json_t *had = json_object_get(parts->at[i], "multipleOf");
        if (had && (json_equal(had, asked) || (json_is_integer(had) && !of.real && schema_is_multiple(had, &of))))
            return true;
    }
    return no(d, "has to be a multiple of %.15g now", json_number_value(asked));
}

/* Demands that only the same demand answers. */
static bool equal_follows(struct diff *d, const struct parts *parts, const json_t *schema, const char *keyword)
{
    const json_t *asked = json_object_get(schema, keyword);
    if (!asked || json_is_false(asked))
        return true;
    for (size_t i = 0; i < parts->n; i++)
        if (json_equal(json_object_get(parts->at[i], keyword), asked))
            return true;
    return no(d, "%s is %s", keyword, parts_keyword(parts, keyword) ? "not what it was" : "asked for now");
}

static bool scalars_follow(struct diff *d, const struct parts *parts, const json_t *schema, unsigned types)
{
    if (types & TYPE_STRING &&
        !(number_follows(d, parts, schema, "minLength", 1) && number_follows(d, parts, schema, "maxLength", -1) &&
          equal_follows(d, parts, schema, "pattern")))
        return false;
    if (!(types & (TYPE_NUMBER | TYPE_INTEGER)))
        return true;
    return bound_follows(d, parts, schema, "minimum", "minimum", "exclusiveMinimum", 1) &&
           bound_follows(d, parts, schema, "exclusiveMinimum", "minimum", "exclusiveMinimum", 1) &&
           bound_follows(d, parts, schema, "maximum", "maximum", "exclusiveMaximum", -1) &&
           bound_follows(d, parts, schema, "exclusiveMaximum", "maximum", "exclusiveMaximum", -1) &&
           multiple_follows(d, parts, json_object_get(schema, "multipleOf"));
}

static bool array_follows(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *schema)
{
    const json_t *items = json_object_get(schema, "items");
    if (!number_follows(d, parts, schema, "minItems", 1) || !number_follows(d, parts, schema, "maxItems", -1) ||
        !equal_follows(d, parts, schema, "uniqueItems"))
        return false;
    if (!items)
        return true;
    struct parts inside = parts_of_items(d->old_document, parts);
    size_t before = d->path_len;
    d->path_len = schema_text(d->path, sizeof d->path, before, "[]");
    bool all = follows(d, up, &inside, items);
    d->path[d->path_len = before] = 0;
    return all;
}

/* ---- objects ---------------------------------------------------------------------------------------------------- */

static size_t enter(struct diff *d, const char *name)
{
    size_t before = d->path_len;
    d->path_len = schema_text(d->path, sizeof d->path, before, "%s%s", before ? "." : "", name);
    return before;
}

static void leave(struct diff *d, size_t before)
{
    d->path[d->path_len = before] = 0;
}

static bool required_follow(struct diff *d, const struct parts *parts, const json_t *required)
{
    const json_t *name;
    size_t i;
    json_array_foreach(required, i, name)
    {
        if (parts_require(parts, json_string_value(name)))
            continue;
        enter(d, json_string_value(name));
        return no(d, "is required now, and was not");
    }
    return true;
}

static bool member_follows(struct diff *d, const struct pair *up, const struct parts *parts, const char *name,
                           const json_t *schema, const json_t *beside)
{
    struct parts member = parts_of_member(d->old_document, parts, name, beside);
    size_t before = enter(d, name);
    bool all = follows(d, up, &member, schema);
    if (all)
        leave(d, before);
    return all;
}

/* Members that the new schema does not name. */
static bool additional_follows(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *schema)
{
    const json_t *additional = json_object_get(schema, "additionalProperties");
    const json_t *named = json_object_get(schema, "properties"), *beside = json_object_get(schema, "patternProperties");
    const char *name;
    json_t *unused;
    if (!additional || json_is_true(additional))
        return true;
    for (size_t i = 0; i < parts->n; i++)
        json_object_foreach(json_object_get(parts->at[i], "properties"), name, unused)
        {
            if (json_object_get(named, name))
                continue;
            if (json_is_false(additional) && !parts_of_member(d->old_document, parts, name, beside).never) {
                enter(d, name);
                return no(d, "was known, and is not any more");
            }
            if (!member_follows(d, up, parts, name, additional, beside))
                return false;
        }
    struct parts others = parts_of_member(d->old_document, parts, NULL, beside);
    if (json_is_false(additional))
        return others.never || no(d, "fields of other names were allowed, and are not any more");
    return follows(d, up, &others, additional);
}

static bool object_follows(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *schema)
{
    const char *name;
    json_t *member;
    if (!number_follows(d, parts, schema, "minProperties", 1) ||
        !number_follows(d, parts, schema, "maxProperties", -1) ||
        !required_follow(d, parts, json_object_get(schema, "required")))
        return false;
    json_object_foreach(json_object_get(schema, "properties"), name, member)
    {
        if (!member_follows(d, up, parts, name, member, NULL))
            return false;
    }
    return additional_follows(d, up, parts, schema);
}

/* ---- combined --------------------------------------------------------------------------------------------------- */

static bool all_follow(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *schema)
{
    const char *ref = json_string_value(json_object_get(schema, "$ref"));
    const json_t *one;
    size_t i;
    if (ref && !follows(d, up, parts, schema_pointer(d->new_document, ref + 1)))
        return false;
    json_array_foreach(json_object_get(schema, "allOf"), i, one)
    {
        if (!follows(d, up, parts, one))
            return false;
    }
    return true;
}

static bool any_follows(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *any)
{
    struct diff quiet = *d;
    const json_t *one;
    size_t i;
    quiet.why = NULL;
    json_array_foreach(any, i, one)
    {
        if (follows(&quiet, up, parts, one))
            return true;
        leave(&quiet, d->path_len);
    }
    return !any || no(d, "matched none of the alternatives (anyOf) surely");
}

/* Exactly one holds where the same alternatives stood before. */
static bool one_follows(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *one)
{
    bool found = !one;
    for (size_t i = 0; i < parts->n && !found; i++) {
        const json_t *had = json_object_get(parts->at[i], "oneOf");
        found = had && json_array_size(had) == json_array_size(one);
        for (size_t k = 0; k < json_array_size(had) && found; k++)
            found = same(d, up, json_array_get(had, k), json_array_get(one, k));
    }
    return found || no(d, "the alternatives (oneOf) are not what they were");
}

/* Seldom used: they have to stand in the old schema just as they stand in the new one. */
static bool rare_follow(struct diff *d, const struct parts *parts, const json_t *schema)
{
    static const char *const keywords[] = {"contains",
                                           "propertyNames",
                                           "patternProperties",
                                           "dependencies",
                                           "dependentRequired",
                                           "dependentSchemas",
                                           "not",
                                           "if"};
    for (size_t k = 0; k < sizeof keywords / sizeof keywords[0]; k++) {
        const json_t *asked = json_object_get(schema, keywords[k]);
        bool found = !asked;
        for (size_t i = 0; i < parts->n && !found && !has_ref(asked, SCHEMA_DEPTH_MAX); i++) {
            found = json_equal(json_object_get(parts->at[i], keywords[k]), asked);
            if (!found || strcmp(keywords[k], "if") != 0)
                continue;
            const json_t *then = json_object_get(schema, "then"), *other = json_object_get(schema, "else");
            found = (!then || (json_equal(json_object_get(parts->at[i], "then"), then) && !has_ref(then, 8))) &&
                    (!other || (json_equal(json_object_get(parts->at[i], "else"), other) && !has_ref(other, 8)));
        }
        if (!found)
            return no(d, "cannot be told: %s is not what it was", keywords[k]);
    }
    return true;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static bool demands_follow(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *schema)
{
    const json_t *values = parts_keyword(parts, "enum"), *value = parts_keyword(parts, "const");
    unsigned types = parts_types(parts), wanted = schema_types_named(schema);
    if (value) {
        json_t *alone = json_pack("[O]", value);
        bool follow = alone && values_follow(d, alone, schema);
        json_decref(alone);
        return follow;
    }
    if (values)
        return values_follow(d, values, schema);
    if (json_object_get(schema, "enum") || json_object_get(schema, "const"))
        return no(d, "only certain values are allowed now");
    if (types & ~wanted) {
        char had[96], has[96];
        schema_types_text(had, sizeof had, types);
        schema_types_text(has, sizeof has, wanted);
        return no(d, "must be %s now, and could be %s", has, types == TYPE_ANY ? "anything" : had);
    }
    return scalars_follow(d, parts, schema, types) && (!(types & TYPE_ARRAY) || array_follows(d, up, parts, schema)) &&
           (!(types & TYPE_OBJECT) || object_follows(d, up, parts, schema)) &&
           any_follows(d, up, parts, json_object_get(schema, "anyOf")) &&
           one_follows(d, up, parts, json_object_get(schema, "oneOf")) && rare_follow(d, parts, schema);
}

/* Where the old schema has alternatives, each of them must satisfy the new one. */
static bool cases_follow(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *schema)
{
    for (size_t i = 0; i < parts->n; i++) {
        const json_t *any = json_object_get(parts->at[i], "anyOf"), *one;
        size_t k;
        bool all = true;
        any = any ? any : json_object_get(parts->at[i], "oneOf");
        if (!any)
            continue;
        json_array_foreach(any, k, one)
        {
            struct parts both = *parts;
            both.at[i] = both.at[--both.n]; /* its other keywords count no more: careful, and it ends */
            parts_add(d->old_document, one, &both);
            size_t before = d->path_len;
            all = follows(d, up, &both, schema);
            leave(d, before);
            if (!all)
                break;
        }
        if (all)
            return true;
    }
    return false;
}

static bool in_progress(const struct pair *pair, const struct parts *parts, const json_t *schema)
{
    for (; pair; pair = pair->up)
        if (pair->new_schema == schema && pair->old_parts->n == parts->n &&
            memcmp(pair->old_parts->at, parts->at, parts->n * sizeof *parts->at) == 0)
            return true;
    return false;
}

static bool follows(struct diff *d, const struct pair *up, const struct parts *parts, const json_t *schema)
{
    const struct pair pair = {up, parts, schema, up ? up->depth + 1 : 1};
    if (parts->never || json_is_true(schema) || in_progress(up, parts, schema))
        return true;
    if (json_is_false(schema))
        return no(d, "is not allowed any more");
    if (!json_is_object(schema) || pair.depth > SCHEMA_DEPTH_MAX || ++*d->steps > SCHEMA_DIFF_STEPS_MAX)
        return no(d, "cannot be told: the schemas are too large to compare");
    if (is_unchanged(parts, schema))
        return true;
    size_t before = d->path_len;
    if (!all_follow(d, &pair, parts, schema))
        return false;
    if (demands_follow(d, &pair, parts, schema))
        return true;
    leave(d, before);
    return cases_follow(d, &pair, parts, schema);
}

int schema_accepts_more(const json_t *old_document, const json_t *old_schema, const json_t *new_document,
                        const json_t *new_schema, char *ret_why, size_t size)
{
    unsigned steps = 0;
    struct parts parts = {.n = 0};
    struct diff d = {.old_document = old_document ? old_document : old_schema,
                     .new_document = new_document ? new_document : new_schema,
                     .why = ret_why,
                     .size = size,
                     .steps = &steps};
    assert(!ret_why || size > 0);
    parts_add(d.old_document, old_schema, &parts);
    bool all = !new_schema || follows(&d, NULL, &parts, new_schema);
    if (all && ret_why)
        *ret_why = 0; /* of a way that was tried before another one led there */
    return all;
}
