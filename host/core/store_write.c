/* One group of records as one transaction. What was opened and closed within the group leaves no row; of several
 * values of one key, one context or one row only the last is written. Runs on the writer's thread. */
#include "core/search.h"
#include "core/store.h"

#include "core/broken.h"
#include "core/crash.h"
#include "core/envelope_words.h"
#include "core/wal_gather.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const kind_names[] = {"message", "request", "timer", "effect"};

static void bind_str(sqlite3_stmt *st, int i, const char *text)
{
    sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static void bind_text(sqlite3_stmt *st, int i, const struct text *text)
{
    sqlite3_bind_text(st, i, text->at, (int)text->len, SQLITE_STATIC);
}

static int run(sqlite3_stmt *st)
{
    int e = sqlite3_step(st);
    sqlite3_reset(st);
    return e == SQLITE_DONE || e == SQLITE_ROW ? SQLITE_OK : e;
}

/* A configuration comes before the first turn that names it. */
static int write_configuration(struct store *s, struct configuration *c)
{
    sqlite3_stmt *st = s->statement[STATEMENT_CONFIGURATION];
    int64_t id = 0, at_ms = 0;
    const char *hash = NULL, *doc = configuration_unwritten(c, &id, &hash, &at_ms);
    if (!doc)
        return SQLITE_OK;
    sqlite3_bind_int64(st, 1, id);
    bind_str(st, 2, hash);
    sqlite3_bind_int64(st, 3, at_ms);
    bind_str(st, 4, doc);
    return run(st);
}

static int write_turn(struct store *s, const struct record *rec)
{
    sqlite3_stmt *st = s->statement[STATEMENT_TURN];
    uint8_t id[16];
    const struct message *m = rec->message;
    record_text(&s->text, &s->scratch, rec);
    if (s->text.failed)
        return SQLITE_NOMEM;
    sqlite3_bind_int64(st, 1, rec->seq);
    sqlite3_bind_int64(st, 2, rec->at_ms);
    sqlite3_bind_int64(st, 3, rec->conversation->key);
    bind_str(st, 4, rec->component->id->text);
    if (m) {
        id_bytes(m->pub.id, id);
        sqlite3_bind_blob(st, 5, id, 16, SQLITE_STATIC);
    } else {
        sqlite3_bind_null(st, 5);
    }
    bind_str(st, 6, m ? m->pub.type : "");
    bind_str(st, 7, m ? m->pub.sender : "");
    bind_str(st, 8, rec->outcome);
    sqlite3_bind_int64(st, 9, rec->us);
    bind_str(st, 10, rec->build);
    bind_text(st, 11, &s->text);
    const struct audit_row row = {.seq = rec->seq,
                                  .at_ms = rec->at_ms,
                                  .conversation = rec->conversation->key,
                                  .component = rec->component->id->text,
                                  .message = m ? id : NULL,
                                  .type = m ? m->pub.type : "",
                                  .sender = m ? m->pub.sender : "",
                                  .outcome = rec->outcome,
                                  .us = rec->us,
                                  .build = rec->build};
    if (audit_add(&s->chain, &row, s->text.at, s->text.len) < 0)
        return SQLITE_NOMEM;
    sqlite3_bind_blob(st, 12, s->chain.next, AUDIT_HASH_BYTES, SQLITE_STATIC);
    return run(st);
}

static int write_head(struct store *s)
{
    sqlite3_stmt *st = s->statement[STATEMENT_AUDIT_HEAD];
    sqlite3_bind_int64(st, 1, s->chain.next_seq);
    sqlite3_bind_blob(st, 2, s->chain.next, AUDIT_HASH_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, s->chain.next_ms);
    return run(st);
}

static int write_context(struct store *s, const struct record *rec)
{
    const struct conversation *c = rec->conversation;
    sqlite3_stmt *st = s->statement[STATEMENT_CONTEXT];
    text_reset(&s->text);
    assert(rec->context); /* else the next record has it, which is of the same group */
    text_json(&s->text, rec->context);
    if (s->text.failed)
        return SQLITE_NOMEM;
    sqlite3_bind_int64(st, 1, c->key);
    bind_str(st, 2, c->name);
    sqlite3_bind_int64(st, 3, rec->parent);
    sqlite3_bind_int64(st, 4, rec->context_version);
    sqlite3_bind_int64(st, 5, c->opened_ms);
    sqlite3_bind_int64(st, 6, rec->ended_ms);
    bind_text(st, 7, &s->text);
    return run(st);
}

/* The value is that of the record's text, which is still there. */
static int write_state(struct store *s, const struct record *rec, const struct state_change *change)
{
    const struct component *c = change->entry->component;
    sqlite3_stmt *st = s->statement[change->value ? STATEMENT_STATE_PUT : STATEMENT_STATE_DEL];
    bind_str(st, 1, c->id->text);
    bind_str(st, 2, change->entry->key);
    if (change->value) {
        sqlite3_bind_text(st, 3, s->text.at + change->text_at, (int)change->text_len, SQLITE_STATIC);
        sqlite3_bind_int64(st, 4, rec->state_version);
        sqlite3_bind_int64(st, 5, rec->seq);
    }
    return run(st);
}

static int write_row(struct store *s, const struct row_change *change)
{
    const struct manifest_table *d = change->table->decl;
    sqlite3_stmt *st = change->row ? change->table->put : change->table->del;
    if (!change->row) {
        bind_str(st, 1, change->key);
        int e = run(st);
        return e || !change->table->search ? e : search_index_put(change->table->search, d, change->key, NULL);
    }
    text_reset(&s->text); /* JSON columns are copied out of here, so they may share it */
    for (size_t i = 0; i < d->n_columns; i++) {
        const json_t *value = json_object_get(change->row, d->columns[i].name);
        int at = (int)i + 1;
        if (!value || json_is_null(value) || search_is_vector(d, d->columns[i].name)) {
            sqlite3_bind_null(st, at);
        } else if (json_is_string(value)) {
            bind_str(st, at, json_string_value(value));
        } else if (json_is_integer(value)) {
            sqlite3_bind_int64(st, at, (int64_t)json_integer_value(value));
        } else if (json_is_real(value)) {
            sqlite3_bind_double(st, at, json_real_value(value));
        } else if (json_is_boolean(value)) {
            sqlite3_bind_int(st, at, json_is_true(value));
        } else {
            text_reset(&s->text);
            text_json(&s->text, value);
            if (s->text.failed)
                return SQLITE_NOMEM;
            sqlite3_bind_text(st, at, s->text.at, (int)s->text.len, SQLITE_TRANSIENT);
        }
    }
    int e = run(st);
    return e || !change->table->search ? e : search_index_put(change->table->search, d, change->key, change->row);
}

static int write_open(struct store *s, const struct item *item)
{
    sqlite3_stmt *st = s->statement[STATEMENT_OPEN];
    text_reset(&s->text);
    item_doc(&s->text, item);
    if (s->text.failed)
        return SQLITE_NOMEM;
    sqlite3_bind_int64(st, 1, item->no);
    bind_str(st, 2, kind_names[item->kind]);
    bind_text(st, 3, &s->text);
    return run(st);
}

static int write_close(struct store *s, const struct item *item)
{
    sqlite3_stmt *st = s->statement[STATEMENT_CLOSE];
    sqlite3_bind_int64(st, 1, item->no);
    return run(st);
}

static int write_inbox(struct store *s, const struct record *rec, const struct inbox_change *change)
{
    const struct inbox *inbox = change->inbox;
    uint8_t id[16];
    if (!inbox->key)
        return SQLITE_OK;
    if (change->outcome < 0) {
        sqlite3_stmt *st = s->statement[STATEMENT_INBOX_TAKE];
        memcpy(id, &inbox->id, 16); /* read back on this machine only */
        bind_str(st, 1, inbox->source);
        bind_str(st, 2, inbox->key);
        sqlite3_bind_blob(st, 3, inbox->hash, 32, SQLITE_STATIC);
        sqlite3_bind_blob(st, 4, id, 16, SQLITE_STATIC);
        sqlite3_bind_int64(st, 5, rec->at_ms);
        return run(st);
    }
    sqlite3_stmt *st = s->statement[STATEMENT_INBOX_ANSWER];
    text_reset(&s->text);
    text_json(&s->text, change->result);
    if (s->text.failed)
        return SQLITE_NOMEM;
    sqlite3_bind_int(st, 1, change->outcome);
    bind_text(st, 2, &s->text);
    bind_str(st, 3, inbox->source);
    bind_str(st, 4, inbox->key);
    return run(st);
}

static int write_dead(struct store *s, const struct record *rec, const struct dead_letter *dead)
{
    sqlite3_stmt *st = s->statement[STATEMENT_DEAD];
    uint8_t id[16];
    text_reset(&s->text);
    envelope_text(&s->text, dead->message, ENVELOPE_WHOLE);
    if (s->text.failed)
        return SQLITE_NOMEM;
    id_bytes(dead->message->pub.id, id);
    sqlite3_bind_int64(st, 1, rec->at_ms);
    sqlite3_bind_blob(st, 2, id, 16, SQLITE_STATIC);
    bind_str(st, 3, dead->message->to->id->text);
    bind_str(st, 4, dead->message->pub.type);
    bind_str(st, 5, dead->reason);
    bind_text(st, 6, &s->text);
    return run(st);
}

/* Room for twice as many rows, empty; 0: there is no memory. */
static size_t newest_room(struct store *s, size_t rows)
{
    size_t room = 64;
    while (room < 2 * rows)
        room *= 2;
    if (room > s->newest_room) {
        free(s->newest);
        s->newest = malloc(room * sizeof *s->newest);
        s->newest_room = s->newest ? room : 0;
    }
    if (!s->newest)
        return 0;
    memset(s->newest, 0, room * sizeof *s->newest);
    return room;
}

static void mark_row(struct row_change **newest, size_t room, struct row_change *change)
{
    size_t at = id_hash(change->key, strlen(change->key), (uint64_t)(uintptr_t)change->table) & (room - 1);
    while (newest[at] && (newest[at]->table != change->table || strcmp(newest[at]->key, change->key) != 0))
        at = (at + 1) & (room - 1);
    if (newest[at])
        newest[at]->superseded = true;
    newest[at] = change;
}

/* Without memory for it all changes are written. */
static void mark_rows(struct store *s, struct record *first, struct record *end)
{
    size_t rows = 0;
    for (struct record *r = first; r != end; r = r->next) {
        rows += r->n_rows;
        for (uint32_t i = 0; i < r->n_rows; i++)
            r->rows[i].superseded = false; /* the group may have been another one before */
    }
    size_t room = rows > 1 ? newest_room(s, rows) : 0;
    for (struct record *r = first; room && r != end; r = r->next)
        for (uint32_t i = 0; i < r->n_rows; i++)
            mark_row(s->newest, room, &r->rows[i]);
}

static void mark(struct store *s, struct record *first, struct record *end)
{
    mark_rows(s, first, end);
    for (struct record *r = first; r != end; r = r->next) {
        if (r->contexts_row)
            r->conversation->last = r;
        for (uint32_t i = 0; i < r->n_states; i++)
            r->states[i].entry->last = r;
        for (uint32_t i = 0; i < r->n_closes; i++)
            r->closes[i]->doomed = true;
    }
}

static int write_record(struct store *s, const struct record *r)
{
    int e = r->configuration ? write_configuration(s, r->configuration) : 0;
    if (!e)
        e = write_turn(s, r);
    for (uint32_t i = 0; !e && i < r->n_states; i++)
        if (r->states[i].entry->last == r)
            e = write_state(s, r, &r->states[i]);
    if (!e && r->contexts_row && r->conversation->last == r)
        e = write_context(s, r);
    for (uint32_t i = 0; !e && i < r->n_opens; i++)
        if (!r->opens[i]->doomed && !BROKEN(lost_open))
            e = write_open(s, r->opens[i]);
    for (uint32_t i = 0; !e && i < r->n_closes; i++)
        if (r->closes[i]->written)
            e = write_close(s, r->closes[i]);
    for (uint32_t i = 0; !e && i < r->n_inboxes; i++)
        e = write_inbox(s, r, &r->inboxes[i]);
    for (uint32_t i = 0; !e && i < r->n_rows; i++)
        if (!r->rows[i].superseded)
            e = write_row(s, &r->rows[i]);
    for (uint32_t i = 0; !e && i < r->n_dead; i++)
        e = write_dead(s, r, &r->dead[i]);
    return e;
}

/* Only full, busy and I/O errors pass by themselves; the group is tried again. */
static int judge(struct store *s, int code)
{
    const char *remedy = (code & 0xff) == SQLITE_BUSY ? "; another program holds it: end that"
                         : (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB ? "; restore a backup"
                                                                                             : "";
    bool own = sqlite3_errcode(s->db) == SQLITE_OK; /* there was no memory for a text: SQLite knows nothing of it */
    snprintf(s->error, sizeof s->error, "%s: %s%s", s->path, own ? sqlite3_errstr(code) : sqlite3_errmsg(s->db),
             remedy);
    if (!sqlite3_get_autocommit(s->db))
        run(s->statement[STATEMENT_ROLLBACK]);
    switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_CANTOPEN:
        return CVM_EBUSY;
    default:
        return CVM_EDATA;
    }
}

int store_write(struct store *s, struct record *first, struct record *end)
{
    mark(s, first, end);
    audit_group(&s->chain);
    wal_gather(s->db, true);
    int e = run(s->statement[STATEMENT_BEGIN]);
    if (!e)
        crash_here(CRASH_GROUP_BEGUN);
    for (struct record *r = first; !e && r != end; r = r->next)
        e = write_record(s, r);
    if (!e)
        e = write_head(s);
    if (!e) {
        crash_here(CRASH_ROWS_WRITTEN);
        e = run(s->statement[STATEMENT_COMMIT]);
    }
    wal_gather(s->db, false);
    if (e)
        return judge(s, e);
    crash_here(CRASH_COMMITTED);
    audit_committed(&s->chain);
    for (struct record *r = first; r != end; r = r->next) {
        if (r->configuration)
            configuration_written(r->configuration);
        for (uint32_t i = 0; i < r->n_opens; i++)
            r->opens[i]->written = !r->opens[i]->doomed;
    }
    return 0;
}
