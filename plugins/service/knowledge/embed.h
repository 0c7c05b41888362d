/* Vectors of texts without any service: words, their classes, pairs of them and the letters in them, hashed to 384
 * numbers. Texts that share words, meanings or parts of words lie near one another. Pure; loop thread. */
#ifndef KNOWLEDGE_EMBED_H
#define KNOWLEDGE_EMBED_H

#include "text.h"

#define EMBED_DIMENSION 384
#define EMBED_TEXT_SIZE 2052 /* base64 of them, with NUL */

/* False: the text has nothing that counts, and no vector. */
bool embed_words(const struct text_word *words, size_t n, char ret_text[EMBED_TEXT_SIZE]);
/* Base64 of little-endian floats, `n` at most EMBED_DIMENSION. */
void embed_base64(const float *vector, size_t n, char ret_text[EMBED_TEXT_SIZE]);
/* The same with "*12;" for AAAAAAAAAAAA: most of the numbers are 0, and questions are recorded. `n`: threes. */
void embed_brief(const float *vector, size_t n, char ret_text[EMBED_TEXT_SIZE]);
/* embed_words in brief. */
bool embed_question(const struct text_word *words, size_t n, char ret_text[EMBED_TEXT_SIZE]);

#endif
