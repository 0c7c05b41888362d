/* Stored state of older versions: what is in the store is handed to upgrade() (and downgrade()) as the host would, and
 * a home that an older build has left is gone on with by this one. */
#include "conform/parts.h"

#include "core/internal.h"
#include "core/json_text.h"
#include <cvm/json.h>
#include <dlfcn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VALUES_MAX 2000
#define VERSIONS_MAX 5 /* that far back */
#define FILL_PER_OPERATION 12

struct upgrade {
    char home[CONFORM_PATH];
    int count;
    bool real; /* the values are of a build that was older */
};

static bool upgrades(const struct conform *c)
{
    const char *id;
    json_t *component;
    json_object_foreach(c->components, id, component) if (cvm_json_int(component, "state_version", 1) > 1) return true;
    return false;
}

/* ---- in children
 * ------------------------------------------------------------------------------------------------------ */

/* Messages only to have something stored. */
static int fill_body(struct conform *c, void *arg)
{
    struct upgrade *run = arg;
    struct world w;
    char text[600];
    struct input *all = calloc((size_t)run->count + 1, sizeof *all);
    guard_begin(c, "state");
    guard.tolerant = true;
    int e =
        all ? world_open(&w, c, run->home, WORLD_CALM, run->real ? 1700000000000 + 30 * 86400000LL : 0) : CVM_ENOMEM;
    for (int i = 0; !e && i < run->count; i++) {
        struct gen g = {.state = gen_mix(c->options.seed, 0x66696c6cu + (uint64_t)i)};
        draw_input(c, &g, w.seen, i, true, &all[i]);
        snprintf(all[i].key, sizeof all[i].key, "%s-%d", run->real ? "new" : "old", i);
        snprintf(all[i].conversation, sizeof all[i].conversation, "fill-%d", i % 50);
        world_submit(&w, &all[i], text, sizeof text);
        world_pass(&w, 1000);
        if (all[i].n && all[i].outcome == CVM_REPLIED)
            gen_see(w.seen, all[i].answer);
    }
    if (!e) {
        world_pass(&w, 3600000);
        for (int i = 0; i < run->count; i++)
            input_free(&all[i]);
        world_close(&w);
    }
    free(all);
    return e;
}

typedef int (*change_fn)(uint32_t version, const char *key, const json_t *value, json_t **ret_value);

/* Calls it as the host does, and watches. Gives the new value; NULL: refused. */
static json_t *change(struct conform *c, const char *id, const char *name, change_fn fn, uint32_t version,
                      const char *key, const json_t *value)
{
    json_t *result = NULL;
    char text[200];
    struct board *page = c->shared;
    snprintf(page->where, sizeof page->where, "%s, %s", id, name);
    borrow_begin();
    borrow("the value", value, true);
    page->turns++;
    page->cpu_us = (int64_t)clock() * (1000000 / CLOCKS_PER_SEC);
    page->running = 1;
    int e = fn(version, key, value, &result);
    page->running = 0;
    bool same = result == value; /* then a reference to it must have been added */
    if (same && e >= 0 && value->refcount != (size_t)-1 && value->refcount < 4)
        find(c, "state", "reference", id, name, "gave the borrowed value itself without a reference of its own");
    else if (e >= 0 && !result)
        find(c, "state", "nothing", id, name, "returned CVM_OK and gave no value (from version %u)", version);
    const char *wrong = borrow_end(text);
    if (wrong)
        find(c, "state", "borrowed", id, name, "%s", wrong);
    if (e < CVM_ETIMEOUT || e > 0)
        find(c, "state", "result", id, name, "returned %d, which is neither CVM_OK nor an error of cvm.h", e);
    if (e >= 0 && result && json_text_size(result, 2 * CVM_STATE_VALUE_MAX_BYTES) > CVM_STATE_VALUE_MAX_BYTES)
        find(c, "state", "size", id, name, "gave a value of more than %d bytes", CVM_STATE_VALUE_MAX_BYTES);
    return e >= 0 ? result : NULL;
}

/* `stored`: the version it really is of. */
static void try_value(struct conform *c, const cvm_component *d, uint32_t stored, const char *key, const json_t *value,
                      int64_t *n_taken, int64_t *n_tried)
{
    uint32_t back = d->state_version > VERSIONS_MAX ? d->state_version - VERSIONS_MAX : 1;
    for (uint32_t from = stored < d->state_version ? stored : back; d->upgrade && from < d->state_version; from++) {
        json_t *one = change(c, d->id, "upgrade", d->upgrade, from, key, value);
        json_t *two = one ? change(c, d->id, "upgrade", d->upgrade, from, key, value) : NULL;
        ++*n_tried;
        *n_taken += one != NULL;
        if (one && two && !json_equal(one, two))
            find(c, "state", "random", d->id, "upgrade", "made two different values of one (from version %u)", from);
        if (stored < d->state_version && !one)
            find(c, "state", "refused", d->id, "upgrade",
                 "refused a value that version %u has stored (key \"%.20s..\"): it can never be read again", from, key);
        if (one != value)
            json_decref(one);
        if (two != value)
            json_decref(two);
        if (stored < d->state_version)
            return;
    }
    for (uint32_t to = back; d->downgrade && d->upgrade && stored == d->state_version && to < d->state_version; to++) {
        json_t *old = change(c, d->id, "downgrade", d->downgrade, to, key, value);
        json_t *young = old ? change(c, d->id, "upgrade", d->upgrade, to, key, old) : NULL;
        if (old && !young)
            find(c, "state", "round trip", d->id, "upgrade", "refuses what downgrade() made for version %u", to);
        else if (old && !json_equal(young, value))
            find(c, "state", "round trip", d->id, "upgrade", "does not give back what downgrade() took (version %u)",
                 to);
        if (young != old)
            json_decref(young);
        if (old != value)
            json_decref(old);
    }
}

/* Of a program, which converts in its process: the functions of a library in front of that. */
static struct remote *there;
static const char *component_there;

static int up_there(uint32_t version, const char *key, const json_t *value, json_t **ret_value)
{
    return remote_convert(there, component_there, false, version, key, value, ret_value);
}

static int down_there(uint32_t version, const char *key, const json_t *value, json_t **ret_value)
{
    return remote_convert(there, component_there, true, version, key, value, ret_value);
}

static void try_value_of(struct conform *c, const cvm_component *d, uint32_t stored, const char *key,
                         const json_t *value, int64_t *n_taken, int64_t *n_tried)
{
    cvm_component over_there = *d;
    if (there) {
        component_there = d->id;
        over_there.upgrade = d->upgrade ? up_there : NULL;
        over_there.downgrade = d->downgrade ? down_there : NULL;
    }
    try_value(c, &over_there, stored, key, value, n_taken, n_tried);
}

static int values_body(struct conform *c, void *arg)
{
    struct upgrade *run = arg;
    char path[CONFORM_PATH + 300];
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    int64_t taken = 0, tried = 0, values = 0;
    snprintf(path, sizeof path, "%s/plugins/%s", run->home, c->manifest->library);
    struct world w;
    const cvm_plugin_descriptor *d = NULL;
    if (c->manifest->program) {
        guard_begin(c, "state");
        if (world_open(&w, c, run->home, WORLD_CALM, 0) == 0) {
            there = world_remote(&w);
            d = there ? world_descriptor(&w) : NULL;
        }
    } else {
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        d = library ? dlsym(library, "cvm_plugin") : NULL;
    }
    snprintf(path, sizeof path, "%s/data/cvmhost.db", run->home);
    if (!d || sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db, "SELECT component, key, value, version FROM state ORDER BY component, key", -1, &s,
                           NULL) != SQLITE_OK)
        return CVM_EIO;
    while (sqlite3_step(s) == SQLITE_ROW && values < VALUES_MAX) {
        const char *id = (const char *)sqlite3_column_text(s, 0), *key = (const char *)sqlite3_column_text(s, 1);
        json_t *value = json_loads((const char *)sqlite3_column_text(s, 2), JSON_DECODE_ANY, NULL);
        for (const cvm_component *k = d->components; value && k->id && *k->id; k++)
            if (strcmp(k->id, id) == 0 && k->state_version > 1)
                values++, try_value_of(c, k, (uint32_t)sqlite3_column_int(s, 3), key, value, &taken, &tried);
        json_decref(value);
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
    if (there)
        world_close(&w);
    there = NULL;
    fact_write(c, json_pack("{s:s, s:I, s:I, s:I}", "kind", "values", "values", (json_int_t)values, "tried",
                            (json_int_t)tried, "taken", (json_int_t)taken));
    return 0;
}

/* ---- in the parent
 * ------------------------------------------------------------------------------------------------------ */

static bool step(struct conform *c, int (*body)(struct conform *, void *), struct upgrade *run, json_t **ret_facts)
{
    char text[300];
    json_t *facts = NULL;
    enum child_end end = child_run(c, body, run, &facts, text, sizeof text);
    report_facts(c, facts);
    if (end != CHILD_DONE && !json_array_size(facts))
        report_finding(c, "state", end == CHILD_HANGS ? "hang" : "crash", c->shared->where, text, c->shared->message);
    if (ret_facts)
        *ret_facts = facts;
    else
        json_decref(facts);
    return end == CHILD_DONE;
}

/* A home like the others, but with the older build and a manifest that agrees with it. */
static int older_home(struct conform *c, char ret_home[CONFORM_PATH], char *error, size_t size)
{
    char path[CONFORM_PATH], beside[CONFORM_PATH];
    snprintf(beside, sizeof beside, "%s", c->options.previous);
    char *end = strrchr(beside, '.');
    if (end)
        snprintf(end, (size_t)(beside + sizeof beside - end), ".json");
    if (access(c->options.previous, R_OK) != 0 || plan_home(c, c->options.previous, ret_home) < 0) {
        snprintf(error, size, "%s cannot be read", c->options.previous);
        return CVM_ENOENT;
    }
    snprintf(path, sizeof path, "%.3000s/manifests/%s.json", ret_home, c->manifest->name);
    if (access(beside, R_OK) == 0)
        return plan_copy(beside, path);
    snprintf(error, size, "%s: its manifest is not beside it, as %s", c->options.previous, beside);
    return CVM_ENOENT;
}

/* This build in place of the older one. */
static int replace(struct conform *c, const char *home)
{
    char path[CONFORM_PATH + 300];
    snprintf(path, sizeof path, "%s/manifests/%s.json", home, c->manifest->name);
    int e = plan_copy(c->manifest_path, path);
    snprintf(path, sizeof path, "%s/plugins/%s", home, c->manifest->library);
    unlink(path);
    return e ? e : plan_copy(c->library, path);
}

static int take_home(struct conform *c, const char *from, const char *home)
{
    static const char *const files[] = {"cvmhost.db", "cvmhost.db-wal"};
    char a[CONFORM_PATH + 32], b[CONFORM_PATH + 32];
    int e = 0;
    (void)c;
    for (size_t i = 0; i < 2 && !e; i++) {
        snprintf(a, sizeof a, "%s/data/%s", from, files[i]);
        snprintf(b, sizeof b, "%s/data/%s", home, files[i]);
        if (i == 0 || access(a, R_OK) == 0)
            e = plan_copy(a, b);
    }
    return e;
}

static void tell(struct conform *c, const json_t *facts, bool real)
{
    json_int_t values = 0, tried = 0, taken = 0;
    for (size_t i = 0; i < json_array_size(facts); i++) {
        const json_t *f = json_array_get(facts, i);
        values += cvm_json_int(f, "values", 0);
        tried += cvm_json_int(f, "tried", 0);
        taken += cvm_json_int(f, "taken", 0);
    }
    if (!values)
        report(c, "state", RESULT_SKIPPED,
               "the messages left no state of a component with a state_version above 1; "
               "name a home that has some with --state-from DIR");
    else if (real)
        report(c, "state", RESULT_OK, "%lld stored values were read, %lld of older versions", (long long)values,
               (long long)tried);
    else
        report(c, "state", RESULT_OK,
               "upgrade() took %lld of %lld values labelled as older (they are of this version: "
               "--previous FILE or --state-from DIR tries real ones)",
               (long long)taken, (long long)tried);
}

void check_state(struct conform *c)
{
    bool real = c->options.previous || c->options.state_from;
    struct upgrade run = {.count = FILL_PER_OPERATION * (int)operations_count(c)};
    char error[CONFORM_PATH + 100] = "";
    json_t *facts = NULL;
    if (!operations_count(c) || (!upgrades(c) && !real)) {
        report(c, "state", RESULT_SKIPPED, "state_version is 1 everywhere: there is nothing to upgrade");
        return;
    }
    int e = c->options.previous ? older_home(c, run.home, error, sizeof error) : plan_home(c, c->library, run.home);
    if (!e && c->options.state_from && (e = take_home(c, c->options.state_from, run.home)) < 0)
        snprintf(error, sizeof error, "%s: has no data/cvmhost.db that can be read", c->options.state_from);
    if (e) {
        report_finding(c, "state", "older", "", *error ? error : "no home could be made", "");
        return;
    }
    bool good = c->options.state_from || step(c, fill_body, &run, NULL);
    if (good && c->options.previous && replace(c, run.home) < 0)
        good = false;
    run.real = real;
    if (good && (good = step(c, values_body, &run, &facts)))
        tell(c, facts, real);
    if (good && real)
        step(c, fill_body, &run, NULL);
    json_decref(facts);
    plan_remove(run.home);
}
