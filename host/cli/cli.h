/* What the commands share: the options every command takes, exit statuses, and how a command ends with a sentence.
 * A command runs in the only thread of its process. */
#ifndef HOST_CLI_CLI_H
#define HOST_CLI_CLI_H

#include <cvm/json.h>
#include <stdio.h>

enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1, /* the work failed */
    CLI_USAGE = 2,
    CLI_CONFIG = 3, /* configuration or plugin error */
    CLI_NOT_FOUND = 4,
    CLI_REFUSED = 5 /* by a rule or limit */
};

struct client;

enum cli_output { OUTPUT_DEFAULT, OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_CSV };

struct cli {
    const char *home;        /* never NULL */
    const char *config_file; /* NULL: HOME/config/cvmhost.json */
    enum cli_output output;
    const char *output_file; /* NULL: standard output */
    const char *log_level;   /* NULL: none given */
    const char *key;         /* NULL: none given */
    const char *file;        /* batch: JSON lines; NULL: none */
    int parallel;
    int64_t timeout_ms; /* 0: the operation's own */
    bool trace, help;
    FILE *out;
    bool color, terminal; /* of `out` */
    /* private.c: */
    bool no_start;         /* a command that finds no host fails */
    bool greeted;          /* the host has answered once */
    struct client *keeper; /* while it is there a private host stays; NULL: the host is none */
    int argc;              /* the command's words and options; those that every command takes are out of it already */
    char **argv;
};

/* Runs a command line; argv[0] is the program. Returns the exit status. */
int cli_main(int argc, char **argv);

/* Says what went wrong on standard error and gives back `status`. */
int cli_fail(enum cli_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Hands over what was written to `out` so far. What fails is told when the command ends. */
void cli_flush(const struct cli *cli);

/* Opens --output-file, if there is one, as the place of results. CLI_FAILED after a sentence. */
int cli_redirect(struct cli *cli);

/* ---- walking a command line ---- */

enum arg_kind { ARG_END, ARG_WORD, ARG_OPTION };

struct args {
    int argc;
    char **argv;
    int at;
    bool only_words; /* after "--" */
    /* The current argument: */
    const char *text;    /* ARG_WORD */
    char name[80];       /* ARG_OPTION: without dashes, "_" turned into "-" */
    const char *inlined; /* ARG_OPTION: what follows "=" */
};

enum arg_kind args_next(struct args *args);
/* The value of the current option: after "=", or the next argument. NULL: there is none. */
const char *args_value(struct args *args);

/* Takes an option that every command has besides --home, --config, --output, --log-level and --help. Returns 1 taken,
 * 0 not one of them, or a negative error with a sentence. */
int cli_common_option(struct cli *cli, struct args *args, char *ret_error, size_t error_size);

/* Takes an option without a value ("--now", brief "-n" or NULL) out of the line; whether it was there. */
bool cli_take_flag(struct cli *cli, const char *name, const char *brief);

/* A built-in command's own options: "name" with a value. Words go to `words` in order (NULL where not given). Returns
 * CLI_OK, or CLI_USAGE after a sentence. */
struct cli_option {
    const char *name;
    const char **value;
};
int cli_arguments(struct cli *cli, const char *usage, const struct cli_option *options, size_t n_options,
                  const char **words, size_t n_required, size_t n_words);

/* Says that word `n` of the usage line is missing. Returns CLI_USAGE. */
int cli_missing(const char *usage, size_t n);

/* ---- asking the host ---- */

/* Asks and waits. `request` is taken. CLI_OK gives *ret_data; else the sentence has been written. */
int cli_ask(struct cli *cli, json_t *request, json_t **ret_data);

/* A command of one name: asks {"do": what, "name"} and shows the answer. */
int cli_ask_name(struct cli *cli, const char *usage, const char *what);

/* Asks without a word about what goes wrong, and waits at most `timeout_ms` where --timeout says nothing else.
 * `request` is taken. Gives the data; NULL: there is none. */
json_t *cli_try(struct cli *cli, json_t *request, int64_t timeout_ms);

/* Asks and shows the one thing, or the stored rows in these columns (a list of names). `request` is taken. */
int cli_show_one(struct cli *cli, json_t *request);
int cli_show_stored(struct cli *cli, json_t *request, const char *column_names);
/* A whole number; false: it is none. */
bool cli_read_number(const char *text, int64_t *ret_value);
/* Puts --limit into the request; takes it back, after a sentence, when the number is no number. */
bool cli_put_limit(json_t *request, const char *limit);

/* The exit status of an error code of the control socket. */
enum cli_status cli_error_status(const char *code);
/* Writes an error of the control socket: {"code","field","text"}. Gives its exit status. */
int cli_show_error(struct cli *cli, const json_t *error);
/* How a request ended. */
enum cli_status cli_outcome_status(const char *outcome, const json_t *data);

/* ---- commands ---- */

struct cli_command {
    const char *words; /* "plugin list" */
    const char *usage; /* "[--kind KIND]" */
    const char *help;
    int (*run)(struct cli *cli); /* cli->argv starts after the words */
};
extern const struct cli_command cli_commands[]; /* ends with { NULL } */

int cli_ps(struct cli *cli);
int cli_plugin_list(struct cli *cli);
int cli_plugin_info(struct cli *cli);
int cli_plugin_new(struct cli *cli);
int cli_plugin_revive(struct cli *cli);
int cli_upgrade(struct cli *cli);
int cli_plugin_enable(struct cli *cli);
int cli_plugin_disable(struct cli *cli);
int cli_plugin_remove(struct cli *cli);
int cli_reload(struct cli *cli);
int cli_move(struct cli *cli);
int cli_rollback(struct cli *cli);
int cli_dev(struct cli *cli);
int cli_plugin_vet(struct cli *cli);
int cli_plugin_check(struct cli *cli);
int cli_sim(struct cli *cli);
int cli_job_list(struct cli *cli);
int cli_model_list(struct cli *cli);
int cli_model_train(struct cli *cli);
int cli_model_eval(struct cli *cli);
int cli_model_explain(struct cli *cli);
int cli_agent_list(struct cli *cli);
int cli_agent_call(struct cli *cli);
int cli_bus_tail(struct cli *cli);
int cli_why(struct cli *cli);
int cli_replay(struct cli *cli);
int cli_bisect(struct cli *cli);
int cli_replay_home(struct cli *cli, const char *home); /* all of it, every turn shown */
/* The newest `n` conversations through the plugins that lie in the home; refused where more than `most` turns differ.
 */
/* How many may differ: a number, or so many of a hundred. */
struct cli_most {
    double value;
    bool percent;
};
bool cli_read_most(const char *text, struct cli_most *ret_most); /* "2", "1.5%" */
int cli_replay_proves(struct cli *cli, int64_t n, const struct cli_most *most);
int cli_export(struct cli *cli);
int cli_import(struct cli *cli);
int cli_dlq_list(struct cli *cli);
int cli_dlq_show(struct cli *cli);
int cli_dlq_redrive(struct cli *cli);
int cli_state_stores(struct cli *cli);
int cli_state_list(struct cli *cli);
int cli_state_get(struct cli *cli);
int cli_state_put(struct cli *cli);
int cli_state_delete(struct cli *cli);
int cli_log_tail(struct cli *cli);
int cli_journal_prune(struct cli *cli);
int cli_journal_stats(struct cli *cli);
int cli_backup(struct cli *cli);
int cli_restore(struct cli *cli);
int cli_db_check(struct cli *cli);
int cli_audit_verify(struct cli *cli);
int cli_audit_head(struct cli *cli);
int cli_audit_log(struct cli *cli);
int cli_audit_events(struct cli *cli);
int cli_conversation_show(struct cli *cli);
int cli_metrics(struct cli *cli);
int cli_config_show(struct cli *cli);
int cli_config_check(struct cli *cli);
int cli_version(struct cli *cli);
int cli_help(struct cli *cli);
int cli_completion(struct cli *cli);
int cli_complete(struct cli *cli); /* hidden: what could stand next, for the shells */
int cli_openapi(struct cli *cli);
int cli_permission_list(struct cli *cli);

/* ---- commands of manifests ---- */

/* {"operations", "documents"} of the running host, or of the files that it would load where none runs. `command`: only
 * those whose command begins with this word; NULL: all. Gives a new object. */
json_t *cli_catalogue(struct cli *cli, const char *command);
/* A setting of the running host, or of the files where none runs. Gives a new value; NULL: there is none. */
json_t *cli_setting(struct cli *cli, const char *path);

int cli_run_operation(struct cli *cli, const json_t *catalogue, const json_t *entry);
int cli_operation_help(struct cli *cli, const json_t *catalogue, const json_t *entry);

#endif
