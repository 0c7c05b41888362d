/* See moment.h. Days by the civil calendar (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
#include "moment.h"

#include <stdio.h>

static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400), doy = (153 * (m + (m > 2 ? -3U : 9U)) + 2) / 5 + d - 1;
    return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

static void civil_from_days(int64_t z, int64_t *ret_y, unsigned *ret_m, unsigned *ret_d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097), yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *ret_d = doy - (153 * mp + 2) / 5 + 1;
    *ret_m = mp < 10 ? mp + 3 : mp - 9;
    *ret_y = (int64_t)yoe + era * 400 + (*ret_m <= 2);
}

/* `n` digits; -1: they are none. */
static int digits(const char **text, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        char c = **text;
        if (c < '0' || c > '9')
            return -1;
        value = value * 10 + (c - '0');
        (*text)++;
    }
    return value;
}

/* What follows the hour and minute: seconds, a fraction, "Z" or an offset. */
static bool rest_of(const char *at, int64_t *ms)
{
    int seconds = 0;
    if (*at == ':') {
        at++;
        if ((seconds = digits(&at, 2)) < 0 || seconds > 60)
            return false;
    }
    *ms += (int64_t)seconds * 1000;
    if (*at == '.') {
        int64_t unit = 100;
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10)
            *ms += (*at - '0') * unit;
    }
    if (*at == '+' || *at == '-') {
        int sign = *at++ == '+' ? 1 : -1, hours = digits(&at, 2);
        at += *at == ':';
        int minutes = *at ? digits(&at, 2) : 0;
        if (hours < 0 || minutes < 0)
            return false;
        *ms -= sign * (hours * INT64_C(3600000) + minutes * INT64_C(60000));
    } else {
        at += *at == 'Z';
    }
    return *at == 0;
}

bool moment_parse(const char *text, int64_t *ret_ms)
{
    const char *at = text ? text : "";
    int year = digits(&at, 4), month = -1, day = 1, hour, minute;
    if (year < 0 || *at++ != '-' || (month = digits(&at, 2)) < 1 || month > 12)
        return false;
    if (*at == '-') {
        at++;
        if ((day = digits(&at, 2)) < 1 || day > 31)
            return false;
    }
    int64_t ms = days_from_civil(year, (unsigned)month, (unsigned)day) * DAY_MS;
    if (*at == 'T' || *at == ' ') {
        at++;
        if ((hour = digits(&at, 2)) < 0 || hour > 23 || *at++ != ':' || (minute = digits(&at, 2)) < 0 || minute > 59)
            return false;
        ms += hour * INT64_C(3600000) + minute * INT64_C(60000);
        if (!rest_of(at, &ms))
            return false;
    } else if (*at) {
        return false;
    }
    *ret_ms = ms;
    return true;
}

static int64_t floor_days(int64_t ms)
{
    return ms >= 0 ? ms / DAY_MS : -((-ms + DAY_MS - 1) / DAY_MS);
}

const char *moment_day(int64_t ms, char text[MOMENT_SIZE])
{
    int64_t year;
    unsigned month, day;
    civil_from_days(floor_days(ms), &year, &month, &day);
    snprintf(text, MOMENT_SIZE, "%04d-%02u-%02u", (int)year, month, day);
    return text;
}

const char *moment_text(int64_t ms, char text[MOMENT_SIZE])
{
    int64_t in_day = ms - floor_days(ms) * DAY_MS;
    char day[MOMENT_SIZE];
    snprintf(text, MOMENT_SIZE, "%.10sT%02d:%02d:%02d.%03dZ", moment_day(ms, day), (int)(in_day / 3600000),
             (int)(in_day / 60000 % 60), (int)(in_day / 1000 % 60), (int)(in_day % 1000));
    return text;
}
