/* See words.h. */
#include "words.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define STEM_MIN 5   /* bytes that two forms of a word share at least */
#define ENDING_MAX 3 /* bytes that forms of a word end in */
#define VOCABULARY_MAX 2000

static const char *const common[] = {
    "about",  "after",  "again", "all",    "also",    "and",    "any",       "are",    "because", "been",
    "before", "but",    "can",   "cannot", "could",   "did",    "does",      "doing",  "down",    "each",
    "every",  "for",    "from",  "get",    "gets",    "had",    "has",       "have",   "hello",   "help",
    "her",    "here",   "his",   "how",    "into",    "its",    "just",      "like",   "many",    "may",
    "more",   "most",   "much",  "must",   "not",     "now",    "off",       "one",    "only",    "other",
    "our",    "out",    "over",  "please", "quickly", "really", "same",      "say",    "says",    "see",
    "she",    "should", "since", "some",   "such",    "than",   "thank",     "thanks", "that",    "the",
    "their",  "them",   "then",  "there",  "these",   "they",   "this",      "those",  "too",     "two",
    "until",  "use",    "very",  "want",   "was",     "were",   "what",      "when",   "where",   "which",
    "while",  "who",    "why",   "will",   "with",    "would",  "yesterday", "today",  "you",     "your"};

static bool is_common(const char *word)
{
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (*common[i] == *word && strcmp(common[i], word) == 0)
            return true;
    return false;
}

static bool is_mark(char c)
{
    return c == '_' || c == '-' || c == '.' || c == '/';
}

/* Of each byte of many texts: not by the calls of ctype.h. */
static bool in_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || ((unsigned char)c & 0x80) ||
           is_mark(c);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* The next word at or behind *at, of those that begin with one of the bytes `begins` (NULL: any): letters and digits,
 * with marks inside. false: there is none. */
static bool next_word(const char **at, const bool *begins, char ret_word[WORD_SIZE])
{
    const char *c = *at;
    size_t n = 0;
    for (; *c; c++) {
        if (!in_word(*c) || is_mark(*c))
            continue;
        if (!begins || begins[(unsigned char)lower(*c)])
            break;
        while (in_word(c[1]))
            c++;
    }
    for (; *c && in_word(*c); c++)
        if (n + 1 < WORD_SIZE)
            ret_word[n++] = lower(*c);
    while (n && is_mark(ret_word[n - 1]))
        n--;
    ret_word[n] = '\0';
    *at = c;
    return n > 0;
}

/* Whether two words are forms of one: they begin alike and differ in an ending. */
static bool alike(const char *a, const char *b)
{
    if (*a != *b) /* most are not */
        return false;
    size_t la = strlen(a), lb = strlen(b), same = 0;
    while (a[same] && a[same] == b[same])
        same++;
    if (la == same && lb == same)
        return true;
    if (same >= 3 && (strcmp(a + same, "s") == 0 || strcmp(b + same, "s") == 0) && la + lb == 2 * same + 1)
        return true;
    return same >= STEM_MIN && la - same <= ENDING_MAX && lb - same <= ENDING_MAX &&
           isalpha((unsigned char)a[same - 1]);
}

/* A vocabulary by the bytes that its words begin with: of hundreds of words a few are compared. */
struct vocabulary {
    const char *words[VOCABULARY_MAX];
    uint16_t next[VOCABULARY_MAX], first[256]; /* one more than the place; 0: none */
};

static void vocabulary_read(const json_t *list, struct vocabulary *ret_vocabulary)
{
    memset(ret_vocabulary->first, 0, sizeof ret_vocabulary->first);
    for (size_t i = 0; i < json_array_size(list) && i < VOCABULARY_MAX; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        uint16_t *first = &ret_vocabulary->first[(unsigned char)(word ? *word : 0)];
        ret_vocabulary->words[i] = word ? word : "";
        ret_vocabulary->next[i] = *first;
        *first = (uint16_t)(i + 1);
    }
}

static bool is_known(const char *word, const struct vocabulary *vocabulary)
{
    bool digit = false, letter = false, mark = false;
    for (const char *c = word; *c; c++) {
        digit = digit || isdigit((unsigned char)*c);
        letter = letter || isalpha((unsigned char)*c);
        mark = mark || is_mark(*c);
    }
    if (letter && (digit || mark))
        return true;
    for (size_t i = vocabulary->first[(unsigned char)*word]; i; i = vocabulary->next[i - 1])
        if (alike(word, vocabulary->words[i - 1]))
            return true;
    return false;
}

void words_read(const char *text, const json_t *vocabulary, struct words *ret_words)
{
    char word[WORD_SIZE];
    struct vocabulary known;
    vocabulary_read(vocabulary, &known);
    ret_words->n = 0;
    while (ret_words->n < WORDS_MAX && next_word(&text, NULL, word)) {
        bool there = strlen(word) < 3 || is_common(word);
        for (size_t i = 0; i < ret_words->n && !there; i++)
            there = strcmp(ret_words->at[i].text, word) == 0;
        if (there)
            continue;
        snprintf(ret_words->at[ret_words->n].text, WORD_SIZE, "%s", word);
        ret_words->at[ret_words->n++].known = is_known(word, &known);
    }
}

size_t words_in(const struct words *words, const char *text, bool ret_in[WORDS_MAX])
{
    char word[WORD_SIZE];
    size_t found = 0;
    bool begins[256] = {false};
    memset(ret_in, 0, WORDS_MAX * sizeof *ret_in);
    for (size_t i = 0; i < words->n; i++)
        begins[(unsigned char)*words->at[i].text] = true;
    while (found < words->n && next_word(&text, begins, word))
        for (size_t i = 0; i < words->n; i++)
            if (!ret_in[i] && alike(words->at[i].text, word)) {
                ret_in[i] = true;
                found++;
            }
    return found;
}
