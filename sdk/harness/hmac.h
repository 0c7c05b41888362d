/* See hmac.c. */
#ifndef CVM_HARNESS_HMAC_H
#define CVM_HARNESS_HMAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* With SHA-512 or, when not `wide`, SHA-256. Returns the length, 64 or 32. */
size_t harness__hmac(bool wide, const void *key, size_t key_len, const void *data, size_t len, uint8_t ret_mac[64]);

#endif
