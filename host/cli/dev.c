/* `cvmhost dev`: serves a home, builds when sources change, reloads when the home does, and tells what came of it. Owns
 * the child processes: the host, if it is ours, and the build. One loop, one thread; asking the host blocks it, which
 * is a few milliseconds. */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/private.h"
#include "cli/show.h"
#include "cli/watch.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATHS_MAX 64
#define LOOPS_MAX 3 /* builds in a row that were caused by the build before */

static const char usage[] = "dev [--build COMMAND] [--port N] [PATHS...]";

struct dev {
    struct cli *cli;
    uv_loop_t loop;
    uv_signal_t signals[3];
    struct watch *home, *sources;
    const char *build, *port;
    char home_path[PATH_MAX]; /* whole, without links */
    const char *paths[PATHS_MAX];
    size_t n_paths;
    uv_process_t host, builder;
    bool own;       /* the host is ours */
    bool host_runs; /* of our own */
    bool building, built_once;
    bool asked;   /* a source has changed */
    bool rebuild; /* while it was built */
    bool pending; /* the home has changed and was not reloaded yet */
    bool several; /* more than one plugin, or a file has gone */
    char plugin[CVM_NAME_MAX + 1];
    char changed[512]; /* the source that asked for the next build */
    int in_a_row;
    uint64_t build_began;
    bool stopping;
};

/* ---- telling ---- */

__attribute__((format(printf, 3, 4))) static void tell(struct dev *d, const char *color, const char *format, ...)
{
    char stamp[16], text[1024];
    time_t now = time(NULL);
    struct tm tm;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%H:%M:%S", &tm);
    fprintf(d->cli->out, "%s%s%s %s", show_dim(d->cli), stamp, show_plain(d->cli), color);
    show_text(d->cli->out, text);
    fprintf(d->cli->out, "%s\n", show_plain(d->cli));
    cli_flush(d->cli);
}

/* ---- the host ---- */

static void host_ended(uv_process_t *process, int64_t status, int signal_number)
{
    struct dev *d = process->data;
    d->host_runs = false;
    uv_close((uv_handle_t *)process, NULL);
    if (!d->stopping)
        tell(d, show_red(d->cli), "the host has ended (%s %lld); the next change starts it again",
             signal_number ? "signal" : "status", signal_number ? (long long)signal_number : (long long)status);
}

static int spawn(struct dev *d, uv_process_t *process, const char *program, const char *const *argv, uv_exit_cb ended)
{
    uv_stdio_container_t stdio[] = {{.flags = UV_IGNORE},
                                    {.flags = UV_INHERIT_FD, .data.fd = STDOUT_FILENO},
                                    {.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO}};
    uv_process_options_t options = {
        .file = program, .args = (char **)(uintptr_t)argv, .exit_cb = ended, .stdio_count = 3, .stdio = stdio};
    process->data = d;
    int error = uv_spawn(&d->loop, process, &options);
    if (error < 0)
        uv_close((uv_handle_t *)process, NULL);
    return error;
}

static void start_host(struct dev *d)
{
    const char *argv[12] = {"cvmhost", "serve", "--trust-all", "--home", d->cli->home};
    int n = 5;
    const char *const options[][2] = {
        {"--port", d->port}, {"--log-level", d->cli->log_level}, {"--config", d->cli->config_file}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (options[i][1]) {
            argv[n++] = options[i][0];
            argv[n++] = options[i][1];
        }
    int error = spawn(d, &d->host, "/proc/self/exe", argv, host_ended);
    d->host_runs = error == 0;
    if (error < 0)
        tell(d, show_red(d->cli), "the host cannot be started: %s", uv_strerror(error));
}

/* ---- reloading ---- */

static int ask(struct dev *d, const char *plugin)
{
    json_t *report = NULL;
    struct cli quiet = *d->cli;
    int status =
        cli_ask(d->cli, json_pack("{s:s, s:s, s:s*}", "do", "change", "what", "reload", "plugin", plugin), &report);
    if (status != CLI_OK)
        return status;
    const json_t *error = json_object_get(report, "error");
    status = plugin && strcmp(cvm_json_str(error, "code", ""), "NOT_FOUND") == 0 ? CLI_NOT_FOUND
                                                                                 : change_told(&quiet, report);
    json_decref(report);
    return status;
}

static void reload(struct dev *d)
{
    const bool one = !d->several && d->plugin[0];
    d->pending = d->several = false;
    if (d->own && !d->host_runs) {
        start_host(d);
        return;
    }
    tell(d, show_dim(d->cli), "reloading %s", one ? d->plugin : "what has changed");
    /* A name that is not known is one that has just come, or a library that is called otherwise than its plugin. */
    if (ask(d, one ? d->plugin : NULL) == CLI_NOT_FOUND && one)
        (void)ask(d, NULL);
    d->plugin[0] = 0;
    cli_flush(d->cli);
}

/* The bytes of `name` that are the plugin's, where it is a program: marked as one, or with a manifest of its name. 0:
 * it is not. */
static size_t program_name(const char *home, const char *path, const char *name)
{
    static const char *const folders[] = {"plugins", "manifests"};
    struct stat st;
    char manifest[PATH_MAX];
    const char *dot = strrchr(name, '.');
    int n = (int)(dot ? (size_t)(dot - name) : strlen(name));
    if (name[0] == '.' || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    bool found = st.st_mode & S_IXUSR;
    for (size_t i = 0; i < 2 && !found; i++) {
        snprintf(manifest, sizeof manifest, "%s/%s/%.*s.json", home, folders[i], n, name);
        found = access(manifest, F_OK) == 0;
    }
    return found ? (size_t)n : 0;
}

/* The plugin that a path in plugins/ or manifests/ belongs to: NAME.so, NAME.json, NAME/... False: none. */
static bool plugin_of(const char *home, const char *path, char ret_name[CVM_NAME_MAX + 1])
{
    static const char *const folders[] = {"plugins/", "manifests/"}, *const endings[] = {".so", ".json"};
    size_t at = strcmp(home, ".") == 0 ? 0 : strlen(home) + 1;
    for (size_t i = 0; i < 2; i++) {
        if (strlen(path) <= at || strncmp(path + at, folders[i], strlen(folders[i])) != 0)
            continue;
        const char *name = path + at + strlen(folders[i]);
        size_t len = strcspn(name, "/"), whole = len;
        for (size_t k = 0; k < 2 && !name[len] && whole == len; k++)
            if (len > strlen(endings[k]) && strcmp(name + len - strlen(endings[k]), endings[k]) == 0)
                whole = len - strlen(endings[k]);
        if (!name[len] && whole == len) {
            whole = i == 0 ? program_name(home, path, name) : 0;
            if (!whole)
                return false; /* a file that is of no plugin, or a folder: what is in it will come */
        }
        snprintf(ret_name, CVM_NAME_MAX + 1, "%.*s", (int)whole, name);
        return true;
    }
    return false;
}

static void home_changed(void *arg, const char *path)
{
    struct dev *d = arg;
    char name[CVM_NAME_MAX + 1];
    if (!plugin_of(d->cli->home, path, name))
        return;
    d->several = d->several || (d->plugin[0] && strcmp(d->plugin, name) != 0) || access(path, F_OK) != 0;
    snprintf(d->plugin, sizeof d->plugin, "%s", name);
    d->pending = true;
}

static void home_quiet(void *arg)
{
    struct dev *d = arg;
    if (d->pending && !d->building)
        reload(d);
}

/* ---- building ---- */

static void start_build(struct dev *d);

/* Only now is there a handle for the next build. */
static void builder_closed(uv_handle_t *handle)
{
    struct dev *d = handle->data;
    d->building = false;
    if (d->rebuild && !d->stopping)
        start_build(d);
}

static void build_ended(uv_process_t *process, int64_t status, int signal_number)
{
    struct dev *d = process->data;
    uint64_t ms = (uv_hrtime() - d->build_began) / 1000000;
    bool first = !d->built_once;
    d->built_once = true;
    uv_close((uv_handle_t *)process, builder_closed);
    if (d->stopping)
        return;
    if (status || signal_number)
        tell(d, show_red(d->cli), "the build failed (%s %lld); what runs stays", signal_number ? "signal" : "status",
             signal_number ? (long long)signal_number : (long long)status);
    else
        tell(d, show_green(d->cli), "built in %.1f s", (double)ms / 1000);
    if (d->own && first) {
        d->pending = false;
        start_host(d);
    } else if (d->pending && status == 0 && !signal_number) {
        reload(d);
    }
}

static void start_build(struct dev *d)
{
    const char *const argv[] = {"sh", "-c", d->build, NULL};
    d->in_a_row = d->rebuild ? d->in_a_row + 1 : 0;
    d->rebuild = d->asked = false;
    if (d->in_a_row > LOOPS_MAX) {
        tell(d, show_red(d->cli), "each build changes what is watched (%s): name narrower PATHS", d->changed);
        d->in_a_row = 0;
        return;
    }
    if (d->changed[0])
        tell(d, show_dim(d->cli), "%s has changed: %s", d->changed, d->build);
    else
        tell(d, show_dim(d->cli), "%s", d->build);
    d->build_began = uv_hrtime();
    int error = spawn(d, &d->builder, "/bin/sh", argv, build_ended);
    d->building = error == 0;
    if (error < 0)
        tell(d, show_red(d->cli), "the build cannot be started: %s", uv_strerror(error));
}

/* What the host writes, and what a build is for, is no source. */
static bool is_of_home(const struct dev *d, const char *path)
{
    static const char *const folders[] = {"data", "logs", "output", "plugins", "manifests"};
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    size_t len = strlen(d->home_path);
    if (!realpath(folder, real) || strncmp(real, d->home_path, len) != 0 || real[len] != '/')
        return false;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (strncmp(real + len + 1, folders[i], strlen(folders[i])) == 0)
            return true;
    return false;
}

static void source_changed(void *arg, const char *path)
{
    struct dev *d = arg;
    if (is_of_home(d, path))
        return;
    d->asked = true;
    snprintf(d->changed, sizeof d->changed, "%s", path);
    d->rebuild = d->rebuild || d->building;
}

static void sources_quiet(void *arg)
{
    struct dev *d = arg;
    if (d->asked && !d->building && !d->stopping)
        start_build(d);
}

/* ---- from start to end ---- */

static void stop(struct dev *d)
{
    if (d->stopping)
        return;
    d->stopping = true;
    watch_close(d->home);
    watch_close(d->sources);
    for (size_t i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&d->signals[i], NULL);
    if (d->building)
        uv_process_kill(&d->builder, SIGTERM);
    if (d->host_runs)
        uv_process_kill(&d->host, SIGTERM);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static int watch_all(struct dev *d)
{
    static const char *const folders[] = {"plugins", "manifests"};
    char path[4096];
    struct stat st;
    /* A folder that is missing beside the other, or beside config/, is made: something may be put there. */
    bool is_home = false;
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", d->cli->home, i < 2 ? folders[i] : "config");
        is_home = is_home || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
    }
    int error = watch_new(&d->loop, home_changed, home_quiet, d, &d->home);
    for (size_t i = 0; i < 2 && error == 0; i++) {
        snprintf(path, sizeof path, "%s%s%s", strcmp(d->cli->home, ".") ? d->cli->home : "",
                 strcmp(d->cli->home, ".") ? "/" : "", folders[i]);
        error = watch_add(d->home, path);
        if (error == CVM_ENOENT && is_home && mkdir(path, 0777) == 0)
            error = watch_add(d->home, path);
        if (error < 0)
            return cli_fail(CLI_FAILED, "%s cannot be watched: %s; a home has plugins/ and manifests/", path,
                            cvm_strerror(error));
    }
    if (error == 0 && d->build)
        error = watch_new(&d->loop, source_changed, sources_quiet, d, &d->sources);
    for (size_t i = 0; i < d->n_paths && error == 0; i++) {
        error = watch_add(d->sources, d->paths[i]);
        if (error < 0)
            return cli_fail(error == CVM_ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s cannot be watched: %s", d->paths[i],
                            error == CVM_ELIMIT ? "it has too many folders; name narrower PATHS" : cvm_strerror(error));
    }
    return error < 0 ? cli_fail(CLI_FAILED, "files cannot be watched: %s", cvm_strerror(error)) : CLI_OK;
}

static int begin(struct dev *d)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
    int status = watch_all(d);
    if (status != CLI_OK)
        return status;
    d->own = !cli_host_runs(d->cli);
    tell(d, show_bold(d->cli), "%s %s; Ctrl-C ends %s", d->own ? "serving" : "using the host that runs in",
         d->cli->home, d->own ? "it" : "this, not the host");
    if (d->build)
        start_build(d);
    else if (d->own)
        start_host(d);
    return CLI_OK;
}

static int read_line(struct dev *d)
{
    struct cli *cli = d->cli;
    const struct cli_option options[] = {{"build", &d->build}, {"port", &d->port}};
    int status = cli_arguments(cli, usage, options, 2, d->paths, 0, PATHS_MAX);
    while (status == CLI_OK && d->n_paths < PATHS_MAX && d->paths[d->n_paths])
        d->n_paths++;
    if (status == CLI_OK && d->n_paths && !d->build)
        return cli_fail(CLI_USAGE, "--build is missing: it says what to do when PATHS change\nusage: cvmhost %s",
                        usage);
    if (status == CLI_OK && d->build && !d->n_paths)
        d->paths[d->n_paths++] = ".";
    return status;
}

int cli_dev(struct cli *cli)
{
    struct dev *d = calloc(1, sizeof *d);
    if (!d)
        return cli_fail(CLI_FAILED, "out of memory");
    d->cli = cli;
    cli->no_start = true;
    int status = read_line(d);
    if (status == CLI_OK && !realpath(cli->home, d->home_path))
        status = cli_fail(CLI_NOT_FOUND, "there is no home at %s: make the folder, or name another one with --home",
                          cli->home);
    if (status == CLI_OK)
        setenv("CVMHOST_HOME", d->home_path, 1); /* for the build */
    if (status == CLI_OK && uv_loop_init(&d->loop) < 0)
        status = cli_fail(CLI_FAILED, "the event loop cannot be made");
    if (status == CLI_OK) {
        status = begin(d);
        if (status != CLI_OK)
            stop(d);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        uv_loop_close(&d->loop);
    }
    free(d);
    return status;
}
