/* See words.h. */
#include "words.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#define STEM_MIN 5   /* bytes that two forms of a word share at least */
#define ENDING_MAX 3 /* bytes that forms of a word end in */
#define VOCABULARY_MAX 2000

/* By the letter they begin with. */
static const char *const common[] = {
    "about", "after",     "again", "all",  "also",  "and",    "any",     "are",    "because", "been",  "before", "but",
    "can",   "cannot",    "could", "did",  "does",  "doing",  "down",    "each",   "every",   "for",   "from",   "get",
    "gets",  "had",       "has",   "have", "hello", "help",   "her",     "here",   "his",     "how",   "into",   "its",
    "just",  "like",      "many",  "may",  "more",  "most",   "much",    "must",   "not",     "now",   "off",    "one",
    "only",  "other",     "our",   "out",  "over",  "please", "quickly", "really", "same",    "say",   "says",   "see",
    "she",   "should",    "since", "some", "such",  "than",   "thank",   "thanks", "that",    "the",   "their",  "them",
    "then",  "there",     "these", "they", "this",  "those",  "today",   "too",    "two",     "until", "use",    "very",
    "want",  "was",       "were",  "what", "when",  "where",  "which",   "while",  "who",     "why",   "will",   "with",
    "would", "yesterday", "you",   "your"};

static bool is_common(const char *word)
{
    static uint8_t from[27]; /* of each letter; what is behind the last one's is the end */
    const uint8_t n = sizeof common / sizeof *common;
    size_t letter = (size_t)(*word - 'a');
    for (size_t c = 1, i = 0; !from[26] && c <= 26; from[c++] = (uint8_t)i)
        while (i < n && (size_t)(*common[i] - 'a') < c)
            i++;
    for (size_t i = letter < 26 ? from[letter] : n; i < n && *common[i] == *word; i++)
        if (strcmp(common[i], word) == 0)
            return true;
    return false;
}

static bool is_mark(char c)
{
    return c == '_' || c == '-' || c == '.' || c == '/';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* What each byte is, since many texts are read: not by the calls of ctype.h. */
enum { OUTSIDE, MARK, LETTER };

static const uint8_t *kinds(void)
{
    static uint8_t made[256];
    if (made['a'])
        return made;
    for (unsigned c = 0; c < 256; c++)
        made[c] = c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ? LETTER
                  : is_mark((char)c)                                                                      ? MARK
                                                                                                          : OUTSIDE;
    return made;
}

/* The word that begins at *at. */
static void take_word(const uint8_t **at, char ret_word[WORD_SIZE])
{
    const uint8_t *kind = kinds(), *c = *at;
    size_t n = 0;
    for (; kind[*c] != OUTSIDE; c++)
        if (n + 1 < WORD_SIZE)
            ret_word[n++] = lower((char)*c);
    while (n && is_mark(ret_word[n - 1]))
        n--;
    ret_word[n] = '\0';
    *at = c;
}

/* The next word at or behind *at: letters and digits, with marks inside. false: there is none. */
static bool next_word(const char **at, char ret_word[WORD_SIZE])
{
    const uint8_t *kind = kinds(), *c = (const uint8_t *)*at;
    while (*c && kind[*c] != LETTER)
        c++;
    bool is = *c != 0;
    take_word(&c, ret_word);
    *at = (const char *)c;
    return is;
}

/* Whether a word begins at `c`, a letter with none before it: where marks are before it, they begin the text's piece.
 */
static bool begins_at(const uint8_t *text, const uint8_t *c)
{
    const uint8_t *kind = kinds();
    while (c > text && kind[c[-1]] == MARK)
        c--;
    return c == text || kind[c[-1]] == OUTSIDE;
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
    while (ret_words->n < WORDS_MAX && next_word(&text, word)) {
        bool there = strlen(word) < 3 || is_common(word);
        for (size_t i = 0; i < ret_words->n && !there; i++)
            there = strcmp(ret_words->at[i].text, word) == 0;
        if (there)
            continue;
        memcpy(ret_words->at[ret_words->n].text, word, WORD_SIZE);
        ret_words->at[ret_words->n++].known = is_known(word, &known);
    }
}

/* The words by the byte they begin with, and what each byte of a text is to them. */
struct index {
    uint8_t first[256], next[WORDS_MAX]; /* one more than the place; 0: none */
    uint8_t byte[256];                   /* LETTER_BIT, and BEGINS_BIT where one of the words begins with it */
};
enum { LETTER_BIT = 1, BEGINS_BIT = 2 };

static void index_words(const struct words *words, struct index *ret_index)
{
    const uint8_t *kind = kinds();
    memset(ret_index->first, 0, sizeof ret_index->first);
    for (size_t c = 0; c < 256; c++)
        ret_index->byte[c] = kind[c] == LETTER ? LETTER_BIT : 0;
    for (size_t i = words->n; i-- > 0;) {
        unsigned char c = (unsigned char)*words->at[i].text;
        ret_index->next[i] = ret_index->first[c];
        ret_index->first[c] = (uint8_t)(i + 1);
        ret_index->byte[c] |= BEGINS_BIT;
        ret_index->byte[toupper(c)] |= BEGINS_BIT;
    }
}

/* Whether one of the words may be a form of what stands at `c`: forms of a word have three bytes in common. */
static bool may_be_one(const struct words *words, const struct index *index, const uint8_t *c)
{
    for (size_t i = index->first[(unsigned char)lower((char)*c)]; i; i = index->next[i - 1]) {
        const char *word = words->at[i - 1].text;
        if (lower((char)c[1]) == word[1] && lower((char)c[2]) == word[2])
            return true;
    }
    return false;
}

size_t words_in(const struct words *words, const char *text, bool ret_in[WORDS_MAX])
{
    char word[WORD_SIZE];
    struct index index;
    size_t found = 0, n = strlen(text);
    const uint8_t *all = (const uint8_t *)text, *behind = all;
    uint8_t before = 0; /* what the byte before is */
    index_words(words, &index);
    memset(ret_in, 0, WORDS_MAX * sizeof *ret_in);
    for (size_t from = 0; from < n && found < words->n; from += 64) {
        uint64_t starts = 0; /* of 64 bytes without a branch for each: few begin a word that is looked for */
        size_t here = n - from < 64 ? n - from : 64;
        for (size_t i = 0; i < here; i++) {
            uint8_t byte = index.byte[all[from + i]];
            starts |= (uint64_t)(byte >> 1 & ~before & 1) << i;
            before = byte;
        }
        for (; starts; starts &= starts - 1) {
            const uint8_t *c = all + from + __builtin_ctzll(starts);
            if (c < behind || !may_be_one(words, &index, c) || !begins_at(all, c))
                continue;
            take_word(&c, word);
            behind = c;
            for (size_t i = index.first[(unsigned char)*word]; i; i = index.next[i - 1])
                if (!ret_in[i - 1] && alike(words->at[i - 1].text, word)) {
                    ret_in[i - 1] = true;
                    found++;
                }
        }
    }
    return found;
}
