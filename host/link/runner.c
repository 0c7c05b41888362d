/* A plugin's own process. It confines itself before any code of the plugin runs, loads the library, says what it
 * found, and takes turns one after another. Everything it knows comes over the link; everything a turn does goes back
 * over it, and is done by the host. */
#include "link/runner.h"

#include "core/id.h"
#include "core/json_read.h"
#include "link/confine.h"
#include "link/runner_parts.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EXIT_LINK 0 /* the host is gone: nothing to say, nobody to say it to */
#define EXIT_PROTOCOL 70
#define EXIT_LOAD 71

/* ---- frames -------------------------------------------------------------------------------------------------------
 */

void runner_flush(struct runner *r)
{
    size_t at = 0;
    while (at < r->out.len) {
        size_t n = r->out.len - at;
        if (n > LINK_PACKET_MAX_BYTES)
            n = LINK_PACKET_MAX_BYTES;
        ssize_t sent = send(LINK_FD, r->out.at + at, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            _exit(EXIT_LINK);
        at += (size_t)sent;
    }
    text_reset(&r->out);
}

/* What stands in `scratch`, as a frame. */
static void put_scratch(struct runner *r, enum frame_kind kind, uint64_t turn)
{
    char header[LINK_HEADER_BYTES];
    if (r->out.len > LINK_PACKET_MAX_BYTES)
        runner_flush(r);
    frame_header(header, (uint16_t)kind, turn, (uint32_t)r->scratch.len);
    text_add(&r->out, header, sizeof header);
    text_add(&r->out, r->scratch.at, r->scratch.len);
    if (r->scratch.failed || r->out.failed)
        abort(); /* no memory for what the turn says: the host undoes it */
}

static void put(struct runner *r, enum frame_kind kind, uint64_t turn, const json_t *body)
{
    text_reset(&r->scratch);
    text_json(&r->scratch, body);
    put_scratch(r, kind, turn);
}

static void receive(struct runner *r)
{
    char *room = framer_room(&r->in);
    if (!room)
        abort();
    ssize_t n = recv(LINK_FD, room, LINK_PACKET_MAX_BYTES, 0);
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0)
        _exit(EXIT_LINK);
    framer_add(&r->in, (size_t)n);
}

/* What an older build wrote, or what an older one shall read. */
static void convert(struct runner *r, const struct frame *f)
{
    json_t *body = json_read(f->body, f->size), *made = NULL;
    const char *id = json_string_value(json_object_get(body, "component"));
    const char *key = json_string_value(json_object_get(body, "key"));
    uint32_t version = (uint32_t)json_integer_value(json_object_get(body, "version"));
    bool down = json_is_true(json_object_get(body, "down"));
    int e = CVM_EDATA;
    for (const cvm_component *c = r->descriptor->components; id && key && c->id; c++) {
        int (*by)(uint32_t, const char *, const json_t *, json_t **) = down ? c->downgrade : c->upgrade;
        if (strcmp(c->id, id) == 0 && by)
            e = by(version, key, json_object_get(body, "value"), &made);
    }
    json_t *answer = json_pack("{s:i, s:o*}", "error", e < 0 ? e : 0, "value", made);
    put(r, FRAME_CONVERTED, f->turn, answer);
    json_decref(answer);
    json_decref(body);
}

/* Waits for the next frame. A conversion is asked for at any time, also by a turn's own read. */
static void next_frame(struct runner *r, struct frame *ret_frame)
{
    for (;;) {
        int have = framer_next(&r->in, ret_frame);
        if (have < 0)
            _exit(EXIT_PROTOCOL);
        if (have && ret_frame->kind != FRAME_CONVERT)
            return;
        if (have) {
            convert(r, ret_frame);
            continue;
        }
        runner_flush(r);
        receive(r);
    }
}

/* ---- operations ---------------------------------------------------------------------------------------------------
 */

void runner_tell(struct runner_turn *t, json_t *op)
{
    if (!op)
        return; /* a text that is no UTF-8: nothing of it can be said */
    put(t->runner, FRAME_TELL, t->number, op);
    json_decref(op);
}

void runner_tell_reply(struct runner_turn *t, const char *request, int outcome, const json_t *data, const char *content)
{
    struct text *text = &t->runner->scratch;
    text_reset(text);
    text_printf(text, "{\"op\":\"settle\",\"request\":\"%s\",\"outcome\":%d", request, outcome);
    if (data) {
        text_puts(text, ",\"data\":");
        text_json(text, data);
    }
    if (content) {
        text_puts(text, ",\"content\":");
        text_string(text, content);
    }
    text_char(text, '}');
    put_scratch(t->runner, FRAME_TELL, t->number);
}

json_t *runner_ask(struct runner_turn *t, json_t *op)
{
    struct frame f;
    if (!op)
        return json_pack("{s:i}", "error", CVM_EINVAL); /* a text that is no UTF-8 */
    put(t->runner, FRAME_ASK, t->number, op);
    json_decref(op);
    for (;;) {
        next_frame(t->runner, &f);
        if (f.kind == FRAME_ANSWER && f.turn == t->number)
            return json_read(f.body, f.size);
        if (frame_queue_add(&t->runner->held, &f) < 0) /* turns that were sent ahead */
            abort();
    }
}

int runner_ask_id(struct runner_turn *t, json_t *op, cvm_id *ret_id)
{
    json_t *answer = runner_ask(t, op);
    const json_t *error = json_object_get(answer, "error");
    int e = json_is_integer(error) ? (int)json_integer_value(error) : CVM_EFAULT;
    const char *id = json_string_value(json_object_get(answer, "id"));
    if (!e && ret_id && id)
        id_parse(id, ret_id);
    json_decref(answer);
    return e;
}

/* ---- a turn -------------------------------------------------------------------------------------------------------
 */

static const char *text_of(const json_t *message, const char *member)
{
    const char *value = json_string_value(json_object_get(message, member));
    return value ? value : "";
}

static cvm_id id_of(const json_t *message, const char *member)
{
    cvm_id id = {0, 0};
    const char *value = json_string_value(json_object_get(message, member));
    if (value)
        id_parse(value, &id);
    return id;
}

static int64_t int_of(const json_t *message, const char *member)
{
    return (int64_t)json_integer_value(json_object_get(message, member));
}

static void read_message(const json_t *message, json_t *none, json_t *no_tags, cvm_msg *ret_m)
{
    const json_t *data = json_object_get(message, "data"), *tags = json_object_get(message, "tags");
    const json_t *confidence = json_object_get(message, "confidence");
    *ret_m = (cvm_msg){
        .id = id_of(message, "id"),
        .in_reply_to = id_of(message, "in_reply_to"),
        .on_behalf = id_of(message, "on_behalf"),
        .timestamp_ms = int_of(message, "timestamp_ms"),
        .deadline_ms = int_of(message, "deadline_ms"),
        .sender = text_of(message, "sender"),
        .recipient = text_of(message, "recipient"),
        .type = text_of(message, "type"),
        .conversation = text_of(message, "conversation"),
        .content = text_of(message, "content"),
        .enquiry_id = text_of(message, "enquiry_id"),
        .customer_id = text_of(message, "customer_id"),
        .session_id = text_of(message, "session_id"),
        .traceparent = text_of(message, "traceparent"),
        .data = data ? data : none,
        .tags = tags ? tags : no_tags,
        .confidence = confidence ? json_number_value(confidence) : 1.0,
        .message_type = (uint8_t)int_of(message, "message_type"),
        .priority = (uint8_t)int_of(message, "priority"),
        .outcome = (uint8_t)int_of(message, "outcome"),
        .requires_response = json_is_true(json_object_get(message, "requires_response")),
        .schema_version = 1,
    };
}

static const struct runner_component *find_component(const struct runner *r, const char *id)
{
    for (size_t i = 0; i < r->n_components; i++)
        if (strcmp(r->components[i].id, id) == 0)
            return &r->components[i];
    return NULL;
}

static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void turn_clear(struct runner_turn *t)
{
    json_decref(t->context);
    json_decref(t->written);
    json_decref(t->dropped);
    json_decref(t->lent);
    t->context = t->written = t->dropped = t->lent = NULL;
}

static void run_turn(struct runner *r, const struct frame *f)
{
    json_t *body = json_read(f->body, f->size), *none = json_object(), *no_tags = json_array();
    struct runner_turn *t = &r->turn;
    cvm_msg m;
    uint32_t route = (uint32_t)int_of(body, "route"), n_routes = 0;
    uint64_t facts = (uint64_t)int_of(body, "facts");
    while (r->descriptor->routes[n_routes].component)
        n_routes++;
    if (!body || route >= n_routes)
        _exit(EXIT_PROTOCOL);
    read_message(json_object_get(body, "message"), none, no_tags, &m);
    if (facts != r->facts.number) {
        json_object_clear(r->facts.values);
        r->facts.number = facts;
    }
    *t = (struct runner_turn){.pub.host = &runner_api,
                              .runner = r,
                              .message = &m,
                              .component = find_component(r, m.recipient),
                              .number = f->turn,
                              .now_ms = int_of(body, "now"),
                              .open = m.requires_response && m.message_type == CVM_REQUEST,
                              .written = json_object(),
                              .dropped = json_object(),
                              .lent = json_array()};
    if (!t->component || !t->written || !t->dropped || !t->lent)
        _exit(EXIT_PROTOCOL);
    runner_flush(r); /* the turn before is over: what this one brings about is not that one's fault */
    int64_t begun = cpu_us();
    int result = r->descriptor->turn(r->instance, &t->pub, &m, route);
    text_reset(&r->scratch);
    text_printf(&r->scratch, "{\"result\":%d,\"us\":%lld}", result, (long long)(cpu_us() - begun));
    put_scratch(r, FRAME_DONE, f->turn);
    turn_clear(t);
    json_decref(body);
    json_decref(none);
    json_decref(no_tags);
}

/* ---- loading ------------------------------------------------------------------------------------------------------
 */

static void say_failed(struct runner *r, const char *step, const char *text)
{
    json_t *body = json_pack("{s:s, s:s}", "step", step, "text", text);
    put(r, FRAME_FAILED, 0, body);
    json_decref(body);
    runner_flush(r);
    _exit(EXIT_LOAD);
}

static void say_ready(struct runner *r)
{
    const cvm_plugin_descriptor *d = r->descriptor;
    json_t *components = json_array(), *routes = json_array();
    for (const cvm_component *c = d->components; c->id; c++)
        json_array_append_new(components, json_pack("{s:s, s:I, s:b, s:b}", "id", c->id, "state_version",
                                                    (json_int_t)c->state_version, "upgrade", c->upgrade != NULL,
                                                    "downgrade", c->downgrade != NULL));
    for (const cvm_route *route = d->routes; route->component; route++)
        json_array_append_new(routes, json_pack("{s:s, s:s}", "component", route->component, "type",
                                                route->type && route->handler ? route->type : ""));
    char layers[CONFINE_LAYERS_TEXT_BYTES];
    confine_layers_text(r->layers, layers, sizeof layers);
    json_t *body = json_pack("{s:i, s:s, s:s, s:o, s:o, s:s}", "link", LINK_VERSION, "name", d->name, "version",
                             d->version, "components", components, "routes", routes, "confined", layers);
    put(r, FRAME_READY, 0, body);
    json_decref(body);
    runner_flush(r);
}

static void load(struct runner *r, const char *path)
{
    char text[64];
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        say_failed(r, "load", dlerror());
    r->descriptor = dlsym(library, "cvm_plugin");
    if (!r->descriptor || memcmp(r->descriptor->magic, CVM_MAGIC, sizeof r->descriptor->magic) != 0 ||
        r->descriptor->abi_major != CVM_ABI_MAJOR || !r->descriptor->components || !r->descriptor->routes ||
        !r->descriptor->turn)
        say_failed(r, "load", "it exports no descriptor of this interface");
    int e = r->descriptor->create ? r->descriptor->create(&r->instance) : 0;
    if (e < 0) {
        snprintf(text, sizeof text, "create failed: %s", cvm_strerror(e));
        say_failed(r, "create", text);
    }
}

static void take_hello(struct runner *r)
{
    struct frame f;
    size_t i;
    json_t *component;
    next_frame(r, &f);
    json_t *body = f.kind == FRAME_HELLO ? json_read(f.body, f.size) : NULL;
    if (int_of(body, "link") != LINK_VERSION)
        _exit(EXIT_PROTOCOL);
    const json_t *components = json_object_get(body, "components");
    r->components = calloc(json_array_size(components) + 1, sizeof *r->components);
    if (!r->components)
        abort();
    json_array_foreach(components, i, component)
    {
        struct runner_component *c = &r->components[r->n_components++];
        snprintf(c->id, sizeof c->id, "%s", text_of(component, "id"));
        c->salt = strtoull(text_of(component, "salt"), NULL, 16);
    }
    json_decref(body);
}

/* ---- the end of it ------------------------------------------------------------------------------------------------
 */

/* Where it happened, for the log: the host reads our standard error. */
static void on_fault(int number)
{
    void *frames[32];
    static const char text[] = "the turn that ran:\n";
    ssize_t ignored = write(2, text, sizeof text - 1);
    (void)ignored;
    backtrace_symbols_fd(frames, backtrace(frames, 32), 2);
    signal(number, SIG_DFL);
    raise(number);
}

static void catch_faults(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    static char stack[64 * 1024]; /* a handler may have used up its own */
    void *frame;
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternative, NULL);
    backtrace(&frame, 1); /* loads what it needs now, while that can be loaded */
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER};
        sigaction(signals[i], &action, NULL);
    }
}

static void stop(struct runner *r)
{
    const cvm_plugin_descriptor *d = r->descriptor;
    if (d->size >= offsetof(cvm_plugin_descriptor, stop) + sizeof d->stop && d->stop)
        d->stop(r->instance);
    if (d->destroy)
        d->destroy(r->instance);
    runner_flush(r);
    _exit(0);
}

static void serve(struct runner *r)
{
    for (;;) {
        struct frame f;
        struct frame_held *held = frame_queue_take(&r->held);
        if (held) {
            f = held->frame;
        } else {
            next_frame(r, &f);
        }
        if (f.kind == FRAME_TURN)
            run_turn(r, &f);
        else if (f.kind == FRAME_STOP)
            stop(r);
        free(held);
    }
}

int runner_main(int argc, char **argv)
{
    char error[256];
    static struct runner r; /* seen by no signal handler, but large */
    if (argc != 5) {
        fprintf(stderr, "run-plugin is for the host itself; to run a plugin: cvmhost serve\n");
        return 2;
    }
    const bool program = strcmp(argv[2], "program") == 0;
    const struct confine confine = {.library = program ? NULL : argv[3],
                                    .program = program ? argv[3] : NULL,
                                    .link_fd = LINK_FD,
                                    .host = getppid(),
                                    .memory_bytes = strtoull(argv[4], NULL, 10) * 1024 * 1024};
    r.name = argv[1];
    text_init(&r.out, 4 * (size_t)LINK_BODY_MAX_BYTES);
    text_init(&r.scratch, LINK_BODY_MAX_BYTES);
    if (!program)
        catch_faults();
    if (confine_self(&confine, &r.layers, error, sizeof error) < 0) {
        say_failed(&r, "confine", error);
    } else if (program) {
        char *const arguments[] = {argv[3], NULL};
        execv(argv[3], arguments);
        snprintf(error, sizeof error, "cannot be run: %s", strerror(errno));
        say_failed(&r, "load", error);
    }
    r.facts.values = json_object();
    take_hello(&r);
    load(&r, argv[3]);
    json_decref(json_loads("{}", 0, NULL));
    if (confine_seal(error, sizeof error) < 0)
        say_failed(&r, "confine", error);
    say_ready(&r);
    serve(&r);
    return 0;
}
