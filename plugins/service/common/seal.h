/* Hides a code of six digits on its way to the component that sends it: both know the secret OTP_KEY, the journal,
 * which stores the message between them, does not. Owns nothing; loop thread. */
#ifndef SERVICE_COMMON_SEAL_H
#define SERVICE_COMMON_SEAL_H

#include <cvm/cvm.h>
#include <stdio.h>

#define SEAL_CODE_SIZE 7    /* six digits and NUL */
#define SEAL_SEALED_SIZE 13 /* twelve hex digits and NUL */

static inline int seal__mask(cvm_turn *t, const char *key, const char *challenge, int64_t n, uint8_t ret_mask[32])
{
    char text[96];
    int len = snprintf(text, sizeof text, "seal|%.40s|%lld", challenge, (long long)n);
    return t->host->hmac_sha256(t, key, strlen(key), text, (size_t)len, ret_mask);
}

/* `challenge` and `n` (how often a code was sent for it) make each mask different. */
CVM_MUST_USE static inline int seal_code(cvm_turn *t, const char *key, const char *challenge, int64_t n,
                                         const char code[SEAL_CODE_SIZE], char ret_sealed[SEAL_SEALED_SIZE])
{
    uint8_t mask[32];
    CVM_TRY(seal__mask(t, key, challenge, n, mask));
    for (size_t i = 0; i < SEAL_CODE_SIZE - 1; i++)
        snprintf(ret_sealed + 2 * i, 3, "%02x", (unsigned)((uint8_t)code[i] ^ mask[i]));
    return CVM_OK;
}

/* CVM_EDATA: it was not sealed with this key. */
CVM_MUST_USE static inline int seal_open(cvm_turn *t, const char *key, const char *challenge, int64_t n,
                                         const char *sealed, char ret_code[SEAL_CODE_SIZE])
{
    uint8_t mask[32];
    CVM_TRY(seal__mask(t, key, challenge, n, mask));
    for (size_t i = 0; i < SEAL_CODE_SIZE - 1; i++) {
        unsigned byte;
        if (strlen(sealed) != SEAL_SEALED_SIZE - 1 || sscanf(sealed + 2 * i, "%2x", &byte) != 1)
            return CVM_EDATA;
        ret_code[i] = (char)(byte ^ mask[i]);
        if (ret_code[i] < '0' || ret_code[i] > '9')
            return CVM_EDATA;
    }
    ret_code[SEAL_CODE_SIZE - 1] = '\0';
    return CVM_OK;
}

#endif
