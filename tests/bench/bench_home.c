/* Homes and processes for the benchmark: plugins copied from the build, the simulator and a supervised host. */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_WAIT_NS (30 * INT64_C(1000000000))
#define PLUGINS_MAX 62
#define READY_WAIT_NS (60 * INT64_C(1000000000))

int bench_copy(const char *from, const char *to)
{
    char buffer[65536];
    size_t n;
    FILE *in = fopen(from, "re"), *out = in ? fopen(to, "we") : NULL;
    while (out && (n = fread(buffer, 1, sizeof buffer, in)) > 0)
        fwrite(buffer, 1, n, out);
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    return in && out ? 0 : -1;
}

static int run_wait(char *const *argv)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The library of a plugin lies somewhere below BUILD/plugins or in BUILD/tests. */
static int find_library(const char *folder, const char *file, char *ret_path, size_t size, int depth)
{
    DIR *dir = depth ? opendir(folder) : NULL;
    struct dirent *entry;
    int found = 0;
    while (dir && !found && (entry = readdir(dir))) {
        char path[4096];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &st) < 0)
            continue;
        if (S_ISREG(st.st_mode) && strcmp(entry->d_name, file) == 0) {
            snprintf(ret_path, size, "%s", path);
            found = 1;
        } else if (S_ISDIR(st.st_mode)) {
            found = find_library(path, file, ret_path, size, depth - 1);
        }
    }
    if (dir)
        closedir(dir);
    return found;
}

static int add_plugin(struct bench_home *home, const char *name)
{
    char from[4096], to[256], file[64];
    snprintf(file, sizeof file, "%s.so", name);
    snprintf(from, sizeof from, "%s/plugins", bench_build());
    char library[4096];
    if (!find_library(from, file, library, sizeof library, 4)) {
        snprintf(from, sizeof from, "%s/tests", bench_build());
        if (!find_library(from, file, library, sizeof library, 4)) {
            fprintf(stderr, "bench: plugin %s is not built\n", name);
            return -1;
        }
    }
    snprintf(to, sizeof to, "%s/plugins/%s", home->path, file);
    if (bench_copy(library, to) < 0)
        return -1;
    snprintf(from, sizeof from, "%s/manifests/%s.json", bench_source(), name);
    snprintf(to, sizeof to, "%s/manifests/%s.json", home->path, name);
    if (bench_copy(from, to) < 0) {
        snprintf(from, sizeof from, "%s/tests/bench/%s.json", bench_source(), name);
        if (bench_copy(from, to) < 0)
            return -1;
    }
    snprintf(from, sizeof from, "%s/manifests/%s", bench_source(), name);
    snprintf(to, sizeof to, "%s/manifests/", home->path);
    struct stat st;
    if (stat(from, &st) == 0) {
        char *const argv[] = {"cp", "-r", from, to, NULL};
        return run_wait(argv) == 0 ? 0 : -1;
    }
    return 0;
}

static void write_file(const struct bench_home *home, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", home->path, name);
    FILE *f = fopen(path, "we");
    if (!f)
        return;
    fputs(text, f);
    fclose(f);
}

/* Several customers, as in life: one wallet would be one lane for all. */
static json_t *customers(void)
{
    json_t *list = json_array();
    for (int i = 0; i < BENCH_CUSTOMERS; i++) {
        char phone[16];
        snprintf(phone, sizeof phone, "0803123%04d", i);
        json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:s}", "phone", phone, "name", "Bench Customer",
                                              "wallet_naira", 90000000, "tier", "BRONZE"));
    }
    return list;
}

static void write_config(const struct bench_home *home)
{
    char base_url[64];
    snprintf(base_url, sizeof base_url, "http://127.0.0.1:%d/mtn/v1", home->sim_port);
    json_t *config =
        json_pack("{s:{s:[s]}, s:{s:i, s:i}, s:{s:i}, s:{s:{s:{s:s}}, s:{s:{s:i}}, s:{s:{s:o}}}}", "plugins", "inline",
                  "*", "http", "connections", 4000, "per_address", 4000, "admission", "conversations", 1000000,
                  "agents", "provider.network.mtn", "settings", "base_url", base_url, "service.transaction", "settings",
                  "max_per_minute", 1000000000, "service.desk", "settings", "sample_customers", customers());
    char *text = config ? json_dumps(config, 0) : NULL;
    if (text)
        write_file(home, "config/cvmhost.json", text);
    free(text);
    json_decref(config);
    write_file(home, ".env", "MTN_API_KEY=sim-key\nAIRTEL_API_KEY=sim-key\n");
}

int bench_home_make(struct bench_home *home, const char *const *plugins)
{
    char path[128];
    const char *const folders[] = {"config", "manifests", "plugins", NULL};
    *home = (struct bench_home){.host = 0};
    snprintf(home->path, sizeof home->path, "/tmp/cvm-bench-XXXXXX");
    if (!mkdtemp(home->path))
        return -1;
    for (int i = 0; folders[i]; i++) {
        snprintf(path, sizeof path, "%s/%s", home->path, folders[i]);
        mkdir(path, 0700);
    }
    for (int i = 0; plugins[i]; i++)
        if (add_plugin(home, plugins[i]) < 0)
            return -1;
    write_config(home);
    return 0;
}

int bench_home_make_all(struct bench_home *home)
{
    int n;
    return bench_home_make_some(home, PLUGINS_MAX, &n);
}

int bench_home_make_some(struct bench_home *home, int most, int *ret_n)
{
    const char *names[PLUGINS_MAX + 2] = {NULL};
    char path[4096];
    struct dirent **entries;
    snprintf(path, sizeof path, "%s/manifests", bench_source());
    int n = scandir(path, &entries, NULL, alphasort), many = 0;
    for (int i = 0; i < n; i++) {
        char *dot = strstr(entries[i]->d_name, ".json");
        if (dot && !dot[5] && many < most && many < PLUGINS_MAX) {
            *dot = 0;
            names[many++] = entries[i]->d_name;
        }
    }
    names[many++] = "relay";
    *ret_n = many;
    int result = bench_home_make(home, names);
    for (int i = 0; i < n; i++)
        free(entries[i]);
    if (n >= 0)
        free(entries);
    return result;
}

static int read_port(const char *path)
{
    for (int i = 0; i < 500; i++) {
        int port = 0;
        FILE *f = fopen(path, "re");
        if (f) {
            if (fscanf(f, "%d", &port) != 1)
                port = 0;
            fclose(f);
        }
        if (port)
            return port;
        usleep(10000);
    }
    return 0;
}

static int start_simulator(struct bench_home *home)
{
    char program[4096], port[128], ledger[128];
    snprintf(program, sizeof program, "%s/examples/simulators/network_sim", bench_build());
    struct stat st;
    if (stat(program, &st) == 0 && S_ISDIR(st.st_mode))
        snprintf(program, sizeof program, "%s/examples/simulators/network_sim/network_sim", bench_build());
    snprintf(port, sizeof port, "%s/sim.port", home->path);
    snprintf(ledger, sizeof ledger, "%s/sim.ledger", home->path);
    fflush(stdout); /* else the child prints it once more */
    home->sim = fork();
    if (home->sim == 0) {
        if (!freopen("/dev/null", "w", stdout)) /* its address is read from the file */
            _exit(127);
        execl(program, "network_sim", "--port-file", port, "--ledger", ledger, "--quiet", (char *)NULL);
        _exit(127);
    }
    home->sim_port = read_port(port);
    return home->sim_port ? 0 : -1;
}

int bench_home_serve(struct bench_home *home)
{
    char program[4096], path[128], line[1024] = "", *at;
    if (!home->sim && start_simulator(home) < 0) {
        fprintf(stderr, "bench: the simulator does not start\n");
        return -1;
    }
    write_config(home);
    snprintf(program, sizeof program, "%s/host/cvmhost", bench_build());
    snprintf(path, sizeof path, "%s/serve.err", home->path); /* no pipe: a full one would hold the host up */
    home->port = 0;
    FILE *out = fopen(path, "we"), *f = fopen(path, "re");
    if (!out || !f)
        return -1;
    home->host = fork();
    if (home->host == 0) {
        dup2(fileno(out), STDERR_FILENO);
        execl(program, "cvmhost", "serve", "--home", home->path, "--port", "0", "--log-level", "INFO", (char *)NULL);
        _exit(127);
    }
    fclose(out);
    for (int64_t until = bench_ns() + START_WAIT_NS; !home->port && bench_ns() < until;) {
        if (!fgets(line, sizeof line, f)) {
            clearerr(f);
            usleep(100);
        } else if (strchr(line, '\n') && (at = strstr(line, "http://127.0.0.1:"))) {
            home->port = (int)strtol(at + 17, NULL, 10);
            snprintf(home->url, sizeof home->url, "http://127.0.0.1:%d", home->port);
        }
    }
    fclose(f);
    if (!home->port)
        fprintf(stderr, "bench: the host does not start: %s\n", line);
    return home->port ? 0 : -1;
}

static int models_ready(int port)
{
    const char *name;
    json_t *model, *health = bench_get(port, "/health");
    int ready = json_is_object(health);
    json_object_foreach(json_object_get(health, "models"), name, model) ready =
        ready && json_is_true(json_object_get(model, "ready"));
    json_decref(health);
    return ready;
}

int bench_home_ready(const struct bench_home *home)
{
    for (int64_t until = bench_ns() + READY_WAIT_NS; bench_ns() < until; usleep(100000)) {
        if (models_ready(home->port)) {
            sleep(1); /* what else a first start does is over too: samples, documents */
            return 0;
        }
    }
    fprintf(stderr, "bench: the text models are not trained after a minute\n");
    return -1;
}

int bench_home_child(const struct bench_home *home)
{
    char path[64];
    int child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", home->host, home->host);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%d", &child) != 1)
        child = 0;
    if (f)
        fclose(f);
    return child;
}

void bench_home_stop(struct bench_home *home, int signal_number)
{
    int status;
    if (home->host > 0) {
        kill(home->host, signal_number);
        waitpid(home->host, &status, 0);
    }
    home->host = 0;
    home->port = 0;
}

void bench_home_remove(struct bench_home *home)
{
    int status;
    bench_home_stop(home, SIGTERM);
    if (home->sim > 0) {
        kill(home->sim, SIGTERM);
        waitpid(home->sim, &status, 0);
    }
    char *const argv[] = {"rm", "-rf", home->path, NULL};
    run_wait(argv);
}
