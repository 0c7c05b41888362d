/* The words of an envelope; see envelope_words.h. */
#include "core/envelope_words.h"

#include <string.h>
#include <time.h>

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

/* Times that are written one after another are mostly of the same second. */
void time_text(int64_t ms, char ret_text[32])
{
    static _Thread_local time_t second = -1;
    static _Thread_local char stamp[32] = "1969-12-31T23:59:59.000Z";
    if ((time_t)(ms / 1000) != second) {
        struct tm tm;
        second = (time_t)(ms / 1000);
        gmtime_r(&second, &tm);
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
    }
    size_t n = strlen(stamp) - 4; /* the milliseconds */
    memcpy(ret_text, stamp, sizeof stamp);
    ret_text[n] = (char)('0' + ms % 1000 / 100);
    ret_text[n + 1] = (char)('0' + ms % 100 / 10);
    ret_text[n + 2] = (char)('0' + ms % 10);
}
