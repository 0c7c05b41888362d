/* The journal as a replay reads it: records by number, messages by id, contexts and state as they were. Keeps what was
 * parsed lately, so a journal is read about once. Opens the database for reading, and never checkpoints it. */
#include "core/replay_parts.h"

#include "core/json_read.h"
#include "core/numbers.h"
#include "core/record_read.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int text_column(sqlite3_stmt *st, int i, char *ret_text, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(st, i);
    return snprintf(ret_text, size, "%s", text ? text : "");
}

/* Of an import, whose conversations were renamed. */
static void read_names(struct past *past)
{
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(past->db, "SELECT name, key FROM replay_names", -1, &st, NULL))
        return;
    past->names = json_object();
    while (sqlite3_step(st) == SQLITE_ROW)
        json_object_set_new(past->names, (const char *)sqlite3_column_text(st, 0),
                            json_integer(sqlite3_column_int64(st, 1)));
    sqlite3_finalize(st);
}

json_t *past_configuration(struct past *past, int64_t id)
{
    sqlite3_stmt *st = NULL;
    json_t *doc = NULL;
    if (sqlite3_prepare_v2(past->db, "SELECT doc FROM host_configs WHERE id = ?", -1, &st, NULL))
        return NULL;
    sqlite3_bind_int64(st, 1, id);
    if (sqlite3_step(st) == SQLITE_ROW)
        doc = json_loads((const char *)sqlite3_column_text(st, 0), 0, NULL);
    sqlite3_finalize(st);
    return doc;
}

int64_t past_key(const struct past *past, const char *conversation)
{
    const json_t *key = json_object_get(past->names, conversation);
    return key ? (int64_t)json_integer_value(key) : conversation_key(conversation);
}

int past_open(struct past *past, const char *home, char *error, size_t size)
{
    char path[4096];
    sqlite3_stmt *st = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    if (sqlite3_open_v2(path, &past->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) ||
        sqlite3_db_config(past->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) ||
        sqlite3_exec(past->db, "PRAGMA query_only = ON; PRAGMA cache_size = -32768;", NULL, NULL, NULL)) {
        snprintf(error, size, "%s: %s", path, past->db ? sqlite3_errmsg(past->db) : "out of memory");
        return CVM_EIO;
    }
    sqlite3_busy_timeout(past->db, 5000);
    if (sqlite3_prepare_v2(past->db, "SELECT" PAST_COLUMNS "FROM turns WHERE seq = ?", -1, &past->turn, NULL) ||
        sqlite3_prepare_v2(past->db, "SELECT seq, record FROM turns WHERE conversation = ? AND message = ? LIMIT 1", -1,
                           &past->of_message, NULL) ||
        sqlite3_prepare_v2(past->db, "SELECT 1 FROM host_configs", -1, &st, NULL)) {
        snprintf(error, size,
                 "%s: %s: an older cvmhost wrote it, or it is damaged; a host that starts there brings it up to date",
                 path, sqlite3_errmsg(past->db));
        return CVM_EDATA;
    }
    sqlite3_finalize(st);
    if (sqlite3_prepare_v2(past->db, "SELECT value FROM meta WHERE key = 'short_id_key'", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        past->short_id_key = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    read_names(past);
    return 0;
}

void past_close(struct past *past)
{
    for (int i = 0; i < PAST_RECORDS; i++)
        json_decref(past->records[i].record);
    for (int i = 0; i < PAST_CONTEXTS; i++)
        json_decref(past->contexts[i].doc);
    for (struct past_starts *s = past->starts, *next; s; s = next) {
        next = s->next;
        free(s->seqs.at);
        free(s->builds.at);
        free(s);
    }
    json_decref(past->names);
    sqlite3_finalize(past->turn);
    sqlite3_finalize(past->of_message);
    sqlite3_close(past->db);
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

int past_whole(const struct past_turn *t, const char *lane, json_t *record)
{
    const struct record_row row = {.at_ms = t->at_ms,
                                   .conversation = t->conversation,
                                   .message = t->message,
                                   .component = t->component,
                                   .type = t->type,
                                   .sender = t->sender,
                                   .name = lane};
    return record_whole(record, &row);
}

int past_read(sqlite3_stmt *st, struct past_turn *t)
{
    *t = (struct past_turn){.seq = sqlite3_column_int64(st, 0),
                            .at_ms = sqlite3_column_int64(st, 1),
                            .conversation = sqlite3_column_int64(st, 2)};
    text_column(st, 3, t->component, sizeof t->component);
    if (sqlite3_column_bytes(st, 4) == 16)
        t->message = id_of_bytes(sqlite3_column_blob(st, 4));
    text_column(st, 5, t->type, sizeof t->type);
    text_column(st, 6, t->outcome, sizeof t->outcome);
    text_column(st, 7, t->build, sizeof t->build);
    const char *text = (const char *)sqlite3_column_text(st, 8);
    t->text = strdup(text ? text : "");
    t->record = t->text ? json_read(t->text, strlen(t->text)) : NULL;
    text_column(st, 9, t->sender, sizeof t->sender);
    if (t->record && past_whole(t, (const char *)sqlite3_column_text(st, 10), t->record) < 0)
        past_clear(t);
    const json_t *run = json_object_get(t->record, "run");
    t->configuration = (int64_t)json_integer_value(json_array_get(run, 0));
    t->context = (int64_t)json_integer_value(json_array_get(run, 1));
    t->sent_by = (int64_t)json_integer_value(json_array_get(run, 2));
    return t->text ? 0 : CVM_ENOMEM;
}

void past_clear(struct past_turn *t)
{
    free(t->text);
    json_decref(t->record);
    t->text = NULL;
    t->record = NULL;
}

static void touch(struct past *past, int64_t seq)
{
    if (past->touched)
        numbers_put(past->touched, seq, json_true());
}

static const struct past_known *keep(struct past *past, const struct past_turn *turn)
{
    struct past_known *known = &past->records[(size_t)turn->seq % PAST_RECORDS];
    json_decref(known->record);
    *known = (struct past_known){.seq = turn->seq,
                                 .conversation = turn->conversation,
                                 .message = turn->message,
                                 .record = json_incref(turn->record)};
    return known;
}

void past_keep(struct past *past, const struct past_turn *turn)
{
    touch(past, turn->seq);
    if (past->records[(size_t)turn->seq % PAST_RECORDS].seq != turn->seq)
        keep(past, turn);
}

bool past_turn_at(struct past *past, int64_t seq, struct past_turn *ret_turn)
{
    touch(past, seq);
    sqlite3_bind_int64(past->turn, 1, seq);
    bool found = sqlite3_step(past->turn) == SQLITE_ROW && past_read(past->turn, ret_turn) == 0;
    sqlite3_reset(past->turn);
    return found;
}

const struct past_known *past_known(struct past *past, int64_t seq)
{
    const struct past_known *known = imagine_known(past->imagine, seq);
    struct past_turn turn;
    if (seq <= 0 || known)
        return known;
    known = &past->records[(size_t)seq % PAST_RECORDS];
    touch(past, seq);
    if (known->seq == seq)
        return known;
    if (!past_turn_at(past, seq, &turn))
        return NULL;
    known = keep(past, &turn);
    past_clear(&turn);
    return known;
}

const json_t *past_record(struct past *past, int64_t seq)
{
    const struct past_known *known = past_known(past, seq);
    return known ? known->record : NULL;
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

cvm_id past_id(const json_t *object, const char *member)
{
    cvm_id id;
    return id_parse(cvm_json_str(object, member, ""), &id) == 0 ? id : (cvm_id){0, 0};
}

const json_t *past_handled(struct past *past, cvm_id id, int64_t *ret_seq)
{
    uint8_t bytes[16];
    const json_t *record = NULL;
    id_bytes(id, bytes);
    sqlite3_bind_int64(past->of_message, 1, (int64_t)id.hi);
    sqlite3_bind_blob(past->of_message, 2, bytes, 16, SQLITE_STATIC);
    if (sqlite3_step(past->of_message) == SQLITE_ROW) {
        *ret_seq = sqlite3_column_int64(past->of_message, 0);
        record = past_record(past, *ret_seq);
    }
    sqlite3_reset(past->of_message);
    return record;
}

static const json_t *sent_in(const json_t *record, cvm_id id)
{
    size_t i;
    json_t *out;
    json_array_foreach(json_object_get(record, "out"), i,
                       out) if (cvm_id_eq(past_id(out, "message_id"), id)) return out;
    return NULL;
}

const json_t *past_recorded(struct past *past, const json_t *record, int64_t sent_by, cvm_id id)
{
    return sent_by ? sent_in(past_record(past, sent_by), id) : json_object_get(record, "in");
}

const json_t *past_envelope(struct past *past, const json_t *record, int64_t sent_by, cvm_id id)
{
    const json_t *now;
    int64_t by, conversation;
    if (imagine_message(past->imagine, id, &now, &by, &conversation))
        return now;
    return past_recorded(past, record, sent_by, id);
}

/* Where it was not handled yet: what its asker sent. Newest first, because a deadline is minutes at most. */
static const json_t *sent_before(struct past *past, cvm_id id, int64_t conversation, int64_t seq, int64_t *ret_sent_by)
{
    sqlite3_stmt *st = NULL;
    char shown[40];
    const json_t *found = NULL;
    id_text(id, shown); /* its second half stands in every form of a record */
    if (sqlite3_prepare_v2(past->db,
                           "SELECT seq FROM turns WHERE conversation = ? AND seq < ? AND instr(record, ?)"
                           " ORDER BY seq DESC",
                           -1, &st, NULL))
        return NULL;
    sqlite3_bind_int64(st, 1, conversation);
    sqlite3_bind_int64(st, 2, seq);
    sqlite3_bind_text(st, 3, shown + 20, -1, SQLITE_STATIC);
    while (!found && sqlite3_step(st) == SQLITE_ROW) {
        *ret_sent_by = sqlite3_column_int64(st, 0);
        found = sent_in(past_record(past, *ret_sent_by), id);
    }
    sqlite3_finalize(st);
    return found;
}

const json_t *past_message(struct past *past, cvm_id id, int64_t conversation, int64_t seq, int64_t *ret_sent_by,
                           int64_t *ret_conversation)
{
    int64_t handled = 0, sent_by = 0;
    const json_t *found = NULL;
    if (imagine_message(past->imagine, id, &found, ret_sent_by, ret_conversation))
        return found;
    const json_t *record = past_handled(past, id, &handled);
    if (record) {
        sent_by = (int64_t)json_integer_value(json_array_get(json_object_get(record, "run"), 2));
        found = past_envelope(past, record, sent_by, id);
    } else {
        found = sent_before(past, id, conversation, seq, &sent_by);
    }
    *ret_sent_by = sent_by;
    const struct past_known *sender = past_known(past, sent_by);
    *ret_conversation = sender ? sender->conversation : (int64_t)id.hi;
    found = found && sent_by ? past_envelope(past, NULL, sent_by, id) : found; /* what is kept may have changed */
    return found;
}

static const char *const subject_members[] = {"enquiry_id", "customer_id", "session_id", "traceparent"};

/* What an envelope does not say is as in the message that its sender handled; and so on up. */
json_t *past_subject(struct past *past, const json_t *envelope, int64_t sent_by)
{
    json_t *subject = json_object();
    for (int hops = 0; envelope && hops < 100000; hops++) {
        bool whole = true;
        for (int i = 0; i < 4; i++) {
            const char *text = cvm_json_str(envelope, subject_members[i], NULL);
            if (text && !json_object_get(subject, subject_members[i]))
                json_object_set_new(subject, subject_members[i], json_string(text));
            whole = whole && json_object_get(subject, subject_members[i]);
        }
        if (whole || !sent_by)
            break;
        const struct past_known *known = past_known(past, sent_by);
        const json_t *done = known ? json_object_get(known->record, "_subject") : NULL;
        for (int i = 0; done && i < 4; i++) /* found before */
            if (!json_object_get(subject, subject_members[i]))
                json_object_set(subject, subject_members[i], json_object_get(done, subject_members[i]));
        if (!known || done)
            break;
        const cvm_id message = known->message;
        sent_by = (int64_t)json_integer_value(json_array_get(json_object_get(known->record, "run"), 2));
        envelope = past_envelope(past, known->record, sent_by, message);
    }
    for (int i = 0; i < 4; i++)
        if (!json_object_get(subject, subject_members[i]))
            json_object_set_new(subject, subject_members[i], json_string(""));
    return subject;
}

/* ---- contexts ---------------------------------------------------------------------------------------------------- */

static struct past_context *slot_of(struct past *past, int64_t conversation)
{
    return &past->contexts[id_mix((uint64_t)conversation, 7) % PAST_CONTEXTS];
}

static void apply(struct past_context *c, const json_t *record)
{
    const json_t *changes = json_object_get(record, "context");
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)(uintptr_t)changes, i, pair)
    {
        json_t *doc = context_with(c->doc, json_string_value(json_array_get(pair, 0)), json_array_get(pair, 1));
        if (!doc)
            continue;
        json_decref(c->doc);
        c->doc = doc;
    }
    c->changes += changes != NULL;
}

/* From the conversation's first turn on. */
static void rebuild(struct past *past, struct past_context *c, int64_t conversation, int64_t seq)
{
    sqlite3_stmt *st = NULL;
    json_decref(c->doc);
    *c = (struct past_context){.conversation = conversation, .seq = seq, .doc = json_object()};
    if (sqlite3_prepare_v2(past->db,
                           "SELECT seq FROM turns WHERE conversation = ? AND seq < ? AND"
                           " instr(record, ',\"context\":[') ORDER BY seq",
                           -1, &st, NULL))
        return;
    sqlite3_bind_int64(st, 1, conversation);
    sqlite3_bind_int64(st, 2, seq);
    while (sqlite3_step(st) == SQLITE_ROW)
        apply(c, past_record(past, sqlite3_column_int64(st, 0)));
    sqlite3_finalize(st);
}

int past_context(struct past *past, int64_t conversation, int64_t seq, int64_t version, json_t **ret_doc, char *why,
                 size_t size)
{
    struct past_context *c = slot_of(past, conversation);
    const json_t *imagined = imagine_context(past->imagine, conversation);
    if (imagined) {
        *ret_doc = json_incref((json_t *)(uintptr_t)imagined);
        return 0;
    }
    if (version == 0) {
        *ret_doc = json_object();
        return 0;
    }
    if (c->conversation != conversation || c->seq > seq || c->changes != version)
        rebuild(past, c, conversation, seq);
    if (c->changes != version) {
        snprintf(why, size, "of %lld changes of the context before it %lld are stored: the others were folded away",
                 (long long)version, (long long)c->changes);
        return CVM_ENOENT;
    }
    *ret_doc = json_incref(c->doc);
    return 0;
}

/* The next turn of the conversation will need it with this one's changes. */
void past_context_after(struct past *past, const struct past_turn *turn)
{
    struct past_context *c = slot_of(past, turn->conversation);
    const json_t *changes = json_object_get(turn->record, "context");
    if (!changes)
        return;
    if (turn->context == 0 && c->conversation != turn->conversation) {
        json_decref(c->doc);
        *c = (struct past_context){.conversation = turn->conversation, .doc = json_object()};
    }
    if (c->conversation != turn->conversation || c->changes != turn->context)
        return;
    apply(c, turn->record);
    c->seq = turn->seq + 1;
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

static int stored_state(struct past *past, const char *component, const char *key, const char *sql, int64_t turn,
                        json_t **ret_value, uint32_t *ret_version, int64_t *ret_turn)
{
    sqlite3_stmt *st = NULL;
    int e = CVM_ENOENT;
    if (sqlite3_prepare_v2(past->db, sql, -1, &st, NULL))
        return CVM_EIO;
    sqlite3_bind_text(st, 1, component, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, key, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, turn);
    if (sqlite3_step(st) == SQLITE_ROW) {
        *ret_value = json_loadb((const char *)sqlite3_column_text(st, 0), (size_t)sqlite3_column_bytes(st, 0),
                                JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        *ret_version = (uint32_t)sqlite3_column_int64(st, 1);
        *ret_turn = sqlite3_column_int64(st, 2);
        e = *ret_value ? 0 : CVM_EDATA;
    }
    sqlite3_finalize(st);
    return e;
}

/* The change of a key. Where there are many, the record gets an index beside its own members. */
static const json_t *change_of(const json_t *record, const json_t *changes, const char *key)
{
    json_t *index = json_object_get(record, "_state"), *pair;
    size_t i;
    if (json_array_size(changes) > 16 && !index) {
        index = json_object();
        json_array_foreach((json_t *)(uintptr_t)changes, i, pair)
            json_object_set_nocheck(index, json_string_value(json_array_get(pair, 0)), pair);
        json_object_set_new((json_t *)(uintptr_t)record, "_state", index);
    }
    if (index)
        return json_object_get(index, key);
    json_array_foreach((json_t *)(uintptr_t)changes, i,
                       pair) if (strcmp(json_string_value(json_array_get(pair, 0)), key) == 0) return pair;
    return NULL;
}

int past_state(struct past *past, const char *component, const char *key, int64_t turn, json_t **ret_value,
               uint32_t *ret_version)
{
    const json_t *record = past_record(past, turn), *changes = json_object_get(record, "state");
    const json_t *pair = change_of(record, changes, key);
    if (pair) {
        *ret_value = json_incref(json_array_get(pair, 1));
        *ret_version = (uint32_t)cvm_json_int(record, "state_version", 1);
        return 0;
    }
    int64_t written = 0; /* the turn is gone, what it wrote may stand there still */
    return stored_state(past, component, key,
                        "SELECT value, version, turn FROM state WHERE component = ? AND key = ? AND turn = ?", turn,
                        ret_value, ret_version, &written);
}

int past_state_now(struct past *past, const char *component, const char *key, int64_t before, json_t **ret_value,
                   uint32_t *ret_version, int64_t *ret_turn)
{
    return stored_state(past, component, key,
                        "SELECT value, version, turn FROM state WHERE component = ? AND key = ? AND turn < ?", before,
                        ret_value, ret_version, ret_turn);
}

/* ---- starts ------------------------------------------------------------------------------------------------------ */

static struct past_starts *starts_of(struct past *past, const char *component)
{
    sqlite3_stmt *st = NULL;
    char lane[CVM_NAME_MAX + 16];
    size_t len = strlen(component);
    struct past_starts *s = past->starts;
    while (s && strcmp(s->component, component) != 0)
        s = s->next;
    if (s || !(s = calloc(1, sizeof *s + len + 1)))
        return s;
    memcpy(s->component, component, len + 1);
    s->next = past->starts;
    past->starts = s;
    snprintf(lane, sizeof lane, "component:%s", component);
    if (sqlite3_prepare_v2(past->db,
                           "SELECT seq, build FROM turns WHERE conversation = ? AND component = ? AND type = 'start'"
                           " ORDER BY seq",
                           -1, &st, NULL))
        return s;
    sqlite3_bind_int64(st, 1, conversation_key(lane));
    sqlite3_bind_text(st, 2, component, -1, SQLITE_STATIC);
    while (sqlite3_step(st) == SQLITE_ROW) {
        char build[16];
        text_column(st, 1, build, sizeof build);
        if (!VECTOR_PUSH(s->seqs, sqlite3_column_int64(st, 0)) ||
            !VECTOR_PUSH(s->builds, id_hash(build, strlen(build), 0)))
            break;
    }
    sqlite3_finalize(st);
    return s;
}

int64_t past_start(struct past *past, const char *component, const char *build, int64_t before)
{
    const struct past_starts *s = starts_of(past, component);
    uint64_t hash = id_hash(build, strlen(build), 0);
    int64_t found = 0;
    for (uint32_t i = 0; s && i < s->builds.n && s->seqs.at[i] < before; i++)
        if (s->builds.at[i] == hash)
            found = s->seqs.at[i];
    return found;
}
