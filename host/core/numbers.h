/* Sets of whole numbers (turns, conversations, configurations) as the members of an object. Any thread. */
#ifndef HOST_CORE_NUMBERS_H
#define HOST_CORE_NUMBERS_H

#include "core/json_text.h"
#include <stdio.h>

/* Borrowed; NULL: it is not among them. */
static inline json_t *numbers_get(const json_t *numbers, int64_t n)
{
    char name[24];
    snprintf(name, sizeof name, "%lld", (long long)n);
    return json_object_get(numbers, name);
}

/* Takes the value. */
static inline int numbers_put(json_t *numbers, int64_t n, json_t *value)
{
    char name[24];
    snprintf(name, sizeof name, "%lld", (long long)n);
    return json_object_set_new(numbers, name, value);
}

/* "1,2,3", for a query. */
static inline void numbers_list(struct text *text, const json_t *numbers)
{
    const char *name, *between = "";
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)numbers, name, value)
    {
        text_puts(text, between);
        text_puts(text, name);
        between = ",";
    }
}

#endif
