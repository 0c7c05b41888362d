/* Points in time as text: ISO 8601 of a day, a month or an instant, always UTC. Pure; any thread. */
#ifndef CVM_DECISION_MOMENT_H
#define CVM_DECISION_MOMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOMENT_SIZE 32
#define DAY_MS INT64_C(86400000)

/* "2025-10", "2025-10-02", "2025-10-02T11:20:00Z", with a fraction and with an offset. false: it is none. */
bool moment_parse(const char *text, int64_t *ret_ms);
/* "2025-10-02T11:20:00.000Z". Gives `text`. */
const char *moment_text(int64_t ms, char text[MOMENT_SIZE]);
/* "2025-10-02". Gives `text`. */
const char *moment_day(int64_t ms, char text[MOMENT_SIZE]);

#endif
