/* A request for each line of a file. Results keep the order of the lines; the input is read as slots become free, so
 * memory is bounded and a program can feed lines one by one. */
#include "cli/call.h"

#include "cli/private.h"
#include "cli/show.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES (1024 * 1024)
#define WINDOW 4096        /* lines read and not yet shown */
#define BUSY_TRIES_MAX 300 /* a host that takes nothing more is asked again */
#define PROGRESS_MS 200

enum state { FREE, OPEN, WAITING, DONE };

struct item {
    enum state state;
    uint64_t line;
    json_t *id, *request, *result;
    int64_t again_ms; /* WAITING: when to send */
    int tries;
};

struct batch {
    struct cli *cli;
    const json_t *catalogue, *entry;
    const struct call *call;
    struct client *client;
    int fd;
    bool ended;     /* the input */
    int read_error; /* errno */
    char *in;
    size_t in_len, in_cap, taken;
    struct item *items;   /* a ring of WINDOW */
    uint64_t lines;       /* read, blank ones too */
    uint64_t first, next; /* items shown, items read */
    size_t open;
    uint64_t failed;
    int64_t shown_ms;
};

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- results ---- */

static void finish(struct batch *b, struct item *item, json_t *result)
{
    if (item->state == OPEN || item->state == WAITING)
        b->open--;
    item->state = DONE;
    item->result = result;
    json_decref(item->request);
    item->request = NULL;
}

static json_t *with_id(const struct item *item)
{
    json_t *line = json_object();
    if (item->id)
        json_object_set(line, "id", item->id);
    else
        json_object_set_new(line, "id", json_integer((json_int_t)item->line));
    return line;
}

static void fail(struct batch *b, struct item *item, json_t *error)
{
    json_t *line = with_id(item);
    json_object_set_new(line, "error", error);
    b->failed++;
    finish(b, item, line);
}

static void fail_text(struct batch *b, struct item *item, const char *code, const char *field, const char *text)
{
    char sentence[512];
    snprintf(sentence, sizeof sentence, "line %llu: %s", (unsigned long long)item->line, text);
    fail(b, item, json_pack("{s:s, s:s, s:s*}", "code", code, "message", sentence, "field", field[0] ? field : NULL));
}

static json_t *failure_of(const char *outcome, const json_t *data)
{
    const char *code = cvm_json_str(data, "code", outcome);
    const char *message = cvm_json_str(data, "message", cvm_json_str(data, "error", ""));
    json_t *error = json_pack("{s:s, s:s, s:s, s:s*}", "outcome", outcome, "code", code, "message", message, "field",
                              cvm_json_str(data, "field", NULL));
    if (strcmp(code, outcome) == 0 && json_object_size(data) > 0)
        json_object_set(error, "data", (json_t *)(uintptr_t)data); /* the operation's own body */
    return error;
}

static void take_answer(struct batch *b, const json_t *answer)
{
    const json_t *number = json_object_get(answer, "id");
    uint64_t n = json_is_integer(number) ? (uint64_t)json_integer_value(number) : UINT64_MAX;
    if (n < b->first || n >= b->next || b->items[n % WINDOW].state != OPEN)
        return;
    struct item *item = &b->items[n % WINDOW];
    const json_t *envelope = json_object_get(answer, "trace"), *error = json_object_get(answer, "error");
    const json_t *data = json_object_get(answer, "data");
    const char *outcome = cvm_json_str(answer, "outcome", "ERROR"), *member;
    if (envelope) {
        show_envelope(b->cli, stderr, envelope);
    } else if (error && strcmp(cvm_json_str(error, "code", ""), "BUSY") == 0 && item->tries < BUSY_TRIES_MAX) {
        item->state = WAITING;
        item->tries++;
        item->again_ms = clock_ms() + 1000 * cvm_json_int(error, "retry_after_s", 1);
    } else if (error) {
        fail_text(b, item, cvm_json_str(error, "code", ""), cvm_json_str(error, "field", ""),
                  cvm_json_str(error, "text", ""));
    } else if (strcmp(outcome, "REPLIED") != 0) {
        fail(b, item, failure_of(outcome, data));
    } else {
        json_t *line = with_id(item), *value;
        json_object_foreach((json_t *)(uintptr_t)data, member, value) if (strcmp(member, "id") != 0)
            json_object_set(line, member, value);
        finish(b, item, line);
    }
}

static void show_progress(struct batch *b, bool last)
{
    int64_t now = clock_ms();
    if (!isatty(STDERR_FILENO) || (!last && now - b->shown_ms < PROGRESS_MS))
        return;
    b->shown_ms = now;
    fprintf(stderr, "\r%llu done, %llu failed%s", (unsigned long long)b->first, (unsigned long long)b->failed,
            last ? "\n" : "");
}

static void show_done(struct batch *b)
{
    for (; b->first < b->next && b->items[b->first % WINDOW].state == DONE; b->first++) {
        struct item *item = &b->items[b->first % WINDOW];
        show_line(b->cli, item->result);
        json_decref(item->result);
        json_decref(item->id);
        *item = (struct item){FREE};
    }
    show_progress(b, false);
}

/* ---- requests ---- */

static int send_item(struct batch *b, uint64_t n)
{
    struct item *item = &b->items[n % WINDOW];
    json_t *line = json_pack("{s:I, s:s, s:s, s:s, s:O, s:b}", "id", (json_int_t)n, "do", "call", "to", b->call->to,
                             "type", b->call->type, "data", item->request, "trace", b->cli->trace);
    if (b->call->key) { /* by the line's own id where it has one: a file may be sorted anew before it is repeated */
        char key[128];
        const char *id = json_string_value(item->id);
        if (id && strlen(id) <= 24)
            snprintf(key, sizeof key, "%.100s/%s", b->call->key, id);
        else
            snprintf(key, sizeof key, "%.100s/%llu", b->call->key, (unsigned long long)item->line);
        json_object_set_new(line, "key", json_string(key));
        if (b->cli->key)
            call_tell_key(b->catalogue, b->entry, key, item->request);
    }
    if (b->cli->timeout_ms)
        json_object_set_new(line, "timeout_ms", json_integer(b->cli->timeout_ms));
    item->state = OPEN;
    return client_send(b->client, line);
}

static int send_waiting(struct batch *b, int64_t *ret_next_ms)
{
    int64_t now = clock_ms();
    *ret_next_ms = -1;
    for (uint64_t n = b->first; n < b->next; n++) {
        struct item *item = &b->items[n % WINDOW];
        if (item->state != WAITING)
            continue;
        int64_t left = item->again_ms - now;
        if (left <= 0) {
            int error = send_item(b, n);
            if (error < 0)
                return error;
        } else if (*ret_next_ms < 0 || left < *ret_next_ms) {
            *ret_next_ms = left;
        }
    }
    return 0;
}

static int take_line(struct batch *b, const char *line, size_t len)
{
    b->lines++;
    if (strspn(line, " \t\r") >= len) /* the line ends with a newline or NUL, so this stops there */
        return 0;
    struct item *item = &b->items[b->next % WINDOW];
    *item = (struct item){.state = FREE, .line = b->lines};
    uint64_t n = b->next++;
    struct spec_error error;
    if (len > LINE_MAX_BYTES) {
        fail_text(b, item, "LIMIT", "", "longer than 1 MiB");
        return 0;
    }
    if (spec_line(b->catalogue, b->entry, b->call->data, line, len, &item->request, &item->id, &error) < 0) {
        fail_text(b, item, "INVALID", error.field, error.text);
        return 0;
    }
    b->open++;
    return send_item(b, n);
}

/* Takes whole lines out of what was read while there are free slots. */
static int take_lines(struct batch *b)
{
    while (b->open < (size_t)b->cli->parallel && b->next - b->first < WINDOW && b->taken < b->in_len) {
        char *start = b->in + b->taken, *end = memchr(start, '\n', b->in_len - b->taken);
        if (!end && !b->ended)
            return 0;
        size_t len = end ? (size_t)(end - start) : b->in_len - b->taken;
        b->taken += len + (end != NULL);
        int error = take_line(b, start, len);
        if (error < 0)
            return error;
    }
    return 0;
}

/* Whether more input can be used now. */
static bool wants_input(const struct batch *b)
{
    bool has_line = b->taken < b->in_len && memchr(b->in + b->taken, '\n', b->in_len - b->taken);
    return !b->ended && !has_line && b->open < (size_t)b->cli->parallel && b->next - b->first < WINDOW;
}

static int read_input(struct batch *b)
{
    if (b->taken) {
        b->in_len -= b->taken;
        memmove(b->in, b->in + b->taken, b->in_len);
        b->taken = 0;
    }
    if (b->in_len > LINE_MAX_BYTES + 65536)
        return CVM_ELIMIT;
    if (b->in_cap - b->in_len < 65536) {
        size_t cap = b->in_cap ? b->in_cap * 2 : 131072;
        char *in = realloc(b->in, cap);
        if (!in)
            return CVM_ENOMEM;
        b->in = in;
        b->in_cap = cap;
    }
    ssize_t n = read(b->fd, b->in + b->in_len, b->in_cap - b->in_len - 1); /* room for the NUL below */
    if (n < 0) {
        b->read_error = errno == EINTR || errno == EAGAIN ? 0 : errno;
        return b->read_error ? CVM_ESTATE : 0;
    }
    b->ended = n == 0;
    b->in_len += (size_t)n;
    b->in[b->in_len] = 0;
    return 0;
}

/* The host went away: what was open is sent again to the next one; keys keep that from being done twice. */
static int send_again(struct batch *b)
{
    int error = call_reconnect(b->cli->home, &b->client);
    for (uint64_t n = b->first; error == 0 && n < b->next; n++)
        if (b->items[n % WINDOW].state == OPEN)
            error = send_item(b, n);
    return error;
}

static int run(struct batch *b)
{
    for (;;) {
        int64_t again_ms;
        json_t *answer = NULL;
        int error = take_lines(b);
        show_done(b);
        if (error == 0)
            error = send_waiting(b, &again_ms);
        if (error < 0)
            return error;
        bool wants = wants_input(b);
        if (b->open == 0 && !wants && b->taken >= b->in_len && b->ended)
            return 0;
        if (b->open == 0 && !wants)
            continue; /* lines that were refused here made room for those behind them */
        error = client_next_or(b->client, wants ? b->fd : -1, again_ms, &answer);
        if (error == CVM_PENDING && (error = read_input(b)) < 0)
            return error;
        if (error == CVM_EIO && (error = send_again(b)) < 0)
            return error;
        if (error < 0 && error != CVM_ETIMEOUT)
            return error;
        if (answer)
            take_answer(b, answer);
        json_decref(answer);
    }
}

int batch_run(struct cli *cli, const json_t *catalogue, const json_t *entry, const struct call *call)
{
    struct batch b = {.cli = cli, .catalogue = catalogue, .entry = entry, .call = call};
    int status;
    b.fd = strcmp(cli->file, "-") == 0 ? STDIN_FILENO : open(cli->file, O_RDONLY | O_CLOEXEC);
    if (b.fd < 0)
        return cli_fail(CLI_USAGE, "--file: %s: %s", cli->file, strerror(errno));
    b.items = calloc(WINDOW, sizeof *b.items);
    status = b.items ? cli_open(cli, &b.client) : cli_fail(CLI_FAILED, "out of memory");
    if (status == CLI_OK) {
        int error = run(&b);
        show_progress(&b, true);
        if (error < 0)
            status = cli_fail(CLI_FAILED, "stopped after %llu lines: %s", (unsigned long long)b.lines,
                              error == CVM_ELIMIT ? "a line is longer than 1 MiB"
                              : b.read_error      ? strerror(b.read_error)
                                                  : cvm_strerror(error));
        else if (b.failed)
            status = cli_fail(CLI_FAILED, "%llu of %llu lines failed", (unsigned long long)b.failed,
                              (unsigned long long)b.next);
    }
    for (size_t i = 0; b.items && i < WINDOW; i++) {
        json_decref(b.items[i].id);
        json_decref(b.items[i].request);
        json_decref(b.items[i].result);
    }
    free(b.items);
    free(b.in);
    client_free(b.client);
    if (b.fd != STDIN_FILENO)
        close(b.fd);
    return status;
}
