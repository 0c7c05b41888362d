/* Owns nothing; see http_counters.h. */
#include "services/http_counters.h"

static const struct {
    uint64_t ns;
    const char *name;
} limits[HTTP_COUNTERS_BUCKETS] = {{250000, "0.00025"}, {500000, "0.0005"},  {1000000, "0.001"},  {2500000, "0.0025"},
                                   {5000000, "0.005"},  {10000000, "0.01"},  {25000000, "0.025"}, {100000000, "0.1"},
                                   {500000000, "0.5"},  {2500000000, "2.5"}, {10000000000, "10"}, {30000000000, "30"}};

void http_counters_add(struct http_counters *counters, int status, uint64_t elapsed_ns)
{
    counters->by_status[status >= 0 && status < 600 ? status : 0]++;
    int i = 0;
    while (i < HTTP_COUNTERS_BUCKETS && elapsed_ns > limits[i].ns)
        i++;
    counters->buckets[i]++;
    counters->seconds += (double)elapsed_ns / 1e9;
}

void http_counters_print(const struct http_counters *counters, struct text *text)
{
    text_puts(text, "# HELP cvmhost_http_requests_total Answers of the HTTP listener, by status.\n"
                    "# TYPE cvmhost_http_requests_total counter\n");
    for (int i = 0; i < 600; i++)
        if (counters->by_status[i])
            text_printf(text, "cvmhost_http_requests_total{code=\"%d\"} %llu\n", i,
                        (unsigned long long)counters->by_status[i]);
    text_puts(text, "# HELP cvmhost_http_seconds Time from the head of a request to its answer.\n"
                    "# TYPE cvmhost_http_seconds histogram\n");
    unsigned long long sum = 0;
    for (int i = 0; i < HTTP_COUNTERS_BUCKETS; i++) {
        sum += counters->buckets[i];
        text_printf(text, "cvmhost_http_seconds_bucket{le=\"%s\"} %llu\n", limits[i].name, sum);
    }
    sum += counters->buckets[HTTP_COUNTERS_BUCKETS];
    text_printf(text,
                "cvmhost_http_seconds_bucket{le=\"+Inf\"} %llu\ncvmhost_http_seconds_sum %.9f\n"
                "cvmhost_http_seconds_count %llu\n",
                sum, counters->seconds, sum);
}
