/* See zone.h. */
#include "zone.h"

#include <stdio.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS INT64_C(3600000)
#define DAY_MS INT64_C(86400000)

enum { RULE_NONE, RULE_EU, RULE_US };

static const struct {
    const char *name;
    struct zone zone;
} zones[] = {
    {"UTC", {0, RULE_NONE}},
    {"Europe/London", {0, RULE_EU}},
    {"Europe/Dublin", {0, RULE_EU}},
    {"Europe/Lisbon", {0, RULE_EU}},
    {"Europe/Amsterdam", {60, RULE_EU}},
    {"Europe/Berlin", {60, RULE_EU}},
    {"Europe/Brussels", {60, RULE_EU}},
    {"Europe/Copenhagen", {60, RULE_EU}},
    {"Europe/Madrid", {60, RULE_EU}},
    {"Europe/Oslo", {60, RULE_EU}},
    {"Europe/Paris", {60, RULE_EU}},
    {"Europe/Prague", {60, RULE_EU}},
    {"Europe/Rome", {60, RULE_EU}},
    {"Europe/Stockholm", {60, RULE_EU}},
    {"Europe/Vienna", {60, RULE_EU}},
    {"Europe/Warsaw", {60, RULE_EU}},
    {"Europe/Zurich", {60, RULE_EU}},
    {"Europe/Athens", {120, RULE_EU}},
    {"Europe/Bucharest", {120, RULE_EU}},
    {"Europe/Helsinki", {120, RULE_EU}},
    {"Africa/Lagos", {60, RULE_NONE}},
    {"Africa/Johannesburg", {120, RULE_NONE}},
    {"Africa/Nairobi", {180, RULE_NONE}},
    {"Asia/Dubai", {240, RULE_NONE}},
    {"Asia/Kolkata", {330, RULE_NONE}},
    {"Asia/Singapore", {480, RULE_NONE}},
    {"Asia/Tokyo", {540, RULE_NONE}},
    {"America/New_York", {-300, RULE_US}},
    {"America/Chicago", {-360, RULE_US}},
    {"America/Denver", {-420, RULE_US}},
    {"America/Los_Angeles", {-480, RULE_US}},
};

#define ZONES (sizeof zones / sizeof *zones)

/* ---- dates: "chrono-Compatible Low-Level Date Algorithms", H. Hinnant ---- */

static int64_t days_from(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_from(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
    *ret_year = yoe + era * 400 + (month <= 2);
    *ret_month = (int)month;
    *ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
}

static int64_t floor_days(int64_t ms)
{
    return ms >= 0 ? ms / DAY_MS : -((DAY_MS - 1 - ms) / DAY_MS);
}

static int weekday(int64_t days) /* 0: Sunday; 1970-01-01 was a Thursday */
{
    int w = (int)((days + 4) % 7);
    return w < 0 ? w + 7 : w;
}

static int64_t last_sunday(int64_t year, int month) /* of a month of 31 days */
{
    int64_t last = days_from(year, month, 31);
    return last - weekday(last);
}

static int64_t nth_sunday(int64_t year, int month, int n)
{
    int64_t first = days_from(year, month, 1);
    return first + (7 - weekday(first)) % 7 + 7 * (n - 1);
}

/* The European Union changes at 01:00 UTC, the United States at 02:00 local time. */
static bool is_summer(const struct zone *z, int64_t utc_ms)
{
    int64_t year, begin, end;
    int month, day;
    if (z->rule == RULE_NONE)
        return false;
    date_from(floor_days(utc_ms), &year, &month, &day);
    if (z->rule == RULE_EU) {
        begin = last_sunday(year, 3) * DAY_MS + HOUR_MS;
        end = last_sunday(year, 10) * DAY_MS + HOUR_MS;
    } else {
        begin = nth_sunday(year, 3, 2) * DAY_MS + 2 * HOUR_MS - z->standard_min * MINUTE_MS;
        end = nth_sunday(year, 11, 1) * DAY_MS + HOUR_MS - z->standard_min * MINUTE_MS;
    }
    return utc_ms >= begin && utc_ms < end;
}

/* ---- what zone.h says ---- */

int zone_find(const char *name, struct zone *ret_zone)
{
    int hours, minutes, end = 0;
    for (size_t i = 0; i < ZONES; i++)
        if (!strcmp(zones[i].name, name)) {
            *ret_zone = zones[i].zone;
            return CVM_OK;
        }
    if ((*name == '+' || *name == '-') && strlen(name) == 6 &&
        sscanf(name + 1, "%2d:%2d%n", &hours, &minutes, &end) == 2 && end == 5 && hours >= 0 && hours <= 14 &&
        minutes >= 0 && minutes < 60) {
        *ret_zone = (struct zone){(*name == '-' ? -1 : 1) * (hours * 60 + minutes), RULE_NONE};
        return CVM_OK;
    }
    return CVM_ENOENT;
}

const char *zone_names(char *buf, size_t size)
{
    size_t n = 0;
    *buf = 0;
    for (size_t i = 0; i < ZONES && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "", zones[i].name);
    return buf;
}

int zone_offset_min(const struct zone *z, int64_t utc_ms)
{
    return z->standard_min + (is_summer(z, utc_ms) ? 60 : 0);
}

static int64_t local_ms(const struct zone *z, int64_t utc_ms)
{
    return utc_ms + zone_offset_min(z, utc_ms) * MINUTE_MS;
}

const char *zone_day(const struct zone *z, int64_t utc_ms, char day[ZONE_DAY_SIZE])
{
    int64_t year;
    int month, of_month;
    date_from(floor_days(local_ms(z, utc_ms)), &year, &month, &of_month);
    snprintf(day, ZONE_DAY_SIZE, "%04u-%02u-%02u", (unsigned)year % 10000, (unsigned)month % 100,
             (unsigned)of_month % 100);
    return day;
}

int zone_minute(const struct zone *z, int64_t utc_ms)
{
    int64_t local = local_ms(z, utc_ms);
    return (int)((local - floor_days(local) * DAY_MS) / MINUTE_MS);
}

int64_t zone_next(const struct zone *z, int64_t utc_ms, int minute)
{
    int64_t midnight = floor_days(local_ms(z, utc_ms)) * DAY_MS;
    for (int day = 0;; day++) {
        int64_t local = midnight + day * DAY_MS + minute * MINUTE_MS, at = local - z->standard_min * MINUTE_MS;
        if (is_summer(z, at - HOUR_MS)) /* the earlier of the two where a minute comes twice */
            at -= HOUR_MS;
        if (at > utc_ms)
            return at;
    }
}

int zone_clock(const char *text)
{
    int hour, minute, end = 0;
    if (strlen(text) != 5 || sscanf(text, "%2d:%2d%n", &hour, &minute, &end) != 2 || end != 5 || hour < 0 ||
        hour > 24 || minute < 0 || minute > 59 || (hour == 24 && minute))
        return -1;
    return hour * 60 + minute;
}
