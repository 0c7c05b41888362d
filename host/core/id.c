/* Message ids and conversation keys as text, and the permutation behind short ids. */
#include "core/id.h"

#include <stdio.h>
#include <string.h>

uint64_t id_hash(const void *data, size_t len, uint64_t seed)
{
    const uint8_t *p = data;
    uint64_t h = id_mix(seed, len);
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        h = id_mix(h ^ v, 0x8ebc6af09c88c6e3ULL);
    }
    uint64_t v = 0;
    if (len) /* data may be NULL where there is none */
        memcpy(&v, p, len);
    return id_mix(h ^ v, 0x589965cc75374cc3ULL);
}

/* "IN-" and 60 bits. Names with 64 bits have a key like any other: that of an input with an idempotency key, and what
 * earlier versions made. */
#define INPUT_NAME_DIGITS 15
#define INPUT_KEY_MAX ((UINT64_C(1) << (4 * INPUT_NAME_DIGITS)) - 1)

uint64_t input_key(uint64_t last, int64_t now_ms, uint64_t random)
{
    uint64_t first = (uint64_t)now_ms << INPUT_KEY_MS_SHIFT & INPUT_KEY_MAX;
    return first > last ? first + 1 + (random & 0xffff) : last + 1 + (random & 7);
}

void input_name(uint64_t key, char ret_name[40])
{
    snprintf(ret_name, 40, "IN-%0*llx", INPUT_NAME_DIGITS, (unsigned long long)key);
}

/* The key that such a name holds; 0: it is another's. */
static uint64_t key_of_input(const char *name)
{
    uint64_t key = 0;
    if (strncmp(name, "IN-", 3) != 0 || strspn(name + 3, "0123456789abcdef") != INPUT_NAME_DIGITS ||
        name[3 + INPUT_NAME_DIGITS])
        return 0;
    for (const char *at = name + 3; *at; at++)
        key = key << 4 | (uint64_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
    return key;
}

int64_t conversation_key(const char *name)
{
    uint64_t input = key_of_input(name);
    if (input)
        return (int64_t)input;
    uint64_t h = id_hash(name, strlen(name), 0x636f6e76ULL) & INT64_MAX; /* SQLite integers are signed */
    return h ? (int64_t)h : 1;
}

void id_text(cvm_id id, char ret_text[40])
{
    static const char hex[] = "0123456789abcdef";
    memcpy(ret_text, "MSG-", 4);
    for (int i = 0; i < 16; i++) {
        ret_text[4 + i] = hex[id.hi >> (60 - 4 * i) & 15];
        ret_text[20 + i] = hex[id.lo >> (60 - 4 * i) & 15];
    }
    ret_text[36] = 0;
}

int id_parse(const char *text, cvm_id *ret_id)
{
    uint64_t half[2] = {0, 0};
    if (strncmp(text, "MSG-", 4) != 0 || strlen(text) != 36)
        return CVM_EINVAL;
    for (int i = 0; i < 32; i++) {
        char c = text[4 + i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else
            return CVM_EINVAL;
        half[i / 16] = half[i / 16] << 4 | digit;
    }
    *ret_id = (cvm_id){half[0], half[1]};
    return 0;
}

void id_bytes(cvm_id id, uint8_t ret_bytes[16])
{
    for (int i = 0; i < 8; i++) {
        ret_bytes[i] = (uint8_t)(id.hi >> (56 - 8 * i));
        ret_bytes[8 + i] = (uint8_t)(id.lo >> (56 - 8 * i));
    }
}

cvm_id id_of_bytes(const uint8_t bytes[16])
{
    cvm_id id = {0, 0};
    for (int i = 0; i < 8; i++) {
        id.hi = id.hi << 8 | bytes[i];
        id.lo = id.lo << 8 | bytes[8 + i];
    }
    return id;
}

uint64_t id_permute48(uint64_t counter, uint64_t key)
{
    uint32_t left = (uint32_t)(counter >> 24) & 0xffffff, right = (uint32_t)counter & 0xffffff;
    for (uint64_t round = 0; round < 4; round++) {
        uint32_t f = (uint32_t)id_mix(key + round, right) & 0xffffff;
        uint32_t next = left ^ f;
        left = right;
        right = next;
    }
    return (uint64_t)left << 24 | right;
}
