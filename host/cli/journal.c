/* `journal prune` and `journal stats`: asked of the running host, which alone writes its journal. */
#include "cli/cli.h"

#include "cli/show.h"
#include <stdlib.h>
#include <time.h>

#define PRUNE_TIMEOUT_MS (12 * 3600 * INT64_C(1000)) /* small steps beside the host's own work */

/* "2026-01-31", or with a time "2026-01-31T12:00:00Z". */
static bool read_date(const char *text, int64_t *ret_ms)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d", &tm);
    if (end && *end == 'T')
        end = strptime(end, "T%H:%M:%S", &tm);
    if (end && *end == 'Z')
        end++;
    if (!end || *end)
        return false;
    *ret_ms = (int64_t)timegm(&tm) * 1000;
    return *ret_ms > 0;
}

static const char *day_of(int64_t ms, char ret_text[32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return ret_text;
}

static const char *size_of(int64_t bytes, char ret_text[32])
{
    snprintf(ret_text, 32, "%.1f MiB", (double)bytes / (1024 * 1024));
    return ret_text;
}

static void show_pruned(const struct cli *cli, const json_t *r)
{
    char day[32], size[32];
    bool dry = cvm_json_bool(r, "dry_run", false);
    fprintf(cli->out,
            "%lld turns (%s) of before %s %s, %lld conversations %s; %lld kept because something needs them\n",
            (long long)cvm_json_int(r, "turns", 0), size_of(cvm_json_int(r, "bytes", 0), size),
            day_of(cvm_json_int(r, "before_ms", 0), day), dry ? "would be pruned" : "pruned",
            (long long)cvm_json_int(r, "conversations", 0), dry ? "would be folded" : "folded",
            (long long)cvm_json_int(r, "kept", 0));
    fprintf(cli->out, "%lld dead letters, %lld keys; %lld steps of the writer, the longest %.1f ms\n",
            (long long)cvm_json_int(r, "dead_letters", 0), (long long)cvm_json_int(r, "keys", 0),
            (long long)cvm_json_int(r, "steps", 0), (double)cvm_json_int(r, "longest_step_us", 0) / 1000);
}

int cli_journal_prune(struct cli *cli)
{
    static const char usage[] = "journal prune --dry-run | --now [--before DATE]";
    const char *before = NULL;
    const struct cli_option options[] = {{"before", &before}};
    int64_t before_ms = 0;
    bool dry = cli_take_flag(cli, "--dry-run", NULL), now = cli_take_flag(cli, "--now", NULL);
    int status = cli_arguments(cli, usage, options, 1, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    if (dry == now)
        return cli_fail(CLI_USAGE, "say --dry-run to see what would go, or --now\nusage: cvmhost %s", usage);
    if (before && !read_date(before, &before_ms))
        return cli_fail(CLI_USAGE, "--before: expected a day such as 2026-01-31, got \"%.40s\"", before);
    json_t *request = json_pack("{s:s, s:b}", "do", "journal.prune", "dry_run", (int)dry), *report = NULL;
    if (before_ms)
        json_object_set_new(request, "before_ms", json_integer(before_ms));
    if (!cli->timeout_ms)
        cli->timeout_ms = PRUNE_TIMEOUT_MS;
    status = cli_ask(cli, request, &report);
    if (status != CLI_OK)
        return status;
    if (cli->output == OUTPUT_JSON || cli->output == OUTPUT_CSV)
        show_result(cli, report, NULL, NULL);
    else
        show_pruned(cli, report);
    json_decref(report);
    return CLI_OK;
}

static void put_time(json_t *stats, const char *from, const char *to)
{
    char day[32];
    int64_t ms = cvm_json_int(stats, from, 0);
    json_object_set_new(stats, to, ms ? json_string(day_of(ms, day)) : json_null());
    json_object_del(stats, from);
}

int cli_journal_stats(struct cli *cli)
{
    json_t *stats = NULL;
    int status = cli_arguments(cli, "journal stats", NULL, 0, NULL, 0, 0);
    if (status == CLI_OK)
        status = cli_ask(cli, json_pack("{s:s}", "do", "journal.stats"), &stats);
    if (status != CLI_OK)
        return status;
    put_time(stats, "oldest_ms", "oldest_turn");
    put_time(stats, "last_ms", "last_prune");
    put_time(stats, "next_ms", "next_prune");
    put_time(stats, "backup_ms", "last_backup");
    show_result(cli, stats, NULL, NULL);
    json_decref(stats);
    return CLI_OK;
}
