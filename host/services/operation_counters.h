/* What the edges count of each operation that people can reach: how requests ended, and how long they took. An
 * operation has its rows from the moment it is loaded, and none once it is gone; what was counted waits for its return.
 * Knows no edge. Loop thread. */
#ifndef HOST_SERVICES_OPERATION_COUNTERS_H
#define HOST_SERVICES_OPERATION_COUNTERS_H

#include "core/json_text.h"
#include "core/registry.h"

#define OPERATION_COUNTERS_MAX 8192 /* operations ever seen; further ones are not counted */

struct operation_counters;
struct operation_count; /* of one operation; lives as long as the counters */

struct operation_counters *operation_counters_new(void);           /* NULL: out of memory */
void operation_counters_free(struct operation_counters *counters); /* accepts NULL */

/* Of an operation by the id of its component. NULL (counters NULL, no memory, too many): not counted. */
struct operation_count *operation_counters_get(struct operation_counters *counters, const char *component,
                                               const char *type);

/* A request ended with `outcome` (enum cvm_outcome), or was not taken (a negative error). Accepts NULL. */
void operation_count_add(struct operation_count *count, int outcome, uint64_t elapsed_ns);

/* Appends cvmhost_operation_requests_total and cvmhost_operation_seconds_total in Prometheus text format, for the
 * operations among these that have a command or route. */
void operation_counters_print(struct operation_counters *counters, const struct operation *operations, size_t n,
                              struct text *text);

#endif
