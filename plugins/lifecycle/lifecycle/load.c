/* How the population comes into the simulation: a job reads the file and puts the records into a table, from which they
 * are taken batch by batch. At the first start, and at each reset; what was asked for meanwhile waits in "kept". Also
 * what a reset takes away: memory, what was learnt, the history. Loop thread, but for the job. */
#include "lifecycle.h"

#include <stdio.h>
#include <stdlib.h>

#define KEPT_MAX 64
#define PROBLEMS_MAX 20
#define FILE_MAX_BYTES (32 * 1024 * 1024)
#define SWEEP_ROWS 400
#define SCAN_MAX 1000
#define READ_TRIES 5 /* of a batch */
#define DAYS_MAX 1000000
#define CLEARED UINT64_C(0x636c656172) /* the cookie of what is cleared, beside who */

/* ---- the job ---- */

static void problem(json_t *problems, const char *file, size_t i, const char *text)
{
    char line[320];
    if (json_array_size(problems) >= PROBLEMS_MAX)
        return;
    snprintf(line, sizeof line, "%.100s: personas[%zu].%.180s", file, i, text);
    json_array_append_new(problems, json_string(line));
}

/* The text of a file. Gives, for free(). */
static int read_file(cvm_job *j, const char *path, char **ret_text)
{
    cvm_file *file = NULL;
    const char *line;
    size_t len, n = 0;
    char *text = NULL;
    int e = cvm_job_file(j, path, &file);
    if (e < 0)
        return e;
    while ((e = cvm_file_line(file, &line, &len)) > 0) {
        char *longer = n + len + 2 > FILE_MAX_BYTES ? NULL : realloc(text, n + len + 2);
        if (!longer) {
            e = CVM_ELIMIT;
            break;
        }
        text = longer;
        memcpy(text + n, line, len);
        n += len;
        text[n++] = '\n';
        text[n] = 0;
    }
    cvm_file_close(file);
    if (e < 0 || !text) {
        free(text);
        return e < 0 ? e : CVM_EDATA;
    }
    *ret_text = text;
    return CVM_OK;
}

/* The first of the places that has the file. */
static int find_file(cvm_job *j, const char *named, char **ret_text, const char **ret_path)
{
    static const char own[] = "data/lifecycle/personas.json", standard[] = "manifest:personas.json";
    *ret_path = *named ? named : own;
    int e = read_file(j, *ret_path, ret_text);
    if (e == CVM_ENOENT && !*named)
        e = read_file(j, *ret_path = standard, ret_text);
    return e;
}

static int put(cvm_job *j, const json_t *personas, const char *file, json_t *problems, int64_t *ret_n)
{
    static const char *const columns[] = {"persona_key", "place", "chunk", "display_name", "segment", "record", NULL};
    cvm_loader *loader = NULL;
    json_t *seen = json_object();
    int64_t n = 0;
    int e = cvm_job_clear(j, PERSONAS, NULL, NULL);
    if (e == CVM_OK)
        e = cvm_job_loader(j, PERSONAS, columns, &loader);
    for (size_t i = 0; e == CVM_OK && i < json_array_size(personas); i++) {
        struct life_persona p;
        char error[200] = "";
        const json_t *record = json_array_get(personas, i);
        char *text = json_dumps(record, JSON_COMPACT);
        size_t len = text ? strlen(text) : 0;
        if (life_persona_read(record, &p, error, sizeof error) == CVM_OK && json_object_get(seen, p.key))
            snprintf(error, sizeof error, "persona_key: %.100s is there already", p.key);
        if (!*error && len > RECORD_MAX)
            snprintf(error, sizeof error, "traits: the whole record must be at most %d bytes", RECORD_MAX);
        if (!*error && n >= LIFE_PERSONAS_MAX)
            snprintf(error, sizeof error, "persona_key: more than %d personas", LIFE_PERSONAS_MAX);
        if (*error) {
            problem(problems, file, i, error);
        } else {
            json_object_set_new(seen, p.key, json_true());
            e = cvm_loader_put(loader,
                               (cvm_cell[]){{.kind = CVM_CELL_TEXT, .text = p.key, .len = strlen(p.key)},
                                            {.kind = CVM_CELL_INT, .i = n},
                                            {.kind = CVM_CELL_INT, .i = n / BATCH},
                                            {.kind = CVM_CELL_TEXT, .text = p.name, .len = strlen(p.name)},
                                            {.kind = CVM_CELL_TEXT, .text = p.segment, .len = strlen(p.segment)},
                                            {.kind = CVM_CELL_TEXT, .text = text, .len = len}});
            n++;
        }
        free(text);
    }
    json_decref(seen);
    int closed = cvm_loader_close(loader);
    *ret_n = n;
    return e < 0 ? e : closed;
}

int load_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    char *text = NULL, line[300];
    const char *path;
    json_error_t fault;
    int64_t n = 0;
    int e = find_file(j, cvm_json_str(input, "file", ""), &text, &path);
    if (e < 0) {
        snprintf(line, sizeof line, "the file of personas %.200s: %s", path, cvm_strerror(e));
        return cvm_job_fail(j, "NO_FILE", line);
    }
    json_t *doc = json_loads(text, JSON_REJECT_DUPLICATES, &fault), *problems = json_array();
    const json_t *personas = json_is_array(doc) ? doc : json_object_get(doc, "personas");
    free(text);
    if (!json_is_array(personas)) {
        snprintf(line, sizeof line, "%.120s: %s (line %d)", path, doc ? "must be an array of personas" : fault.text,
                 doc ? 1 : fault.line);
        json_decref(doc);
        json_decref(problems);
        return cvm_job_fail(j, "NO_JSON", line);
    }
    e = put(j, personas, path, problems, &n);
    json_decref(doc);
    if (e < 0) {
        json_decref(problems);
        return e;
    }
    *ret_result = json_pack("{s:I, s:o, s:s}", "personas", (json_int_t)n, "problems", problems, "file", path);
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}

/* ---- starting ---- */

static int start_job(cvm_turn *t)
{
    return cvm_job_start(t, "load", json_pack("{s:s}", "file", cvm_json_str(cvm_settings(t), "personas_file", "")),
                         (cvm_id){0}, 60000);
}

int load_on_start(cvm_turn *t, const cvm_msg *m)
{
    const json_t *world;
    (void)m;
    int e = cvm_state_get(t, "world", &world);
    if (e != CVM_ENOENT)
        return e < 0 ? e : CVM_OK;
    json_t *first = NULL;
    CVM_TRY(people_world(t, &first));
    CVM_TRY(people_world_put(t, first));
    return start_job(t);
}

int load_keep(cvm_turn *t, const cvm_msg *m)
{
    const json_t *kept = NULL;
    int e = cvm_state_get(t, "kept", &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (json_array_size(kept) >= KEPT_MAX)
        return cvm_refuse(t, "BUSY", NULL, "The personas are being read; try again in a moment.");
    json_t *more = kept ? json_copy((json_t *)(uintptr_t)kept) : json_array();
    json_array_append_new(more,
                          json_pack("[I, I, s, O]", (json_int_t)m->id.hi, (json_int_t)m->id.lo, m->type, m->data));
    CVM_TRY(cvm_state_put(t, "kept", more));
    return CVM_PENDING;
}

int load_on_wait(cvm_turn *t, const cvm_msg *m)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    bool loaded = cvm_json_bool(world, "loaded", false);
    json_decref(world);
    return loaded ? cvm_reply(t, m, NULL) : load_keep(t, m);
}

/* Whoever waited goes on. */
static int release(cvm_turn *t)
{
    const json_t *stored = NULL;
    if (cvm_state_get(t, "kept", &stored) < 0)
        return CVM_OK;
    json_t *kept = json_deep_copy(stored);
    int e = cvm_state_del(t, "kept");
    for (size_t i = 0; e >= 0 && i < json_array_size(kept); i++) {
        const json_t *one = json_array_get(kept, i);
        cvm_id id = {(uint64_t)json_integer_value(json_array_get(one, 0)),
                     (uint64_t)json_integer_value(json_array_get(one, 1))};
        const char *type = json_string_value(json_array_get(one, 2));
        if (strcmp(type, "reset") == 0) { /* they are just read: what follows would find the same */
            json_t *state = NULL;
            e = look_state(t, &state);
            if (e == CVM_OK)
                e = cvm_settle(t, id, CVM_REPLIED, state, NULL);
            e = e == CVM_ENOENT ? CVM_OK : e;
        } else if (strcmp(type, "wait") == 0) {
            e = cvm_settle(t, id, CVM_REPLIED, NULL, NULL);
            e = e == CVM_ENOENT ? CVM_OK : e;
        } else {
            e = day_begin(t, id, type, json_array_get(one, 3));
        }
    }
    json_decref(kept);
    return e < 0 ? e : CVM_OK;
}

/* ---- taking what the job read ---- */

static int ask_chunk(cvm_turn *t, int64_t batch, int64_t tries)
{
    return cvm_ask(
        t, &(cvm_query){.size = sizeof(cvm_query),
                        .table = PERSONAS,
                        .where = json_pack("{s:I}", "chunk", (json_int_t)batch),
                        .order_by = "place",
                        .limit = BATCH,
                        .with = json_pack("{s:I, s:I}", "load", (json_int_t)batch, "tries", (json_int_t)tries)});
}

/* All keys of the state that begin so. */
static int drop(cvm_turn *t, const char *prefix)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, prefix, NULL, SCAN_MAX, &pairs));
    int e = CVM_OK;
    for (size_t i = 0; e == CVM_OK && i < json_array_size(pairs); i++)
        e = cvm_state_del(t, json_string_value(json_array_get(json_array_get(pairs, i), 0)));
    json_decref(pairs);
    return e;
}

static int loaded(cvm_turn *t, json_t *world);

/* Who was there stays, and a reset is refused. Takes the world. */
static int not_loaded(cvm_turn *t, json_t *world)
{
    const json_t *id = json_object_get(world, "resetting");
    const char *why = json_string_value(json_array_get(json_object_get(world, "problems"), 0));
    if (!id)
        return loaded(t, world);
    cvm_id request = {(uint64_t)json_integer_value(json_array_get(id, 0)),
                      (uint64_t)json_integer_value(json_array_get(id, 1))};
    int e = cvm_settle(
        t, request, CVM_REFUSED,
        json_pack("{s:s, s:s}", "code", "BAD_PERSONAS", "message", why ? why : "There is no persona in the file."),
        NULL);
    json_object_del(world, "resetting");
    if (e < 0 && e != CVM_ENOENT) {
        json_decref(world);
        return e;
    }
    return loaded(t, world);
}

int load_on_job(cvm_turn *t, const cvm_msg *m)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    bool good = m->outcome == CVM_REPLIED;
    int64_t n = cvm_json_int(m->data, "personas", 0);
    const char *text = cvm_json_str(m->data, "text", cvm_json_str(m->data, "message", "the personas cannot be read"));
    json_t *problems = good ? json_deep_copy(json_object_get(m->data, "problems")) : json_pack("[s]", text);
    for (size_t i = 0; i < json_array_size(problems); i++)
        cvm_log(t, CVM_LOG_ERROR, "%s", json_string_value(json_array_get(problems, i)));
    json_object_set_new(world, "problems", problems);
    if (good)
        json_object_set(world, "file", json_object_get(m->data, "file"));
    if (!good || n == 0)
        return not_loaded(t, world);
    json_object_set_new(world, "loading", json_integer(n));
    int e = drop(t, "who/");
    if (e == CVM_OK)
        e = drop(t, "now/");
    if (e < 0) {
        json_decref(world);
        return e;
    }
    CVM_TRY(people_world_put(t, world));
    return ask_chunk(t, 0, 1);
}

/* A batch cannot be read: nobody is there, which is said, rather than a part of them. */
static int not_read(cvm_turn *t, const cvm_msg *m)
{
    json_t *world = NULL;
    CVM_TRY(people_world(t, &world));
    cvm_log(t, CVM_LOG_ERROR, "the personas that were loaded cannot be read: %s",
            cvm_json_str(m->data, "message", "no answer"));
    json_object_set_new(world, "problems", json_pack("[s]", "the personas that were loaded cannot be read"));
    json_object_set_new(world, "personas", json_integer(0));
    json_object_del(world, "loading");
    return not_loaded(t, world);
}

int load_on_rows(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "rows");
    const json_t *with = json_object_get(m->data, "with");
    int64_t batch = cvm_json_int(with, "load", 0), tries = cvm_json_int(with, "tries", READ_TRIES);
    if (m->outcome != CVM_REPLIED)
        return tries < READ_TRIES ? ask_chunk(t, batch, tries + 1) : not_read(t, m);
    json_t *records = json_array(), *world = NULL;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *record = json_object_get(json_array_get(rows, i), "record");
        json_array_append_new(records, json_is_string(record) ? json_loads(json_string_value(record), 0, NULL)
                                                              : cvm_json_share(record));
    }
    int e = people_load(t, (int)batch, records);
    json_decref(records);
    CVM_TRY(e);
    CVM_TRY(people_world(t, &world));
    int64_t n = cvm_json_int(world, "loading", 0);
    if ((batch + 1) * BATCH < n) {
        json_decref(world);
        return ask_chunk(t, batch + 1, 1);
    }
    json_object_set_new(world, "personas", json_integer(n));
    json_object_del(world, "loading");
    return loaded(t, world);
}

/* ---- reset ---- */

static int clear(cvm_turn *t, uint64_t who)
{
    static const char *const all[] = {MEMORY, DECISION};
    return cvm_request(t, all[who], "clear", NULL,
                       &(cvm_request_opts){.timeout_ms = 60000, .on_behalf = {CLEARED, who}});
}

static int sweep(cvm_turn *t, int64_t epoch, int64_t days, int64_t people, int64_t at)
{
    return cvm_timer(t, "sweep", 0,
                     json_pack("{s:I, s:I, s:I, s:I}", "epoch", (json_int_t)epoch, "days", (json_int_t)days, "personas",
                               (json_int_t)people, "at", (json_int_t)at),
                     (cvm_id){0}, NULL);
}

/* Takes the world. */
static int finish_reset(cvm_turn *t, json_t *world)
{
    const json_t *id = json_object_get(world, "resetting");
    cvm_id request = {(uint64_t)json_integer_value(json_array_get(id, 0)),
                      (uint64_t)json_integer_value(json_array_get(id, 1))};
    int64_t epoch = cvm_json_int(world, "epoch", 1), days = cvm_json_int(world, "day", 0) + 1,
            people = cvm_json_int(world, "personas_before", 0);
    json_t *fresh = json_pack("{s:I, s:i, s:O, s:b, s:O*, s:O*}", "epoch", (json_int_t)(epoch + 1), "day", 0,
                              "personas", json_object_get(world, "personas"), "loaded", 1, "problems",
                              json_object_get(world, "problems"), "file", json_object_get(world, "file"));
    bool kept = json_is_true(json_array_get(id, 2));
    int64_t outcomes = cvm_json_int(world, "outcomes", 0);
    json_decref(world);
    if (kept) /* what is known stays known, and what follows is a choice by it */
        json_object_set_new(fresh, "outcomes", json_integer(outcomes));
    CVM_TRY(people_world_put(t, fresh));
    if (days > 1)
        CVM_TRY(sweep(t, epoch, days, people, 0));
    json_t *state = NULL;
    CVM_TRY(look_state(t, &state));
    int e = cvm_settle(t, request, CVM_REPLIED, state, NULL);
    CVM_TRY(cvm_publish(t, "lifecycle.day", json_pack("{s:i, s:s}", "day", 0, "state", "reset")));
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* The personas are there, or stay what they were. Takes the world. */
static int loaded(cvm_turn *t, json_t *world)
{
    const json_t *resetting = json_object_get(world, "resetting");
    json_object_set_new(world, "loaded", json_true());
    if (!resetting) {
        CVM_TRY(people_world_put(t, world));
        return release(t);
    }
    bool keep = json_is_true(json_array_get(resetting, 2));
    if (keep) {
        CVM_TRY(finish_reset(t, world));
        return release(t);
    }
    CVM_TRY(people_world_put(t, world));
    return clear(t, 0);
}

int load_on_cleared(cvm_turn *t, const cvm_msg *m)
{
    json_t *world = NULL;
    if (m->outcome == CVM_REPLIED && cvm_json_bool(m->data, "more", false))
        return clear(t, m->on_behalf.lo);
    if (m->on_behalf.lo == 0)
        return clear(t, 1);
    CVM_TRY(people_world(t, &world));
    if (!json_object_get(world, "resetting")) {
        json_decref(world);
        return CVM_OK;
    }
    CVM_TRY(finish_reset(t, world));
    return release(t);
}

/* Nothing runs, and the personas are there. Takes the world. */
static int begin_reset(cvm_turn *t, json_t *world, cvm_id request, const json_t *data)
{
    json_object_set_new(world, "loaded", json_false());
    json_object_set(world, "personas_before", json_object_get(world, "personas"));
    json_object_set_new(world, "resetting",
                        json_pack("[I, I, b]", (json_int_t)request.hi, (json_int_t)request.lo,
                                  cvm_json_bool(data, "keep_memory", false)));
    CVM_TRY(people_world_put(t, world));
    return start_job(t);
}

int load_on_reset(cvm_turn *t, const cvm_msg *m)
{
    const json_t *run;
    json_t *world = NULL;
    if (cvm_state_get(t, "run", &run) == CVM_OK)
        return cvm_refuse(t, "BUSY", NULL, "A day is running: wait for it.");
    CVM_TRY(people_world(t, &world));
    bool loaded_now = cvm_json_bool(world, "loaded", false), resetting = json_object_get(world, "resetting") != NULL;
    if (loaded_now && !resetting) {
        CVM_TRY(begin_reset(t, world, m->id, m->data));
        return CVM_PENDING;
    }
    json_decref(world);
    return resetting ? cvm_refuse(t, "BUSY", NULL, "The personas are being read; try again in a moment.")
                     : load_keep(t, m);
}

/* Rows of an earlier time, some hundred a turn. */
int load_on_sweep(cvm_turn *t, const cvm_msg *m)
{
    int64_t epoch = cvm_json_int(m->data, "epoch", 0), days = cvm_json_int(m->data, "days", 0),
            people = cvm_json_int(m->data, "personas", 0);
    int64_t at = cvm_json_int(m->data, "at", 0), all;
    char key[48];
    if (days <= 0 || days > DAYS_MAX || people <= 0 || people > LIFE_PERSONAS_MAX || at < 0)
        return CVM_OK;
    all = days * people;
    for (int i = 0; i < SWEEP_ROWS && at < all; i++, at++) {
        int64_t day = at / people + 1;
        story_key(key, epoch, day, (int)(at % people));
        CVM_TRY(cvm_row_del(t, HISTORY, key));
        if (at % people == 0) {
            snprintf(key, sizeof key, "%06lld/%06lld", (long long)epoch, (long long)day);
            CVM_TRY(cvm_row_del(t, DAYS, key));
        }
    }
    return at < all ? sweep(t, epoch, days, people, at) : CVM_OK;
}
