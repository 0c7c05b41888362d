/* `log tail`: the last lines of the host's log, read from the file; with --audit the last turns of the journal, asked
 * of the running host. People get a line each, programs the JSON. */
#include "cli/cli.h"

#include "cli/client.h"
#include "cli/private.h"
#include "cli/show.h"
#include "core/json_text.h"
#include "services/home.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINES_DEFAULT 20
#define LINES_MAX 1000
#define POLL_MS 300
#define WINDOW_BYTES (4 * 1024 * 1024) /* the end of a log file that is looked through */
#define DID_MAX_BYTES 300

struct tail {
    int64_t lines;
    bool audit, follow, brief;
};

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* ---- the audit log ---- */

/* "call vend, decision sell": what else the turn did, from its record. */
static void add_did(struct text *did, const json_t *list, const char *what, const char *member)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)list, i, one)
    {
        const json_t *value =
            json_is_array(one) ? json_array_get(one, (size_t)(*member - '0')) : json_object_get(one, member);
        if (json_is_string(value) && did->len < DID_MAX_BYTES)
            text_printf(did, "%s%s%s%s", did->len ? ", " : "", what, *what ? " " : "", json_string_value(value));
    }
}

static void add_notes(struct text *did, const json_t *notes)
{
    size_t i;
    json_t *note;
    json_array_foreach((json_t *)(uintptr_t)notes, i, note)
    {
        const json_t *data = json_array_get(note, 1);
        const char *what = json_string_value(json_array_get(note, 0)), *chose = cvm_json_str(data, "chose", NULL);
        if (!chose)
            chose = cvm_json_str(data, "code", NULL);
        if (what && did->len < DID_MAX_BYTES)
            text_printf(did, "%s%s%s%s", did->len ? ", " : "", what, chose ? " " : "", chose ? chose : "");
    }
}

static void show_turn(const struct cli *cli, const json_t *row)
{
    const json_t *record = json_object_get(row, "record"), *error = json_object_get(record, "error");
    const char *at = cvm_json_str(row, "at", ""), *subject = cvm_json_str(row, "subject", "");
    struct text did;
    text_init(&did, 4096);
    add_notes(&did, json_object_get(record, "notes"));
    add_did(&did, json_object_get(record, "calls"), "call", "name");
    add_did(&did, json_object_get(record, "jobs"), "job", "name");
    add_did(&did, json_object_get(record, "timers"), "timer", "type");
    add_did(&did, json_object_get(record, "denied"), "denied", "1");
    add_did(&did, json_object_get(record, "state"), "state", "0");
    add_did(&did, json_object_get(record, "rows"), "row of", "0");
    if (error)
        text_printf(&did, "%s%s", did.len ? ", " : "", cvm_json_str(error, "code", "error"));
    text_char(&did, 0);
    char *line = NULL;
    if (asprintf(&line, "%.23sZ  %-28s %-22s %-8s %s%s%s", at, cvm_json_str(row, "agent", "?"),
                 cvm_json_str(row, "action", "?"), cvm_json_str(row, "outcome", "?"), subject,
                 did.len > 1 && !did.failed ? "  " : "", did.failed ? "" : did.at) < 0)
        line = NULL;
    if (line)
        show_text(cli->out, line);
    fputc('\n', cli->out);
    cli_flush(cli);
    free(line);
    text_free(&did);
}

/* One answer of the host; shows its rows and sets *after to the last. Returns an exit status. */
static int show_turns(const struct cli *cli, const struct tail *t, const json_t *answer, int64_t *after)
{
    const json_t *failed = json_object_get(answer, "error"),
                 *rows = json_object_get(json_object_get(answer, "data"), "rows");
    size_t i;
    json_t *row;
    if (failed)
        return cli_show_error((struct cli *)(uintptr_t)cli, failed);
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        *after = cvm_json_int(row, "seq", *after);
        if (t->brief)
            show_turn(cli, row);
        else
            show_line(cli, row);
    }
    return CLI_OK;
}

static int tail_audit(struct cli *cli, const struct tail *t)
{
    struct client *client = NULL;
    int64_t after = 0;
    int status = cli_open(cli, &client);
    if (status != CLI_OK)
        return status;
    json_t *request = json_pack("{s:i, s:s, s:I}", "id", 1, "do", "audit", "limit", (json_int_t)t->lines);
    for (;;) {
        json_t *answer = NULL;
        int error = client_send(client, request);
        if (error == 0)
            error = client_next(client, 60000, &answer);
        if (error == 0)
            status = show_turns(cli, t, answer, &after);
        else
            status = cli_fail(CLI_FAILED, "the host closed the connection");
        json_decref(answer);
        if (status != CLI_OK || !t->follow || ferror(cli->out))
            break;
        pause_ms(POLL_MS);
        request = json_pack("{s:i, s:s, s:I, s:I}", "id", 1, "do", "audit", "limit", (json_int_t)LINES_MAX, "after",
                            (json_int_t)after);
    }
    client_free(client);
    return status;
}

/* ---- the log file ---- */

static void show_log_line(const struct cli *cli, const struct tail *t, const char *line, size_t len)
{
    json_t *entry = t->brief ? json_loadb(line, len, 0, NULL) : NULL;
    if (entry) {
        char *text = NULL;
        if (asprintf(&text, "%s  %-7s %s: %s", cvm_json_str(entry, "time", ""), cvm_json_str(entry, "level", ""),
                     cvm_json_str(entry, "about", ""), cvm_json_str(entry, "text", "")) >= 0) {
            show_text(cli->out, text);
            free(text);
        }
    } else {
        fwrite(line, 1, len, cli->out);
    }
    fputc('\n', cli->out);
    json_decref(entry);
}

/* Where the last `lines` lines of the text begin. */
static size_t last_lines(const char *text, size_t len, int64_t lines)
{
    size_t at = len;
    for (int64_t n = 0; at > 0; at--)
        if (text[at - 1] == '\n' && at < len && ++n == lines)
            break;
    return at;
}

/* Shows the whole lines of the file from `from` on; returns where the next one will begin. */
static off_t show_from(const struct cli *cli, const struct tail *t, FILE *file, off_t from, int64_t lines)
{
    char *text = malloc(WINDOW_BYTES);
    if (!text || fseeko(file, from, SEEK_SET) != 0) {
        free(text);
        return from;
    }
    clearerr(file);
    size_t len = fread(text, 1, WINDOW_BYTES, file), whole = len;
    while (whole && text[whole - 1] != '\n')
        whole--;
    for (size_t at = lines < 0 ? 0 : last_lines(text, whole, lines); at < whole;) {
        size_t n = (size_t)((char *)memchr(text + at, '\n', whole - at) - (text + at));
        show_log_line(cli, t, text + at, n);
        at += n + 1;
    }
    cli_flush(cli);
    free(text);
    return from + (off_t)whole;
}

static int tail_file(struct cli *cli, const struct tail *t)
{
    char path[HOME_PATH_MAX];
    struct stat now, opened;
    if (home_path(cli->home, HOME_LOG, path, sizeof path) < 0)
        return cli_fail(CLI_FAILED, "%s: too long a path", cli->home);
    FILE *file = fopen(path, "r");
    if (!file)
        return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s%s", path, strerror(errno),
                        errno == ENOENT ? "; has a host run in this home?" : "");
    fstat(fileno(file), &opened);
    off_t from = opened.st_size > WINDOW_BYTES ? opened.st_size - WINDOW_BYTES : 0;
    from = show_from(cli, t, file, from, t->lines);
    while (t->follow && !ferror(cli->out)) {
        pause_ms(POLL_MS);
        /* Rotated: another file stands there; cut: it begins anew. */
        if (stat(path, &now) == 0 && (now.st_ino != opened.st_ino || now.st_size < from)) {
            FILE *next = fopen(path, "r");
            if (!next)
                continue;
            fclose(file);
            file = next;
            fstat(fileno(file), &opened);
            from = 0;
        }
        from = show_from(cli, t, file, from, -1);
    }
    fclose(file);
    return CLI_OK;
}

/* ---- the command ---- */

int cli_log_tail(struct cli *cli)
{
    const char *n = NULL;
    const struct cli_option options[] = {{"n", &n}, {"lines", &n}};
    struct tail t = {.lines = LINES_DEFAULT};
    char *end = NULL;
    t.audit = cli_take_flag(cli, "--audit", NULL);
    t.follow = cli_take_flag(cli, "--follow", "-f");
    int status = cli_arguments(cli, "log tail [--audit] [-n N] [--follow]", options, 2, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    t.brief = cli->output == OUTPUT_TABLE || (cli->output == OUTPUT_DEFAULT && cli->terminal);
    if (n)
        t.lines = strtoll(n, &end, 10);
    if (n && (end == n || *end || t.lines < 1 || t.lines > LINES_MAX))
        return cli_fail(CLI_USAGE, "-n: expected 1 to %d lines, got \"%.40s\"", LINES_MAX, n);
    return t.audit ? tail_audit(cli, &t) : tail_file(cli, &t);
}
