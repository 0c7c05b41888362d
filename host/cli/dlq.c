/* The commands about dead letters: look at them, send them again. */
#include "cli/call.h"
#include "cli/cli.h"

#include "cli/private.h"
#include "cli/show.h"

#define PAGE 200

static const char *const no_number = "expected the number of a dead letter, as \"cvmhost dlq list\" shows it";

int cli_dlq_list(struct cli *cli)
{
    const char *limit = NULL, *component = NULL;
    const struct cli_option options[] = {{"limit", &limit}, {"component", &component}};
    bool open = cli_take_flag(cli, "--open", NULL);
    int status = cli_arguments(cli, "dlq list [--open] [--component C] [--limit N]", options, 2, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    json_t *request = json_pack("{s:s, s:b, s:s*}", "do", "dlq.list", "open", open, "component", component);
    return cli_put_limit(request, limit)
               ? cli_show_stored(cli, request, "id at component type reason message_id redriven_at redriven_as")
               : CLI_USAGE;
}

int cli_dlq_show(struct cli *cli)
{
    const char *text = NULL;
    int64_t no;
    int status = cli_arguments(cli, "dlq show NUMBER", NULL, 0, &text, 1, 1);
    if (status != CLI_OK)
        return status;
    if (!cli_read_number(text, &no))
        return cli_fail(CLI_USAGE, "%s", no_number);
    return cli_show_one(cli, json_pack("{s:s, s:I}", "do", "dlq.show", "no", (json_int_t)no));
}

/* ---- sending again ---- */

struct redrive {
    struct cli *cli;
    struct client *client;
    const char *component; /* NULL: of all */
    int64_t last;          /* what comes to be a dead letter meanwhile is not sent again */
    size_t sent, refused, failed;
};

static int redrive_one(struct cli *cli, const char *text)
{
    int64_t no;
    if (!cli_read_number(text, &no))
        return cli_fail(CLI_USAGE, "%s", no_number);
    json_t *data = json_pack("{s:I}", "number", (json_int_t)no);
    struct call call = {.to = "host.redrive", .type = "redrive", .data = data};
    int status = call_run(cli, &call, NULL);
    json_decref(data);
    return status;
}

/* Asks on the one connection; takes `line`. NULL: the connection has ended, and that was said. */
static json_t *ask(struct redrive *r, json_t *line)
{
    json_t *answer = NULL;
    json_object_set_new(line, "id", json_integer(1));
    int error = client_send(r->client, line);
    if (error == 0)
        error = client_next(r->client, r->cli->timeout_ms ? r->cli->timeout_ms : -1, &answer);
    if (error < 0)
        cli_fail(CLI_FAILED,
                 error == CVM_ETIMEOUT ? "no answer yet; what was sent goes on" : "the host closed the connection");
    return answer;
}

static void tell(struct redrive *r, const json_t *letter, const json_t *answer)
{
    const json_t *data = json_object_get(answer, "data");
    const char *outcome = cvm_json_str(answer, "outcome", "ERROR"), *code = cvm_json_str(data, "code", "");
    const char *why = cvm_json_str(data, "message", cvm_json_str(json_object_get(answer, "error"), "text", code));
    bool sent = strcmp(outcome, "REPLIED") == 0, refused = strcmp(outcome, "REFUSED") == 0;
    r->sent += sent;
    r->refused += refused;
    r->failed += !sent && !refused;
    if (r->cli->output == OUTPUT_JSON) {
        json_t *line = json_pack("{s:O, s:O, s:O, s:s, s:O*}", "number", json_object_get(letter, "id"), "component",
                                 json_object_get(letter, "component"), "type", json_object_get(letter, "type"),
                                 "outcome", outcome, "data", data);
        show_line(r->cli, line);
        json_decref(line);
        return;
    }
    fprintf(r->cli->out, "%lld  %s  %s  ", (long long)cvm_json_int(letter, "id", 0),
            cvm_json_str(letter, "component", "?"), cvm_json_str(letter, "type", "?"));
    show_text(r->cli->out, sent ? cvm_json_str(data, "redriven_as", "done") : why);
    fputc('\n', r->cli->out);
    cli_flush(r->cli);
}

/* The next page of letters behind `after`; NULL: said. */
static json_t *page(struct redrive *r, int64_t after, int limit)
{
    json_t *line =
        json_pack("{s:s, s:b, s:i, s:s*}", "do", "dlq.list", "open", 1, "limit", limit, "component", r->component);
    if (after >= 0)
        json_object_set_new(line, "after", json_integer(after));
    json_t *answer = ask(r, line), *rows = json_incref(json_object_get(json_object_get(answer, "data"), "rows"));
    if (answer && !rows)
        cli_show_error(r->cli, json_object_get(answer, "error"));
    json_decref(answer);
    return rows;
}

static int redrive_page(struct redrive *r, const json_t *rows, int64_t *after)
{
    size_t i;
    json_t *letter;
    json_array_foreach((json_t *)(uintptr_t)rows, i, letter)
    {
        *after = cvm_json_int(letter, "id", 0);
        if (*after > r->last)
            return CLI_OK;
        json_t *answer = ask(r, json_pack("{s:s, s:s, s:s, s:{s:I}}", "do", "call", "to", "host.redrive", "type",
                                          "redrive", "data", "number", (json_int_t)*after));
        if (!answer)
            return CLI_FAILED;
        tell(r, letter, answer);
        json_decref(answer);
    }
    return CLI_OK;
}

static int redrive_all(struct redrive *r)
{
    int64_t after = 0;
    int status = CLI_OK;
    json_t *rows = page(r, -1, 1);
    if (!rows)
        return CLI_FAILED;
    r->last = cvm_json_int(json_array_get(rows, 0), "id", 0);
    while (status == CLI_OK && after < r->last) {
        json_decref(rows);
        rows = page(r, after, PAGE);
        if (!rows)
            return CLI_FAILED;
        if (json_array_size(rows) == 0)
            break;
        status = redrive_page(r, rows, &after);
    }
    json_decref(rows);
    if (status != CLI_OK)
        return status;
    if (r->refused + r->failed == 0) {
        if (r->sent == 0 && r->cli->output != OUTPUT_JSON)
            fputs("there is none to redrive\n", r->cli->out);
        return CLI_OK;
    }
    return cli_fail(r->failed ? CLI_FAILED : CLI_REFUSED, "%zu of %zu were not redriven", r->refused + r->failed,
                    r->sent + r->refused + r->failed);
}

int cli_dlq_redrive(struct cli *cli)
{
    static const char usage[] = "dlq redrive NUMBER | --all [--component C]";
    const char *number = NULL;
    struct redrive r = {.cli = cli};
    const struct cli_option options[] = {{"component", &r.component}};
    bool all = cli_take_flag(cli, "--all", NULL);
    int status = cli_arguments(cli, usage, options, 1, &number, 0, 1);
    if (status != CLI_OK)
        return status;
    if (!all && !number)
        return cli_missing("dlq redrive NUMBER", 0);
    if (number && (all || r.component))
        return cli_fail(CLI_USAGE, "a NUMBER, or --all, not both\nusage: cvmhost %s", usage);
    if (number)
        return redrive_one(cli, number);
    status = cli_open(cli, &r.client);
    if (status == CLI_OK)
        status = redrive_all(&r);
    client_free(r.client);
    return status;
}
