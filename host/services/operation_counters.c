/* Owns the counts; see operation_counters.h. */
#include "services/operation_counters.h"

#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 1024 /* chains are short: a few hundred operations */

enum { DONE, REFUSED, UNKNOWN, FAILED, RESULTS };
static const char *const result_names[RESULTS] = {"done", "refused", "unknown", "failed"};

struct operation_count {
    struct operation_count *next;
    uint64_t by_result[RESULTS];
    double seconds;
    char name[]; /* "component type" */
};

struct operation_counters {
    struct operation_count *buckets[BUCKETS];
    size_t n;
};

struct operation_counters *operation_counters_new(void)
{
    return calloc(1, sizeof(struct operation_counters));
}

void operation_counters_free(struct operation_counters *counters)
{
    for (size_t i = 0; counters && i < BUCKETS; i++)
        for (struct operation_count *c = counters->buckets[i], *next; c; c = next) {
            next = c->next;
            free(c);
        }
    free(counters);
}

static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

struct operation_count *operation_counters_get(struct operation_counters *counters, const char *component,
                                               const char *type)
{
    char name[2 * CVM_NAME_MAX + 2];
    if (!counters)
        return NULL;
    size_t component_len = strlen(component), len = component_len + 1 + strlen(type);
    if (len >= sizeof name)
        return NULL;
    memcpy(name, component, component_len);
    name[component_len] = ' ';
    memcpy(name + component_len + 1, type, len - component_len);
    struct operation_count **at = &counters->buckets[hash(name) % BUCKETS], *c = *at;
    while (c && strcmp(c->name, name) != 0)
        c = c->next;
    if (c || counters->n == OPERATION_COUNTERS_MAX || !(c = calloc(1, sizeof *c + len + 1)))
        return c;
    memcpy(c->name, name, len + 1);
    c->next = *at;
    *at = c;
    counters->n++;
    return c;
}

void operation_count_add(struct operation_count *count, int outcome, uint64_t elapsed_ns)
{
    if (!count)
        return;
    bool refused = outcome == CVM_REFUSED || outcome == CVM_EINVAL || outcome == CVM_EEXIST || outcome == CVM_EACCES ||
                   outcome == CVM_ELIMIT;
    count->by_result[outcome == CVM_REPLIED ? DONE : outcome == CVM_UNKNOWN ? UNKNOWN : refused ? REFUSED : FAILED]++;
    count->seconds += (double)elapsed_ns / 1e9;
}

static void head(struct text *text, const char *name, const char *help)
{
    text_printf(text, "# HELP cvmhost_%s %s\n# TYPE cvmhost_%s counter\n", name, help, name);
}

void operation_counters_print(struct operation_counters *counters, const struct operation *operations, size_t n,
                              struct text *text)
{
    static const struct operation_count none;
    if (!counters)
        return;
    head(text, "operation_requests_total", "Requests of people and programs to an operation, by how they ended.");
    for (size_t i = 0; i < n; i++) {
        const struct operation *o = &operations[i];
        const struct operation_count *c = operation_counters_get(counters, o->component_id, o->decl->type);
        for (int r = 0; o->decl->expose && r < RESULTS; r++)
            text_printf(
                text, "cvmhost_operation_requests_total{component=\"%s\",operation=\"%s\",result=\"%s\"} %llu\n",
                o->component_id, o->decl->type, result_names[r], (unsigned long long)(c ? c : &none)->by_result[r]);
    }
    head(text, "operation_seconds_total", "Time from their coming in to their end.");
    for (size_t i = 0; i < n; i++) {
        const struct operation *o = &operations[i];
        const struct operation_count *c = operation_counters_get(counters, o->component_id, o->decl->type);
        if (o->decl->expose)
            text_printf(text, "cvmhost_operation_seconds_total{component=\"%s\",operation=\"%s\"} %.15g\n",
                        o->component_id, o->decl->type, (c ? c : &none)->seconds);
    }
}
