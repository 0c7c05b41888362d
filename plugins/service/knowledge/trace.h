/* What of a text is compared with a question, as a line: each word's stem, "~" behind a common one, its classes.
 *     "recharg:12,40 the~ prepaid"
 * Made when a document comes, so that a question reads no texts. Pure. */
#ifndef KNOWLEDGE_TRACE_H
#define KNOWLEDGE_TRACE_H

#include "text.h"

#define TRACE_MAX_BYTES 3400 /* of a line; the words behind are not compared */

struct trace_word {
    const char *stem; /* not ended */
    uint16_t len;
    bool common;
    uint8_t n_classes, letters;
    int16_t classes[TEXT_OF_WORD_MAX];
};

/* A line that was read; `words` NULL: it was not. */
struct trace_line {
    const struct trace_word *words;
    size_t n;
};

/* Alike where words begin with the same two letters. */
static inline uint8_t trace_letters(const char *stem, size_t len)
{
    return (uint8_t)(len > 1 ? 31 * (unsigned char)stem[0] + (unsigned char)stem[1] : len ? *stem : 0);
}

/* With `once` a word stands once, wherever it first stood. */
void trace_write(const struct text_words *words, bool once, char ret_line[TRACE_MAX_BYTES + 1]);
/* The next word of a line; false: there is none. */
bool trace_next(const char **line, struct trace_word *ret_word);

#endif
