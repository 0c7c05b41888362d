/* What several plugins do with texts. Pure; any thread. */
#ifndef PLUGINS_COMMON_TEXT_H
#define PLUGINS_COMMON_TEXT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT_TIME_SIZE 40

/* "2026-11-20T09:34:02.117Z"; gives `ret_text`. */
static inline const char *text_of_time(int64_t at_ms, char ret_text[TEXT_TIME_SIZE])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret_text, TEXT_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_text + n, TEXT_TIME_SIZE - n, ".%03dZ", (int)(at_ms % 1000));
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
