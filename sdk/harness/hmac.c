/* HMAC with SHA-256 and SHA-512 (FIPS 180-4, RFC 2104) for tests of plugins that check signatures, so that the harness
 * needs no library for them. The host uses its own. Pure; any thread. */
#include "hmac.h"

#include <string.h>

#define BLOCK_MAX 128

/* The first 64 bits of the fractions of the cube roots of the first 80 primes; SHA-256 has the upper halves. */
static const uint64_t k[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc, 0x3956c25bf348b538,
    0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118, 0xd807aa98a3030242, 0x12835b0145706fbe,
    0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2, 0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235,
    0xc19bf174cf692694, 0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5, 0x983e5152ee66dfab,
    0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4, 0xc6e00bf33da88fc2, 0xd5a79147930aa725,
    0x06ca6351e003826f, 0x142929670a0e6e70, 0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed,
    0x53380d139d95b3df, 0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30, 0xd192e819d6ef5218,
    0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8, 0x19a4c116b8d2d0c8, 0x1e376c085141ab53,
    0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8, 0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373,
    0x682e6ff3d6b2b8a3, 0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b, 0xca273eceea26619c,
    0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178, 0x06f067aa72176fba, 0x0a637dc5a2c898a6,
    0x113f9804bef90dae, 0x1b710b35131c471b, 0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc,
    0x431d67c49c100d4c, 0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817,
};

/* The same of the square roots of the first 8. */
static const uint64_t h0[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

struct sha {
    bool wide; /* SHA-512 */
    uint64_t h[8], bytes;
    uint8_t block[BLOCK_MAX];
};

static uint64_t turned(bool wide, uint64_t x, int n)
{
    return wide ? x >> n | x << (64 - n) : (x >> n | x << (32 - n)) & UINT32_MAX;
}

/* Two turns and a third, or a shift, joined: both digests differ in the distances alone. */
static uint64_t mixed(bool wide, uint64_t x, const int by[3], bool shift)
{
    return turned(wide, x, by[0]) ^ turned(wide, x, by[1]) ^ (shift ? x >> by[2] : turned(wide, x, by[2]));
}

static void compress(struct sha *s)
{
    static const int by[2][4][3] = {{{7, 18, 3}, {17, 19, 10}, {6, 11, 25}, {2, 13, 22}},
                                    {{1, 8, 7}, {19, 61, 6}, {14, 18, 41}, {28, 34, 39}}};
    const bool wide = s->wide;
    const int(*d)[3] = by[wide];
    const int rounds = wide ? 80 : 64, size = wide ? 8 : 4;
    const uint64_t mask = wide ? UINT64_MAX : UINT32_MAX;
    uint64_t w[80] = {0}, v[8];
    for (int i = 0; i < 16 * size; i++)
        w[i / size] = w[i / size] << 8 | s->block[i];
    for (int i = 16; i < rounds; i++)
        w[i] = (mixed(wide, w[i - 2], d[1], true) + w[i - 7] + mixed(wide, w[i - 15], d[0], true) + w[i - 16]) & mask;
    memcpy(v, s->h, sizeof v);
    for (int i = 0; i < rounds; i++) {
        uint64_t key = wide ? k[i] : k[i] >> 32;
        uint64_t a = v[7] + mixed(wide, v[4], d[2], false) + ((v[4] & v[5]) ^ (~v[4] & v[6])) + key + w[i];
        uint64_t b = mixed(wide, v[0], d[3], false) + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] = (v[4] + a) & mask;
        v[0] = (a + b) & mask;
    }
    for (int i = 0; i < 8; i++)
        s->h[i] = (s->h[i] + v[i]) & mask;
}

static void begin(struct sha *s, bool wide)
{
    *s = (struct sha){.wide = wide};
    for (int i = 0; i < 8; i++)
        s->h[i] = wide ? h0[i] : h0[i] >> 32;
}

static void add(struct sha *s, const uint8_t *data, size_t len)
{
    const size_t block = s->wide ? 128 : 64;
    for (size_t i = 0; i < len; i++) {
        s->block[s->bytes++ % block] = data[i];
        if (s->bytes % block == 0)
            compress(s);
    }
}

static size_t end(struct sha *s, uint8_t ret_digest[64])
{
    const size_t block = s->wide ? 128 : 64, size = s->wide ? 8 : 4;
    const uint64_t bits = s->bytes * 8;
    uint8_t length[8];
    add(s, (const uint8_t[]){0x80}, 1);
    while (s->bytes % block != block - 8)
        add(s, (const uint8_t[]){0}, 1);
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    add(s, length, 8);
    for (size_t i = 0; i < 8 * size; i++)
        ret_digest[i] = (uint8_t)(s->h[i / size] >> (8 * (size - 1 - i % size)));
    return 8 * size;
}

size_t harness__hmac(bool wide, const void *key, size_t key_len, const void *data, size_t len, uint8_t ret_mac[64])
{
    const size_t block = wide ? 128 : 64;
    uint8_t pad[BLOCK_MAX] = {0}, inner[64];
    struct sha s;
    begin(&s, wide);
    if (key_len > block) {
        add(&s, key, key_len);
        end(&s, pad);
    } else {
        memcpy(pad, key, key_len);
    }
    for (size_t i = 0; i < block; i++)
        pad[i] ^= 0x36;
    begin(&s, wide);
    add(&s, pad, block);
    add(&s, data, len);
    size_t n = end(&s, inner);
    for (size_t i = 0; i < block; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    begin(&s, wide);
    add(&s, pad, block);
    add(&s, inner, n);
    return end(&s, ret_mac);
}
