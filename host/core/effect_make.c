/* Making effects inside a turn: an outgoing call is checked against the manifest and given its URL, a question to the
 * tables becomes SQL over declared columns. effect.c says what becomes of them. */
#include "core/internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    else if (!headers_good(call->headers))
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

/* The question as SQL over declared columns only; values are bound. Gives {"sql", "binds", "limit"}. */
static json_t *make_sql(const struct manifest_table *table, const cvm_query *query)
{
    struct text sql;
    json_t *binds = json_array();
    const char *order = query->order_by ? query->order_by : table->key, *column;
    bool descending = *order == '-';
    json_t *value;
    text_init(&sql, 65536);
    text_printf(&sql, "SELECT * FROM \"%s\"", table->name);
    const char *word = " WHERE ";
    json_object_foreach(query->where, column, value)
    {
        if (!has_column(table, column))
            goto bad;
        json_array_append(binds, value);
        text_printf(&sql, "%s\"%s\" = ?%zu", word, column, json_array_size(binds));
        word = " AND ";
    }
    if (!has_column(table, order + descending))
        goto bad;
    text_printf(&sql, " ORDER BY \"%s\"%s", order + descending, descending ? " DESC" : "");
    if (sql.failed)
        goto bad;
    value = json_pack("{s:s#, s:o, s:I}", "sql", sql.at, (int)sql.len, "binds", binds, "limit",
                      (json_int_t)(query->limit ? query->limit : 100));
    text_free(&sql);
    return value;
bad:
    json_decref(binds);
    text_free(&sql);
    return NULL;
}

int turn_query(cvm_turn *pub, const cvm_query *query)
{
    struct turn *t = (struct turn *)pub;
    struct core *core = t->core;
    struct table *table = query->table ? component_table(t->component, query->table) : NULL;
    json_t *sql = NULL;
    struct effect *e = NULL;
    int error = query->size < sizeof *query || query->limit < 0 || query->limit > 1000 ? CVM_EINVAL
                : !table                                                               ? CVM_EACCES
                : turn_outputs(t) >= CVM_TURN_OUTPUTS_MAX                              ? CVM_ELIMIT
                : (query->where && !json_is_object(query->where))                      ? CVM_EINVAL
                : turn_count(t, json_text_size(query->where, CVM_TURN_BYTES_MAX)) < 0  ? CVM_ELIMIT
                : !(sql = make_sql(table->decl, query))                                ? CVM_EINVAL
                : !(e = effect_new(t, core->name_query))                               ? CVM_ENOMEM
                                                                                       : 0;
    json_decref(query->where);
    if (error) {
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
