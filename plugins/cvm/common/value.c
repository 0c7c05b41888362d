/* See value.h. */
#include "value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define DAY_MS INT64_C(86400000)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void value_trim(const char **text, size_t *len)
{
    while (*len && is_blank(**text)) {
        (*text)++;
        (*len)--;
    }
    while (*len && is_blank((*text)[*len - 1]))
        (*len)--;
}

/* The length of the character at `s`, 0: it is none. */
static size_t character(const unsigned char *s, size_t len)
{
    static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = *s < 0x80 ? 1 : (*s & 0xe0) == 0xc0 ? 2 : (*s & 0xf0) == 0xe0 ? 3 : (*s & 0xf8) == 0xf0 ? 4 : 0;
    if (n <= 1 || n > len)
        return n > len ? 0 : n;
    unsigned point = *s & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (s[i] & 0x3f);
    }
    return point < least[n] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000) ? 0 : n;
}

bool value_is_text(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text, *end = s + len;
    while (s < end) {
        size_t n = 1;
        if (*s >= 0x80)
            n = character(s, (size_t)(end - s));
        else if ((*s < 0x20 && !is_blank((char)*s)) || *s == 0x7f)
            return false;
        if (!n)
            return false;
        s += n;
    }
    return true;
}

bool value_is_id(const char *text, size_t len)
{
    if (len == 0 || len > VALUE_ID_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            return false;
    return value_is_text(text, len);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

/* A decimal number taken apart: digits x 10^-places. */
struct decimal {
    bool negative;
    int64_t digits;
    int places;
};

/* False: no such number, or more than 18 digits. */
static bool read_decimal(const char *s, size_t len, struct decimal *ret)
{
    struct decimal d = {0};
    const char *end = s + len;
    bool any = false, point = false;
    if (s < end && (*s == '-' || *s == '+'))
        d.negative = *s++ == '-';
    for (; s < end; s++) {
        if (*s == '.' && !point) {
            point = true;
            continue;
        }
        if (*s < '0' || *s > '9' || d.digits > INT64_C(99999999999999999))
            return false;
        d.digits = d.digits * 10 + (*s - '0');
        d.places += point;
        any = true;
    }
    *ret = d;
    return any;
}

bool value_int(const char *text, size_t len, int64_t *ret_value)
{
    double r;
    struct decimal d;
    value_trim(&text, &len);
    if (read_decimal(text, len, &d) && !d.places) {
        *ret_value = d.negative ? -d.digits : d.digits;
        return true;
    }
    if (!value_real(text, len, &r) || r != floor(r) || fabs(r) > 9e15) /* "12.0" is a whole number too */
        return false;
    *ret_value = (int64_t)r;
    return true;
}

bool value_real(const char *text, size_t len, double *ret_value)
{
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11};
    struct decimal d;
    char copy[64], *stop;
    value_trim(&text, &len);
    if (read_decimal(text, len, &d) && d.places <= 11 && d.digits < INT64_C(1) << 53) {
        *ret_value = (d.negative ? -1 : 1) * (double)d.digits / powers[d.places]; /* both exact: as strtod has it */
        return true;
    }
    if (len == 0 || len >= sizeof copy || !strchr("+-.0123456789", *text))
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    if (strpbrk(copy, "xXnNpP")) /* no hexadecimal, nan, inf */
        return false;
    double r = strtod(copy, &stop);
    if (stop != copy + len || !isfinite(r))
        return false;
    *ret_value = r;
    return true;
}

bool value_scaled(const char *text, size_t len, int64_t scale, int64_t *ret_value)
{
    struct decimal d;
    double r;
    value_trim(&text, &len);
    if (read_decimal(text, len, &d) && scale > 0 && d.digits < INT64_MAX / 2 / scale) {
        int64_t n = d.digits * scale, unit = 1;
        for (int i = 0; i < d.places; i++)
            unit *= 10;
        n = n / unit + (n % unit * 2 >= unit);
        *ret_value = d.negative ? -n : n;
        return true;
    }
    if (!value_real(text, len, &r) || fabs(r * (double)scale) > 9e15)
        return false;
    *ret_value = (int64_t)llround(r * (double)scale);
    return true;
}

bool value_bool(const char *text, size_t len, bool *ret_value)
{
    static const char *const words[] = {"1", "yes", "true", "y", "t", "0", "no", "false", "n", "f"};
    value_trim(&text, &len);
    for (size_t i = 0; i < 10; i++)
        if (strlen(words[i]) == len && strncasecmp(words[i], text, len) == 0) {
            *ret_value = i < 5;
            return true;
        }
    return false;
}

/* ---- dates ------------------------------------------------------------------------------------------------------- */

/* Days since 1970-01-01 of the civil calendar. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct civil {
    int y, m, d;
};

static struct civil civil_of(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, m = mp < 10 ? mp + 3 : mp - 9;
    return (struct civil){(int)(yoe + era * 400 + (m <= 2)), (int)m, (int)(doy - (153 * mp + 2) / 5 + 1)};
}

static bool is_day(struct civil c)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = c.y % 4 == 0 && (c.y % 100 != 0 || c.y % 400 == 0);
    return c.y >= 1900 && c.y <= 2999 && c.m >= 1 && c.m <= 12 && c.d >= 1 && c.d <= days[c.m - 1] + (c.m == 2 && leap);
}

/* `n` digits, -1: they are none. */
static int digits(const char *s, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        value = value * 10 + (s[i] - '0');
    }
    return value;
}

/* The ten bytes of a date. */
static bool read_date(const char *s, struct civil *ret)
{
    bool iso = (s[4] == '-' || s[4] == '/') && s[7] == s[4], ours = (s[2] == '/' || s[2] == '.') && s[5] == s[2];
    if (!iso && !ours)
        return false;
    struct civil c = iso ? (struct civil){digits(s, 4), digits(s + 5, 2), digits(s + 8, 2)}
                         : (struct civil){digits(s + 6, 4), digits(s + 3, 2), digits(s, 2)};
    *ret = c;
    return is_day(c);
}

static void put_number(char *s, int n, int value)
{
    for (; n--; value /= 10)
        s[n] = (char)('0' + value % 10);
}

static void put_date(struct civil c, char ret_date[VALUE_DATE_SIZE])
{
    memcpy(ret_date, "0000-00-00", VALUE_DATE_SIZE);
    put_number(ret_date, 4, c.y);
    put_number(ret_date + 5, 2, c.m);
    put_number(ret_date + 8, 2, c.d);
}

/* The zone at the end, in minutes; INT_MIN: there is something else. */
static int zone(const char *s, size_t len)
{
    if (len == 0 || (len == 1 && (*s == 'Z' || *s == 'z')))
        return 0;
    if ((len != 6 && len != 5) || (*s != '+' && *s != '-') || (len == 6 && s[3] != ':'))
        return INT32_MIN;
    int h = digits(s + 1, 2), m = digits(s + len - 2, 2);
    return h < 0 || h > 14 || m < 0 || m > 59 ? INT32_MIN : (*s == '-' ? -1 : 1) * (h * 60 + m);
}

/* What follows the date, in milliseconds of that day (UTC: less the zone); INT64_MIN: it is no time. */
static int64_t read_clock(const char *s, size_t len)
{
    if (len == 0)
        return 0;
    if (len < 6 || (*s != 'T' && *s != 't' && *s != ' ') || s[3] != ':')
        return INT64_MIN;
    int h = digits(s + 1, 2), m = digits(s + 4, 2), sec = 0;
    size_t at = 6;
    if (len >= 9 && s[6] == ':') {
        sec = digits(s + 7, 2);
        at = 9;
        if (at < len && s[at] == '.')
            for (at++; at < len && s[at] >= '0' && s[at] <= '9'; at++)
                ;
    }
    int minutes = zone(s + at, len - at);
    if (h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 60 || minutes == INT32_MIN)
        return INT64_MIN;
    return ((int64_t)(h * 60 + m - minutes) * 60 + (sec > 59 ? 59 : sec)) * 1000;
}

static bool read_time(const char *text, size_t len, int64_t *ret_ms)
{
    struct civil c;
    value_trim(&text, &len);
    if (len < 10 || !read_date(text, &c))
        return false;
    int64_t clock = read_clock(text + 10, len - 10);
    if (clock == INT64_MIN)
        return false;
    *ret_ms = days_of(c.y, c.m, c.d) * DAY_MS + clock;
    return true;
}

static int64_t day_of(int64_t ms)
{
    return ms >= 0 ? ms / DAY_MS : -((DAY_MS - 1 - ms) / DAY_MS);
}

bool value_date(const char *text, size_t len, char ret_date[VALUE_DATE_SIZE])
{
    int64_t ms;
    if (!read_time(text, len, &ms))
        return false;
    value_date_of(ms, ret_date);
    return true;
}

bool value_month(const char *text, size_t len, char ret_month[8])
{
    char date[VALUE_DATE_SIZE];
    value_trim(&text, &len);
    if (len == 7 && (text[4] == '-' || text[4] == '/')) {
        struct civil c = {digits(text, 4), digits(text + 5, 2), 1};
        if (!is_day(c))
            return false;
        put_date(c, date);
    } else if (!value_date(text, len, date))
        return false;
    memcpy(ret_month, date, 7);
    ret_month[7] = 0;
    return true;
}

bool value_time(const char *text, size_t len, char ret_time[VALUE_TIME_SIZE], int64_t *ret_ms)
{
    int64_t ms;
    if (!read_time(text, len, &ms))
        return false;
    int second = (int)((ms - day_of(ms) * DAY_MS) / 1000);
    put_date(civil_of(day_of(ms)), ret_time);
    memcpy(ret_time + 10, "T00:00:00Z", 11);
    put_number(ret_time + 11, 2, second / 3600);
    put_number(ret_time + 14, 2, second / 60 % 60);
    put_number(ret_time + 17, 2, second % 60);
    *ret_ms = ms;
    return true;
}

int64_t value_ms(const char *text)
{
    char month[8], whole[VALUE_DATE_SIZE];
    int64_t ms;
    if (!text)
        return INT64_MIN;
    size_t len = strlen(text);
    if (len == 7 && value_month(text, len, month)) {
        memcpy(whole, month, 7);
        memcpy(whole + 7, "-01", 4);
        return read_time(whole, 10, &ms) ? ms : INT64_MIN;
    }
    return read_time(text, len, &ms) ? ms : INT64_MIN;
}

void value_date_of(int64_t ms, char ret_date[VALUE_DATE_SIZE])
{
    put_date(civil_of(day_of(ms)), ret_date);
}
