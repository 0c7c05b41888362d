/* Runs the scenario in processes of its own, and judges how they end.
 *
 *     torture_oom [-seconds=S] [-only=N] [-from=N -to=N [-step=N] [-many=N]] [-how=H]
 *
 * Without -seconds every call fails once; with it, as many as time allows, spread evenly over all of them, the same
 * ones in the same order each time. -only repeats one in this process, for a debugger; -from and -to a range of them,
 * of which -many fail in a row: the same call has another number in another run, a few before or behind. */
#include "torture.h"

#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN_SECONDS 60
#define FAULTS_MAX 20
#define PROMISED 70 /* exit status */
#define FATAL 3

/* Where the core may give up: see crash_promised(). */
static const char *const promises[] = {"an answer",
                                       "the record of a turn",
                                       "an answer to the outside",
                                       "a call",
                                       "a job",
                                       "a registry without the plugin",
                                       "the record of a change",
                                       "the answer of a call",
                                       "the context of a turn that is undone"};

static const struct torture *torture;
static struct torture_seen *seen;
static int64_t fail_at, fail_count;
static int fail_how, n_runs, n_faults, n_promised, n_fatal;

void __wrap_crash_promised(const char *what);

void __wrap_crash_promised(const char *what)
{
    snprintf(seen->promised, sizeof seen->promised, "%s", what);
    _exit(PROMISED);
}

/* From now on is from where it was: calls are counted over the whole scenario. */
static void watch(void)
{
    torture->arm(fail_at, fail_count, fail_how, seen);
}

static void run_scenario(void)
{
    alarm(RUN_SECONDS);
    scenario_run(seen, torture->disarm, watch);
}

static void complain(const char *text)
{
    n_faults++;
    printf("%s: %s %lld%s: %s: %s\n", torture->name, torture->how_names[fail_how], (long long)fail_at,
           fail_count > 1 ? " and on" : "", seen->step, text);
    fflush(stdout);
}

static bool was_documented(void)
{
    for (size_t i = 0; i < sizeof promises / sizeof *promises; i++)
        if (strcmp(promises[i], seen->promised) == 0)
            return true;
    return false;
}

/* Two runs are never quite the same: where this one ended must be said now (addr2line -e PROGRAM ADDRESS). */
static void on_signal(int number)
{
    void *at[32];
    backtrace_symbols_fd(at, backtrace(at, 32), STDOUT_FILENO);
    signal(number, SIG_DFL);
    raise(number);
}

/* In a child; gives what waitpid gives. */
static int in_child(void (*body)(void))
{
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, on_signal);
        signal(SIGABRT, on_signal);
        signal(SIGALRM, on_signal);
        body();
        exit(0); /* leaks are looked for on the way out */
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    return status;
}

static void check_scenario(void)
{
    alarm(RUN_SECONDS);
    scenario_check(seen);
}

static void judge(int status)
{
    char text[TORTURE_TEXT];
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    n_runs++;
    n_promised += code == PROMISED;
    n_fatal += code == FATAL;
    snprintf(text, sizeof text, WIFSIGNALED(status) ? "signal %d" : "exit status %d",
             WIFSIGNALED(status) ? WTERMSIG(status) : code);
    if (code == PROMISED ? !was_documented() : code == FATAL ? strcmp(seen->promised, "fatal") != 0 : code != 0)
        complain(text);
    else if (seen->fault[0])
        complain(seen->fault);
}

static void one(int64_t at, int64_t count, int how)
{
    fail_at = at;
    fail_count = count;
    fail_how = how;
    memset(seen, 0, sizeof *seen);
    scenario_reset();
    int before = n_faults;
    judge(in_child(run_scenario));
    seen->fault[0] = 0;
    if (n_faults > before)
        return;
    int status = in_child(check_scenario);
    if (status)
        complain("afterwards it does not end well");
    else if (seen->fault[0])
        complain(seen->fault);
}

/* Steps through 1..n by a stride that meets all of them, never two neighbours in a row. */
static int64_t stride_of(int64_t n)
{
    int64_t stride = (int64_t)((double)n * 0.6180339887) | 1;
    for (;; stride++) {
        int64_t a = n, b = stride;
        while (b) {
            int64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            return stride;
    }
}

static void countdown(int how, double seconds)
{
    struct timespec begin, now;
    one(0, 0, how);
    int64_t n = seen->calls, stride = stride_of(n), at = 0, done = 0;
    if (seen->failed || n == 0)
        complain("the run without a failure is none");
    int faults = n_faults;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (; done < n && n_faults < faults + FAULTS_MAX; done++) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (seconds > 0 && (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 > seconds)
            break;
        one(at + 1, done % 8 == 7 ? 20 : 1, how);
        at = (at + stride) % n;
    }
    printf("%s: %s: %lld of %lld calls failed\n", torture->name, torture->how_names[how], (long long)done,
           (long long)n);
}

int torture_main(const struct torture *t, int argc, char **argv)
{
    double seconds = 0;
    long long only = 0, from = 1, to = 0, step = 1, many = 1, how = -1;
    const struct {
        const char *name;
        long long *value;
    } numbers[] = {{"-only=", &only}, {"-from=", &from}, {"-to=", &to},
                   {"-step=", &step}, {"-many=", &many}, {"-how=", &how}};
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "-seconds=", 9) == 0)
            seconds = strtod(argv[i] + 9, NULL);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (strncmp(argv[i], numbers[k].name, strlen(numbers[k].name)) == 0)
                *numbers[k].value = strtoll(argv[i] + strlen(numbers[k].name), NULL, 10);
    }
    torture = t;
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (seen == MAP_FAILED || how >= t->hows)
        return 1;
    scenario_make_home();
    if (only) {
        fail_at = llabs(only);
        fail_count = only < 0 ? 20 : 1;
        fail_how = how < 0 ? 0 : (int)how;
        scenario_reset();
        run_scenario();
        scenario_check(seen);
        printf("%lld calls; failed %d; %s\n", (long long)seen->calls, seen->failed, seen->fault);
        return seen->fault[0] != 0;
    }
    if (to) {
        for (long long n = from; step > 0 && n <= to; n += step)
            one(n, many, how < 0 ? 0 : (int)how);
        printf("%d runs, %d with a promise broken, %d fatal, %d faults\n", n_runs, n_promised, n_fatal, n_faults);
        return n_faults != 0;
    }
    for (int h = 0; h < t->hows; h++)
        if (how < 0 || how == h)
            countdown(h, how < 0 ? seconds / t->hows : seconds);
    printf("%d runs, %d with a promise broken, %d fatal, %d faults\n", n_runs, n_promised, n_fatal, n_faults);
    return n_faults != 0;
}
