/* What several plugins do with texts. Pure; any thread. */
#ifndef PLUGINS_COMMON_TEXT_H
#define PLUGINS_COMMON_TEXT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT_TIME_SIZE 40

/* `n` digits of `value`, behind them `end`. Gives what is behind that. */
static inline char *text_digits(char *to, uint32_t value, int n, char end)
{
    for (int i = n; i-- > 0; value /= 10)
        to[i] = (char)('0' + value % 10);
    to[n] = end;
    return to + n + 1;
}

/* "2026-11-20T09:34:02.117Z"; gives `ret_text`. Made by hand, since rows and messages are full of them; a time that is
 * not between 1970 and 9999 is shown as one of the two. */
static inline const char *text_of_time(int64_t at_ms, char ret_text[TEXT_TIME_SIZE])
{
    const int64_t last = INT64_C(253402300799999);
    uint64_t ms = (uint64_t)(at_ms < 0 ? 0 : at_ms > last ? last : at_ms);
    uint32_t of_day = (uint32_t)(ms / 1000 % 86400);
    /* Of years that begin in March, so that the day that not every year has is its last; 400 of them are an era. */
    uint32_t days = (uint32_t)(ms / 86400000) + 719468, era = days / 146097, in_era = days % 146097;
    uint32_t of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    uint32_t in_year = in_era - (365 * of_era + of_era / 4 - of_era / 100), from_march = (5 * in_year + 2) / 153;
    uint32_t month = from_march < 10 ? from_march + 3 : from_march - 9;
    char *at = text_digits(ret_text, era * 400 + of_era + (month <= 2), 4, '-');
    at = text_digits(at, month, 2, '-');
    at = text_digits(at, in_year - (153 * from_march + 2) / 5 + 1, 2, 'T');
    at = text_digits(at, of_day / 3600, 2, ':');
    at = text_digits(at, of_day / 60 % 60, 2, ':');
    at = text_digits(at, of_day % 60, 2, '.');
    *text_digits(at, (uint32_t)(ms % 1000), 3, 'Z') = '\0';
    return ret_text;
}

/* How many bytes of a text there are, at the most `max`, without a part of a character at their end. For "%.*s". */
static inline int text_cut(const char *text, size_t max)
{
    size_t n = strnlen(text, max + 1);
    if (n > max)
        for (n = max; n && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    return (int)n;
}

/* What is behind the first `n` characters of a text. */
static inline const char *text_behind(const char *text, size_t n)
{
    size_t bytes = strnlen(text, n); /* as many characters at most */
    if (!text[bytes])
        return text + bytes;
    for (; *text; text++)
        if (((unsigned char)*text & 0xc0) != 0x80 && n-- == 0)
            break;
    return text;
}

/* "k/name" for a state key; what has no room is cut off. Gives `ret_key`. */
static inline char *text_key(char kind, const char *name, char *ret_key, size_t size)
{
    size_t n = strnlen(name, size - 3);
    ret_key[0] = kind;
    ret_key[1] = '/';
    memcpy(ret_key + 2, name, n);
    ret_key[n + 2] = '\0';
    return ret_key;
}

/* Takes away a character at the end of a text that was cut within it. */
static inline void text_whole(char *text)
{
    size_t len = strlen(text), n = 0;
    while (n < 3 && n < len && ((unsigned char)text[len - 1 - n] & 0xc0) == 0x80)
        n++;
    unsigned char first = n < len ? (unsigned char)text[len - 1 - n] : 0;
    size_t wanted = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
    if (first >= 0xc0 && n < wanted)
        text[len - 1 - n] = 0;
}

#endif
