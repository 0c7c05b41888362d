/* Making effects inside a turn: an outgoing call is checked against the manifest and given its URL, a question to the
 * tables becomes SQL over declared columns, a job is held against the manifest. effect.c says what becomes of them. */
#include "core/internal.h"

#include "core/search.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB_TIMEOUT_MAX_MS (24 * 3600 * INT64_C(1000))
#define EFFECT_URL_MAX_BYTES 4096
#define EFFECT_KEY_MAX_BYTES 256
#define EFFECT_HEADER_MAX_BYTES 4096

const struct manifest_call *effect_find_call(const struct component *c, const char *name)
{
    const struct manifest *m = c->now->generation ? c->now->generation->manifest : NULL;
    for (size_t i = 0; m && name && i < m->n_calls; i++)
        if (strcmp(m->calls[i].name, name) == 0)
            return &m->calls[i];
    return NULL;
}

static void add_escaped(struct text *text, const char *s)
{
    for (; *s; s++) {
        if (isalnum((unsigned char)*s) || strchr("-._~", *s))
            text_char(text, *s);
        else
            text_printf(text, "%%%02X", (unsigned char)*s);
    }
}

/* Declared base, declared path, the call's own path and query. Gives a string, NULL: no base set, or too long. */
static char *make_url(const struct component *c, const struct manifest_call *decl, const cvm_call *call)
{
    const char *base = decl->url;
    struct text text;
    if (strncmp(base, "setting:", 8) == 0)
        base = json_string_value(json_object_get(c->now->settings, base + 8));
    if (!base || !*base)
        return NULL;
    if (strncmp(base, "secret:", 7) == 0) /* known when it leaves: what is recorded is its name */
        return strdup(base);
    text_init(&text, EFFECT_URL_MAX_BYTES);
    text_puts(&text, base);
    text_puts(&text, decl->path ? decl->path : "");
    text_puts(&text, call->path ? call->path : "");
    char mark = '?';
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)call->query, key, value)
    {
        text_char(&text, mark);
        mark = '&';
        add_escaped(&text, key);
        text_char(&text, '=');
        if (json_is_string(value)) {
            add_escaped(&text, json_string_value(value));
        } else {
            struct text number;
            text_init(&number, 64);
            text_json(&number, value);
            text_add(&number, "", 0); /* ends the string: an array's last character does not */
            add_escaped(&text, number.failed ? "" : number.at);
            text_free(&number);
        }
    }
    text_add(&text, "", 0);
    if (text.failed) {
        text_free(&text);
        return NULL;
    }
    return text.at;
}

static struct effect *effect_new(struct turn *t, const struct name *type)
{
    struct core *core = t->core;
    struct effect *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    cvm_id cause = t->message ? t->message->pub.id : (cvm_id){0, 0};
    e->item = (struct item){.kind = ITEM_EFFECT, .refs = 1};
    e->item.id =
        id_derive(cause, t->component->salt, ++t->ordinal, t->conversation ? (uint64_t)t->conversation->key : 0);
    e->core = core;
    e->type = type;
    e->component = t->component;
    e->conversation = t->conversation;
    if (e->conversation)
        conversation_hold(e->conversation);
    e->subject = subject_derive(t->message ? t->message->subject : NULL, NULL, NULL, NULL);
    e->priority = t->message ? t->message->pub.priority : CVM_MEDIUM;
    return e;
}

int effect_look(struct turn *t, const cvm_out *out, struct component *to, const struct route_slot *slot, size_t bytes,
                cvm_id *ret_id)
{
    int64_t timeout = out->timeout_ms > 0               ? out->timeout_ms
                      : slot->operation->timeout_ms > 0 ? slot->operation->timeout_ms
                                                        : CORE_REQUEST_TIMEOUT_MS;
    if (turn_outputs(t) + t->dead.n >= CVM_TURN_OUTPUTS_MAX)
        return CVM_ELIMIT;
    CVM_TRY(turn_count(t, bytes));
    struct effect *e = effect_new(t, slot->type);
    if (!e)
        return CVM_ENOMEM;
    e->query = json_pack("{s:{s:s, s:O*}}", "look", "to", to->id->text, "data", out->data);
    e->on_behalf = out->on_behalf;
    e->deadline_ms = t->core->now_ms + (timeout < CORE_REQUEST_TIMEOUT_MAX_MS ? timeout : CORE_REQUEST_TIMEOUT_MAX_MS);
    if (out->priority >= 0 && out->priority <= CVM_CRITICAL)
        e->priority = (uint8_t)out->priority;
    subject_release(e->subject);
    e->subject =
        subject_derive(t->message ? t->message->subject : NULL, out->enquiry_id, out->customer_id, out->session_id);
    if (!e->query || !VECTOR_PUSH(t->opens, &e->item)) {
        item_release(t->core, &e->item);
        return CVM_ENOMEM;
    }
    json_decref(out->data);
    if (ret_id)
        *ret_id = e->item.id;
    return CVM_OK;
}

static bool headers_good(const json_t *headers)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
    {
        if (!json_is_string(value) || json_string_length(value) > EFFECT_HEADER_MAX_BYTES ||
            strpbrk(json_string_value(value), "\r\n") || strpbrk(name, "\r\n: "))
            return false;
    }
    return !headers || json_is_object(headers);
}

static bool mail_good(const cvm_call *call)
{
    cvm_mail mail = cvm_mail_of(call->headers, call->body);
    return !cvm_mail_fault(&mail);
}

int turn_call(cvm_turn *pub, const cvm_call *call, cvm_id *ret_id)
{
    struct turn *t = (struct turn *)pub;
    const struct manifest_call *decl = effect_find_call(t->component, call->name);
    struct effect *e = NULL;
    char *url = NULL;
    int error = 0;
    if (call->size < sizeof *call)
        error = CVM_EINVAL;
    else if (!decl)
        error = CVM_EACCES;
    else if (!t->conversation && decl->unknown != UNKNOWN_SAFE)
        error = CVM_ESTATE;
    else if (turn_outputs(t) >= CVM_TURN_OUTPUTS_MAX)
        error = CVM_ELIMIT;
    else if (!headers_good(call->headers) || (decl->mail && !mail_good(call)))
        error = CVM_EINVAL;
    else if (call->key && (strlen(call->key) > EFFECT_KEY_MAX_BYTES || !text_is_utf8(call->key, strlen(call->key))))
        error = CVM_EINVAL;
    else if (turn_count(t, json_text_size(call->body, CVM_TURN_BYTES_MAX) +
                               json_text_size(call->headers, CVM_TURN_BYTES_MAX)) < 0)
        error = CVM_ELIMIT;
    else if (!(url = make_url(t->component, decl, call)))
        error = CVM_ENOENT;
    else if (!(e = effect_new(t, names_find(t->core->names, decl->name))))
        error = CVM_ENOMEM;
    if (error) {
        json_decref(call->headers);
        json_decref(call->body);
        free(url);
        return error;
    }
    char shown[40];
    id_text(e->item.id, shown);
    e->call = decl;
    e->manifest = manifest_hold(t->component->now->generation->manifest);
    e->url = url;
    e->headers = call->headers;
    e->body = call->body;
    e->key = strdup(call->key ? call->key : shown);
    e->on_behalf = call->on_behalf;
    e->timeout_ms = call->timeout_ms > 0 ? call->timeout_ms : CORE_REQUEST_TIMEOUT_MS;
    e->deadline_ms = call->deadline_ms ? call->deadline_ms : t->core->now_ms + CORE_CALL_DEADLINE_MS;
    if (ret_id)
        *ret_id = e->item.id;
    if (!e->key || !VECTOR_PUSH(t->opens, &e->item)) {
        item_release(t->core, &e->item);
        return CVM_ENOMEM;
    }
    t->core->total.calls += !t->trial;
    return CVM_OK;
}

static bool has_column(const struct manifest_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i].name, name) == 0)
            return true;
    return false;
}

#define MATCH_MAX_BYTES 8192

/* " AND" for each member of `where`, over declared columns; values are bound after those that are there. False: no such
 * column. */
static bool add_where(struct text *sql, const struct manifest_table *table, const json_t *where, json_t *binds)
{
    const char *column;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)where, column, value)
    {
        if (!has_column(table, column))
            return false;
        json_array_append(binds, value);
        text_printf(sql, " AND \"%s\" = ?%zu", column, json_array_size(binds));
    }
    return true;
}

static bool add_listing(struct text *sql, const struct manifest_table *table, const cvm_query *query, json_t *binds)
{
    const char *order = query->order_by ? query->order_by : table->key;
    bool descending = *order == '-';
    text_printf(sql, "SELECT * FROM \"%s\" WHERE 1", table->name);
    if (!add_where(sql, table, query->where, binds) || !has_column(table, order + descending))
        return false;
    text_printf(sql, " ORDER BY \"%s\"%s", order + descending, descending ? " DESC" : "");
    return true;
}

static int dimension_of(const struct manifest_table *table, const char *column)
{
    for (size_t i = 0; i < table->search.n_vectors; i++)
        if (strcmp(table->search.vectors[i].column, column) == 0)
            return table->search.vectors[i].dimension;
    return 0;
}

/* Whether the table is declared to be searched so. */
static bool may_search(const struct manifest_table *table, const cvm_question *query)
{
    size_t len = query->match ? strnlen(query->match, MATCH_MAX_BYTES + 1) : 0;
    if (len > MATCH_MAX_BYTES || (query->match && !table->search.n_texts) ||
        (query->match && !text_is_utf8(query->match, len)))
        return false;
    if (!query->near_column)
        return query->match && !query->near_vector;
    int dimension = dimension_of(table, query->near_column);
    return dimension && query->near_vector && search_is_good_vector(query->near_vector, dimension);
}

/* Of one that may be searched so: digits, which need no look whether they are UTF-8. */
static json_t *near_json(const cvm_question *q)
{
    json_t *vector = q->near_column ? json_string_nocheck(q->near_vector) : NULL;
    return vector ? json_pack("[s, o]", q->near_column, vector) : NULL;
}

/* Gives {"search": see search.h}, or NULL. */
static json_t *make_search(const struct manifest_table *table, const cvm_query *query)
{
    const char *column;
    json_t *value;
    const cvm_question first = {query->match, query->near_column, query->near_vector};
    bool good = !query->order_by && query->n_also <= CVM_QUESTIONS_MAX && may_search(table, &first);
    json_object_foreach(query->where, column, value) good = good && has_column(table, column);
    for (size_t i = 0; good && i < query->n_also; i++)
        good = may_search(table, &query->also[i]);
    if (!good)
        return NULL;
    json_t *also = query->n_also ? json_array() : NULL;
    for (size_t i = 0; i < query->n_also; i++)
        json_array_append_new(
            also, json_pack("{s:s*, s:o*}", "match", query->also[i].match, "near", near_json(&query->also[i])));
    return json_pack("{s:{s:s, s:s*, s:o*, s:O*, s:I, s:o*, s:o*}}", "search", "table", table->name, "match",
                     query->match, "near", near_json(&first), "where", query->where, "limit",
                     (json_int_t)(query->limit ? query->limit : 100), "keys", query->keys_only ? json_true() : NULL,
                     "also", also);
}

/* The question as SQL over declared columns only; values are bound. Gives {"sql", "binds", "limit"}, or NULL. */
static json_t *make_sql(const struct manifest_table *table, const cvm_query *query)
{
    struct text sql;
    json_t *binds = json_array(), *made = NULL;
    text_init(&sql, 65536);
    if (add_listing(&sql, table, query, binds) && !sql.failed)
        made = json_pack("{s:s#, s:O, s:I}", "sql", sql.at, (int)sql.len, "binds", binds, "limit",
                         (json_int_t)(query->limit ? query->limit : 100));
    json_decref(binds);
    text_free(&sql);
    return made;
}

static json_t *make_query(const struct manifest_table *table, const cvm_query *query)
{
    bool search = query->match || query->near_column || query->near_vector;
    return search ? make_search(table, query) : query->keys_only || query->n_also ? NULL : make_sql(table, query);
}

static size_t question_bytes(const cvm_question *q)
{
    return (q->match ? strlen(q->match) : 0) + (q->near_vector ? strlen(q->near_vector) : 0);
}

/* Of what is looked for: it stands in the record, and in the row of the effect. After make_query. */
static size_t search_bytes(const cvm_query *query)
{
    const cvm_question first = {query->match, query->near_column, query->near_vector};
    size_t bytes = question_bytes(&first);
    for (size_t i = 0; i < query->n_also; i++)
        bytes += question_bytes(&query->also[i]);
    return bytes;
}

int turn_query(cvm_turn *pub, const cvm_query *given)
{
    struct turn *t = (struct turn *)pub;
    cvm_query whole = {.size = 0}, *query = &whole;
    memcpy(&whole, given, given->size < sizeof whole ? given->size : sizeof whole);
    struct core *core = t->core;
    struct table *table = query->table ? component_table(t->component, query->table) : NULL;
    json_t *sql = NULL;
    struct effect *e = NULL;
    int error = given->size < CVM_QUERY_SIZE_1_0 || query->limit < 0 || query->limit > 1000 ? CVM_EINVAL
                : !table                                                                    ? CVM_EACCES
                : turn_outputs(t) >= CVM_TURN_OUTPUTS_MAX                                   ? CVM_ELIMIT
                : (query->where && !json_is_object(query->where))                           ? CVM_EINVAL
                : turn_count(t, json_text_size(query->where, CVM_TURN_BYTES_MAX)) < 0       ? CVM_ELIMIT
                : !(sql = make_query(table->decl, query))                                   ? CVM_EINVAL
                : turn_count(t, search_bytes(query)) < 0                                    ? CVM_ELIMIT
                : !(e = effect_new(t, core->name_query))                                    ? CVM_ENOMEM
                                                                                            : 0;
    json_decref(query->where);
    if (!error && query->with &&
        (turn_count(t, json_text_size(query->with, CVM_TURN_BYTES_MAX)) < 0 ||
         json_object_set(sql, "with", query->with) < 0))
        error = CVM_ELIMIT;
    json_decref(query->with);
    if (error) {
        if (e)
            item_release(core, &e->item);
        json_decref(sql);
        return error;
    }
    e->query = sql;
    e->on_behalf = query->on_behalf;
    e->deadline_ms = core->now_ms + CORE_REQUEST_TIMEOUT_MS;
    if (!VECTOR_PUSH(t->opens, &e->item)) {
        item_release(core, &e->item);
        return CVM_ENOMEM;
    }
    return CVM_OK;
}

int turn_job(cvm_turn *pub, const char *name, json_t *input, cvm_id on_behalf, int64_t timeout_ms)
{
    struct turn *t = (struct turn *)pub;
    const struct generation *g = t->component->now->generation;
    const struct manifest_job *decl = g && name ? manifest_find_job(g->manifest, name) : NULL;
    struct name *type = decl ? names_find(t->core->names, decl->name) : NULL;
    struct effect *e = NULL;
    if (!input)
        input = json_object();
    int error = !decl                                                                         ? CVM_EACCES
                : !type || !component_route(t->component, names_reply(t->core->names, type))  ? CVM_ENOENT
                : !json_is_object(input) || timeout_ms < 0 || timeout_ms > JOB_TIMEOUT_MAX_MS ? CVM_EINVAL
                : turn_outputs(t) >= CVM_TURN_OUTPUTS_MAX                                     ? CVM_ELIMIT
                : turn_count(t, json_text_size(input, CVM_TURN_BYTES_MAX)) < 0                ? CVM_ELIMIT
                : !(e = effect_new(t, type))                                                  ? CVM_ENOMEM
                                                                                              : 0;
    if (error) {
        json_decref(input);
        return error;
    }
    e->job = true;
    e->body = input;
    e->on_behalf = on_behalf;
    e->timeout_ms = timeout_ms ? timeout_ms : decl->timeout_ms;
    e->asked_ms = t->core->now_ms;
    if (!VECTOR_PUSH(t->opens, &e->item)) {
        item_release(t->core, &e->item);
        return CVM_ENOMEM;
    }
    return CVM_OK;
}
