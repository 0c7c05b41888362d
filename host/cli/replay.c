/* `replay`: recorded turns run again, in this process, beside whatever host runs in the home; see core/replay.h. */
#include "cli/cli.h"

#include "cli/audit.h"
#include "cli/installed.h"
#include "cli/show.h"
#include "core/internal.h"
#include "core/replay.h"
#include <stdlib.h>

#define TURNS_SHOWN_MAX 100000 /* as rows; all are counted */

struct shown {
    struct cli *cli;
    bool whole; /* every turn, not only those that differ */
    json_t *turns;
};

static void seen(void *arg, const struct replay_turn *turn)
{
    struct shown *s = arg;
    char at[32];
    bool good = turn->verdict == REPLAY_SAME || turn->verdict == REPLAY_NOT_RUN;
    if ((good && !s->whole) || json_array_size(s->turns) >= TURNS_SHOWN_MAX)
        return;
    time_text(turn->at_ms, at);
    json_array_append_new(
        s->turns, json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:O?}", "seq",
                            (json_int_t)turn->seq, "at", at, "conversation", turn->conversation, "component",
                            turn->component, "type", turn->type, "outcome", turn->outcome, "version", turn->version,
                            "build", turn->build, "configuration", (json_int_t)turn->configuration, "verdict",
                            replay_verdict_name(turn->verdict), "why", turn->why, "differences", turn->differences));
}

static void show_value(const struct cli *cli, const char *word, const char *colour, const json_t *value)
{
    char *text = value && !json_is_null(value) ? show_cell(value) : NULL;
    fprintf(cli->out, "        %s%s%s ", colour, word, show_plain(cli));
    show_text(cli->out, text ? text : "(not there)");
    fputc('\n', cli->out);
    free(text);
}

/* As a diff: what the record has with "-", what came now with "+". */
static void show_differences(const struct cli *cli, const json_t *turns)
{
    size_t i, k;
    json_t *turn, *difference;
    json_array_foreach((json_t *)(uintptr_t)turns, i, turn)
    {
        const char *why = cvm_json_str(turn, "why", "");
        if (!json_array_size(json_object_get(turn, "differences")) &&
            strcmp(cvm_json_str(turn, "verdict", ""), "missing") != 0)
            continue;
        fprintf(cli->out, "\n%sturn %lld%s  %s of %s%s%s\n", show_bold(cli), (long long)cvm_json_int(turn, "seq", 0),
                show_plain(cli), cvm_json_str(turn, "type", ""), cvm_json_str(turn, "component", ""), *why ? ": " : "",
                why);
        json_array_foreach(json_object_get(turn, "differences"), k, difference)
        {
            fprintf(cli->out, "    %s\n", cvm_json_str(difference, "where", "/"));
            show_value(cli, "-", show_red(cli), json_object_get(difference, "recorded"));
            show_value(cli, "+", show_green(cli), json_object_get(difference, "replayed"));
        }
    }
}

static void show(struct shown *s, const char *id, const struct replay_report *report)
{
    const struct cli *cli = s->cli;
    json_t *counts = json_pack("{s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "id", id, "conversations",
                               (json_int_t)report->conversations, "turns", (json_int_t)report->turns, "same",
                               (json_int_t)report->same, "differ", (json_int_t)report->differ, "missing",
                               (json_int_t)report->missing, "not_run", (json_int_t)report->not_run, "rows", s->turns);
    json_t *columns = show_names("seq component type outcome version build verdict");
    if (cli->output == OUTPUT_JSON) {
        show_json(cli, counts);
    } else if (cli->output == OUTPUT_CSV) {
        show_csv(cli, s->turns, columns);
    } else {
        if (json_array_size(s->turns))
            show_table(cli, s->turns, columns);
        show_differences(cli, s->turns);
        fprintf(cli->out,
                "%s%lld turns of %lld conversations: %lld same, %lld differ, %lld cannot be run any more, %lld are the "
                "host's own\n",
                json_array_size(s->turns) ? "\n" : "", (long long)report->turns, (long long)report->conversations,
                (long long)report->same, (long long)report->differ, (long long)report->missing,
                (long long)report->not_run);
    }
    json_decref(columns);
    json_decref(counts);
}

static int run(struct cli *cli, struct replay_options *options, bool whole)
{
    struct shown s = {.cli = cli, .turns = json_array(), .whole = whole};
    struct replay_report report;
    char error[512];
    options->seen = seen;
    options->arg = &s;
    int e = replay_home(options, &report, error, sizeof error), status = CLI_OK;
    if (e) {
        status = cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_CONFIG, "%s", error);
    } else {
        show(&s, options->id, &report);
        status = report.differ || report.missing ? CLI_FAILED : CLI_OK;
    }
    json_decref(s.turns);
    return status;
}

int cli_replay_home(struct cli *cli, const char *home)
{
    struct replay_options options = {.home = home};
    return run(cli, &options, true);
}

static const char *installed_set(void)
{
    const char *named = getenv("CVMHOST_INSTALLED");
    return !named ? CVMHOST_INSTALLED : *named ? named : NULL;
}

int cli_replay_proves(struct cli *cli, int64_t n, int64_t most)
{
    struct shown s = {.cli = cli, .turns = json_array()};
    struct replay_report report;
    char error[512];
    const struct replay_options options = {
        .home = cli->home, .installed = installed_set(), .limit = n, .with_current = true, .seen = seen, .arg = &s};
    int e = replay_home(&options, &report, error, sizeof error), status = CLI_OK;
    if (e && e != CVM_ENOENT) {
        status = cli_fail(CLI_CONFIG, "%s", error);
    } else if (!e && report.differ > most) {
        if (cli->output != OUTPUT_JSON && cli->output != OUTPUT_CSV)
            show_differences(cli, s.turns);
        status = cli_fail(CLI_REFUSED,
                          "of %lld recorded turns %lld come out differently with the plugins in the folders; nothing "
                          "was changed; see: cvmhost replay --all --limit %lld --with-current; or allow it by "
                          "--max-diff %lld",
                          (long long)report.turns, (long long)report.differ, (long long)n, (long long)report.differ);
    } else if (cli->output != OUTPUT_JSON && cli->output != OUTPUT_CSV) {
        fprintf(cli->out, "proven by %lld recorded turns of %lld conversations: %lld same, %lld differ\n",
                (long long)(e ? 0 : report.turns), (long long)(e ? 0 : report.conversations),
                (long long)(e ? 0 : report.same), (long long)(e ? 0 : report.differ));
    }
    json_decref(s.turns);
    return status;
}

int cli_replay(struct cli *cli)
{
    static const char usage[] = "replay ID | --all [--since TIME] [--limit N] [--with-current] [--inline]";
    const char *id = NULL, *since = NULL, *limit = NULL;
    const struct cli_option options[] = {{"since", &since}, {"limit", &limit}};
    struct replay_options o = {.home = cli->home};
    bool all = cli_take_flag(cli, "--all", NULL);
    o.with_current = cli_take_flag(cli, "--with-current", NULL);
    o.trusted = cli_take_flag(cli, "--inline", NULL);
    o.installed = installed_set();
    int status = cli_arguments(cli, usage, options, 2, &id, 0, 1);
    if (status == CLI_OK && !id == !all)
        status = id ? cli_fail(CLI_USAGE, "either an ID or --all; usage: cvmhost %s", usage) : cli_missing(usage, 0);
    if (status == CLI_OK && since)
        status = audit_cli_since(since, &o.since_ms);
    if (status == CLI_OK && limit && (!cli_read_number(limit, &o.limit) || o.limit < 1))
        status = cli_fail(CLI_USAGE, "--limit: expected a number of conversations, got \"%.40s\"", limit);
    o.id = id;
    return status == CLI_OK ? run(cli, &o, !all) : status;
}
