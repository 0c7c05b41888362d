/* Cutting a message into tokens; see text.h. */
#include "text.h"
#include <string.h>

uint32_t text_decode(const char *s, size_t *ret_len)
{
    const unsigned char *u = (const unsigned char *)s;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = u[0] < 0x80 ? 1 : u[0] >= 0xF0 && u[0] < 0xF5 ? 4 : u[0] >= 0xE0 ? 3 : u[0] >= 0xC2 ? 2 : 0;
    *ret_len = 1;
    if (len == 1)
        return u[0];
    if (!len || u[0] >= 0xF5)
        return 0xFFFD;
    uint32_t c = u[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((u[i] & 0xC0) != 0x80)
            return 0xFFFD;
        c = c << 6 | (u[i] & 0x3Fu);
    }
    if (c < least[len] || c > 0x10FFFF)
        return 0xFFFD;
    *ret_len = len;
    return c;
}

size_t text_cut(const char *s, size_t max)
{
    size_t n = strnlen(s, max);
    if (s[n])
        while (n && ((unsigned char)s[n] & 0xC0) == 0x80)
            n--;
    return n;
}

/* Ranges of accented Latin letters and the plain letter behind them; after the Unicode charts Latin-1, Latin Extended-A
 * and Latin Extended Additional, and the hooked letters of Hausa. */
static const struct {
    uint16_t from, to;
    char plain;
} plain_letters[] = {
    {0x00C0, 0x00C6, 'a'}, {0x00C7, 0x00C7, 'c'}, {0x00C8, 0x00CB, 'e'}, {0x00CC, 0x00CF, 'i'}, {0x00D0, 0x00D0, 'd'},
    {0x00D1, 0x00D1, 'n'}, {0x00D2, 0x00D6, 'o'}, {0x00D8, 0x00D8, 'o'}, {0x00D9, 0x00DC, 'u'}, {0x00DD, 0x00DD, 'y'},
    {0x00DF, 0x00DF, 's'}, {0x00E0, 0x00E6, 'a'}, {0x00E7, 0x00E7, 'c'}, {0x00E8, 0x00EB, 'e'}, {0x00EC, 0x00EF, 'i'},
    {0x00F0, 0x00F0, 'd'}, {0x00F1, 0x00F1, 'n'}, {0x00F2, 0x00F6, 'o'}, {0x00F8, 0x00F8, 'o'}, {0x00F9, 0x00FC, 'u'},
    {0x00FD, 0x00FD, 'y'}, {0x00FF, 0x00FF, 'y'}, {0x0100, 0x0105, 'a'}, {0x0106, 0x010D, 'c'}, {0x010E, 0x0111, 'd'},
    {0x0112, 0x011B, 'e'}, {0x011C, 0x0123, 'g'}, {0x0124, 0x0127, 'h'}, {0x0128, 0x0133, 'i'}, {0x0134, 0x0135, 'j'},
    {0x0136, 0x0138, 'k'}, {0x0139, 0x0142, 'l'}, {0x0143, 0x014B, 'n'}, {0x014C, 0x0153, 'o'}, {0x0154, 0x0159, 'r'},
    {0x015A, 0x0161, 's'}, {0x0162, 0x0167, 't'}, {0x0168, 0x0173, 'u'}, {0x0174, 0x0175, 'w'}, {0x0176, 0x0178, 'y'},
    {0x0179, 0x017E, 'z'}, {0x0181, 0x0181, 'b'}, {0x018A, 0x018A, 'd'}, {0x0198, 0x0199, 'k'}, {0x01B3, 0x01B4, 'y'},
    {0x01CD, 0x01CE, 'a'}, {0x01CF, 0x01D0, 'i'}, {0x01D1, 0x01D2, 'o'}, {0x01D3, 0x01DC, 'u'}, {0x01F8, 0x01F9, 'n'},
    {0x0253, 0x0253, 'b'}, {0x0257, 0x0257, 'd'}, {0x1E3E, 0x1E3F, 'm'}, {0x1E44, 0x1E45, 'n'}, {0x1E62, 0x1E63, 's'},
    {0x1EA0, 0x1EB7, 'a'}, {0x1EB8, 0x1EC7, 'e'}, {0x1EC8, 0x1ECB, 'i'}, {0x1ECC, 0x1EE3, 'o'}, {0x1EE4, 0x1EF1, 'u'},
    {0x1EF2, 0x1EF9, 'y'},
};

uint32_t text_fold(uint32_t c)
{
    if (c < 0x80) {
        if (c >= 'A' && c <= 'Z')
            return c + 32;
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : 0;
    }
    if (c >= 0xC0 && c <= 0x1EF9) {
        size_t low = 0, high = sizeof plain_letters / sizeof *plain_letters;
        while (low < high) {
            size_t mid = (low + high) / 2;
            if (c > plain_letters[mid].to)
                low = mid + 1;
            else
                high = mid;
        }
        if (low < sizeof plain_letters / sizeof *plain_letters && c >= plain_letters[low].from)
            return (unsigned char)plain_letters[low].plain;
    }
    if (c >= 0xFF10 && c <= 0xFF19)
        return c - 0xFF10 + '0';
    if (c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c < 0x2600) || c < 0xC0 || c == 0xFFFD)
        return 0;
    return c;
}

static bool is_pictogram(uint32_t c)
{
    return (c >= 0x2600 && c <= 0x27BF) || (c >= 0x1F000 && c <= 0x1FAFF);
}

/* Written over, or beside, other characters: accents, joiners, skin tones. Read as if they were not there. */
static bool is_mark(uint32_t c)
{
    return (c >= 0x0300 && c <= 0x036F) || c == 0x200B || c == 0x200C || c == 0x200D || c == 0x00AD || c == 0x2060 ||
           c == 0xFEFF || (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0x1F3FB && c <= 0x1F3FF);
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

struct reader {
    struct text *text;
    text_lookup lookup;
    const void *arg;
    uint32_t before; /* flags for the next token, from the signs before it */
};

static void add(struct reader *r, size_t start, size_t end, size_t at, size_t len, enum token_kind kind)
{
    struct text *x = r->text;
    if (x->n == TEXT_TOKENS_MAX) {
        x->cut = true;
        return;
    }
    struct token *k = &x->tokens[x->n++];
    *k = (struct token){.start = (uint32_t)start,
                        .end = (uint32_t)end,
                        .at = (uint32_t)at,
                        .len = (uint16_t)len,
                        .kind = (uint8_t)kind,
                        .flags = (uint16_t)r->before};
    r->before = 0;
    if (r->lookup && len <= TEXT_WORD_BYTES_MAX)
        k->word = r->lookup(r->arg, x->folded + at, len);
}

static void flag_last(struct text *x, uint32_t flags)
{
    if (x->n)
        x->tokens[x->n - 1].flags |= (uint16_t)flags;
}

/* A run of letters and digits that stands in `folded` from `at`. Where the whole is a known word ("4g", "9mobile") it
 * stays one; else it is cut between letters and digits. `where` maps bytes of the run to bytes of the message. */
static void add_run(struct reader *r, size_t at, size_t len, const uint32_t *where, size_t end, bool upper)
{
    struct text *x = r->text;
    bool digits = false, letters = false;
    for (size_t i = 0; i < len; i++) {
        if (is_digit((unsigned char)x->folded[at + i]))
            digits = true;
        else if (x->folded[at + i] != '.' && x->folded[at + i] != ',')
            letters = true;
    }
    if (!digits || !letters || (len <= TEXT_WORD_BYTES_MAX && r->lookup && r->lookup(r->arg, x->folded + at, len))) {
        add(r, where[0], end, at, len, letters ? TOKEN_WORD : TOKEN_NUMBER);
        if (upper && letters && len >= 3)
            flag_last(x, TOKEN_UPPER);
        return;
    }
    /* The parts are copied behind the run, so that each ends with NUL. */
    size_t from = 0;
    for (size_t i = 1; i <= len; i++) {
        char a = x->folded[at + i - 1], b = x->folded[at + i];
        bool number = is_digit((unsigned char)a) || a == '.' || a == ',';
        bool next = is_digit((unsigned char)b) || b == '.' || b == ',';
        if (i < len && number == next)
            continue;
        if (x->folded_bytes + (i - from) + 1 > sizeof x->folded) {
            x->cut = true;
            return;
        }
        size_t copy = x->folded_bytes;
        memcpy(x->folded + copy, x->folded + at + from, i - from);
        x->folded[copy + i - from] = 0;
        x->folded_bytes += i - from + 1;
        add(r, where[from], i < len ? where[i] : end, copy, i - from, number ? TOKEN_NUMBER : TOKEN_WORD);
        if (i < len)
            flag_last(x, TOKEN_GLUED);
        from = i;
    }
}

static void end_sentence(struct text *x, uint32_t flags)
{
    bool known = !x->n || (x->tokens[x->n - 1].flags & TOKEN_QUESTION);
    flag_last(x, flags);
    if (known || !(flags & TOKEN_QUESTION))
        return;
    for (size_t i = x->n; i-- > 0;) { /* the whole question is marked, so that its words know it */
        if (i + 1 < x->n && (x->tokens[i].flags & TOKEN_SENTENCE_END))
            break;
        x->tokens[i].flags |= TOKEN_QUESTION;
    }
}

/* A character between words. `digit_next`: a digit follows at once; `touches`: the last token ends right before it. */
static void sign(struct reader *r, uint32_t c, bool digit_next, bool touches)
{
    struct text *x = r->text;
    switch (c) {
    case '!':
        x->exclamations++;
        end_sentence(x, TOKEN_SENTENCE_END);
        break;
    case '?':
        x->questions++;
        end_sentence(x, TOKEN_SENTENCE_END | TOKEN_QUESTION);
        break;
    case '.':
    case ';':
    case '\n':
    case 0x2026:
        end_sentence(x, TOKEN_SENTENCE_END);
        break;
    case ',':
    case '&':
    case '(':
    case ')':
    case 0x2013:
    case 0x2014:
        flag_last(x, TOKEN_CLAUSE_END);
        break;
    case ':':
    case '/':
        if (touches && digit_next) {
            flag_last(x, TOKEN_JOINED);
            r->before |= TOKEN_JOINED;
        } else {
            flag_last(x, TOKEN_CLAUSE_END);
        }
        break;
    case '+':
        r->before |= TOKEN_PLUS;
        break;
    case '%':
        flag_last(x, TOKEN_PERCENT);
        break;
    case '*':
        r->before |= TOKEN_CODE;
        break;
    case '#':
        if (touches && x->n && (x->tokens[x->n - 1].flags & TOKEN_CODE))
            break;
        if (digit_next)
            r->before |= TOKEN_NAIRA;
        else if (touches)
            flag_last(x, TOKEN_CODE);
        break;
    case 0x20A6:
        r->before |= TOKEN_NAIRA;
        break;
    case '$':
    case 0x00A3:
    case 0x20AC:
        r->before |= TOKEN_FOREIGN;
        break;
    default:
        break;
    }
}

/* "," and "." belong to a number where it goes on: "1,200", "2.5". */
static bool number_goes_on(const char *s, char separator)
{
    if (!is_digit((unsigned char)s[0]))
        return false;
    return separator == '.' ||
           (is_digit((unsigned char)s[1]) && is_digit((unsigned char)s[2]) && !is_digit((unsigned char)s[3]));
}

/* Reads the run of letters and digits at byte `i`; returns the byte after it. */
static size_t read_run(struct reader *r, size_t i)
{
    struct text *x = r->text;
    const char *s = x->message;
    uint32_t where[256];
    size_t start = i, at = x->folded_bytes, len = 0, length = 0, end = i;
    bool upper = true;
    while (i < x->bytes) {
        uint32_t c = text_decode(s + i, &length), f = text_fold(c);
        if (is_mark(c)) {
            i += length;
            continue;
        }
        bool after_digit = len && is_digit((unsigned char)x->folded[at + len - 1]);
        if ((c == '\'' || c == 0x2019) && len && !after_digit) {
            size_t l = 0;
            uint32_t g = text_fold(text_decode(s + i + length, &l));
            if (g < 'a' || g > 'z')
                break;
            i += length;
            continue;
        }
        if ((c == ',' || c == '.') && after_digit && number_goes_on(s + i + 1, (char)c))
            f = c;
        if (!f || is_pictogram(c) || len + 5 > sizeof where / sizeof *where || at + len + 6 > sizeof x->folded)
            break;
        if (c == f && f >= 'a' && f <= 'z')
            upper = false;
        size_t bytes = f < 0x80 ? 1 : length;
        if (f < 0x80)
            x->folded[at + len] = (char)f;
        else
            memcpy(x->folded + at + len, s + i, bytes);
        for (size_t b = 0; b < bytes; b++)
            where[len++] = (uint32_t)i;
        i += length;
        end = i;
    }
    if (!len)
        return start + length; /* no room left, or a sign after all */
    x->folded[at + len] = 0;
    x->folded_bytes = at + len + 1;
    add_run(r, at, len, where, end, upper);
    return i > start ? i : start + 1;
}

void text_read(struct text *x, const char *message, text_lookup lookup, const void *arg)
{
    x->message = message;
    x->bytes = strnlen(message, TEXT_BYTES_MAX);
    x->cut = x->bytes == TEXT_BYTES_MAX && message[x->bytes] != 0;
    x->n = x->folded_bytes = 0;
    x->exclamations = x->questions = 0;
    struct reader r = {.text = x, .lookup = lookup, .arg = arg};
    size_t i = 0, length = 0;
    while (i < x->bytes) {
        uint32_t c = text_decode(message + i, &length);
        if (is_mark(c)) {
            i += length;
            continue;
        }
        bool touches = x->n && x->tokens[x->n - 1].end == i;
        if (is_pictogram(c)) {
            size_t at = x->folded_bytes;
            if (at + length + 1 > sizeof x->folded)
                break;
            memcpy(x->folded + at, message + i, length);
            x->folded[at + length] = 0;
            x->folded_bytes += length + 1;
            add(&r, i, i + length, at, length, TOKEN_SIGN);
            i += length;
        } else if (text_fold(c)) {
            if (touches && x->tokens[x->n - 1].kind != TOKEN_SIGN)
                flag_last(x, TOKEN_GLUED);
            i = read_run(&r, i);
        } else {
            sign(&r, c, is_digit((unsigned char)message[i + length]), touches);
            if (c == ' ')
                r.before &= (uint32_t)(TOKEN_NAIRA | TOKEN_FOREIGN | TOKEN_PLUS);
            i += length;
        }
    }
    end_sentence(x, TOKEN_SENTENCE_END);
}

bool text_word_is(const struct text *text, size_t i, const char *const *words, size_t n)
{
    for (size_t w = 0; w < n; w++)
        if (!strcmp(text_word(text, i), words[w]))
            return true;
    return false;
}
