/* See index.h. Open addressing; slots hold the number and one. Any thread. */
#include "index.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash(const char *first, const char *second)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *first; first++)
        h = (h ^ (unsigned char)*first) * UINT64_C(0x100000001b3);
    for (h *= UINT64_C(0x100000001b3); second && *second; second++)
        h = (h ^ (unsigned char)*second) * UINT64_C(0x100000001b3);
    h ^= h >> 32;
    return h * UINT64_C(0x9e3779b97f4a7c15);
}

static size_t slot_of(const struct index_map *m, const char *first, const char *second)
{
    size_t len = strlen(first) + 1, i = (size_t)(hash(first, second) >> 20) & (m->n_slots - 1);
    for (; m->slots[i]; i = (i + 1) & (m->n_slots - 1)) {
        const char *text = m->texts + m->at[m->slots[i] - 1];
        if (strcmp(text, first) == 0 && strcmp(text + len, second ? second : "") == 0)
            break;
    }
    return i;
}

static bool grow(struct index_map *m)
{
    size_t n_slots = m->n_slots ? m->n_slots * 2 : 1024, room = n_slots / 2;
    uint32_t *slots = calloc(n_slots, sizeof *slots);
    size_t *at = slots ? realloc(m->at, room * sizeof *at) : NULL;
    if (!at) {
        free(slots);
        return false;
    }
    free(m->slots);
    m->slots = slots;
    m->n_slots = n_slots;
    m->at = at;
    m->room = room;
    for (size_t i = 0; i < m->n; i++) {
        const char *first = m->texts + at[i];
        slots[slot_of(m, first, first + strlen(first) + 1)] = (uint32_t)(i + 1);
    }
    return true;
}

size_t index_put(struct index_map *m, const char *first, const char *second)
{
    size_t a = strlen(first) + 1, b = second ? strlen(second) + 1 : 1;
    size_t found = index_find(m, first, second);
    if (found != INDEX_NONE)
        return found;
    if (m->n >= INDEX_MAX || (m->n == m->room && !grow(m)))
        return INDEX_NONE;
    if (m->used + a + b > m->size) {
        size_t size = 2 * (m->used + a + b) + 4096;
        char *texts = realloc(m->texts, size);
        if (!texts)
            return INDEX_NONE;
        m->texts = texts;
        m->size = size;
    }
    size_t slot = slot_of(m, first, second);
    memcpy(m->texts + m->used, first, a);
    memcpy(m->texts + m->used + a, second ? second : "", b);
    m->at[m->n] = m->used;
    m->used += a + b;
    m->slots[slot] = (uint32_t)++m->n;
    return m->n - 1;
}

size_t index_find(const struct index_map *m, const char *first, const char *second)
{
    return m->n_slots && m->slots[slot_of(m, first, second)] ? m->slots[slot_of(m, first, second)] - 1 : INDEX_NONE;
}

const char *index_text(const struct index_map *m, size_t number)
{
    return m->texts + m->at[number];
}

void index_fini(struct index_map *m)
{
    free(m->texts);
    free(m->at);
    free(m->slots);
}
