/* What the HTTP listener counts: answers by status, and how long they took. Loop thread. */
#ifndef HOST_SERVICES_HTTP_COUNTERS_H
#define HOST_SERVICES_HTTP_COUNTERS_H

#include "core/json_text.h"
#include <stdint.h>

#define HTTP_COUNTERS_BUCKETS 12

struct http_counters {
    uint64_t by_status[600];
    uint64_t buckets[HTTP_COUNTERS_BUCKETS + 1]; /* not cumulative; the last is "longer" */
    double seconds;
};

void http_counters_add(struct http_counters *counters, int status, uint64_t elapsed_ns);

/* Appends cvmhost_http_requests_total and cvmhost_http_seconds in Prometheus text format. */
void http_counters_print(const struct http_counters *counters, struct text *text);

#endif
