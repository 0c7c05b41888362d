/* Days, times and months in Lagos; see calendar.h. Owns nothing; any thread. */
#include "calendar.h"
#include <stdio.h>

#define LAGOS_MS (INT64_C(3600000))
#define DAY_MS (INT64_C(86400000))

int period_parse(const char *name, enum period *ret_period)
{
    static const char *const names[] = {"daily", "weekly", "monthly"};
    for (int i = 0; i < 3; i++)
        if (strcmp(names[i], name) == 0) {
            *ret_period = (enum period)i;
            return CVM_OK;
        }
    return CVM_EINVAL;
}

int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

int date_parse(const char *text, struct date *ret_date)
{
    struct date d;
    int end = 0;
    if (strlen(text) != 10 || sscanf(text, "%4d-%2d-%2d%n", &d.year, &d.month, &d.day, &end) != 3 || end != 10 ||
        d.year < 1970 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > days_in_month(d.year, d.month))
        return CVM_EINVAL;
    *ret_date = d;
    return CVM_OK;
}

int clock_parse(const char *text, int *ret_minute)
{
    int hour, minute, end = 0;
    if (strlen(text) != 5 || sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2 || end != 5 || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59)
        return CVM_EINVAL;
    *ret_minute = hour * 60 + minute;
    return CVM_OK;
}

/* Days since 1970 and back, by counting years from March: "chrono-Compatible Low-Level Date Algorithms", H. Hinnant. */
static int64_t days_from(struct date d)
{
    int64_t y = d.year - (d.month <= 2), era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct date date_from(int64_t days)
{
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
    return (struct date){
        .year = (int)(yoe + era * 400 + (month <= 2)), .month = (int)month, .day = (int)(doy - (153 * mp + 2) / 5 + 1)};
}

struct date date_of(int64_t at_ms)
{
    return date_from((at_ms + LAGOS_MS) / DAY_MS);
}

int date_weekday(struct date date)
{
    return (int)((days_from(date) + 3) % 7); /* 1970-01-01 was a Thursday */
}

int64_t date_at(struct date date, int minute)
{
    return days_from(date) * DAY_MS + (int64_t)minute * 60000 - LAGOS_MS;
}

static int64_t monthly(struct date month, int day, int minute)
{
    int last = days_in_month(month.year, month.month);
    month.day = day < last ? day : last;
    return date_at(month, minute);
}

int64_t period_next(enum period period, struct date anchor, int minute, int64_t after_ms)
{
    int64_t first = date_at(anchor, minute);
    if (first > after_ms)
        return first;
    struct date today = date_of(after_ms);
    int64_t days = days_from(today), at;
    switch (period) {
    case PERIOD_DAILY:
        at = date_at(today, minute);
        return at > after_ms ? at : at + DAY_MS;
    case PERIOD_WEEKLY:
        days += (date_weekday(anchor) - date_weekday(today) + 7) % 7;
        at = date_at(date_from(days), minute);
        return at > after_ms ? at : at + 7 * DAY_MS;
    case PERIOD_MONTHLY:
        at = monthly(today, anchor.day, minute);
        if (at > after_ms)
            return at;
        today.day = 1;
        today = today.month == 12 ? (struct date){today.year + 1, 1, 1} : (struct date){today.year, today.month + 1, 1};
        return monthly(today, anchor.day, minute);
    }
    return first;
}
