/* Cutting text into words; see words.h. Pure; any thread. */
#include "words.h"
#include <cvm/cvm.h>
#include <stdlib.h>
#include <string.h>

void words_init(struct words *w)
{
    memset(w, 0, sizeof *w);
}

void words_fini(struct words *w)
{
    free(w->word);
    memset(w, 0, sizeof *w);
}

/* One character of UTF-8; what is damaged is a byte of its own. */
static uint32_t decode(const char *text, size_t at, size_t len, size_t *ret_bytes)
{
    unsigned char c = (unsigned char)text[at];
    size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    uint32_t u = n == 1 ? c : c & (0xffu >> (n + 1));
    if (at + n > len)
        n = 1;
    for (size_t i = 1; i < n; i++)
        u = u << 6 | ((unsigned char)text[at + i] & 0x3fu);
    *ret_bytes = n;
    return u;
}

/* The plain letter behind an accented Latin one: enough for French names and Yoruba or Igbo spelling. */
static char fold(uint32_t c)
{
    static const char plain[] = "aaaaaaaceeeeiiiidnooooo*ouuuuypsaaaaaaaceeeeiiiidnooooo/ouuuuypy";
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? (char)(c + 32) : (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? (char)c : 0;
    if (c >= 0xc0 && c <= 0xff && plain[c - 0xc0] >= 'a')
        return plain[c - 0xc0];
    static const struct {
        uint16_t c;
        char plain;
    } more[] = {{0x1eb9, 'e'}, {0x1eb8, 'e'}, {0x1ecd, 'o'}, {0x1ecc, 'o'}, {0x1e63, 's'}, {0x1e62, 's'},
                {0x1ee5, 'u'}, {0x1ecb, 'i'}, {0x0113, 'e'}, {0x014d, 'o'}, {0x0101, 'a'}, {0x012b, 'i'}};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i].c == c)
            return more[i].plain;
    return 0;
}

/* Pictures that carry a mood count as words. */
static const char *picture(uint32_t c)
{
    switch (c) {
    case 0x1f602:
    case 0x1f923:
    case 0x1f604:
    case 0x1f600:
    case 0x1f605:
        return "#laugh";
    case 0x1f621:
    case 0x1f620:
    case 0x1f624:
    case 0x1f92c:
        return "#angry";
    case 0x1f64f:
    case 0x1f44f:
    case 0x2764:
    case 0x1f60a:
    case 0x1f44d:
        return "#thanks";
    case 0x1f62d:
    case 0x1f622:
    case 0x1f629:
    case 0x1f644:
        return "#sad";
    default:
        return NULL;
    }
}

static bool add(struct words *w, size_t start, size_t end, const char *folded, size_t len, uint16_t sentence,
                uint16_t clause)
{
    if (w->n == w->room) {
        size_t room = w->room ? w->room * 2 : 64;
        struct word *grown = realloc(w->word, room * sizeof *grown);
        if (!grown)
            return false;
        w->word = grown;
        w->room = room;
    }
    struct word *x = &w->word[w->n++];
    x->start = (uint32_t)start;
    x->end = (uint32_t)end;
    x->sentence = sentence;
    x->clause = clause;
    x->question = false;
    x->name = w->text[start] >= 'A' && w->text[start] <= 'Z' && len > 2 && w->n > 1 &&
              w->word[w->n - 2].sentence == sentence && end - start > 1 && w->text[start + 1] >= 'a';
    x->n_classes = 0;
    x->len = (uint8_t)(len < WORDS_BYTES_MAX ? len : WORDS_BYTES_MAX - 1);
    memcpy(x->folded, folded, x->len);
    x->folded[x->len] = 0;
    return true;
}

static bool is_number(const char *s, size_t len)
{
    size_t digits = 0, rest = 0;
    for (size_t i = 0; i < len; i++)
        if (s[i] >= '0' && s[i] <= '9')
            digits++;
        else
            rest++;
    return digits && rest <= 2;
}

struct cutter {
    struct words *w;
    size_t sentence_from; /* first word of the sentence */
    uint16_t sentence, clause;
};

static void end_sentence(struct cutter *c, bool question)
{
    if (c->sentence_from == c->w->n)
        return;
    for (size_t i = c->sentence_from; question && i < c->w->n; i++)
        c->w->word[i].question = true;
    c->sentence_from = c->w->n;
    c->sentence++;
    c->clause++;
}

/* A word that joins two statements begins a clause. */
static bool joins(const char *word)
{
    static const char *const joiners[] = {"but",     "however", "though",  "although",
                                          "because", "except",  "whereas", "yet"};
    for (size_t i = 0; i < sizeof joiners / sizeof *joiners; i++)
        if (!strcmp(word, joiners[i]))
            return true;
    return false;
}

static bool take_word(struct cutter *c, const char *text, size_t len, size_t *at, bool money)
{
    char folded[WORDS_BYTES_MAX];
    size_t start = *at, n = 0, bytes = 1;
    while (*at < len) {
        uint32_t u = decode(text, *at, len, &bytes);
        char plain = fold(u);
        if (!plain && u != '\'' && u != 0x2019 && !(u >= 0x300 && u < 0x370) &&
            !((u == ',' || u == '.') && n && folded[n - 1] >= '0' && folded[n - 1] <= '9' && *at + 1 < len &&
              text[*at + 1] >= '0' && text[*at + 1] <= '9'))
            break;
        if (plain && n < sizeof folded - 1)
            folded[n++] = plain;
        *at += bytes;
    }
    if (!n)
        return true;
    folded[n] = 0;
    /* N4,500 and 4500naira are sums as well as a sign before them. */
    bool sum = money || (n > 1 && folded[0] == 'n' && is_number(folded + 1, n - 1));
    const char *word = folded;
    if (is_number(folded, n) || sum) {
        sum |= n > 1 && folded[n - 1] == 'k' && is_number(folded, n - 1);
        word = sum ? "#money" : "#";
        n = strlen(word);
    }
    if (joins(word))
        c->clause++;
    return add(c->w, start, *at, word, n, c->sentence, c->clause);
}

int words_read(struct words *w, const char *text, size_t len)
{
    struct cutter c = {.w = w};
    bool money = false;
    w->text = text;
    w->n = 0;
    for (size_t at = 0; at < len && w->n < WORDS_TOKENS_MAX;) {
        size_t bytes;
        uint32_t u = decode(text, at, len, &bytes);
        if (fold(u)) {
            if (!take_word(&c, text, len, &at, money))
                return CVM_ENOMEM;
            money = false;
            continue;
        }
        const char *mood = picture(u);
        if (mood && !add(w, at, at + bytes, mood, strlen(mood), c.sentence, c.clause))
            return CVM_ENOMEM;
        money = u == 0x20a6 || u == '$' || u == 0xa3 || u == 0x20ac;
        if (u == '.' || u == '!' || u == '?' || u == '\n' || u == ';' || u == 0x2026)
            end_sentence(&c, u == '?');
        else if (u == ',' || u == ':' || u == 0x2014 || u == 0x2013 || u == '(' || u == ')')
            c.clause++;
        at += bytes;
    }
    end_sentence(&c, false);
    w->n_sentences = c.sentence;
    return 0;
}
