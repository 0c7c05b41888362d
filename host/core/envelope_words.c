/* The words of an envelope; see envelope_words.h. */
#include "core/envelope_words.h"

#include <string.h>

const char *const outcome_words[OUTCOMES] = {"REPLIED", "REFUSED", "ERROR", "TIMEOUT", "BUSY", "UNKNOWN"};
const char *const priority_words[PRIORITIES] = {"LOW", "MEDIUM", "HIGH", "CRITICAL"};
const char *const sort_words[SORTS] = {"request", "response", "notification", "escalation"};

uint8_t word_number(const char *const *words, uint8_t n, const char *word, uint8_t otherwise)
{
    for (uint8_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return otherwise;
}
