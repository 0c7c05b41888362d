/* Features of a text; see features.h. */
#include "models/features.h"

#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NGRAM_MIN 3
#define NGRAM_MAX 4
#define DIGITS 0x110000u /* a number is DIGITS + how many digits it has */
#define DIGITS_MAX 21
#define SAME_MAX 2 /* what is repeated more often is squeezed to this */

/* ---- reading ---- */

/* One code point; what is no UTF-8 is skipped byte by byte as 0. */
static uint32_t next_point(const unsigned char **at)
{
    const unsigned char *p = *at;
    uint32_t lead = *p++, point;
    int more = lead < 0x80 ? 0 : lead >= 0xF0 && lead < 0xF5 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC2 ? 1 : -1;
    *at = p;
    if (more <= 0)
        return more ? 0 : lead;
    if (lead >= 0xF5)
        return 0;
    point = lead & (0x3Fu >> more);
    for (; more; more--, p++) {
        if ((*p & 0xC0) != 0x80)
            return 0;
        point = point << 6 | (*p & 0x3F);
    }
    *at = p;
    return point;
}

/* U+00C0..U+024F and U+1E00..U+1EFF without their accents; a space: stays as it is. */
static const char latin[] =
    "aaaaaaaceeeeiiiidnooooo ouuuuytsaaaaaaaceeeeiiiidnooooo ouuuuytyaaaaaaccccccccddddeeeeeeeeeegggg"
    "gggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs"
    " b        d             kk      oo             uu  yy                        aaiioouuuuuuuuuu aa"
    "aa    ggkkoooo  j   gg  nnaa    aaaaeeeeiiiioooorrrruuuusstt  hh      aaeeooooooooyy            "
    "                ";
static const char latin_more[] =
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmmmmmmnnnnnnnnoooooooopppprrrrrrrr"
    "ssssssssssttttttttuuuuuuuuuuvvvvwwwwwwwwwwxxxxyyzzzzzzhtwy      aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
    "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy      ";

/* A folded symbol; 0: leaves no trace (accents, apostrophes, joiners). */
static uint32_t fold(uint32_t c)
{
    char plain = ' ';
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c == '\'' || c == '`' ? 0 : c <= ' ' || c == 0x7F ? ' ' : c;
    if (c >= 0xC0 && c < 0x250)
        plain = latin[c - 0xC0];
    else if (c >= 0x1E00 && c < 0x1F00)
        plain = latin_more[c - 0x1E00];
    if (plain != ' ')
        return (uint32_t)plain;
    if (c == 0xA0 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x3000)
        return ' ';
    if ((c >= 0x300 && c < 0x370) || c == 0xAD || c == 0x2018 || c == 0x2019 || (c >= 0x200B && c <= 0x200F) ||
        c == 0x2060 || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF)
        return 0;
    return c == 0x201C || c == 0x201D ? '"' : c == 0x2013 || c == 0x2014 ? '-' : c;
}

struct shape {
    unsigned capitals, letters, exclaims, questions, numbers, longest, pictures, stretched, words;
};

static bool is_letter(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 0xC0 && c < 0x2000) || (c >= 0x2C00 && c < 0xE000);
}

static bool is_picture(uint32_t c)
{
    return (c >= 0x2600 && c < 0x2800) || (c >= 0x1F000 && c < 0x20000);
}

static bool is_number(uint32_t c)
{
    return (c >= '0' && c <= '9') || c >= DIGITS;
}

/* The number that begins at `at`, with what may group its digits, as one symbol; a single digit stays. */
static uint32_t read_number(const unsigned char **at, struct shape *shape)
{
    const unsigned char *p = *at;
    unsigned n = 0;
    uint32_t first = *p;
    while (*p) {
        if (*p >= '0' && *p <= '9')
            n++;
        else if ((*p != ',' && *p != '.') || p[1] < '0' || p[1] > '9')
            break;
        p++;
    }
    *at = p;
    shape->numbers++;
    shape->longest = n > shape->longest ? n : shape->longest;
    return n == 1 ? first : DIGITS + (n < DIGITS_MAX ? n : DIGITS_MAX);
}

static void count(struct shape *shape, uint32_t raw, uint32_t c)
{
    shape->letters += is_letter(c);
    shape->capitals += raw >= 'A' && raw <= 'Z';
    shape->exclaims += c == '!';
    shape->questions += c == '?';
    shape->pictures += is_picture(c);
}

/* Fills f->symbols: a space, the folded text with single spaces, a space. */
static void normalise(struct features *f, const char *text, struct shape *shape)
{
    const unsigned char *at = (const unsigned char *)text;
    uint32_t *to = f->symbols;
    size_t n = 0, same = 1;
    to[n++] = ' ';
    while (*at && *at != CVM_NOTES_BEGIN && n < FEATURES_TEXT_SYMBOLS) {
        uint32_t raw = 0, c;
        if (*at >= '0' && *at <= '9') {
            c = read_number(&at, shape);
        } else {
            raw = next_point(&at);
            c = raw ? fold(raw) : 0;
        }
        if (!c || (c == ' ' && to[n - 1] == ' '))
            continue;
        count(shape, raw, c);
        same = c == to[n - 1] && !is_number(c) ? same + 1 : 1;
        if (same == SAME_MAX + 1)
            shape->stretched += is_letter(c);
        if (same <= SAME_MAX)
            to[n++] = c;
    }
    if (to[n - 1] != ' ' || n == 1)
        to[n++] = ' ';
    f->n_symbols = n;
}

/* ---- hashing ---- */

static uint64_t mix(uint64_t h, uint64_t value)
{
    h = (h ^ value) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

static void put(struct features *f, uint64_t h, struct feature_place place)
{
    if (f->place)
        f->place[f->n] = place;
    f->hash[f->n++] = (uint32_t)(h ^ h >> 29);
}

/* Where the word at `i` ends: letters, or one number, or one sign. */
static size_t word_end(const struct features *f, size_t i)
{
    uint32_t c = f->symbols[i];
    if (is_letter(c))
        while (i + 1 < f->n_symbols && is_letter(f->symbols[i + 1]))
            i++;
    return i + 1;
}

struct word {
    uint64_t h; /* 0: there is none */
    size_t begin, end;
};

static void put_pair(struct features *f, const struct word *first, const struct word *second, bool apart)
{
    if (first->h)
        put(f, mix(first->h * (apart ? 5 : 3), second->h),
            (struct feature_place){.from = (uint16_t)first->begin,
                                   .to = (uint16_t)second->end,
                                   .first_end = (uint16_t)first->end,
                                   .second = (uint16_t)second->begin,
                                   .apart = apart});
}

static void words(struct features *f, struct shape *shape)
{
    struct word last = {0}, last_but_one = {0};
    size_t end;
    for (size_t i = 0; i < f->n_symbols; i = end) {
        end = word_end(f, i);
        uint32_t c = f->symbols[i];
        if (!is_letter(c) && !is_number(c) && !is_picture(c) && c < 0xA1)
            continue;
        struct word w = {.h = mix(0x0A11, 1), .begin = i, .end = end};
        for (size_t j = i; j < end; j++)
            w.h = mix(w.h, f->symbols[j]);
        put(f, w.h, (struct feature_place){.from = (uint16_t)i, .to = (uint16_t)end});
        put_pair(f, &last, &w, false);
        put_pair(f, &last_but_one, &w, true);
        shape->words++;
        last_but_one = last;
        last = w;
    }
    f->end[FEATURES_WORDS] = f->n;
}

static void ngrams(struct features *f)
{
    for (size_t i = 0; i + 1 < f->n_symbols; i++) {
        uint64_t h = mix(0xC4A2, f->symbols[i]);
        size_t last = f->n_symbols - i < NGRAM_MAX ? f->n_symbols - i : NGRAM_MAX;
        for (size_t n = 2; n <= last; n++) {
            h = mix(h, f->symbols[i + n - 1]);
            if (n >= NGRAM_MIN)
                put(f, h, (struct feature_place){.from = (uint16_t)i, .to = (uint16_t)(i + n)});
        }
    }
    f->end[FEATURES_CHARS] = f->n;
}

static const char *const shape_names[] = {"length",  "words",  "!",        "?",        "capitals",
                                          "numbers", "digits", "pictures", "stretched"};
#define SHAPES (sizeof shape_names / sizeof *shape_names)
#define SHAPE_VALUES 64

static unsigned length_class(size_t n)
{
    unsigned c = 0;
    while (n > 4 && c < 20) {
        n = n * 2 / 3;
        c++;
    }
    return c;
}

static unsigned at_most(unsigned n, unsigned most)
{
    return n < most ? n : most;
}

static void shapes(struct features *f, const struct shape *s)
{
    const unsigned values[SHAPES] = {length_class(f->n_symbols),
                                     length_class(s->words),
                                     at_most(s->exclaims, 3),
                                     at_most(s->questions, 2),
                                     s->letters < 4 ? 0 : 1 + s->capitals * 4 / s->letters,
                                     at_most(s->numbers, 4),
                                     at_most(s->longest, DIGITS_MAX),
                                     at_most(s->pictures, 2),
                                     at_most(s->stretched, 2)};
    for (unsigned i = 0; i < SHAPES; i++)
        put(f, mix(mix(0x54A9E, i + 1), values[i]),
            (struct feature_place){.shape = (uint16_t)(i * SHAPE_VALUES + values[i])});
    f->end[FEATURES_SHAPE] = f->n;
}

static void notes(struct features *f)
{
    size_t from = 0;
    for (size_t n = 0; n < FEATURES_NOTES_MAX && f->notes[from] && from < UINT16_MAX; n++) {
        uint64_t h = mix(0x2073, 1);
        size_t to = from;
        for (; f->notes[to] && f->notes[to] != CVM_NOTE_ENDS; to++)
            h = mix(h, (unsigned char)f->notes[to]);
        if (to > from && to <= UINT16_MAX)
            put(f, h, (struct feature_place){.from = (uint16_t)from, .to = (uint16_t)to});
        from = to + (f->notes[to] != 0);
    }
    f->end[FEATURES_NOTED] = f->n;
}

int features_init(struct features *f, const char *text, int with_places)
{
    struct shape shape = {0};
    const char *mark = strchr(text, CVM_NOTES_BEGIN);
    size_t most = strnlen(text, FEATURES_TEXT_SYMBOLS * 4) + 4;
    if (most > FEATURES_TEXT_SYMBOLS + 2)
        most = FEATURES_TEXT_SYMBOLS + 2;
    size_t room = most * (NGRAM_MAX - NGRAM_MIN + 1 + 3) + SHAPES + FEATURES_NOTES_MAX;
    *f = (struct features){.notes = mark ? mark + 1 : ""};
    f->memory = malloc((most + room) * sizeof(uint32_t) + (with_places ? room * sizeof *f->place : 0));
    if (!f->memory)
        return CVM_ENOMEM;
    f->symbols = f->memory;
    f->hash = f->symbols + most;
    f->place = with_places ? (void *)(f->hash + room) : NULL;
    normalise(f, text, &shape);
    words(f, &shape);
    ngrams(f);
    shapes(f, &shape);
    notes(f);
    return 0;
}

void features_fini(struct features *f)
{
    free(f->memory);
    *f = (struct features){0};
}

/* ---- for people ---- */

/* One symbol as UTF-8, or "<11 digits>". */
static void symbol_text(uint32_t c, char ret_text[16])
{
    unsigned char *to = (unsigned char *)ret_text;
    if (c >= DIGITS) {
        snprintf(ret_text, 16, "<%u digits>", (unsigned)(c - DIGITS));
        return;
    }
    if (c < 0x80) {
        *to++ = (unsigned char)(c == ' ' ? '_' : c);
    } else {
        unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        *to++ = (unsigned char)((0xF00u >> more & 0xF0) | (c >> 6 * more));
        for (; more; more--)
            *to++ = (unsigned char)(0x80 | (c >> 6 * (more - 1) & 0x3F));
    }
    *to = 0;
}

static void append(char *text, size_t size, const char *more)
{
    size_t len = strlen(text);
    if (len + 1 < size)
        snprintf(text + len, size - len, "%s", more);
}

void features_name(const struct features *f, size_t i, char *ret_text, size_t size)
{
    const struct feature_place *place = &f->place[i];
    char part[16];
    *ret_text = 0;
    if (i >= f->end[FEATURES_SHAPE]) {
        snprintf(ret_text, size, "{%.*s}", (int)(place->to - place->from), f->notes + place->from);
        return;
    }
    if (i >= f->end[FEATURES_CHARS]) {
        snprintf(ret_text, size, "[%s: %d]", shape_names[place->shape / SHAPE_VALUES], place->shape % SHAPE_VALUES);
        return;
    }
    bool chars = i >= f->end[FEATURES_WORDS];
    if (chars)
        append(ret_text, size, "~");
    for (size_t j = place->from; j < place->to; j++) {
        if (place->second && j == place->first_end) {
            append(ret_text, size, place->apart ? " .. " : " ");
            j = place->second;
        }
        if (!chars && f->symbols[j] == ' ')
            continue;
        symbol_text(f->symbols[j], part);
        append(ret_text, size, part);
    }
    if (chars)
        append(ret_text, size, "~");
}
