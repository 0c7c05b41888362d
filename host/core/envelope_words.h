/* What an envelope says in words and a message as a number; the order is that of the constants in cvm.h. Any thread. */
#ifndef HOST_CORE_ENVELOPE_WORDS_H
#define HOST_CORE_ENVELOPE_WORDS_H

#include <stdint.h>

#define OUTCOMES 6
#define PRIORITIES 4
#define SORTS 4

extern const char *const outcome_words[OUTCOMES];    /* CVM_REPLIED.. */
extern const char *const priority_words[PRIORITIES]; /* CVM_LOW.. */
extern const char *const sort_words[SORTS];          /* CVM_REQUEST.. */

/* The number of `word`, `otherwise` where it is none of the `n`. */
uint8_t word_number(const char *const *words, uint8_t n, const char *word, uint8_t otherwise);
void time_text(int64_t ms, char ret_text[32]); /* RFC 3339 with milliseconds and Z */

#endif
