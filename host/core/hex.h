/* Bytes as hexadecimal digits, and the digests that name builds and configurations. Pure; any thread. */
#ifndef HOST_CORE_HEX_H
#define HOST_CORE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_HEX_SIZE 65

void hex_text(const uint8_t *bytes, size_t n, char *ret_text); /* 2 * n lower case digits and NUL */
/* Exactly 2 * n digits of either case; what is written on failure means nothing. */
bool hex_read(const char *text, uint8_t *ret_bytes, size_t n);
/* SHA-256. */
void hash_hex(const void *bytes, size_t size, char ret_hex[HASH_HEX_SIZE]);

#endif
