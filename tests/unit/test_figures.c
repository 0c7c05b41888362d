/* The text of /metrics as values, and as the JSON encoding of OTLP. */
#include "../../plugins/provider/telemetry/otlp.h"
#include "services/figures.h"

#include <check.h>
#include <string.h>

#define TEXT                                                                                                           \
    "# HELP cvmhost_up Whether it serves.\n# TYPE cvmhost_up gauge\ncvmhost_up 1\n"                                    \
    "# TYPE cvmhost_turns_total counter\ncvmhost_turns_total{component=\"a.b\",operation=\"x\"} 12\n"                  \
    "cvmhost_turns_total{component=\"a \\\"c\\\"\",operation=\"y}\"} 1e+20\ncvmhost_turns_totally 5\nnonsense\n"       \
    "# HELP cvmhost_h_seconds Time.\n# TYPE cvmhost_h_seconds histogram\n"                                             \
    "cvmhost_h_seconds_bucket{kind=\"k\",le=\"0.5\"} 2\ncvmhost_h_seconds_bucket{kind=\"k\",le=\"1\"} 2\n"             \
    "cvmhost_h_seconds_bucket{kind=\"k\",le=\"+Inf\"} 5\ncvmhost_h_seconds_sum{kind=\"k\"} 7.5\n"                      \
    "cvmhost_h_seconds_count{kind=\"k\"} 5\ncvmhost_h_seconds_bucket{kind=\"l\",le=\"+Inf\"} 1\n"                      \
    "cvmhost_h_seconds_sum{kind=\"l\"} 1\ncvmhost_h_seconds_count{kind=\"l\"} 1\n"                                     \
    "# TYPE cvmhost_none gauge\n# TYPE broken\ncvmhost_none{a=\"b 1\ncvmhost_none{a=b} 1\ncvmhost_none\ncvmhost_none " \
    "x\n"

static void check_json(const json_t *value, const char *expected)
{
    json_error_t error;
    json_t *e = json_loads(expected, 0, &error);
    ck_assert_msg(e, "%s: %s", expected, error.text);
    char *is = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    ck_assert_msg(json_equal(e, (json_t *)(uintptr_t)value), "is %s", is);
    free(is);
    json_decref(e);
}

START_TEST(text_is_read)
{
    json_t *f = figures_read(TEXT);
    ck_assert_uint_eq(json_array_size(f), 4);
    check_json(json_array_get(f, 0),
               "{\"name\": \"cvmhost_up\", \"kind\": \"gauge\", \"help\": \"Whether it serves.\", "
               "\"points\": [{\"labels\": {}, \"value\": 1.0}]}");
    check_json(
        json_object_get(json_array_get(f, 1), "points"),
        "[{\"labels\": {\"component\": \"a.b\", \"operation\": \"x\"}, \"value\": 12.0}, {\"labels\": {\"component\": "
        "\"a \\\"c\\\"\", \"operation\": \"y}\"}, \"value\": 1e20}]");
    check_json(
        json_object_get(json_array_get(f, 2), "points"),
        "[{\"labels\": {\"kind\": \"k\"}, \"bounds\": [0.5, 1.0], \"counts\": [2, 0, 3], \"sum\": 7.5, \"count\": 5}, "
        "{\"labels\": {\"kind\": \"l\"}, \"bounds\": [], \"counts\": [1], \"sum\": 1.0, \"count\": 1}]");
    check_json(json_object_get(json_array_get(f, 3), "points"), "[]");
    json_decref(f);
    f = figures_read("");
    check_json(f, "[]");
    json_decref(f);
}
END_TEST

START_TEST(pages_hold_so_many)
{
    json_t *f = figures_read(TEXT), *pages = figures_pages(f, 2);
    size_t points = 0, i, k;
    json_t *page, *figure;
    ck_assert_uint_eq(json_array_size(pages), 3);
    json_array_foreach(pages, i, page) json_array_foreach(page, k, figure) points +=
        json_array_size(json_object_get(figure, "points"));
    ck_assert_uint_eq(points, 5);
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json_array_get(pages, 0), 1), "name")),
                     "cvmhost_turns_total");
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json_array_get(pages, 1), 0), "name")),
                     "cvmhost_turns_total");
    json_decref(pages);
    json_decref(f);
}
END_TEST

START_TEST(otlp_is_as_collectors_read_it)
{
    json_t *f = figures_read(TEXT), *resource = json_pack("{s:s}", "deployment.environment", "test");
    json_t *data = json_pack("{s:I, s:I, s:o}", "at_ms", (json_int_t)1700000060000, "start_ms",
                             (json_int_t)1700000000000, "figures", f);
    json_t *o = otlp_metrics(data, "desk", resource);
    const json_t *r = json_array_get(json_object_get(o, "resourceMetrics"), 0);
    check_json(json_object_get(r, "resource"),
               "{\"attributes\": [{\"key\": \"service.name\", \"value\": {\"stringValue\": \"desk\"}}, {\"key\": "
               "\"deployment.environment\", \"value\": {\"stringValue\": \"test\"}}]}");
    const json_t *m = json_object_get(json_array_get(json_object_get(r, "scopeMetrics"), 0), "metrics");
    check_json(json_array_get(m, 0),
               "{\"name\": \"cvmhost_up\", \"description\": \"Whether it serves.\", \"unit\": \"\", \"gauge\": "
               "{\"dataPoints\": "
               "[{\"attributes\": [], \"startTimeUnixNano\": \"1700000000000000000\", \"timeUnixNano\": "
               "\"1700000060000000000\", \"asDouble\": 1.0}]}}");
    const json_t *sum = json_object_get(json_array_get(m, 1), "sum");
    ck_assert_int_eq(json_integer_value(json_object_get(sum, "aggregationTemporality")), 2);
    ck_assert(json_is_true(json_object_get(sum, "isMonotonic")));
    const json_t *h = json_object_get(json_array_get(m, 2), "histogram");
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(m, 2), "unit")), "s");
    check_json(json_array_get(json_object_get(h, "dataPoints"), 0),
               "{\"attributes\": [{\"key\": \"kind\", \"value\": {\"stringValue\": \"k\"}}], \"startTimeUnixNano\": "
               "\"1700000000000000000\", \"timeUnixNano\": \"1700000060000000000\", \"count\": \"5\", \"sum\": 7.5, "
               "\"explicitBounds\": [0.5, 1.0], \"bucketCounts\": [\"2\", \"0\", \"3\"]}");
    json_decref(o);
    json_decref(data);
    json_decref(resource);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("figures");
    TCase *c = tcase_create("figures");
    tcase_add_test(c, text_is_read);
    tcase_add_test(c, pages_hold_so_many);
    tcase_add_test(c, otlp_is_as_collectors_read_it);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
