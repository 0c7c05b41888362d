/* The host's figures as a request of OTLP/HTTP in its JSON encoding (opentelemetry-proto 1.x, metrics). Pure; any
 * thread. */
#ifndef PROVIDER_TELEMETRY_OTLP_H
#define PROVIDER_TELEMETRY_OTLP_H

#include <cvm/cvm.h>
#include <cvm/json.h>

/* `data` is what the host gives (at_ms, start_ms, figures); `attributes` those of the resource, text by name. Counters
 * become cumulative sums since start_ms, gauges and histograms what they are. Gives a new object. */
json_t *otlp_metrics(const json_t *data, const char *service, const json_t *attributes);

#endif
