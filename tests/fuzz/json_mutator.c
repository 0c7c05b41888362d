/* Mutants of JSON that are still JSON, mostly: a value is removed, doubled, replaced by another one of the document or
 * by an odd one, a member renamed. Bytes alone would never get past the parser. */
#include "fuzz.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 200

static uint64_t state;

static size_t below(size_t n)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return n ? (size_t)(state >> 33) % n : 0;
}

static json_t *odd_value(void)
{
    static const char *const texts[] = {"",        "a",   "#",           "#/",     "#/schemas/x", "../x", "object",
                                        "integer", "1.0", "%s%n",        "/",      ".",           "[a",   "(",
                                        "(a+)+$",  "{x}", "POST /a/{b}", "role:x", "?",           "-x"};
    switch (below(10)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(below(2));
    case 2:
        return json_integer((json_int_t[]){0, 1, -1, 64, 10001, INT64_MAX, INT64_MIN}[below(7)]);
    case 3:
        return json_real((double[]){0.5, -0.0, 1e308, -1e-308}[below(4)]);
    case 4:
        return json_array();
    case 5:
        return json_object();
    default:
        return json_string(texts[below(sizeof texts / sizeof *texts)]);
    }
}

static size_t count(const json_t *value)
{
    return json_array_size(value) + json_object_size(value);
}

/* Some container of the document, by walking down at random. */
static json_t *pick(json_t *value)
{
    for (int depth = 0; depth < DEPTH_MAX && count(value) > 0 && below(6); depth++) {
        size_t i = below(count(value));
        json_t *down = json_array_get(value, i);
        void *member = json_object_iter(value);
        for (size_t k = 0; member && k < i; k++)
            member = json_object_iter_next(value, member);
        if (member)
            down = json_object_iter_value(member);
        if (!json_is_array(down) && !json_is_object(down))
            break;
        value = down;
    }
    return value;
}

static void change_array(json_t *array, json_t *value)
{
    size_t n = json_array_size(array), at = below(n + 1);
    switch (below(4)) {
    case 0:
        json_array_remove(array, at);
        json_decref(value);
        break;
    case 1:
        json_array_insert_new(array, at, value);
        break;
    case 2:
        json_decref(value);
        json_array_insert_new(array, at, json_deep_copy(json_array_get(array, below(n))));
        break;
    default:
        json_array_set_new(array, at, value);
    }
}

static void copy_name(json_t *object, size_t i, char ret_name[128])
{
    void *member = json_object_iter(object);
    for (; member && i > 0; i--)
        member = json_object_iter_next(object, member);
    snprintf(ret_name, 128, "%s", member ? json_object_iter_key(member) : "x");
}

static void change_object(json_t *object, json_t *other, json_t *value)
{
    char name[128], another[128];
    copy_name(object, below(json_object_size(object)), name);
    copy_name(other, below(json_object_size(other)), another);
    switch (below(4)) {
    case 0:
        json_object_del(object, name);
        json_decref(value);
        break;
    case 1: /* the value by another name */
        json_decref(value);
        value = json_deep_copy(json_object_get(object, name));
        json_object_del(object, name);
        json_object_set_new(object, another, value);
        break;
    case 2: /* a member of another object */
        json_decref(value);
        json_object_set_new(object, another, json_deep_copy(json_object_get(other, another)));
        break;
    default:
        json_object_set_new(object, name, value);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    state = seed;
    json_t *document = below(8) ? json_loadb((const char *)data, size, 0, NULL) : NULL;
    if (!document)
        return LLVMFuzzerMutate(data, size, max_size);
    for (size_t times = 1 + below(3); times > 0; times--) {
        json_t *at = pick(document), *other = pick(document);
        json_t *value = below(3) ? odd_value() : json_deep_copy(other);
        if (json_is_array(at))
            change_array(at, value);
        else if (json_is_object(at))
            change_object(at, other, value);
        else
            json_decref(value);
    }
    size_t n = json_dumpb(document, (char *)data, max_size, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(document);
    return n > 0 && n <= max_size ? n : LLVMFuzzerMutate(data, size, max_size);
}
