/* Owns the listening socket, the connections and their lines. Knows nothing of what is asked: a complete line goes to
 * control_call.c or control_ask.c as an exchange. Loop thread. */
#include "services/control_private.h"

#include "core/json_text.h"
#include "core/log.h"
#include <assert.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READ_BYTES 65536
#define ANSWER_MAX_BYTES (64 * 1024 * 1024)
#define ASKS_MAX 64 /* open queries and tails of one connection */

struct control {
    struct control_options options;
    uv_pipe_t listener;
    struct connection *connections;
    size_t n_connections; /* open ones */
    size_t n_handles;     /* not yet closed, the listener among them */
    bool closing, deaf;   /* deaf: the listener is closed */
    void (*closed)(void *);
    void *closed_arg;
};

struct connection {
    uv_pipe_t pipe;
    struct control *control;
    struct connection *next, *prev;
    char *in; /* what came and is no whole line yet */
    size_t in_len, in_cap, scanned;
    uint64_t lines;
    struct exchange *exchanges;
    size_t n_calls, n_asks;
    bool finished; /* nothing more is read: the client said so, or was told off */
    bool closing;
    uv_shutdown_t shutdown;
};

struct out {
    uv_write_t write;
    struct connection *connection;
    char *bytes;
};

/* ---- closing ---- */

static void all_closed(struct control *control)
{
    void (*closed)(void *) = control->closed;
    void *arg = control->closed_arg;
    free(control);
    if (closed)
        closed(arg);
}

static void handle_closed(struct control *control)
{
    assert(control->n_handles > 0);
    if (--control->n_handles == 0 && control->closing)
        all_closed(control);
}

static void exchange_free(struct exchange *x)
{
    json_decref(x->id);
    json_decref(x->filter);
    free(x);
}

static void exchange_detach(struct exchange *x)
{
    struct connection *c = x->connection;
    if (x->prev)
        x->prev->next = x->next;
    else
        c->exchanges = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->connection = NULL;
    if (x->calling)
        c->n_calls--;
    else
        c->n_asks--;
}

/* The client has gone, or its request is answered. */
static void exchange_drop(struct exchange *x)
{
    if (x->connection)
        exchange_detach(x);
    if (x->tap)
        edge_tap_close(x->core, x->tap);
    x->tap = NULL;
    if (!x->querying)
        exchange_free(x);
}

static void connection_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct control *control = c->control;
    while (c->exchanges) {
        struct exchange *x = c->exchanges;
        if (!cvm_id_is_none(x->message))
            edge_forget(x->core, x->message, x);
        exchange_drop(x);
    }
    free(c->in);
    free(c);
    handle_closed(control);
}

/* Its exchanges stay valid until the loop closes it: the caller may be in the middle of one. */
static void connection_close(struct connection *c)
{
    if (c->closing)
        return;
    c->closing = true;
    struct control *control = c->control;
    if (c->prev)
        c->prev->next = c->next;
    else
        control->connections = c->next;
    if (c->next)
        c->next->prev = c->prev;
    control->n_connections--;
    uv_close((uv_handle_t *)&c->pipe, connection_closed);
    if (control->n_connections == 0 && !control->closing && control->options.idle)
        control->options.idle(control->options.idle_arg);
}

static void shut_down(uv_shutdown_t *shutdown, int status)
{
    (void)status;
    connection_close(shutdown->data);
}

/* Closes once what was written has left. */
static void connection_finish(struct connection *c)
{
    if (c->closing || c->shutdown.data)
        return;
    c->finished = true;
    uv_read_stop((uv_stream_t *)&c->pipe);
    c->shutdown.data = c;
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->pipe, shut_down) < 0)
        connection_close(c);
}

/* ---- writing ---- */

static void written(uv_write_t *write, int status)
{
    struct out *out = (struct out *)write;
    if (status < 0)
        connection_close(out->connection);
    free(out->bytes);
    free(out);
}

/* Takes the text. A client that does not read is cut off, so that it costs a bounded amount of memory. */
static void connection_write(struct connection *c, struct text *text)
{
    struct out *out = NULL;
    if (c->closing || text->failed)
        goto out;
    uv_stream_t *stream = (uv_stream_t *)&c->pipe;
    uv_buf_t buf = uv_buf_init(text->at, (unsigned)text->len);
    if (uv_stream_get_write_queue_size(stream) == 0) {
        int n = uv_try_write(stream, &buf, 1);
        if (n == (int)text->len)
            goto out;
        if (n < 0 && n != UV_EAGAIN) {
            connection_close(c);
            goto out;
        }
        if (n > 0)
            buf = uv_buf_init(text->at + n, (unsigned)(text->len - (size_t)n));
    }
    if (uv_stream_get_write_queue_size(stream) > CONTROL_BACKLOG_MAX_BYTES || !(out = calloc(1, sizeof *out))) {
        connection_close(c);
        goto out;
    }
    out->connection = c;
    out->bytes = text->at;
    if (uv_write(&out->write, stream, &buf, 1, written) == 0) {
        text->at = NULL;
    } else {
        connection_close(c);
        free(out);
    }
out:
    text_free(text);
}

static void connection_send(struct connection *c, json_t *line)
{
    struct text text;
    text_init(&text, ANSWER_MAX_BYTES);
    if (!line)
        text.failed = true;
    text_json(&text, line);
    text_char(&text, '\n');
    if (text.failed && line && !c->closing) {
        json_t *id = json_object_get(line, "id");
        json_t *error = control__error(CVM_ELIMIT, "", "the answer is too large: ask for less", 0);
        text_free(&text);
        text_json(&text, json_object_set(error, "id", id ? id : json_null()) ? NULL : error);
        text_char(&text, '\n');
        json_decref(error);
    }
    json_decref(line);
    connection_write(c, &text);
}

json_t *control__error(int error, const char *field, const char *text, int retry_after_s)
{
    static const struct {
        int error;
        const char *code;
    } codes[] = {{CVM_EINVAL, "INVALID"},   {CVM_ENOENT, "NOT_FOUND"}, {CVM_EEXIST, "KEY_REUSED"},
                 {CVM_EBUSY, "BUSY"},       {CVM_ELIMIT, "LIMIT"},     {CVM_EACCES, "DENIED"},
                 {CVM_ESTATE, "BAD_STATE"}, {CVM_ENOMEM, "NO_MEMORY"}, {CVM_EIO, "IO"},
                 {CVM_EDATA, "DAMAGED"},    {CVM_ETIMEOUT, "TIMEOUT"}, {CVM_EREFUSED, "REFUSED"}};
    const char *code = "FAILED";
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].error == error)
            code = codes[i].code;
    json_t *e = json_pack("{s:s, s:s, s:s}", "code", code, "field", field, "text", text);
    if (retry_after_s > 0)
        json_object_set_new(e, "retry_after_s", json_integer(retry_after_s));
    return json_pack("{s:o}", "error", e);
}

/* ---- exchanges ---- */

void control__send(struct exchange *x, json_t *line)
{
    if (!x->connection) {
        json_decref(line);
        return;
    }
    json_object_set(line, "id", x->id ? x->id : json_null());
    connection_send(x->connection, line);
}

void control__end(struct exchange *x)
{
    struct connection *c = x->connection;
    exchange_drop(x);
    if (c && c->finished && !c->exchanges)
        connection_finish(c);
}

void control__answer(struct exchange *x, json_t *data)
{
    if (!data) {
        control__fail(x, CVM_ENOMEM, "", "out of memory");
        return;
    }
    control__send(x, json_pack("{s:o}", "data", data));
    control__end(x);
}

void control__fail(struct exchange *x, int error, const char *field, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    control__send(x, control__error(error, field, text, 0));
    control__end(x);
}

void control__suspend(struct exchange *x)
{
    assert(!x->querying);
    x->querying = 1;
}

bool control__resume(struct exchange *x)
{
    x->querying = 0;
    if (x->connection)
        return true;
    exchange_free(x);
    return false;
}

struct query {
    struct exchange *x;
    control_rows done;
    void (*gone)(void *);
    void *arg;
};

static void query_done(void *arg, int error, json_t *rows, bool more)
{
    struct query q = *(struct query *)arg;
    free(arg);
    bool here = control__resume(q.x);
    if (here && error == 0) {
        q.done(q.x, q.arg, rows, more);
        return;
    }
    json_decref(rows);
    if (q.gone)
        q.gone(q.arg);
    if (here)
        control__fail(q.x, error, "", "the store cannot be read: %s", cvm_strerror(error));
}

void control__query(struct exchange *x, const char *sql, json_t *binds, size_t limit, control_rows done,
                    void (*gone)(void *arg), void *arg)
{
    struct query *q = malloc(sizeof *q);
    int error = CVM_ENOMEM;
    if (q) {
        *q = (struct query){x, done, gone, arg};
        control__suspend(x);
        error = core_query(x->core, sql, binds, limit, query_done, q);
    } else {
        json_decref(binds);
    }
    if (error == 0)
        return;
    free(q);
    x->querying = 0;
    if (gone)
        gone(arg);
    control__fail(x, error, "", "the store cannot be read: %s", cvm_strerror(error));
}

/* ---- reading ---- */

static struct exchange *exchange_new(struct connection *c, json_t *id, bool calling)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->connection = c;
    x->core = c->control->options.core;
    x->config = c->control->options.config;
    x->counters = c->control->options.counters;
    x->options = &c->control->options;
    x->is_private = c->control->options.is_private;
    x->id = json_incref(id);
    x->calling = calling;
    x->next = c->exchanges;
    if (x->next)
        x->next->prev = x;
    c->exchanges = x;
    if (calling)
        c->n_calls++;
    else
        c->n_asks++;
    return x;
}

static void refuse_line(struct connection *c, json_t *id, int error, const char *field, const char *text)
{
    char sentence[512];
    snprintf(sentence, sizeof sentence, "line %llu: %s", (unsigned long long)c->lines, text);
    json_t *line = control__error(error, field, sentence, error == CVM_EBUSY ? 1 : 0);
    json_object_set(line, "id", id ? id : json_null());
    connection_send(c, line);
}

static void take_request(struct connection *c, const json_t *request)
{
    json_t *id = json_object_get(request, "id");
    if (id && !json_is_integer(id) && !json_is_string(id)) {
        refuse_line(c, NULL, CVM_EINVAL, "id", "\"id\" must be an integer or a string");
        return;
    }
    const char *what = cvm_json_str(request, "do", NULL);
    if (!what) {
        refuse_line(c, id, CVM_EINVAL, "do", "\"do\" must be a string that says what to do");
        return;
    }
    bool calling = strcmp(what, "call") == 0;
    if (calling ? c->n_calls >= CONTROL_CALLS_MAX : c->n_asks >= ASKS_MAX) {
        refuse_line(c, id, CVM_EBUSY, "", "too many requests of this connection are open: wait for their answers");
        return;
    }
    struct exchange *x = exchange_new(c, id, calling);
    if (!x)
        refuse_line(c, id, CVM_ENOMEM, "", "out of memory");
    else if (calling)
        control__call(x, request);
    else if (strcmp(what, "tail") == 0)
        control__tail(x, request);
    else
        control__ask(x, what, request);
}

static void take_line(struct connection *c, const char *line, size_t len)
{
    c->lines++;
    if (len && line[len - 1] == '\r')
        len--;
    if (len == 0)
        return;
    json_error_t error;
    json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
    char text[320];
    if (!request) {
        snprintf(text, sizeof text, "not JSON: %s at byte %d", error.text, error.position);
        refuse_line(c, NULL, CVM_EINVAL, "", text);
    } else if (!json_is_object(request)) {
        refuse_line(c, NULL, CVM_EINVAL, "", "a request must be a JSON object");
    } else {
        take_request(c, request);
    }
    json_decref(request);
}

static void take_lines(struct connection *c)
{
    size_t start = 0;
    char *end;
    while (!c->closing && (end = memchr(c->in + c->scanned, '\n', c->in_len - c->scanned))) {
        size_t len = (size_t)(end - (c->in + start));
        c->scanned = start + len + 1;
        if (len > CONTROL_LINE_MAX_BYTES)
            break;
        take_line(c, c->in + start, len);
        start = c->scanned;
    }
    if (c->closing)
        return;
    c->in_len -= start;
    memmove(c->in, c->in + start, c->in_len);
    c->scanned = c->in_len;
    if (c->in_len > CONTROL_LINE_MAX_BYTES) {
        c->lines++;
        refuse_line(c, NULL, CVM_ELIMIT, "", "longer than 1 MiB; the connection is closed");
        connection_finish(c);
    } else if (c->in_len == 0 && c->in_cap > READ_BYTES) {
        free(c->in);
        c->in = NULL;
        c->in_cap = 0;
    }
}

static void make_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct connection *c = handle->data;
    (void)suggested;
    *buf = uv_buf_init(NULL, 0);
    if (c->in_cap - c->in_len < READ_BYTES / 4) {
        size_t cap = c->in_cap ? c->in_cap * 2 : READ_BYTES;
        char *in = realloc(c->in, cap);
        if (!in)
            return; /* read_some gets UV_ENOBUFS */
        c->in = in;
        c->in_cap = cap;
    }
    *buf = uv_buf_init(c->in + c->in_len, (unsigned)(c->in_cap - c->in_len));
}

/* After the end of input: a client that only closed its sending side still wants its answers. */
static bool still_listens(struct connection *c)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0)
        return false;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) >= 0 && !(p.revents & (POLLHUP | POLLERR));
}

static void end_tails(struct connection *c)
{
    struct exchange *next;
    for (struct exchange *x = c->exchanges; x; x = next) {
        next = x->next;
        if (x->tap && !x->calling)
            exchange_drop(x);
    }
}

static void read_some(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct connection *c = stream->data;
    (void)buf;
    if (n > 0) {
        c->in_len += (size_t)n;
        take_lines(c);
        return;
    }
    if (n == 0)
        return;
    if (n != UV_EOF || !still_listens(c)) {
        connection_close(c);
        return;
    }
    c->finished = true;
    uv_read_stop(stream);
    end_tails(c);
    if (!c->exchanges)
        connection_finish(c);
}

/* ---- listening ---- */

static void client_came(uv_stream_t *listener, int status)
{
    struct control *control = listener->data;
    struct connection *c = status < 0 ? NULL : calloc(1, sizeof *c);
    if (!c)
        return;
    c->control = control;
    c->pipe.data = c;
    if (uv_pipe_init(control->options.loop, &c->pipe, 0) < 0) {
        free(c);
        return;
    }
    control->n_handles++;
    control->n_connections++;
    c->next = control->connections;
    if (c->next)
        c->next->prev = c;
    control->connections = c;
    if (uv_accept(listener, (uv_stream_t *)&c->pipe) < 0) {
        connection_close(c);
    } else if (control->n_connections > CONTROL_CONNECTIONS_MAX) {
        connection_send(c, control__error(CVM_EBUSY, "", "64 control connections are open already", 1));
        connection_finish(c);
    } else if (uv_read_start((uv_stream_t *)&c->pipe, make_room, read_some) < 0) {
        connection_close(c);
    }
}

static void listener_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

int control_open(const struct control_options *options, struct control **ret_control)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control) {
        close(options->fd);
        return CVM_ENOMEM;
    }
    control->options = *options;
    control->n_handles = 1;
    control->listener.data = control;
    if (uv_pipe_init(options->loop, &control->listener, 0) < 0) {
        close(options->fd);
        free(control);
        return CVM_EIO;
    }
    int error = uv_pipe_open(&control->listener, options->fd);
    if (error < 0)
        close(options->fd);
    if (error < 0 || uv_listen((uv_stream_t *)&control->listener, 128, client_came) < 0) {
        control_close(control, NULL, NULL);
        return CVM_EIO;
    }
    *ret_control = control;
    return 0;
}

size_t control_connections(const struct control *control)
{
    return control->n_connections;
}

void control_drain(struct control *control)
{
    if (control->deaf)
        return;
    control->deaf = true;
    uv_close((uv_handle_t *)&control->listener, listener_closed);
}

bool control_busy(const struct control *control, bool fresh)
{
    for (const struct connection *c = control->connections; c; c = c->next) {
        if (fresh && c->lines < 2) /* the first is a greeting */
            return true;
        for (const struct exchange *x = c->exchanges; x; x = x->next)
            if (x->calling || !x->tap)
                return true;
    }
    return false;
}

void control_close(struct control *control, void (*closed)(void *), void *arg)
{
    if (!control) {
        if (closed)
            closed(arg);
        return;
    }
    assert(!control->closing);
    control->closing = true;
    control->closed = closed;
    control->closed_arg = arg;
    for (struct connection *c = control->connections, *next; c; c = next) {
        next = c->next;
        connection_close(c);
    }
    if (control->n_handles == 0)
        all_closed(control);
    else
        control_drain(control);
}
