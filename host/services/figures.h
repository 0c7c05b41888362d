/* Gives the host's figures (what /metrics shows) to components that carry them elsewhere: those with the role
 * `telemetry`, whose operation `export` looks without consequences (durable: false). Each gets them every `interval_s`
 * seconds of its settings, unless its setting `endpoint` is empty; in pages, the next when the one before has been
 * answered. Nothing waits for them, nothing of them is journalled. Loop thread. */
#ifndef HOST_SERVICES_FIGURES_H
#define HOST_SERVICES_FIGURES_H

#include <jansson.h>
#include <uv.h>

#define FIGURES_PAGE_POINTS 500
#define FIGURES_TARGETS_MAX 8

struct core;
struct figures;
struct http_server;
struct operation_counters;

struct figures_options {
    uv_loop_t *loop;
    struct core *core;
    struct operation_counters *counters; /* NULL: none */
    struct http_server *server;          /* NULL: none */
};

/* Borrows what the options name. NULL: out of memory. */
struct figures *figures_new(const struct figures_options *options);
void figures_stop(struct figures *figures); /* frees it once its handle is closed; accepts NULL */

/* Prometheus text as [{"name", "kind", "help", "points": [{"labels": {}, "value"} or, of a histogram, {"labels",
 * "bounds":
 * [..], "counts": [one more, each bucket's own], "sum", "count"}]}]. Lines that it cannot read are left out. Pure. */
json_t *figures_read(const char *text);
/* The same in pages of at most so many points; a figure may go on in the next. Pure. */
json_t *figures_pages(const json_t *figures, size_t points);

#endif
