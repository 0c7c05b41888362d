/* Messages as text: rows of the journal before recovery, inputs from outside, dead letters sent again. The input is
 * [[what, value], ..]: "message", "request", "timer", "effect" are what was open when the host ended, "context" and
 * "inbox" what belongs to it, "dead" a dead letter, "in" an input; a value that is a string is stored as it is. What
 * comes back from the journal must be written into it again as it was. */
#include "fuzz.h"

#include "core/internal.h"
#include "fuzz_home.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 64
#define HOUR_MS 3600000

static const char *const plugins[] = {"bad", "bad_none", "outside", "outside", "echo", "echo", NULL};
static int answers;

static void put_open(sqlite3 *db, const json_t *kind, const json_t *doc)
{
    fuzz_home_run(db, "INSERT INTO open_items(kind, doc) VALUES(?, ?)", (const json_t *[]){kind, doc}, 2);
}

static void put_row(sqlite3 *db, const json_t *row)
{
    const json_t *what = json_array_get(row, 0), *value = json_array_get(row, 1), *third = json_array_get(row, 2);
    const char *name = json_string_value(what);
    if (!name || !value || strcmp(name, "in") == 0)
        return;
    if (strcmp(name, "dead") == 0) {
        fuzz_home_run(db,
                      "INSERT INTO dead_letters(at_ms, message, component, type, reason, envelope)"
                      " VALUES(1, x'00', ?, ?, 'x', ?)",
                      (const json_t *[]){third, json_array_get(row, 3), value}, 3);
    } else if (strcmp(name, "context") == 0 && json_is_string(third)) {
        json_t *key = json_integer(conversation_key(json_string_value(third)));
        fuzz_home_run(db,
                      "INSERT OR REPLACE INTO contexts(conversation, name, parent, version, opened_ms, ended_ms, doc)"
                      " VALUES(?, ?, 0, 1, 1, 0, ?)",
                      (const json_t *[]){key, third, value}, 3);
        json_decref(key);
    } else if (strcmp(name, "inbox") == 0) {
        fuzz_home_run(db,
                      "INSERT OR REPLACE INTO inbox(source, key, hash, message, at_ms, outcome, result)"
                      " VALUES('fuzz', ?, zeroblob(32), zeroblob(16), 1, ?, ?)",
                      (const json_t *[]){third, json_array_get(row, 3), value}, 3);
    } else {
        put_open(db, what, value);
    }
}

/* ---- what was open, as it is written ---- */

static void add_doc(json_t *docs, const struct item *item)
{
    struct text text;
    char no[24];
    if (!item->no)
        return;
    text_init(&text, 1 << 20);
    item_doc(&text, item);
    if (!text.failed) { /* too deep or large is refused where it comes in */
        json_t *doc = json_loadb(text.at, text.len, JSON_ALLOW_NUL, NULL);
        FUZZ_CHECK(doc);
        snprintf(no, sizeof no, "%lld", (long long)item->no);
        static const char *const kinds[] = {"message", "request", "timer", "effect"};
        json_object_set_new(docs, no, json_pack("[s, o]", kinds[item->kind], doc));
    }
    text_free(&text);
}

static json_t *open_docs(struct core *core)
{
    json_t *docs = json_object();
    for (int i = 0; i < CORE_HASH_BUCKETS; i++) {
        for (const struct item *item = core->items[i]; item; item = item->hash_next)
            if (item->kind != ITEM_REQUEST || ((const struct request *)item)->taker != core->host)
                add_doc(docs, item);
        for (const struct conversation *c = core->conversations[i]; c; c = c->hash_next)
            for (const struct message *m = c->head; m; m = m->next)
                add_doc(docs, &m->item);
    }
    return docs;
}

/* Recovered twice is recovered once. */
static void check_again(json_t *docs)
{
    char why[512];
    const char *no;
    json_t *pair;
    fuzz_home_reset();
    sqlite3 *db = fuzz_home_database();
    json_object_foreach(docs, no, pair)
    {
        json_t *number = json_integer(atoll(no));
        fuzz_home_run(db, "INSERT INTO open_items(no, kind, doc) VALUES(?, ?, ?)",
                      (const json_t *[]){number, json_array_get(pair, 0), json_array_get(pair, 1)}, 3);
        json_decref(number);
    }
    sqlite3_close(db);
    struct core *core = fuzz_home_open(why);
    FUZZ_CHECK(core);
    json_t *again = open_docs(core);
    if (!json_equal(docs, again)) {
        json_dumpf(docs, stderr, JSON_SORT_KEYS | JSON_INDENT(1));
        json_dumpf(again, stderr, JSON_SORT_KEYS | JSON_INDENT(1));
        FUZZ_CHECK(!"what is recovered is written as it was read");
    }
    json_decref(again);
    core_close(core);
}

/* ---- inputs ---- */

static void answered(void *arg, const struct edge_reply *reply)
{
    (void)arg;
    answers++;
    FUZZ_CHECK(reply->outcome >= CVM_REPLIED && reply->outcome <= CVM_UNKNOWN && reply->content);
}

static int submit(struct core *core, const json_t *v)
{
    struct edge_error error = {0};
    struct edge_in in = {.source = "fuzz",
                         .key = cvm_json_str(v, "key", NULL),
                         .to = cvm_json_str(v, "to", ""),
                         .type = cvm_json_str(v, "type", ""),
                         .data = cvm_json_share(json_object_get(v, "data")),
                         .content = cvm_json_str(v, "content", NULL),
                         .conversation = cvm_json_str(v, "conversation", NULL),
                         .enquiry_id = cvm_json_str(v, "enquiry_id", NULL),
                         .customer_id = cvm_json_str(v, "customer_id", NULL),
                         .session_id = cvm_json_str(v, "session_id", NULL),
                         .traceparent = cvm_json_str(v, "traceparent", NULL),
                         .priority = (int)cvm_json_int(v, "priority", -1),
                         .timeout_ms = cvm_json_int(v, "timeout_ms", 0)};
    int e = edge_submit(core, &in, answered, NULL, NULL, &error);
    FUZZ_CHECK(e == 0 || (e == error.error && error.text[0]));
    return e == 0;
}

static int submit_all(struct core *core, const json_t *document)
{
    int taken = 0, letters = 0;
    size_t i;
    json_t *row;
    json_array_foreach(document, i, row)
    {
        const char *what = json_string_value(json_array_get(row, 0));
        if (!what || i >= ROWS_MAX)
            continue;
        if (strcmp(what, "in") == 0)
            taken += submit(core, json_array_get(row, 1));
        if (strcmp(what, "dead") == 0) {
            json_t *redrive =
                json_pack("{s:s, s:s, s:{s:i}}", "to", "host.redrive", "type", "redrive", "data", "number", ++letters);
            taken += submit(core, redrive);
            json_decref(redrive);
        }
    }
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *document = fuzz_home_input(data, size, plugins), *row;
    char why[512] = "";
    size_t i;
    if (!document)
        return 0;
    sqlite3 *db = fuzz_home_database();
    json_array_foreach(document, i, row) if (i < ROWS_MAX) put_row(db, row);
    sqlite3_close(db);
    struct core *core = fuzz_home_open(why);
    FUZZ_CHECK(core || why[0]);
    if (core) {
        json_t *docs = open_docs(core);
        answers = 0;
        int taken = submit_all(core, document);
        core_step(core, core_now_ms(core) + 10 * (int64_t)HOUR_MS);
        FUZZ_CHECK(fuzz_home_fatal() || answers == taken);
        json_decref(core_ps(core));
        core_close(core);
        if (json_object_size(docs))
            check_again(docs);
        json_decref(docs);
    }
    json_decref(document);
    return 0;
}
