/* `plugin check FILE`: runs the conformance checks and shows what they found. Needs no host. */
#include "cli/cli.h"

#include "cli/show.h"
#include "conform/conform.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

static const char usage[] = "plugin check FILE [--manifest FILE] [--messages N] [--seed N] [--kills N] [--only CHECK] "
                            "[--previous FILE] [--state-from DIR] [--timeout S]";

/* One line on a terminal, over and over. */
static void progress(void *arg, const char *check, int done, int of)
{
    static char name[40];
    (void)arg;
    if (check)
        snprintf(name, sizeof name, "%s", check);
    if (of)
        fprintf(stderr, "\r\033[K%s %d of %d", name, done, of);
    else
        fprintf(stderr, "\r\033[K%s", name);
    fflush(stderr);
}

static bool number(const char *text, int64_t most, int64_t *ret_value)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > most)
        return false;
    *ret_value = value;
    return true;
}

static void show_message(const struct cli *cli, const json_t *message)
{
    char *text = json_is_object(message) ? json_dumps(message, JSON_COMPACT) : NULL;
    if (!text)
        return;
    fprintf(cli->out, "      %swith %.400s%s%s\n", show_dim(cli), text, strlen(text) > 400 ? " .." : "",
            show_plain(cli));
    free(text);
}

/* With one finding the line has said it already. */
static void show_findings(const struct cli *cli, const json_t *findings)
{
    json_t *f;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)findings, i, f)
    {
        const char *component = cvm_json_str(f, "component", ""), *type = cvm_json_str(f, "type", "");
        if (json_array_size(findings) > 1) {
            fprintf(cli->out, "    - %s%s%s%s", component, *component && *type ? ", " : "", type,
                    *component || *type ? ": " : "");
            show_text(cli->out, cvm_json_str(f, "text", ""));
            fputc('\n', cli->out);
        }
        show_message(cli, json_object_get(f, "message"));
    }
}

static void show_report(const struct cli *cli, const json_t *report)
{
    json_t *line;
    size_t i, failed = 0;
    fprintf(cli->out, "%s%s %s%s  seed %lld, %lld messages\n", show_bold(cli), cvm_json_str(report, "plugin", ""),
            cvm_json_str(report, "version", ""), show_plain(cli), (long long)cvm_json_int(report, "seed", 0),
            (long long)cvm_json_int(report, "messages", 0));
    json_array_foreach(json_object_get(report, "checks"), i, line)
    {
        const char *result = cvm_json_str(line, "result", "");
        bool bad = strcmp(result, "failed") == 0, ok = strcmp(result, "ok") == 0;
        failed += bad;
        fprintf(cli->out, "  %-12s %s%-8s%s", cvm_json_str(line, "check", ""),
                bad  ? show_red(cli)
                : ok ? show_green(cli)
                     : show_dim(cli),
                result, show_plain(cli));
        show_text(cli->out, cvm_json_str(line, "text", ""));
        fputc('\n', cli->out);
        show_findings(cli, json_object_get(line, "findings"));
    }
    if (failed)
        fprintf(cli->out, "%zu of %zu checks failed; again with the same messages: --seed %lld\n", failed,
                json_array_size(json_object_get(report, "checks")), (long long)cvm_json_int(report, "seed", 0));
}

static bool known_check(const char *name)
{
    for (const char *const *known = conform_checks; *known; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

int cli_plugin_check(struct cli *cli)
{
    const char *file = NULL, *seed = NULL, *messages = NULL, *kills = NULL;
    struct conform_options o = {.hang_ms = CONFORM_HANG_MS};
    const struct cli_option options[] = {
        {"manifest", &o.manifest}, {"messages", &messages},      {"seed", &seed}, {"kills", &kills}, {"only", &o.only},
        {"previous", &o.previous}, {"state-from", &o.state_from}};
    char error[1024];
    int64_t n = 0;
    json_t *report = NULL;
    int status = cli_arguments(cli, usage, options, sizeof options / sizeof *options, &file, 1, 1);
    if (status != CLI_OK)
        return status;
    if (seed ? !number(seed, INT64_MAX, &n) : getrandom(&n, sizeof n, 0) != sizeof n)
        return cli_fail(CLI_USAGE, "--seed: expected a number, got \"%.40s\"", seed ? seed : "");
    o.seed = seed ? (uint64_t)n : (uint64_t)n % 1000000000;
    n = CONFORM_MESSAGES;
    if (messages && (!number(messages, CONFORM_MESSAGES_MAX, &n) || !n))
        return cli_fail(CLI_USAGE, "--messages: expected 1 to %d, got \"%.40s\"", CONFORM_MESSAGES_MAX, messages);
    o.messages = (int)n;
    n = CONFORM_KILLS;
    if (kills && !number(kills, CONFORM_KILLS_MAX, &n))
        return cli_fail(CLI_USAGE, "--kills: expected 0 to %d, got \"%.40s\"", CONFORM_KILLS_MAX, kills);
    o.kills = (int)n;
    if (o.only && !known_check(o.only))
        return cli_fail(CLI_USAGE,
                        "--only: there is no check \"%.40s\"; the checks are vet, manifest, lifecycle, messages, "
                        "answers, limits, references, leaks, determinism, memory, state, restart, kill, process",
                        o.only);
    if (cli->timeout_ms)
        o.hang_ms = cli->timeout_ms;
    o.file = file;
    bool shown = isatty(STDERR_FILENO);
    if (shown)
        o.progress = progress;
    int e = conform_run(&o, &report, error, sizeof error);
    if (shown)
        fputs("\r\033[K", stderr);
    if (e)
        return cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_CONFIG, "%s", error);
    if (cli->output == OUTPUT_JSON)
        show_json(cli, report);
    else if (cli->output == OUTPUT_CSV)
        show_rows(cli, json_object_get(report, "checks"), NULL);
    else
        show_report(cli, report);
    status = cvm_json_bool(report, "ok", false) ? CLI_OK : CLI_FAILED;
    json_decref(report);
    return status;
}
