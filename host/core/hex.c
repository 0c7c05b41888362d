/* Hexadecimal digits; see hex.h. */
#include "core/hex.h"

#include <openssl/evp.h>

void hex_text(const uint8_t *bytes, size_t n, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * n] = 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_read(const char *text, uint8_t *ret_bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = digit(text[2 * i]), low = high < 0 ? -1 : digit(text[2 * i + 1]);
        if (low < 0)
            return false;
        ret_bytes[i] = (uint8_t)(high * 16 + low);
    }
    return text[2 * n] == 0;
}

void hash_hex(const void *bytes, size_t size, char ret_hex[HASH_HEX_SIZE])
{
    uint8_t digest[32] = {0};
    EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL);
    hex_text(digest, sizeof digest, ret_hex);
}
