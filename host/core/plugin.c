/* Plugins by name: what runs of each, what ran before, how that is remembered over restarts, and how the set is put
 * together at the start. A restart after a crash brings back the builds that ran; a start by the operator takes what
 * stands in the folders. */
#include "core/internal.h"

#include "core/seen.h"
#include "core/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE(error, size, ...) (snprintf(error, size, __VA_ARGS__), CVM_EINVAL)

struct stage_place plugin_place(const struct core *core)
{
    return (struct stage_place){.home = core->home,
                                .installed = core->options.installed,
                                .config = core->options.config,
                                .runner = core->options.runner,
                                .moved = core->moved,
                                .seen = core->seen,
                                .quarantined = core->quarantined};
}

struct plugin *plugin_get(struct core *core, const char *name)
{
    struct plugin **at = &core->plugins;
    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    if (*at && strcmp((*at)->name, name) == 0)
        return *at;
    struct plugin *p = calloc(1, sizeof *p);
    if (!p || !(p->name = strdup(name))) {
        free(p);
        return NULL;
    }
    p->phase = PLUGIN_GONE;
    p->bit = UINT64_C(1) << (core->n_plugins++ % 64);
    p->next = *at;
    *at = p;
    return p;
}

/* ---- what is remembered ------------------------------------------------------------------------------------------ */

static const char *const phases[] = {"running", "probation", "removing", "disabled", "gone", "quarantined"};

const char *plugin_phase_name(enum plugin_phase phase)
{
    return phases[phase];
}

/* The phase as the next start is to know it. */
const char *plugin_mark(const struct plugin *p)
{
    return *p->quarantined.build && !p->faulty ? phases[PLUGIN_QUARANTINED]
           : p->proving || p->alarm.index      ? phases[PLUGIN_PROBATION]
           : p->phase == PLUGIN_REMOVING       ? phases[PLUGIN_RUNNING]
                                               : phases[p->phase];
}

void plugin_row_take(const struct plugin *p, const char *phase, struct plugin_row *ret_row)
{
    *ret_row = (struct plugin_row){.before = p->previous, .bad = p->bad, .placed = p->placed};
    snprintf(ret_row->name, sizeof ret_row->name, "%s", p->name);
    snprintf(ret_row->phase, sizeof ret_row->phase, "%s", phase);
    if (p->now)
        build_mark_of(p->now, &ret_row->now);
    else if (p->held)
        ret_row->now = p->quarantined;
}

void build_mark_of(const struct generation *g, struct build_mark *ret_mark)
{
    snprintf(ret_mark->version, sizeof ret_mark->version, "%s", g->manifest->version);
    snprintf(ret_mark->build, sizeof ret_mark->build, "%s", g->build);
    snprintf(ret_mark->content, sizeof ret_mark->content, "%s", g->content);
}

int plugin_row_write(struct store *store, const struct plugin_row *row, int64_t at_ms)
{
    sqlite3_stmt *st = NULL;
    const char *texts[] = {row->name,        row->phase,          row->now.version,  row->now.build,
                           row->now.content, row->before.version, row->before.build, row->before.content,
                           row->bad.build,   row->bad.content};
    if (sqlite3_prepare_v2(
            store->db,
            "INSERT OR REPLACE INTO host_plugins(name, phase, version, build, content, before_version, before_build,"
            " before_content, bad_build, bad_content, at_ms, placement)"
            " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            -1, &st, NULL))
        return CVM_EIO;
    for (int i = 0; i < 10; i++)
        sqlite3_bind_text(st, i + 1, texts[i], -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 11, at_ms);
    sqlite3_bind_int(st, 12, (int)row->placed);
    int e = sqlite3_step(st) == SQLITE_DONE ? 0 : CVM_EIO;
    if (e)
        log_error("journal", "what runs of %s cannot be noted: %s", row->name, sqlite3_errmsg(store->db));
    sqlite3_finalize(st);
    return e;
}

static void read_text(sqlite3_stmt *st, int column, char *ret_text, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(st, column);
    snprintf(ret_text, size, "%s", text ? text : "");
}

/* False: nothing is remembered of it. */
static bool row_read(struct core *core, const char *name, struct plugin_row *ret_row)
{
    sqlite3_stmt *st = core->plugin_row;
    bool found = false;
    *ret_row = (struct plugin_row){0};
    if (!st && sqlite3_prepare_v2(journal_store(core)->db,
                                  "SELECT phase, version, build, content, before_version, before_build, before_content,"
                                  " bad_build, bad_content, placement FROM host_plugins WHERE name = ?",
                                  -1, &st, NULL))
        return false;
    core->plugin_row = st;
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    if (sqlite3_step(st) == SQLITE_ROW) {
        found = true;
        snprintf(ret_row->name, sizeof ret_row->name, "%s", name);
        read_text(st, 0, ret_row->phase, sizeof ret_row->phase);
        read_text(st, 1, ret_row->now.version, sizeof ret_row->now.version);
        read_text(st, 2, ret_row->now.build, sizeof ret_row->now.build);
        read_text(st, 3, ret_row->now.content, sizeof ret_row->now.content);
        read_text(st, 4, ret_row->before.version, sizeof ret_row->before.version);
        read_text(st, 5, ret_row->before.build, sizeof ret_row->before.build);
        read_text(st, 6, ret_row->before.content, sizeof ret_row->before.content);
        read_text(st, 7, ret_row->bad.build, sizeof ret_row->bad.build);
        read_text(st, 8, ret_row->bad.content, sizeof ret_row->bad.content);
        ret_row->placed = (enum placement)sqlite3_column_int(st, 9);
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return found;
}

bool build_mark_is(const struct build_mark *mark, const char *build, const char *content)
{
    return *mark->build && strcmp(mark->build, build) == 0 && strcmp(mark->content, content) == 0;
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

void table_release(struct table *table)
{
    if (!table || --table->refs)
        return;
    manifest_free(table->manifest);
    free(table->search);
    free(table); /* its statements end with the store's connection */
}

static bool searched_alike(const struct manifest_search *a, const struct manifest_search *b)
{
    bool alike = a->n_texts == b->n_texts && a->n_vectors == b->n_vectors;
    for (size_t i = 0; alike && i < a->n_texts; i++)
        alike = strcmp(a->texts[i].column, b->texts[i].column) == 0 && a->texts[i].weight == b->texts[i].weight;
    for (size_t i = 0; alike && i < a->n_vectors; i++)
        alike = strcmp(a->vectors[i].column, b->vectors[i].column) == 0 &&
                a->vectors[i].dimension == b->vectors[i].dimension;
    return alike;
}

/* What "$ref"s in the schemas lead to counts too. */
static bool declared_alike(const struct table *t, const struct manifest *m, const struct manifest_table *decl)
{
    json_t *was = json_object_get(t->manifest->doc, "schemas"), *is = json_object_get(m->doc, "schemas");
    if (strcmp(t->decl->key, decl->key) != 0 || t->decl->indexes.n != decl->indexes.n || t->decl->bulk != decl->bulk ||
        (was ? !json_equal(was, is) : is != NULL))
        return false;
    for (size_t i = 0; i < decl->indexes.n; i++)
        if (strcmp(t->decl->indexes.at[i], decl->indexes.at[i]) != 0)
            return false;
    return searched_alike(&t->decl->search, &decl->search) &&
           json_equal((json_t *)(uintptr_t)t->decl->schema_json, (json_t *)(uintptr_t)decl->schema_json);
}

/* The tables of a manifest: those that the generation in service declares alike are shared. New ones have no
 * statements yet. */
int tables_make(struct core *core, struct plugin *p, struct manifest *m, struct table **ret_tables, char *error,
                size_t size)
{
    for (size_t i = 0; i < m->n_tables; i++) {
        const struct manifest_table *decl = &m->tables[i];
        struct table *t = NULL;
        for (struct plugin *other = core->plugins; other; other = other->next) {
            const struct generation *g = other->now;
            for (size_t k = 0; g && k < g->manifest->n_tables; k++) {
                if (strcmp(g->tables[k]->decl->name, decl->name) != 0)
                    continue;
                if (other != p)
                    return REFUSE(error, size,
                                  "the table %s is declared by plugins %s and %s; take one of them out, or name it in "
                                  "plugins.disabled",
                                  decl->name, other->name, p->name);
                if (declared_alike(g->tables[k], m, decl))
                    t = g->tables[k];
            }
        }
        if (!t) {
            if (!(t = calloc(1, sizeof *t)))
                return REFUSE(error, size, "out of memory");
            *t = (struct table){.decl = decl, .manifest = manifest_hold(m), .plugin = p};
        }
        t->refs++;
        ret_tables[i] = t;
    }
    return 0;
}

/* ---- at the start ------------------------------------------------------------------------------------------------ */

/* Did the last process end in code of this plugin? */
static bool crashed_in(const struct core *core, const struct manifest *m)
{
    for (size_t i = 0; i < m->n_components; i++)
        if (strcmp(core->page->crashed, m->components[i].id) == 0)
            return true;
    return false;
}

/* Takes the build of `mark` in place of `candidate`; keeps the candidate where that cannot be had. `why`: what is wrong
 * with the candidate; NULL: nothing. */
static bool take_back(struct core *core, struct plugin *p, struct candidate *candidate, const struct build_mark *mark,
                      const char *why)
{
    struct stage_place place = plugin_place(core);
    struct candidate old;
    char error[512];
    if (!*mark->build)
        return false;
    if (stage_recall(&place, mark->build, mark->content, candidate->installed, PLACEMENT_ANY, &old, error,
                     sizeof error) < 0) {
        log_error(p->name, "%s, and the build before cannot be had: %s", why ? why : "it was restarted", error);
        stage_clear(&old);
        return false;
    }
    if (why) {
        log_error(p->name, "%s: version %s (build %.12s) runs instead; a new build, or cvmhost reload %s, replaces it",
                  why, old.manifest->version, old.build, p->name);
        p->note = "runs the build before: the one in the folder was found bad";
    } else {
        log_info(p->name, "the build %.12s that ran goes on; the other one in the folder waits for a reload",
                 old.build);
    }
    stage_clear(candidate);
    *candidate = old;
    return true;
}

/* Which build of a plugin is to run, of the one in the folder and those that are remembered. False: none. */
static bool choose_build(struct core *core, struct plugin *p, const struct plugin_row *row, struct candidate *candidate)
{
    bool loading = strcmp(row->phase, "loading") == 0, probation = strcmp(row->phase, "probation") == 0;
    bool failed = loading || (probation && crashed_in(core, candidate->manifest)); /* what ran last */
    bool is_last = build_mark_is(&row->now, candidate->build, candidate->content);
    bool is_bad = build_mark_is(&row->bad, candidate->build, candidate->content);
    const struct build_mark *good = failed ? &row->before : &row->now;
    const char *why = failed && loading ? "the host ended while it loaded the new build"
                      : failed          ? "the new build crashed the host"
                      : is_bad          ? "the build in the folder was rolled back"
                                        : NULL;
    p->bad = row->bad;
    p->previous = row->before;
    if (build_mark_is(good, candidate->build, candidate->content)) {
        p->proving = probation && !failed;
        return true;
    }
    if (is_bad || (failed && is_last) || core->page->restarts) {
        if (take_back(core, p, candidate, good, why)) {
            p->proving = probation && !failed;
            if (failed) {
                p->bad = row->now;
                p->previous = (struct build_mark){{0}, {0}, {0}};
            }
            return true;
        }
        if (loading && is_last) {
            log_error(p->name,
                      "the host ended while it loaded this build, and there is none before it: left out; "
                      "cvmhost reload %s tries again",
                      p->name);
            p->bad = row->now;
            return false;
        }
    }
    if (!is_last && *good->build)
        p->previous = *good; /* exchanged while the host was down: that can be taken back too */
    return true;
}

/* Has a component of `g` state of a newer version than it knows? */
static bool has_newer_state(struct store *store, const struct generation *g)
{
    bool newer = false;
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(store->db, "SELECT 1 FROM state WHERE component = ? AND version > ? LIMIT 1", -1, &st, NULL))
        return false;
    for (size_t i = 0; !newer && i < g->manifest->n_components; i++) {
        sqlite3_bind_text(st, 1, g->manifest->components[i].id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 2, g->manifest->components[i].state_version);
        newer = sqlite3_step(st) == SQLITE_ROW;
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return newer;
}

/* The build that runs is older than what is stored: the one that wrote it comes into memory too, behind it, until
 * core_start has brought the state back by its downgrade. */
static void load_newer(struct core *core, struct plugin *p, const struct plugin_row *row)
{
    const struct build_mark *known[] = {&row->now, &row->bad, &row->before};
    struct stage_place place = plugin_place(core);
    if (!has_newer_state(journal_store(core), p->now))
        return;
    for (int i = 0; i < 3 && !p->before; i++) {
        struct candidate newer;
        char error[512];
        if (!*known[i]->build || build_mark_is(known[i], p->now->build, p->now->content))
            continue;
        if (stage_recall(&place, known[i]->build, known[i]->content, p->installed, PLACEMENT_ANY, &newer, error,
                         sizeof error) == 0 &&
            generation_load(core, p, &newer, &p->before, error, sizeof error) < 0)
            log_error(p->name, "%s", error);
        stage_clear(&newer);
    }
    if (!p->before)
        log_error(p->name,
                  "state of a newer version is stored than version %s reads, and the build that wrote it is "
                  "not at hand",
                  p->now->manifest->version);
}

static int load_candidate(struct core *core, struct candidate *candidate, char *error, size_t size)
{
    struct plugin *p = plugin_get(core, candidate->manifest->name);
    struct generation *g = NULL;
    if (!p)
        return REFUSE(error, size, "out of memory");
    if (p->now)
        return REFUSE(error, size, "plugin name %s is claimed by %s and %s; take one of them out", p->name,
                      p->now->manifest->path, candidate->manifest->path);
    struct plugin_row row;
    bool known = row_read(core, p->name, &row);
    p->installed = candidate->installed;
    p->placed = row.placed;
    if (known && !choose_build(core, p, &row, candidate))
        return 0;
    if (known && *row.now.build && !build_mark_is(&row.now, candidate->build, candidate->content))
        quarantine_forget(core, candidate->manifest); /* another build than the one that crashed */
    bool outside = quarantine_wanted(core, known ? &row : NULL, candidate) && quarantine_begin(core, p, candidate);
    if (p->held)
        return 0;
    snprintf(core->page->loading, sizeof core->page->loading, "%s", outside ? "" : p->name);
    int loaded = generation_load(core, p, candidate, &g, error, size);
    core->page->loading[0] = 0;
    if (loaded < 0 && outside) {
        log_error(p->name, "cannot run outside the host either: %s", error);
        quarantine_hold(core, p, candidate);
        return 0;
    }
    CVM_TRY(loaded);
    int e = tables_make(core, p, g->manifest, g->tables, error, size);
    for (size_t i = 0; !e && i < g->manifest->n_tables; i++)
        if (!g->tables[i]->put)
            e = store_table(journal_store(core), g->tables[i], error, size);
    if (e) {
        generation_free(core, g);
        return e;
    }
    p->now = g;
    p->phase = PLUGIN_RUNNING;
    generation_install(core, g);
    if (known)
        load_newer(core, p, &row);
    return 0;
}

/* After a crash: the build that ran, where the files are not what they were. `candidate` is given on success. */
static int recall_what_ran(struct core *core, const char *name, bool installed, struct candidate *candidate)
{
    struct stage_place place = plugin_place(core);
    struct plugin_row row;
    char error[512];
    if (!core->page->restarts || !row_read(core, name, &row))
        return CVM_ENOENT;
    const struct build_mark *marks[] = {&row.now, &row.before};
    for (int i = 0; i < 2; i++) {
        if (!*marks[i]->build)
            continue;
        if (stage_recall(&place, marks[i]->build, marks[i]->content, installed, PLACEMENT_ANY, candidate, error,
                         sizeof error) == 0)
            return 0;
        stage_clear(candidate);
    }
    return CVM_ENOENT;
}

static bool was_disabled(struct core *core, const char *name)
{
    struct plugin_row row;
    return row_read(core, name, &row) && strcmp(row.phase, "disabled") == 0;
}

static int load_all(struct core *core, const struct stage_list *list, char *error, size_t size)
{
    struct stage_place place = plugin_place(core);
    int e = 0;
    for (size_t i = 0; !e && i < list->n; i++) {
        struct candidate candidate, ran = {0};
        char file[CVM_NAME_MAX + 1];
        const char *base = strrchr(list->manifest[i], '/') + 1;
        snprintf(file, sizeof file, "%.*s", (int)(strlen(base) - 5), base);
        e = stage_read(&place, list->manifest[i], list->installed[i], &candidate, error, size);
        const char *name = candidate.manifest ? candidate.manifest->name : file;
        if (e && e != CVM_EEXIST && !was_disabled(core, name) &&
            recall_what_ran(core, name, list->installed[i], &ran) == 0) {
            log_error(name, "%s; the build that ran goes on", error);
            stage_clear(&candidate);
            candidate = ran;
            name = candidate.manifest->name;
            e = 0;
        }
        if (!e) /* not a fault of the build: the one before would not be served better */
            e = stage_check_settings(core->options.config, candidate.manifest, error, size);
        if (e == CVM_EEXIST) {
            log_info(name, "disabled in the configuration");
            e = 0;
        } else if (was_disabled(core, name)) {
            struct plugin *p = plugin_get(core, name);
            log_info(name, "disabled; cvmhost plugin enable %s takes it back", name);
            e = p ? 0 : CVM_ENOMEM;
            if (p)
                p->phase = PLUGIN_DISABLED;
        } else if (!e) {
            e = load_candidate(core, &candidate, error, size);
        }
        stage_clear(&candidate);
    }
    return e;
}

static int add_name(void *arg, int n, char **values, char **columns)
{
    (void)n;
    (void)columns;
    return json_array_append_new(arg, json_string(values[0]));
}

/* After a crash: what ran and whose files are not in the folders any more goes on too, until a reload. */
static int load_missing(struct core *core, char *error, size_t size)
{
    json_t *names = json_array(), *name;
    size_t i;
    int e = 0;
    sqlite3_exec(
        journal_store(core)->db,
        "SELECT name FROM host_plugins WHERE phase IN ('running', 'probation', 'loading', 'quarantined') ORDER BY name",
        add_name, names, NULL);
    json_array_foreach(names, i, name)
    {
        struct candidate candidate = {0};
        const char *text = json_string_value(name);
        if (!core->page->restarts || e || registry_plugin(core, text) || core_quarantined(core, text) ||
            stage_is_disabled(core->options.config, text) || recall_what_ran(core, text, false, &candidate) < 0)
            continue;
        log_warning(text, "its files are not in the folders; the build that ran is taken until a reload");
        e = load_candidate(core, &candidate, error, size);
        stage_clear(&candidate);
    }
    json_decref(names);
    return e;
}

static bool mark_equal(const struct build_mark *a, const struct build_mark *b)
{
    return strcmp(a->version, b->version) == 0 && strcmp(a->build, b->build) == 0 &&
           strcmp(a->content, b->content) == 0;
}

static bool row_equal(const struct plugin_row *a, const struct plugin_row *b)
{
    return strcmp(a->phase, b->phase) == 0 && a->placed == b->placed && mark_equal(&a->now, &b->now) &&
           mark_equal(&a->before, &b->before) && mark_equal(&a->bad, &b->bad);
}

/* What runs, for the next start. Nothing is written where that knows it already. */
static void note_rows(struct core *core)
{
    sqlite3 *db = journal_store(core)->db;
    sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
    for (struct plugin *p = core->plugins; p; p = p->next) {
        struct plugin_row row, was;
        if (!p->now && !p->held)
            continue;
        plugin_row_take(p, plugin_mark(p), &row);
        if (!row_read(core, p->name, &was) || !row_equal(&row, &was))
            plugin_row_write(journal_store(core), &row, core->now_ms);
    }
    if (sqlite3_exec(db, "COMMIT", NULL, NULL, NULL)) {
        log_error("journal", "what runs cannot be noted: %s", sqlite3_errmsg(db));
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
}

/* One transaction: each statement of its own would take and give back the locks of the database. */
static int load_in_one(struct core *core, const struct stage_list *list, char *error, size_t size)
{
    sqlite3 *db = journal_store(core)->db;
    if (sqlite3_exec(db, "BEGIN", NULL, NULL, NULL))
        return REFUSE(error, size, "the database cannot be read: %s", sqlite3_errmsg(db));
    int e = load_all(core, list, error, size);
    if (!e)
        e = load_missing(core, error, size);
    bool wrote = sqlite3_txn_state(db, NULL) == SQLITE_TXN_WRITE;
    if (!e && wrote && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL)) {
        snprintf(error, size, "the database cannot be written: %s", sqlite3_errmsg(db));
        e = CVM_EIO;
    }
    if (e || !wrote) /* of damage that was only read over, its first use tells */
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return e;
}

static bool is_needed(const void *arg, const char *hash)
{
    return build_is_needed(arg, hash);
}

static int add_moved(void *arg, int n, char **values, char **columns)
{
    (void)n;
    (void)columns;
    return json_object_set_new(arg, values[0], json_integer(strtoll(values[1], NULL, 10)));
}

/* The operator's moves: a new value, because a change beside the loop may be reading the one before. */
int plugins_read_moved(struct core *core, struct plugin *but, enum placement placed)
{
    json_t *moved = json_object();
    if (!moved)
        return CVM_ENOMEM;
    if (!but)
        sqlite3_exec(journal_store(core)->db, "SELECT name, placement FROM host_plugins WHERE placement != 0",
                     add_moved, moved, NULL);
    for (const struct plugin *p = core->plugins; but && p; p = p->next)
        if (p == but ? placed : p->placed)
            json_object_set_new(moved, p->name, json_integer(p == but ? placed : p->placed));
    json_decref(core->moved);
    core->moved = moved;
    return 0;
}

int plugins_load(struct core *core, char *error, size_t size)
{
    if (plugins_read_moved(core, NULL, PLACEMENT_ANY) < 0)
        return REFUSE(error, size, "out of memory");
    struct stage_place place = plugin_place(core);
    struct stage_list list;
    struct registry *registry = NULL;
    int e = stage_scan(&place, &list, error, size);
    core->seen = seen_open(core->home);
    if (!e)
        e = load_in_one(core, &list, error, size);
    stage_list_clear(&list);
    const struct binding **future = calloc(core->n_components + 1, sizeof(*future));
    if (!e && !future)
        e = REFUSE(error, size, "out of memory");
    for (uint32_t i = 0; future && i < core->n_components; i++)
        future[i] = core->components[i]->now;
    if (!e)
        e = registry_build(core, future, &registry, error, size);
    free(future);
    if (e) {
        sqlite3_finalize(core->plugin_row);
        core->plugin_row = NULL;
        return e;
    }
    registry_free(registry_exchange(core, registry));
    note_rows(core);
    sqlite3_finalize(core->plugin_row);
    core->plugin_row = NULL;
    core->page->crashed[0] = 0;
    stage_sweep(&place, is_needed, core);
    return 0;
}

void plugins_begin(struct core *core)
{
    for (struct plugin *p = core->plugins; p; p = p->next) {
        struct generation *newer = p->before;
        if (p->proving)
            probation_resume(core, p);
        if (!newer)
            continue;
        probation_behind(p->now, newer);
        state_lower(core, newer, p->now);
        probation_behind(p->now, NULL);
        p->before = NULL;
        generation_free(core, newer); /* its file stays until the next start: this is not durable yet */
    }
}

void plugins_free(struct core *core)
{
    for (struct plugin *p = core->plugins, *next; p; p = next) {
        next = p->next;
        generation_free(core, p->before);
        generation_free(core, p->now);
        removal_free(p->removal);
        manifest_free(p->held);
        free(p->name);
        free(p);
    }
    for (uint32_t i = 0; i < core->n_components; i++)
        component_free(core->components[i]);
    free(core->components);
    registry_free(core->registry);
    json_decref(core->quarantined);
    json_decref(core->moved);
}
