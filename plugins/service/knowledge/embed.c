/* See embed.h. */
#include "embed.h"

#include <math.h>
#include <stdio.h>

static uint32_t hash_begin(uint32_t seed)
{
    return 2166136261U ^ seed * 2654435761U;
}

static uint32_t hash_on(uint32_t h, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619U;
    return h;
}

static uint32_t hash_end(uint32_t h)
{
    h ^= h >> 15;
    h *= 2246822519U;
    return h ^ h >> 13;
}

static uint32_t hash(const char *text, size_t n, uint32_t seed)
{
    return hash_end(hash_on(hash_begin(seed), text, n));
}

/* Of the two with a blank between them. */
static uint32_t hash_pair(const char *a, const char *b, uint32_t seed)
{
    uint32_t h = hash_on(hash_begin(seed), a, strlen(a));
    return hash_end(hash_on(hash_on(h, " ", 1), b, strlen(b)));
}

static void add(float *v, uint32_t h, float weight)
{
    v[h % EMBED_DIMENSION] += h >> 31 ? weight : -weight;
}

/* Parts of a word of three and four letters, so that a misspelt one is near. */
static void add_letters(float *v, const char *word, float weight)
{
    char padded[TEXT_WORD_SIZE + 2];
    size_t n = strlen(word) + 2;
    padded[0] = '^';
    memcpy(padded + 1, word, n - 2);
    padded[n - 1] = '$';
    for (size_t len = 3; len <= 4; len++)
        for (size_t i = 0; i + len <= n; i++)
            add(v, hash(padded + i, len, 3), weight / (float)n);
}

/* False: they have nothing that counts. */
static bool vector_of(const struct text_word *words, size_t n, float v[EMBED_DIMENSION])
{
    const struct text_word *before = NULL;
    double sum = 0;
    memset(v, 0, EMBED_DIMENSION * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        const struct text_word *w = &words[i];
        for (size_t k = 0; k < TEXT_OF_WORD_MAX && w->classes[k] >= 0; k++) {
            char class[16];
            text_class_word(w->classes[k], class);
            add(v, hash(class, strlen(class), 2), 0.8f);
        }
        if (w->common)
            continue;
        add(v, hash(w->stem, strlen(w->stem), 1), 1);
        add_letters(v, w->text, 0.5f);
        if (before)
            add(v, hash_pair(before->stem, w->stem, 4), 0.4f);
        before = w;
    }
    /* What occurs often counts less than in proportion. */
    for (size_t i = 0; i < EMBED_DIMENSION; i++) {
        if (v[i] == 0) /* most are */
            continue;
        v[i] = copysignf(sqrtf(fabsf(v[i])), v[i]);
        sum += (double)v[i] * (double)v[i];
    }
    if (sum < 1e-9)
        return false;
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < EMBED_DIMENSION; i++)
        v[i] *= scale;
    return true;
}

bool embed_words(const struct text_word *words, size_t n, char ret_text[EMBED_TEXT_SIZE])
{
    float v[EMBED_DIMENSION];
    if (!vector_of(words, n, v))
        return false;
    embed_base64(v, EMBED_DIMENSION, ret_text);
    return true;
}

bool embed_question(const struct text_word *words, size_t n, char ret_text[EMBED_TEXT_SIZE])
{
    float v[EMBED_DIMENSION];
    if (!vector_of(words, n, v))
        return false;
    embed_brief(v, EMBED_DIMENSION, ret_text);
    return true;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void embed_base64(const float *vector, size_t n, char ret_text[EMBED_TEXT_SIZE])
{
    const unsigned char *bytes = (const unsigned char *)vector; /* little-endian, as all that we run on */
    size_t len = n * sizeof *vector, at = 0, i = 0;
    for (; i + 3 <= len; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        ret_text[at++] = digits[three >> 18];
        ret_text[at++] = digits[three >> 12 & 63];
        ret_text[at++] = digits[three >> 6 & 63];
        ret_text[at++] = digits[three & 63];
    }
    if (i < len) {
        uint32_t rest = (uint32_t)bytes[i] << 16 | (i + 1 < len ? (uint32_t)bytes[i + 1] << 8 : 0);
        ret_text[at++] = digits[rest >> 18];
        ret_text[at++] = digits[rest >> 12 & 63];
        ret_text[at++] = i + 1 < len ? digits[rest >> 6 & 63] : '=';
        ret_text[at++] = '=';
    }
    ret_text[at] = '\0';
}

/* So many A: as they are where that is shorter. Gives where the text goes on. */
static char *put_run(char *to, size_t run)
{
    char number[8];
    size_t n = 0;
    if (run <= 6) {
        memset(to, 'A', run);
        return to + run;
    }
    for (; run && n < sizeof number; run /= 10)
        number[n++] = (char)('0' + run % 10);
    *to++ = '*';
    while (n)
        *to++ = number[--n];
    *to++ = ';';
    return to;
}

void embed_brief(const float *vector, size_t n, char ret_text[EMBED_TEXT_SIZE])
{
    const unsigned char *bytes = (const unsigned char *)vector; /* see above */
    size_t run = 0;
    char *to = ret_text;
    for (size_t i = 0; i < n * sizeof *vector; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        if (three == 0) {
            run += 4;
            continue;
        }
        for (int shift = 18; shift >= 0; shift -= 6) {
            uint32_t digit = three >> shift & 63;
            if (digit == 0) {
                run++;
                continue;
            }
            if (run) {
                to = put_run(to, run);
                run = 0;
            }
            *to++ = digits[digit];
        }
    }
    *put_run(to, run) = '\0';
}
