/* Whole-word search in what a customer wrote. Pure; owns nothing; any thread. */
#ifndef SERVICE_COMMON_WORDS_H
#define SERVICE_COMMON_WORDS_H

#include <ctype.h>
#include <cvm/cvm.h>

static inline bool words__inside(unsigned char c)
{
    return isalnum(c) || c >= 0x80;
}

/* Whether `phrase` (lower case) stands in `text` as whole words, without regard to case. */
static inline bool words_have(const char *text, const char *phrase)
{
    size_t n = strlen(phrase);
    for (const char *p = text; n && *p; p++) {
        if (tolower((unsigned char)*p) != (unsigned char)*phrase || (p != text && words__inside((unsigned char)p[-1])))
            continue;
        size_t i = 1;
        while (i < n && p[i] && tolower((unsigned char)p[i]) == (unsigned char)phrase[i])
            i++;
        if (i == n && !words__inside((unsigned char)p[n]))
            return true;
    }
    return false;
}

/* Whether any of the NULL-terminated phrases stands in `text`. */
static inline bool words_have_any(const char *text, const char *const *phrases)
{
    for (; *phrases; phrases++)
        if (words_have(text, *phrases))
            return true;
    return false;
}

/* Whether the words speak of somebody else's number that they may not name. */
static inline bool words_someone_else(const char *words)
{
    static const char *const cues[] = {
        "him",      "her",       "them",   "his",       "their",       "brother",     "sister",         "mother",
        "mum",      "mom",       "mama",   "father",    "dad",         "papa",        "wife",           "husband",
        "son",      "daughter",  "friend", "uncle",     "aunt",        "aunty",       "boss",           "someone",
        "somebody", "colleague", "cousin", "neighbour", "that number", "this number", "another number", "other number",
        NULL};
    return words_have_any(words, cues);
}

#endif
