/* The benchmark: one row a figure, each beside a floor measured in the same run. Figures of different days or machines
 * compare by their ratio to the floor only. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <jansson.h>
#include <stdint.h>

#define BENCH_RUNS 5       /* at most; see bench_runs() */
#define BENCH_CUSTOMERS 50 /* phones 08031230000 and following */

enum better { LOOSE, HIGHER, LOWER }; /* LOOSE: its ratio says too little to fail by */

struct row {
    const char *name, *unit, *floor, *budget;
    enum better better;
    double value, p50_us, p99_us, floor_value;
};

/* How a figure changes with something; `beside` is another that goes with it. */
#define CURVE_POINTS 8
struct curve {
    const char *name, *x, *unit, *beside;
    int n;
    struct {
        double x, value, p50_us, p99_us, beside;
    } points[CURVE_POINTS];
};

int64_t bench_ns(void);
int bench_runs(void);            /* 5; with --quick 1 */
int64_t bench_amount(int64_t n); /* n; with --quick a twentieth: shows that a row works, and no more */
double bench_median(double *values, int n);
const char *bench_build(void);  /* the build folder */
const char *bench_source(void); /* the source folder */

enum bench_enquiry { BENCH_ANSWER, BENCH_CROWD, BENCH_PURCHASE };

/* Each fills a row; returns 0, or -1 with a sentence on stderr. */
int bench_hop(struct row *row, int fresh);
int bench_journal(struct row *row);
int bench_enquiry(struct row *row, int connections, enum bench_enquiry kind);
int bench_http(struct row *row, const char *path, int connections);
int bench_recover(struct row *row);
int bench_start(struct row *row);
int bench_memory(struct row *row);
int bench_growth(struct row *row);
int bench_wakeups(struct row *row);
int bench_reload_hold(struct row *row);
int bench_reload_pause(struct row *row);
int bench_link_round(struct row *row);
int bench_link_messages(struct row *row);
int bench_move_hold(struct row *row);
int bench_recover_child(struct row *row);
int bench_classify(struct row *row);
int bench_decision(struct row *row);
int bench_solve_one(struct row *row);
int bench_solve_7k(struct row *row);
int bench_solve_1m(struct row *row);
int bench_support(struct row *row);
int bench_lifecycle_few(struct row *row);
int bench_lifecycle_many(struct row *row);
int bench_job_load(struct row *row);
int bench_job_read(struct row *row);
int curve_load(struct curve *curve);
int curve_conversations(struct curve *curve);
int curve_plugins(struct curve *curve);
int curve_journal(struct curve *curve);

/* Floors in processes of their own. bench_floor_serve() answers any POST with the same text, by epoll and nothing else;
 * gives its port and process. bench_bare() is what `bench --bare` does: the libraries of the host, opened, and no more.
 */
int bench_floor_serve(int *ret_port, int *ret_pid);
int bench_bare(void);
int bench_bare_start(int *ret_pid, double *ret_ms); /* runs it until it is ready */
void bench_end(int pid, int signal);

double bench_rss_mib(int pid);
int64_t bench_switches(int pid); /* context switches of all its threads so far */

/* A home with all plugins and the benchmark's own, and a host in it. */
struct bench_home {
    char path[64], url[64];
    int port, sim_port;
    int host, sim; /* process ids */
};
int bench_home_make(struct bench_home *home, const char *const *plugins);
int bench_home_make_all(struct bench_home *home); /* with every plugin that the source has a manifest of */
int bench_home_make_some(struct bench_home *home, int most, int *ret_n); /* with so many of them, and the relay */
int bench_home_child(const struct bench_home *home);                     /* the host itself, not its supervisor */
int bench_copy(const char *from, const char *to);
int bench_home_serve(struct bench_home *home);
int bench_home_ready(const struct bench_home *home); /* waits until its text models answer: a second start has them */
void bench_home_stop(struct bench_home *home, int signal);
void bench_home_remove(struct bench_home *home);

/* Opens n requests that nobody answers, over the control socket, and waits until they are on disk. */
#define BENCH_HOLD_CONNECTIONS 50
int bench_hold(const struct bench_home *home, int64_t n, int *ret_fds);

/* `connections` keep-alive connections, each with one POST at a time, `total` requests; `body(i)` gives the i-th. */
struct load_result {
    double per_second, p50_us, p99_us;
    int64_t failed;
};
int bench_load(int port, const char *path, int connections, int64_t total,
               void (*body)(int64_t i, char *out, size_t size), struct load_result *ret_result);

/* The JSON answered to a GET. The caller releases it. NULL: nothing came. */
json_t *bench_get(int port, const char *path);

void bench_echo_body(int64_t i, char *out, size_t size); /* about 200 bytes */

#endif
