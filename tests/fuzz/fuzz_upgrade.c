/* State of other versions, and damaged, before the code that must read it. The input is [[component, key, version,
 * value], ..]; a value that is a string is stored as it is. */
#include "fuzz.h"

#include "core/edge.h"
#include "fuzz_home.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 32

static const char *const plugins[] = {"bad", "bad_none", "courier", "courier", NULL};
static int n_answers;

static void answered(void *arg, const struct edge_reply *reply)
{
    int *outcome = arg;
    n_answers++;
    *outcome = reply->outcome;
}

/* Whatever is stored, a request ends once; with what, is the plugin's matter. */
static void ask(struct core *core, const char *to, const char *type, json_t *data)
{
    struct edge_error error = {0};
    struct edge_in in = {.source = "fuzz", .to = to, .type = type, .data = data, .priority = -1};
    int outcome = -1;
    n_answers = 0;
    int e = edge_submit(core, &in, answered, &outcome, NULL, &error);
    FUZZ_CHECK(e == 0 || error.text[0]);
    core_step(core, core_now_ms(core) + 120000);
    FUZZ_CHECK(fuzz_home_fatal() || n_answers == (e == 0));
    FUZZ_CHECK(e || fuzz_home_fatal() || outcome == CVM_REPLIED || outcome == CVM_REFUSED || outcome == CVM_ERROR ||
               outcome == CVM_BUSY);
}

static void use(struct core *core, const json_t *document)
{
    size_t i;
    json_t *row;
    json_array_foreach(document, i, row)
    {
        const char *key = json_string_value(json_array_get(row, 1));
        if (!key || i >= ROWS_MAX || fuzz_home_fatal())
            continue;
        ask(core, "test.courier", "run",
            json_pack("{s:[{s:s, s:s, s:b}, {s:s, s:s, s:s, s:b}, {s:s}]}", "steps", "do", "get", "key", key, "try", 1,
                      "do", "scan", "prefix", "", "after", key, "try", 1, "do", "reply"));
        if (strncmp(key, "note/", 5) == 0) {
            ask(core, "test.bad", "get", json_pack("{s:s}", "name", key + 5));
            ask(core, "test.bad", "put", json_pack("{s:s, s:i}", "name", key + 5, "n", 7));
        }
    }
    ask(core, "test.courier", "run",
        json_pack("{s:[{s:s, s:s}, {s:s}]}", "steps", "do", "scan", "prefix", "", "do", "reply"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *document = fuzz_home_input(data, size, plugins), *row;
    char why[512] = "";
    size_t i;
    if (!document)
        return 0;
    sqlite3 *db = fuzz_home_database();
    json_array_foreach(document, i, row)
    {
        const json_t *values[] = {json_array_get(row, 0), json_array_get(row, 1), json_array_get(row, 2),
                                  json_array_get(row, 3)};
        if (i < ROWS_MAX)
            fuzz_home_run(db,
                          "INSERT OR REPLACE INTO state(component, key, version, value, turn) VALUES(?, ?, ?, ?, 0)",
                          values, 4);
    }
    sqlite3_close(db);
    struct core *core = fuzz_home_open(why);
    FUZZ_CHECK(core || why[0]);
    if (core) {
        use(core, document);
        core_close(core);
    }
    json_decref(document);
    return 0;
}
