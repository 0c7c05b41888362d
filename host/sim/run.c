/* Seeds, one after another in child processes, so that what ends a process is a finding; and the report. The parent
 * hands out numbers and gathers lines of JSON. */
#include "sim/parts.h"

#include "core/log.h"
#include <cvm/json.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536
#define HANG_S 120 /* of one seed */

const char *const sim_invariants[] = {"host",  "once", "durable",   "charged",   "limit", "reach", "service",
                                      "input", "same", "explained", "conserved", "state", NULL};

struct worker {
    pid_t pid;
    int in, out; /* seeds to it, lines from it */
    uint64_t seed;
    bool busy;
    time_t since;
    char line[LINE_MAX_BYTES];
    size_t n;
};

struct run {
    const struct sim_options *options;
    struct sim_plugins plugins;
    char root[SIM_PATH];
    struct worker workers[SIM_JOBS_MAX];
    int n_workers;
    uint64_t next, end;
    int64_t done, turns, crashes, changes, inputs;
    json_t *failures;
    char unfit[512]; /* what the plugins lack to be run; "": nothing */
    bool stop;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- one seed, in a child ------------------------------------------------------------------------------------------
 */

static json_t *trace_of(const struct sim *s)
{
    json_t *lines = json_array();
    uint64_t n = s->n_trace < SIM_TRACE_LINES ? s->n_trace : SIM_TRACE_LINES;
    for (uint64_t i = s->n_trace - n; i < s->n_trace; i++)
        json_array_append_new(lines, json_string(s->trace[i % SIM_TRACE_LINES]));
    return lines;
}

static void live(const struct run *run, uint64_t seed, struct sim *s)
{
    *s = (struct sim){.options = run->options, .plugins = &run->plugins, .seed = seed};
    s->gen.state = gen_mix(seed, 0x73696d);
    s->gen.words = run->plugins.words;
    if (life_home(s, run->root) < 0)
        sim_fail(s, INV_HOST, "%s: cannot be made", s->home);
    else
        sim_live(s);
    life_away(s);
}

static json_t *one(const struct run *run, uint64_t seed)
{
    static struct sim s, again;
    live(run, seed, &s);
    if (!s.failed && seed % 8 == 0) {
        live(run, seed, &again);
        if (again.digest != s.digest || again.failed)
            sim_fail(&s, INV_SAME, "the same seed gave another journal the second time");
    }
    char digest[24];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)s.digest);
    json_t *line = json_pack("{s:I, s:s, s:I, s:I, s:I, s:I}", "seed", (json_int_t)seed, "digest", digest, "turns",
                             (json_int_t)s.turns, "crashes", (json_int_t)s.crashes, "changes", (json_int_t)s.changes,
                             "inputs", (json_int_t)s.inputs);
    if (!s.failed)
        return line;
    json_object_set_new(line, "invariant", json_integer(s.invariant));
    json_object_set_new(line, "name", json_string(sim_invariants[s.invariant]));
    json_object_set_new(line, "what", json_string(s.what));
    json_object_set_new(line, "at_ms", json_integer(s.failed_at_ms));
    json_object_set_new(line, "trace", trace_of(&s));
    if (s.unfit)
        json_object_set_new(line, "unfit", json_true());
    return line;
}

static void work(const struct run *run, int in, int out)
{
    uint64_t seed;
    signal(SIGINT, SIG_IGN); /* the parent hears it, too, and ends us */
    signal(SIGTERM, SIG_DFL);
    FILE *f = fdopen(out, "w");
    if (!run->options->trace)
        log_open(NULL, LOG_ERROR, 0);
    while (f && read(in, &seed, sizeof seed) == sizeof seed) {
        json_t *line = one(run, seed);
        json_dumpf(line, f, JSON_COMPACT);
        fputc('\n', f);
        fflush(f);
        json_decref(line);
    }
    _exit(0);
}

/* ---- workers -------------------------------------------------------------------------------------------------------
 */

static int start_worker(struct run *run, struct worker *w)
{
    int to[2], from[2];
    if (pipe(to) < 0)
        return CVM_EIO;
    if (pipe(from) < 0) {
        close(to[0]);
        close(to[1]);
        return CVM_EIO;
    }
    fflush(NULL);
    w->pid = fork();
    if (w->pid == 0) {
        for (int i = 0; i < run->n_workers; i++) { /* else others' pipes would not end */
            if (&run->workers[i] != w && run->workers[i].pid) {
                close(run->workers[i].in);
                close(run->workers[i].out);
            }
        }
        close(to[1]);
        close(from[0]);
        work(run, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    w->in = to[1];
    w->out = from[0];
    w->n = 0;
    w->busy = false;
    if (w->pid > 0)
        return 0;
    close(w->in);
    close(w->out);
    return CVM_EIO;
}

static void end_worker(struct worker *w, int *ret_status)
{
    int status = 0;
    close(w->in);
    close(w->out);
    while (waitpid(w->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (ret_status)
        *ret_status = status;
    w->pid = 0;
}

static bool give_work(struct run *run, struct worker *w)
{
    if (run->stop || run->next == run->end)
        return false;
    w->seed = run->next++;
    w->busy = true;
    w->since = time(NULL);
    return write(w->in, &w->seed, sizeof w->seed) == sizeof w->seed;
}

static void take_line(struct run *run, json_t *line)
{
    const struct sim_options *o = run->options;
    run->done++;
    run->turns += cvm_json_int(line, "turns", 0);
    run->crashes += cvm_json_int(line, "crashes", 0);
    run->changes += cvm_json_int(line, "changes", 0);
    run->inputs += cvm_json_int(line, "inputs", 0);
    if (json_object_get(line, "unfit")) { /* no life of the host began: it is not the host that broke */
        snprintf(run->unfit, sizeof run->unfit, "%s", cvm_json_str(line, "what", ""));
        run->stop = true;
    } else if (json_object_get(line, "what")) {
        char command[SIM_PATH + 64];
        snprintf(command, sizeof command, "cvmhost sim --seed %lld%s%s", (long long)cvm_json_int(line, "seed", 0),
                 o->plugins ? " --plugins " : "", o->plugins ? o->plugins : "");
        json_object_set_new(line, "repeat", json_string(command));
        json_array_append(run->failures, line);
        run->stop = !o->keep_going;
    }
    if (o->progress)
        o->progress(o->arg, run->done, o->seeds, line);
    json_decref(line);
}

/* A process that ended in the middle of a seed: the host would have, too. */
static void take_end(struct run *run, struct worker *w)
{
    char text[200], folder[SIM_PATH + 40];
    int status = 0;
    uint64_t seed = w->seed;
    bool busy = w->busy;
    end_worker(w, &status);
    if (!busy || interrupted)
        return;
    snprintf(text, sizeof text, WIFSIGNALED(status) ? "the host ended: %s" : "the host ended with status %s",
             WIFSIGNALED(status)   ? strsignal(WTERMSIG(status))
             : WEXITSTATUS(status) ? "not 0"
                                   : "0");
    snprintf(folder, sizeof folder, "%.900s/seed-%llu", run->root, (unsigned long long)seed);
    plan_remove(folder);
    take_line(run, json_pack("{s:I, s:i, s:s, s:s, s:[], s:I}", "seed", (json_int_t)seed, "invariant", INV_HOST, "name",
                             sim_invariants[INV_HOST], "what", text, "trace", "at_ms", (json_int_t)0));
}

static void read_worker(struct run *run, struct worker *w)
{
    ssize_t n = read(w->out, w->line + w->n, sizeof w->line - 1 - w->n);
    if (n <= 0) {
        take_end(run, w);
        return;
    }
    w->n += (size_t)n;
    w->line[w->n] = 0;
    char *end = strchr(w->line, '\n');
    if (!end)
        return;
    *end = 0;
    json_t *line = json_loads(w->line, 0, NULL);
    w->n = 0;
    w->busy = false;
    if (line)
        take_line(run, line);
}

static void loop(struct run *run)
{
    while (!interrupted) {
        struct pollfd fds[SIM_JOBS_MAX];
        struct worker *of[SIM_JOBS_MAX];
        nfds_t n = 0;
        for (int i = 0; i < run->n_workers; i++) {
            struct worker *w = &run->workers[i];
            if (!w->pid && (run->stop || run->next == run->end || start_worker(run, w) < 0))
                continue;
            if (!w->busy && !give_work(run, w))
                continue;
            if (w->busy && time(NULL) - w->since > HANG_S)
                kill(w->pid, SIGABRT);
            of[n] = w;
            fds[n++] = (struct pollfd){.fd = w->out, .events = POLLIN};
        }
        if (!n)
            return;
        if (poll(fds, n, 1000) < 0 && errno != EINTR)
            return;
        for (nfds_t i = 0; i < n; i++)
            if (fds[i].revents)
                read_worker(run, of[i]);
    }
}

/* ---- the whole -----------------------------------------------------------------------------------------------------
 */

static int make_root(struct run *run, char *error, size_t size)
{
    struct statvfs fs;
    const char *tmp = getenv("TMPDIR");
    bool memory =
        statvfs("/dev/shm", &fs) == 0 && !(fs.f_flag & (ST_NOEXEC | ST_RDONLY)) && access("/dev/shm", W_OK) == 0;
    snprintf(run->root, sizeof run->root, "%.800s/cvmhost-sim-XXXXXX",
             memory        ? "/dev/shm"
             : tmp && *tmp ? tmp
                           : "/tmp");
    if (mkdtemp(run->root))
        return 0;
    snprintf(error, size, "%s: no folder can be made there (%s); set TMPDIR", run->root, strerror(errno));
    return CVM_EIO;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int sim_run(const struct sim_options *options, json_t **ret_report, char *error, size_t size)
{
    static struct run run;
    double began = seconds();
    run = (struct run){.options = options, .next = options->first, .end = options->first + (uint64_t)options->seeds};
    int e = plugins_find(&run.plugins, options->plugins, error, size);
    if (!e)
        e = make_root(&run, error, size);
    if (e) {
        plugins_forget(&run.plugins);
        return e;
    }
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
    run.failures = json_array();
    run.n_workers = options->jobs;
    loop(&run);
    for (int i = 0; i < run.n_workers; i++)
        if (run.workers[i].pid) {
            if (interrupted)
                kill(run.workers[i].pid, SIGKILL);
            end_worker(&run.workers[i], NULL);
        }
    plan_remove(run.root);
    if (*run.unfit) {
        snprintf(error, size, "%s: these plugins cannot be run: %s", run.plugins.folder, run.unfit);
        json_decref(run.failures);
        plugins_forget(&run.plugins);
        return CVM_EINVAL;
    }
    *ret_report = json_pack(
        "{s:b, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:s, s:o}", "ok",
        json_array_size(run.failures) == 0 && run.done == options->seeds, "first", (json_int_t)options->first, "seeds",
        (json_int_t)run.done, "failed", (json_int_t)json_array_size(run.failures), "seconds", seconds() - began,
        "turns", (json_int_t)run.turns, "inputs", (json_int_t)run.inputs, "crashes", (json_int_t)run.crashes, "changes",
        (json_int_t)run.changes, "plugins", run.plugins.folder, "failures", run.failures);
    plugins_forget(&run.plugins);
    return 0;
}
