/* A steady load for a long time, with exchanges of a build and ends of its process all the while: nothing is lost,
 * memory and descriptors do not grow, and no answer is late for long.
 *
 * CVM_LONG_S says how long (20 s; eight hours are 28800, and some 40 GB of journal), CVM_LONG_RATE how many works a
 * second (1000, each a message and its reply). */
#include "change_load.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 4096

static struct sample {
    int64_t kib, files, behind_ms;
} samples[SAMPLES];

static int setting(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? (int)strtol(text, NULL, 10) : otherwise;
}

static int64_t open_files(pid_t pid)
{
    char path[64];
    int64_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void reload(struct flow *f, const char *build)
{
    change_put(f, build);
    json_t *report =
        load_ask(f, json_pack("{s:i, s:s, s:s, s:s}", "id", 1, "do", "change", "what", "reload", "plugin", "changing"));
    const char *result = json_string_value(json_object_get(report, "result"));
    ck_assert_msg(result && strcmp(result, "switched") == 0, "reload: %s", result ? result : "no report");
    json_decref(report);
}

START_TEST(a_long_time)
{
    int seconds = setting("CVM_LONG_S", 20), rate = setting("CVM_LONG_RATE", 1000), reloads = 0, kills = 0, n = 0;
    /* In an eight-hour run a reload every 10 s and a kill every minute; a short run has as many in its time as tell. */
    int64_t reload_ms = seconds >= 600 ? 10000 : 1000, kill_ms = seconds >= 600 ? 60000 : 3000;
    int64_t sample_ms = seconds * 1000LL / (seconds < 400 ? 40 : 400), late = 0;
    struct flow *f = flow_new();
    flow_plugin(f, "echo");
    flow_config(f, "plugins.process", json_pack("[s]", "*"));
    flow_config(f, "plugins.strikes", json_integer(1000));
    change_put(f, "v1");
    struct load *load = load_new(f, (int64_t)seconds * rate);
    flow_start(f);
    pid_t host = f->host;
    load_pace(load, rate);
    int64_t begun = flow_now_ms();
    while (load_run(load, 10)) {
        int64_t ms = flow_now_ms() - begun;
        if (ms > reload_ms * (reloads + 1))
            reload(f, reloads++ % 2 ? "v1" : "v2");
        if (ms > kill_ms * (kills + 1)) {
            pid_t pid = change_process(f);
            kills++;
            if (pid)
                kill(pid, SIGKILL);
        }
        if (ms > sample_ms * (n + 1) && n < SAMPLES) {
            samples[n++] = (struct sample){change_resident_kib(host), open_files(host), load_behind_ms(load)};
            late += samples[n - 1].behind_ms > 1000;
        }
        ck_assert_msg(ms < seconds * 2000LL + 20000, "%lld of %lld works in twice the time",
                      (long long)load_answered(load), (long long)load_each(load) * LOAD_CUSTOMERS);
    }
    ck_assert_int_ge(n, 8);
    const struct sample *settled = &samples[n / 4], *last = &samples[n - 1];
    printf("%d s, %lld works, %d reloads, %d ends of the process; resident %lld KiB, %lld after a quarter; %lld "
           "descriptors, %lld then; late by more than a second in %lld of %d samples\n",
           seconds, (long long)load_answered(load), reloads, kills, (long long)last->kib, (long long)settled->kib,
           (long long)last->files, (long long)settled->files, (long long)late, n);
    ck_assert_int_ge(reloads, seconds >= 600 ? seconds / 10 - 2 : 5);
    ck_assert_int_le(last->files, settled->files + 4); /* one process more or less is under way */
#if !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
    ck_assert_int_le(last->kib, settled->kib + 16 * 1024);
    ck_assert_int_le(late * 50, n);
#endif
    ck_assert_msg(host == f->host && kill(host, 0) == 0, "the host was started again");
    load_check_books(f, load);
    load_free(load);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("long");
    tcase_set_timeout(tests, 100000);
    tcase_add_test(tests, a_long_time);
    return flow_main("long", (TCase *[]){tests, NULL});
}
