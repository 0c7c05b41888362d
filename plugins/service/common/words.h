/* Whole-word search in what a customer wrote. Pure; owns nothing; any thread. */
#ifndef SERVICE_COMMON_WORDS_H
#define SERVICE_COMMON_WORDS_H

#include <ctype.h>
#include <cvm/cvm.h>

static inline bool words__inside(unsigned char c)
{
    return isalnum(c) || c >= 0x80;
}

/* Whether `text` begins with `phrase`, and no word goes on behind it. */
static inline bool words__begin(const char *text, const char *phrase)
{
    size_t n = 0;
    while (phrase[n] && tolower((unsigned char)text[n]) == (unsigned char)phrase[n])
        n++;
    return n && !phrase[n] && !words__inside((unsigned char)text[n]);
}

/* Whether any of the NULL-terminated phrases (lower case) stands in `text` as whole words, without regard to case. */
static inline bool words_have_any(const char *text, const char *const *phrases)
{
    bool inside = false;
    for (const char *p = text; *p; p++) {
        if (!inside) {
            int first = tolower((unsigned char)*p);
            for (const char *const *phrase = phrases; *phrase; phrase++)
                if ((unsigned char)**phrase == first && words__begin(p, *phrase))
                    return true;
        }
        inside = words__inside((unsigned char)*p);
    }
    return false;
}

static inline bool words_have(const char *text, const char *phrase)
{
    return words_have_any(text, (const char *const[]){phrase, NULL});
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
