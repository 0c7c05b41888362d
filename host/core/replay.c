/* Runs a journal, or the conversations of one id, again; see replay.h. Reads a page of turns at a time, so that no read
 * transaction stays open while they run. */
#include "core/replay.h"

#include "core/numbers.h"
#include "core/replay_parts.h"
#include <cvm/json.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_TURNS 500
#define DECISIONS_WITHIN_TURNS 2000000 /* older ones are not looked for */
#define CONVERSATIONS_OF_ID 4096
#define FAMILY_ROUNDS 64

/* ---- which conversations ----------------------------------------------------------------------------------------- */

static bool add_key(json_t *keys, int64_t key)
{
    return key && !numbers_get(keys, key) && numbers_put(keys, key, json_true()) == 0;
}

/* Each row's first column is a key. `key` binds ?1 where it is not 0, `text` where that is given. */
static bool add_found(struct past *past, json_t *keys, const char *sql, int64_t key, const char *text)
{
    sqlite3_stmt *st = NULL;
    bool added = false;
    if (sqlite3_prepare_v2(past->db, sql, -1, &st, NULL))
        return false;
    if (text)
        sqlite3_bind_text(st, 1, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_int64(st, 1, key);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(st, 0);
        if (!name)
            continue;
        added |= add_key(keys, sqlite3_column_type(st, 0) == SQLITE_TEXT ? conversation_key(name)
                                                                         : sqlite3_column_int64(st, 0));
    }
    sqlite3_finalize(st);
    return added;
}

/* Rows of plugins' tables that name their conversation. */
static void add_rows(struct past *past, json_t *keys, const char *id)
{
    sqlite3_stmt *st = NULL;
    char sql[1024];
    if (sqlite3_prepare_v2(past->db,
                           "SELECT m.name, (SELECT k.name FROM pragma_table_info(m.name) k WHERE k.pk = 1)"
                           " FROM sqlite_schema m WHERE m.type = 'table' AND EXISTS (SELECT 1 FROM"
                           " pragma_table_info(m.name) c WHERE c.name = 'conversation' AND c.type = 'TEXT')",
                           -1, &st, NULL))
        return;
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(st, 1);
        sqlite3_snprintf(sizeof sql, sql, "SELECT conversation FROM \"%w\" WHERE \"%w\" = ?1",
                         (const char *)sqlite3_column_text(st, 0), key ? key : "key");
        add_found(past, keys, sql, 0, id);
    }
    sqlite3_finalize(st);
}

/* Those of the id, and downwards those that they opened. NULL: nothing is stored of it. */
json_t *replay_conversations(struct past *past, const char *id)
{
    static const char opened[] = "SELECT conversation FROM contexts WHERE parent = ?1 AND parent != 0"
                                 " AND name NOT GLOB 'topic:*' AND name NOT GLOB 'component:*'";
    static const char there[] = "SELECT conversation FROM turns WHERE conversation = ?1 LIMIT 1";
    json_t *keys = json_object();
    cvm_id message;
    if (id_parse(id, &message) == 0)
        add_found(past, keys, there, (int64_t)message.hi, NULL);
    add_found(past, keys, there, past_key(past, id), NULL);
    add_rows(past, keys, id);
    for (int round = 0, more = 1; more && round < FAMILY_ROUNDS && json_object_size(keys) < CONVERSATIONS_OF_ID;
         round++) {
        json_t *now = json_copy(keys), *value;
        const char *name;
        more = 0;
        json_object_foreach(now, name, value) more |= add_found(past, keys, opened, strtoll(name, NULL, 10), NULL);
        json_decref(now);
    }
    if (json_object_size(keys))
        return keys;
    json_decref(keys);
    return NULL;
}

/* The message of the id, if it went through its component's own lane: what else went there is another story. */
static cvm_id alone_in_lane(struct past *past, const char *id)
{
    char lane[CVM_NAME_MAX + 16];
    cvm_id message;
    int64_t seq = 0;
    struct past_turn turn;
    if (id_parse(id, &message) < 0 || !past_handled(past, message, &seq) || !past_turn_at(past, seq, &turn))
        return (cvm_id){0, 0};
    snprintf(lane, sizeof lane, "component:%s", turn.component);
    bool alone = past_key(past, lane) == turn.conversation;
    past_clear(&turn);
    return alone ? message : (cvm_id){0, 0};
}

/* The newest, without the lanes that all share. */
static json_t *newest(struct replay *r, int64_t limit, int64_t since_ms)
{
    char sql[480];
    json_t *keys = json_object();
    if (r->options->decisions) {
        snprintf(sql, sizeof sql,
                 "SELECT conversation FROM turns WHERE at_ms >= ?1 AND seq > (SELECT max(seq) FROM turns) - %d AND"
                 " instr(record, '[\"decision\",{') AND instr(record, '\"subject\":')"
                 " GROUP BY conversation ORDER BY max(seq) DESC LIMIT %lld",
                 DECISIONS_WITHIN_TURNS, (long long)limit);
        if (add_found(&r->past, keys, sql, since_ms, NULL))
            return keys;
    }
    snprintf(sql, sizeof sql,
             "SELECT conversation FROM turns WHERE at_ms >= ?1 AND type != 'start' AND component != 'host'"
             " GROUP BY conversation ORDER BY max(seq) DESC LIMIT %lld",
             (long long)limit);
    add_found(&r->past, keys, sql, since_ms, NULL);
    return keys;
}

/* ---- turns ------------------------------------------------------------------------------------------------------- */

static const char *const verdicts[] = {"same", "differs", "missing", "not run"};

const char *replay_verdict_name(enum replay_verdict verdict)
{
    return verdicts[verdict];
}

static void note_first(const struct past_turn *turn, const json_t *differences, struct replay_report *report)
{
    const json_t *first = json_array_get(differences, 0);
    char *recorded = json_text(json_object_get(first, "recorded"), NULL);
    char *replayed = json_text(json_object_get(first, "replayed"), NULL);
    report->first = turn->seq;
    snprintf(report->what, sizeof report->what, "turn %lld, %s of %s: %s was %.120s and is %.120s",
             (long long)turn->seq, turn->type, turn->component, cvm_json_str(first, "where", "/"),
             recorded ? recorded : "?", replayed ? replayed : "?");
    free(recorded);
    free(replayed);
}

static void count(struct replay_report *report, enum replay_verdict verdict)
{
    report->turns++;
    report->same += verdict == REPLAY_SAME;
    report->differ += verdict == REPLAY_DIFFERS;
    report->missing += verdict == REPLAY_MISSING;
    report->not_run += verdict == REPLAY_NOT_RUN;
}

/* What the turn has made, as a record. Gives. */
static json_t *made_record(struct replay *r, enum replay_verdict verdict, const struct past_turn *turn)
{
    json_t *made = NULL;
    if (verdict != REPLAY_DIFFERS) /* what cannot be run is taken to do what it did */
        return json_incref(turn->record);
    if (*r->outcome)
        made = json_loadb(r->made.at, r->made.len, JSON_ALLOW_NUL, NULL);
    if (made && past_whole(turn, r->lane, made) < 0) {
        json_decref(made);
        made = NULL;
    }
    return made ? made : json_object();
}

/* The name of its conversation. */
static const char *lane_name(struct replay *r, const struct past_turn *turn)
{
    return cvm_json_str(past_recorded(&r->past, turn->record, turn->sent_by, turn->message), "conversation", "");
}

static void decided(struct replay *r, const struct past_turn *turn, const json_t *made, const char *lane)
{
    decisions_take(r->decisions.then, turn->record, lane, turn->at_ms);
    decisions_take(r->decisions.now, made, lane, turn->at_ms);
}

/* Turns that the record does not have, from what was sent now and not then. */
static void run_imagined(struct replay *r, const struct past_turn *cause)
{
    struct past_turn turn;
    while (imagine_next(r->past.imagine, &r->past, cause, &turn)) {
        json_t *differences = NULL;
        enum replay_verdict verdict = replay_run(r, &turn, &differences);
        json_t *made = made_record(r, verdict, &turn);
        imagine_after(r->past.imagine, &r->past, &turn, made, r->context);
        decided(r, &turn, made, lane_name(r, &turn));
        json_decref(made);
        json_decref(differences);
        past_clear(&turn);
    }
}

/* Its message is not sent now, or goes to somebody else: nothing of it is. */
static bool not_reached(struct replay *r, const struct past_turn *turn)
{
    const json_t *e;
    int64_t by, conversation;
    json_t *context = NULL, *none = json_object();
    char why[128];
    if (!imagine_message(r->past.imagine, turn->message, &e, &by, &conversation) ||
        (e && strcmp(cvm_json_str(e, "recipient", ""), turn->component) == 0)) {
        json_decref(none);
        return false;
    }
    if (past_context(&r->past, turn->conversation, turn->seq, turn->context, &context, why, sizeof why) < 0)
        context = NULL;
    imagine_after(r->past.imagine, &r->past, turn, none, context);
    decisions_take(r->decisions.then, turn->record, lane_name(r, turn), turn->at_ms);
    if (e)
        imagine_again(r->past.imagine, turn->message);
    json_decref(context);
    json_decref(none);
    return true;
}

static enum replay_verdict run_recorded(struct replay *r, const struct past_turn *turn, json_t **ret_differences)
{
    if (r->past.imagine && not_reached(r, turn)) {
        r->shown.plugin = r->shown.version = "";
        *r->why = 0;
        replay_say(r, "it is not reached now");
        *ret_differences = json_pack("[{s:s, s:s, s:n}]", "where", "/", "recorded", turn->outcome, "replayed");
        return REPLAY_DIFFERS;
    }
    json_decref(r->context);
    r->context = NULL;
    enum replay_verdict verdict = replay_run(r, turn, ret_differences);
    if (r->past.imagine) {
        json_t *made = made_record(r, verdict, turn);
        imagine_after(r->past.imagine, &r->past, turn, made, r->context);
        decided(r, turn, made, lane_name(r, turn));
        json_decref(made);
    }
    return verdict;
}

static void run_turn(struct replay *r, const struct past_turn *turn, struct replay_report *report)
{
    json_t *differences = NULL;
    past_keep(&r->past, turn);
    enum replay_verdict verdict = run_recorded(r, turn, &differences);
    past_context_after(&r->past, turn);
    count(report, verdict);
    if (verdict == REPLAY_DIFFERS && !report->first)
        note_first(turn, differences, report);
    r->shown = (struct replay_turn){.seq = turn->seq,
                                    .at_ms = turn->at_ms,
                                    .configuration = turn->configuration,
                                    .conversation = lane_name(r, turn),
                                    .component = turn->component,
                                    .type = turn->type,
                                    .outcome = turn->outcome,
                                    .plugin = r->shown.plugin,
                                    .version = r->shown.version,
                                    .build = turn->build,
                                    .verdict = verdict,
                                    .why = r->why,
                                    .differences = differences};
    if (r->options->seen)
        r->options->seen(r->options->arg, &r->shown);
    json_decref(differences);
    if (r->past.imagine)
        run_imagined(r, turn);
}

/* In the order of their numbers. Gives how many were read; the last one's number in *after. */
static int read_page(sqlite3_stmt *st, int64_t *after, struct past_turn *page)
{
    int n = 0;
    sqlite3_bind_int64(st, 1, *after);
    while (n < PAGE_TURNS && sqlite3_step(st) == SQLITE_ROW) {
        if (past_read(st, &page[n]) < 0)
            break;
        *after = page[n++].seq;
    }
    sqlite3_reset(st);
    return n;
}

static char *page_sql(const json_t *keys, int64_t since_ms)
{
    struct text sql;
    text_init(&sql, 1024 * 1024);
    text_puts(&sql, "SELECT" PAST_COLUMNS "FROM turns WHERE seq > ?1");
    if (since_ms)
        text_printf(&sql, " AND at_ms >= %lld", (long long)since_ms);
    if (keys && json_object_size(keys) <= CONVERSATIONS_OF_ID) {
        text_puts(&sql, " AND conversation IN (");
        numbers_list(&sql, keys);
        text_puts(&sql, ")");
    }
    text_printf(&sql, " ORDER BY seq LIMIT %d", PAGE_TURNS);
    text_add(&sql, "", 0);
    if (sql.failed)
        text_free(&sql);
    return sql.at;
}

static int run_all(struct replay *r, const json_t *keys, struct replay_report *report)
{
    char *sql = page_sql(keys, r->options->since_ms);
    struct past_turn *page = calloc(PAGE_TURNS, sizeof *page);
    json_t *seen = json_object();
    sqlite3_stmt *st = NULL;
    int64_t after = 0;
    int n = 0, e = sql && page ? 0 : CVM_ENOMEM;
    if (!e && sqlite3_prepare_v2(r->past.db, sql, -1, &st, NULL))
        e = CVM_EDATA;
    while (!e && (n = read_page(st, &after, page)) > 0) {
        for (int i = 0; i < n; i++) {
            if ((!keys || numbers_get(keys, page[i].conversation)) &&
                (cvm_id_is_none(r->alone) || cvm_id_eq(r->alone, page[i].message))) {
                run_turn(r, &page[i], report);
                add_key(seen, page[i].conversation);
            }
            past_clear(&page[i]);
        }
        if (n < PAGE_TURNS)
            break;
    }
    report->conversations = (int64_t)json_object_size(seen);
    json_decref(seen);
    sqlite3_finalize(st);
    free(page);
    free(sql);
    return e;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* Of our own folder, whose depth we know. */
void replay_remove_folder(const char *path, int depth)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char below[8500];
    while (dir && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(below, sizeof below, "%s/%s", path, entry->d_name);
        if (unlink(below) < 0 && depth > 0)
            replay_remove_folder(below, depth - 1);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

int replay_make_folder(char ret_path[4096], char *error, size_t size)
{
    const char *base = getenv("TMPDIR");
    snprintf(ret_path, 4096, "%s/cvmhost-replay-XXXXXX", base && *base ? base : "/tmp");
    if (mkdtemp(ret_path))
        return 0;
    *ret_path = 0;
    snprintf(error, size, "no folder can be made under %s; set TMPDIR", base && *base ? base : "/tmp");
    return CVM_EIO;
}

static void replay_free(struct replay *r)
{
    worlds_free(r);
    imagine_free(r->past.imagine);
    json_decref(r->decisions.then);
    json_decref(r->decisions.now);
    json_decref(r->context);
    past_close(&r->past);
    config_free(r->present);
    text_free(&r->made);
    text_free(&r->scratch);
    free(r->kept.at);
    if (*r->folder)
        replay_remove_folder(r->folder, 4);
    free(r);
}

int replay_home(const struct replay_options *options, struct replay_report *ret_report, char *error, size_t size)
{
    char ignored[256];
    struct replay_report report = {0};
    json_t *keys = NULL;
    struct replay *r = calloc(1, sizeof *r);
    snprintf(error, size, r ? "" : "out of memory");
    if (!r)
        return CVM_ENOMEM;
    r->options = options;
    text_init(&r->made, 64 * 1024 * 1024);
    text_init(&r->scratch, 64 * 1024 * 1024);
    r->past.touched = options->touched;
    if (options->with_current) {
        r->past.imagine = imagine_new();
        r->decisions = (struct decisions){.then = json_object(), .now = json_object()};
    }
    int e = past_open(&r->past, options->home, error, size);
    if (!e)
        e = replay_make_folder(r->folder, error, size);
    if (!e && config_load(options->home, NULL, &r->present, ignored, sizeof ignored) < 0)
        r->present = NULL;
    if (!e && options->id && !(keys = replay_conversations(&r->past, options->id))) {
        snprintf(error, size, "nothing is stored about %.200s", options->id);
        e = CVM_ENOENT;
    } else if (!e && !options->id && options->limit > 0) {
        keys = newest(r, options->limit, options->since_ms);
    }
    if (!e && options->id && !options->touched) /* an export takes whole lanes */
        r->alone = alone_in_lane(&r->past, options->id);
    if (!e && options->with_current) {
        const struct world *w = world_of(r, 0);
        if (!w || !w->core) {
            snprintf(error, size, "%s", w ? w->why : "out of memory");
            e = CVM_EINVAL;
        }
    }
    if (!e)
        e = run_all(r, keys, &report);
    if (e == CVM_EDATA && !*error)
        snprintf(error, size, "the journal cannot be read");
    json_decref(keys);
    if (!e && r->past.imagine) {
        json_t *differing = decisions_differ(&r->decisions, &report.decisions);
        report.decisions_differ = (int64_t)json_array_size(differing);
        if (options->differing)
            json_array_extend(options->differing, differing);
        json_decref(differing);
        if (options->decided)
            json_object_update(options->decided, r->decisions.now);
    }
    replay_free(r);
    if (!e)
        *ret_report = report;
    return e;
}
