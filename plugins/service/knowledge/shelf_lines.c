/* See knowledge.h: lines that questions are compared with, read once and kept while the value they stand in is the one
 * that is stored, and the values of one answer, each asked for once. What is kept is made of the values alone, so that
 * an answer is the same without it. Loop thread. */
#include "knowledge.h"

#include <stdio.h>
#include <stdlib.h>

#define KEPT_MAX 1024 /* values; a power of 2 */
#define NEAR 4        /* places that a value may stand at */
#define KEPT_WORDS_MAX 300000

struct lines {
    json_t *value;   /* held, so that what `words` points into stands */
    uint64_t answer; /* that it was last of use to */
    struct trace_word *words;
    size_t n_words;
    const char *topic, *head_line;
    struct trace_line head;
    struct lines_row rows[TRACE_ROWS];
};

static struct lines *kept[KEPT_MAX];
static size_t kept_words;
static uint64_t answers;

static void drop(struct lines **place)
{
    if (!*place)
        return;
    kept_words -= (*place)->n_words;
    json_decref((*place)->value);
    free((*place)->words);
    free(*place);
    *place = NULL;
}

void lines_drop(void)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        drop(&kept[i]);
}

static size_t words_of(const char *line)
{
    size_t n = 1;
    for (; *line; line++)
        n += *line == ' ';
    return n;
}

static struct trace_line read_words(struct lines *l, const char *line)
{
    struct trace_line read = {.words = l->words + l->n_words};
    while (trace_next(&line, &l->words[l->n_words])) {
        l->n_words++;
        read.n++;
    }
    return read;
}

/* "p<its place> words", "q<place of its answer> words". */
static void open_row(struct lines_row *row, const char *line)
{
    char *end;
    row->question = *line == 'q';
    row->at = (int)strtol(line + (*line != '\0'), &end, 10);
    row->line = end;
}

static void read_row(struct lines *l, struct lines_row *row, const char *line)
{
    open_row(row, line);
    row->read = read_words(l, row->line);
}

static struct lines *read_value(const json_t *value)
{
    const json_t *rows = json_object_get(value, "rows");
    const char *head = cvm_json_str(value, "head", "");
    size_t n = words_of(head) + 1;
    for (size_t i = 0; i < json_array_size(rows) && i < TRACE_ROWS; i++)
        n += words_of(json_is_string(json_array_get(rows, i)) ? json_string_value(json_array_get(rows, i)) : "") + 1;
    struct lines *l = calloc(1, sizeof *l);
    if (l)
        l->words = malloc(n * sizeof *l->words);
    if (!l || !l->words) {
        free(l);
        return NULL;
    }
    l->topic = cvm_json_str(value, "topic", "");
    l->head_line = head;
    l->head = read_words(l, head);
    for (size_t i = 0; i < json_array_size(rows) && i < TRACE_ROWS; i++)
        if (json_is_string(json_array_get(rows, i)))
            read_row(l, &l->rows[i], json_string_value(json_array_get(rows, i)));
    l->value = cvm_json_share(value);
    return l;
}

/* Makes room of what is of no use to this answer. False: there is none. */
static bool make_room(size_t words)
{
    for (size_t i = 0; i < KEPT_MAX && kept_words + words > KEPT_WORDS_MAX; i++)
        if (kept[i] && kept[i]->answer != answers)
            drop(&kept[i]);
    return kept_words + words <= KEPT_WORDS_MAX;
}

/* Of a value that is not kept there is no place, or no memory: NULL. */
static const struct lines *lines_of(const json_t *value)
{
    size_t first = (size_t)((uint64_t)(uintptr_t)value * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    struct lines **place = NULL;
    for (size_t i = 0; i < NEAR; i++) {
        struct lines **one = &kept[(first + i) % KEPT_MAX];
        if (*one && (*one)->value == value) {
            (*one)->answer = answers;
            return *one;
        }
        if (!*one || (*one)->answer != answers)
            place = !place || (*place && (!*one || (*one)->answer < (*place)->answer)) ? one : place;
    }
    struct lines *l = place ? read_value(value) : NULL;
    if (!l)
        return NULL;
    drop(place);
    if (!make_room(l->n_words)) {
        json_decref(l->value);
        free(l->words);
        free(l);
        return NULL;
    }
    kept_words += l->n_words;
    l->answer = answers;
    return *place = l;
}

/* ---- the values of one answer ------------------------------------------------------------------------------------ */

#define ASKED_MAX 192
#define SLOTS 256 /* a power of 2, more than those */

struct value_asked {
    char id[DOCUMENT_ID_MAX + 1];
    int block;
    const json_t *value; /* NULL: there is none */
    const struct lines *lines;
};

static struct {
    struct value_asked at[ASKED_MAX];
    size_t n;
    uint8_t slots[SLOTS]; /* one more than the place; 0: none */
} asked;

void lines_begin(void)
{
    answers++;
    asked.n = 0;
    memset(asked.slots, 0, sizeof asked.slots);
}

static int ask(cvm_turn *t, const char *id, int at, struct value_asked *ret)
{
    int e = shelf_traced(t, id, at, &ret->value);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    ret->lines = e < 0 ? NULL : lines_of(ret->value);
    return CVM_OK;
}

static int find(cvm_turn *t, const char *id, int at, struct value_asked *once, const struct value_asked **ret)
{
    uint32_t h = 2166136261U + (uint32_t)(at / TRACE_ROWS);
    for (const char *c = id; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619U;
    uint8_t *slot = &asked.slots[(h ^ h >> 15) % SLOTS];
    for (; *slot; slot = &asked.slots[(size_t)(slot - asked.slots + 1) % SLOTS]) {
        const struct value_asked *one = &asked.at[*slot - 1];
        if (one->block == at / TRACE_ROWS && strcmp(one->id, id) == 0) {
            *ret = one;
            return CVM_OK;
        }
    }
    CVM_TRY(ask(t, id, at, once));
    *ret = once;
    if (asked.n == ASKED_MAX)
        return CVM_OK;
    memcpy(once->id, id, strnlen(id, DOCUMENT_ID_MAX)); /* of zeros before */
    once->block = at / TRACE_ROWS;
    asked.at[asked.n++] = *once;
    *slot = (uint8_t)asked.n;
    return CVM_OK;
}

int lines_row(cvm_turn *t, const char *id, int at, struct lines_found *ret_found)
{
    struct value_asked once = {.block = -1};
    const struct value_asked *one = NULL;
    CVM_TRY(find(t, id, at, &once, &one));
    if (!one->value)
        return CVM_ENOENT;
    struct lines_row *row = &ret_found->row;
    ret_found->value = one->value;
    if (one->lines) {
        ret_found->topic = one->lines->topic;
        ret_found->head_line = one->lines->head_line;
        ret_found->head = one->lines->head;
        *row = one->lines->rows[at % TRACE_ROWS];
        return CVM_OK;
    }
    const char *line = json_string_value(json_array_get(json_object_get(one->value, "rows"), (size_t)at % TRACE_ROWS));
    ret_found->topic = cvm_json_str(one->value, "topic", "");
    ret_found->head_line = cvm_json_str(one->value, "head", "");
    ret_found->head = (struct trace_line){0};
    *row = (struct lines_row){0};
    if (line)
        open_row(row, line);
    return CVM_OK;
}
