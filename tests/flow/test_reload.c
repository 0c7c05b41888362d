/* Builds exchanged in a real host while it serves: nothing is lost, nothing done twice, each customer's works in their
 * order, memory bounded; also when the host is killed meanwhile, at any moment and at the named points of an exchange.
 * And the rows of the rollback matrix that end the process: a build that crashes, and one that passes the hard limit.
 *
 * CVM_RELOADS, CVM_WORKS and CVM_KILLS say how much (40, 40000, 8). */
#include "change_load.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? (int)strtol(text, NULL, 10) : otherwise;
}

static struct flow *begin(const char *build)
{
    struct flow *f = flow_new();
    flow_plugin(f, "echo"); /* another one, which is not exchanged */
    flow_config(f, "plugins.inline", json_pack("[s]", "*"));
    change_put(f, build);
    return f;
}

static json_t *reload(struct flow *f)
{
    return load_ask(f,
                    json_pack("{s:i, s:s, s:s, s:s}", "id", 1, "do", "change", "what", "reload", "plugin", "changing"));
}

static const char *result(const json_t *report)
{
    const char *text = json_string_value(json_object_get(report, "result"));
    return text ? text : "";
}

/* ---- reloads under load ------------------------------------------------------------------------------------------ */

START_TEST(nothing_is_lost_or_done_twice)
{
    int reloads = setting("CVM_RELOADS", 40), switched = 0;
    struct flow *f = begin("v1");
    struct load *load = load_new(f, setting("CVM_WORKS", 40000));
    int64_t all = load_each(load) * LOAD_CUSTOMERS, settled_kib = 0;
    flow_start(f);
    while (load_run(load, 5)) {
        if (switched >= reloads || load_answered(load) * reloads < all * switched)
            continue;
        change_put(f, switched % 2 ? "v1" : "v2");
        json_t *report = reload(f);
        ck_assert_str_eq(result(report), "switched");
        json_decref(report);
        if (++switched == reloads / 5)
            settled_kib = change_resident_kib(f->host);
    }
    ck_assert_int_ge(switched, reloads - 1);
    int64_t grown = change_resident_kib(f->host) - settled_kib;
    printf("%lld works, %d reloads; resident memory grew by %lld KiB after the first fifth\n", (long long)all, switched,
           (long long)grown);
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    ck_assert_int_le(grown, 24 * 1024); /* caches still fill in a short run; in a long one it is next to nothing */
#endif
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM turns WHERE type = 'plugins.change'"), switched);
    load_check_books(f, load);
    load_free(load);
    flow_end(f);
}
END_TEST

/* How the next process is to end: "name:n", or "" for a kill at any moment. */
static const char *const deaths[] = {"",
                                     "change_marked:2",
                                     "change_loaded:3",
                                     "change_switched:2",
                                     "change_noted:1",
                                     "turn_run:5000",
                                     "committed:40",
                                     "rows_written:60",
                                     "recovery:5"};
#define DEATHS ((int)(sizeof deaths / sizeof *deaths))

static int lives(struct flow *f)
{
    char *log = flow_log(f);
    int n = 0;
    for (const char *at = log; (at = strstr(at, "serving on")); at++)
        n++;
    free(log);
    return n;
}

/* Each life of the host is given the end of the next one; one that has not come to its end when it is due is killed. */
START_TEST(nothing_is_lost_with_kills_in_between)
{
    int kills = setting("CVM_KILLS", 8), died = 0, switched = 0;
    struct flow *f = begin("v1");
    struct load *load = load_new(f, setting("CVM_WORKS", 40000));
    int64_t all = load_each(load) * LOAD_CUSTOMERS, due = all / (kills + 1);
    char armed[128];
    flow_config(f, "supervisor.restarts", json_integer(100000));
    flow_config(f, "supervisor.restart_delay_ms", json_integer(20));
    snprintf(armed, sizeof armed, "@%s/crash", f->home);
    flow_env(f, "CVMHOST_CRASH", armed);
    flow_write(f, "crash", deaths[1]);
    flow_start(f);
    flow_write(f, "crash", deaths[2]);
    for (int i = 0; load_run(load, 10); i++) {
        json_t *report = NULL;
        if (i % 4 == 0) {
            change_put(f, i / 4 % 2 ? "v1" : "v2");
            report = reload(f); /* NULL: it died meanwhile */
            switched += strcmp(result(report), "switched") == 0;
            ck_assert_msg(!report || strcmp(result(report), "refused") != 0, "refused: %s",
                          json_string_value(json_object_get(json_object_get(report, "error"), "text")));
        }
        json_decref(report);
        if (lives(f) - 1 > died) {
            died = lives(f) - 1;
            flow_wait_serving(f);
            flow_write(f, "crash", died + 1 < kills ? deaths[(died + 2) % DEATHS] : "");
            due = load_answered(load) + (all - load_answered(load)) / (kills - died + 1);
        } else if (died < kills && load_answered(load) > due) {
            ck_assert_int_gt(f->host, 0);
            kill(f->host, SIGKILL); /* it may just have come to its own end */
            due = all;
        }
    }
    printf("%lld works, %d reloads, %d deaths\n", (long long)all, switched, died);
    ck_assert_int_ge(died, kills - 2);
    load_check_books(f, load);
    load_free(load);
    flow_stop(f);
    flow_free(f);
}
END_TEST

/* ---- builds that end the process --------------------------------------------------------------------------------- */

/* {crash, hard limit} x {idle, loaded}: the host restarts once, with the build before, and every work is done once. */
START_TEST(a_build_that_ends_the_host_is_taken_back)
{
    const char *build = _i / 2 ? "hangs" : "crashes";
    bool loaded = _i % 2;
    struct flow *f = begin("v1");
    struct load *load = load_new(f, loaded ? 20000 : 640);
    flow_config(f, "host.log_level", json_string("INFO"));
    flow_start(f);
    if (loaded)
        load_run(load, 100);
    change_put(f, build);
    json_t *report = reload(f);
    ck_assert_msg(!report || strcmp(result(report), "switched") == 0, "%s", result(report));
    json_decref(report);
    while (load_run(load, 100))
        continue;
    flow_wait_log(f, "crashed the host");
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "changing", "which", "--output", "json"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(a.json, "version")), "1.0.0");
    flow_answer_free(&a);
    char *log = flow_log(f);
    int served = 0;
    for (const char *at = log; (at = strstr(at, "serving on")); at++)
        served++;
    free(log);
    ck_assert_int_eq(served, 2); /* it cost one restart */
    load_check_books(f, load);
    load_free(load);
    flow_stop(f);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("reload");
    tcase_set_timeout(c, 1700);
    tcase_add_test(c, nothing_is_lost_or_done_twice);
    tcase_add_test(c, nothing_is_lost_with_kills_in_between);
    tcase_add_loop_test(c, a_build_that_ends_the_host_is_taken_back, 0, 4);
    return flow_main("reload", (TCase *[]){c, NULL});
}
