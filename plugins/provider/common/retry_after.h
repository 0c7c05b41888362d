/* How long a server asks to be left alone: Retry-After holds seconds or a date (RFC 9110, 10.2.3). Pure. */
#ifndef PROVIDER_COMMON_RETRY_AFTER_H
#define PROVIDER_COMMON_RETRY_AFTER_H

#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#define RETRY_MAX_MS INT64_C(86400000)

/* Milliseconds, at most a day; 0: it says nothing. `unit_ms` is what a plain number counts. */
static inline int64_t retry_after_ms(const char *text, int64_t unit_ms, int64_t now_ms)
{
    struct tm tm = {0};
    char *end;
    double value = strtod(text, &end);
    int64_t ms = 0;
    if (end != text && !*end)
        ms = value > 0 && value < 1e9 ? (int64_t)(value * (double)unit_ms) : 0;
    else if (strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        ms = (int64_t)timegm(&tm) * 1000 - now_ms;
    return ms < 0 ? 0 : ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
}

#endif
