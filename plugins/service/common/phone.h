/* Nigerian phone numbers: reads what people type, gives E.164 and the local form. Pure; owns nothing; any thread. */
#ifndef SERVICE_COMMON_PHONE_H
#define SERVICE_COMMON_PHONE_H

#include <cvm/cvm.h>
#include <stdio.h>

#define PHONE_SIZE 16 /* "+2348012345678" and NUL */

/* Blanks, hyphens and parentheses are dropped, "+2340803.." is read as "+234803.."; then the number must match
 * ^(\+?234|0)[789]\d{9}$. Writes E.164 to ret_e164. CVM_EINVAL: it does not match. */
CVM_MUST_USE static inline int phone_normalise(const char *text, char ret_e164[PHONE_SIZE])
{
    char digits[24];
    size_t n = 0;
    bool plus = false;
    for (const char *p = text; *p; p++) {
        if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r' || *p == '-' || *p == '(' || *p == ')')
            continue;
        if (*p == '+' && n == 0 && !plus) {
            plus = true;
            continue;
        }
        if (*p < '0' || *p > '9' || n == sizeof digits - 1)
            return CVM_EINVAL;
        digits[n++] = *p;
    }
    digits[n] = '\0';
    const char *national;
    if (n == 14 && strncmp(digits, "2340", 4) == 0)
        national = digits + 4;
    else if (n == 13 && strncmp(digits, "234", 3) == 0)
        national = digits + 3;
    else if (n == 11 && digits[0] == '0' && !plus)
        national = digits + 1;
    else
        return CVM_EINVAL;
    if (national[0] < '7')
        return CVM_EINVAL;
    snprintf(ret_e164, PHONE_SIZE, "+234%.10s", national);
    return CVM_OK;
}

/* "08012345678" of "+2348012345678"; what is no Nigerian E.164 number is copied as it is. Returns buf. */
static inline const char *phone_local(const char *e164, char buf[PHONE_SIZE])
{
    if (strncmp(e164, "+234", 4) == 0)
        snprintf(buf, PHONE_SIZE, "0%.10s", e164 + 4);
    else
        snprintf(buf, PHONE_SIZE, "%.15s", e164);
    return buf;
}

/* Whether the number lies in a mobile range in use: 070, 080, 081, 090, 091. Takes E.164. */
static inline bool phone_range_in_use(const char *e164)
{
    const char *p = e164 + 4;
    return (p[0] == '7' && p[1] == '0') || ((p[0] == '8' || p[0] == '9') && (p[1] == '0' || p[1] == '1'));
}

#endif
