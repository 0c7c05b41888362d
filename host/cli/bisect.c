/* `bisect`: of the builds of a plugin that have been in service between two, the first one whose work comes out
 * otherwise. Each that is tried runs the newest recorded conversations again; see core/replay.h. */
#include "cli/cli.h"

#include "cli/installed.h"
#include "cli/show.h"
#include "core/internal.h"
#include "core/replay.h"
#include <cvm/json.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUILDS_MAX 4096
#define CONVERSATIONS_DEFAULT 100
#define PREFIX_MIN 6

/* What a build does with them: its decisions, and the turns that are not as recorded. */
struct outcome {
    json_t *decisions, *turns;
};

struct bisect {
    struct cli *cli;
    json_t *builds; /* [{"build", "content", "version", "at_ms"}], in the order of service; all of one plugin */
    int64_t limit;
};

static bool begins(const json_t *mark, const char *prefix)
{
    return strncmp(cvm_json_str(mark, "build", ""), prefix, strlen(prefix)) == 0;
}

/* The plugins as each configuration had them. Gives an object: plugin -> its marks in order, each once in a row. */
static json_t *read_builds(sqlite3 *db)
{
    sqlite3_stmt *st = NULL;
    json_t *all = json_object();
    if (sqlite3_prepare_v2(db, "SELECT doc, at_ms FROM host_configs ORDER BY id", -1, &st, NULL) != SQLITE_OK)
        return all;
    while (sqlite3_step(st) == SQLITE_ROW) {
        json_t *doc = json_loads((const char *)sqlite3_column_text(st, 0), 0, NULL), *mark;
        size_t i;
        json_array_foreach(json_object_get(doc, "plugins"), i, mark)
        {
            const char *name = cvm_json_str(mark, "name", "");
            json_t *list = json_object_get(all, name);
            const json_t *last = json_array_get(list, json_array_size(list) - 1);
            if (last && begins(last, cvm_json_str(mark, "build", "?")))
                continue;
            if (!list) {
                list = json_array();
                json_object_set_new(all, name, list);
            }
            json_object_set_new(mark, "at_ms", json_integer(sqlite3_column_int64(st, 1)));
            if (json_array_size(list) < BUILDS_MAX)
                json_array_append(list, mark);
        }
        json_decref(doc);
    }
    sqlite3_finalize(st);
    return all;
}

/* Of one plugin, from `a` to `b`. Gives; NULL: said. */
static json_t *between(struct cli *cli, const json_t *all, const char *a, const char *b, int *ret_status)
{
    const char *name;
    json_t *list, *mark;
    size_t i;
    bool known_a = false, known_b = false;
    json_object_foreach((json_t *)(uintptr_t)all, name, list)
    {
        size_t from = SIZE_MAX, to = SIZE_MAX;
        json_array_foreach(list, i, mark)
        {
            from = from == SIZE_MAX && begins(mark, a) ? i : from;
            to = begins(mark, b) ? i : to;
        }
        known_a |= from != SIZE_MAX;
        known_b |= to != SIZE_MAX;
        if (from == SIZE_MAX || to == SIZE_MAX)
            continue;
        if (from >= to) {
            *ret_status = cli_fail(CLI_USAGE, "%s was not in service before %s", a, b);
            return NULL;
        }
        json_t *part = json_array();
        for (i = from; i <= to; i++)
            json_array_append(part, json_array_get(list, i));
        fprintf(stderr, "%s: %zu builds from %.12s to %.12s\n", name, json_array_size(part),
                cvm_json_str(json_array_get(part, 0), "build", ""),
                cvm_json_str(json_array_get(part, json_array_size(part) - 1), "build", ""));
        return part;
    }
    (void)cli;
    *ret_status = known_a && known_b ? cli_fail(CLI_USAGE, "%s and %s are builds of two plugins", a, b)
                                     : cli_fail(CLI_NOT_FOUND, "no build %s was in service; see: cvmhost plugin info",
                                                known_a ? b : a);
    return NULL;
}

static void seen(void *arg, const struct replay_turn *turn)
{
    struct outcome *o = arg;
    char seq[24];
    snprintf(seq, sizeof seq, "%lld", (long long)turn->seq);
    if (turn->verdict == REPLAY_DIFFERS)
        json_object_set_new(o->turns, seq, turn->differences ? json_deep_copy(turn->differences) : json_null());
}

static int try_build(struct bisect *b, size_t i, struct outcome *ret)
{
    const json_t *mark = json_array_get(b->builds, i);
    char library[4400], manifest[4400], error[512];
    const char *named = getenv("CVMHOST_INSTALLED");
    struct replay_report report;
    *ret = (struct outcome){.decisions = json_object(), .turns = json_object()};
    snprintf(library, sizeof library, "%s/data/builds/%s.so", b->cli->home, cvm_json_str(mark, "build", ""));
    snprintf(manifest, sizeof manifest, "%s/data/builds/%s.json", b->cli->home, cvm_json_str(mark, "content", ""));
    if (access(library, R_OK) < 0 || access(manifest, R_OK) < 0)
        return cli_fail(CLI_NOT_FOUND, "build %.12s is not in data/builds any more", cvm_json_str(mark, "build", ""));
    const struct replay_options options = {.home = b->cli->home,
                                           .installed = !named   ? CVMHOST_INSTALLED
                                                        : *named ? named
                                                                 : NULL,
                                           .limit = b->limit,
                                           .with_current = true,
                                           .with = library,
                                           .with_manifest = manifest,
                                           .decisions = true,
                                           .decided = ret->decisions,
                                           .seen = seen,
                                           .arg = ret};
    int e = replay_home(&options, &report, error, sizeof error);
    if (isatty(2))
        fprintf(stderr, "build %.12s tried\n", cvm_json_str(mark, "build", ""));
    return e ? cli_fail(CLI_CONFIG, "%s", error) : CLI_OK;
}

static void forget(struct outcome *o)
{
    json_decref(o->decisions);
    json_decref(o->turns);
    *o = (struct outcome){0};
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return json_equal(a->decisions, b->decisions) && json_equal(a->turns, b->turns);
}

static void show(const struct bisect *b, size_t first, const struct outcome *before, const struct outcome *now)
{
    const json_t *mark = json_array_get(b->builds, first);
    char at[32];
    const char *key;
    json_t *is, *rows = json_array();
    json_object_foreach(now->decisions, key, is)
    {
        const json_t *was = json_object_get(before->decisions, key);
        if (!was || !json_equal((json_t *)(uintptr_t)was, is))
            json_array_append_new(rows, json_pack("{s:s, s:s, s:s}", "subject", cvm_json_str(is, "subject", ""), "was",
                                                  cvm_json_str(was, "chose", ""), "is", cvm_json_str(is, "chose", "")));
    }
    time_text(cvm_json_int(mark, "at_ms", 0), at);
    json_t *doc = json_pack("{s:s, s:s, s:s, s:O}", "build", cvm_json_str(mark, "build", ""), "version",
                            cvm_json_str(mark, "version", ""), "in_service_since", at, "decisions", rows);
    if (b->cli->output == OUTPUT_JSON) {
        show_json(b->cli, doc);
    } else {
        json_t *columns = show_names("subject was is");
        fprintf(b->cli->out, "the first that differs is build %.12s, version %s, in service since %s\n",
                cvm_json_str(mark, "build", ""), cvm_json_str(mark, "version", ""), at);
        if (b->cli->output == OUTPUT_CSV)
            show_csv(b->cli, rows, columns);
        else if (json_array_size(rows))
            show_table(b->cli, rows, columns);
        json_decref(columns);
    }
    json_decref(doc);
    json_decref(rows);
}

/* `low` does what the first did, `high` does not. */
static int search(struct bisect *b)
{
    size_t low = 0, high = json_array_size(b->builds) - 1;
    struct outcome first, at_low = {0}, at_high = {0}, middle = {0};
    int status = try_build(b, low, &first);
    if (status == CLI_OK)
        status = try_build(b, high, &at_high);
    if (status == CLI_OK && same(&first, &at_high)) {
        fprintf(b->cli->out, "the newest %lld recorded conversations come out the same with both\n",
                (long long)b->limit);
        high = low;
    }
    while (status == CLI_OK && high > low + 1) {
        size_t i = low + (high - low) / 2;
        status = try_build(b, i, &middle);
        bool like_first = status == CLI_OK && same(&first, &middle);
        forget(like_first ? &at_low : &at_high);
        *(like_first ? &at_low : &at_high) = middle;
        *(like_first ? &low : &high) = i;
        middle = (struct outcome){0};
    }
    if (status == CLI_OK && high > low)
        show(b, high, &first, &at_high);
    forget(&first);
    forget(&at_low);
    forget(&at_high);
    return status;
}

int cli_bisect(struct cli *cli)
{
    static const char usage[] = "bisect BUILD-A BUILD-B [--limit N]";
    const char *names[2] = {NULL, NULL}, *limit = NULL;
    const struct cli_option options[] = {{"limit", &limit}};
    struct bisect b = {.cli = cli, .limit = CONVERSATIONS_DEFAULT};
    char path[4200];
    sqlite3 *db = NULL;
    int status = cli_arguments(cli, usage, options, 1, names, 2, 2);
    if (status == CLI_OK && limit && (!cli_read_number(limit, &b.limit) || b.limit < 1))
        status = cli_fail(CLI_USAGE, "--limit: expected a number of conversations, got \"%.40s\"", limit);
    for (int i = 0; i < 2 && status == CLI_OK; i++)
        if (strlen(names[i]) < PREFIX_MIN)
            status = cli_fail(CLI_USAGE, "\"%s\": give at least %d characters of a build", names[i], PREFIX_MIN);
    if (status != CLI_OK)
        return status;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", cli->home);
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        status = cli_fail(CLI_CONFIG, "%s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
        sqlite3_close(db);
        return status;
    }
    sqlite3_busy_timeout(db, 5000);
    json_t *all = read_builds(db);
    sqlite3_close(db);
    b.builds = between(cli, all, names[0], names[1], &status);
    if (b.builds)
        status = search(&b);
    json_decref(b.builds);
    json_decref(all);
    return status;
}
