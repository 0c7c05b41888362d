/* The host's figures on their way to a collector of OpenTelemetry, which this process plays: what comes, how often, and
 * that nothing suffers where the collector is slow, busy or not there. */
#include "flow.h"
#include "stub.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    int port;
    int status, delay_ms;     /* how it answers; 0 is 200 */
    int requests, good;       /* that came; that were metrics by POST to /v1/metrics, as JSON */
    int64_t came_ms[64];      /* when */
    json_t *figures, *before; /* by name, of the last two requests that had it: the metric */
    char authorization[64], start[32];
    bool start_moved;
} collector = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const json_t *first_point(const json_t *metric)
{
    static const char *const kinds[] = {"sum", "gauge", "histogram"};
    for (size_t i = 0; i < 3; i++)
        if (json_object_get(metric, kinds[i]))
            return json_array_get(json_object_get(json_object_get(metric, kinds[i]), "dataPoints"), 0);
    return NULL;
}

static bool take(const json_t *body)
{
    const json_t *r = json_array_get(json_object_get(body, "resourceMetrics"), 0);
    const json_t *all = json_object_get(json_array_get(json_object_get(r, "scopeMetrics"), 0), "metrics"), *m;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)all, i, m)
    {
        const char *name = json_string_value(json_object_get(m, "name"));
        const char *start = json_string_value(json_object_get(first_point(m), "startTimeUnixNano"));
        if (!name || !start || !json_string_value(json_object_get(first_point(m), "timeUnixNano")))
            return false;
        collector.start_moved = collector.start_moved || (*collector.start && strcmp(collector.start, start));
        snprintf(collector.start, sizeof collector.start, "%s", start);
        if (json_object_get(collector.figures, name))
            json_object_set(collector.before, name, json_object_get(collector.figures, name));
        json_object_set(collector.figures, name, (json_t *)(uintptr_t)m);
    }
    return json_array_size(all) > 0;
}

static void answer_one(int fd, const char *text, const char *body)
{
    char answer[256];
    json_t *m = json_loads(body, 0, NULL);
    pthread_mutex_lock(&collector.lock);
    if (collector.requests < 64)
        collector.came_ms[collector.requests] = flow_now_ms();
    collector.requests++;
    stub_header(text, "\r\nauthorization: ", collector.authorization, sizeof collector.authorization);
    bool good = !strncmp(text, "POST /v1/metrics HTTP/1.1\r\n", 27) &&
                strcasestr(text, "content-type: application/json") && take(m);
    collector.good += good;
    int status = !good ? 400 : collector.status ? collector.status : 200, delay = collector.delay_ms;
    pthread_mutex_unlock(&collector.lock);
    flow_sleep_ms(delay);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 %d X\r\n%sContent-Type: application/json\r\nContent-Length: 2\r\nConnection: "
             "close\r\n\r\n{}",
             status, status == 503 ? "Retry-After: 4\r\n" : "");
    send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    json_decref(m);
}

static void start_collector(void)
{
    collector.figures = json_object();
    collector.before = json_object();
    collector.port = stub_start(answer_one);
}

/* A host whose figures go to a port each second; 0: to nobody. */
static struct flow *exporting(int port)
{
    struct flow *f = flow_new();
    char url[64] = "";
    flow_plugin(f, "faulty");
    flow_plugin(f, "telemetry");
    flow_env(f, "TELEMETRY_TOKEN", "token-of-the-test");
    if (port)
        snprintf(url, sizeof url, "http://127.0.0.1:%d", port);
    flow_config(f, "agents",
                json_pack("{s:{s:{s:s, s:i, s:i, s:{s:s}}}}", "provider.telemetry.otlp", "settings", "endpoint", url,
                          "interval_s", 1, "timeout_ms", 1500, "attributes", "deployment.environment", "test"));
    flow_start(f);
    return f;
}

static int requests(void)
{
    pthread_mutex_lock(&collector.lock);
    int n = collector.requests;
    pthread_mutex_unlock(&collector.lock);
    return n;
}

static double value_of(const json_t *all, const char *name)
{
    return json_number_value(json_object_get(first_point(json_object_get(all, name)), "asDouble"));
}

static int64_t figure(struct flow *f, const char *row)
{
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
    const char *at = strstr(a.text, row);
    ck_assert_msg(at, "no %s", row);
    int64_t value = strtoll(at + strlen(row), NULL, 10);
    flow_answer_free(&a);
    return value;
}

#define DROPPED "cvmhost_figures_exported_total{result=\"dropped\"} "
#define GIVEN "cvmhost_figures_exported_total{result=\"given\"} "

static void ask(struct flow *f)
{
    ck_assert_int_eq(flow_http(f, "POST", "/test/ok", "{}", NULL, NULL), 200);
}

START_TEST(collector_receives_figures)
{
    start_collector();
    struct flow *f = exporting(collector.port);
    for (int i = 0; i < 4; i++) {
        int n = requests();
        ask(f);
        FLOW_UNTIL(requests() > n);
    }
    FLOW_UNTIL(requests() >= 6);
    pthread_mutex_lock(&collector.lock);
    ck_assert_int_eq(collector.good, collector.requests);
    ck_assert_str_eq(collector.authorization, "Bearer token-of-the-test");
    ck_assert_double_eq(value_of(collector.figures, "cvmhost_up"), 1);
    const json_t *turns = json_object_get(collector.figures, "cvmhost_turns_total");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(turns, "sum"), "aggregationTemporality")), 2);
    ck_assert_double_gt(value_of(collector.figures, "cvmhost_turns_total"),
                        value_of(collector.before, "cvmhost_turns_total"));
    ck_assert(!collector.start_moved);
    const json_t *h = first_point(json_object_get(collector.figures, "cvmhost_http_seconds"));
    ck_assert_uint_eq(json_array_size(json_object_get(h, "bucketCounts")),
                      json_array_size(json_object_get(h, "explicitBounds")) + 1);
    ck_assert_int_ge(strtol(json_string_value(json_object_get(h, "count")), NULL, 10), 3);
    pthread_mutex_unlock(&collector.lock);
    ck_assert_int_ge(figure(f, GIVEN), 4);
    ck_assert_int_eq(figure(f, DROPPED), 0);
    /* Looks leave no trace in the journal. */
    ck_assert_int_eq(flow_sql_int(f,
                                  "select count(*) from turns where component = 'provider.telemetry.otlp' and type <> "
                                  "'start'"),
                     0);
    flow_end(f);
}
END_TEST

START_TEST(busy_collector_is_left_alone)
{
    start_collector();
    collector.status = 503; /* Retry-After: 4 */
    struct flow *f = exporting(collector.port);
    FLOW_UNTIL(requests() == 2);
    pthread_mutex_lock(&collector.lock);
    ck_assert_msg(collector.came_ms[1] - collector.came_ms[0] >= 3500, "after %lld ms",
                  (long long)(collector.came_ms[1] - collector.came_ms[0]));
    collector.status = 0;
    pthread_mutex_unlock(&collector.lock);
    FLOW_UNTIL(requests() >= 4);
    ck_assert_int_ge(figure(f, DROPPED), 1);
    flow_wait_log(f, "figures are dropped: the collector answered HTTP 503");
    flow_wait_log(f, "figures arrive again");
    flow_end(f);
}
END_TEST

START_TEST(nothing_suffers_without_a_collector)
{
    struct flow *f = exporting(1); /* nobody is there */
    FLOW_UNTIL(figure(f, DROPPED) >= 2);
    int64_t begun = flow_now_ms();
    ask(f);
    ck_assert_int_lt(flow_now_ms() - begun, 1000);
    flow_wait_log(f, "figures are dropped: the collector cannot be reached");
    flow_end(f);
    start_collector();
    collector.delay_ms = 4000; /* longer than it is waited for, and than the interval */
    f = exporting(collector.port);
    FLOW_UNTIL(figure(f, DROPPED) >= 3);
    begun = flow_now_ms();
    ask(f);
    ck_assert_int_lt(flow_now_ms() - begun, 1000);
    ck_assert_int_eq(figure(f, GIVEN), 0);
    flow_end(f);
}
END_TEST

START_TEST(nobody_is_asked_without_an_endpoint)
{
    start_collector();
    struct flow *f = exporting(0);
    flow_sleep_ms(2500);
    ck_assert_int_eq(figure(f, DROPPED) + figure(f, GIVEN), 0);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("telemetry");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, collector_receives_figures);
    tcase_add_test(c, busy_collector_is_left_alone);
    tcase_add_test(c, nothing_suffers_without_a_collector);
    tcase_add_test(c, nobody_is_asked_without_an_endpoint);
    return flow_main("telemetry", (TCase *[]){c, NULL});
}
