/* config/custom_treatments.json: what people wrote, for other runs, other hosts and an editor. The state counts; the
 * file is written after it by a job, one at a time, and a request is settled when it stands there. At the start a file
 * that was edited meanwhile is taken up whole, a broken one not at all. A file that was edited while the host ran is
 * set aside before it is written over. Owns the state key file -> {"hash" of what was read or written last, "writing"
 * its hash while a job writes, "dirty", "waiting" and "next": who waits for that job and for the one after}. Loop
 * thread; the two jobs on threads of their own. */
#include "treatments.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_PATH "config/custom_treatments.json"
#define FILE_ASIDE "config/custom_treatments.json.edited"
#define FILE_MAX_BYTES (640 * 1024) /* it is the input of one job and the result of another */
#define HASH_SIZE 17

static const char *hash_of(const char *text, size_t len, char hash[HASH_SIZE])
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a: to see that a file has changed, not to prove it */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    snprintf(hash, HASH_SIZE, "%016" PRIx64, h);
    return hash;
}

/* ---- jobs ---- */

/* The whole file, each line with "\n". CVM_ENOENT: there is none. Gives (free). */
static int read_file(cvm_job *j, char **ret_text, size_t *ret_len)
{
    cvm_file *f = NULL;
    const char *line;
    char *text = NULL;
    size_t len = 0, n;
    int e;
    CVM_TRY(cvm_job_file(j, FILE_PATH, &f));
    while ((e = cvm_file_line(f, &line, &n)) > 0) {
        char *longer = len + n + 2 <= FILE_MAX_BYTES ? realloc(text, len + n + 2) : NULL;
        if (!longer) {
            e = CVM_ELIMIT;
            break;
        }
        text = longer;
        memcpy(text + len, line, n);
        len += n;
        text[len++] = '\n';
        text[len] = 0;
    }
    cvm_file_close(f);
    if (e == 0 && !text && !(text = calloc(1, 1)))
        e = CVM_ENOMEM;
    if (e < 0) {
        free(text);
        return e;
    }
    *ret_text = text;
    *ret_len = len;
    return CVM_OK;
}

/* The line on which `"id"` stands. */
static int line_of(const char *text, const char *id)
{
    char quoted[TREATMENT_ID_MAX + 16];
    int line = 1;
    snprintf(quoted, sizeof quoted, "\"%.64s\"", id);
    const char *at = strstr(text, quoted);
    for (const char *s = text; at && s < at; s++)
        line += *s == '\n';
    return line;
}

static json_t *faulty(int line, const char *format, const char *id, const char *text)
{
    char what[320], where[400];
    snprintf(what, sizeof what, format, id, text);
    wording_whole(what);
    snprintf(where, sizeof where, FILE_PATH ":%d: %s", line, what);
    return json_pack("{s:s}", "fault", where);
}

/* {"records"} or {"fault"}. Gives. */
static json_t *read_records(const char *text, size_t len)
{
    json_error_t parse;
    json_t *file = json_loadb(text, len, JSON_REJECT_DUPLICATES, &parse), *records, *members, *fault = NULL;
    const char *id;
    if (!file)
        return faulty(parse.line, "%s%.120s", "", parse.text);
    records = json_object();
    if (!json_is_object(file))
        fault = faulty(1, "%s%s", "", "expected an object keyed by the treatments' ids");
    else if (json_object_size(file) > CUSTOM_MAX)
        fault = faulty(1, "%s%s", "", "more treatments than one host takes (500)");
    else
        json_object_foreach(file, id, members)
        {
            static const char *const shown[] = {"kind", "component", "created_at", "updated_at"};
            json_t *record = NULL, *plain = json_copy(members);
            record_error why = {0};
            for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
                json_object_del(plain, shown[i]);
            if (!strcmp(cvm_json_str(plain, "id", ""), id))
                json_object_del(plain, "id");
            if (!record_is_id(id) || strncmp(id, "custom_", 7) != 0)
                fault = faulty(line_of(text, id), "treatment %.64s: %s", id,
                               "an id is custom_ and letters, digits and _ . -, 56 in all");
            else if (record_merge(NULL, plain, &record, &why) < 0)
                fault = faulty(line_of(text, id), "treatment %.64s: %s", id, why.text);
            if (record && json_is_string(json_object_get(members, "created_at")))
                json_object_set(record, "created_at", json_object_get(members, "created_at"));
            if (record)
                json_object_set_new(records, id, record);
            json_decref(plain);
            if (fault)
                break;
        }
    json_decref(file);
    if (!fault)
        return json_pack("{s:o}", "records", records);
    json_decref(records);
    return fault;
}

int keep_job_load(cvm_job *j, const json_t *input, json_t **ret_result)
{
    char *text = NULL, hash[HASH_SIZE];
    size_t len = 0;
    (void)input;
    int e = read_file(j, &text, &len);
    if (e == CVM_ENOENT)
        *ret_result = json_pack("{s:b}", "missing", 1);
    else if (e == CVM_ELIMIT)
        *ret_result = faulty(1, "%s%s", "", "the file is larger than 640 KiB");
    else if (e < 0)
        return e;
    else {
        *ret_result = read_records(text, len);
        json_object_set_new(*ret_result, "hash", json_string(hash_of(text, len, hash)));
    }
    free(text);
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}

/* {"text", "hash" of the file that may be written over, "writing" of the text} -> {"aside"}. */
int keep_job_keep(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const json_t *text = json_object_get(input, "text");
    char *there = NULL, hash[HASH_SIZE];
    size_t len = 0;
    int e = read_file(j, &there, &len);
    bool aside = false;
    if (e >= 0) {
        hash_of(there, len, hash);
        aside =
            len && strcmp(hash, cvm_json_str(input, "hash", "")) && strcmp(hash, cvm_json_str(input, "writing", ""));
        e = aside ? cvm_job_save(j, FILE_ASIDE, there, len) : CVM_OK;
        free(there);
    }
    if (e < 0 && e != CVM_ENOENT && e != CVM_ELIMIT)
        return e;
    CVM_TRY(cvm_job_save(j, FILE_PATH, json_string_value(text), json_string_length(text)));
    *ret_result = json_pack("{s:b}", "aside", aside);
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}

/* ---- writing ---- */

/* The file's text: an object keyed by id, a member a line. Gives (free). */
static int text_of(cvm_turn *t, char **ret_text)
{
    json_t *pairs = NULL, *file;
    CVM_TRY(cvm_state_scan(t, "custom/", NULL, 1000, &pairs));
    file = json_object();
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        json_t *pair = json_array_get(pairs, i), *record = json_copy(json_array_get(pair, 1));
        json_object_del(record, "id");
        json_object_del(record, "component");
        json_object_set_new(file, json_string_value(json_array_get(pair, 0)) + strlen("custom/"), record);
    }
    json_decref(pairs);
    char *plain = json_dumps(file, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    size_t len = plain ? strlen(plain) : 0;
    char *text = plain ? realloc(plain, len + 2) : NULL;
    json_decref(file);
    if (!text) {
        free(plain);
        return CVM_ENOMEM;
    }
    memcpy(text + len, "\n", 2);
    *ret_text = text;
    return CVM_OK;
}

/* Starts the job for what there is now, for those in "next". Takes `file`. */
static int start(cvm_turn *t, json_t *file)
{
    char *text = NULL, hash[HASH_SIZE];
    int e = text_of(t, &text);
    if (e < 0) {
        json_decref(file);
        return e;
    }
    json_t *next = json_incref(json_object_get(file, "next"));
    json_object_set_new(file, "writing", json_string(hash_of(text, strlen(text), hash)));
    json_object_set_new(file, "dirty", json_false());
    json_object_set_new(file, "waiting", next ? next : json_array());
    json_object_del(file, "next");
    e = cvm_job_start(
        t, "keep", json_pack("{s:s, s:s, s:s}", "text", text, "hash", cvm_json_str(file, "hash", ""), "writing", hash),
        (cvm_id){0, 0}, 0);
    free(text);
    if (e < 0) {
        json_decref(file);
        return e;
    }
    return cvm_state_put(t, "file", file);
}

static json_t *answer_about(cvm_turn *t, const json_t *one)
{
    const char *id = cvm_json_str(one, "id", ""), *warning = cvm_json_str(one, "warning", NULL);
    const json_t *record = NULL;
    json_t *answer;
    if (cvm_json_bool(one, "removed", false))
        answer = json_pack("{s:s, s:b}", "id", id, "removed", 1);
    else if (catalogue_find_custom(t, id, &record) >= 0)
        answer = copy_of(record);
    else
        answer = json_pack("{s:s}", "id", id);
    if (answer && warning)
        json_object_set_new(answer, "warnings", json_pack("[s]", warning));
    return answer;
}

static int settle_one(cvm_turn *t, const json_t *one)
{
    int e = cvm_settle(t, id_of_json(json_object_get(one, "request")), CVM_REPLIED, answer_about(t, one), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int settle_all(cvm_turn *t, const json_t *list, const char *warning)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_copy(json_array_get(list, i));
        if (warning && !json_object_get(one, "warning"))
            json_object_set_new(one, "warning", json_string(warning));
        int e = settle_one(t, one);
        json_decref(one);
        CVM_TRY(e);
    }
    return CVM_OK;
}

int keep_then_settle(cvm_turn *t, cvm_id request, const char *id, bool removed, const char *warning)
{
    json_t *file = NULL, *one, *next;
    CVM_TRY(state_copy(t, "file", &file));
    one = json_pack("{s:o, s:s, s:b, s:s*}", "request", id_json(request), "id", id, "removed", removed, "warning",
                    warning);
    json_object_set_new(file, "dirty", json_true());
    if (!(next = json_object_get(file, "next")))
        json_object_set_new(file, "next", next = json_array());
    if (json_array_size(next) >= WAITING_MAX) { /* it is not worth waiting for */
        int e = settle_one(t, one);
        json_decref(one);
        json_decref(file);
        return e;
    }
    json_array_append_new(next, one);
    if (json_object_get(file, "writing"))
        CVM_TRY(cvm_state_put(t, "file", file));
    else
        CVM_TRY(start(t, file));
    return CVM_PENDING;
}

int keep_kept(cvm_turn *t, const cvm_msg *m)
{
    json_t *file = NULL, *waiting;
    const char *warning = NULL;
    CVM_TRY(state_copy(t, "file", &file));
    waiting = json_incref(json_object_get(file, "waiting"));
    if (m->outcome == CVM_REPLIED) {
        json_object_set(file, "hash", json_object_get(file, "writing"));
        if (cvm_json_bool(m->data, "aside", false)) {
            warning = FILE_PATH " was edited while the host ran; what stood there is now in " FILE_ASIDE ".";
            cvm_log(t, CVM_LOG_WARNING, "%s", warning);
        }
    } else {
        warning = FILE_PATH " could not be written; the treatment is kept all the same.";
        cvm_log(t, CVM_LOG_ERROR, FILE_PATH " could not be written: %s",
                cvm_json_str(m->data, "text", cvm_json_str(m->data, "message", "no reason was given")));
    }
    json_object_del(file, "writing");
    json_object_del(file, "waiting");
    bool more = cvm_json_bool(file, "dirty", false);
    if (m->outcome != CVM_REPLIED) /* the next start or change tries again */
        json_object_set_new(file, "dirty", json_true());
    int e = more ? start(t, file) : cvm_state_put(t, "file", file);
    if (e >= 0)
        e = settle_all(t, waiting, warning);
    json_decref(waiting);
    return e;
}

/* ---- at the start ---- */

int keep_load(cvm_turn *t)
{
    return cvm_job_start(t, "load", NULL, (cvm_id){0, 0}, 0);
}

/* Puts the records in place of all that there are. */
static int take_up(cvm_turn *t, const json_t *records)
{
    char at[MOMENT_SIZE], key[CVM_STATE_KEY_MAX + 1];
    json_t *pairs = NULL, *record;
    const char *id;
    CVM_TRY(cvm_state_scan(t, "custom/", NULL, 1000, &pairs));
    int e = CVM_OK;
    for (size_t i = 0; e >= 0 && i < json_array_size(pairs); i++) {
        const char *old = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        if (!json_object_get(records, old + strlen("custom/")))
            e = cvm_state_del(t, old);
    }
    json_decref(pairs);
    moment_text(cvm_now_ms(t), at);
    json_object_foreach((json_t *)(uintptr_t)records, id, record)
    {
        json_t *whole = json_pack("{s:s}", "id", id);
        json_object_update(whole, record);
        json_object_set_new(whole, "kind", json_string("custom"));
        json_object_set_new(whole, "component", json_string(CATALOGUE));
        if (!json_object_get(whole, "created_at"))
            json_object_set_new(whole, "created_at", json_string(at));
        json_object_set_new(whole, "updated_at", json_string(at));
        snprintf(key, sizeof key, "custom/%.64s", id);
        if (e >= 0)
            e = cvm_state_put(t, key, whole);
        else
            json_decref(whole);
    }
    return e;
}

/* Takes `file`. */
static int look_at(cvm_turn *t, const cvm_msg *m, json_t *file)
{
    const char *hash = cvm_json_str(m->data, "hash", ""), *fault = cvm_json_str(m->data, "fault", NULL);
    const json_t *records = json_object_get(m->data, "records");
    bool dirty = cvm_json_bool(file, "dirty", false), writing = json_object_get(file, "writing") != NULL;
    if (m->outcome != CVM_REPLIED || fault) {
        cvm_log(t, CVM_LOG_ERROR, "%s; the custom treatments stay as they were",
                fault ? fault : FILE_PATH " could not be read");
        return cvm_state_put(t, "file", file);
    }
    bool ours =
        !*hash || !strcmp(hash, cvm_json_str(file, "hash", "")) || !strcmp(hash, cvm_json_str(file, "writing", ""));
    if (!ours) {
        cvm_log(t, CVM_LOG_INFO, FILE_PATH " was edited: %zu custom treatments are taken up",
                json_object_size(records));
        json_object_set_new(file, "hash", json_string(hash));
        int e = take_up(t, records);
        if (e < 0) {
            json_decref(file);
            return e;
        }
    }
    if (dirty && !writing && ours)
        return start(t, file);
    return cvm_state_put(t, "file", file);
}

int keep_loaded(cvm_turn *t, const cvm_msg *m)
{
    json_t *file = NULL;
    CVM_TRY(state_copy(t, "file", &file));
    CVM_TRY(look_at(t, m, file));
    return catalogue_loaded(t);
}
