/* See text.h. */
#include "text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PHRASE_WORDS_MAX 4
#define SLOTS 16384 /* of the table of phrases */
#define ENTRIES_MAX (SLOTS / 2)

struct entry {
    char key[TEXT_WORD_SIZE * 2]; /* stems with a blank between them */
    uint32_t hash;
    int16_t class;
    uint8_t words;
};

struct lexicon {
    json_t *setting;
    char tag[17];
    size_t n_classes, n;
    struct entry entries[ENTRIES_MAX];
    uint16_t slots[SLOTS]; /* entry + 1; several of one key follow one another */
};

static struct lexicon *kept;

/* ---- words ------------------------------------------------------------------------------------------------------- */

static const char *const common_words[] = {
    "a",       "about", "after",   "all",       "also",     "am",      "an",     "and",    "any",   "are",  "as",
    "at",      "be",    "because", "been",      "before",   "but",     "by",     "can",    "could", "dat",  "de",
    "did",     "do",    "does",    "dey",       "don",      "dont",    "e",      "for",    "from",  "get",  "go",
    "had",     "has",   "have",    "he",        "her",      "here",    "him",    "his",    "how",   "i",    "if",
    "im",      "in",    "into",    "is",        "it",       "its",     "ive",    "just",   "let",   "like", "make",
    "me",      "my",    "na",      "no",        "not",      "now",     "of",     "on",     "only",  "or",   "our",
    "out",     "pls",   "please",  "say",       "she",      "should",  "so",     "some",   "than",  "that", "the",
    "their",   "them",  "then",    "there",     "they",     "thing",   "this",   "to",     "too",   "u",    "una",
    "up",      "us",    "very",    "want",      "was",      "we",      "were",   "wetin",  "what",  "when", "where",
    "which",   "who",   "why",     "will",      "with",     "would",   "you",    "your",   "abeg",  "abi",  "dis",
    "fit",     "una",   "wan",     "sef",       "o",        "oh",      "sir",    "ma",     "hello", "hi",   "good",
    "morning", "s",     "t",       "m",         "ll",       "ve",      "re",     "d",      "im",    "am",   "may",
    "might",   "must",  "shall",   "being",     "those",    "these",   "am",     "really", "still", "even", "ever",
    "one",     "need",  "way",     "something", "anything", "someone", "kindly", "tell",   "know"};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_common(const char *word)
{
    static const char *sorted[sizeof common_words / sizeof *common_words];
    if (!sorted[0]) {
        memcpy(sorted, common_words, sizeof sorted);
        qsort(sorted, sizeof sorted / sizeof *sorted, sizeof *sorted, by_name);
    }
    return bsearch(&word, sorted, sizeof sorted / sizeof *sorted, sizeof *sorted, by_name) != NULL;
}

/* The plain letter behind U+00C0..U+017F and the dotted ones of Yoruba and Igbo; 0: none. */
static char plain(uint32_t c)
{
    static const char latin[] = "aaaaaaaceeeeiiiidnooooo*ouuuuyts" /* C0 */
                                "aaaaaaaceeeeiiiidnooooo/ouuuuyty"
                                "aaaaaaccccccccddddeeeeeeeeeegggg" /* 100 */
                                "gggghhhhiiiiiiiiiiiijjkkklllllll"
                                "lllnnnnnnnnnoooooooorrrrrrssssss"
                                "ssttttttuuuuuuuuuuuuwwyyyzzzzzzs";
    if (c >= 0xc0 && c < 0xc0 + sizeof latin - 1)
        return isalpha((unsigned char)latin[c - 0xc0]) ? latin[c - 0xc0] : 0;
    return c == 0x1ecb || c == 0x1eca   ? 'i'
           : c == 0x1ecd || c == 0x1ecc ? 'o'
           : c == 0x1eb9 || c == 0x1eb8 ? 'e'
           : c == 0x1ee5 || c == 0x1ee4 ? 'u'
           : c == 0x1e63 || c == 0x1e62 ? 's'
                                        : 0;
}

static uint32_t decode(const char **at)
{
    const unsigned char *s = (const unsigned char *)*at;
    int n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? s[0] : s[0] & (0xffU >> (n + 1));
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            *at += i;
            return 0xfffd;
        }
        c = c << 6 | (s[i] & 0x3f);
    }
    *at += n;
    return c;
}

/* Next word, folded; an apostrophe inside is left out. False: the end. */
static bool next_word(const char **at, char ret_word[TEXT_WORD_SIZE])
{
    size_t n = 0;
    while (**at) {
        const char *before = *at;
        uint32_t c = decode(at);
        if (c == '\'' || c == 0x2019 || (c >= 0x300 && c < 0x370)) /* and accents that stand by themselves */
            continue;
        char letter = c < 0x80 ? (isalnum((int)c) ? (char)tolower((int)c) : 0) : plain(c);
        if (letter || (c >= 0x180 && c != 0xfffd && (c < 0x2000 || c > 0x206f) && c < 0x20a0)) {
            size_t len = letter ? 1 : (size_t)(*at - before);
            if (n + len < TEXT_WORD_SIZE) {
                memcpy(ret_word + n, letter ? &letter : before, len);
                n += len;
            }
        } else if (n) {
            break;
        }
    }
    ret_word[n] = '\0';
    return n > 0;
}

static bool ends(const char *word, size_t n, const char *with)
{
    size_t m = strlen(with);
    return n > m + 2 && strcmp(word + n - m, with) == 0;
}

static bool has_vowel(const char *word, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr("aeiouy", word[i]))
            return true;
    return false;
}

/* A light stem: the endings of number, tense and manner go. */
static void stem(char *w)
{
    size_t n = strlen(w);
    if (n < 4 || !isalpha((unsigned char)w[0]))
        return;
    if (ends(w, n, "ies")) {
        memcpy(w + n - 3, "y", 2);
        n -= 2;
    } else if (ends(w, n, "sses") || ends(w, n, "ches") || ends(w, n, "shes") || ends(w, n, "xes"))
        w[n -= 2] = '\0';
    else if (w[n - 1] == 's' && w[n - 2] != 's' && w[n - 2] != 'u' && w[n - 2] != 'i')
        w[--n] = '\0';
    size_t cut = ends(w, n, "ing") && has_vowel(w, n - 3) ? 3 : ends(w, n, "ed") && has_vowel(w, n - 2) ? 2 : 0;
    if (cut && n - cut >= 3) {
        w[n -= cut] = '\0';
        if (w[n - 1] == w[n - 2] && !strchr("lsz", w[n - 1]))
            w[--n] = '\0';
    }
    if (n > 5 && ends(w, n, "ation"))
        w[n -= 5] = '\0';
    else if (n > 5 && (ends(w, n, "ment") || ends(w, n, "ness")))
        w[n -= 4] = '\0';
    else if (n > 5 && ends(w, n, "ly"))
        w[n -= 2] = '\0';
    if (n > 3 && w[n - 1] == 'e')
        w[--n] = '\0';
    if (n > 3 && w[n - 1] == 'y')
        w[n - 1] = 'i';
}

/* ---- lexicon ----------------------------------------------------------------------------------------------------- */

#define HASH_START 2166136261U

static uint32_t hash_on(uint32_t h, char c)
{
    return (h ^ (unsigned char)c) * 16777619U;
}

static uint32_t hash(const char *key)
{
    uint32_t h = HASH_START;
    for (; *key; key++)
        h = hash_on(h, *key);
    return h;
}

static void add_phrase(struct lexicon *l, const char *phrase, int class)
{
    const char *at = phrase;
    char word[TEXT_WORD_SIZE];
    struct entry e = {.class = (int16_t) class};
    size_t n = 0;
    while (e.words < PHRASE_WORDS_MAX && next_word(&at, word)) {
        stem(word);
        n += (size_t)snprintf(e.key + n, sizeof e.key - n, "%s%s", e.words++ ? " " : "", word);
        if (n >= sizeof e.key)
            return;
    }
    if (!e.words || l->n == ENTRIES_MAX)
        return;
    e.hash = hash(e.key);
    uint32_t slot = e.hash % SLOTS;
    while (l->slots[slot])
        slot = (slot + 1) % SLOTS;
    l->entries[l->n++] = e;
    l->slots[slot] = (uint16_t)l->n;
}

static void add_class(struct lexicon *l, const char *words)
{
    char phrase[96];
    while (*words) {
        size_t n = strcspn(words, ",");
        snprintf(phrase, sizeof phrase, "%.*s", (int)(n < sizeof phrase ? n : sizeof phrase - 1), words);
        add_phrase(l, phrase, (int)l->n_classes);
        words += n + (words[n] == ',');
    }
    l->n_classes++;
}

void lexicon_drop(void)
{
    if (kept)
        json_decref(kept->setting);
    free(kept);
    kept = NULL;
}

const struct lexicon *lexicon_of(const json_t *setting)
{
    size_t i;
    json_t *class;
    if (kept && kept->setting == setting)
        return kept;
    lexicon_drop();
    kept = calloc(1, sizeof *kept);
    if (!kept)
        return NULL;
    kept->setting = json_incref((json_t *)(uintptr_t)setting);
    uint64_t tag = UINT64_C(14695981039346656037);
    json_array_foreach(setting, i, class) if (json_is_string(class) && kept->n_classes < TEXT_CLASSES_MAX)
    {
        add_class(kept, json_string_value(class));
        for (const char *c = json_string_value(class); c == json_string_value(class) || c[-1]; c++) /* with its end */
            tag = (tag ^ (unsigned char)*c) * UINT64_C(1099511628211);
    }
    snprintf(kept->tag, sizeof kept->tag, "%016" PRIx64, tag);
    return kept;
}

const char *lexicon_tag(const struct lexicon *l)
{
    return l->tag;
}

size_t lexicon_classes(const struct lexicon *l)
{
    return l->n_classes;
}

static void put_class(struct text_word *w, int class)
{
    for (size_t i = 0; i < TEXT_OF_WORD_MAX; i++) {
        if (w->classes[i] == class)
            return;
        if (w->classes[i] < 0) {
            w->classes[i] = (int16_t) class;
            return;
        }
    }
}

/* The classes of the phrases that begin with the word, the longest phrases first. */
static void find_classes(const struct lexicon *l, struct text_words *t, size_t at)
{
    char key[TEXT_WORD_SIZE * PHRASE_WORDS_MAX];
    uint32_t hashes[PHRASE_WORDS_MAX], h = HASH_START;
    size_t ends[PHRASE_WORDS_MAX], n = 0, len = 0;
    for (; n < PHRASE_WORDS_MAX && at + n < t->n; n++) {
        if (n)
            h = hash_on(h, key[len++] = ' ');
        for (const char *c = t->at[at + n].stem; *c; c++)
            h = hash_on(h, key[len++] = *c);
        hashes[n] = h;
        ends[n] = len;
    }
    while (n-- > 0)
        for (uint32_t slot = hashes[n] % SLOTS; l->slots[slot]; slot = (slot + 1) % SLOTS) {
            const struct entry *e = &l->entries[l->slots[slot] - 1];
            if (e->hash == hashes[n] && strlen(e->key) == ends[n] && memcmp(e->key, key, ends[n]) == 0)
                put_class(&t->at[at], e->class);
        }
}

void text_read(const struct lexicon *l, const char *text, struct text_words *t)
{
    t->n = 0;
    while (text && t->n < TEXT_WORDS_MAX && next_word(&text, t->at[t->n].text)) {
        struct text_word *w = &t->at[t->n++];
        memcpy(w->stem, w->text, sizeof w->stem);
        stem(w->stem);
        w->common = is_common(w->text);
        for (size_t i = 0; i < TEXT_OF_WORD_MAX; i++)
            w->classes[i] = -1;
    }
    for (size_t i = 0; l && i < t->n; i++)
        find_classes(l, t, i);
}

void text_class_word(int class, char ret_word[16])
{
    char digits[12];
    size_t n = 0, at = 0;
    for (unsigned left = (unsigned)class; n == 0 || left; left /= 10)
        digits[n++] = (char)('0' + left % 10);
    ret_word[at++] = 'q';
    while (n)
        ret_word[at++] = digits[--n];
    ret_word[at++] = 'z';
    ret_word[at] = '\0';
}
