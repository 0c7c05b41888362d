/* One request to the host and how it ended; the help of an operation. A call with a key is sent again when the
 * connection breaks: the host does it once. */
#include "cli/call.h"

#include "cli/job.h"
#include "cli/private.h"
#include "cli/show.h"
#include "services/home.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define RECONNECT_MS 15000 /* the host is being started again */

enum cli_status cli_outcome_status(const char *outcome, const json_t *data)
{
    if (strcmp(outcome, "REPLIED") == 0)
        return CLI_OK;
    if (strcmp(outcome, "REFUSED") != 0)
        return CLI_FAILED;
    const json_t *error = json_object_get(data, "error");
    const char *code = cvm_json_str(data, "code", cvm_json_str(data, "error_code", ""));
    if (!code[0])
        code = json_is_string(error) ? json_string_value(error) : cvm_json_str(error, "code", "");
    size_t len = strlen(code);
    return len >= 9 && strcmp(code + len - 9, "NOT_FOUND") == 0 ? CLI_NOT_FOUND : CLI_REFUSED;
}

void call_new_key(char ret_key[32])
{
    uint64_t bits = 0;
    if (getrandom(&bits, sizeof bits, 0) != sizeof bits)
        bits = (uint64_t)time(NULL);
    snprintf(ret_key, 32, "cmd-%016llx", (unsigned long long)bits);
}

int call_reconnect(const char *home, struct client **client)
{
    char text[512];
    client_free(*client);
    *client = NULL;
    for (int waited = 0; waited < RECONNECT_MS; waited += 100) {
        int error = client_open(home, client, text, sizeof text);
        if (error != CVM_ENOENT)
            return error;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    return CVM_ENOENT;
}

static const char *message_of(const json_t *data)
{
    static const char *const names[] = {"message", "error", "recommendation", "reason", "text"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const json_t *value = json_object_get(data, names[i]);
        if (json_is_object(value))
            value = json_object_get(value, "message");
        if (json_is_string(value))
            return json_string_value(value);
    }
    return NULL;
}

/* What people can do next about a result that is none; "" where the message says all. */
static const char *advice_for(const char *outcome, const char *code)
{
    if (strcmp(outcome, "TIMEOUT") == 0)
        return "; what was begun may still be done, so look before you repeat it";
    if (strcmp(outcome, "ERROR") == 0 && code && (strcmp(code, "FAILED") == 0 || strcmp(code, "NOT_ALLOWED") == 0))
        return "; the log may say more: cvmhost log tail";
    return "";
}

/* A result that is not the operation's answer: the body for programs, a sentence for people. */
static int show_failure(struct cli *cli, const char *outcome, const json_t *data)
{
    int status = cli_outcome_status(outcome, data);
    const char *code = cvm_json_str(data, "code", NULL), *field = cvm_json_str(data, "field", NULL);
    const char *message = message_of(data);
    bool unknown = strcmp(outcome, "UNKNOWN") == 0, own_body = !code && (unknown || strcmp(outcome, "REFUSED") == 0);
    if (cli->output == OUTPUT_JSON) {
        json_t *body = own_body && !unknown
                           ? json_incref((json_t *)(uintptr_t)data)
                           : json_pack("{s:{s:s, s:s, s:s, s:s*, s:O*}}", "error", "outcome", outcome, "code",
                                       code ? code : outcome, "message", message ? message : "", "field", field, "data",
                                       own_body ? data : NULL);
        show_json(cli, body);
        json_decref(body);
    } else if (own_body) {
        show_object(cli, data, NULL);
    }
    char low[16];
    snprintf(low, sizeof low, "%s", strcmp(outcome, "ERROR") == 0 ? "failed" : outcome);
    for (char *at = low; *at; at++)
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at + 32) : *at;
    if (!message && strcmp(outcome, "TIMEOUT") == 0)
        message = "no answer came in time";
    if (!message && strcmp(outcome, "BUSY") == 0)
        message = "the component takes nothing more at the moment";
    const char *advice = advice_for(outcome, code);
    if (code && strcmp(code, outcome) == 0)
        code = NULL; /* said already */
    return cli_fail(status, "%s: %s%s%s%s%s%s%s", low, message ? message : "no reason was given", code ? " (" : "",
                    code ? code : "", code && field ? ", field " : "", code && field ? field : "", code ? ")" : "",
                    advice);
}

void call_tell_key(const json_t *catalogue, const json_t *entry, const char *key, json_t *data)
{
    if (key && !json_object_get(data, "idempotency_key") && spec_property(catalogue, entry, "idempotency_key"))
        json_object_set_new(data, "idempotency_key", json_string(key));
}

static json_t *call_line(const struct cli *cli, const struct call *call)
{
    json_t *line = json_pack("{s:i, s:s, s:b}", "id", 1, "do", "call", "trace", cli->trace);
    if (call->envelope) {
        json_object_set(line, "envelope", call->envelope);
    } else {
        json_object_set_new(line, "to", json_string(call->to));
        json_object_set_new(line, "type", json_string(call->type));
        json_object_set(line, "data", call->data);
    }
    if (call->key)
        json_object_set_new(line, "key", json_string(call->key));
    return line;
}

int call_wait(struct cli *cli, const struct call *call, json_t **ret_last)
{
    struct client *client = NULL;
    json_t *line = NULL;
    int status = cli_open(cli, &client);
    if (status != CLI_OK)
        return status;
    int error = client_send(client, call_line(cli, call));
    int64_t patience = cli->timeout_ms ? cli->timeout_ms : -1;
    struct job_watch watch;
    job_watch_begin(&watch, cli);
    while (error == 0) {
        error = job_watch_next(&watch, client, patience, &line);
        if (error == CVM_EIO && call->key && call_reconnect(cli->home, &client) == 0) {
            error = client_send(client, call_line(cli, call));
            continue;
        }
        const json_t *envelope = error == 0 ? json_object_get(line, "trace") : NULL;
        if (!envelope)
            break;
        if (cli->output == OUTPUT_JSON) {
            struct cli err = *cli;
            err.out = stderr;
            show_line(&err, envelope);
        } else {
            show_envelope(cli, stderr, envelope);
        }
        json_decref(line);
        line = NULL;
    }
    client_free(client);
    if (error == CVM_ETIMEOUT && call->key) /* the request keeps its own deadline: the key must not answer "timeout" */
        return cli_fail(CLI_FAILED,
                        "timeout: no answer yet, the work goes on; to hear the end: the same command with --key %s",
                        call->key);
    if (error == CVM_ETIMEOUT)
        return cli_fail(CLI_FAILED, "timeout: no answer yet");
    if (error < 0)
        return cli_fail(CLI_FAILED, "the host closed the connection before the answer came");
    *ret_last = line;
    return CLI_OK;
}

int call_run(struct cli *cli, const struct call *call, const json_t *expose)
{
    json_t *last = NULL;
    int status = call_wait(cli, call, &last);
    if (status != CLI_OK)
        return status;
    const json_t *error = json_object_get(last, "error"), *data = json_object_get(last, "data");
    const char *outcome = cvm_json_str(last, "outcome", "ERROR");
    if (error) {
        status = cli_show_error(cli, error);
    } else if (strcmp(outcome, "REPLIED") == 0) {
        const char *rows = cvm_json_str(expose, "rows", NULL);
        const json_t *list =
            cli->output == OUTPUT_JSON && cvm_json_bool(expose, "list", false) ? json_object_get(data, rows) : NULL;
        if (cvm_json_bool(expose, "text", false) && json_is_string(json_object_get(data, "body"))) {
            fputs(cvm_json_str(data, "body", ""), cli->out);
            status = cvm_json_bool(data, "failed", false) ? CLI_FAILED : CLI_OK;
        } else {
            show_result(cli, list ? list : data, rows, json_object_get(expose, "columns"));
        }
        const char *content = cvm_json_str(last, "content", "");
        if (cli->output != OUTPUT_JSON && cli->output != OUTPUT_CSV && json_object_size(data) == 0 && content[0])
            fprintf(cli->out, "%s\n", content);
    } else {
        status = show_failure(cli, outcome, data);
    }
    json_decref(last);
    return status;
}

/* Results of operations stand in output/ of the home: a name or a path there, never elsewhere. What ends in .json or
 * .csv is that, unless another form was asked for. */
static int place_output(struct cli *cli)
{
    static char path[2 * HOME_PATH_MAX]; /* the command's, until its process ends */
    const char *name = cli->output_file, *end = name ? strrchr(name, '.') : NULL;
    char folder[HOME_PATH_MAX];
    if (!name || strncmp(name, "/dev/", 5) == 0)
        return CLI_OK;
    if (cli->output == OUTPUT_DEFAULT && end)
        cli->output = strcmp(end, ".json") == 0 ? OUTPUT_JSON : strcmp(end, ".csv") == 0 ? OUTPUT_CSV : OUTPUT_DEFAULT;
    if (home_path(cli->home, "output", folder, sizeof folder) < 0)
        return cli_fail(CLI_FAILED, "the path of the home is too long");
    size_t len = strlen(folder);
    if (strncmp(name, folder, len) == 0 && name[len] == '/')
        name += len + 1;
    else if (strncmp(name, "output/", 7) == 0)
        name += 7;
    bool leaves = name[0] == '/' || strncmp(name, "../", 3) == 0 || strstr(name, "/../") || strcmp(name, "..") == 0;
    if (leaves || !*name)
        return cli_fail(
            CLI_REFUSED,
            "--output-file %.200s: results are written into %.300s; give a name there, or redirect with > FILE",
            cli->output_file, folder);
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        return cli_fail(CLI_FAILED, "%.300s: %s", folder, strerror(errno));
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return cli_fail(CLI_USAGE, "--output-file: the path is too long");
    cli->output_file = path;
    return CLI_OK;
}

/* The form of an answer that is a text, by --output or the name of the file; --format says the same or nothing. */
static int place_format(const struct cli *cli, const json_t *catalogue, const json_t *entry, bool by_option,
                        json_t *request)
{
    const char *form = cli->output == OUTPUT_JSON ? "json" : cli->output == OUTPUT_CSV ? "csv" : NULL;
    const char *given = cvm_json_str(request, "format", form);
    bool text = cvm_json_bool(json_object_get(entry, "expose"), "text", false);
    if (!form || !text || cli->file || !spec_property(catalogue, entry, "format"))
        return CLI_OK;
    if (strcmp(given, form) != 0)
        return cli_fail(CLI_USAGE, "--format %s: %s says %s; leave one of them out", given,
                        by_option ? "--output" : "the name of --output-file", form);
    json_object_set_new(request, "format", json_string(form));
    return CLI_OK;
}

int cli_run_operation(struct cli *cli, const json_t *catalogue, const json_t *entry)
{
    const json_t *expose = json_object_get(entry, "expose");
    const char *words = cvm_json_str(expose, "cli", "");
    json_t *request = NULL;
    struct spec_error error;
    if (spec_request(cli, catalogue, entry, &request, &error) < 0) {
        char usage[1024];
        call_usage(catalogue, entry, usage, sizeof usage);
        return cli_fail(CLI_USAGE, "%s: %s\nusage: %s", words, error.text, usage);
    }
    bool by_option = cli->output != OUTPUT_DEFAULT;
    int placed = place_output(cli);
    if (placed == CLI_OK)
        placed = place_format(cli, catalogue, entry, by_option, request);
    if (placed == CLI_OK)
        placed = cli_redirect(cli);
    if (placed != CLI_OK) {
        json_decref(request);
        return placed;
    }
    char fresh[32];
    call_new_key(fresh);
    struct call call = {.to = cvm_json_str(entry, "component", ""),
                        .type = cvm_json_str(entry, "type", ""),
                        .data = request,
                        .key = cli->key                                ? cli->key
                               : cvm_json_bool(entry, "durable", true) ? fresh
                                                                       : NULL};
    if (!cli->file)
        call_tell_key(catalogue, entry, cli->key, request);
    int status = cli->file ? batch_run(cli, catalogue, entry, &call) : call_run(cli, &call, expose);
    json_decref(request);
    return status;
}
