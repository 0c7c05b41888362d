/* The same messages in a home whose host is ended between any two steps of its work, by the crash points of the core:
 * started again over what is stored it must come to the same answers and the same state as a host that was never
 * ended. And, without a kill, as one that was started anew for every message: nothing may live in memory alone. */
#include "conform/parts.h"

#include "core/crash.h"
#include <ctype.h>
#include <cvm/json.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 48
#define STEP_MS 1200000 /* of time between two messages */
#define BEGIN_MS INT64_C(1700000000000)
#define LAST_MS 3600000 /* behind the last */
#define ROUNDS_MAX 24   /* starts over one home */

struct killing {
    char home[CONFORM_PATH];
    json_t *steps; /* of the script; NULL: they are drawn now */
    int from, count;
    bool anew;      /* a start for every message */
    bool unknown;   /* a call was under way whose outcome nobody can know */
    char crash[80]; /* "" or CVMHOST_CRASH */
};

/* ---- in children
 * ------------------------------------------------------------------------------------------------------ */

static int one(struct world *w, struct killing *run, int i)
{
    struct conform *c = w->c;
    struct gen g = {.state = gen_mix(c->options.seed, 0x6b696c6cu + (uint64_t)i)};
    struct input in;
    char text[600];
    if (!run->steps) {
        draw_input(c, &g, w->seen, i, true, &in);
        fact_write(c, json_pack("{s:s, s:o}", "kind", "step", "step", step_of(&in)));
    } else if (!step_input(c, json_array_get(run->steps, (size_t)i), i, &in)) {
        return CVM_EINVAL;
    }
    world_pass(w, BEGIN_MS + (int64_t)i * STEP_MS - core_now_ms(w->core));
    bool taken = world_submit(w, &in, text, sizeof text);
    world_pass(w, BEGIN_MS + (int64_t)(i + 1) * STEP_MS - 1000 - core_now_ms(w->core));
    if (in.n && in.outcome == CVM_REPLIED)
        gen_see(w->seen, in.answer);
    fact_write(c, json_pack("{s:s, s:i, s:i, s:s, s:s, s:O?}", "kind", "answer", "i", i, "outcome",
                            taken && in.n ? in.outcome : -1, "component", in.component->id, "type", in.operation->type,
                            "data", in.operation->ephemeral ? NULL : in.answer));
    c->shared->at = c->shared->done = i + 1;
    input_free(&in);
    return 0;
}

static int killed_body(struct conform *c, void *arg)
{
    struct killing *run = arg;
    struct world w;
    guard_begin(c, *run->crash ? "kill" : "restart");
    guard.watch = false;
    if (*run->crash) {
        setenv("CVMHOST_CRASH", run->crash, 1);
        crash_init();
    }
    int e = 0, i = run->from;
    do { /* where it was killed after the last answer there is still time to pass */
        e = world_open(&w, c, run->home, WORLD_CALM, BEGIN_MS + (int64_t)i * STEP_MS);
        for (bool more = true; !e && more && i < run->count; more = !run->anew)
            e = one(&w, run, i++);
        if (!e && i == run->count)
            world_pass(&w, BEGIN_MS + (int64_t)i * STEP_MS + LAST_MS - core_now_ms(w.core));
        if (!e)
            world_close(&w);
    } while (!e && i < run->count);
    return e;
}

/* ---- what came of it
 * --------------------------------------------------------------------------------------------------- */

/* Times differ where something was waited for, and may. */
static void mask(char *text)
{
    for (char *s = text; *s;) {
        size_t n = strspn(s, "0123456789:.TZ+-"), digits = 0;
        for (size_t i = 0; i < n; i++)
            digits += isdigit((unsigned char)s[i]) != 0;
        if (digits >= 13)
            memset(s, '#', n);
        s += n ? n : 1;
    }
}

struct lines {
    char **at;
    size_t n;
};

static void add_line(struct lines *lines, char *line)
{
    char **more = line ? realloc(lines->at, (lines->n + 1) * sizeof *more) : NULL;
    if (!more) {
        free(line);
        return;
    }
    lines->at = more;
    mask(line);
    lines->at[lines->n++] = line;
}

static void add_rows(struct lines *lines, sqlite3 *db, const char *what, const char *sql)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(s) == SQLITE_ROW) {
        char *line = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&line, &size);
        fprintf(f, "%s", what);
        for (int i = 0; i < sqlite3_column_count(s); i++)
            if (strcmp(sqlite3_column_name(s, i), "conversation") != 0 &&
                strcmp(sqlite3_column_name(s, i), "key_id") != 0)
                fprintf(f, " %s", sqlite3_column_text(s, i) ? (const char *)sqlite3_column_text(s, i) : "null");
        fclose(f);
        add_line(lines, line);
    }
    sqlite3_finalize(s);
}

static struct lines outcome_of(struct conform *c, const char *home, const json_t *answers)
{
    struct lines lines = {0};
    char path[CONFORM_PATH + 32], sql[300];
    sqlite3 *db = NULL;
    size_t i;
    json_t *answer;
    json_array_foreach((json_t *)(uintptr_t)answers, i, answer)
    {
        char *data = json_dumps(json_object_get(answer, "data"), JSON_ENCODE_ANY | JSON_SORT_KEYS), *line = NULL;
        if (asprintf(&line, "the answer to %s of %s: outcome %d, %s", cvm_json_str(answer, "type", ""),
                     cvm_json_str(answer, "component", ""), (int)cvm_json_int(answer, "outcome", 0),
                     data ? data : "") > 0)
            add_line(&lines, line);
        free(data);
    }
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        add_rows(&lines, db, "the state:", "SELECT component, key, value, version FROM state ORDER BY component, key");
        for (i = 0; i < c->manifest->n_tables; i++) {
            const struct manifest_table *t = &c->manifest->tables[i];
            snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY \"%s\"", t->name, t->key);
            snprintf(path, sizeof path, "the table %s:", t->name);
            add_rows(&lines, db, path, sql);
        }
    }
    sqlite3_close(db);
    return lines;
}

static void free_lines(struct lines *lines)
{
    while (lines->n)
        free(lines->at[--lines->n]);
    free(lines->at);
    lines->at = NULL;
}

/* True: the same. */
static bool compare(struct conform *c, const char *check, const char *how, const struct lines *a, const struct lines *b)
{
    for (size_t i = 0; i < a->n || i < b->n; i++) {
        const char *x = i < a->n ? a->at[i] : "nothing", *y = i < b->n ? b->at[i] : "nothing";
        size_t at = 0;
        char text[700], where[120];
        if (strcmp(x, y) == 0)
            continue;
        while (x[at] && x[at] == y[at])
            at++;
        size_t back = at > 24 ? at - 24 : 0;
        while (((unsigned char)x[back] & 0xc0) == 0x80)
            back++;
        snprintf(where, sizeof where, "%s", how);
        snprintf(text, sizeof text,
                 "%.*s differs: without it \"..%.90s\", with it \"..%.90s\"; what must survive belongs into state, "
                 "context or rows",
                 (int)strcspn(x, ":"), x, x + back, y + (back < strlen(y) ? back : 0));
        report_finding(c, check, "differs", where, text, "");
        return false;
    }
    return true;
}

/* ---- in the parent
 * ------------------------------------------------------------------------------------------------------ */

static void keep(json_t *answers, json_t *steps, const json_t *facts)
{
    size_t i;
    json_t *fact;
    json_array_foreach((json_t *)(uintptr_t)facts, i, fact)
    {
        const char *kind = cvm_json_str(fact, "kind", "");
        if (strcmp(kind, "answer") == 0 && cvm_json_int(fact, "i", -1) == (int64_t)json_array_size(answers))
            json_array_append(answers, fact);
        if (strcmp(kind, "step") == 0 && steps)
            json_array_append(steps, json_object_get(fact, "step"));
    }
}

/* A call whose outcome nobody can know, and which the manifest does not simply repeat: what came of it may differ. */
static bool maybe_sent(struct conform *c, const char *home)
{
    char path[CONFORM_PATH + 32];
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    bool found = false;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT doc FROM open_items WHERE kind = 'effect'", -1, &s, NULL) == SQLITE_OK)
        while (sqlite3_step(s) == SQLITE_ROW) {
            json_t *doc = json_loads((const char *)sqlite3_column_text(s, 0), 0, NULL);
            const char *call = cvm_json_str(doc, "call", "");
            for (size_t i = 0; i < c->manifest->n_calls; i++)
                if (strcmp(c->manifest->calls[i].name, call) == 0)
                    found = found || c->manifest->calls[i].unknown == UNKNOWN_VERIFY ||
                            c->manifest->calls[i].unknown == UNKNOWN_REPORT;
            json_decref(doc);
        }
    sqlite3_finalize(s);
    sqlite3_close(db);
    return found;
}

/* Runs to the end, over as many starts as it takes. False: the plugin itself failed, which is told. */
static bool run_to_end(struct conform *c, const char *check, struct killing *run, json_t *answers, json_t *steps,
                       int *ret_kills)
{
    *ret_kills = 0;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        char text[300];
        json_t *facts = NULL;
        enum child_end end = child_run(c, killed_body, run, &facts, text, sizeof text);
        keep(answers, steps, facts);
        report_facts(c, facts);
        json_decref(facts);
        run->from = (int)c->shared->at > run->from ? (int)c->shared->at : run->from;
        if (end == CHILD_DONE)
            return true;
        if (end == CHILD_CRASHED && *run->crash && strstr(text, "SIGKILL")) {
            ++*ret_kills;
            run->crash[0] = 0;
            run->unknown = run->unknown || maybe_sent(c, run->home);
            continue;
        }
        report_finding(c, check, end == CHILD_HANGS ? "hang" : "crash", c->shared->where, text, c->shared->message);
        return false;
    }
    return false;
}

/* How often each point is passed is not known: the count grows until the run ends by itself. */
static void kill_everywhere(struct conform *c, json_t *steps, const struct lines *twin)
{
    static const int passes[] = {1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610};
    bool over[CRASH_POINT_COUNT] = {false};
    int kills = 0, points = 0, unknown = 0;
    char text[120] = "";
    c->shared->of = c->options.kills;
    for (size_t k = 0; k < sizeof passes / sizeof *passes; k++) {
        for (int p = 0; p < CRASH_POINT_COUNT && kills < c->options.kills; p++) {
            struct killing run = {.steps = steps, .count = (int)json_array_size(steps)};
            json_t *answers = json_array();
            int n = 0;
            char how[100];
            if (over[p] || plan_home(c, c->library, run.home) < 0) {
                json_decref(answers);
                continue;
            }
            snprintf(run.crash, sizeof run.crash, "%s:%d", crash_point_name((enum crash_point)p), passes[k]);
            snprintf(how, sizeof how, "a kill at %s", run.crash);
            bool good = run_to_end(c, "kill", &run, answers, NULL, &n);
            over[p] = n == 0;
            kills += n;
            points += n && k == 0;
            unknown += good && n && run.unknown;
            if (good && n && !run.unknown) {
                struct lines lines = outcome_of(c, run.home, answers);
                compare(c, "kill", how, twin, &lines);
                free_lines(&lines);
            }
            json_decref(answers);
            plan_remove(run.home);
            if (!good)
                return;
            if (c->options.progress)
                c->options.progress(c->options.arg, NULL, kills, c->options.kills);
        }
    }
    if (unknown)
        snprintf(text, sizeof text, " (but for %d times in a call of unknown outcome, where both are right)", unknown);
    report(c, "kill", RESULT_OK,
           "killed %d times at %d points over %zu messages, each time to the same answers and state%s", kills, points,
           json_array_size(steps), text);
}

static void start_anew(struct conform *c, json_t *steps, const struct lines *twin)
{
    struct killing run = {.steps = steps, .count = (int)json_array_size(steps), .anew = true};
    json_t *answers = json_array();
    int n = 0;
    if (plan_home(c, c->library, run.home) == 0 && run_to_end(c, "restart", &run, answers, NULL, &n)) {
        struct lines lines = outcome_of(c, run.home, answers);
        compare(c, "restart", "a restart before every message", twin, &lines);
        free_lines(&lines);
        report(c, "restart", RESULT_OK, "started anew for each of %zu messages, with the same answers and state",
               json_array_size(steps));
    }
    json_decref(answers);
    plan_remove(run.home);
}

void check_kill(struct conform *c)
{
    struct killing run = {.count = (int)operations_count(c) * 2};
    json_t *steps = json_array(), *answers = json_array();
    int n = 0;
    run.count = run.count > MESSAGES_MAX ? MESSAGES_MAX : run.count;
    if (!run.count) {
        report(c, "restart", RESULT_SKIPPED, "the plugin has no operation to send to");
        report(c, "kill", RESULT_SKIPPED, "the plugin has no operation to send to");
    } else if (plan_home(c, c->library, run.home) == 0 && run_to_end(c, "restart", &run, answers, steps, &n)) {
        struct lines twin = outcome_of(c, run.home, answers);
        if (wanted(c, "restart"))
            start_anew(c, steps, &twin);
        if (wanted(c, "kill"))
            kill_everywhere(c, steps, &twin);
        free_lines(&twin);
    }
    c->shared->of = 0;
    json_decref(steps);
    json_decref(answers);
    plan_remove(run.home);
}
