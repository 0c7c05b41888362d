/* Labelled texts in memory; see examples.h. */
#include "models/examples.h"

#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 8

void examples_init(struct examples *e)
{
    *e = (struct examples){0};
}

static void free_strings(char **strings, size_t n)
{
    for (size_t i = 0; strings && i < n; i++)
        free(strings[i]);
    free(strings);
}

void examples_fini(struct examples *e)
{
    for (size_t i = 0; i < e->n_heads; i++) {
        free_strings(e->heads[i].fields, e->heads[i].n_fields);
        free_strings(e->heads[i].labels, e->heads[i].n_labels);
        json_decref(e->heads[i].ids);
    }
    free_strings(e->texts, e->n);
    free(e->labels);
    examples_init(e);
}

/* ---- heads ---- */

int examples_head(struct examples *e, const char *name, const json_t *fields)
{
    size_t n = fields ? json_array_size(fields) : 1;
    if (e->n_heads == EXAMPLES_HEADS || strlen(name) >= EXAMPLES_NAME_BYTES || n > FIELDS_MAX)
        return CVM_ELIMIT;
    if (!*name || !n || e->n)
        return CVM_EINVAL;
    struct examples_head *head = &e->heads[e->n_heads];
    *head = (struct examples_head){.ids = json_object(), .fields = calloc(n, sizeof *head->fields)};
    snprintf(head->name, sizeof head->name, "%s", name);
    e->n_heads++;
    if (!head->ids || !head->fields)
        return CVM_ENOMEM;
    for (; head->n_fields < n; head->n_fields++) {
        const char *field = fields ? json_string_value(json_array_get(fields, head->n_fields)) : name;
        if (!field || !*field)
            return CVM_EINVAL;
        if (!(head->fields[head->n_fields] = strdup(field)))
            return CVM_ENOMEM;
    }
    return 0;
}

int examples_heads(struct examples *e, const json_t *heads, char *ret_error, size_t error_size)
{
    const char *name;
    json_t *fields;
    json_object_foreach((json_t *)(uintptr_t)heads, name, fields)
    {
        int error = json_is_array(fields) ? examples_head(e, name, fields) : CVM_EINVAL;
        if (error) {
            snprintf(ret_error, error_size,
                     "head \"%.80s\": expected a list of 1 to %d field names (at most %d heads, names under %d bytes)",
                     name, FIELDS_MAX, EXAMPLES_HEADS, EXAMPLES_NAME_BYTES);
            return error;
        }
    }
    if (e->n_heads)
        return 0;
    snprintf(ret_error, error_size, "expected an object: head -> list of fields, with at least one head");
    return CVM_EINVAL;
}

int32_t examples_label(const struct examples *e, size_t head, const char *label)
{
    const json_t *id = json_object_get(e->heads[head].ids, label);
    return id ? (int32_t)json_integer_value(id) : -1;
}

/* The label's index, new or old; negative: an error. */
static int intern(struct examples_head *head, const char *label, int32_t *ret_id)
{
    const json_t *known = json_object_get(head->ids, label);
    if (known) {
        *ret_id = (int32_t)json_integer_value(known);
        return 0;
    }
    if (head->n_labels == EXAMPLES_LABELS || strlen(label) >= EXAMPLES_NAME_BYTES)
        return CVM_ELIMIT;
    char **labels = realloc(head->labels, (head->n_labels + 1) * sizeof *labels);
    if (!labels)
        return CVM_ENOMEM;
    head->labels = labels;
    if (!(labels[head->n_labels] = strdup(label)))
        return CVM_ENOMEM;
    *ret_id = (int32_t)head->n_labels++;
    return json_object_set_new(head->ids, label, json_integer(*ret_id)) < 0 ? CVM_EINVAL : 0;
}

/* ---- texts ---- */

static int make_room(struct examples *e)
{
    if (e->n == EXAMPLES_COUNT)
        return CVM_ELIMIT;
    if (e->n < e->room)
        return 0;
    size_t room = e->room ? e->room * 2 : 256;
    char **texts = realloc(e->texts, room * sizeof *texts);
    if (!texts)
        return CVM_ENOMEM;
    e->texts = texts;
    int32_t *labels = realloc(e->labels, room * e->n_heads * sizeof *labels);
    if (!labels)
        return CVM_ENOMEM;
    e->labels = labels;
    e->room = room;
    return 0;
}

int examples_add(struct examples *e, const char *text, const char *const *labels)
{
    if (strlen(text) >= EXAMPLES_TEXT_BYTES)
        return CVM_ELIMIT;
    CVM_TRY(make_room(e));
    int32_t *to = e->labels + e->n * e->n_heads;
    for (size_t h = 0; h < e->n_heads; h++) {
        to[h] = -1;
        if (labels[h])
            CVM_TRY(intern(&e->heads[h], labels[h], &to[h]));
    }
    if (!(e->texts[e->n] = strdup(text)))
        return CVM_ENOMEM;
    e->n++;
    return 0;
}

/* Appends a field's value; 1: it has none. */
static int append_value(const json_t *value, char text[EXAMPLES_NAME_BYTES])
{
    size_t len = strlen(text), room = EXAMPLES_NAME_BYTES - len;
    int n = -1;
    const char *slash = len ? "/" : "";
    if (!value || json_is_null(value))
        return 1;
    if (json_is_string(value))
        n = snprintf(text + len, room, "%s%s", slash, json_string_value(value));
    else if (json_is_boolean(value))
        n = snprintf(text + len, room, "%s%s", slash, json_is_true(value) ? "yes" : "no");
    else if (json_is_integer(value))
        n = snprintf(text + len, room, "%s%lld", slash, (long long)json_integer_value(value));
    return n < 0 ? CVM_EINVAL : (size_t)n >= room ? CVM_ELIMIT : 0;
}

int examples_add_json(struct examples *e, const json_t *example, const char *domain, char *ret_error, size_t error_size)
{
    char texts[EXAMPLES_HEADS][EXAMPLES_NAME_BYTES];
    const char *labels[EXAMPLES_HEADS], *text = cvm_json_str(example, "text", NULL);
    json_t *own = domain ? json_string(domain) : NULL;
    int error = text ? 0 : CVM_EINVAL;
    if (error)
        snprintf(ret_error, error_size, "\"text\": expected a string");
    for (size_t h = 0; h < e->n_heads && !error; h++) {
        int absent = 0;
        texts[h][0] = 0;
        for (size_t i = 0; i < e->heads[h].n_fields && !absent; i++) {
            const char *field = e->heads[h].fields[i];
            const json_t *value = json_object_get(example, field);
            absent = append_value(!value && strcmp(field, "domain") == 0 ? own : value, texts[h]);
            if (absent < 0)
                snprintf(ret_error, error_size,
                         "\"%.80s\": expected a string under %d bytes, an integer, true or false", field,
                         EXAMPLES_NAME_BYTES);
        }
        labels[h] = absent ? NULL : texts[h];
        error = absent < 0 ? absent : 0;
    }
    char *noted = error ? NULL : cvm_noted_text(text, json_object_get(example, "notes"));
    if (!error && !noted)
        error = CVM_ENOMEM;
    if (!error && (error = examples_add(e, noted, labels)))
        snprintf(ret_error, error_size, "%s: at most %d texts of %d bytes, %d labels of a head", cvm_strerror(error),
                 EXAMPLES_COUNT, EXAMPLES_TEXT_BYTES - 1, EXAMPLES_LABELS);
    free(noted);
    json_decref(own);
    return error;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int examples_sort(struct examples *e)
{
    for (size_t h = 0; h < e->n_heads; h++) {
        struct examples_head *head = &e->heads[h];
        int32_t now[EXAMPLES_LABELS];
        qsort(head->labels, head->n_labels, sizeof *head->labels, by_bytes);
        for (size_t i = 0; i < head->n_labels; i++) {
            json_t *id = json_object_get(head->ids, head->labels[i]);
            now[json_integer_value(id)] = (int32_t)i;
            if (json_integer_set(id, (json_int_t)i) < 0)
                return CVM_ENOMEM;
        }
        for (size_t i = 0; i < e->n; i++) {
            int32_t *label = &e->labels[i * e->n_heads + h];
            *label = *label < 0 ? -1 : now[*label];
        }
    }
    return 0;
}

/* ---- parts ---- */

int examples_part(const struct examples *from, const uint8_t *fold, uint8_t which, bool inside,
                  struct examples *ret_part)
{
    struct examples part = *from;
    part.n = 0;
    part.texts = calloc(from->n + 1, sizeof *part.texts);
    part.labels = calloc((from->n + 1) * from->n_heads, sizeof *part.labels);
    if (!part.texts || !part.labels) {
        examples_part_fini(&part);
        return CVM_ENOMEM;
    }
    for (size_t i = 0; i < from->n; i++) {
        if ((fold[i] == which) != inside)
            continue;
        part.texts[part.n] = from->texts[i];
        memcpy(part.labels + part.n * from->n_heads, from->labels + i * from->n_heads,
               from->n_heads * sizeof *part.labels);
        part.n++;
    }
    *ret_part = part;
    return 0;
}

void examples_part_fini(struct examples *part)
{
    free(part->texts);
    free(part->labels);
    *part = (struct examples){0};
}
