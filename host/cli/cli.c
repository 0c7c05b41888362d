/* Finds the command of a command line: a built-in one, or one that a manifest declares. */
#include "cli/cli.h"

#include "cli/client.h"
#include "cli/help.h"
#include "cli/private.h"
#include "cli/show.h"
#include "cli/spec.h"
#include "core/log.h"
#include "services/home.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#define WORDS_MAX_BYTES 512
#define SUGGESTIONS_MAX 3

const struct cli_command cli_commands[] = {
    {"serve", "[--port N] [--no-supervise]", "run the host", NULL},
    {"dev", "[--build COMMAND] [--port N] [PATHS...]", "run the host, build and reload whenever a file is saved",
     cli_dev},
    {"ps", "", "components with their queues and counters", cli_ps},
    {"plugin list", "[--kind KIND]", "loaded plugins, or the components of a kind", cli_plugin_list},
    {"plugin info", "NAME", "a plugin or component in full", cli_plugin_info},
    {"plugin new", "KIND NAME [--dir DIR]", "write a new plugin: its code, manifest, test and build", cli_plugin_new},
    {"plugin enable", "NAME", "put a disabled plugin back into service", cli_plugin_enable},
    {"plugin disable", "NAME [--now]", "take a plugin out of service; its files stay", cli_plugin_disable},
    {"plugin remove", "NAME [--now]", "take a plugin out of service and its files out of the home", cli_plugin_remove},
    {"plugin revive", "COMPONENT", "put a component that was marked down, or a quarantined plugin, back into service",
     cli_plugin_revive},
    {"revive", "COMPONENT", "the same", cli_plugin_revive},
    {"reload", "[NAME] [--prove N [--max-diff M|P%]] [--canary P]",
     "switch to the plugins that stand in the folders now", cli_reload},
    {"upgrade", "[PROGRAM] [--check] [--one-way]", "go over to another version of this program, without a stop",
     cli_upgrade},
    {"rollback", "NAME", "switch back to a plugin's generation before", cli_rollback},
    {"move", "NAME --process|--inline", "carry a running plugin to a process of its own, or into the host", cli_move},
    {"plugin vet", "FILE [--manifest FILE]",
     "read a library without running it: exit status 0 may run inline, 5 may load only, 3 may not load",
     cli_plugin_vet},
    {"plugin check",
     "FILE [--manifest FILE] [--messages N] [--seed N] [--kills N] [--only CHECK] [--previous FILE] [--state-from DIR]",
     "Try a plugin: random messages, no memory, older state, kills between any two steps", cli_plugin_check},
    {"sim", "[--seeds N] [--first N] [--seed N] [--plugins DIR] [--jobs N] [--keep-going] [--verbose]",
     "hunt for bugs: the host and plugins among crashes, a failing disk and a world that answers twice", cli_sim},
    {"job list", "", "long work of plugins beside the loop: what runs, how far it is, what waits", cli_job_list},
    {"model list", "", "text models of the loaded plugins, and which answer", cli_model_list},
    {"model train", "FILE... --out MODEL [--text COLUMN] [--label COLUMN] [--heads HEADS] [--max-mib N]",
     "train a text model on labelled texts", cli_model_train},
    {"model eval", "MODEL FILE... | FILE... --folds N [--text COLUMN] [--label COLUMN] [--heads HEADS] [--max-mib N]",
     "how often a text model is right, or a model trained on the rest of the file would be", cli_model_eval},
    {"model explain", "MODEL TEXT", "which words and letters made a text model say what it says", cli_model_explain},
    {"agent list", "[--area AREA]", "agents with their operations", cli_agent_list},
    {"agent call", "COMPONENT TYPE [--data JSON|@FILE|-] [--envelope FILE]", "send one request to one component",
     cli_agent_call},
    {"bus tail", "[--topic T] [--component C] [--type TYPE]", "watch envelopes", cli_bus_tail},
    {"why", "ID [ABOUT]",
     "what happened and why: of a conversation, message, key of a stored row, or what a plugin explains", cli_why},
    {"replay", "ID | --all [--since TIME] [--limit N] [--with-current | --with LIBRARY]",
     "run recorded turns again: exit status 0 all are the same, 1 some differ", cli_replay},
    {"bisect", "BUILD-A BUILD-B [--limit N]", "which build of a plugin was the first to decide otherwise", cli_bisect},
    {"export", "ID [--keep-personal] [--with-builds]", "conversations as one file that can be run again elsewhere",
     cli_export},
    {"import", "FILE [--replay]", "make a home of such a file, or run it at once", cli_import},
    {"conversation show", "ID", "a conversation's context, steps and turns", cli_conversation_show},
    {"dlq list", "[--open] [--component C] [--limit N]", "dead letters; --open: not redriven yet", cli_dlq_list},
    {"dlq show", "NUMBER", "a dead letter in full", cli_dlq_show},
    {"dlq redrive", "NUMBER | --all [--component C]", "send a dead letter again, as a new message", cli_dlq_redrive},
    {"state stores", "", "components that keep state", cli_state_stores},
    {"state list", "STORE [--prefix P] [--after KEY] [--limit N]", "keys and values of a store", cli_state_list},
    {"state get", "STORE KEY", "one value", cli_state_get},
    {"state put", "STORE KEY JSON|@FILE|- [--if-version N]", "write one value, as a turn of the component",
     cli_state_put},
    {"state delete", "STORE KEY [--if-version N]", "delete one value", cli_state_delete},
    {"log tail", "[--audit] [-n N] [--follow]", "the last lines of the log, or who did what (--audit)", cli_log_tail},
    {"audit verify", "[--from SEQ] [--since TIME] [--against HEAD]",
     "check the hash chain of the journal: exit status 0 it holds, 1 it does not", cli_audit_verify},
    {"audit head", "", "where the chain ends: to be written down elsewhere", cli_audit_head},
    {"audit log", "[--agent A] [--action TYPE] [--subject ID] [--outcome O] [--since TIME] [--limit N]",
     "who did what, about whom, with what result", cli_audit_log},
    {"audit events", "[--what W] [--since TIME] [--limit N]",
     "what happened to the host: starts, crashes, changes, refusals", cli_audit_events},
    {"journal stats", "", "how large the journal is, how old, and when it is pruned next", cli_journal_stats},
    {"journal prune", "--dry-run | --now [--before DATE]", "fold conversations that are over; prune old turns",
     cli_journal_prune},
    {"backup", "DIR", "copy the home's data, plugins and configuration while the host runs", cli_backup},
    {"restore", "DIR [--force]", "put a backup into the home", cli_restore},
    {"db check", "[FILE] [--deep] [--repair-advice] [--schema]", "look for damage in the database, and say what to do",
     cli_db_check},
    {"permission list", "", "permissions, what asks for them, and the tokens that hold them", cli_permission_list},
    {"openapi", "", "the REST routes as an OpenAPI 3.1 document", cli_openapi},
    {"metrics", "", "counters in Prometheus text format", cli_metrics},
    {"config show", "[PATH]", "the configuration, defaults filled in", cli_config_show},
    {"config check", "", "check configuration and manifests; needs no host", cli_config_check},
    {"completion", "bash|zsh|fish", "a completion script for the shell", cli_completion},
    {"version", "", "the version of this program", cli_version},
    {"help", "[COMMAND]", "commands, or one command in full", cli_help},
    {NULL, NULL, NULL, NULL},
};

static int output_error; /* the errno of the first flush that failed: the stream itself keeps none */

static void flush(FILE *out)
{
    if (fflush(out) != 0 && output_error == 0)
        output_error = errno;
}

void cli_flush(const struct cli *cli)
{
    flush(cli->out);
}

int cli_fail(enum cli_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    flush(stdout);
    fputs("cvmhost: ", stderr);
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    show_text(stderr, text);
    fputc('\n', stderr);
    va_end(args);
    return (int)status;
}

/* ---- asking ---- */

enum cli_status cli_error_status(const char *code)
{
    static const struct {
        const char *code;
        enum cli_status status;
    } statuses[] = {{"INVALID", CLI_USAGE},      {"LIMIT", CLI_REFUSED},   {"DENIED", CLI_REFUSED},
                    {"KEY_REUSED", CLI_REFUSED}, {"REFUSED", CLI_REFUSED}, {"NOT_FOUND", CLI_NOT_FOUND}};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        if (strcmp(code, statuses[i].code) == 0)
            return statuses[i].status;
    return CLI_FAILED;
}

int cli_show_error(struct cli *cli, const json_t *error)
{
    if (cli->output == OUTPUT_JSON) {
        json_t *line = json_pack("{s:O}", "error", (json_t *)(uintptr_t)error);
        show_line(cli, line);
        json_decref(line);
    }
    const char *text = cvm_json_str(error, "text", "the host gave no reason"),
               *field = cvm_json_str(error, "field", "");
    bool named = strcmp(cvm_json_str(error, "code", ""), "INVALID") != 0 || strstr(text, field) != NULL;
    enum cli_status status = cli_error_status(cvm_json_str(error, "code", ""));
    if (status == CLI_NOT_FOUND && strcmp(field, "type") == 0)
        status = CLI_FAILED; /* the component is there: that it has no such operation is its answer */
    return cli_fail(status, "%s%s%s", named ? "" : field, named ? "" : ": ", text);
}

int cli_ask(struct cli *cli, json_t *request, json_t **ret_data)
{
    struct client *client = NULL;
    json_t *answer = NULL;
    int status = cli_open(cli, &client);
    if (status != CLI_OK) {
        json_decref(request);
        return status;
    }
    json_object_set_new(request, "id", json_integer(1));
    int error = client_send(client, request);
    if (error == 0)
        error = client_next(client, cli->timeout_ms ? cli->timeout_ms : 60000, &answer);
    const json_t *failed = json_object_get(answer, "error");
    json_t *data = json_object_get(answer, "data");
    if (failed)
        status = cli_show_error(cli, failed);
    else if (data)
        *ret_data = json_incref(data);
    else
        status =
            cli_fail(CLI_FAILED, error == CVM_ETIMEOUT ? "the host does not answer" : "the host closed the connection");
    json_decref(answer);
    client_free(client);
    return status;
}

/* ---- options before anything else ---- */

static int set_output(struct cli *cli, const char *value)
{
    static const char *const names[] = {"table", "json", "csv"};
    static const enum cli_output outputs[] = {OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV};
    for (int i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0) {
            cli->output = outputs[i];
            return 0;
        }
    return cli_fail(CLI_USAGE, "--output: expected table, json or csv, got \"%.40s\"", value);
}

/* Takes the options that mean the same for every command out of the line; the rest stays in order. */
static int take_options(struct cli *cli, int argc, char **argv)
{
    struct args args = {.argc = argc, .argv = argv};
    const char *home = NULL, *value;
    static const char *const names[] = {"home", "config", "output", "log-level", "help", "no-start"};
    for (int start; (start = args.at) < argc;) {
        enum arg_kind kind = args_next(&args);
        size_t which = 0;
        while (which < 6 && (kind != ARG_OPTION || strcmp(args.name, names[which]) != 0))
            which++;
        if (which == 6) {
            while (start < args.at)
                cli->argv[cli->argc++] = argv[start++];
            continue;
        }
        if (which == 4) {
            cli->help = true;
            continue;
        }
        if (which == 5) {
            cli->no_start = true;
            continue;
        }
        if (!(value = args_value(&args)) || !*value)
            return cli_fail(CLI_USAGE, "--%s needs a value", names[which]);
        if (which == 0)
            home = value;
        else if (which == 1)
            cli->config_file = value;
        else if (which == 2 && set_output(cli, value))
            return CLI_USAGE;
        else if (which == 3 && log_level_from_name(value) < 0)
            return cli_fail(CLI_USAGE, "--log-level: expected DEBUG, INFO, WARNING or ERROR, got \"%.40s\"", value);
        else if (which == 3) {
            cli->log_level = value;
            log_open(NULL, (enum log_level)log_level_from_name(value), 1);
        }
    }
    cli->home = home_find(home);
    return 0;
}

/* ---- finding the command ---- */

/* How many arguments of the line the command's words are; 0: it is another command. */
static int match_words(const struct cli *cli, const char *words)
{
    int n = 0;
    while (*words) {
        size_t len = strcspn(words, " ");
        if (n >= cli->argc || strlen(cli->argv[n]) != len || strncmp(cli->argv[n], words, len) != 0)
            return 0;
        n++;
        words += len;
        words += strspn(words, " ");
    }
    return n;
}

static const struct cli_command *find_command(const struct cli *cli, int *ret_words)
{
    const struct cli_command *best = NULL;
    for (const struct cli_command *c = cli_commands; c->words; c++) {
        int n = match_words(cli, c->words);
        if (n > *ret_words) {
            *ret_words = n;
            best = c;
        }
    }
    return best;
}

static const json_t *find_operation(const struct cli *cli, const json_t *catalogue, int *ret_words)
{
    const json_t *best = NULL;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(catalogue, "operations"), i, entry)
    {
        const char *words = cvm_json_str(json_object_get(entry, "expose"), "cli", NULL);
        int n = words ? match_words(cli, words) : 0;
        if (n > *ret_words) {
            *ret_words = n;
            best = entry;
        }
    }
    return best;
}

struct suggestion {
    const char *words;
    size_t distance;
};

static void suggest(struct suggestion *best, const char *words, const char *typed)
{
    size_t distance = spec_distance(words, typed);
    for (int i = 0; i < SUGGESTIONS_MAX; i++)
        if (!best[i].words || distance < best[i].distance) {
            memmove(best + i + 1, best + i, (size_t)(SUGGESTIONS_MAX - 1 - i) * sizeof *best);
            best[i] = (struct suggestion){words, distance};
            return;
        }
}

/* A command nobody knows: names those that are spelt almost so. */
static int unknown_command(const struct cli *cli, const json_t *catalogue)
{
    char typed[WORDS_MAX_BYTES] = "", text[WORDS_MAX_BYTES] = "";
    struct suggestion best[SUGGESTIONS_MAX] = {{NULL, 0}};
    size_t words = 0, at = 0, i;
    json_t *entry;
    for (; (int)words < cli->argc && cli->argv[words][0] != '-' && words < 3 && at < sizeof typed; words++)
        at += (size_t)snprintf(typed + at, sizeof typed - at, "%s%s", words ? " " : "", cli->argv[words]);
    /* What follows the words of a command are its arguments: each length is tried. */
    for (; words > 0; words--) {
        for (const struct cli_command *c = cli_commands; c->words; c++)
            suggest(best, c->words, typed);
        json_array_foreach(json_object_get(catalogue, "operations"), i, entry)
        {
            const char *cli_words = cvm_json_str(json_object_get(entry, "expose"), "cli", NULL);
            if (cli_words)
                suggest(best, cli_words, typed);
        }
        char *space = strrchr(typed, ' ');
        if (!space)
            break;
        *space = 0;
    }
    at = 0;
    for (int k = 0; k < SUGGESTIONS_MAX && best[k].words && at < sizeof text; k++)
        if (best[k].distance <= 1 + strlen(best[k].words) / 4 &&
            (k == 0 || strcmp(best[k].words, best[k - 1].words) != 0))
            at += (size_t)snprintf(text + at, sizeof text - at, "%s\"%s\"", at ? " or " : "; did you mean ",
                                   best[k].words);
    const bool best_shown = at > 0;
    if (at == 0 && json_array_size(json_object_get(catalogue, "operations")) == 0)
        at = (size_t)snprintf(text, sizeof text,
                              "; no host runs in %.200s, and its manifests/ names no command: start the host, "
                              "or name another home with --home or CVMHOST_HOME",
                              strcmp(cli->home, ".") == 0 ? "the working directory" : cli->home);
    const char *second = cli->argc > 1 ? cli->argv[1] : "";
    bool both = second[0] && second[strspn(second, "abcdefghijklmnopqrstuvwxyz")] == 0;
    return cli_fail(CLI_USAGE, "there is no command \"%.60s%s%.60s\"%s%s", cli->argv[0], both ? " " : "",
                    both ? second : "", text,
                    !at          ? "; see: cvmhost help"
                    : best_shown ? "?"
                                 : "");
}

static void look_at_output(struct cli *cli)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    cli->out = stdout;
    cli->terminal = isatty(STDOUT_FILENO);
    cli->color = cli->terminal && !(plain && *plain) && term && strcmp(term, "dumb") != 0;
}

int cli_redirect(struct cli *cli)
{
    if (!cli->output_file || cli->out != stdout)
        return CLI_OK;
    FILE *out = fopen(cli->output_file, "we");
    if (!out)
        return cli_fail(CLI_FAILED, "%s: %s", cli->output_file, strerror(errno));
    cli->out = out;
    cli->terminal = cli->color = false;
    return CLI_OK;
}

static int run_line(struct cli *cli)
{
    look_at_output(cli);
    if (cli->argc == 0 || (cli->help && cli->argv[0][0] == '-')) {
        cli->argc = 0;
        int status = cli_help(cli);
        return cli->help ? status : CLI_USAGE;
    }
    if (cli->argv[0][0] == '-') {
        if (strcmp(cli->argv[0], "--version") == 0 && cli->argc == 1) {
            cli->argc = 0;
            return cli_version(cli);
        }
        return cli_fail(CLI_USAGE, "%.60s: a command comes first, its options follow; see: cvmhost help", cli->argv[0]);
    }
    if (strcmp(cli->argv[0], "complete") == 0) { /* hidden: for the shells */
        cli->argc--;
        cli->argv++;
        return cli_complete(cli);
    }
    int words = 0, status;
    const struct cli_command *command = find_command(cli, &words);
    json_t *catalogue = NULL;
    const json_t *entry = NULL;
    if (!command || strchr(command->words, ' ')) { /* a manifest may go deeper than ours */
        catalogue = cli_catalogue(cli, cli->argv[0]);
        entry = find_operation(cli, catalogue, &words);
    }
    if (!entry && command && cli->help) {
        status = help_command(command);
    } else if (entry || (command && command->run)) {
        cli->argc -= words;
        cli->argv += words;
        status = !entry      ? command->run(cli)
                 : cli->help ? cli_operation_help(cli, catalogue, entry)
                             : cli_run_operation(cli, catalogue, entry);
    } else if (help_group(cli, catalogue, cli->help ? stdout : stderr)) {
        status = cli->help ? CLI_OK : CLI_USAGE;
    } else {
        json_t *all = cli_catalogue(cli, NULL);
        status = unknown_command(cli, all);
        json_decref(all);
    }
    json_decref(catalogue);
    return status;
}

/* Results that could not be written are told, unless whoever read them has gone. Gives the exit status. */
static int close_output(const struct cli *cli, int status)
{
    const char *name = cli->out == stdout ? "standard output" : cli->output_file;
    cli_flush(cli);
    bool failed = ferror(cli->out);
    if (cli->out != stdout && fclose(cli->out) != 0) {
        output_error = output_error ? output_error : errno;
        failed = true;
    }
    if (!failed)
        return status;
    if (output_error != EPIPE)
        cli_fail(CLI_FAILED, "%s: %s", name, output_error ? strerror(output_error) : "not all of it could be written");
    return status == CLI_OK ? CLI_FAILED : status;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {.parallel = 8, .no_start = !cli_may_start()};
    char **rest = cli.argv = calloc((size_t)argc + 1, sizeof *argv);
    if (!rest)
        return CLI_FAILED;
    int status = take_options(&cli, argc - 1, argv + 1);
    if (status == 0)
        status = run_line(&cli);
    if (cli.out)
        status = close_output(&cli, status);
    free(rest);
    cli_close(&cli);
    return status;
}
