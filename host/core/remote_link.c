/* Plugins' own processes: started, watched, ended, started again. A process that breaks a rule of the link, or hangs,
 * is ended; what it was working on then is as if it had never begun. */
#include "core/remote_parts.h"

#include "core/audit.h"
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REMOTE_READY_MS 5000
#define REMOTE_CONVERT_MS 250
#define REMOTE_BACKOFF_MS 50
#define REMOTE_BACKOFF_MAX_MS 5000
#define REMOTE_LOOK_MS 40
#define REMOTE_ABORT_MS 50 /* to say where it hangs, before it is killed */
#define REMOTE_STOP_MS 500
#define REMOTE_END_MS 5 /* from a broken link to the end of its process */
#define REMOTE_SLICE_FRAMES 64
#define REMOTE_VIRTUAL_MS 5000 /* of a turn under the virtual clock, which knows no hard limit */
#define REMOTE_RESUMES_MAX 3   /* of a turn whose process somebody else ended */
#define REMOTE_HELD_MAX_BYTES (32u * 1024 * 1024)
#define REMOTE_LINES_MAX 100 /* of a process's log, in a second */
#define REFUSE(error, size, code, ...) (snprintf(error, size, __VA_ARGS__), (code))

/* A descriptor on the loop; outlives the process whose it was until the loop lets go of it. */
struct remote_poll {
    uv_poll_t poll;
    struct core *core;
    struct remote *remote; /* NULL: closing */
    void (*ready)(struct remote *r);
    int events;
};

/* ---- starting ------------------------------------------------------------------------------------------------------
 */

static json_t *hello(const struct manifest *m)
{
    json_t *components = json_array();
    for (size_t i = 0; i < m->n_components; i++)
        json_array_append_new(
            components, json_pack("{s:s, s:o}", "id", m->components[i].id, "salt",
                                  json_sprintf("%016llx", (unsigned long long)component_salt(m->components[i].id))));
    return json_pack("{s:i, s:s, s:s, s:o}", "link", LINK_VERSION, "plugin", m->name, "version", m->version,
                     "components", components);
}

static int begin(const struct manifest *m, const char *path, const char *runner, struct link **ret_link, char *error,
                 size_t size)
{
    const struct link_spec spec = {.runner = runner,
                                   .plugin = m->name,
                                   .library = m->program ? NULL : path,
                                   .program = m->program ? path : NULL,
                                   .memory_mib = m->limits.memory_mib};
    CVM_TRY(link_spawn(&spec, ret_link, error, size));
    json_t *body = hello(m);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    int e = text ? link_send(*ret_link, FRAME_HELLO, 0, text, strlen(text)) : CVM_ENOMEM;
    if (!e && (e = link_flush(*ret_link)) > 0)
        e = CVM_EIO; /* a new socket takes that much */
    free(text);
    json_decref(body);
    if (e) {
        link_close(*ret_link);
        *ret_link = NULL;
        return REFUSE(error, size, CVM_EIO, "%s: its process cannot be greeted", m->name);
    }
    return 0;
}

/* The last line that the process wrote to its standard error, for a sentence about its end. */
static void last_words(const struct link *link, char *ret_text, size_t size)
{
    char bytes[4096];
    ssize_t n = read(link_errors_fd(link), bytes, sizeof bytes - 1);
    *ret_text = 0;
    if (n <= 0)
        return;
    bytes[n] = 0;
    bytes[strcspn(bytes, "\n")] = 0;
    snprintf(ret_text, size, ": %.200s", bytes);
}

/* 1: *ret_ready is what it says; 0: nothing yet. */
static int hear_ready(const struct manifest *m, struct link *link, json_t **ret_ready, char *error, size_t size)
{
    struct frame f;
    char ending[128], words[256];
    int e = link_receive(link, &f);
    if (e == 0)
        return 0;
    json_t *body = e == 1 ? json_read(f.body, f.size) : NULL;
    if (e == 1 && f.kind == FRAME_READY && json_is_object(body)) {
        *ret_ready = body;
        return 1;
    }
    if (e == 1 && f.kind == FRAME_FAILED) {
        const char *text = json_string_value(json_object_get(body, "text"));
        snprintf(error, size, "%s: %.400s", m->name, text ? text : "its process cannot load it");
    } else if (e == CVM_EIO) {
        link_ending(link, 1000, ending, sizeof ending);
        last_words(link, words, sizeof words);
        snprintf(error, size, "%s: its process %s before it was ready%s", m->name, ending, words);
    } else {
        snprintf(error, size, "%s: its process does not speak the link: no frame \"ready\" came first", m->name);
    }
    json_decref(body);
    return CVM_EINVAL;
}

int remote_launch(const struct manifest *m, const char *path, const char *runner, struct link **ret_link,
                  json_t **ret_ready, char *error, size_t size)
{
    struct link *link = NULL;
    int64_t until_ns = clock_ns() + REMOTE_READY_MS * INT64_C(1000000);
    CVM_TRY(begin(m, path, runner, &link, error, size));
    int e = 0;
    while (!e && (e = hear_ready(m, link, ret_ready, error, size)) == 0) {
        int64_t left = (until_ns - clock_ns()) / 1000000;
        if (left <= 0 || link_wait(link, (int)left) == CVM_ETIMEOUT)
            e = REFUSE(error, size, CVM_ETIMEOUT, "%s: its process was not ready within %d s", m->name,
                       REMOTE_READY_MS / 1000);
    }
    if (e < 0) {
        link_close(link);
        return e;
    }
    *ret_link = link;
    return 0;
}

/* ---- what it says of its library ------------------------------------------------------------------------------------
 */

/* Stands where a library's own conversion would: it says only that there is one. */
static int converts_over_there(uint32_t version, const char *key, const json_t *value, json_t **ret_value)
{
    (void)version;
    (void)key;
    (void)value;
    (void)ret_value;
    return CVM_EDATA;
}

static int handles_over_there(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_EFAULT;
}

static const char *text_of(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

static int describe(struct remote *r, char *error, size_t size)
{
    const json_t *components = json_object_get(r->ready, "components"), *routes = json_object_get(r->ready, "routes");
    const struct manifest *m = r->generation->manifest;
    size_t n = json_array_size(components), n_routes = json_array_size(routes);
    if (json_integer_value(json_object_get(r->ready, "link")) != LINK_VERSION)
        return REFUSE(error, size, CVM_EABI, "%s: its process speaks another version of the link than %d", m->name,
                      LINK_VERSION);
    if (n > MANIFEST_COMPONENTS_MAX || n_routes > MANIFEST_COMPONENTS_MAX * MANIFEST_OPERATIONS_MAX)
        return REFUSE(error, size, CVM_ELIMIT, "%s: its process names too many components or routes", m->name);
    r->components = calloc(n + 1, sizeof *r->components);
    r->routes = calloc(n_routes + 1, sizeof *r->routes);
    if (!r->components || !r->routes)
        return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *c = json_array_get(components, i);
        r->components[i] =
            (cvm_component){.id = text_of(c, "id"),
                            .state_version = (uint32_t)json_integer_value(json_object_get(c, "state_version")),
                            .upgrade = json_is_true(json_object_get(c, "upgrade")) ? converts_over_there : NULL,
                            .downgrade = json_is_true(json_object_get(c, "downgrade")) ? converts_over_there : NULL};
    }
    for (size_t i = 0; i < n_routes; i++) {
        const json_t *route = json_array_get(routes, i);
        r->routes[i] = (cvm_route){.component = text_of(route, "component"),
                                   .type = text_of(route, "type"),
                                   .handler = *text_of(route, "type") ? handles_over_there : NULL};
    }
    r->descriptor = (cvm_plugin_descriptor){.magic = CVM_MAGIC,
                                            .size = sizeof r->descriptor,
                                            .abi_major = CVM_ABI_MAJOR,
                                            .abi_minor = CVM_ABI_MINOR,
                                            .components = r->components,
                                            .routes = r->routes,
                                            .turn = remote_turn};
    snprintf(r->descriptor.name, sizeof r->descriptor.name, "%s", text_of(r->ready, "name"));
    snprintf(r->descriptor.version, sizeof r->descriptor.version, "%s", text_of(r->ready, "version"));
    return 0;
}

/* ---- on the loop ----------------------------------------------------------------------------------------------------
 */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct remote_poll *p = poll->data;
    (void)status;
    (void)events;
    if (!p->remote)
        return;
    core_set_now(p->core);
    p->ready(p->remote);
    kick(p->core);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct remote_poll *p = handle->data;
    if (p->core)
        core_handle_closed(p->core);
    free(p);
}

static struct remote_poll *poll_open(struct remote *r, int fd, void (*ready)(struct remote *))
{
    struct remote_poll *p = calloc(1, sizeof *p);
    if (!p || uv_poll_init(r->core->options.loop, &p->poll, fd) < 0) {
        free(p);
        return NULL;
    }
    *p = (struct remote_poll){.poll = p->poll, .core = r->core, .remote = r, .ready = ready, .events = UV_READABLE};
    p->poll.data = p;
    r->core->handles++;
    uv_poll_start(&p->poll, UV_READABLE, on_poll);
    return p;
}

static void poll_close(struct remote_poll **at)
{
    struct remote_poll *p = *at;
    if (!p)
        return;
    *at = NULL;
    p->remote = NULL;
    uv_poll_stop(&p->poll);
    uv_close((uv_handle_t *)&p->poll, on_poll_closed);
}

void remote_flush_one(struct remote *r)
{
    if (!r->link)
        return;
    int events = link_flush(r->link) > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE; /* a broken one is readable */
    if (r->poll && events != r->poll->events) {
        r->poll->events = events;
        uv_poll_start(&r->poll->poll, events, on_poll);
    }
}

/* ---- its log --------------------------------------------------------------------------------------------------------
 */

void remote_log(struct remote *r, int level, const char *about, const char *text)
{
    if (r->core->now_ms - r->lines_since_ms >= 1000) {
        if (r->lines > REMOTE_LINES_MAX)
            log_warning(about, "%u lines of its log in a second were left out", r->lines - REMOTE_LINES_MAX);
        r->lines_since_ms = r->core->now_ms;
        r->lines = 0;
    }
    if (r->lines++ < REMOTE_LINES_MAX)
        log_write((enum log_level)(level & 3), about, "%.1023s", text);
}

static void hear_errors(struct remote *r)
{
    char bytes[8192], *rest = NULL;
    ssize_t n = r->link ? read(link_errors_fd(r->link), bytes, sizeof bytes - 1) : 0;
    if (n == 0)
        poll_close(&r->errors);
    if (n <= 0)
        return;
    bytes[n] = 0;
    for (char *line = strtok_r(bytes, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        remote_log(r, LOG_WARNING, r->generation->manifest->name, line);
}

/* ---- limits ---------------------------------------------------------------------------------------------------------
 */

void remote_end(struct remote *r, const char *why)
{
    if (!r->link || r->ended)
        return;
    r->ended = why;
    link_kill(r->link, SIGKILL);
}

static void killed(struct core *core, struct alarm *alarm)
{
    struct remote *r = (struct remote *)((char *)alarm - offsetof(struct remote, alarm));
    (void)core;
    if (r->link)
        link_kill(r->link, SIGKILL);
}

/* Past the limit by the clock on the wall it may only have waited for a processor: it gets a little time of its own. */
static bool is_hung(struct remote *r)
{
    int64_t cpu_ns = link_cpu_ns(r->link);
    if (!r->look_cpu_ns)
        r->look_cpu_ns = cpu_ns ? cpu_ns : 1;
    r->waits = link_waits(r->link) ? r->waits + 1 : 0;
    return r->waits >= 2 || cpu_ns - r->look_cpu_ns >= REMOTE_LOOK_MS * INT64_C(800000);
}

/* First in a way that lets it say where it is; a stopped one hears nothing, and is killed a moment later. */
static void hangs(struct core *core, struct alarm *alarm)
{
    struct remote *r = (struct remote *)((char *)alarm - offsetof(struct remote, alarm));
    if (!r->link)
        return;
    if (!is_hung(r)) {
        alarm_set(core, alarm, core->now_ms + REMOTE_LOOK_MS, hangs);
        return;
    }
    r->ended = "a turn went on beyond its hard limit";
    link_kill(r->link, SIGABRT);
    alarm_set(core, alarm, core->now_ms + REMOTE_ABORT_MS, killed);
}

void remote_limit(struct remote *r)
{
    if (r->ended)
        return;
    alarm_clear(r->core, &r->alarm);
    r->look_cpu_ns = r->waits = 0;
    if (r->head)
        alarm_set(r->core, &r->alarm, r->core->now_ms + r->head->m->to->now->hard_limit_ns / 1000000 + 1, hangs);
}

static void not_ready(struct core *core, struct alarm *alarm)
{
    struct remote *r = (struct remote *)((char *)alarm - offsetof(struct remote, alarm));
    (void)core;
    remote_end(r, "it was not ready in time");
}

/* ---- frames ---------------------------------------------------------------------------------------------------------
 */

static void hold(struct remote *r, const struct frame *f)
{
    if (r->held.bytes > REMOTE_HELD_MAX_BYTES || frame_queue_add(&r->held, f) < 0) {
        remote_end(r, "no memory for what it sent");
        return;
    }
    r->more = true;
    kick(r->core);
}

static void drop_held(struct remote *r)
{
    frame_queue_clear(&r->held);
    r->more = false;
}

/* Up again after an end: caches come back by `start`, before any other message. */
static void up_again(struct remote *r)
{
    struct core *core = r->core;
    const struct generation *g = r->generation;
    r->step = REMOTE_UP;
    log_info(g->manifest->name, "its process is up again, pid %d", (int)link_pid(r->link));
    for (size_t i = 0; i < g->manifest->n_components && !core->stopping; i++) {
        struct component *c = g->components[i];
        struct message *m =
            c->now->generation == g && component_route(c, core->name_start) ? start_message(core, c) : NULL;
        if (m)
            remote_run_start(r, m);
    }
    remote_feed(r);
}

static int hear_start(struct remote *r)
{
    char error[512];
    json_t *ready = NULL;
    int e = hear_ready(r->generation->manifest, r->link, &ready, error, sizeof error);
    if (e < 0) {
        log_error(r->generation->manifest->name, "%s", error);
        return CVM_EIO;
    }
    if (e == 0)
        return 0;
    alarm_clear(r->core, &r->alarm);
    bool same = json_equal(ready, r->ready);
    json_decref(ready);
    if (!same) {
        remote_end(r, "it says of itself something else than before");
        return CVM_EIO;
    }
    up_again(r);
    return 1;
}

static int hear(struct remote *r)
{
    struct frame f;
    if (r->step == REMOTE_STARTING)
        return hear_start(r);
    struct frame_held *held = frame_queue_take(&r->held);
    int e = 1;
    if (held)
        f = held->frame;
    else
        e = link_receive(r->link, &f);
    if (e == 1 && (e = remote_take(r, &f)) == 0)
        e = 1;
    free(held);
    return e;
}

static void release(struct remote *r)
{
    if (--r->refs)
        return;
    json_decref(r->ready);
    free(r->components);
    free(r->routes);
    free(r);
}

/* Some frames of it; then others have their turn. */
static void hear_some(struct remote *r)
{
    int e = 1;
    int64_t until_ns = clock_ns() + CORE_SLICE_US * INT64_C(1000);
    r->refs++;
    for (int i = 0; i < REMOTE_SLICE_FRAMES && e == 1 && r->link && clock_ns() < until_ns; i++)
        e = hear(r);
    r->more = e == 1 && r->link;
    if (e == CVM_EDATA)
        remote_end(r, "it broke a rule of the link");
    if (e < 0)
        remote_broken(r);
    remote_feed(r);
    remote_flush_one(r);
    release(r);
}

/* What waits in memory, and what the tick has handed over. True: more waits. A turn may take processes out of the list.
 */
bool remotes_tick(struct core *core)
{
    bool more = false;
    struct remote **at = &core->remotes, *first;
    while (*at && !(*at)->more)
        at = &(*at)->next;
    if ((first = *at)) { /* the others are heard before it is again */
        *at = first->next;
        while (*at)
            at = &(*at)->next;
        *at = first;
        first->next = NULL;
        hear_some(first);
    }
    for (struct remote *r = core->remotes; r; r = r->next) {
        remote_flush_one(r);
        more = more || r->more;
    }
    return more;
}

/* ---- its end --------------------------------------------------------------------------------------------------------
 */

static void start_again(struct core *core, struct alarm *alarm)
{
    struct remote *r = (struct remote *)((char *)alarm - offsetof(struct remote, alarm));
    char error[512];
    if (core->stopping)
        return;
    int e = begin(r->generation->manifest, r->generation->path, core->options.runner, &r->link, error, sizeof error);
    if (e < 0) {
        log_error(r->generation->manifest->name, "%s", error);
        r->failures++;
        alarm_set(core, alarm, core->now_ms + REMOTE_BACKOFF_MAX_MS, start_again);
        return;
    }
    r->step = REMOTE_STARTING;
    r->restarts++;
    r->ended = NULL;
    r->poll = poll_open(r, link_fd(r->link), hear_some);
    r->errors = poll_open(r, link_errors_fd(r->link), hear_errors);
    alarm_set(core, alarm, core->now_ms + REMOTE_READY_MS, not_ready);
    if (!r->poll) { /* nobody would hear of its end */
        remote_end(r, "its link cannot be watched");
        remote_broken(r);
    }
}

static int64_t backoff_ms(uint32_t failures)
{
    int64_t ms = failures < 2 ? 0 : REMOTE_BACKOFF_MS << (failures < 10 ? failures - 2 : 8);
    return ms < REMOTE_BACKOFF_MAX_MS ? ms : REMOTE_BACKOFF_MAX_MS;
}

/* Somebody else ended it, the operator or the kernel: no fault of the message that it was working on, unless that goes
 * on. */
static bool by_others(const struct remote *r, const char *ending)
{
    return !r->ended && (strstr(ending, "signal 9 ") || strstr(ending, "signal 15 "));
}

static void *wait_for_end(void *link)
{
    char ending[128];
    link_ending(link, REMOTE_STOP_MS, ending, sizeof ending);
    link_close(link);
    return NULL;
}

/* Its end may take a moment; nobody waits for that. */
static void leave_alone(struct link *link, bool aside)
{
    pthread_t thread;
    pthread_attr_t how;
    pthread_attr_init(&how);
    pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
    if (!aside || pthread_create(&thread, &how, wait_for_end, link) != 0)
        wait_for_end(link);
    pthread_attr_destroy(&how);
}

/* Lets go of what is left of the process, and has it started again. */
static void let_go(struct remote *r, const struct component *ran, char *ret_ending, size_t size)
{
    struct core *core = r->core;
    hear_errors(r); /* what it said last */
    bool over = link_ending(r->link, REMOTE_END_MS, ret_ending, size);
    log_error(r->generation->manifest->name, "its process, pid %d, %s%s%s%s", (int)link_pid(r->link), ret_ending,
              r->ended ? " (" : "", r->ended ? r->ended : "", r->ended ? ")" : "");
    audit_event(core, "process.ended",
                json_pack("{s:s, s:i, s:s, s:s*, s:s*}", "plugin", r->generation->manifest->name, "pid",
                          (int)link_pid(r->link), "ending", ret_ending, "why", r->ended, "component",
                          ran ? ran->id->text : NULL));
    poll_close(&r->poll);
    poll_close(&r->errors);
    drop_held(r);
    link_kill(r->link, SIGKILL);
    leave_alone(r->link, !over && core->options.loop);
    r->link = NULL;
    r->step = REMOTE_DOWN;
    r->failures++;
    if (!core->stopping && core->options.loop)
        alarm_set(core, &r->alarm, core->now_ms + backoff_ms(r->failures), start_again);
}

/* It ended on its own account, at the fault of none of its messages. */
static void strike_all(struct remote *r)
{
    const struct generation *g = r->generation;
    if (g->plugin->before && g->plugin->now == g) {
        probation_strike(r->core, g->components[0]);
        return;
    }
    for (size_t i = 0; i < g->manifest->n_components; i++)
        if (g->components[i]->now->generation == g)
            fault_strike(r->core, g->components[i]);
}

void remote_broken(struct remote *r)
{
    char ending[128];
    if (!r->link)
        return;
    struct message *ran = remote_drop_all(r);
    let_go(r, ran ? ran->to : NULL, ending, sizeof ending);
    if (ran)
        turn_crashed(r->core, ran, by_others(r, ending));
    else if (!by_others(r, ending))
        strike_all(r);
}

/* ---- at once --------------------------------------------------------------------------------------------------------
 */

/* Waits for a frame of the kind and turn; what else comes is kept for later. Under the virtual clock, and where a turn
 * must end before the host goes on. */
static int expect(struct remote *r, int64_t until_ns, struct frame *ret_frame)
{
    for (;;) {
        int e = link_receive(r->link, ret_frame);
        if (e)
            return e == 1 ? 0 : e;
        int64_t left = (until_ns - clock_ns()) / 1000000;
        if (left <= 0 || (e = link_wait(r->link, (int)left)) == CVM_ETIMEOUT)
            return CVM_ETIMEOUT;
        if (e < 0)
            return e;
    }
}

#define GOES_ON INT_MIN /* none of a handler's results */

static int turn_frame(struct remote *r, cvm_turn *t, const struct frame *f, int *error)
{
    json_t *body = json_read(f->body, f->size), *answer = NULL;
    int result = GOES_ON;
    if (f->kind == FRAME_DONE) {
        const json_t *said = json_object_get(body, "result");
        int64_t given = (int64_t)json_integer_value(said);
        result = !json_is_integer(said) || given <= INT_MIN || given > INT_MAX ? CVM_EFAULT : (int)given;
        result = result >= 0 && *error ? *error : result;
    } else if (remote_op_is(body, "log")) {
        remote_log(r, (int)json_integer_value(json_object_get(body, "level")), ((struct turn *)t)->component->id->text,
                   text_of(body, "text"));
    } else {
        int e = remote_op(t, body, &answer);
        if (f->kind == FRAME_ASK) {
            char *text = json_text(answer, NULL);
            if (!text || link_send(r->link, FRAME_ANSWER, f->turn, text, strlen(text)) < 0)
                result = CVM_EFAULT;
            free(text);
        } else if (e < 0 && !*error) {
            *error = e;
        }
    }
    json_decref(answer);
    json_decref(body);
    return result;
}

/* A new process in place of one that ended, now. */
static int relaunch(struct remote *r)
{
    char error[512];
    json_t *ready = NULL;
    int e = remote_launch(r->generation->manifest, r->generation->path, r->core->options.runner, &r->link, &ready,
                          error, sizeof error);
    json_decref(ready);
    if (e) {
        log_error(r->generation->manifest->name, "%s", error);
        return CVM_EFAULT;
    }
    r->step = REMOTE_UP;
    r->ended = NULL;
    r->restarts++;
    return 0;
}

/* The turn from its beginning, with nothing done. */
static void begin_again(struct turn *t)
{
    struct component *c = t->component;
    struct conversation *conversation = t->conversation;
    struct message *m = t->message;
    struct core *core = t->core;
    turn_undo(core);
    json_decref(t->refusal);
    json_decref(t->denied);
    t->refusal = t->denied = NULL;
    turn_begin(core, c, conversation, m);
}

/* Sends it and does what it asks for. CVM_EIO: the process ended meanwhile, by somebody else's hand; nothing is undone.
 */
static int run_there(struct remote *r, struct turn *t, const cvm_msg *m, uint32_t route)
{
    uint64_t number;
    size_t weight;
    int result = GOES_ON, error = 0;
    const bool is_virtual = !r->core->options.loop;
    int64_t limit_ns = t->component->now->hard_limit_ns;
    if (is_virtual && limit_ns < REMOTE_VIRTUAL_MS * INT64_C(1000000))
        limit_ns = REMOTE_VIRTUAL_MS * INT64_C(1000000);
    if (r->step != REMOTE_UP || remote_send_turn(r, m, route, r->core->now_ms, &number, &weight) < 0)
        return CVM_EFAULT;
    int64_t until_ns = clock_ns() + limit_ns;
    while (result == GOES_ON) {
        struct frame f;
        char ending[128];
        int e = expect(r, until_ns, &f);
        if (e == CVM_ETIMEOUT)
            remote_end(r, "a turn went on beyond its hard limit");
        else if (e == CVM_EDATA)
            remote_end(r, "it broke a rule of the link");
        if (e < 0) {
            let_go(r, t->component, ending, sizeof ending);
            return is_virtual && by_others(r, ending) ? CVM_EIO : CVM_EFAULT;
        }
        if (f.turn == number)
            result = turn_frame(r, &t->pub, &f, &error);
        else if (f.kind == FRAME_ASK)
            remote_answer_nothing(r, f.turn); /* of a turn that was taken back */
    }
    return result;
}

int remote_turn(void *instance, cvm_turn *pub, const cvm_msg *m, uint32_t route)
{
    struct remote *r = instance;
    struct turn *t = (struct turn *)pub;
    assert(!r->head);
    for (int i = 0; i <= REMOTE_RESUMES_MAX; i++) {
        if (!r->link && (r->core->options.loop || relaunch(r) < 0))
            return CVM_EFAULT;
        int result = run_there(r, t, m, route);
        if (r->link || result != CVM_EIO) /* with its link up, the error is the handler's own */
            return result;
        begin_again(t);
    }
    return CVM_EFAULT;
}

int remote_convert(struct remote *r, const char *component, bool down, uint32_t version, const char *key,
                   const json_t *value, json_t **ret_value)
{
    struct frame f;
    int64_t until_ns = clock_ns() + REMOTE_CONVERT_MS * INT64_C(1000000);
    if (!r->link || r->step != REMOTE_UP)
        return CVM_EIO;
    json_t *body = json_pack("{s:s, s:b, s:I, s:s, s:O}", "component", component, "down", down, "version",
                             (json_int_t)version, "key", key, "value", (json_t *)(uintptr_t)value);
    char *text = body ? json_text(body, NULL) : NULL;
    int e = text ? link_send(r->link, FRAME_CONVERT, 0, text, strlen(text)) : CVM_ENOMEM;
    free(text);
    json_decref(body);
    while (!e && !(e = expect(r, until_ns, &f)) && f.kind != FRAME_CONVERTED)
        hold(r, &f);
    if (e == CVM_ETIMEOUT)
        remote_end(r, "it does not convert a stored value in time");
    json_t *answer = e ? NULL : json_read(f.body, f.size);
    json_t *made = json_object_get(answer, "value");
    if (!e)
        e = made ? 0 : CVM_EDATA;
    if (!e)
        *ret_value = json_incref(made);
    json_decref(answer);
    return e;
}

/* ---- with its generation --------------------------------------------------------------------------------------------
 */

int remote_open(struct core *core, struct generation *g, struct candidate *candidate, char *error, size_t size)
{
    struct stage_place place = plugin_place(core);
    CVM_TRY(stage_launch(&place, candidate, error, size));
    struct remote *r = calloc(1, sizeof *r);
    if (!r)
        return REFUSE(error, size, CVM_ENOMEM, "out of memory");
    *r = (struct remote){.core = core, .refs = 1, .generation = g, .link = candidate->link, .ready = candidate->ready};
    candidate->link = NULL;
    candidate->ready = NULL;
    r->next = core->remotes;
    core->remotes = r;
    g->remote = r;
    g->instance = r;
    g->descriptor = &r->descriptor;
    CVM_TRY(describe(r, error, size));
    if (core->options.loop) {
        r->poll = poll_open(r, link_fd(r->link), hear_some);
        r->errors = poll_open(r, link_errors_fd(r->link), hear_errors);
    }
    return 0;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    struct remote **at = &r->core->remotes;
    while (*at != r)
        at = &(*at)->next;
    *at = r->next;
    remote_recall(r->generation);
    alarm_clear(r->core, &r->alarm);
    poll_close(&r->poll);
    poll_close(&r->errors);
    if (r->link) {
        link_send(r->link, FRAME_STOP, 0, NULL, 0);
        link_flush(r->link);
        leave_alone(r->link, r->core->options.loop != NULL);
    }
    r->link = NULL;
    r->step = REMOTE_DOWN;
    drop_held(r);
    release(r);
}

/* Before the loop lets go of the core. */
void remotes_stop(struct core *core)
{
    for (struct remote *r = core->remotes; r; r = r->next) {
        poll_close(&r->poll);
        poll_close(&r->errors);
    }
}

void remotes_detach(struct core *core)
{
    for (struct remote *r = core->remotes; r; r = r->next) {
        if (r->poll)
            r->poll->core = NULL;
        if (r->errors)
            r->errors->core = NULL;
    }
}

pid_t remote_pid(const struct remote *r)
{
    return r->link ? link_pid(r->link) : 0;
}

json_t *remote_json(const struct remote *r)
{
    static const char *const steps[] = {"up", "starting", "down"};
    json_int_t waiting = 0;
    for (int class = 0; class < CORE_CLASSES; class ++)
        for (const struct message *m = r->waiting[class].head; m; m = m->queue_next)
            waiting++;
    return json_pack("{s:i, s:s, s:i, s:i, s:I}", "pid", (int)remote_pid(r), "state", steps[r->step], "restarts",
                     (int)r->restarts, "in_hand", (int)r->n, "waiting", waiting);
}
