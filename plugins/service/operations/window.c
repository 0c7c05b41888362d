/* Sums of a stretch of time, as JSON objects of whole numbers. Pure. Any thread. */
#include "operations.h"

#define NAMES_MAX 64

const double window_bounds[] = {0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300};

void window_add(json_t *into, const json_t *from)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        json_t *there = json_object_get(into, name);
        if (json_is_integer(value)) {
            json_object_set_new(into, name, json_integer(json_integer_value(there) + json_integer_value(value)));
        } else if (json_is_object(value)) {
            if (!json_is_object(there))
                json_object_set_new(into, name, there = json_object());
            window_add(there, value);
        }
    }
}

void window_count(json_t *window, const char *name, int64_t n)
{
    if (n) /* what is not there counts as none */
        json_object_set_new(window, name, json_integer(cvm_json_int(window, name, 0) + n));
}

void window_count_in(json_t *window, const char *group, const char *name, int64_t n)
{
    json_t *names = json_object_get(window, group);
    /* the window is a copy, its groups are still those of what is kept */
    names = json_is_object(names) ? json_copy(names) : json_object();
    json_object_set_new(window, group, names);
    window_count(names, json_object_get(names, name) || json_object_size(names) < NAMES_MAX ? name : "other", n);
}

void window_duration(json_t *window, int64_t ms)
{
    char name[8];
    size_t i = 0;
    while (i < WINDOW_BOUNDS && (double)ms / 1000.0 > window_bounds[i])
        i++;
    snprintf(name, sizeof name, "%zu", i);
    window_count_in(window, "durations", name, 1);
    window_count(window, "duration_ms", ms);
}

double window_quantile(const json_t *window, double q)
{
    const json_t *counts = json_object_get(window, "durations");
    int64_t of[WINDOW_BOUNDS + 1], n = 0, passed = 0;
    char name[8];
    for (size_t i = 0; i <= WINDOW_BOUNDS; i++) {
        snprintf(name, sizeof name, "%zu", i);
        of[i] = cvm_json_int(counts, name, 0);
        n += of[i];
    }
    for (size_t i = 0; n && i < WINDOW_BOUNDS; i++) {
        passed += of[i];
        if ((double)passed >= q * (double)n)
            return window_bounds[i];
    }
    return n ? window_bounds[WINDOW_BOUNDS - 1] : 0;
}
