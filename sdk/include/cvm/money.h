/* Money is an integer number of minor units (cents, pence) with its currency beside it, never floating point.
 * JSON at the edges shows major units with two decimals; the owner of a field converts once, here. */
#ifndef CVM_MONEY_H
#define CVM_MONEY_H

#include <cvm/cvm.h>
#include <math.h>
#include <stdio.h>

#define CVM_MONEY_MAX_MINOR (INT64_C(100000000000000)) /* 10^12 major units */

/* Reads a number or a decimal string of major units. A number is rounded to the nearest minor unit and refused when
 * it has more than two decimals; a string is read digit by digit. CVM_EINVAL: neither, malformed or too many
 * decimals; CVM_ELIMIT: beyond 10^12 major units. *ret_minor is untouched on failure. Any thread. */
CVM_MUST_USE static inline int cvm_money_from_json(const json_t *value, int64_t *ret_minor)
{
    if (json_is_integer(value)) {
        json_int_t v = json_integer_value(value);
        if (v > CVM_MONEY_MAX_MINOR / 100 || v < -(CVM_MONEY_MAX_MINOR / 100))
            return CVM_ELIMIT;
        *ret_minor = (int64_t)v * 100;
        return CVM_OK;
    }
    if (json_is_real(value)) {
        double v = json_real_value(value);
        if (!(fabs(v) <= 1e12))
            return CVM_ELIMIT;
        double minor = nearbyint(v * 100);
        if (fabs(v * 100 - minor) > 1e-6 * fmax(1, fabs(v)))
            return CVM_EINVAL;
        *ret_minor = (int64_t)minor;
        return CVM_OK;
    }
    if (!json_is_string(value))
        return CVM_EINVAL;
    const char *s = json_string_value(value);
    bool negative = *s == '-';
    if (negative)
        s++;
    int64_t minor = 0;
    int digits = 0, decimals = -1;
    for (; *s; s++) {
        if (*s == '.' && decimals < 0 && digits) {
            decimals = 0;
            continue;
        }
        if (*s < '0' || *s > '9' || decimals == 2)
            return CVM_EINVAL;
        minor = minor * 10 + (*s - '0');
        digits++;
        if (decimals >= 0)
            decimals++;
        if (minor > CVM_MONEY_MAX_MINOR)
            return CVM_ELIMIT;
    }
    if (!digits || decimals == 0)
        return CVM_EINVAL;
    for (int d = decimals < 0 ? 0 : decimals; d < 2; d++)
        minor *= 10;
    if (minor > CVM_MONEY_MAX_MINOR)
        return CVM_ELIMIT;
    *ret_minor = negative ? -minor : minor;
    return CVM_OK;
}

/* Major units as a JSON number, for the edges: 12345 is 123.45. Gives a new value. Any thread. */
static inline json_t *cvm_money_to_json(int64_t minor)
{
    return json_real((double)minor / 100.0);
}

/* Major units for people: "1,234,567.50" into buf (`size` at least 32 bytes). Returns buf. Any thread. */
static inline const char *cvm_money_text(int64_t minor, char *buf, size_t size)
{
    char digits[24];
    uint64_t v = minor < 0 ? (uint64_t)-minor : (uint64_t)minor;
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)(v / 100));
    size_t at = 0;
    if (minor < 0 && at + 1 < size)
        buf[at++] = '-';
    for (int i = 0; i < n && at + 5 < size; i++) {
        if (i && (n - i) % 3 == 0)
            buf[at++] = ',';
        buf[at++] = digits[i];
    }
    snprintf(buf + at, size - at, ".%02u", (unsigned)(v % 100));
    return buf;
}

#endif
