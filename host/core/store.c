/* Opening, reading and asking; store_write.c writes, store_schema.c makes the tables. */
#include "core/store.h"

#include "core/search.h"

#include "core/crash.h"
#include "core/hex.h"
#include <stdlib.h>
#include <string.h>

/* Of one row. A turn's messages and state have 5 MiB, and a byte becomes six where JSON must escape it. */
#define STORE_TEXT_MAX_BYTES (64 * 1024 * 1024)
#define STORE_OPEN_WAIT_MS 5000 /* for another program that holds the file as the host starts */
#define STORE_WRITE_WAIT_MS 200 /* then the journal says so, and tries again */
#define STORE_QUERY_MAX_NS (5 * INT64_C(1000000000))

static const char *const statements[] = {
#define STORE_X(id, sql) sql,
    STORE_STATEMENTS(STORE_X)
#undef STORE_X
};

static int on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct store *s = arg;
    (void)db;
    (void)name;
    s->wal_bytes = (int64_t)pages * 4096;
    return SQLITE_OK;
}

static int too_long(void *arg)
{
    const struct store *s = arg;
    return s->busy_until_ns && clock_ns() > s->busy_until_ns;
}

int store_prepare(struct store *s, char *ret_error, size_t size)
{
    for (int i = 0; i < STATEMENT_COUNT; i++) {
        if (s->statement[i] || (!s->writer && i < STATEMENT_READ && i != STATEMENT_COMMIT))
            continue;
        if (sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->statement[i], NULL)) {
            snprintf(ret_error, size, "%s: %s; is it damaged? Restore a backup", s->path, sqlite3_errmsg(s->db));
            return CVM_EDATA;
        }
    }
    return 0;
}

int store_keep(struct store *s, const struct text *sql, sqlite3_stmt **ret_statement)
{
    sqlite3_stmt **kept = realloc(s->kept, (s->n_kept + 1) * sizeof *kept);
    *ret_statement = NULL;
    if (kept)
        s->kept = kept;
    if (!kept || sql->failed ||
        sqlite3_prepare_v3(s->db, sql->at, (int)sql->len, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL))
        return CVM_EDATA;
    s->kept[s->n_kept++] = *ret_statement;
    return 0;
}

int store_open(const char *path, bool writer, struct store **ret_store, char *ret_error, size_t size)
{
    struct store *s = calloc(1, sizeof *s);
    int flags = SQLITE_OPEN_NOMUTEX | (writer ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READWRITE);
    int e = CVM_ENOMEM;
    if (!s || !(s->path = strdup(path)))
        goto fail;
    s->writer = writer;
    text_init(&s->text, STORE_TEXT_MAX_BYTES);
    text_init(&s->scratch, STORE_TEXT_MAX_BYTES);
    if (sqlite3_open_v2(path, &s->db, flags, NULL) || sqlite3_busy_timeout(s->db, STORE_OPEN_WAIT_MS) ||
        sqlite3_exec(s->db,
                     "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                     "PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -4096;"
                     "PRAGMA journal_size_limit = 67108864;", /* a log that grew in a bad hour gives its room back */
                     NULL, NULL, NULL) ||
        (!writer && sqlite3_exec(s->db, "PRAGMA query_only = ON", NULL, NULL, NULL))) {
        int code = s->db ? sqlite3_errcode(s->db) : SQLITE_NOMEM;
        snprintf(ret_error, size, "%s: %s%s", path, s->db ? sqlite3_errmsg(s->db) : "out of memory",
                 code == SQLITE_BUSY || code == SQLITE_LOCKED ? "; another program holds it: end that and start again"
                 : code == SQLITE_NOTADB || code == SQLITE_CORRUPT
                     ? "; restore a backup, or move the file away to begin anew"
                     : "");
        e = code == SQLITE_BUSY || code == SQLITE_LOCKED ? CVM_EBUSY : CVM_EDATA;
        goto fail;
    }
    if (writer)
        sqlite3_wal_hook(s->db, on_wal, s);
    else if ((e = store_prepare(s, ret_error, size)))
        goto fail;
    sqlite3_busy_timeout(s->db, writer ? STORE_WRITE_WAIT_MS : 0);
    *ret_store = s;
    return 0;
fail:
    store_close(s);
    return e;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (int i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(s->statement[i]);
    for (size_t i = 0; i < s->n_kept; i++)
        sqlite3_finalize(s->kept[i]);
    free(s->kept);
    store_backup_end(s);
    search_memory_free(s->search);
    free(s->asking);
    sqlite3_close(s->db);
    text_free(&s->text);
    text_free(&s->scratch);
    audit_chain_free(&s->chain);
    free(s->newest);
    free(s->path);
    free(s);
}

const char *store_error(const struct store *s)
{
    return s->error;
}

int64_t store_wal_bytes(const struct store *s)
{
    return s->wal_bytes;
}

/* Passive, so no reader waits; the log begins anew at the next commit after a complete one. */
bool store_checkpoint(struct store *s)
{
    int log = 0, done = 0;
    crash_here(CRASH_CHECKPOINT);
    if (sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_PASSIVE, &log, &done))
        return false;
    if (log == done)
        s->wal_bytes = 0;
    return log == done;
}

int store_meta_int(struct store *s, const char *sql, int64_t *ret_value)
{
    sqlite3_stmt *st = NULL;
    int e = CVM_EDATA;
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL))
        return e;
    if (sqlite3_step(st) == SQLITE_ROW) {
        *ret_value = sqlite3_column_int64(st, 0);
        e = 0;
    }
    sqlite3_finalize(st);
    return e;
}

/* Gives *ret_value. CVM_EDATA: it is damaged; for want of memory, or where the part of a long value that lies elsewhere
 * cannot be read, nothing is said of what is stored. */
static int column_json(sqlite3_stmt *st, int i, json_t **ret_value)
{
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL; /* an outside server's answer may hold one */
    json_error_t error;
    const char *text = (const char *)sqlite3_column_text(st, i);
    if (!text) {
        int code = sqlite3_errcode(sqlite3_db_handle(st)) & 0xff;
        return code == SQLITE_NOMEM ? CVM_ENOMEM : code == SQLITE_IOERR ? CVM_EIO : CVM_EDATA;
    }
    *ret_value = json_loadb(text, (size_t)sqlite3_column_bytes(st, i), flags, &error);
    return *ret_value ? 0 : json_error_code(&error) == json_error_out_of_memory ? CVM_ENOMEM : CVM_EDATA;
}

static void step_over(sqlite3_stmt *st)
{
    sqlite3_step(st);
    sqlite3_reset(st);
}

void store_read_begin(struct store *s)
{
    s->one_moment = true;
}

void store_read_end(struct store *s)
{
    s->one_moment = false;
    if (!sqlite3_get_autocommit(s->db))
        step_over(s->statement[STATEMENT_COMMIT]);
}

/* One that cannot begin is none: each read is of its own moment then. */
static sqlite3_stmt *reading(struct store *s, enum store_statement id)
{
    if (s->one_moment && sqlite3_get_autocommit(s->db))
        step_over(s->statement[STATEMENT_READ]);
    return s->statement[id];
}

static int row_of(sqlite3_stmt *st)
{
    int e = sqlite3_step(st);
    return e == SQLITE_ROW                                               ? 0
           : e == SQLITE_DONE                                            ? CVM_ENOENT
           : (e & 0xff) == SQLITE_CORRUPT || (e & 0xff) == SQLITE_NOTADB ? CVM_EDATA
                                                                         : CVM_EIO;
}

int store_state_get(struct store *s, const char *component, const char *key, json_t **ret_value, int64_t *ret_version,
                    int64_t *ret_turn)
{
    sqlite3_stmt *st = reading(s, STATEMENT_STATE_GET);
    sqlite3_bind_text(st, 1, component, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
    int e = row_of(st);
    if (!e) {
        *ret_version = sqlite3_column_int64(st, 1);
        *ret_turn = sqlite3_column_int64(st, 2);
        e = column_json(st, 0, ret_value);
    }
    sqlite3_reset(st);
    return e;
}

int store_state_scan(struct store *s, const char *component, const char *from, const char *prefix, size_t limit,
                     json_t *pairs)
{
    sqlite3_stmt *st = reading(s, STATEMENT_STATE_SCAN);
    char end[CVM_STATE_KEY_MAX + 8];
    int e;
    snprintf(end, sizeof end, "%s\xf4\x8f\xbf\xbf", prefix); /* the last code point: after every key with the prefix */
    sqlite3_bind_text(st, 1, component, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, from, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, prefix, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 4, end, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 5, (int64_t)limit);
    while (!(e = row_of(st))) {
        json_t *value = NULL;
        if ((e = column_json(st, 1, &value)))
            break;
        if (json_array_append_new(pairs, json_pack("[s, o, I, I]", sqlite3_column_text(st, 0), value,
                                                   (json_int_t)sqlite3_column_int64(st, 2),
                                                   (json_int_t)sqlite3_column_int64(st, 3)))) {
            e = CVM_ENOMEM;
            break;
        }
    }
    sqlite3_reset(st);
    return e == CVM_ENOENT ? 0 : e;
}

int store_context_get(struct store *s, int64_t key, const char *name, json_t **ret_doc, int64_t *ret_version,
                      int64_t *ret_parent, int64_t *ret_opened, int64_t *ret_ended)
{
    sqlite3_stmt *st = reading(s, STATEMENT_CONTEXT_GET);
    sqlite3_bind_int64(st, 1, key);
    int e = row_of(st);
    json_t *doc = NULL;
    const char *owner = e ? NULL : (const char *)sqlite3_column_text(st, 5);
    if (owner && strcmp(owner, name) != 0)
        e = CVM_EEXIST;
    if (!e)
        e = column_json(st, 0, &doc);
    if (!e) {
        *ret_doc = doc;
        *ret_version = sqlite3_column_int64(st, 1);
        *ret_parent = sqlite3_column_int64(st, 2);
        *ret_opened = sqlite3_column_int64(st, 3);
        *ret_ended = sqlite3_column_int64(st, 4);
    }
    sqlite3_reset(st);
    return e;
}

int store_inbox_get(struct store *s, const char *source, const char *key, uint8_t ret_hash[32], int *ret_outcome,
                    json_t **ret_result, cvm_id *ret_id)
{
    sqlite3_stmt *st = s->statement[STATEMENT_INBOX_GET];
    sqlite3_bind_text(st, 1, source, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
    int e = row_of(st);
    if (!e && (sqlite3_column_bytes(st, 0) != 32 || sqlite3_column_bytes(st, 3) != 16))
        e = CVM_EDATA;
    if (!e) {
        memcpy(ret_hash, sqlite3_column_blob(st, 0), 32);
        *ret_outcome = sqlite3_column_int(st, 1);
        memcpy(ret_id, sqlite3_column_blob(st, 3), 16);
        if (*ret_outcome >= 0)
            e = column_json(st, 2, ret_result);
    }
    sqlite3_reset(st);
    return e;
}

int store_each_open(struct store *s, store_wanted_fn wanted, store_open_fn fn, void *arg)
{
    sqlite3_stmt *st = NULL;
    int e = 0, step = SQLITE_DONE;
    if ((step = sqlite3_prepare_v2(s->db, "SELECT no, kind, doc FROM open_items ORDER BY no", -1, &st, NULL)))
        goto out;
    while (!e && (step = sqlite3_step(st)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 2);
        if (wanted && text && !wanted(arg, sqlite3_column_int64(st, 0), text))
            continue;
        json_t *doc = NULL;
        e = column_json(st, 2, &doc);
        if (!e)
            e = fn(arg, sqlite3_column_int64(st, 0), (const char *)sqlite3_column_text(st, 1), doc);
        json_decref(doc);
    }
out:
    sqlite3_finalize(st);
    if (e || step == SQLITE_DONE)
        return e;
    /* half of what was open is not what was open */
    return (step & 0xff) == SQLITE_CORRUPT || (step & 0xff) == SQLITE_NOTADB ? CVM_EDATA : CVM_EIO;
}

void store_close_open_item(struct store *s, int64_t no)
{
    sqlite3_stmt *st = s->statement[STATEMENT_CLOSE];
    sqlite3_bind_int64(st, 1, no);
    sqlite3_step(st);
    sqlite3_reset(st);
}

/* "x'<hex>" binds a blob. */
static void bind_value(sqlite3_stmt *st, int i, const json_t *value)
{
    uint8_t blob[64];
    const char *text = json_string_value(value);
    switch (json_typeof(value)) {
    case JSON_STRING:
        if (strncmp(text, "x'", 2) == 0 && strlen(text) <= 2 + 2 * sizeof blob) {
            int n = 0;
            for (unsigned byte; sscanf(text + 2 + 2 * n, "%2x", &byte) == 1; n++)
                blob[n] = (uint8_t)byte;
            sqlite3_bind_blob(st, i, blob, n, SQLITE_TRANSIENT);
        } else {
            sqlite3_bind_text(st, i, text, (int)json_string_length(value), SQLITE_TRANSIENT);
        }
        break;
    case JSON_INTEGER:
        sqlite3_bind_int64(st, i, (int64_t)json_integer_value(value));
        break;
    case JSON_REAL:
        sqlite3_bind_double(st, i, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        sqlite3_bind_int(st, i, json_is_true(value));
        break;
    default:
        sqlite3_bind_null(st, i);
    }
}

static json_t *column_value(sqlite3_stmt *st, int i)
{
    char hex[132];
    const uint8_t *blob;
    json_t *value;
    switch (sqlite3_column_type(st, i)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(st, i));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(st, i));
    case SQLITE_NULL:
        return json_null();
    case SQLITE_BLOB:
        blob = sqlite3_column_blob(st, i);
        int n = sqlite3_column_bytes(st, i);
        hex_text(blob, (size_t)(n < 64 ? n : 64), hex);
        return json_string(hex);
    default:
        value = json_stringn((const char *)sqlite3_column_text(st, i), (size_t)sqlite3_column_bytes(st, i));
        return value ? value : json_string("");
    }
}

void store_row_json(sqlite3_stmt *st, json_t *row)
{
    for (int c = 0; c < sqlite3_column_count(st); c++)
        json_object_set_new_nocheck(row, sqlite3_column_name(st, c), column_value(st, c));
}

int store_search(struct store *s, const json_t *question, struct search_found *ret_found)
{
    s->busy_until_ns = clock_ns() + STORE_QUERY_MAX_NS;
    sqlite3_progress_handler(s->db, 10000, too_long, s);
    int e = search_ask(s, question, ret_found);
    sqlite3_progress_handler(s->db, 0, NULL, NULL);
    return e;
}

int store_query(struct store *s, const char *sql, const json_t *binds, size_t limit, json_t **ret_rows, bool *ret_more)
{
    sqlite3_stmt *st = NULL;
    json_t *rows = json_array(), *value;
    size_t i;
    int step = SQLITE_DONE, e = CVM_EINVAL;
    s->busy_until_ns = clock_ns() + STORE_QUERY_MAX_NS;
    sqlite3_progress_handler(s->db, 10000, too_long, s);
    if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL)) {
        log_debug("query", "%s", sqlite3_errmsg(s->db));
        goto out;
    }
    json_array_foreach(binds, i, value) bind_value(st, (int)i + 1, value);
    while ((step = sqlite3_step(st)) == SQLITE_ROW && json_array_size(rows) < limit) {
        json_t *row = json_object();
        store_row_json(st, row);
        json_array_append_new(rows, row);
    }
    e = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : step == SQLITE_INTERRUPT ? CVM_ETIMEOUT : CVM_EIO;
out:
    sqlite3_finalize(st);
    sqlite3_progress_handler(s->db, 0, NULL, NULL);
    if (e) {
        json_decref(rows);
        return e;
    }
    *ret_rows = rows;
    *ret_more = step == SQLITE_ROW;
    return 0;
}
