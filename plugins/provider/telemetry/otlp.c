/* See otlp.h. Numbers of 64 bits are texts in this encoding. */
#include "otlp.h"

#include <stdio.h>

#define CUMULATIVE 2

static json_t *text_of(int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    return json_string(text);
}

static json_t *nanoseconds(int64_t ms)
{
    return text_of(ms * 1000000);
}

static json_t *attribute(const char *name, const char *value)
{
    return json_pack("{s:s, s:{s:s}}", "key", name, "value", "stringValue", value);
}

static json_t *attributes_of(const json_t *labels)
{
    json_t *list = json_array(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)labels, name, value) if (json_is_string(value))
        json_array_append_new(list, attribute(name, json_string_value(value)));
    return list;
}

static json_t *integers_as_text(const json_t *list)
{
    json_t *texts = json_array();
    for (size_t i = 0; i < json_array_size(list); i++)
        json_array_append_new(texts, text_of((int64_t)json_integer_value(json_array_get(list, i))));
    return texts;
}

static json_t *point(const json_t *one, const json_t *data)
{
    json_t *p = json_pack("{s:o, s:o, s:o}", "attributes", attributes_of(json_object_get(one, "labels")),
                          "startTimeUnixNano", nanoseconds(cvm_json_int(data, "start_ms", 0)), "timeUnixNano",
                          nanoseconds(cvm_json_int(data, "at_ms", 0)));
    if (!json_object_get(one, "counts")) {
        json_object_set(p, "asDouble", json_object_get(one, "value"));
        return p;
    }
    json_object_set_new(p, "count", text_of(cvm_json_int(one, "count", 0)));
    json_object_set(p, "sum", json_object_get(one, "sum"));
    json_object_set(p, "explicitBounds", json_object_get(one, "bounds"));
    json_object_set_new(p, "bucketCounts", integers_as_text(json_object_get(one, "counts")));
    return p;
}

/* By the end of the name, which says it here. */
static const char *unit_of(const char *name)
{
    static const struct {
        const char *end, *unit;
    } units[] = {{"_seconds", "s"}, {"_seconds_total", "s"}, {"_bytes", "By"}, {"_ratio", "1"}};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t n = strlen(units[i].end);
        if (len > n && !strcmp(name + len - n, units[i].end))
            return units[i].unit;
    }
    return "";
}

static json_t *metric(const json_t *figure, const json_t *data)
{
    const char *name = cvm_json_str(figure, "name", ""), *kind = cvm_json_str(figure, "kind", "gauge");
    json_t *points = json_array();
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(figure, "points"), i, one) json_array_append_new(points, point(one, data));
    json_t *m = json_pack("{s:s, s:s, s:s}", "name", name, "description", cvm_json_str(figure, "help", ""), "unit",
                          unit_of(name));
    if (!strcmp(kind, "counter"))
        json_object_set_new(
            m, "sum",
            json_pack("{s:i, s:b, s:o}", "aggregationTemporality", CUMULATIVE, "isMonotonic", 1, "dataPoints", points));
    else if (!strcmp(kind, "histogram"))
        json_object_set_new(m, "histogram",
                            json_pack("{s:i, s:o}", "aggregationTemporality", CUMULATIVE, "dataPoints", points));
    else
        json_object_set_new(m, "gauge", json_pack("{s:o}", "dataPoints", points));
    return m;
}

json_t *otlp_metrics(const json_t *data, const char *service, const json_t *attributes)
{
    json_t *metrics = json_array(), *resource = attributes_of(attributes);
    const json_t *figure;
    size_t i;
    json_array_insert_new(resource, 0, attribute("service.name", service));
    json_array_foreach(json_object_get(data, "figures"), i, figure)
        json_array_append_new(metrics, metric(figure, data));
    return json_pack("{s:[{s:{s:o}, s:[{s:{s:s}, s:o}]}]}", "resourceMetrics", "resource", "attributes", resource,
                     "scopeMetrics", "scope", "name", "cvmhost", "metrics", metrics);
}
