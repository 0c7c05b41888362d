/* Owns the host process: opens log, configuration, core and services, tells when it serves, and closes all of it so
 * that nothing is left. Loop thread only. */
#include "cli/host.h"

#include "cli/cli.h"
#include "cli/installed.h"
#include "cli/version_text.h"
#include "core/audit.h"
#include "core/core.h"
#include "core/crash.h"
#include "core/registry.h"
#include "core/reload.h"
#include "core/store.h"
#include "services/access.h"
#include "services/control.h"
#include "services/figures.h"
#include "services/home.h"
#include "services/http_client.h"
#include "services/http_server.h"
#include "services/notify.h"
#include "services/operation_counters.h"
#include "services/supervisor.h"
#include "services/watchdog.h"

#include <cvm/json.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ERROR_SIZE 1024
#define PRIVATE_WAIT_MS 10000
#define START_TURNS_MS 2000
#define FIRST_MODELS_MS 20000 /* less than supervisor.ready_s: a command waits longer for its host */
#define DRAIN_MS 3000         /* for what is under way when another program takes over */
#define CONTROL_DRAIN_MS 1000
#define CONTROL_FRESH_MS 100
#define DRAIN_TICK_MS 5
#define HTTP_GRACE_MS 3000 /* for answers under way, out of the SUPERVISOR_STOP_MS that all of the stop may take */

struct host {
    struct host_options *options;
    uv_loop_t loop;
    struct config *config;
    struct access *access;                /* NULL: nobody is asked for a token */
    uint64_t access_version;              /* of the configuration it was made of */
    char api_title[128], api_version[64]; /* as they were at the start */
    struct operation_counters *counters;
    struct figures *figures; /* NULL: nobody is given any */
    struct core *core;
    struct http_client *client;
    struct http_server *server;
    struct control *control;
    struct watchdog *watchdog;
    uv_poll_t signals;
    uv_timer_t private_wait;
    int signal_fd;
    bool has_signals, has_timer;
    bool stopping, draining, told_start;
    int64_t drained_ms; /* when the listener had drained */
    int closing;        /* services that have not closed yet */
    int status;
};

/* ---- stopping: edges, then core, then what the core uses ----------------------------------------------------------
 */

static void on_client_closed(void *arg)
{
    struct host *h = arg;
    h->client = NULL;
    if (h->watchdog)
        watchdog_stop(h->watchdog, NULL, NULL);
    h->watchdog = NULL;
    if (h->has_signals)
        uv_close((uv_handle_t *)&h->signals, NULL);
    if (h->has_timer)
        uv_close((uv_handle_t *)&h->private_wait, NULL);
    h->has_signals = h->has_timer = false;
}

static void on_core_stopped(void *arg)
{
    struct host *h = arg;
    if (h->client)
        http_client_close(h->client, on_client_closed, h);
    else
        on_client_closed(h);
}

static void on_edge_closed(void *arg)
{
    struct host *h = arg;
    if (--h->closing)
        return;
    if (h->told_start)
        audit_event(h->core, "host.stopped", json_pack("{s:i}", "status", h->status));
    if (h->core)
        core_stop(h->core, on_core_stopped, h);
    else
        on_core_stopped(h);
}

static void stop(struct host *h, int status)
{
    if (h->stopping)
        return;
    h->stopping = true;
    h->status = status;
    atomic_store(&h->options->page->ready, 0);
    figures_stop(h->figures);
    h->figures = NULL;
    h->closing = 3;
    if (h->server)
        http_server_stop(h->server, h->draining ? 0 : HTTP_GRACE_MS, on_edge_closed, h);
    else
        on_edge_closed(h);
    control_close(h->control, on_edge_closed, h);
    on_edge_closed(h); /* our own share: nothing goes on before both were asked */
}

/* ---- going over to another program -------------------------------------------------------------------------------
 */

/* Commands that have come are answered; those that come now wait in the backlog. */
static void on_control_drain(uv_timer_t *timer)
{
    struct host *h = timer->data;
    int64_t waited = (int64_t)uv_now(&h->loop) - h->drained_ms;
    if (control_busy(h->control, waited < CONTROL_FRESH_MS) && waited < CONTROL_DRAIN_MS)
        return;
    uv_timer_stop(timer);
    stop(h, 0);
}

static void on_drained(void *arg)
{
    struct host *h = arg;
    h->drained_ms = (int64_t)uv_now(&h->loop);
    if (h->stopping)
        return;
    control_drain(h->control);
    uv_timer_start(&h->private_wait, on_control_drain, 0, DRAIN_TICK_MS);
}

/* The supervisor starts another program on the sockets as soon as this process has ended. */
static void drain(struct host *h)
{
    if (!h->options->supervised || h->options->is_private || !h->server) {
        log_warning("host", "SIGUSR2: there is no supervisor that could go over to another program");
        return;
    }
    if (h->draining)
        return;
    log_info("host", "another program takes over: finishing what is under way");
    h->draining = true;
    http_server_drain(h->server, DRAIN_MS, on_drained, h);
}

/* Of an upgrade that has ended, which the supervisor tells with SIGUSR1. */
static void audit_upgrade(struct host *h)
{
    struct page_upgrade *u = &h->options->page->upgrade;
    uint32_t state = (uint32_t)atomic_load(&u->state);
    if (!u->unread || state <= PAGE_UPGRADE_ASKED || !h->core)
        return;
    u->unread = 0;
    audit_event(h->core, state == PAGE_UPGRADE_DONE ? "host.upgraded" : "host.upgrade_failed",
                json_pack("{s:s, s:s, s:s, s:f}", "from", u->from, "to", u->to, "why", u->text, "ready_ms",
                          (double)((u->ready_ns - u->stopped_ns) / 100000) / 10.0));
}

/* ---- signals -----------------------------------------------------------------------------------------------------
 */

static void on_reloaded(void *arg, int error, json_t *report)
{
    const json_t *refused = json_object_get(report, "error");
    const struct host *h = arg;
    uint64_t one = 1;
    if (write(h->options->fds.ready, &one, sizeof one) != sizeof one)
        log_warning("host", "the supervisor could not be told that the reload has ended");
    if (error < 0 || json_is_object(refused))
        log_error("host", "the reload was refused and nothing was changed: %s",
                  cvm_json_str(refused, "text", cvm_strerror(error)));
    else
        log_info("host", "reloaded: %s", cvm_json_str(report, "result", "done"));
    json_decref(report);
}

/* As servers do: SIGHUP takes up what stands in the folders now. */
static void reload_all(struct host *h)
{
    if (h->options->is_private || !atomic_load(&h->options->page->ready))
        return; /* a terminal that closes is no wish; and who starts reads the folders anyway */
    log_info("host", "SIGHUP: reloading all plugins");
    core_change(h->core, CHANGE_RELOAD, NULL, false, on_reloaded, h);
}

static void on_signals(uv_poll_t *poll, int status, int events)
{
    struct host *h = poll->data;
    struct signalfd_siginfo info;
    (void)status;
    (void)events;
    while (read(h->signal_fd, &info, sizeof info) == sizeof info) {
        if (h->stopping)
            continue;
        if (info.ssi_signo == SIGHUP) {
            log_reopen();
            reload_all(h);
            continue;
        }
        if (info.ssi_signo == SIGUSR1) { /* the loop goes round */
            atomic_store(&h->options->page->pong, atomic_load(&h->options->page->ping));
            audit_upgrade(h);
            continue;
        }
        if (info.ssi_signo == SIGUSR2) {
            drain(h);
            continue;
        }
        log_info("host", "stopping (signal %u)", info.ssi_signo);
        if (!h->options->supervised)
            notify_send("STOPPING=1");
        stop(h, 0);
    }
}

static void on_last_client(void *arg)
{
    struct host *h = arg;
    if (h->options->is_private)
        stop(h, 0);
}

static void on_private_wait(uv_timer_t *timer)
{
    struct host *h = timer->data;
    if (control_connections(h->control) == 0)
        stop(h, 0);
}

/* The core cannot go on: nothing of what it holds may leave any more, so nothing is closed either. */
static void on_fatal(void *arg, int exit_status, const char *text)
{
    const struct host *h = arg;
    atomic_store(&h->options->page->in_turn, 0); /* the handler that runs, if any, is not to blame */
    log_error("host", "%s", text);
    log_close();
    _exit(exit_status);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static int send_call(void *arg, const struct http_request *request, http_done done, void *done_arg,
                     uint64_t *ret_handle)
{
    return http_client_send(arg, request, done, done_arg, ret_handle);
}

/* What went wrong decides whether it helps to start again: not where a file or plugin must be corrected first. */
static int status_of(int error)
{
    return error == CVM_EIO || error == CVM_ENOMEM || error == CVM_EBUSY ? 1 : 3;
}

/* A plugin's command or route that is spelt like one of ours would never be reached. */
static const char *owns(const struct manifest_expose *expose)
{
    for (const struct cli_command *own = cli_commands; expose->cli && own->words; own++)
        if (strcmp(own->words, expose->cli) == 0)
            return expose->cli;
    return expose->path && http_server_owns(expose->path) ? expose->path : NULL;
}

static const char *secret_of(const void *config, const char *name)
{
    return config_secret(config, name);
}

static int open_access(struct host *h, char *error, size_t size)
{
    const json_t *tokens = config_get(h->config, "access.tokens");
    json_t *warnings = json_array(), *one;
    size_t i;
    int e = tokens ? access_new(tokens, secret_of, h->config, warnings, &h->access, error, size) : CVM_OK;
    json_array_foreach(warnings, i, one) log_warning("host", "%s", json_string_value(one));
    json_decref(warnings);
    h->access_version = config_version(h->config);
    return e;
}

/* A reload reads the configuration anew. Tokens that cannot be used leave those before in force. */
static const struct access *current_access(void *arg)
{
    struct host *h = arg;
    struct access *before = h->access;
    char error[ERROR_SIZE] = "";
    if (h->access_version == config_version(h->config))
        return h->access;
    h->access = NULL;
    if (open_access(h, error, sizeof error) < 0) {
        log_error("host", "%s; the tokens of before stay in force", error);
        h->access = before;
    } else {
        access_free(before);
    }
    return h->access;
}

static int start_core(struct host *h)
{
    char error[ERROR_SIZE] = "";
    int e = config_load(h->options->home, h->options->config_file, &h->config, error, sizeof error);
    if (e == CVM_OK && h->options->trust_all)
        config_trust_all(h->config);
    if (e == CVM_OK)
        e = open_access(h, error, sizeof error);
    if (e == CVM_OK)
        e = http_client_new(&h->loop, &h->client);
    const char *installed = getenv("CVMHOST_INSTALLED"); /* "": none */
    if (!installed)
        installed = CVMHOST_INSTALLED;
    struct core_options options = {.home = h->options->home,
                                   .config = h->config,
                                   .config_file = h->options->config_file,
                                   .installed = *installed ? installed : NULL,
                                   .loop = &h->loop,
                                   .page = h->options->page,
                                   .send = send_call,
                                   .send_arg = h->client,
                                   .owns = owns,
                                   .fatal = on_fatal,
                                   .fatal_arg = h};
    if (e == CVM_OK)
        e = core_open(&options, &h->core, error, sizeof error);
    if (e == CVM_OK)
        e = watchdog_start(&h->loop, h->options->page, &h->watchdog);
    if (e == CVM_OK)
        e = core_load(h->core, error, sizeof error);
    if (e == CVM_OK) {
        core_log_loaded(h->core);
        e = core_start(h->core, error, sizeof error);
    }
    if (e == CVM_OK && !h->options->is_private) {
        h->told_start = true;
        audit_host_started(h->core, json_pack("{s:s, s:I}", "version", cvmhost_version, "pid", (json_int_t)getpid()));
    }
    if (e < 0)
        log_error("host", "%s", *error ? error : cvm_strerror(e));
    return e;
}

static int start_edges(struct host *h)
{
    struct host_fds *fds = &h->options->fds;
    struct control_options control = {.loop = &h->loop,
                                      .core = h->core,
                                      .config = h->config,
                                      .fd = fds->control,
                                      .is_private = h->options->is_private,
                                      .idle = on_last_client,
                                      .idle_arg = h,
                                      .page = h->options->supervised ? h->options->page : NULL,
                                      .version = cvmhost_version,
                                      .database = store_format()};
    fds->control = -1;
    h->counters = control.counters = operation_counters_new(); /* without memory nothing is counted */
    int e = control_open(&control, &h->control);
    if (e < 0 || fds->http < 0) {
        if (e < 0)
            log_error("host", "the control socket cannot be served: %s", cvm_strerror(e));
        return e;
    }
    snprintf(h->api_title, sizeof h->api_title, "%s", config_str(h->config, "http.api_title", "cvmhost"));
    snprintf(h->api_version, sizeof h->api_version, "%s", config_str(h->config, "http.api_version", cvmhost_version));
    struct http_server_options server = {
        .loop = &h->loop,
        .core = h->core,
        .access = current_access,
        .access_arg = h,
        .counters = h->counters,
        .version = h->api_version,
        .title = h->api_title,
        .page = h->options->page,
        .listen_fd = fds->http,
        .answer_timeout_ms = 1000 * config_int(h->config, "http.answer_timeout_s", 0),
        .slow_client_ms = 1000 * config_int(h->config, "http.timeout_s", 0),
        .body_max_bytes = (size_t)config_int(h->config, "http.body_max_bytes", 0),
        .connections_max = (unsigned)config_int(h->config, "http.connections", 0),
        .connections_per_address = (unsigned)config_int(h->config, "http.per_address", 0),
    };
    e = http_server_new(&server, &h->server);
    if (e < 0)
        log_error("host", "the HTTP listener cannot be served: %s", cvm_strerror(e));
    else if (!h->options->is_private)
        h->figures = figures_new(
            &(struct figures_options){.loop = &h->loop, .core = h->core, .counters = h->counters, .server = h->server});
    return e;
}

static int start_handles(struct host *h)
{
    if (uv_poll_init(&h->loop, &h->signals, h->signal_fd) < 0)
        return CVM_EIO;
    h->has_signals = true;
    h->signals.data = h;
    if (uv_poll_start(&h->signals, UV_READABLE, on_signals) < 0 || uv_timer_init(&h->loop, &h->private_wait) < 0)
        return CVM_EIO;
    h->has_timer = true;
    h->private_wait.data = h;
    return CVM_OK;
}

static bool is_loopback(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return false;
    if (address.ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)&address)->sin6_addr);
    return ntohl(((const struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24 == 127;
}

static void tell_ready(struct host *h, const char *url)
{
    uint64_t one = 1;
    if (!h->access && !h->options->is_private && !is_loopback(h->options->fds.http))
        log_warning("host", "%s can be reached from other machines, and nobody is asked for a token: set access.tokens",
                    url);
    atomic_store(&h->options->page->ready, 1);
    audit_upgrade(h);
    if (h->options->is_private)
        log_info("host", "serving commands in %s (pid %ld)", h->options->home, (long)getpid());
    else
        log_info("host", "serving on %s (pid %ld)", url, (long)getpid());
    if (h->options->is_private) /* from now on: until here nobody could come */
        uv_timer_start(&h->private_wait, on_private_wait, PRIVATE_WAIT_MS, 0);
    if (write(h->options->fds.ready, &one, sizeof one) != sizeof one)
        log_warning("host", "the supervisor could not be told that the host serves");
    if (!h->options->supervised)
        notify_send("READY=1");
}

/* Who is let in finds what the components prepare in their first turns; one that hangs there is not waited for. */
static void wait_for_starts(struct host *h)
{
    uint64_t until_ms = uv_now(&h->loop) + START_TURNS_MS;
    while (!h->stopping && core_is_starting(h->core) && uv_now(&h->loop) < until_ms)
        uv_run(&h->loop, UV_RUN_ONCE);
    /* A host of one command would be gone before its models are trained, again and again: once in a home it waits. */
    until_ms = uv_now(&h->loop) + FIRST_MODELS_MS;
    while (h->options->is_private && !h->stopping && core_learns(h->core) && uv_now(&h->loop) < until_ms)
        uv_run(&h->loop, UV_RUN_ONCE);
}

static void start(struct host *h)
{
    char url[80] = "";
    home_url(h->options->fds.http, url, sizeof url);
    int e = start_handles(h);
    if (e == CVM_OK)
        e = start_core(h);
    if (e == CVM_OK)
        wait_for_starts(h);
    if (e == CVM_OK && h->stopping)
        return;
    if (e == CVM_OK)
        e = start_edges(h);
    if (e == CVM_OK)
        tell_ready(h, url);
    else
        stop(h, status_of(e));
}

static void open_log(const struct host_options *options)
{
    char path[HOME_PATH_MAX];
    if (home_path(options->home, HOME_LOG, path, sizeof path) < 0 || log_open(path, options->level, 1) < 0)
        fprintf(stderr, "cvmhost: %s/" HOME_LOG " cannot be written; going on without it\n", options->home);
    if (home_path(options->home, HOME_CRASH_LOG, path, sizeof path) < 0 ||
        watchdog_catch_faults(options->page, path) < 0)
        log_warning("host", "crashes will leave no backtrace: %s cannot be written", path);
}

/* The signals that the host obeys stay blocked in every thread and come through a descriptor, so that none, however
 * often and early it is sent, ends the process on its way. Gives the descriptor. */
static int open_signals(void)
{
    sigset_t obeyed;
    signal(SIGPIPE, SIG_IGN); /* a client that goes is a failed write */
    signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is a full disk */
    sigemptyset(&obeyed);
    sigaddset(&obeyed, SIGTERM);
    sigaddset(&obeyed, SIGINT);
    sigaddset(&obeyed, SIGHUP);
    sigaddset(&obeyed, SIGUSR1);
    sigaddset(&obeyed, SIGUSR2);
    sigprocmask(SIG_BLOCK, &obeyed, NULL);
    signal(SIGHUP, SIG_DFL); /* what is ignored reaches no descriptor */
    return signalfd(-1, &obeyed, SFD_NONBLOCK | SFD_CLOEXEC);
}

int host_run(struct host_options *options)
{
    struct host h = {.options = options, .signal_fd = open_signals()};
    /* Payloads are many small blocks that live for a group commit. Kept in malloc's fast bins they would be merged all
     * at once, again and again, whenever a larger block is asked for: a fifth of the loop's time under load. */
    mallopt(M_MXFAST, 0);
    open_log(options);
    crash_init();
    if (h.signal_fd < 0 || uv_loop_init(&h.loop) < 0) {
        log_error("host", "the event loop cannot be made");
        return 1;
    }
    start(&h);
    uv_run(&h.loop, UV_RUN_DEFAULT);
    if (h.core)
        core_close(h.core);
    access_free(h.access);
    operation_counters_free(h.counters);
    if (h.config)
        config_free(h.config);
    uv_run(&h.loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&h.loop) < 0)
        log_error("host", "something was left open");
    close(h.signal_fd);
    log_info("host", "stopped");
    log_close();
    return h.status;
}
