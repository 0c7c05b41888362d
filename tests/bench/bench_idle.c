/* What a host costs that has nothing to do: the time to start, memory, wake-ups. With every plugin, as it is installed.
 */
#include "bench.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STARTS 11 /* a start is short and its time varies: more of them than of the other rows */
#define GROWTH_ENQUIRIES 100000

/* The sum of a number in the status of each thread (threads != 0) or of the process. */
static int64_t status_sum(int pid, const char *name, int threads)
{
    char folder[64], path[128], line[256];
    int64_t sum = 0;
    snprintf(folder, sizeof folder, "/proc/%d/task", pid);
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || (!threads && strtol(entry->d_name, NULL, 10) != pid))
            continue;
        snprintf(path, sizeof path, "%s/%.20s/status", folder, entry->d_name);
        FILE *f = fopen(path, "re");
        while (f && fgets(line, sizeof line, f))
            if (strncmp(line, name, strlen(name)) == 0)
                sum += strtoll(line + strlen(name), NULL, 10);
        if (f)
            fclose(f);
    }
    if (dir)
        closedir(dir);
    return sum;
}

double bench_rss_mib(int pid)
{
    return (double)status_sum(pid, "VmRSS:", 0) / 1024;
}

int64_t bench_switches(int pid)
{
    return status_sum(pid, "voluntary_ctxt_switches:", 1) + status_sum(pid, "nonvoluntary_ctxt_switches:", 1);
}

/* From the command to the line that says where the host listens. The first start, which makes the database and the
 * sample customers, is not counted. */
int bench_start(struct row *row)
{
    struct bench_home home;
    double values[STARTS], floors[STARTS];
    int result = -1, n = bench_runs() == 1 ? 3 : STARTS;
    if (bench_home_make_all(&home) < 0 || bench_home_serve(&home) < 0 || bench_home_ready(&home) < 0)
        goto out;
    for (int i = 0; i < n; i++) {
        int bare = 0;
        bench_home_stop(&home, SIGTERM);
        int64_t begun = bench_ns();
        if (bench_home_serve(&home) < 0)
            goto out;
        values[i] = (double)(bench_ns() - begun) / 1e6;
        int error = bench_bare_start(&bare, &floors[i]);
        bench_end(bare, SIGKILL);
        if (error < 0)
            goto out;
    }
    row->unit = "ms";
    row->floor = "the libraries alone";
    row->value = bench_median(values, n);
    row->floor_value = bench_median(floors, n);
    result = 0;
out:
    bench_home_remove(&home);
    return result;
}

/* The host and its supervisor after a start, when nothing was ever asked. */
int bench_memory(struct row *row)
{
    struct bench_home home;
    double values[BENCH_RUNS], floors[BENCH_RUNS], unused;
    int result = -1;
    if (bench_home_make_all(&home) < 0 || bench_home_serve(&home) < 0 || bench_home_ready(&home) < 0)
        goto out;
    for (int i = 0; i < bench_runs(); i++) {
        int bare = 0;
        bench_home_stop(&home, SIGTERM);
        if (bench_home_serve(&home) < 0 || bench_bare_start(&bare, &unused) < 0)
            goto out;
        sleep(1);
        values[i] = bench_rss_mib(bench_home_child(&home));
        floors[i] = bench_rss_mib(bare);
        bench_end(bare, SIGKILL);
    }
    row->unit = "MiB";
    row->floor = "the libraries alone";
    row->value = bench_median(values, bench_runs());
    row->floor_value = bench_median(floors, bench_runs());
    result = 0;
out:
    bench_home_remove(&home);
    return result;
}

static void many_customers(int64_t i, char *out, size_t size)
{
    snprintf(
        out, size,
        "{\"customer_phone\": \"0803123%04d\", \"message\": \"What is the minimum airtime I can buy on MTN? (%lld)\","
        " \"channel\": \"WEB\"}",
        (int)(i % BENCH_CUSTOMERS), (long long)i);
}

/* How much larger the process is after many enquiries than after the first few, which fill its caches.
 * BENCH_GROWTH=1000000 takes as many. */
int bench_growth(struct row *row)
{
    struct bench_home home;
    struct load_result load;
    const char *text = getenv("BENCH_GROWTH");
    int64_t n = text ? strtoll(text, NULL, 10) : bench_amount(GROWTH_ENQUIRIES);
    int result = -1;
    if (bench_home_make_all(&home) < 0 || bench_home_serve(&home) < 0 || bench_home_ready(&home) < 0)
        goto out;
    if (bench_load(home.port, "/api/v1/enquiries", 64, 5000, many_customers, &load) < 0)
        goto out;
    sleep(2); /* what was answered is still being written */
    double before = bench_rss_mib(bench_home_child(&home));
    if (bench_load(home.port, "/api/v1/enquiries", 64, n, many_customers, &load) < 0)
        goto out;
    sleep(2);
    row->unit = "MiB";
    row->floor = "after 5,000 enquiries";
    row->value = bench_rss_mib(bench_home_child(&home)) - before;
    row->floor_value = before;
    result = 0;
out:
    bench_home_remove(&home);
    return result;
}

/* Context switches a second of all threads of the host and of its supervisor. */
int bench_wakeups(struct row *row)
{
    struct bench_home home;
    unsigned seconds = bench_runs() == 1 ? 5 : 30;
    int result = -1;
    if (bench_home_make_all(&home) < 0 || bench_home_serve(&home) < 0 || bench_home_ready(&home) < 0)
        goto out;
    sleep(2);
    int child = bench_home_child(&home);
    int64_t host = bench_switches(child), supervisor = bench_switches(home.host);
    sleep(seconds);
    if (host == 0 || supervisor == 0) {
        fprintf(stderr, "bench: the switches of process %d cannot be read\n", child);
        goto out;
    }
    host = bench_switches(child) - host;
    supervisor = bench_switches(home.host) - supervisor;
    row->unit = "switches/s";
    row->floor = "none";
    row->value = (double)(host + supervisor) / seconds;
    result = 0;
out:
    bench_home_remove(&home);
    return result;
}
