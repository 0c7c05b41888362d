/* Owns the command `cvmhost serve` and its hidden second half: options, what is opened once and outlives the host
 * process, and the choice between a supervisor and the host alone. Loads no plugin and opens no database. */
#include "cli/serve.h"

#include "cli/cli.h"
#include "cli/host.h"
#include "cli/version_text.h"
#include "core/config.h"
#include "core/log.h"
#include "core/store.h"
#include "services/blame.h"
#include "services/home.h"
#include "services/notify.h"
#include "services/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ERROR_SIZE 1024
#define HTTP_PORT 8000
#define RESTARTS_MAX 10
#define WINDOW_S 60
#define DELAY_MAX_MS 5000
#define READY_S 30
#define TAKEN_POLL_MS 10

static const char usage[] =
    "usage: cvmhost serve [OPTIONS]\n"
    "Runs the host: HTTP, messages, timers, control socket. Ends with SIGTERM or Ctrl-C.\n"
    "\n"
    "  --home DIR          the folder with config/, manifests/, plugins/, data/ (default $CVMHOST_HOME, else here)\n"
    "  --config FILE       instead of DIR/config/cvmhost.json\n"
    "  --port N            instead of http.port of the configuration (8000); 0 takes a free one\n"
    "  --log-level LEVEL   DEBUG, INFO, WARNING or ERROR (default $LOG_LEVEL, else host.log_level, else INFO)\n"
    "  --trust-all         run every plugin of the home inside the host, whatever plugins.inline says\n"
    "  --no-supervise      run the host itself, without the process that starts it again after a crash\n"
    "  --help              this text\n"
    "\n"
    "Signals: SIGHUP reloads all plugins, SIGUSR2 takes up the program that lies in the file it was started from.\n"
    "\n"
    "exit status: 0 stopped, 1 failed (port or home in use, ..), 2 wrong usage, 3 configuration, plugin or database,\n"
    "4 crashed too often, in safe mode too\n";

enum {
    OPT_HOME = 1,
    OPT_CONFIG,
    OPT_PORT,
    OPT_LEVEL,
    OPT_ALONE,
    OPT_PRIVATE,
    OPT_TRUST,
    OPT_FDS,
    OPT_HANDOVER,
    OPT_HELP
};

static const struct option long_options[] = {{"home", required_argument, NULL, OPT_HOME},
                                             {"config", required_argument, NULL, OPT_CONFIG},
                                             {"port", required_argument, NULL, OPT_PORT},
                                             {"log-level", required_argument, NULL, OPT_LEVEL},
                                             {"log_level", required_argument, NULL, OPT_LEVEL},
                                             {"no-supervise", no_argument, NULL, OPT_ALONE},
                                             {"private", no_argument, NULL, OPT_PRIVATE},
                                             {"trust-all", no_argument, NULL, OPT_TRUST},
                                             {"fds", required_argument, NULL, OPT_FDS},
                                             {"handover", required_argument, NULL, OPT_HANDOVER},
                                             {"help", no_argument, NULL, OPT_HELP},
                                             {0}};

struct arguments {
    const char *home, *config, *level, *fds, *handover;
    int port; /* -1: not given */
    bool alone, is_private, trust_all, help;
};

static int read_number(const char *text, int max, int *ret_value)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > max)
        return CVM_EINVAL;
    *ret_value = (int)value;
    return CVM_OK;
}

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "cvmhost serve: %s%s; see cvmhost serve --help\n", what, value);
    return CVM_EINVAL;
}

static int read_arguments(int argc, char **argv, struct arguments *ret)
{
    struct arguments a = {.port = -1};
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        switch (option) {
        case OPT_HOME:
            a.home = optarg;
            break;
        case OPT_CONFIG:
            a.config = optarg;
            break;
        case OPT_PORT:
            if (read_number(optarg, 65535, &a.port) < 0)
                return usage_error("--port takes a number from 0 to 65535, not ", optarg);
            break;
        case OPT_LEVEL:
            if (log_level_from_name(optarg) < 0)
                return usage_error("--log-level takes DEBUG, INFO, WARNING or ERROR, not ", optarg);
            a.level = optarg;
            break;
        case OPT_ALONE:
            a.alone = true;
            break;
        case OPT_PRIVATE:
            a.is_private = true;
            break;
        case OPT_TRUST:
            a.trust_all = true;
            break;
        case OPT_FDS:
            a.fds = optarg;
            break;
        case OPT_HANDOVER:
            a.handover = optarg;
            break;
        case OPT_HELP:
            a.help = true;
            break;
        case ':':
            return usage_error("a value is missing after ", argv[optind - 1]);
        default:
            return usage_error("unknown option ", argv[optind - 1]);
        }
    }
    if (optind < argc)
        return usage_error("unexpected argument ", argv[optind]);
    *ret = a;
    return CVM_OK;
}

/* Option, then environment, then configuration, which has merged those two. */
static enum log_level choose_level(const struct arguments *a, const struct config *config)
{
    const char *name = a->level ? a->level : config ? config_str(config, "host.log_level", "INFO") : "INFO";
    int level = log_level_from_name(name);
    return level < 0 ? LOG_INFO : (enum log_level)level;
}

static const char *level_name(enum log_level level)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    return names[level];
}

static int fail(int status, const char *text)
{
    fprintf(stderr, "cvmhost: %s\n", text);
    return status;
}

/* ---- what outlives the host process ------------------------------------------------------------------------------ */

static void close_fds(struct host_fds *fds)
{
    int *all[] = {&fds->http, &fds->control, &fds->page, &fds->ready, &fds->lock};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i] >= 0)
            close(*all[i]);
        *all[i] = -1;
    }
}

/* What the service manager has opened for us is taken as it is. */
static int open_listeners(const char *home, const struct arguments *a, const struct config *config,
                          struct host_fds *fds, char *error)
{
    int port = a->port >= 0 ? a->port : (int)config_int(config, "http.port", HTTP_PORT);
    int others = a->is_private ? 0 : notify_take_sockets(&fds->http, &fds->control);
    if (others)
        fprintf(stderr, "cvmhost: %d of the sockets in $LISTEN_FDS are neither the HTTP nor the control socket\n",
                others);
    int e = fds->control >= 0 ? CVM_OK : home_listen_control(home, &fds->control, error, ERROR_SIZE);
    if (e < 0)
        return 1;
    if (a->is_private || fds->http >= 0)
        return 0;
    e = home_listen_http(config_str(config, "http.host", "127.0.0.1"), port, config_bool(config, "http.public", 0),
                         &fds->http, &port, error, ERROR_SIZE);
    return e == CVM_EINVAL || e == CVM_EACCES ? 3 : e < 0 ? 1 : 0;
}

/* A private host is gone as soon as the command that uses it is. */
static int take_home(const char *home, const struct arguments *a, int *ret_fd, char *error)
{
    int e = home_lock(home, ret_fd, error, ERROR_SIZE);
    for (int waited = 0; e == CVM_EBUSY && !a->is_private && home_is_private(home); waited += TAKEN_POLL_MS) {
        if (waited == 0)
            fprintf(stderr, "cvmhost: waiting for a command that works in %s\n", home);
        nanosleep(&(struct timespec){.tv_nsec = TAKEN_POLL_MS * 1000000L}, NULL);
        e = home_lock(home, ret_fd, error, ERROR_SIZE);
    }
    if (e == CVM_OK && a->is_private)
        e = home_mark_private(*ret_fd);
    return e;
}

/* In the order in which a second host, a faulty file and a port in use are best told apart. Returns an exit status. */
static int open_all(const char *home, const struct arguments *a, struct host_fds *fds, struct config **ret_config,
                    char *error)
{
    if (home_prepare(home, error, ERROR_SIZE) < 0)
        return 1;
    int e = take_home(home, a, &fds->lock, error);
    if (e < 0)
        return e == CVM_EBUSY && a->is_private ? SERVE_TAKEN : 1;
    if (config_load(home, a->config, ret_config, error, ERROR_SIZE) < 0)
        return 3;
    fds->ready = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fds->ready < 0) {
        snprintf(error, ERROR_SIZE, "no descriptor is left: %s", strerror(errno));
        return 1;
    }
    return open_listeners(home, a, *ret_config, fds, error);
}

/* What host and next supervisor are started with, ending with NULL. */
static void add_options(const struct arguments *a, const char **argv, int n)
{
    const char *const pairs[][2] = {{"--config", a->config}, {"--private", NULL}, {"--trust-all", NULL}};
    const bool wanted[] = {a->config != NULL, a->is_private, a->trust_all};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!wanted[i])
            continue;
        argv[n++] = pairs[i][0];
        if (pairs[i][1])
            argv[n++] = pairs[i][1];
    }
    argv[n] = NULL;
}

/* `config` NULL: it cannot be read now, and the defaults hold until the next start. */
static int supervise(const struct arguments *a, const struct host_options *host, const struct config *config,
                     const struct supervisor_handover *handover)
{
    const char *level = level_name(host->level);
    const char *argv[16] = {"cvmhost", "host", "--home", host->home, "--log-level", level};
    const char *self[16] = {"cvmhost", "serve", "--home", host->home, "--log-level", level};
    char url[80] = "";
    add_options(a, argv, 6);
    add_options(a, self, 6);
    home_url(host->fds.http, url, sizeof url);
    struct supervisor_options options = {
        .argv = argv,
        .self = self,
        .fds = host->fds,
        .page = host->page,
        .restarts_max = config ? (int)config_int(config, "supervisor.restarts", RESTARTS_MAX) : RESTARTS_MAX,
        .window_ms = 1000 * (config ? config_int(config, "supervisor.window_s", WINDOW_S) : WINDOW_S),
        .delay_max_ms = config ? config_int(config, "supervisor.restart_delay_ms", DELAY_MAX_MS) : DELAY_MAX_MS,
        .ready_ms = 1000 * (config ? config_int(config, "supervisor.ready_s", READY_S) : READY_S),
        .version = cvmhost_version,
        .database = store_format(),
        .serving = url,
        .handover = *handover,
    };
    return supervisor_run(&options);
}

static int map_page(struct host_options *host)
{
    host->page = mmap(NULL, sizeof *host->page, PROT_READ | PROT_WRITE, MAP_SHARED, host->fds.page, 0);
    if (host->page == MAP_FAILED)
        host->page = NULL;
    return host->page && host->page->magic == PAGE_MAGIC && host->page->bytes == sizeof *host->page ? CVM_OK : CVM_EIO;
}

/* Descriptors that were inherited go no further by themselves. */
static int take_fds(struct host_fds f, struct host_fds *ret_fds)
{
    const int all[] = {f.control, f.page, f.ready, f.lock, f.http};
    for (size_t i = 0; i < 5; i++)
        if ((all[i] >= 0 || i < 4) && fcntl(all[i], F_SETFD, FD_CLOEXEC) < 0)
            return CVM_EINVAL;
    *ret_fds = f;
    return CVM_OK;
}

/* The host that runs goes on under this supervisor, which was one of another version until now: nothing may end it. */
static int take_over(const struct arguments *a, struct host_options *host, struct config **ret_config,
                     struct supervisor_handover *ret_handover, char *error)
{
    struct host_fds fds;
    if (supervisor_handover_read(a->handover, &fds, ret_handover) < 0 || take_fds(fds, &host->fds) < 0) {
        snprintf(error, ERROR_SIZE, "--handover is used by \"cvmhost upgrade\" only");
        return 2;
    }
    if (config_load(host->home, a->config, ret_config, error, ERROR_SIZE) < 0)
        fprintf(stderr, "cvmhost: %s; the supervisor goes on with the defaults\n", error);
    if (map_page(host) == CVM_OK)
        return 0;
    snprintf(error, ERROR_SIZE, "the page shared with the host process cannot be read");
    return 1;
}

static int open_host(const struct arguments *a, struct host_options *host, struct config **ret_config, char *error)
{
    int status = open_all(host->home, a, &host->fds, ret_config, error);
    if (status == 0 && blame_page_new(&host->fds.page, &host->page) < 0) {
        snprintf(error, ERROR_SIZE, "there is no memory for the page shared with the host process");
        status = 1;
    }
    return status;
}

int serve_main(int argc, char **argv)
{
    struct arguments a;
    if (read_arguments(argc, argv, &a) < 0)
        return 2;
    if (a.help) {
        fputs(usage, stdout);
        return fflush(stdout) == 0 ? 0 : cli_fail(CLI_FAILED, "standard output: %s", strerror(errno));
    }
    char error[ERROR_SIZE] = "", log_path[HOME_PATH_MAX];
    struct config *config = NULL;
    struct supervisor_handover handover = {0};
    umask(umask(077) | 027); /* the database holds what customers wrote: nobody outside the group reads it */
    struct host_options host = {.fds = {-1, -1, -1, -1, -1},
                                .home = home_find(a.home),
                                .config_file = a.config,
                                .is_private = a.is_private,
                                .trust_all = a.trust_all};
    int status = a.handover ? take_over(&a, &host, &config, &handover, error) : open_host(&a, &host, &config, error);
    if (status) {
        if (status != SERVE_TAKEN)
            fail(status, error);
        goto out;
    }
    host.level = choose_level(&a, config);
    if (a.alone) {
        status = host_run(&host);
        goto out;
    }
    if (home_path(host.home, HOME_LOG, log_path, sizeof log_path) < 0 || log_open(log_path, host.level, 1) < 0)
        fprintf(stderr, "cvmhost: %s/" HOME_LOG " cannot be written; going on without it\n", host.home);
    status = supervise(&a, &host, config, &handover);
    log_close();
out:
    if (host.page)
        munmap(host.page, sizeof *host.page);
    close_fds(&host.fds);
    if (config)
        config_free(config);
    return status;
}

/* ---- the supervised half ----------------------------------------------------------------------------------------- */

static int read_fds(const char *text, struct host_fds *ret_fds)
{
    struct host_fds f;
    if (!text || sscanf(text, "%d,%d,%d,%d,%d", &f.http, &f.control, &f.page, &f.ready, &f.lock) != 5)
        return CVM_EINVAL;
    return take_fds(f, ret_fds);
}

int host_main(int argc, char **argv)
{
    struct arguments a;
    struct host_options host = {0};
    prctl(PR_SET_NAME, "cvmhost-host"); /* else it is "exe", as it was executed */
    if (read_arguments(argc, argv, &a) < 0)
        return 2;
    if (read_fds(a.fds, &host.fds) < 0)
        return fail(2, "this command is run by \"cvmhost serve\" only");
    host.home = home_find(a.home);
    host.config_file = a.config;
    host.is_private = a.is_private;
    host.trust_all = a.trust_all;
    host.level = a.level ? (enum log_level)log_level_from_name(a.level) : LOG_INFO;
    host.supervised = true;
    if (map_page(&host) < 0)
        return fail(1, "the page shared with the supervisor cannot be read");
    int status = host_run(&host);
    munmap(host.page, sizeof *host.page);
    close_fds(&host.fds);
    return status;
}
