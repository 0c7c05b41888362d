/* `audit verify`, which checks the hash chain of the journal, and `audit head`, which shows where it ends. */
#include "cli/audit.h"

#include "cli/show.h"
#include "core/hex.h"
#include "core/internal.h"
#include "services/home.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ERROR_SIZE 1024
#define PROGRESS_NS INT64_C(200000000)

/* ---- shared ---- */

int audit_cli_open(const struct cli *cli, sqlite3 **ret_db)
{
    char path[HOME_PATH_MAX], error[ERROR_SIZE] = "";
    if (home_path(cli->home, HOME_DATABASE, path, sizeof path) < 0)
        return cli_fail(CLI_FAILED, "%s: too long a path", cli->home);
    int e = audit_open(path, ret_db, error, sizeof error);
    return e ? cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_CONFIG, "%s", error) : CLI_OK;
}

static bool read_ago(const char *text, int64_t *ret_ms)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    int64_t unit = *end == 's' ? 1000 : *end == 'm' ? 60000 : *end == 'h' ? 3600000 : *end == 'd' ? 86400000 : 0;
    if (errno || end == text || !unit || end[1] || n < 0 || n > 100000000)
        return false;
    *ret_ms = clock_wall_ms() - n * unit;
    return true;
}

int audit_cli_since(const char *text, int64_t *ret_ms)
{
    struct tm t = {0};
    int used = 0, day = 0;
    *ret_ms = 0;
    if (!text || read_ago(text, ret_ms))
        return CLI_OK;
    if (sscanf(text, "%4d-%2d-%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &day) == 3) {
        const char *rest = text + day;
        bool good = !*rest;
        if (sscanf(rest, "%*1[T ]%2d:%2d%n", &t.tm_hour, &t.tm_min, &used) == 2) {
            rest += used;
            if (sscanf(rest, ":%2d%n", &t.tm_sec, &used) == 1)
                rest += used;
            good = !*rest || strcmp(rest, "Z") == 0;
        }
        t.tm_year -= 1900;
        t.tm_mon--;
        if (good && t.tm_mon >= 0 && t.tm_mon < 12 && t.tm_mday >= 1 && t.tm_mday <= 31 && t.tm_hour < 24 &&
            t.tm_min < 60) {
            *ret_ms = (int64_t)timegm(&t) * 1000;
            return CLI_OK;
        }
    }
    return cli_fail(CLI_USAGE, "--since: expected a time such as 2026-03-01, 2026-03-01T08:30Z or 12h, got \"%.60s\"",
                    text);
}

/* As `audit head` prints it: "123:<64 hexadecimal digits>". */
static bool read_head(const char *text, struct audit_place *ret_place)
{
    char *end;
    errno = 0;
    ret_place->seq = strtoll(text, &end, 10);
    return !errno && end > text && *end == ':' && ret_place->seq >= 1 &&
           hex_read(end + 1, ret_place->hash, AUDIT_HASH_BYTES);
}

/* Gives a new object; null where nothing is in the chain yet. */
static json_t *head_json(const struct audit_place *head)
{
    char at[32], hash[2 * AUDIT_HASH_BYTES + 1], whole[2 * AUDIT_HASH_BYTES + 32];
    if (!head->seq)
        return json_null();
    time_text(head->at_ms, at);
    hex_text(head->hash, AUDIT_HASH_BYTES, hash);
    snprintf(whole, sizeof whole, "%lld:%s", (long long)head->seq, hash);
    return json_pack("{s:I, s:s, s:s, s:s}", "seq", (json_int_t)head->seq, "at", at, "hash", hash, "head", whole);
}

/* ---- audit head ---- */

int cli_audit_head(struct cli *cli)
{
    sqlite3 *db = NULL;
    struct audit_place head;
    int status = cli_arguments(cli, "audit head", NULL, 0, NULL, 0, 0);
    if (status == CLI_OK)
        status = audit_cli_open(cli, &db);
    if (status != CLI_OK)
        return status;
    if (audit_read_head(db, &head) < 0) {
        status = cli_fail(CLI_CONFIG, "the journal cannot be read: %s", sqlite3_errmsg(db));
    } else if (!head.seq) {
        status = cli_fail(CLI_NOT_FOUND, "nothing is in the chain yet");
    } else {
        json_t *data = head_json(&head);
        show_result(cli, data, NULL, NULL);
        json_decref(data);
    }
    sqlite3_close(db);
    return status;
}

/* ---- audit verify ---- */

struct progress {
    int64_t began_ns, shown_ns, first;
};

static void show_progress(void *arg, int64_t seq, int64_t last)
{
    struct progress *p = arg;
    int64_t now = clock_ns();
    if (now - p->shown_ns < PROGRESS_NS && seq < last)
        return;
    if (!p->first)
        p->first = seq;
    p->shown_ns = now;
    fprintf(stderr, "\r%lld of %lld turns", (long long)seq, (long long)last);
    if (seq >= last)
        fputs("\r\033[K", stderr);
    fflush(stderr);
}

static json_t *fault_json(const struct audit_verdict *v)
{
    char at[32] = "";
    if (v->at_ms)
        time_text(v->at_ms, at);
    return json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:s}", "fault", audit_fault_name(v->fault), "seq",
                     (json_int_t)v->seq, "last_seq", (json_int_t)v->last_seq, "at", at, "component", v->component,
                     "type", v->type, "text", v->text);
}

static json_t *verdict_json(const struct audit_verdict *v, int64_t ns)
{
    int64_t n = v->rows + v->stubs;
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "holds", v->fault == AUDIT_HOLDS, "first_seq",
                     (json_int_t)v->first_seq, "rows", (json_int_t)v->rows, "pruned",
                     (json_int_t)(v->stubs + v->pruned), "outside", (json_int_t)v->outside, "ms",
                     (json_int_t)(ns / 1000000), "rows_per_s", (json_int_t)(ns > 0 ? (double)n * 1e9 / (double)ns : 0),
                     "head", head_json(&v->head), "fault", v->fault == AUDIT_HOLDS ? json_null() : fault_json(v));
}

static void tell(const struct cli *cli, const struct audit_verdict *v)
{
    char at[32], hash[2 * AUDIT_HASH_BYTES + 1];
    if (v->fault != AUDIT_HOLDS || !v->head.seq) {
        fprintf(cli->out, "%lld turns hold\n", (long long)v->rows);
        return;
    }
    time_text(v->head.at_ms, at);
    hex_text(v->head.hash, AUDIT_HASH_BYTES, hash);
    fprintf(cli->out, "the chain holds: %lld turns", (long long)v->rows);
    if (v->stubs + v->pruned)
        fprintf(cli->out, ", %lld pruned", (long long)(v->stubs + v->pruned));
    if (v->outside)
        fprintf(cli->out, ", %lld from before the chain not checked", (long long)v->outside);
    fprintf(cli->out, "\nhead: %lld:%s  %s\n", (long long)v->head.seq, hash, at);
}

static int fail(const struct audit_verdict *v)
{
    char at[32] = "?";
    if (v->at_ms)
        time_text(v->at_ms, at);
    if (*v->component)
        return cli_fail(CLI_FAILED, "the chain does not hold: %s (%s, %s of %s)", v->text, at, v->type, v->component);
    return cli_fail(CLI_FAILED, "the chain does not hold: %s%s%s", v->text,
                    v->at_ms ? "; the last row before is of " : "", v->at_ms ? at : "");
}

static int verify(struct cli *cli, sqlite3 *db, struct audit_check *check)
{
    struct progress progress = {.began_ns = clock_ns()};
    struct audit_verdict v;
    char error[ERROR_SIZE] = "";
    if (isatty(STDERR_FILENO) && cli->output != OUTPUT_JSON) {
        check->progress = show_progress;
        check->arg = &progress;
    }
    if (audit_verify(db, check, &v, error, sizeof error) < 0)
        return cli_fail(CLI_CONFIG, "%s; see: cvmhost audit verify --help", error);
    if (cli->output == OUTPUT_JSON || cli->output == OUTPUT_CSV) {
        json_t *data = verdict_json(&v, clock_ns() - progress.began_ns);
        show_result(cli, data, NULL, NULL);
        json_decref(data);
    } else {
        tell(cli, &v);
    }
    return v.fault == AUDIT_HOLDS ? CLI_OK : fail(&v);
}

int cli_audit_verify(struct cli *cli)
{
    const char *from = NULL, *since = NULL, *against = NULL;
    const struct cli_option options[] = {{"from", &from}, {"since", &since}, {"against", &against}};
    struct audit_check check = {0};
    struct audit_place head = {0};
    sqlite3 *db = NULL;
    int64_t since_ms = 0;
    int status =
        cli_arguments(cli, "audit verify [--from SEQ] [--since TIME] [--against HEAD]", options, 3, NULL, 0, 0);
    if (status == CLI_OK)
        status = audit_cli_since(since, &since_ms);
    if (status != CLI_OK)
        return status;
    if (from && (!cli_read_number(from, &check.from_seq) || check.from_seq < 1))
        return cli_fail(CLI_USAGE, "--from: expected the number of a turn, got \"%.40s\"", from);
    if (against && !read_head(against, &head))
        return cli_fail(CLI_USAGE,
                        "--against: expected a head as \"cvmhost audit head\" shows it, 123:HASH, got \"%.90s\"",
                        against);
    if (against)
        check.against = &head;
    status = audit_cli_open(cli, &db);
    if (status == CLI_OK && since) {
        int64_t seq = 0;
        if (audit_seq_since(db, since_ms, &seq) < 0)
            status = cli_fail(CLI_CONFIG, "the journal cannot be read: %s", sqlite3_errmsg(db));
        if (seq > check.from_seq)
            check.from_seq = seq;
    }
    if (status == CLI_OK)
        status = verify(cli, db, &check);
    sqlite3_close(db);
    return status;
}
