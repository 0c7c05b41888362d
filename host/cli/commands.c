/* The commands that ask a running host and show what it says. */
#include "cli/call.h"
#include "cli/cli.h"

#include "cli/private.h"
#include "cli/show.h"
#include "core/config.h"
#include "core/file.h"
#include "services/catalogue.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define DATA_MAX_BYTES (1024 * 1024)

/* ---- what is loaded ---- */

static void show_totals(const struct cli *cli, const json_t *totals)
{
    const char *name;
    json_t *value;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)totals, name, value)
    {
        char *cell = show_cell(value);
        if (cell && cell[0])
            fprintf(cli->out, "%s%s %s", first ? "\n" : ", ", name, cell);
        first = false;
        free(cell);
    }
    fputc('\n', cli->out);
}

int cli_ps(struct cli *cli)
{
    json_t *data = NULL;
    int status = cli_arguments(cli, "ps", NULL, 0, NULL, 0, 0);
    if (status == CLI_OK)
        status = cli_ask(cli, json_pack("{s:s}", "do", "ps"), &data);
    if (status != CLI_OK)
        return status;
    json_t *columns = show_names("id alias plugin status turns queued lent settled dead refused errors faults busy");
    if (cli->output == OUTPUT_JSON || cli->output == OUTPUT_CSV) {
        show_result(cli, data, "components", NULL);
    } else {
        show_table(cli, json_object_get(data, "components"), columns);
        show_totals(cli, json_object_get(data, "totals"));
    }
    json_decref(columns);
    json_decref(data);
    return CLI_OK;
}

int cli_ask_name(struct cli *cli, const char *usage, const char *what)
{
    const char *name = NULL;
    json_t *data = NULL;
    int status = cli_arguments(cli, usage, NULL, 0, &name, 1, 1);
    if (status == CLI_OK)
        status = cli_ask(cli, json_pack("{s:s, s:s}", "do", what, "name", name), &data);
    if (status == CLI_OK)
        show_result(cli, data, NULL, NULL);
    json_decref(data);
    return status;
}

int cli_conversation_show(struct cli *cli)
{
    return cli_ask_name(cli, "conversation show ID", "conversation");
}

int cli_metrics(struct cli *cli)
{
    json_t *data = NULL;
    int status = cli_arguments(cli, "metrics", NULL, 0, NULL, 0, 0);
    if (status == CLI_OK)
        status = cli_ask(cli, json_pack("{s:s}", "do", "metrics"), &data);
    if (status == CLI_OK && cli->output == OUTPUT_JSON)
        show_json(cli, data);
    else if (status == CLI_OK)
        show_text(cli->out, cvm_json_str(data, "text", ""));
    json_decref(data);
    return status;
}

/* ---- calling ---- */

/* JSON from the argument itself, from "@file" or from standard input ("-"). */
static json_t *read_json(const char *argument, bool is_file, char *ret_error, size_t error_size)
{
    json_error_t error;
    json_t *value = NULL;
    if (strcmp(argument, "-") == 0) {
        value = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
        if (!value)
            snprintf(ret_error, error_size, "standard input: %s (line %d)", error.text, error.line);
    } else if (is_file || argument[0] == '@') {
        (void)file_json(is_file ? argument : argument + 1, DATA_MAX_BYTES, false, &value, ret_error, error_size);
    } else if (!(value = json_loads(argument, JSON_REJECT_DUPLICATES, &error))) {
        snprintf(ret_error, error_size, "%s (byte %d)", error.text, error.position);
    }
    return value;
}

/* The operation as the host knows it; none in it where it does not (the host will say so itself). */
static int ask_catalogue(struct cli *cli, const char *component, const char *type, json_t **ret_catalogue)
{
    return cli_ask(cli, json_pack("{s:s, s:s, s:s}", "do", "operations", "component", component, "type", type),
                   ret_catalogue);
}

static int call_component(struct cli *cli, const char *component, const char *type, const char *text)
{
    char error[512] = "", fresh[32];
    json_t *data = text ? read_json(text, false, error, sizeof error) : json_object();
    if (!data)
        return cli_fail(CLI_USAGE, "--data: %s", error);
    if (!json_is_object(data)) {
        json_decref(data);
        return cli_fail(CLI_USAGE, "--data: expected a JSON object");
    }
    json_t *catalogue = NULL;
    int status = ask_catalogue(cli, component, type, &catalogue);
    const json_t *entry = json_array_get(json_object_get(catalogue, "operations"), 0);
    call_new_key(fresh);
    struct call call = {.to = component, .type = type, .data = data};
    call.key = cli->key ? cli->key : cvm_json_bool(entry, "durable", false) ? fresh : NULL;
    if (!cli->file)
        call_tell_key(catalogue, entry, cli->key, data);
    if (catalogue && cli->file && !entry)
        status = cli_fail(CLI_NOT_FOUND, "there is no operation %s of %s", type, component);
    else if (catalogue && cli->file)
        status = batch_run(cli, catalogue, entry, &call);
    else if (catalogue)
        status = call_run(cli, &call, json_object_get(entry, "expose"));
    json_decref(catalogue);
    json_decref(data);
    return status;
}

static int call_envelope(struct cli *cli, const char *component, const char *type, const char *file)
{
    char error[512] = "";
    json_t *envelope = read_json(file, true, error, sizeof error);
    if (!envelope)
        return cli_fail(CLI_USAGE, "--envelope: %s", error);
    const char *recipient = cvm_json_str(envelope, "recipient", component),
               *its_type = cvm_json_str(envelope, "type", type);
    int status;
    if (type && strcmp(its_type, type) != 0) {
        status = cli_fail(CLI_USAGE, "type: the envelope says \"%.80s\", the command \"%.80s\"", its_type, type);
    } else if (component && !strchr(component, '.') && strchr(recipient, '.')) { /* an alias beside an id */
        struct call call = {.envelope = envelope, .key = cli->key};
        status = call_run(cli, &call, NULL);
    } else if (component && strcmp(recipient, component) != 0) {
        status =
            cli_fail(CLI_USAGE, "recipient: the envelope says \"%.80s\", the command \"%.80s\"", recipient, component);
    } else {
        struct call call = {.envelope = envelope, .key = cli->key};
        status = call_run(cli, &call, NULL);
    }
    json_decref(envelope);
    return status;
}

int cli_agent_call(struct cli *cli)
{
    const char *words[2] = {NULL, NULL}, *data = NULL, *envelope = NULL;
    const struct cli_option options[] = {{"data", &data}, {"envelope", &envelope}};
    static const char usage[] = "agent call COMPONENT TYPE [--data JSON|@FILE|-] [--envelope FILE]";
    int status = cli_arguments(cli, usage, options, 2, words, 0, 2);
    if (status != CLI_OK)
        return status;
    if (envelope && data)
        return cli_fail(CLI_USAGE, "--data stands in the envelope already");
    if (envelope)
        return call_envelope(cli, words[0], words[1], envelope);
    if (!words[1])
        return cli_missing(usage, words[0] ? 1 : 0);
    return call_component(cli, words[0], words[1], data);
}

/* ---- watching ---- */

int cli_bus_tail(struct cli *cli)
{
    const char *topic = NULL, *component = NULL, *type = NULL;
    const struct cli_option options[] = {{"topic", &topic}, {"component", &component}, {"type", &type}};
    int status = cli_arguments(cli, "bus tail [--topic T] [--component C] [--type TYPE]", options, 3, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    struct client *client = NULL;
    cli->no_start = true; /* nothing passes on a host of our own */
    status = cli_open(cli, &client);
    if (status != CLI_OK)
        return status;
    json_t *line = json_pack("{s:i, s:s, s:s*, s:s*, s:s*}", "id", 1, "do", "tail", "topic", topic, "component",
                             component, "type", type);
    /* People at a terminal get a line to read, programs and files the whole envelope. */
    bool brief = cli->output == OUTPUT_TABLE || (cli->output == OUTPUT_DEFAULT && cli->terminal);
    int error = client_send(client, line);
    while (error == 0 && status == CLI_OK && !ferror(cli->out)) {
        error = client_next(client, cli->timeout_ms ? cli->timeout_ms : -1, &line);
        if (error < 0)
            break;
        const json_t *envelope = json_object_get(line, "envelope"), *failed = json_object_get(line, "error");
        if (failed)
            status = cli_show_error(cli, failed);
        else if (envelope && brief)
            show_envelope(cli, cli->out, envelope);
        else if (envelope)
            show_line(cli, envelope);
        json_decref(line);
    }
    client_free(client);
    if (error == CVM_EIO)
        status = cli_fail(CLI_FAILED, "the host closed the connection");
    return status;
}

/* ---- what is stored ---- */

bool cli_read_number(const char *text, int64_t *ret_value)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end)
        return false;
    *ret_value = value;
    return true;
}

/* An empty list shows its columns too, so that it is seen to be one. */
int cli_show_stored(struct cli *cli, json_t *request, const char *column_names)
{
    json_t *data = NULL;
    int status = cli_ask(cli, request, &data);
    if (status != CLI_OK)
        return status;
    const json_t *rows = json_object_get(data, "rows");
    json_t *columns = show_names(cvm_json_str(data, "columns", column_names));
    show_rows(cli, rows, columns);
    json_decref(columns);
    if (cvm_json_bool(data, "more", false))
        fprintf(stderr, "cvmhost: there are more; see --limit%s\n",
                json_object_get(json_array_get(rows, 0), "key") ? " and --after" : "");
    json_decref(data);
    return CLI_OK;
}

int cli_show_one(struct cli *cli, json_t *request)
{
    json_t *data = NULL;
    int status = cli_ask(cli, request, &data);
    if (status == CLI_OK)
        show_result(cli, data, NULL, NULL);
    json_decref(data);
    return status;
}

bool cli_put_limit(json_t *request, const char *limit)
{
    int64_t n = 0;
    if (!limit)
        return true;
    if (!cli_read_number(limit, &n)) {
        json_decref(request);
        cli_fail(CLI_USAGE, "--limit: expected a number, got \"%.40s\"", limit);
        return false;
    }
    json_object_set_new(request, "limit", json_integer(n));
    return true;
}

int cli_state_stores(struct cli *cli)
{
    int status = cli_arguments(cli, "state stores", NULL, 0, NULL, 0, 0);
    return status == CLI_OK ? cli_show_stored(cli, json_pack("{s:s}", "do", "state.stores"), "store keys") : status;
}

int cli_state_list(struct cli *cli)
{
    const char *store = NULL, *prefix = NULL, *after = NULL, *limit = NULL;
    const struct cli_option options[] = {{"prefix", &prefix}, {"after", &after}, {"limit", &limit}};
    int status =
        cli_arguments(cli, "state list STORE [--prefix P] [--after KEY] [--limit N]", options, 3, &store, 1, 1);
    if (status != CLI_OK)
        return status;
    json_t *request =
        json_pack("{s:s, s:s, s:s*, s:s*}", "do", "state.list", "store", store, "prefix", prefix, "after", after);
    return cli_put_limit(request, limit) ? cli_show_stored(cli, request, "key version value") : CLI_USAGE;
}

int cli_state_get(struct cli *cli)
{
    const char *words[2] = {NULL, NULL};
    int status = cli_arguments(cli, "state get STORE KEY", NULL, 0, words, 2, 2);
    if (status != CLI_OK)
        return status;
    return cli_show_one(cli, json_pack("{s:s, s:s, s:s}", "do", "state.get", "store", words[0], "key", words[1]));
}

/* Any JSON: as it stands, of "@file", or of standard input ("-"). */
static json_t *read_value(const char *argument, char *ret_error, size_t error_size)
{
    json_error_t error;
    const size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES;
    json_t *value = strcmp(argument, "-") == 0 ? json_loadf(stdin, flags, &error)
                    : argument[0] == '@'       ? json_load_file(argument + 1, flags, &error)
                                               : json_loads(argument, flags, &error);
    if (!value)
        snprintf(ret_error, error_size, "expected JSON (a text stands in double quotes): %s", error.text);
    return value;
}

static bool put_version(json_t *request, const char *version)
{
    int64_t n = 0;
    if (!version)
        return true;
    if (!cli_read_number(version, &n) || n < 0) {
        json_decref(request);
        cli_fail(CLI_USAGE, "--if-version: expected a number from 0, got \"%.40s\"", version);
        return false;
    }
    json_object_set_new(request, "if_version", json_integer(n));
    return true;
}

int cli_state_put(struct cli *cli)
{
    const char *words[3] = {NULL, NULL, NULL}, *version = NULL;
    const struct cli_option options[] = {{"if-version", &version}};
    char error[512];
    int status = cli_arguments(cli, "state put STORE KEY JSON|@FILE|- [--if-version N]", options, 1, words, 3, 3);
    if (status != CLI_OK)
        return status;
    json_t *value = read_value(words[2], error, sizeof error);
    if (!value)
        return cli_fail(CLI_USAGE, "%s", error);
    json_t *request =
        json_pack("{s:s, s:s, s:s, s:o}", "do", "state.put", "store", words[0], "key", words[1], "value", value);
    return put_version(request, version) ? cli_show_one(cli, request) : CLI_USAGE;
}

int cli_state_delete(struct cli *cli)
{
    const char *words[2] = {NULL, NULL}, *version = NULL;
    const struct cli_option options[] = {{"if-version", &version}};
    int status = cli_arguments(cli, "state delete STORE KEY [--if-version N]", options, 1, words, 2, 2);
    if (status != CLI_OK)
        return status;
    json_t *request = json_pack("{s:s, s:s, s:s}", "do", "state.delete", "store", words[0], "key", words[1]);
    return put_version(request, version) ? cli_show_one(cli, request) : CLI_USAGE;
}

/* ---- configuration ---- */

/* Of the running host; where none runs, of the files as a host would read them now. */
int cli_config_show(struct cli *cli)
{
    const char *path = NULL;
    char text[512];
    int status = cli_arguments(cli, "config show [PATH]", NULL, 0, &path, 0, 1);
    if (status != CLI_OK)
        return status;
    struct client *client = NULL;
    int error = cli->config_file ? CVM_ENOENT : client_open(cli->home, &client, text, sizeof text);
    client_free(client);
    if (error == 0)
        return cli_show_one(cli, json_pack("{s:s, s:s*}", "do", "config", "path", path));
    struct config *config = NULL;
    if (config_load(cli->home, cli->config_file, &config, text, sizeof text) < 0)
        return cli_fail(CLI_CONFIG, "%s", text);
    json_t *all = config_show(config);
    const json_t *value = path ? catalogue_setting(all, path) : all;
    if (!value)
        status = cli_fail(CLI_NOT_FOUND, "there is no setting %s", path);
    else if (json_is_object(value) || cli->output == OUTPUT_JSON)
        show_result(cli, value, NULL, NULL);
    json_decref(all);
    config_free(config);
    return status;
}
