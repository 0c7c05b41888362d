/* A core in the benchmark's own process, on a real loop with its writer thread. */
#ifndef TESTS_BENCH_BENCH_INSIDE_H
#define TESTS_BENCH_BENCH_INSIDE_H

#include "bench.h"
#include "core/core.h"

struct inside {
    struct bench_home home;
    char runner[4200]; /* the host's binary, for plugins in processes of their own */
    uv_loop_t loop;
    struct config *config;
    struct core *core;
};

int bench_inside_open(struct inside *in); /* with the plugin relay */
int bench_inside_open_with(struct inside *in, const char *const *plugins);
void bench_inside_close(struct inside *in);
json_t *bench_order(void); /* a payload of 400 bytes */

#endif
