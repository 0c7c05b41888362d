/* The commands that exchange plugins of a running host, and how the report of a change is told to people. */
#include "cli/cli.h"

#include "cli/change.h"
#include "cli/show.h"

#define CHANGE_TIMEOUT_MS 600000 /* a handler's hard limit and a large plugin's start are in it */

/* ---- a report in words ---- */

const char *change_build(const char *build, char ret_text[16])
{
    snprintf(ret_text, 16, strlen(build) > 8 ? "%.8s…" : "%.8s", build);
    return ret_text;
}

/* "1,204,331" */
static const char *grouped(int64_t value, char ret_text[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%lld", (long long)value), at = 0;
    for (int i = 0; i < n; i++) {
        ret_text[at++] = digits[i];
        if (digits[i] != '-' && i + 1 < n && (n - 1 - i) % 3 == 0)
            ret_text[at++] = ',';
    }
    ret_text[at] = 0;
    return ret_text;
}

static const char *duration(int64_t us, char ret_text[32])
{
    if (us < 100)
        snprintf(ret_text, 32, "%lld us", (long long)us);
    else if (us < 1000000)
        snprintf(ret_text, 32, "%.1f ms", (double)us / 1000);
    else
        snprintf(ret_text, 32, "%.1f s", (double)us / 1e6);
    return ret_text;
}

static const char *in_words(const char *action, const json_t *to)
{
    if (strcmp(action, "moved") == 0)
        return strcmp(cvm_json_str(to, "placement", ""), "process") == 0 ? "moved to a process of its own"
                                                                         : "moved into the host";
    static const char *const words[][2] = {{"rolled_back", "rolled back"},
                                           {"settings", "has other settings"},
                                           {"disabled", "disabled: its files stay, \"plugin enable\" takes it back"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(action, words[i][0]) == 0)
            return words[i][1];
    return action;
}

/* "orders 1.4.0 -> 1.5.0   build 9c1e44d0… -> 41d7a210…   on probation (200 turns or 60 s)" */
static void show_head(const struct cli *cli, const json_t *one, int64_t leaving)
{
    const json_t *from = json_object_get(one, "from"), *to = json_object_get(one, "to");
    const json_t *probation = json_object_get(one, "probation");
    const char *action = cvm_json_str(one, "action", "");
    const json_t *only = json_is_object(to) ? to : from;
    bool both =
        json_is_object(from) && json_is_object(to) && strcmp(action, "unchanged") != 0 && strcmp(action, "moved") != 0;
    char a[16], b[16];
    fputs(show_bold(cli), cli->out);
    show_text(cli->out, cvm_json_str(one, "plugin", "?"));
    fputs(show_plain(cli), cli->out);
    if (both) {
        fprintf(cli->out, " %s -> %s   build %s -> %s", cvm_json_str(from, "version", "?"),
                cvm_json_str(to, "version", "?"), change_build(cvm_json_str(from, "build", "?"), a),
                change_build(cvm_json_str(to, "build", "?"), b));
    } else if (json_is_object(only)) {
        fprintf(cli->out, " %s   build %s", cvm_json_str(only, "version", "?"),
                change_build(cvm_json_str(only, "build", "?"), a));
    }
    if (leaving > 0)
        fprintf(cli->out, "   %sleaving%s: %lld open conversation%s on it", show_bold(cli), show_plain(cli),
                (long long)leaving, leaving == 1 ? " finishes" : "s finish");
    else if (leaving == 0)
        fprintf(cli->out, "   %sleaving%s: what is open finishes on it", show_bold(cli), show_plain(cli));
    else if (strcmp(action, "replaced") != 0)
        fprintf(cli->out, "   %s", in_words(action, to));
    if (json_is_object(probation))
        fprintf(cli->out, "   %son probation%s (%lld turns or %lld s)", show_green(cli), show_plain(cli),
                (long long)cvm_json_int(probation, "turns", 0), (long long)cvm_json_int(probation, "seconds", 0));
    fputc('\n', cli->out);
}

static void show_steps(const struct cli *cli, const json_t *one)
{
    static const char *const steps[][2] = {
        {"stage", "staged"}, {"vet", "vetted"}, {"load", "loaded"}, {"switch", "switched"}};
    const json_t *us = json_object_get(one, "us");
    const char *between = "  ";
    char text[32];
    fputs(show_dim(cli), cli->out);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        const json_t *value = json_object_get(us, steps[i][0]);
        if (!json_is_number(value))
            continue;
        fprintf(cli->out, "%s%s %s", between, steps[i][1], duration((int64_t)json_number_value(value), text));
        between = " · ";
    }
    if (json_object_get(one, "held")) {
        int64_t held = cvm_json_int(one, "held", 0);
        fprintf(cli->out, "%sheld %s message%s", between, grouped(held, text), held == 1 ? "" : "s");
        between = " · ";
    }
    fprintf(cli->out, "%s%s", show_plain(cli), between[1] == ' ' ? "" : "\n");
}

static void show_conservation(const struct cli *cli, const json_t *one)
{
    static const char *const names[] = {"delivered", "settled", "queued", "lent", "dead"};
    char text[5][32];
    int64_t n[5];
    for (int i = 0; i < 5; i++) {
        if (!json_object_get(one, names[i]))
            return;
        n[i] = cvm_json_int(one, names[i], 0);
        grouped(n[i], text[i]);
    }
    bool kept = n[0] == n[1] + n[2] + n[3] + n[4];
    fprintf(cli->out, "  %sdelivered %s %s settled %s + queued %s + lent %s + dead %s%s\n",
            kept ? show_dim(cli) : show_red(cli), text[0], kept ? "=" : "IS NOT", text[1], text[2], text[3], text[4],
            show_plain(cli));
}

/* `leaving`: conversations that finish first; negative: it does not leave, or has gone. */
static void show_plugin(const struct cli *cli, const json_t *one, int64_t leaving)
{
    show_head(cli, one, leaving);
    if (strcmp(cvm_json_str(one, "action", ""), "unchanged") == 0)
        return;
    show_steps(cli, one);
    show_conservation(cli, one);
    if (cvm_json_bool(one, "no_way_back", false))
        fprintf(cli->out, "  %sno way back%s: its state has a new version and the plugin has no downgrade\n",
                show_red(cli), show_plain(cli));
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(one, "warnings"), i, warning)
    {
        fprintf(cli->out, "  %swarning%s: ", show_red(cli), show_plain(cli));
        show_text(cli->out, json_string_value(warning) ? json_string_value(warning) : "");
        fputc('\n', cli->out);
    }
}

static void show_report(const struct cli *cli, const json_t *report)
{
    const json_t *plugins = json_object_get(report, "plugins");
    const char *result = cvm_json_str(report, "result", "");
    size_t n = json_array_size(plugins), i, unchanged = 0;
    /* Of one that was named; where files are gone, what leaves is in "leaving". */
    bool is_removal = strcmp(result, "removing") == 0 && !json_object_get(report, "leaving");
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)plugins, i, one) unchanged +=
        strcmp(cvm_json_str(one, "action", ""), "unchanged") == 0;
    if (strcmp(result, "refused") == 0)
        return; /* the sentence says it */
    /* One plugin that was asked for is named; of many only those that differ. */
    json_array_foreach((json_t *)(uintptr_t)plugins, i,
                       one) if ((n == 1 && !json_object_get(report, "kept")) ||
                                strcmp(cvm_json_str(one, "action", ""), "unchanged") != 0)
        show_plugin(cli, one, is_removal ? cvm_json_int(report, "conversations", 0) : -1);
    if (n == 0 && !json_object_get(report, "leaving"))
        fprintf(cli->out, "%s\n", strcmp(result, "unchanged") == 0 ? "nothing has changed" : result);
    else if (n > 1 && unchanged == n && (json_object_get(report, "kept") || json_object_get(report, "leaving")))
        fprintf(cli->out, "%zu plugins are unchanged\n", n);
    else if (n > 1 && unchanged == n)
        fprintf(cli->out, "nothing has changed: %zu plugins run as they stand in the folders\n", n);
    else if (n > 1 && unchanged)
        fprintf(cli->out, "%zu more %s unchanged\n", unchanged, unchanged == 1 ? "is" : "are");
    json_array_foreach(json_object_get(report, "leaving"), i, one)
        fprintf(cli->out, "%s leaves: folders or configuration have it no more; what is open finishes on it\n",
                json_string_value(one));
    json_array_foreach(json_object_get(report, "kept"), i, one)
    {
        const char *name = json_string_value(one);
        fprintf(cli->out,
                "%s stays as it was: the build in its folder was rolled back; to try it again: cvmhost reload %s\n",
                name, name);
    }
    cli_flush(cli);
}

/* One flat row for each plugin, for programs that read tables. */
static void show_table_of(const struct cli *cli, const json_t *report)
{
    static const char *const plain[] = {"plugin", "action", "held", "delivered", "settled", "queued", "lent", "dead"};
    json_t *rows = json_array(), *one;
    size_t i;
    json_array_foreach(json_object_get(report, "plugins"), i, one)
    {
        json_t *row = json_object();
        for (size_t k = 0; k < sizeof plain / sizeof *plain; k++) {
            if (k == 2) {
                json_object_set(row, "from", json_object_get(json_object_get(one, "from"), "version"));
                json_object_set(row, "to", json_object_get(json_object_get(one, "to"), "version"));
            }
            json_object_set(row, plain[k], json_object_get(one, plain[k]));
        }
        json_array_append_new(rows, row);
    }
    show_csv(cli, rows, NULL);
    json_decref(rows);
}

/* ---- how it ended ---- */

static enum cli_status status_of(const json_t *report)
{
    static const char *const by_rule[] = {"DENIED", "BAD_STATE", "BUSY", "LIMIT"};
    const json_t *error = json_object_get(report, "error");
    const char *code = cvm_json_str(error, "code", "");
    if (!json_is_object(error) && strcmp(cvm_json_str(report, "result", ""), "refused") != 0)
        return CLI_OK;
    if (strcmp(code, "NOT_FOUND") == 0)
        return CLI_NOT_FOUND;
    for (size_t i = 0; i < sizeof by_rule / sizeof *by_rule; i++)
        if (strcmp(code, by_rule[i]) == 0)
            return CLI_REFUSED;
    return CLI_CONFIG;
}

int change_told(const struct cli *cli, const json_t *report)
{
    enum cli_status status = status_of(report);
    const json_t *error = json_object_get(report, "error");
    if (cli->output == OUTPUT_JSON)
        show_json(cli, report);
    else if (cli->output == OUTPUT_CSV)
        show_table_of(cli, report);
    else
        show_report(cli, report);
    if (status == CLI_OK)
        return CLI_OK;
    const char *text = cvm_json_str(error, "text", "the host gave no reason"), *plugin, *step;
    plugin = cvm_json_str(error, "plugin", "");
    step = status == CLI_CONFIG ? cvm_json_str(error, "step", "") : ""; /* a rule says no before anything is begun */
    bool named = !*plugin || strncmp(text, plugin, strlen(plugin)) == 0;
    return cli_fail(status, "%s%s%s%s%s%s", named ? "" : plugin, named ? "" : ": ", text, *step ? " (step: " : "", step,
                    *step ? "; nothing was changed)" : "");
}

/* ---- commands ---- */

static int ask_change(struct cli *cli, const char *what, const char *name, bool now, int64_t canary)
{
    json_t *report = NULL;
    if (!cli->timeout_ms)
        cli->timeout_ms = CHANGE_TIMEOUT_MS;
    int status = cli_ask(cli,
                         json_pack("{s:s, s:s, s:s*, s:b, s:I}", "do", "change", "what", what, "plugin", name, "now",
                                   now, "canary", (json_int_t)canary),
                         &report);
    if (status == CLI_OK)
        status = change_told(cli, report);
    json_decref(report);
    return status;
}

static int change(struct cli *cli, const char *usage, const char *what, bool required, bool now)
{
    const char *name = NULL;
    int status = cli_arguments(cli, usage, NULL, 0, &name, required, 1);
    return status == CLI_OK ? ask_change(cli, what, name, now, 0) : status;
}

int cli_reload(struct cli *cli)
{
    static const char usage[] = "reload [NAME] [--prove N [--max-diff M|P%]] [--canary P]";
    const char *prove = NULL, *most = NULL, *part = NULL;
    const struct cli_option options[] = {{"prove", &prove}, {"max-diff", &most}, {"canary", &part}};
    struct cli_most differ = {0};
    int64_t n = 0, canary = 0;
    const char *name = NULL;
    cli->no_start = true; /* one that starts reads the folders anyway */
    int status = cli_arguments(cli, usage, options, 3, &name, 0, 1);
    if (status == CLI_OK && prove && (!cli_read_number(prove, &n) || n < 1))
        return cli_fail(CLI_USAGE, "--prove: expected a number of conversations, got \"%.40s\"", prove);
    if (status == CLI_OK && most && (!prove || !cli_read_most(most, &differ)))
        return cli_fail(CLI_USAGE, "--max-diff: expected a number or a percentage, beside --prove; got \"%.40s\"",
                        most);
    if (status == CLI_OK && part && (!cli_read_number(part, &canary) || canary < 1 || canary > 99 || !name))
        return cli_fail(CLI_USAGE, "--canary: expected 1 to 99 of a hundred conversations, beside NAME; got \"%.40s\"",
                        part);
    if (status == CLI_OK && n)
        status = cli_replay_proves(cli, n, &differ);
    return status == CLI_OK ? ask_change(cli, "reload", name, false, canary) : status;
}

int cli_rollback(struct cli *cli)
{
    cli->no_start = true;
    return change(cli, "rollback NAME", "rollback", true, false);
}

int cli_move(struct cli *cli)
{
    bool process = cli_take_flag(cli, "--process", NULL), here = cli_take_flag(cli, "--inline", NULL);
    const char *usage = "move NAME --process|--inline";
    if (process == here)
        return cli_fail(CLI_USAGE, "%s: say where to: --process (a process of its own) or --inline (inside the host)",
                        usage);
    return change(cli, usage, process ? "move process" : "move inline", true, false);
}

int cli_plugin_enable(struct cli *cli)
{
    return change(cli, "plugin enable NAME", "enable", true, false);
}

int cli_plugin_disable(struct cli *cli)
{
    bool now = cli_take_flag(cli, "--now", NULL);
    return change(cli, "plugin disable NAME [--now]", "disable", true, now);
}

int cli_plugin_remove(struct cli *cli)
{
    bool now = cli_take_flag(cli, "--now", NULL);
    return change(cli, "plugin remove NAME [--now]", "remove", true, now);
}
