/* `replay`: recorded turns run again, in this process, beside whatever host runs in the home; see core/replay.h. */
#include "cli/cli.h"

#include "cli/audit.h"
#include "cli/installed.h"
#include "cli/show.h"
#include "core/internal.h"
#include "core/replay.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TURNS_SHOWN_MAX 100000 /* as rows; all are counted */

struct shown {
    struct cli *cli;
    bool whole; /* every turn, not only those that differ */
    json_t *turns, *differing;
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

static void show_reason(const struct cli *cli, const char *because)
{
    if (*because) {
        fputs(": ", cli->out);
        show_text(cli->out, because);
    }
    fputc('\n', cli->out);
}

static void show_decisions(const struct cli *cli, const json_t *differing)
{
    const json_t *d;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)differing, i, d)
    {
        const char *was = cvm_json_str(d, "was", ""), *is = cvm_json_str(d, "is", "");
        fprintf(cli->out, "%s", show_bold(cli));
        show_text(cli->out, cvm_json_str(d, "subject", "?"));
        fprintf(cli->out, "%s\n    %s-%s ", show_plain(cli), show_red(cli), show_plain(cli));
        show_text(cli->out, *was ? was : "no decision");
        show_reason(cli, cvm_json_str(d, "because_then", ""));
        fprintf(cli->out, "    %s+%s ", show_green(cli), show_plain(cli));
        show_text(cli->out, *is ? is : "no decision");
        show_reason(cli, cvm_json_str(d, "because", ""));
    }
}

static void show(struct shown *s, const char *id, const struct replay_report *report)
{
    const struct cli *cli = s->cli;
    json_t *counts = json_pack("{s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:O}", "id", id, "conversations",
                               (json_int_t)report->conversations, "turns", (json_int_t)report->turns, "same",
                               (json_int_t)report->same, "differ", (json_int_t)report->differ, "missing",
                               (json_int_t)report->missing, "not_run", (json_int_t)report->not_run, "rows", s->turns);
    if (report->decisions) {
        json_object_set_new(counts, "decisions", json_integer((json_int_t)report->decisions));
        json_object_set(counts, "differing", s->differing);
    }
    json_t *columns = show_names("seq component type outcome version build verdict");
    if (cli->output == OUTPUT_JSON) {
        show_json(cli, counts);
    } else if (cli->output == OUTPUT_CSV) {
        show_csv(cli, s->turns, columns);
    } else {
        if (json_array_size(s->turns))
            show_table(cli, s->turns, columns);
        show_differences(cli, s->turns);
        if (report->decisions) {
            fprintf(cli->out, "\n");
            show_decisions(cli, s->differing);
            fprintf(cli->out, "%lld decisions: %lld the same, %lld differ\n", (long long)report->decisions,
                    (long long)(report->decisions - report->decisions_differ), (long long)report->decisions_differ);
        }
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
    struct shown s = {.cli = cli, .turns = json_array(), .differing = json_array(), .whole = whole};
    struct replay_report report;
    char error[512];
    options->seen = seen;
    options->arg = &s;
    options->differing = s.differing;
    int e = replay_home(options, &report, error, sizeof error), status = CLI_OK;
    if (e) {
        status = cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_CONFIG, "%s", error);
    } else {
        show(&s, options->id, &report);
        status = report.differ || report.missing ? CLI_FAILED : CLI_OK;
    }
    json_decref(s.turns);
    json_decref(s.differing);
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

/* "2", "1%": the most that may differ of `all`. */
static int64_t most_of(const struct cli_most *most, int64_t all)
{
    return most->percent ? (int64_t)((double)all * most->value / 100) : (int64_t)most->value;
}

bool cli_read_most(const char *text, struct cli_most *ret_most)
{
    char *end = NULL;
    if (*text < '0' || *text > '9') /* strtod takes more than that */
        return false;
    double value = strtod(text, &end);
    bool percent = *end == '%';
    if (end[percent] || value > (percent ? 100 : 1e9) || (!percent && value != (double)(int64_t)value))
        return false;
    *ret_most = (struct cli_most){.value = value, .percent = percent};
    return true;
}

static void show_proof(const struct cli *cli, const struct replay_report *report, const json_t *differing)
{
    if (cli->output == OUTPUT_JSON) {
        json_t *doc = json_pack("{s:I, s:I, s:I, s:I, s:I, s:O}", "turns", (json_int_t)report->turns, "turns_differ",
                                (json_int_t)report->differ, "conversations", (json_int_t)report->conversations,
                                "decisions", (json_int_t)report->decisions, "decisions_differ",
                                (json_int_t)report->decisions_differ, "differing", differing);
        show_json(cli, doc);
        json_decref(doc);
    } else if (cli->output == OUTPUT_CSV) {
        json_t *columns = show_names("subject was is because");
        show_csv(cli, differing, columns);
        json_decref(columns);
    } else {
        show_decisions(cli, differing);
        if (report->decisions)
            fprintf(cli->out, "%lld recorded decisions: %lld the same, %lld differ\n", (long long)report->decisions,
                    (long long)(report->decisions - report->decisions_differ), (long long)report->decisions_differ);
        fprintf(cli->out, "proven by %lld recorded turns of %lld conversations: %lld same, %lld differ\n",
                (long long)report->turns, (long long)report->conversations, (long long)report->same,
                (long long)report->differ);
    }
}

int cli_replay_proves(struct cli *cli, int64_t n, const struct cli_most *most)
{
    struct shown s = {.cli = cli, .turns = json_array()};
    struct replay_report report = {0};
    char error[512];
    json_t *differing = json_array();
    const struct replay_options options = {.home = cli->home,
                                           .installed = installed_set(),
                                           .limit = n,
                                           .with_current = true,
                                           .decisions = true,
                                           .differing = differing,
                                           .seen = seen,
                                           .arg = &s};
    int e = replay_home(&options, &report, error, sizeof error), status = CLI_OK;
    bool decided = report.decisions > 0;
    int64_t all = decided ? report.decisions : report.turns, differ = decided ? report.decisions_differ : report.differ;
    if (e && e != CVM_ENOENT) {
        status = cli_fail(CLI_CONFIG, "%s", error);
    } else if (!e && differ > most_of(most, all)) {
        if (!decided && cli->output != OUTPUT_JSON && cli->output != OUTPUT_CSV)
            show_differences(cli, s.turns);
        else
            show_proof(cli, &report, differing);
        status = cli_fail(CLI_REFUSED,
                          "of %lld recorded %s %lld come out differently with the plugins in the folders; nothing "
                          "was changed; see: cvmhost replay --all --limit %lld --with-current; or allow it by "
                          "--max-diff %lld",
                          (long long)all, decided ? "decisions" : "turns", (long long)differ, (long long)n,
                          (long long)differ);
    } else if (cli->output != OUTPUT_JSON && cli->output != OUTPUT_CSV) {
        show_proof(cli, &report, differing);
    }
    json_decref(differing);
    json_decref(s.turns);
    return status;
}

int cli_replay(struct cli *cli)
{
    static const char usage[] =
        "replay ID | --all [--since TIME] [--limit N] [--with-current | --with LIBRARY] [--inline]";
    const char *id = NULL, *since = NULL, *limit = NULL, *with = NULL;
    const struct cli_option options[] = {{"since", &since}, {"limit", &limit}, {"with", &with}};
    struct replay_options o = {.home = cli->home};
    bool all = cli_take_flag(cli, "--all", NULL);
    o.with_current = cli_take_flag(cli, "--with-current", NULL);
    o.trusted = cli_take_flag(cli, "--inline", NULL);
    o.installed = installed_set();
    int status = cli_arguments(cli, usage, options, 3, &id, 0, 1);
    o.with = with;
    o.with_current |= with != NULL;
    if (status == CLI_OK && with && access(with, R_OK) < 0)
        status = cli_fail(CLI_USAGE, "--with: %s: %s", with, strerror(errno));
    if (status == CLI_OK && !id == !all)
        status = id ? cli_fail(CLI_USAGE, "either an ID or --all; usage: cvmhost %s", usage) : cli_missing(usage, 0);
    if (status == CLI_OK && since)
        status = audit_cli_since(since, &o.since_ms);
    if (status == CLI_OK && limit && (!cli_read_number(limit, &o.limit) || o.limit < 1))
        status = cli_fail(CLI_USAGE, "--limit: expected a number of conversations, got \"%.40s\"", limit);
    o.id = id;
    return status == CLI_OK ? run(cli, &o, !all) : status;
}
