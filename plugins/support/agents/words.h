/* The words of a ticket that say something, and how much of them a text has. Pure; any thread. */
#ifndef WORDS_H
#define WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define WORDS_MAX 48
#define WORD_SIZE 32

struct words {
    size_t n;
    struct {
        char text[WORD_SIZE]; /* in lower case */
        bool known;           /* of the trade: in the vocabulary, or it looks so (a digit or a mark inside) */
    } at[WORDS_MAX];
};

/* Each word once, without those that say nothing. `vocabulary` is an array of words, of which
 * the first 2000 count; NULL: none is known. */
void words_read(const char *text, const json_t *vocabulary, struct words *ret_words);
/* Which words stand in a text, also in another form ("pods", "pod"): ret_in[i]. Gives how many. */
size_t words_in(const struct words *words, const char *text, bool ret_in[WORDS_MAX]);

#endif
