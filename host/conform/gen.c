/* Values: as a schema says, shaped by nothing, or a good one with something odd in it. What a generator gives depends
 * on its state alone. Pure. */
#include "conform/parts.h"

#include "core/schema.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8
#define LONG_TEXT 5000
#define SEEN_MAX 16

uint64_t gen_mix(uint64_t a, uint64_t b)
{
    uint64_t z = a + 0x9e3779b97f4a7c15ULL * (b + 1); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint64_t gen_hash(const void *bytes, size_t n, uint64_t seed)
{
    const unsigned char *s = bytes;
    uint64_t h = 0xcbf29ce484222325ULL ^ seed; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * 0x100000001b3ULL;
    return h;
}

uint64_t gen_next(struct gen *g)
{
    g->state += 0x9e3779b97f4a7c15ULL;
    return gen_mix(g->state, 0);
}

uint64_t gen_below(struct gen *g, uint64_t n)
{
    return n ? gen_next(g) % n : 0;
}

bool gen_chance(struct gen *g, unsigned percent)
{
    return gen_below(g, 100) < percent;
}

/* ---- scalars ---- */

static const char *word(struct gen *g)
{
    const char *text = json_string_value(json_array_get(g->words, gen_below(g, json_array_size(g->words))));
    return text ? text : "word";
}

static json_t *text_of(struct gen *g, size_t length)
{
    static const char *const letters[] = {
        "a", "e",  "n",  "t",  "Z", "7",           " ", "-", "'", "\xc3\xa9", "\xe1\xba\xb9", "\xf0\x9f\x98\x80",
        "%", "\"", "\\", "\n", "<", "\xe2\x82\xa6"};
    char *text = malloc(length * 4 + 1);
    size_t at = 0;
    for (size_t i = 0; text && i < length; i++) {
        const char *letter = letters[gen_below(g, gen_chance(g, 70) ? 6 : sizeof letters / sizeof *letters)];
        size_t n = strlen(letter);
        memcpy(text + at, letter, n);
        at += n;
    }
    json_t *value = text ? json_stringn(text, at) : NULL;
    free(text);
    return value;
}

static json_t *gen_text(struct gen *g, const json_t *schema, const char *member)
{
    const char *pattern = json_string_value(json_object_get(schema, "pattern"));
    const json_t *most = json_object_get(schema, "maxLength"), *seen = json_object_get(g->seen, member ? member : "");
    size_t least = (size_t)json_integer_value(json_object_get(schema, "minLength"));
    size_t limit = most ? (size_t)json_integer_value(most) : LONG_TEXT;
    if (!pattern && gen_chance(g, 10)) /* the bounds themselves */
        return text_of(g, gen_chance(g, 50) ? least : limit < LONG_TEXT ? limit : LONG_TEXT);
    if (json_array_size(seen) && gen_chance(g, 45)) {
        json_t *value = json_array_get(seen, gen_below(g, json_array_size(seen)));
        if (json_is_string(value))
            return json_incref(value);
    }
    if (pattern) {
        char *text = gen_pattern(g, pattern);
        json_t *value = text ? json_string(text) : NULL;
        free(text);
        return value ? value : json_string("");
    }
    if (gen_chance(g, 55)) {
        const char *text = word(g);
        size_t n = strlen(text);
        if (n >= least && n <= limit)
            return json_string(text);
    }
    size_t n = least + gen_below(g, 12);
    return text_of(g, n < limit ? n : limit);
}

static double bound(const json_t *schema, const char *name, double otherwise)
{
    const json_t *value = json_object_get(schema, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static json_t *gen_integer(struct gen *g, const json_t *schema)
{
    double low = bound(schema, "minimum", -9.2e18), high = bound(schema, "maximum", 9.2e18);
    const double edges[] = {low, high, low + 1, high - 1, 0, 1, -1, 100, 1000, 2147483648.0, 1e15};
    double v = edges[gen_below(g, sizeof edges / sizeof *edges)];
    if (gen_chance(g, 50) || v < low || v > high) {
        double from = low > -1e6 ? low : (high < 0 ? high - 1e6 : 0), span = high - from < 1e6 ? high - from : 1e6;
        v = from + floor((double)gen_below(g, 1000000) / 1e6 * (gen_chance(g, 50) && span > 1000 ? 1000 : span));
    }
    return json_integer((json_int_t)ceil(v));
}

static json_t *gen_number(struct gen *g, const json_t *schema)
{
    double low = bound(schema, "minimum", -1e15), high = bound(schema, "maximum", 1e15);
    const double odd[] = {0.5, 99.5, 0.01, 0.001, 1e-9, 1e12, 1e300, -1e300, 12.345};
    if (gen_chance(g, 70))
        return gen_integer(g, schema);
    double v = odd[gen_below(g, sizeof odd / sizeof *odd)];
    return json_real(v < low ? low : v > high ? high : v);
}

/* ---- by schema ---- */

static const char *choose_type(struct gen *g, const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    if (json_is_array(type))
        type = json_array_get(type, gen_below(g, json_array_size(type)));
    if (type)
        return json_string_value(type);
    if (json_object_get(schema, "properties") || json_object_get(schema, "required"))
        return "object";
    return json_object_get(schema, "items") ? "array" : NULL;
}

static void add_members(struct gen *g, json_t *object, const json_t *schema, int depth)
{
    const char *name;
    json_t *member, *required = json_object_get(schema, "required");
    size_t i;
    unsigned share = gen_chance(g, 20) ? 0 : gen_chance(g, 30) ? 100 : 50;
    json_object_foreach(json_object_get(schema, "properties"), name, member)
    {
        bool must = json_object_get(member, "x-check") != NULL;
        json_t *r;
        json_array_foreach(required, i, r) must = must || strcmp(json_string_value(r), name) == 0;
        if (must || (depth < DEPTH_MAX && gen_chance(g, share)))
            json_object_set_new(object, name, gen_value(g, member, name, depth + 1));
    }
    json_array_foreach(required, i, member) if (!json_object_get(object, json_string_value(member)))
        json_object_set_new(object, json_string_value(member), gen_any(g, depth + 1));
    const json_t *more = json_object_get(schema, "additionalProperties");
    bool closed = json_is_false(more);
    size_t n = closed ? 0 : json_object_get(schema, "properties") ? gen_chance(g, 10) : gen_below(g, 5);
    for (i = 0; i < n; i++)
        json_object_set_new(object, word(g),
                            json_is_object(more) ? gen_value(g, more, NULL, depth + 1) : gen_any(g, depth + 2));
}

static json_t *gen_list(struct gen *g, const json_t *schema, int depth)
{
    json_t *list = json_array();
    size_t least = (size_t)json_integer_value(json_object_get(schema, "minItems"));
    const json_t *most = json_object_get(schema, "maxItems");
    size_t limit = most ? (size_t)json_integer_value(most) : 64, n = least + gen_below(g, 4);
    if (gen_chance(g, 5))
        n = limit < 64 ? limit : 64;
    const json_t *items = json_object_get(schema, "items");
    for (size_t i = 0; i < n && i < (limit > least ? limit : least) && (depth < DEPTH_MAX || i < least); i++)
        json_array_append_new(list, items ? gen_value(g, items, NULL, depth + 1) : gen_any(g, depth + 1));
    return list;
}

static json_t *by_schema(struct gen *g, const json_t *schema, const char *member, int depth);

json_t *gen_value(struct gen *g, const json_t *schema, const char *member, int depth)
{
    schema = schema_resolve(g->document, schema);
    json_t *less = json_object_get(schema, "x-check");
    if (!less)
        return by_schema(g, schema, member, depth);
    json_t *narrow = json_copy((json_t *)(uintptr_t)schema);
    json_object_update(narrow, less);
    json_t *value = by_schema(g, narrow, member, depth);
    json_decref(narrow);
    return value;
}

static json_t *by_schema(struct gen *g, const json_t *schema, const char *member, int depth)
{
    json_t *fixed = json_object_get(schema, "const"), *list = json_object_get(schema, "enum"), *part;
    static const char *const choices[] = {"oneOf", "anyOf"};
    size_t i;
    if (!json_is_object(schema) || depth > 4 * DEPTH_MAX)
        return gen_any(g, depth);
    if (fixed)
        return json_deep_copy(fixed);
    if (json_array_size(list))
        return json_deep_copy(json_array_get(list, gen_below(g, json_array_size(list))));
    if (!(list = json_object_get(schema, "examples")))
        list = json_object_get(schema, "default") ? json_object_get(schema, "default") : NULL;
    if (list && gen_chance(g, 20))
        return json_deep_copy(json_is_array(list) && json_object_get(schema, "examples")
                                  ? json_array_get(list, gen_below(g, json_array_size(list)))
                                  : list);
    const char *type = choose_type(g, schema);
    const json_t *chosen = NULL;
    for (i = 0; i < 2 && !chosen; i++)
        if ((list = json_object_get(schema, choices[i])))
            chosen = schema_resolve(g->document, json_array_get(list, gen_below(g, json_array_size(list))));
    if (chosen && (!type || strcmp(type, "object") != 0))
        return gen_value(g, chosen, member, depth + 1);
    const json_t *all = json_object_get(schema, "allOf");
    if (!type && json_array_size(all))
        type = "object";
    if (!type)
        return gen_any(g, depth);
    if (strcmp(type, "string") == 0)
        return gen_text(g, schema, member);
    if (strcmp(type, "integer") == 0)
        return gen_integer(g, schema);
    if (strcmp(type, "number") == 0)
        return gen_number(g, schema);
    if (strcmp(type, "boolean") == 0)
        return json_boolean(gen_chance(g, 50));
    if (strcmp(type, "array") == 0)
        return gen_list(g, schema, depth);
    if (strcmp(type, "object") != 0)
        return json_null();
    json_t *object = json_object();
    add_members(g, object, schema, depth);
    json_array_foreach(all, i, part) add_members(g, object, schema_resolve(g->document, part), depth + 1);
    if (chosen)
        add_members(g, object, chosen, depth + 1);
    return object;
}

json_t *gen_object(struct gen *g, const json_t *schema)
{
    json_t *value = schema ? gen_value(g, schema, NULL, 0) : NULL;
    if (json_is_object(value))
        return value;
    json_decref(value);
    value = json_object();
    for (uint64_t n = gen_below(g, 6); n; n--)
        json_object_set_new(value, word(g), gen_any(g, 1));
    return value;
}

/* ---- shaped by nothing ---- */

json_t *gen_any(struct gen *g, int depth)
{
    static const json_int_t numbers[] = {0, 1, -1, 100, 50000, INT64_MAX, INT64_MIN, 1700000000000};
    json_t *value;
    switch (gen_below(g, depth < DEPTH_MAX ? 12 : 8)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(gen_chance(g, 50));
    case 2:
        return json_integer(numbers[gen_below(g, sizeof numbers / sizeof *numbers)]);
    case 3:
        return json_real((double)gen_below(g, 100000) / 100.0);
    case 4:
        return text_of(g, gen_below(g, 10));
    case 5:
    case 6:
    case 7:
    case 8:
        return json_string(word(g));
    case 9:
        value = json_array();
        for (uint64_t n = gen_below(g, 3); n; n--)
            json_array_append_new(value, gen_any(g, depth + 1));
        return value;
    }
    value = json_object();
    for (uint64_t n = gen_below(g, 4); n; n--)
        json_object_set_new(value, word(g), gen_any(g, depth + 1));
    return value;
}

/* ---- odd ---- */

static json_t *deep(int depth)
{
    json_t *value = json_object();
    for (int i = 0; i < depth; i++)
        value = i % 2 ? json_pack("{s:o}", "a", value) : json_pack("[o]", value);
    return value;
}

static json_t *odd(struct gen *g, const json_t *was)
{
    switch (gen_below(g, 10)) {
    case 0:
        return json_null();
    case 1:
        return json_string("");
    case 2:
        return json_integer(json_is_integer(was) ? -json_integer_value(was) : INT64_MIN);
    case 3:
        return json_array();
    case 4:
        return json_object();
    case 5:
        return text_of(g, 20000);
    case 6:
        return deep(50);
    case 7:
        return json_is_string(was) ? json_integer(7) : json_string("7");
    case 8:
        return json_real(1e308);
    }
    return gen_any(g, 0);
}

/* Changes one thing at a random depth. */
static void mutate(struct gen *g, json_t *object)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        size_t n = json_object_size(object), pick = gen_below(g, n ? n : 1);
        void *at = json_object_iter(object);
        while (at && pick--)
            at = json_object_iter_next(object, at);
        if (!at || gen_chance(g, 12)) {
            json_object_set_new(object, word(g), odd(g, NULL));
            return;
        }
        json_t *value = json_object_iter_value(at);
        if (json_is_object(value) && json_object_size(value) && gen_chance(g, 60)) {
            object = value;
            continue;
        }
        char name[256];
        snprintf(name, sizeof name, "%s", json_object_iter_key(at));
        if (json_is_array(value) && gen_chance(g, 40))
            json_array_append_new(value, odd(g, NULL));
        else if (gen_chance(g, 30))
            json_object_del(object, name);
        else
            json_object_set_new(object, name, odd(g, value));
        return;
    }
}

json_t *gen_mutated(struct gen *g, json_t *value)
{
    json_t *copy = json_deep_copy(value); /* parts may be shared with what was seen */
    json_decref(value);
    for (uint64_t n = 1 + gen_below(g, 3); n; n--)
        mutate(g, copy);
    return copy;
}

void gen_see(json_t *seen, const json_t *value)
{
    const char *name;
    json_t *member;
    size_t i;
    if (json_is_array(value)) {
        json_array_foreach((json_t *)(uintptr_t)value, i, member) if (i < 4) gen_see(seen, member);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        if (!json_is_string(member)) {
            gen_see(seen, member);
            continue;
        }
        json_t *list = json_object_get(seen, name);
        size_t n = json_array_size(list);
        if (!list && json_object_size(seen) < 256)
            json_object_set_new(seen, name, list = json_array());
        if (n < SEEN_MAX)
            json_array_append(list, member);
        else
            json_array_set(list, gen_hash(json_string_value(member), json_string_length(member), 0) % n, member);
    }
}
