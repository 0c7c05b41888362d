/* Days, times and months in Lagos, which keeps UTC+1 all year. Pure; any thread. */
#ifndef SERVICE_CALENDAR_H
#define SERVICE_CALENDAR_H

#include <cvm/cvm.h>

enum period { PERIOD_DAILY, PERIOD_WEEKLY, PERIOD_MONTHLY };

struct date {
    int year, month, day;
};

CVM_MUST_USE int period_parse(const char *name, enum period *ret_period);
/* "2026-11-30" and "08:00". CVM_EINVAL: no date, no time. */
CVM_MUST_USE int date_parse(const char *text, struct date *ret_date);
CVM_MUST_USE int clock_parse(const char *text, int *ret_minute);

struct date date_of(int64_t at_ms);
int date_weekday(struct date date); /* 0 is Monday */
int days_in_month(int year, int month);
/* The point in time of a minute of a date. */
int64_t date_at(struct date date, int minute);
/* The first time after `after_ms` at that minute: each day, on the weekday of `anchor`, or on its day of the month; the
 * last day where a month has no such day. Not before `anchor` itself. */
int64_t period_next(enum period period, struct date anchor, int minute, int64_t after_ms);

#endif
