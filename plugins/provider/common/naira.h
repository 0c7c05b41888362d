/* Naira as vendors write them, whole or with decimals, number or text, from and to kobo. Digit by digit, never through
 * a double. Pure; any thread. */
#ifndef PROVIDER_COMMON_NAIRA_H
#define PROVIDER_COMMON_NAIRA_H

#include <cvm/money.h>

#include <inttypes.h>

/* "5000", "5000.5", "5000.00", "5000.000"; nothing below a kobo. CVM_EINVAL, CVM_ELIMIT: *ret_kobo is untouched. */
CVM_MUST_USE static inline int naira_read_text(const char *text, int64_t *ret_kobo)
{
    const bool negative = *text == '-';
    int64_t kobo = 0;
    int digits = 0, decimals = -1;
    for (const char *c = text + negative; *c; c++) {
        if (*c == '.' && decimals < 0 && digits) {
            decimals = 0;
            continue;
        }
        if (*c < '0' || *c > '9')
            return CVM_EINVAL;
        digits++;
        if (decimals >= 0 && ++decimals > 2) {
            if (*c != '0' || decimals > 30)
                return CVM_EINVAL;
            continue;
        }
        kobo = kobo * 10 + (*c - '0');
        if (kobo > CVM_MONEY_MAX_MINOR)
            return CVM_ELIMIT;
    }
    if (!digits || decimals == 0)
        return CVM_EINVAL;
    for (int d = decimals < 0 ? 0 : decimals; d < 2; d++)
        kobo *= 10;
    if (kobo > CVM_MONEY_MAX_MINOR)
        return CVM_ELIMIT;
    *ret_kobo = negative ? -kobo : kobo;
    return CVM_OK;
}

/* A whole number or a text; calls that are declared "exact" have decimals as text. Same errors. */
CVM_MUST_USE static inline int naira_read(const json_t *value, int64_t *ret_kobo)
{
    if (json_is_string(value))
        return naira_read_text(json_string_value(value), ret_kobo);
    if (!json_is_integer(value))
        return CVM_EINVAL;
    const json_int_t naira = json_integer_value(value);
    if (naira > CVM_MONEY_MAX_MINOR / 100 || naira < -CVM_MONEY_MAX_MINOR / 100)
        return CVM_ELIMIT;
    *ret_kobo = (int64_t)naira * 100;
    return CVM_OK;
}

/* Whole naira as a number, else a decimal string. Gives. */
static inline json_t *naira_write(int64_t kobo)
{
    char text[32];
    if (kobo % 100 == 0)
        return json_integer(kobo / 100);
    snprintf(text, sizeof text, "%" PRId64 ".%02d", kobo / 100, (int)(kobo % 100));
    return json_string(text);
}

#endif
