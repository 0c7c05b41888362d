/* A plugin moved out of the host and back while it works, and its process killed at any moment, with exchanges of its
 * build meanwhile: nothing is lost, nothing done twice, each customer's works in their order.
 *
 * CVM_MOVES, CVM_CHILD_KILLS and CVM_WORKS say how much (50, 50, 40000). */
#include "change_load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MOST 20000

static double times[MOST];

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? (int)strtol(text, NULL, 10) : otherwise;
}

static struct flow *begin(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "echo"); /* another one, which stays where it is */
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    flow_config(f, "plugins.strikes", json_integer(1000));
    change_put(f, "v1");
    return f;
}

static json_t *change(struct flow *f, const char *what)
{
    return load_ask(f, json_pack("{s:i, s:s, s:s, s:s}", "id", 1, "do", "change", "what", what, "plugin", "changing"));
}

static double check_switched(json_t *report)
{
    char *text = json_dumps(report, JSON_COMPACT);
    const char *result = json_string_value(json_object_get(report, "result"));
    ck_assert_msg(result && strcmp(result, "switched") == 0, "%s", text ? text : "no report");
    const json_t *us = json_object_get(json_array_get(json_object_get(report, "plugins"), 0), "us");
    double held_us = json_number_value(json_object_get(us, "switch"));
    json_decref(report);
    free(text);
    return held_us;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of `times`, which it sorts. */
static double p99(int n)
{
    qsort(times, (size_t)n, sizeof *times, by_value);
    return times[(int)(n * 0.99)];
}

START_TEST(moves_lose_nothing)
{
    int moves = setting("CVM_MOVES", 50), moved = 0;
    struct flow *f = begin();
    struct load *load = load_new(f, setting("CVM_WORKS", 40000));
    int64_t all = load_each(load) * LOAD_CUSTOMERS;
    flow_start(f);
    while (load_run(load, 5)) {
        if (moved >= moves || load_answered(load) * moves < all * moved)
            continue;
        times[moved] = check_switched(change(f, moved % 2 ? "move inline" : "move process"));
        moved++;
    }
    ck_assert_int_ge(moved, moves - 1);
    double held_us = p99(moved);
    printf("%lld works, %d moves; held for %.0f us at the 99th percentile\n", (long long)all, moved, held_us);
    ck_assert_msg(held_us <= 5000, "held for %.0f us", held_us);
    load_check_books(f, load);
    load_free(load);
    flow_end(f);
}
END_TEST

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* From the end of the process to the next answer of its successor: of works that were sent by then, and wait for it. */
static double ms_to_the_next_answer(struct flow *f, struct load *load, pid_t pid)
{
    double begun = now_ms();
    kill(pid, SIGKILL);
    while (change_process(f) == pid)
        continue;
    int64_t answered = load_answered(load);
    while (load_answered(load) == answered && load_run(load, 1))
        continue;
    return now_ms() - begun;
}

START_TEST(ends_of_its_process_lose_nothing)
{
    int kills = setting("CVM_CHILD_KILLS", 50), killed = 0, exchanged = 0;
    struct flow *f = begin();
    struct load *load = load_new(f, setting("CVM_WORKS", 40000));
    int64_t all = load_each(load) * LOAD_CUSTOMERS;
    flow_config(f, "plugins.process", json_pack("[s]", "*"));
    flow_start(f);
    while (load_run(load, 3)) {
        if (killed >= kills || load_answered(load) * kills < all * killed)
            continue;
        pid_t pid = change_process(f);
        if (pid)
            times[killed++] = ms_to_the_next_answer(f, load, pid);
        if (killed % 8 == 7) {
            change_put(f, exchanged++ % 2 ? "v1" : "v2");
            check_switched(change(f, "reload"));
        }
    }
    double ms = p99(killed);
    printf("%lld works, %d ends of the process, %d exchanges; the next answer came after %.1f ms, %.1f ms at the 99th "
           "percentile\n",
           (long long)all, killed, exchanged, times[killed / 2], ms);
    ck_assert_int_ge(killed, kills - kills / 10);
    load_check_books(f, load);
    load_free(load);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("move");
    tcase_set_timeout(tests, 3600);
    tcase_add_test(tests, moves_lose_nothing);
    tcase_add_test(tests, ends_of_its_process_lose_nothing);
    return flow_main("move", (TCase *[]){tests, NULL});
}
