/* Message ids: 128 bits. The high half is the key of the message's conversation (0: ephemeral), so a message leads to
 * its conversation and ids cluster in the journal; the low half is derived from what caused the message, the component
 * that emitted it and its place among that turn's outputs, so the same turn run again gives the same ids. Pure. */
#ifndef HOST_CORE_ID_H
#define HOST_CORE_ID_H

#include <cvm/cvm.h>

__extension__ typedef unsigned __int128 id_u128;

static inline uint64_t id_mix(uint64_t a, uint64_t b)
{
    id_u128 r = (id_u128)(a ^ 0xa0761d6478bd642fULL) * (b ^ 0xe7037ed1a0b428dbULL);
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

/* `salt` is the emitting component's; `ordinal` counts the outputs of the turn from 1. */
static inline cvm_id id_derive(cvm_id cause, uint64_t salt, uint32_t ordinal, uint64_t conversation)
{
    uint64_t lo = id_mix(id_mix(cause.lo ^ salt, cause.hi + ordinal), salt + ordinal * 0x9e3779b97f4a7c15ULL);
    return (cvm_id){conversation, lo ? lo : 1};
}

/* A turn's random bits: splitmix64 (Steele, Lea, Flood 2014), seeded by (message id, component). */
static inline uint64_t id_seed(cvm_id message, uint64_t salt)
{
    return id_mix(message.lo ^ salt, message.hi + 1);
}

static inline uint64_t id_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

uint64_t id_hash(const void *data, size_t len, uint64_t seed);
int64_t conversation_key(const char *name); /* positive, as SQLite integers are signed */
/* The key of a conversation that an input begins, larger than `last`, and its name. Keys of neighbours are neighbours,
 * so that their rows and index entries share pages: most of what a small commit writes are such pages. */
#define INPUT_KEY_MS_SHIFT 18
uint64_t input_key(uint64_t last, int64_t now_ms, uint64_t random);
void input_name(uint64_t key, char ret_name[40]);
void id_text(cvm_id id, char ret_text[40]);
int id_parse(const char *text, cvm_id *ret_id);
void id_bytes(cvm_id id, uint8_t ret_bytes[16]); /* as the store has them: the high byte first */
cvm_id id_of_bytes(const uint8_t bytes[16]);
/* Short ids: counter -> 48 bits, one to one, by four Feistel rounds keyed with the installation's key. */
uint64_t id_permute48(uint64_t counter, uint64_t key);

#endif
