/* Homes, processes and programs of flow tests; flow_talk.c talks to them. One thread. */
#include "flow_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096
#define FILE_MAX_BYTES (64 * 1024 * 1024)

static char build_root[PATH_MAX_BYTES];
static struct flow *current; /* the test's home, for the note about what is left of a failed one */
static pid_t current_of;     /* who made it; a fixture's home is not its tests' to leave */

int64_t flow_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t flow_now_ms(void)
{
    return flow_now_us() / 1000;
}

void flow_sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static const char *join(char *out, const char *root, const char *name)
{
    int n = snprintf(out, PATH_MAX_BYTES, "%s/%s", root, name);
    ck_assert_int_lt(n, PATH_MAX_BYTES);
    return out;
}

const char *flow_build(const char *name)
{
    static char path[PATH_MAX_BYTES];
    if (!*build_root) {
        char self[PATH_MAX_BYTES];
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        ck_assert_int_gt(n, 0);
        self[n] = 0;
        for (int up = 0; up < 3; up++) /* BUILD/tests/flow/test_x */
            *strrchr(self, '/') = 0;
        snprintf(build_root, sizeof build_root, "%s", self);
    }
    return join(path, build_root, name);
}

const char *flow_source(const char *name)
{
    static char path[PATH_MAX_BYTES];
    return join(path, FLOW_SOURCE, name);
}

static char *read_path(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return NULL;
    char *text = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    char part[8192];
    size_t n;
    while ((n = fread(part, 1, sizeof part, file)) > 0 && len < FILE_MAX_BYTES)
        fwrite(part, 1, n, memory);
    fclose(memory);
    fclose(file);
    return text;
}

static void write_path(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "w");
    ck_assert_msg(file && fwrite(text, 1, len, file) == len && fclose(file) == 0, "%s cannot be written", path);
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
}

static void copy_file(const char *from, const char *to)
{
    char path[PATH_MAX_BYTES], part[65536];
    snprintf(path, sizeof path, "%s", to);
    make_folders(path);
    FILE *in = fopen(from, "r"), *out = fopen(to, "w");
    ck_assert_msg(in && out, "%s cannot be copied to %s", from, to);
    size_t n;
    while ((n = fread(part, 1, sizeof part, in)) > 0)
        ck_assert_uint_eq(fwrite(part, 1, n, out), n);
    fclose(in);
    ck_assert_int_eq(fclose(out), 0);
    struct stat st;
    if (stat(from, &st) == 0)
        chmod(to, st.st_mode & 0777);
}

/* nftw has no argument for its callback. */
static struct {
    const char *from, *to, *want;
    char found[PATH_MAX_BYTES];
} walk;

static int copy_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    char to[PATH_MAX_BYTES];
    if (type == FTW_F)
        copy_file(path, join(to, walk.to, path + strlen(walk.from) + 1));
    return 0;
}

static void copy_tree(const char *from, const char *to)
{
    walk.from = from;
    walk.to = to;
    nftw(from, copy_entry, 16, FTW_PHYS);
}

static int find_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    if (type != FTW_F || strcmp(path + at->base, walk.want) != 0)
        return 0;
    snprintf(walk.found, sizeof walk.found, "%s", path);
    return 1;
}

/* The file called `name` somewhere below `root`; NULL. */
static const char *find_file(const char *root, const char *name)
{
    walk.want = name;
    return nftw(root, find_entry, 16, FTW_PHYS) == 1 ? walk.found : NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    remove(path);
    return 0;
}

/* ---- the home ---------------------------------------------------------------------------------------------------- */

static void note_left(void)
{
    if (current && getpid() == current_of)
        fprintf(stderr, "the home of the failed test is left: %s\n", current->home);
}

struct flow *flow_new(void)
{
    static bool noted;
    struct flow *f = calloc(1, sizeof *f);
    ck_assert_ptr_nonnull(f);
    snprintf(f->home, sizeof f->home, "/tmp/cvm-flow-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->home));
    f->config = json_object();
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    if (getenv("CVM_FLOW_PROCESS")) /* the same tests, with plugins in processes of their own */
        flow_config(f, "plugins.process", json_pack("[s]", "*"));
    /* A host installed on this machine is not under test, and neither is the environment of who runs the tests. */
    flow_env(f, "CVMHOST_INSTALLED", "");
    flow_env(f, "LOG_LEVEL", "INFO");
    flow_env(f, "CVMHOST_HOME", f->home);
    if (!noted)
        atexit(note_left);
    noted = true;
    current = f;
    current_of = getpid();
    return f;
}

void flow_free(struct flow *f)
{
    if (!f)
        return;
    if (f->pid) {
        kill(f->pid, SIGKILL);
        waitpid(f->pid, NULL, 0);
    }
    for (int i = 0; i < f->n_spawned; i++) {
        kill(f->spawned[i], SIGKILL);
        waitpid(f->spawned[i], NULL, 0);
    }
    for (int i = 0; i < f->n_env; i++)
        free(f->env[i]);
    free(f->start_errors);
    free(f->program);
    json_decref(f->config);
    if (!getenv("FLOW_KEEP"))
        nftw(f->home, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
    else
        fprintf(stderr, "left, as FLOW_KEEP asks: %s\n", f->home);
    if (current == f)
        current = NULL;
    free(f);
}

void flow_write(struct flow *f, const char *name, const char *text)
{
    char path[PATH_MAX_BYTES];
    join(path, f->home, name);
    make_folders(path);
    write_path(path, text, strlen(text));
}

char *flow_read(struct flow *f, const char *name)
{
    char path[PATH_MAX_BYTES];
    return read_path(join(path, f->home, name));
}

void flow_remove(struct flow *f, const char *name)
{
    char path[PATH_MAX_BYTES];
    remove(join(path, f->home, name));
}

void flow_env(struct flow *f, const char *name, const char *value)
{
    size_t len = strlen(name);
    int at = 0;
    while (at < f->n_env && (strncmp(f->env[at], name, len) != 0 || f->env[at][len] != '='))
        at++;
    ck_assert_int_lt(at, (int)(sizeof f->env / sizeof *f->env) - 1);
    if (at == f->n_env)
        f->n_env++;
    else
        free(f->env[at]);
    ck_assert_int_gt(asprintf(&f->env[at], "%s=%s", name, value), 0);
}

void flow_config(struct flow *f, const char *path, json_t *value)
{
    char *parts = strdup(path), *save = NULL, *part = strtok_r(parts, ".", &save), *next;
    json_t *at = f->config;
    while ((next = strtok_r(NULL, ".", &save))) {
        json_t *inner = json_object_get(at, part);
        if (!json_is_object(inner)) {
            inner = json_object();
            json_object_set_new(at, part, inner);
        }
        at = inner;
        part = next;
    }
    json_object_set_new(at, part, value);
    free(parts);
}

void flow_write_config(struct flow *f)
{
    char *text = json_dumps(f->config, 0);
    flow_write(f, "config/cvmhost.json", text);
    free(text);
}

void flow_config_text(struct flow *f, const char *text)
{
    json_decref(f->config);
    f->config = NULL;
    flow_write(f, "config/cvmhost.json", text);
}

void flow_plugin(struct flow *f, const char *name)
{
    static const char *const sources[] = {"manifests", "tests/plugins", "examples", "plugins"};
    static const char *const builds[] = {"plugins", "tests/plugins", "examples"};
    char file[160], to[PATH_MAX_BYTES], folder[PATH_MAX_BYTES];
    const char *found = NULL;
    snprintf(file, sizeof file, "%s.so", name);
    for (size_t i = 0; i < sizeof builds / sizeof *builds && !found; i++)
        found = find_file(flow_build(builds[i]), file);
    ck_assert_msg(found, "the build has no %s", file);
    snprintf(folder, sizeof folder, "%s/plugins/%s", f->home, file);
    copy_file(found, folder);
    snprintf(file, sizeof file, "%s.json", name);
    found = NULL;
    for (size_t i = 0; i < sizeof sources / sizeof *sources && !found; i++)
        found = find_file(flow_source(sources[i]), file);
    ck_assert_msg(found, "the sources have no %s", file);
    snprintf(to, sizeof to, "%s/manifests/%s", f->home, file);
    copy_file(found, to);
    snprintf(folder, sizeof folder, "%.*s", (int)(strlen(found) - 5), found); /* without ".json" */
    to[strlen(to) - 5] = 0;
    copy_tree(folder, to);
}

static int add_manifest(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    const char *name = path + at->base;
    size_t len = strlen(name);
    char *list = walk.found;
    if (type == FTW_F && at->level == 1 && len > 5 && strcmp(name + len - 5, ".json") == 0)
        snprintf(list + strlen(list), sizeof walk.found - strlen(list), "%.*s ", (int)len - 5, name);
    return 0;
}

void flow_product(struct flow *f)
{
    char from[PATH_MAX_BYTES], to[PATH_MAX_BYTES], *save = NULL;
    walk.found[0] = 0;
    nftw(flow_source("manifests"), add_manifest, 16, FTW_PHYS);
    char *names = strdup(walk.found);
    for (char *name = strtok_r(names, " ", &save); name; name = strtok_r(NULL, " ", &save))
        flow_plugin(f, name);
    free(names);
    snprintf(from, sizeof from, "%s", flow_source("config"));
    copy_tree(from, join(to, f->home, "config"));
    /* Settings of the product hold unless a test has set its own. */
    /* The rules answer, in every run alike; who wants the text model says so before. */
    if (!json_object_get(json_object_get(f->config, "models"), "enabled"))
        flow_config(f, "models.enabled", json_false());
    json_t *shipped = json_load_file(join(to, f->home, "config/cvmhost.json"), 0, NULL);
    if (json_is_object(shipped)) {
        json_object_update_recursive(shipped, f->config);
        json_decref(f->config);
        f->config = json_incref(shipped);
    }
    json_decref(shipped);
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

static void redirect(const char *path, int to)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(126);
    close(fd);
}

pid_t flow__start(struct flow *f, const char *const *argv, const char *out, const char *errors)
{
    pid_t parent = getpid(), pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    for (int i = 0; i < f->n_env; i++)
        putenv(f->env[i]);
    int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    redirect(out, STDOUT_FILENO);
    redirect(errors, STDERR_FILENO);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static int exit_status(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

int flow__wait(pid_t pid, const char *what, int64_t wait_ms)
{
    int64_t until = flow_now_ms() + (wait_ms ? wait_ms : FLOW_WAIT_MS);
    int status;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0) {
        ck_assert_msg(flow_now_ms() < until, "%s does not end", what);
        flow_sleep_ms(2);
    }
    ck_assert_int_eq(ended, pid);
    return exit_status(status);
}

static void launch(struct flow *f, const char *const *options)
{
    const char *argv[40];
    char port[16], out[PATH_MAX_BYTES], errors[PATH_MAX_BYTES], path[PATH_MAX_BYTES], program[PATH_MAX_BYTES];
    int n = 0;
    ck_assert_int_eq(f->pid, 0);
    make_folders((char *)(uintptr_t)join(path, f->home, "config/cvmhost.json"));
    make_folders((char *)(uintptr_t)join(out, f->home, "manifests/x"));
    make_folders((char *)(uintptr_t)join(out, f->home, "plugins/x"));
    if (f->config)
        ck_assert_int_eq(json_dump_file(f->config, path, JSON_INDENT(2)), 0);
    snprintf(program, sizeof program, "%s", f->program ? f->program : flow_build("host/cvmhost"));
    snprintf(port, sizeof port, "%d", f->port);
    argv[n++] = program;
    argv[n++] = "serve";
    argv[n++] = "--home";
    argv[n++] = f->home;
    argv[n++] = "--port";
    argv[n++] = port;
    for (; options && *options && n < 39; options++)
        argv[n++] = *options;
    argv[n] = NULL;
    f->pid = flow__start(f, argv, join(out, f->home, "serve.out"), join(errors, f->home, "serve.err"));
}

/* Reads pid and address from the last "serving on" line; returns how many there are. */
static int read_serving(struct flow *f)
{
    char *text = flow_read(f, "serve.err"), *at = text, *last = NULL;
    int n = 0;
    while (at && (at = strstr(at, "serving on http://"))) {
        last = at++;
        n++;
    }
    if (last && strchr(last, '\n')) {
        char *url = last + strlen("serving on "), *end = strchr(url, ' '), *pid = strstr(last, "(pid ");
        ck_assert_ptr_nonnull(pid);
        snprintf(f->url, sizeof f->url, "%.*s", (int)(end - url), url);
        f->host = (pid_t)strtol(pid + 5, NULL, 10);
    } else if (last) {
        n--; /* being written */
    }
    free(text);
    return n;
}

int64_t flow_wait_serving(struct flow *f)
{
    int64_t begun = flow_now_ms();
    int n;
    while ((n = read_serving(f)) <= f->served) {
        int status;
        if (flow_now_ms() - begun > FLOW_WAIT_MS || waitpid(f->pid, &status, WNOHANG) == f->pid) {
            char *text = flow_read(f, "serve.err");
            size_t len = text ? strlen(text) : 0; /* Check ends the test without a word on more than 8 KiB */
            ck_abort_msg("the host does not serve; it said:\n%s",
                         len ? text + (len > 4000 ? len - 4000 : 0) : "nothing");
        }
        flow_sleep_ms(2);
    }
    f->served = n;
    return flow_now_ms() - begun;
}

void flow_start_with(struct flow *f, const char *const *options)
{
    launch(f, options);
    flow_wait_serving(f);
}

void flow_start(struct flow *f)
{
    flow_start_with(f, NULL);
}

int flow_start_status(struct flow *f, const char *const *options)
{
    flow_remove(f, "serve.err");
    f->served = 0;
    launch(f, options);
    int status = flow_wait_end(f);
    free(f->start_errors);
    f->start_errors = flow_read(f, "serve.err");
    return status;
}

void flow_end(struct flow *f)
{
    ck_assert_int_eq(flow_stop(f), 0);
    flow_free(f);
}

void flow_kill(struct flow *f, int signal_number)
{
    ck_assert_int_gt(f->host, 0);
    ck_assert_int_eq(kill(f->host, signal_number), 0);
}

int flow_wait_end(struct flow *f)
{
    ck_assert_int_gt(f->pid, 0);
    int status = flow__wait(f->pid, "the host", 0);
    f->pid = f->host = 0;
    return status;
}

int flow_stop(struct flow *f)
{
    ck_assert_int_gt(f->pid, 0);
    ck_assert_int_eq(kill(f->pid, SIGTERM), 0);
    return flow_wait_end(f);
}

/* ---- the log ----------------------------------------------------------------------------------------------------- */

char *flow_log(struct flow *f)
{
    char *text = flow_read(f, "logs/cvmhost.log");
    return text ? text : strdup("");
}

bool flow_logged(struct flow *f, const char *text)
{
    char *log = flow_log(f);
    bool found = strstr(log, text) != NULL;
    free(log);
    return found;
}

void flow_wait_log(struct flow *f, const char *text)
{
    int64_t until = flow_now_ms() + FLOW_WAIT_MS;
    while (!flow_logged(f, text)) {
        ck_assert_msg(flow_now_ms() < until, "never logged: %s", text);
        flow_sleep_ms(5);
    }
}

/* ---- other programs ---------------------------------------------------------------------------------------------- */

pid_t flow_spawn(struct flow *f, const char *name, const char *const *argv)
{
    const char *full[64];
    char program[PATH_MAX_BYTES], out[PATH_MAX_BYTES], file[128];
    int n = 0;
    for (; argv[n] && n < 63; n++)
        full[n] = argv[n];
    full[n] = NULL;
    snprintf(program, sizeof program, "%s", argv[0][0] == '/' ? argv[0] : flow_build(argv[0]));
    full[0] = program;
    snprintf(file, sizeof file, "%s.txt", name);
    join(out, f->home, file);
    ck_assert_int_lt(f->n_spawned, (int)(sizeof f->spawned / sizeof *f->spawned));
    pid_t pid = flow__start(f, full, out, out);
    f->spawned[f->n_spawned++] = pid;
    return pid;
}

int flow_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

int flow_kept_port(void)
{
    static int next;
    for (int tries = 0; tries < 10000; tries++) {
        const int port = 20000 + (int)(((unsigned)getpid() * 37u + (unsigned)next++) % 10000u);
        struct sockaddr_in address = {
            .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int e = bind(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (e == 0)
            return port;
    }
    ck_abort_msg("no port between 20000 and 30000 is free");
}

/* ---- the program ------------------------------------------------------------------------------------------------- */

int flow_main(const char *suite, TCase *const *cases)
{
    Suite *s = suite_create(suite);
    for (; *cases; cases++)
        suite_add_tcase(s, *cases);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
