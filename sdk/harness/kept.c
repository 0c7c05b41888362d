/* What is kept of a component and of a conversation, as handlers read and change it: tables, context, state. A change
 * is seen at once and stays, also where the turn fails later. */
#include "private.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- queries ---- */

static const char *order_column;
static int order_sign;

static int by_column(const void *a, const void *b)
{
    const json_t *x = json_object_get(*(json_t *const *)a, order_column),
                 *y = json_object_get(*(json_t *const *)b, order_column);
    if (json_is_number(x) && json_is_number(y))
        return order_sign *
               ((json_number_value(x) > json_number_value(y)) - (json_number_value(x) < json_number_value(y)));
    return order_sign *
           strcmp(json_is_string(x) ? json_string_value(x) : "", json_is_string(y) ? json_string_value(y) : "");
}

static const json_t *find_table(const struct harness_turn *t, const char *name)
{
    const json_t *tables = json_object_get(json_object_get(t->c->plugin->manifest, "needs"), "tables");
    for (size_t i = 0; i < json_array_size(tables); i++)
        if (!strcmp(cvm_json_str(json_array_get(tables, i), "name", ""), name))
            return json_array_get(tables, i);
    return NULL;
}

static json_t *select_rows(struct harness_turn *t, const cvm_query *q, const char *key_column)
{
    json_t *rows = json_object_get(t->h->rows, q->table), *row, *value, *chosen = json_array();
    size_t n = 0, limit = q->limit > 0 ? (size_t)q->limit : 100;
    json_t **found = calloc(json_object_size(rows) + 1, sizeof *found);
    const char *key, *column;
    if (!found)
        harness__die("out of memory");
    json_object_foreach(rows, key, row)
    {
        bool match = true;
        json_object_foreach(q->where, column, value) match = match && json_equal(json_object_get(row, column), value);
        if (match)
            found[n++] = row;
    }
    order_sign = q->order_by && *q->order_by == '-' ? -1 : 1;
    order_column = q->order_by ? q->order_by + (order_sign < 0) : key_column;
    qsort(found, n, sizeof *found, by_column);
    for (size_t i = 0; i < n && i < limit; i++)
        json_array_append(chosen, found[i]);
    free(found);
    return json_pack("{s:o, s:b}", "rows", chosen, "more", n > limit);
}

/* The words of `match` that stand in the row's texts, of a search that is far simpler than the host's. */
static double words_in(const json_t *row, const json_t *texts, const char *match)
{
    char copy[8192], *rest = copy, *word;
    const char *column;
    json_t *weight;
    double score = 0;
    snprintf(copy, sizeof copy, "%s", match);
    while ((word = strtok_r(rest, " \t\r\n.,;:?!'\"()", &rest)))
        json_object_foreach((json_t *)(uintptr_t)texts, column,
                            weight) if (strcasestr(cvm_json_str(row, column, ""), word)) score +=
            json_number_value(weight);
    return score;
}

static double score_of(const json_t *row)
{
    return json_real_value(json_is_array(row) ? json_array_get(row, 1) : json_object_get(row, "text_score"));
}

/* As if it alone had been asked. */
static json_t *search_one(struct harness_turn *t, const cvm_query *q, const json_t *table)
{
    json_t *rows = json_object_get(t->h->rows, q->table), *row, *value, *chosen = json_array();
    const json_t *texts = json_object_get(json_object_get(table, "search"), "text");
    size_t limit = q->limit > 0 ? (size_t)q->limit : 100;
    const char *key, *column;
    json_object_foreach(rows, key, row)
    {
        bool fits = true;
        json_object_foreach(q->where, column, value) fits = fits && json_equal(json_object_get(row, column), value);
        double score = q->match ? words_in(row, texts, q->match) : 0;
        if (!fits || score <= 0)
            continue;
        size_t at = 0;
        while (at < json_array_size(chosen) && score_of(json_array_get(chosen, at)) >= score)
            at++;
        json_t *copy = q->keys_only
                           ? json_pack("[O, f, n]", json_object_get(row, cvm_json_str(table, "key", "")), score)
                           : json_copy(row);
        if (!q->keys_only) {
            json_object_set_new(copy, "text_score", json_real(score));
            json_object_set_new(copy, "vector_score", json_null());
        }
        json_array_insert_new(chosen, at, copy);
        if (json_array_size(chosen) > limit)
            json_array_remove(chosen, limit);
    }
    return json_pack("{s:o, s:b, s:{s:i, s:[]}}", "rows", chosen, "more", 0, "words", "n", (int)json_object_size(rows),
                     "terms");
}

static json_t *search_rows(struct harness_turn *t, const cvm_query *q, const json_t *table)
{
    json_t *found = search_one(t, q, table), *also = q->n_also ? json_array() : NULL;
    for (size_t i = 0; i < q->n_also; i++) {
        cvm_query one = *q;
        one.match = q->also[i].match;
        json_array_append_new(also, search_one(t, &one, table));
    }
    if (also)
        json_object_set_new(found, "also", also);
    return found;
}

/* Answered from the rows as they are, in a message of its own like the host's. */
int harness__query(cvm_turn *pub, const cvm_query *given)
{
    struct harness_turn *t = of(pub);
    cvm_query whole = {.size = 0}, *q = &whole;
    memcpy(&whole, given, given->size < sizeof whole ? given->size : sizeof whole);
    const json_t *table = q->table ? find_table(t, q->table) : NULL;
    struct harness_item *made = table && q->limit <= 1000 ? harness__make(t, "query.reply", t->m->conversation) : NULL;
    if (made) {
        made->to = t->c;
        made->on_behalf = q->on_behalf;
        made->data =
            q->match || q->near_column ? search_rows(t, q, table) : select_rows(t, q, cvm_json_str(table, "key", ""));
        if (q->with)
            json_object_set(made->data, "with", q->with);
        made->reply = true;
    }
    json_decref(q->with);
    json_decref(q->where);
    return made ? CVM_OK
                : harness__complain(t, table ? CVM_ELIMIT : CVM_EACCES, "cvm_ask", q->table ? q->table : "",
                                    "declare it in \"needs.tables\"");
}

/* ---- context and state ---- */

const json_t *harness__context(cvm_turn *pub)
{
    return harness_context(of(pub)->h, of(pub)->m->conversation);
}

int harness__context_set(cvm_turn *pub, const char *path, json_t *value)
{
    struct harness_turn *t = of(pub);
    json_t *at = harness_context(t->h, t->m->conversation);
    const char *slash;
    if (t->ephemeral || *path != '/') {
        json_decref(value);
        return harness__complain(t, t->ephemeral ? CVM_ESTATE : CVM_EINVAL, "cvm_context_set", path,
                                 t->ephemeral ? EPHEMERAL : "");
    }
    for (path++; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
        json_t *next = json_object_get(at, name);
        bool append = strcmp(slash, "/-") == 0;
        if (append ? !json_is_array(next) : !json_is_object(next)) {
            next = append ? json_array() : json_object();
            json_object_set_new(at, name, next);
        }
        at = next;
    }
    /* a copy, so that later sets do not change what was frozen elsewhere */
    if (json_is_array(at))
        json_array_append_new(at, json_deep_copy(value));
    else if (value)
        json_object_set_new(at, path, json_deep_copy(value));
    else
        json_object_del(at, path);
    json_decref(value);
    return CVM_OK;
}

static const cvm_component *descriptor_of(const struct harness_component *c)
{
    const cvm_component *d = c->plugin->descriptor->components;
    while (d->id && strcmp(d->id, c->id) != 0)
        d++;
    return d;
}

/* A value of another version is turned into today's as it is read, and stays so for later reads. */
static int upgrade(struct harness_component *c, const char *key, const json_t **value)
{
    const cvm_component *d = descriptor_of(c);
    json_int_t from = json_integer_value(json_object_get(c->versions, key));
    json_t *made = NULL;
    if (from == d->state_version)
        return CVM_OK;
    if (!d->upgrade || d->upgrade((uint32_t)from, key, *value, &made) < 0 || !made)
        return CVM_EDATA;
    char *text = json_dumps(made, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    json_object_set_new(c->dumps, key, json_string(text));
    free(text);
    json_object_set_new(c->state, key, made);
    json_object_set_new(c->versions, key, json_integer(d->state_version));
    *value = made;
    return CVM_OK;
}

static bool key_good(const char *key)
{
    return key && *key && strlen(key) <= CVM_STATE_KEY_MAX;
}

int harness__state_get(cvm_turn *pub, const char *key, const json_t **ret_value)
{
    struct harness_turn *t = of(pub);
    if (!key_good(key))
        return harness__complain(t, CVM_ELIMIT, "cvm_state_get", "", "a key has 1 to 128 bytes");
    const json_t *v = json_object_get(t->c->state, key);
    if (!v)
        return CVM_ENOENT;
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    if (strcmp(text, cvm_json_str(t->c->dumps, key, "")) != 0)
        harness__die("%s: the value of the state key %s was changed after it was given away", t->c->id, key);
    free(text);
    int e = upgrade(t->c, key, &v);
    if (e < 0)
        return harness__complain(t, e, "cvm_state_get", key,
                                 "the value has another state version and `upgrade` failed or is missing");
    *ret_value = v;
    return CVM_OK;
}

int harness__state_put(cvm_turn *pub, const char *key, json_t *value)
{
    struct harness_turn *t = of(pub);
    if (t->ephemeral || !key_good(key)) {
        json_decref(value);
        return harness__complain(t, t->ephemeral ? CVM_ESTATE : CVM_ELIMIT, "cvm_state_put", key ? key : "",
                                 t->ephemeral ? EPHEMERAL : "a key has 1 to 128 bytes");
    }
    if (!value) {
        json_object_del(t->c->state, key);
        json_object_del(t->c->versions, key);
        json_object_del(t->c->dumps, key);
        return CVM_OK;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    if (!text || strlen(text) > CVM_STATE_VALUE_MAX_BYTES) {
        free(text);
        json_decref(value);
        return harness__complain(t, CVM_ELIMIT, "cvm_state_put", key, "a value has at most 64 KiB");
    }
    json_object_set_new(t->c->dumps, key, json_string(text));
    free(text);
    json_object_set_new(t->c->state, key, value);
    json_object_set_new(t->c->versions, key, json_integer(descriptor_of(t->c)->state_version));
    return CVM_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int harness__state_scan(cvm_turn *pub, const char *prefix, const char *after, size_t limit, json_t **ret_pairs)
{
    struct harness_turn *t = of(pub);
    size_t n = 0, size = json_object_size(t->c->state);
    const char **keys = calloc(size + 1, sizeof *keys), *key;
    json_t *value, *pairs = json_array();
    int e = keys && limit >= 1 && limit <= 1000 ? CVM_OK : CVM_ELIMIT;
    if (e < 0)
        harness__complain(t, e, "cvm_state_scan", prefix, "limit is 1 to 1000");
    json_object_foreach(t->c->state, key, value) if (!strncmp(key, prefix, strlen(prefix)) &&
                                                     (!after || strcmp(key, after) > 0)) keys[n++] = key;
    if (n)
        qsort(keys, n, sizeof *keys, by_text);
    for (size_t i = 0; i < n && i < limit && e == CVM_OK; i++) {
        const json_t *v = json_object_get(t->c->state, keys[i]);
        e = upgrade(t->c, keys[i], &v);
        json_array_append_new(pairs, json_pack("[s, O]", keys[i], v));
    }
    free(keys);
    if (e < 0)
        json_decref(pairs);
    else
        *ret_pairs = pairs;
    return e;
}

/* ---- rows ---- */

int harness__row_put(cvm_turn *pub, const char *name, json_t *row)
{
    struct harness_turn *t = of(pub);
    char field[160], text[160];
    const json_t *found = find_table(t, name);
    if (found && cvm_json_bool(found, "bulk", false)) {
        json_decref(row);
        return harness__complain(t, CVM_EACCES, "cvm_row_put", name, "a table with \"bulk\": true is written by jobs");
    }
    if (!found || t->ephemeral) {
        json_decref(row);
        return harness__complain(t, found ? CVM_ESTATE : CVM_EACCES, "cvm_row_put", name,
                                 found ? EPHEMERAL : "declare it in \"needs.tables\"");
    }
    if (!json_is_object(row) || !json_is_string(json_object_get(row, cvm_json_str(found, "key", ""))))
        harness__die("%s: a row of %s is no object, or its key is no string", t->c->id, name);
    if (harness__schema(t->c->plugin->manifest, json_object_get(found, "schema"), row, field, text) < 0)
        harness__die("%s: a row of %s: %s %s", t->c->id, name, field, text);
    json_t *rows = json_object_get(t->h->rows, name);
    if (!rows) {
        rows = json_object();
        json_object_set_new(t->h->rows, name, rows);
    }
    json_object_set_new(rows, cvm_json_str(row, cvm_json_str(found, "key", ""), ""), row);
    return CVM_OK;
}

int harness__row_del(cvm_turn *pub, const char *name, const char *key)
{
    struct harness_turn *t = of(pub);
    if (cvm_json_bool(find_table(t, name), "bulk", false))
        return harness__complain(t, CVM_EACCES, "cvm_row_del", name, "a table with \"bulk\": true is written by jobs");
    if (!find_table(t, name) || t->ephemeral)
        return harness__complain(t, t->ephemeral ? CVM_ESTATE : CVM_EACCES, "cvm_row_del", name, "");
    json_object_del(json_object_get(t->h->rows, name), key);
    return CVM_OK;
}
