/* See embed.h. */
#include "embed.h"

#include <math.h>
#include <stdio.h>

static uint32_t hash(const char *text, size_t n, uint32_t seed)
{
    uint32_t h = 2166136261U ^ seed * 2654435761U;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619U;
    h ^= h >> 15;
    h *= 2246822519U;
    return h ^ h >> 13;
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

bool embed_words(const struct text_word *words, size_t n, char ret_text[EMBED_TEXT_SIZE])
{
    float v[EMBED_DIMENSION] = {0};
    const struct text_word *before = NULL;
    double sum = 0;
    char pair[TEXT_WORD_SIZE * 2];
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
        if (before) {
            int len = snprintf(pair, sizeof pair, "%s %s", before->stem, w->stem);
            add(v, hash(pair, (size_t)len, 4), 0.4f);
        }
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
    embed_base64(v, EMBED_DIMENSION, ret_text);
    return true;
}

void embed_base64(const float *vector, size_t n, char ret_text[EMBED_TEXT_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
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

void embed_brief(char text[EMBED_TEXT_SIZE])
{
    char *to = text, mark[8];
    for (const char *from = text; *from;) {
        size_t run = 0, n = 0;
        if (*from != 'A') {
            *to++ = *from++;
            continue;
        }
        while (from[run] == 'A')
            run++;
        if (run <= 6) { /* shorter than what stands for it */
            for (; run; run--)
                *to++ = *from++;
            continue;
        }
        from += run;
        *to++ = '*';
        for (; run && n < sizeof mark; run /= 10)
            mark[n++] = (char)('0' + run % 10);
        while (n)
            *to++ = mark[--n];
        *to++ = ';';
    }
    *to = '\0';
}
