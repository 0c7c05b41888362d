/* Base64 as HTTP hands over the bytes of a request and as vendors write signatures. Pure; any thread. */
#ifndef PROVIDER_COMMON_ENCODING_H
#define PROVIDER_COMMON_ENCODING_H

#include <cvm/cvm.h>
#include <stdlib.h>

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

/* Writes BASE64_SIZE(len) bytes. */
static inline void base64_write(const uint8_t *data, size_t len, char *ret_text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = ret_text;
    for (size_t i = 0; i < len; i += 3) {
        const uint32_t bits = (uint32_t)data[i] << 16 | (uint32_t)(i + 1 < len ? data[i + 1] : 0) << 8 |
                              (uint32_t)(i + 2 < len ? data[i + 2] : 0);
        *at++ = digits[bits >> 18];
        *at++ = digits[bits >> 12 & 63];
        *at++ = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        *at++ = i + 2 < len ? digits[bits & 63] : '=';
    }
    *at = '\0';
}

/* Gives the bytes, with a NUL after them (free()); NULL: it is no base64, or there is no memory. */
static inline char *base64_read(const char *text, size_t *ret_len)
{
    const size_t len = strlen(text);
    char *data = len % 4 ? NULL : (char *)malloc(len / 4 * 3 + 1);
    size_t n = 0, padding = 0;
    uint32_t bits = 0;
    for (size_t i = 0; data && i < len; i++) {
        const char c = text[i];
        const int digit = c >= 'A' && c <= 'Z'   ? c - 'A'
                          : c >= 'a' && c <= 'z' ? c - 'a' + 26
                          : c >= '0' && c <= '9' ? c - '0' + 52
                          : c == '+'             ? 62
                          : c == '/'             ? 63
                                                 : -1;
        if (digit < 0 && c == '=' && i + 2 >= len) {
            padding++;
        } else if (digit < 0 || padding) {
            free(data);
            return NULL;
        }
        bits = bits << 6 | (uint32_t)(digit < 0 ? 0 : digit);
        if (i % 4 != 3)
            continue;
        for (size_t b = 0; b < 3 - padding; b++)
            data[n++] = (char)(bits >> (16 - 8 * b));
        bits = 0;
    }
    if (data) {
        data[n] = '\0';
        *ret_len = n;
    }
    return data;
}

#endif
