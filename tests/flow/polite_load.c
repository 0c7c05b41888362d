/* See polite_load.h. */
#include "polite_load.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 100000 /* of a customer: some eight minutes */
#define LINE_BYTES (64 * 1024)

struct customer {
    struct polite *polite;
    struct polite_ask ask;
    pthread_t thread;
    int fd, number;
    int64_t asked_us[SAMPLES_MAX], took_us[SAMPLES_MAX];
    atomic_int n;            /* answered; those before it stand */
    atomic_llong waiting_us; /* since when the next one has been due; 0: it is not */
    int64_t good, bad;
    size_t have;
    char line[LINE_BYTES];
};

struct polite {
    struct customer *customers;
    atomic_bool ending;
};

/* One request, one line back. */
static bool ask(struct customer *c, int id)
{
    char text[512], conversation[128] = "";
    if (c->ask.conversation)
        snprintf(conversation, sizeof conversation, "\"conversation\":\"%s\",", c->ask.conversation);
    int n = snprintf(text, sizeof text,
                     "{\"id\":%d,\"do\":\"call\",\"to\":\"%s\",\"type\":\"%s\",%s\"timeout_ms\":20000,\"data\":{}}\n",
                     id, c->ask.to, c->ask.type, conversation);
    if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    for (c->have = 0; c->have < sizeof c->line - 1;) {
        ssize_t got = recv(c->fd, c->line + c->have, sizeof c->line - 1 - c->have, 0);
        if (got <= 0)
            return false;
        c->have += (size_t)got;
        c->line[c->have] = 0;
        if (c->line[c->have - 1] == '\n')
            return strstr(c->line, "\"REPLIED\"") != NULL;
    }
    return false;
}

static void *run(void *arg)
{
    struct customer *c = arg;
    int64_t due = flow_now_us() + c->number * POLITE_PERIOD_US / POLITE_CUSTOMERS;
    for (int n = 0; n < SAMPLES_MAX && !c->polite->ending; n++, due += POLITE_PERIOD_US) {
        int64_t left = due - flow_now_us();
        if (left > 0)
            nanosleep(&(struct timespec){.tv_nsec = left * 1000}, NULL);
        atomic_store(&c->waiting_us, due);
        bool good = ask(c, n);
        c->asked_us[n] = due;
        c->took_us[n] = flow_now_us() - due;
        atomic_store(&c->n, n + 1);
        if (good) {
            c->good++;
            continue;
        }
        fprintf(stderr, "customer %d of %s: %.300s\n", c->number, c->ask.to, c->line);
        if (++c->bad > 10)
            break; /* the connection is gone, or the component is */
    }
    return NULL;
}

struct polite *polite_start(struct flow *f, const struct polite_ask asks[POLITE_CUSTOMERS])
{
    struct polite *p = calloc(1, sizeof *p);
    p->customers = calloc(POLITE_CUSTOMERS, sizeof *p->customers);
    ck_assert_ptr_nonnull(p->customers);
    for (int i = 0; i < POLITE_CUSTOMERS; i++) {
        struct customer *c = &p->customers[i];
        c->polite = p;
        c->ask = asks[i];
        c->number = i;
        c->fd = flow_connect(f);
        ck_assert_int_ge(c->fd, 0);
        ck_assert_int_eq(pthread_create(&c->thread, NULL, run, c), 0);
    }
    return p;
}

void polite_end(struct polite *p, int64_t ret_good[POLITE_CUSTOMERS], int64_t ret_bad[POLITE_CUSTOMERS])
{
    p->ending = true;
    for (int i = 0; i < POLITE_CUSTOMERS; i++) {
        struct customer *c = &p->customers[i];
        pthread_join(c->thread, NULL);
        close(c->fd);
        ret_good[i] = c->good;
        ret_bad[i] = c->bad;
    }
    free(p->customers);
    free(p);
}

static int smaller_first(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t polite_quantile(struct polite *p, int first, int last, int64_t from_ms, int64_t to_ms, double q)
{
    int64_t *took = malloc((size_t)(last - first + 1) * (SAMPLES_MAX + 1) * sizeof *took), result = -1;
    size_t n = 0;
    for (int i = first; i <= last; i++) {
        struct customer *c = &p->customers[i];
        int have = atomic_load(&c->n);
        int64_t waiting = atomic_load(&c->waiting_us);
        for (int k = 0; k < have; k++)
            if (c->asked_us[k] >= from_ms * 1000 && c->asked_us[k] <= to_ms * 1000)
                took[n++] = c->took_us[k];
        if ((!have || waiting > c->asked_us[have - 1]) && waiting / 1000 >= from_ms && waiting / 1000 <= to_ms)
            took[n++] = flow_now_us() - waiting;
    }
    if (n) {
        qsort(took, n, sizeof *took, smaller_first);
        result = took[(size_t)((double)(n - 1) * q)];
    }
    free(took);
    return result;
}
