/* support.ticket.64: 64 support tickets at once, each timed from its request until a client of the stream is told that
 * it waits for approval, which is when that is durable. */
#include "bench.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define AT_ONCE 64
#define ROUNDS 20
#define TICKETS_MAX (AT_ONCE * (ROUNDS + 1) * BENCH_RUNS)
#define ROUND_WAIT_MS 20000

static const char *const PLUGINS[] = {"relay", "support", "support_agents", "stores", "knowledge", "llm", NULL};

/* What customers write: one of WHAT, then one of WHEN. Neither length divides the other, so that all pairs come. */
static const char *const WHAT[] = {
    "The sidecar cannot reach our application; its log says connection refused.",
    "Our order-api cannot call its sidecar on port 3500, every call ends with EOF.",
    "No sidecar is injected into the new pods although the annotation is there.",
    "Service invocation fails with ERR_DIRECT_INVOKE between web-shop and notifier.",
    "The pod does not start: bind: address already in use on port 50001.",
    "mTLS between our services is broken, it says x509: certificate has expired.",
    "Names inside the cluster no longer resolve, we get NXDOMAIN for the payments service.",
    "Requests from the checkout to the inventory time out after 60 seconds: deadline exceeded.",
    "ERR_STATE_STORE_NOT_CONFIGURED comes back whenever we save a basket.",
    "Redis refuses the connection, first WRONGPASS and then NOAUTH.",
    "Saving fails with an etag mismatch when two workers write the same key.",
    "After a restart of the pods all saved state is gone.",
    "The subscriber receives no messages although the publisher says that they were sent.",
    "Orders are processed twice, the same message is delivered again and again.",
    "The Kafka consumer group rebalances all the time and the lag grows.",
    "A secret is not found: secretKeyRef points to our vault and the component fails.",
    "The control plane and our sidecars have different versions and the SDK complains.",
    "Pods are in CrashLoopBackOff, the liveness probe on healthz fails.",
    "The payment-worker is OOMKilled every few hours, its memory only grows.",
    "The ingress answers 502 Bad Gateway for one of our applications.",
    "Traces of the blog are missing in Zipkin, only every tenth request is there.",
};
static const char *const WHEN[] = {
    "It began after the upgrade of this morning.",
    "Nothing was changed as far as we know.",
    "We run it on EKS with three nodes.",
    "In the test environment the same thing works.",
    "It happens only under load, in the evening.",
    "We moved to AKS last week and it has been so since.",
    "A restart helps for about ten minutes.",
    "Customers are complaining, please look at it quickly.",
    "The network policy was made stricter yesterday.",
    "Our configuration is the one of your handbook.",
};
#define N_WHAT (sizeof WHAT / sizeof *WHAT)
#define N_WHEN (sizeof WHEN / sizeof *WHEN)

static int64_t sent_ns[TICKETS_MAX], waits_ns[TICKETS_MAX];
static atomic_int waiting, stopping;
static int begun; /* tickets of the rounds before */

static void ticket_body(int64_t i, char *out, size_t size)
{
    int n = begun + (int)i;
    snprintf(out, size, "{\"ticket_id\": \"B%d\", \"customer_id\": \"CUST00%d\", \"description\": \"%s %s\"}", n,
             1 + n % 2, WHAT[(size_t)n % N_WHAT], WHEN[(size_t)n % N_WHEN]);
    if (n < TICKETS_MAX)
        sent_ns[n] = bench_ns();
}

static void hear(const char *line)
{
    const char *id = strstr(line, "\"ticket_id\":\"B");
    long n = id ? strtol(id + 14, NULL, 10) : -1;
    if (!strstr(line, "\"event\":\"waiting\"") || n < 0 || n >= TICKETS_MAX)
        return;
    waits_ns[n] = bench_ns();
    atomic_fetch_add(&waiting, 1);
}

static void *listen_on(void *arg)
{
    static char text[1 << 16];
    size_t have = 0;
    int fd = (int)(intptr_t)arg;
    while (!atomic_load(&stopping)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0)
            continue;
        ssize_t got = read(fd, text + have, sizeof text - 1 - have);
        if (got <= 0)
            break;
        have += (size_t)got;
        text[have] = 0;
        char *line = text, *end;
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = 0;
            hear(line);
        }
        have = strlen(line);
        memmove(text, line, have + 1);
        if (have > sizeof text / 2)
            have = 0;
    }
    return NULL;
}

static int open_stream(int port)
{
    /* 1.0: not in chunks, whose ends may stand within a line */
    static const char request[] = "GET /support/events HTTP/1.0\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n";
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
        write(fd, request, sizeof request - 1) == (ssize_t)sizeof request - 1)
        return fd;
    close(fd);
    return -1;
}

static int load_samples(const struct bench_home *home)
{
    char program[512];
    int status = -1;
    snprintf(program, sizeof program, "%s/host/cvmhost", bench_build());
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execl(program, program, "--home", home->path, "support", "load-samples", (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "bench: the samples of the support desk could not be loaded\n");
        return -1;
    }
    return 0;
}

static int one_round(int port, double *ret_us)
{
    struct load_result load;
    int before = atomic_load(&waiting);
    if (bench_load(port, "/support/ticket", AT_ONCE, AT_ONCE, ticket_body, &load) < 0 || load.failed)
        return -1;
    for (int ms = 0; atomic_load(&waiting) < before + AT_ONCE; ms++) {
        if (ms > ROUND_WAIT_MS) {
            fprintf(stderr, "bench: %d of %d tickets came to wait for approval\n", atomic_load(&waiting) - before,
                    AT_ONCE);
            return -1;
        }
        usleep(1000);
    }
    for (int i = 0; i < AT_ONCE; i++)
        ret_us[i] = (double)(waits_ns[begun + i] - sent_ns[begun + i]) / 1000.0;
    begun += AT_ONCE;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int bench_support(struct row *row)
{
    static double us[AT_ONCE * ROUNDS];
    struct bench_home home;
    struct load_result trivial;
    double values[BENCH_RUNS], p50[BENCH_RUNS], p99[BENCH_RUNS], floors[BENCH_RUNS];
    pthread_t listener;
    int result = -1, stream = -1, rounds = (int)bench_amount(ROUNDS);
    if (bench_home_make(&home, PLUGINS) < 0 || bench_home_serve(&home) < 0 || load_samples(&home) < 0)
        goto out;
    sleep(2); /* documents are indexed, models trained */
    if ((stream = open_stream(home.port)) < 0 ||
        pthread_create(&listener, NULL, listen_on, (void *)(intptr_t)stream) != 0)
        goto out;
    for (int run = 0; run < bench_runs(); run++) {
        int64_t spent = 0;
        int n = 0;
        if (one_round(home.port, us) < 0 || /* to be warm */
            bench_load(home.port, "/bench/echo", AT_ONCE, bench_amount(40000), bench_echo_body, &trivial) < 0)
            goto stop;
        for (int i = 0; i < rounds; i++, n += AT_ONCE) {
            int64_t from = bench_ns();
            if (one_round(home.port, us + n) < 0)
                goto stop;
            spent += bench_ns() - from;
        }
        qsort(us, (size_t)n, sizeof *us, by_value);
        values[run] = n * 1e9 / (double)spent;
        p50[run] = us[n / 2];
        p99[run] = us[n * 99 / 100];
        floors[run] = trivial.per_second;
    }
    row->unit = "ticket/s";
    row->floor = "http.trivial.64";
    row->value = bench_median(values, bench_runs());
    row->p50_us = bench_median(p50, bench_runs());
    row->p99_us = bench_median(p99, bench_runs());
    row->floor_value = bench_median(floors, bench_runs());
    result = 0;
stop:
    atomic_store(&stopping, 1);
    pthread_join(listener, NULL);
    close(stream);
out:
    bench_home_remove(&home);
    return result;
}
