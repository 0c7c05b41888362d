/* Scanners for numbers in customers' messages; see entities.h. Each token is marked with what it was taken for, so that
 * a phone number is not also a sum. */
#include "entities.h"
#include <stdlib.h>
#include <string.h>

#define NEAR 4 /* tokens */
#define DIGITS_MAX 32
#define SUM_MAX INT64_C(100000000000000) /* kobo */

enum mark { MARK_NONE, MARK_UNIT, MARK_PLACE, MARK_NETWORK, MARK_SERVICE };

struct scan {
    const struct vocabulary *v;
    const struct text *text;
    struct entities *e;
    bool used[TEXT_TOKENS_MAX];
    uint8_t unit[TEXT_TOKENS_MAX];    /* enum unit + 1 */
    bool service[TEXT_TOKENS_MAX];    /* word of a domain, a network or a DISCO */
    bool meter_word[TEXT_TOKENS_MAX]; /* meter, token, a DISCO */
};

/* Number words. Units add, "hundred" and above multiply; Hausa, Igbo and Yoruba name the multiplier first. */
static const struct {
    const char *word;
    int32_t value;
    bool leads;
} number_words[] = {
    {"zero", 0, false},      {"oh", 0, false},        {"one", 1, false},         {"two", 2, false},
    {"three", 3, false},     {"four", 4, false},      {"five", 5, false},        {"six", 6, false},
    {"seven", 7, false},     {"eight", 8, false},     {"nine", 9, false},        {"ten", 10, false},
    {"eleven", 11, false},   {"twelve", 12, false},   {"thirteen", 13, false},   {"fourteen", 14, false},
    {"fifteen", 15, false},  {"sixteen", 16, false},  {"seventeen", 17, false},  {"eighteen", 18, false},
    {"nineteen", 19, false}, {"twenty", 20, false},   {"thirty", 30, false},     {"forty", 40, false},
    {"fifty", 50, false},    {"sixty", 60, false},    {"seventy", 70, false},    {"eighty", 80, false},
    {"ninety", 90, false},   {"hundred", 100, false}, {"thousand", 1000, false}, {"million", 1000000, false},
    {"daya", 1, false},      {"biyu", 2, false},      {"uku", 3, false},         {"hudu", 4, false},
    {"biyar", 5, false},     {"shida", 6, false},     {"bakwai", 7, false},      {"takwas", 8, false},
    {"tara", 9, false},      {"goma", 10, false},     {"ashirin", 20, false},    {"talatin", 30, false},
    {"dari", 100, true},     {"dubu", 1000, true},    {"otu", 1, false},         {"abuo", 2, false},
    {"ato", 3, false},       {"ano", 4, false},       {"ise", 5, false},         {"nari", 100, true},
    {"puku", 1000, true},    {"egberun", 1000, true}, {"kan", 1, false},         {"meji", 2, false},
    {"meta", 3, false},      {"merin", 4, false},     {"marun", 5, false},       {"mefa", 6, false},
    {"meje", 7, false},      {"mejo", 8, false},      {"mesan", 9, false},       {"mewa", 10, false},
    {"ogun", 20, false},     {"ogorun", 100, false},  {"igba", 200, false},      {"eedegbeta", 500, false},
    {"arbain", 40, false},   {"hamsin", 50, false},   {"sittin", 60, false},     {"sabain", 70, false},
    {"tamanin", 80, false},  {"casain", 90, false},   {"isii", 6, false},        {"asaa", 7, false},
    {"asato", 8, false},     {"itoolu", 9, false},    {"iri", 10, false},
};

static int number_word(const struct text *x, size_t i)
{
    if (i >= x->n || x->tokens[i].kind != TOKEN_WORD)
        return -1;
    const char *w = text_word(x, i);
    for (size_t n = 0; n < sizeof number_words / sizeof *number_words; n++)
        if (*w == *number_words[n].word && !strcmp(w, number_words[n].word))
            return (int)n;
    return -1;
}

/* ---- digits ------------------------------------------------------------------------------------------------------ */

static bool plain_digits(const struct text *x, size_t i)
{
    return i < x->n && x->tokens[i].kind == TOKEN_NUMBER && !strpbrk(text_word(x, i), ".,");
}

/* Whether only blanks, hyphens, dots or brackets (at most three bytes) stand between tokens i and i + 1. */
static bool grouped(const struct text *x, size_t i)
{
    size_t from = x->tokens[i].end, to = x->tokens[i + 1].start;
    if (to - from > 3)
        return false;
    for (size_t b = from; b < to; b++)
        if (!strchr(" -.()", x->message[b]) || (x->message[b] == '.' && to - from > 1))
            return false;
    return true;
}

/* Joins groups of digits from token `i` while they make at most `max` digits; returns the token after them. */
static size_t join_digits(const struct text *x, size_t i, size_t max, char *digits, size_t *ret_n)
{
    size_t n = 0;
    while (plain_digits(x, i) && n + x->tokens[i].len <= max) {
        memcpy(digits + n, text_word(x, i), x->tokens[i].len);
        n += x->tokens[i].len;
        i++;
        if (i >= x->n || !plain_digits(x, i) || !grouped(x, i - 1))
            break;
    }
    digits[n] = 0;
    *ret_n = n;
    return i;
}

/* Digits said one by one: "zero eight zero three double one ..." (also mixed with figures). At least seven. */
static size_t spoken_digits(const struct text *x, size_t i, char *digits, size_t *ret_n)
{
    size_t n = 0, said = 0, start = i;
    for (; i < x->n && n + 3 < DIGITS_MAX; i++) {
        int times = 1;
        size_t at = i;
        const char *w = text_word(x, at);
        if (!strcmp(w, "double") || !strcmp(w, "triple")) {
            times = *w == 'd' ? 2 : 3;
            if (++at >= x->n)
                break;
            w = text_word(x, at);
        }
        int word = number_word(x, at);
        char digit = 0;
        if (word >= 0 && number_words[word].value <= 9 && word <= 10)
            digit = (char)('0' + number_words[word].value);
        else if (!strcmp(w, "o") || !strcmp(w, "zeros"))
            digit = '0';
        else if (plain_digits(x, at) && x->tokens[at].len == 1)
            digit = *w;
        if (!digit)
            break;
        for (int k = 0; k < times; k++)
            digits[n++] = digit;
        said++;
        i = at;
        if (x->tokens[i].flags & TOKEN_SENTENCE_END) {
            i++;
            break;
        }
    }
    digits[n] = 0;
    *ret_n = n;
    return said >= 7 ? i : start;
}

/* ---- phones and meters ------------------------------------------------------------------------------------------- */

/* The local form of digits that are a mobile number (service.md 7.1). */
static bool phone_form(const char *d, size_t n, char ret_phone[12])
{
    if (n == 14 && !strncmp(d, "2340", 4))
        d += 4, n -= 4;
    else if (n == 13 && !strncmp(d, "234", 3))
        d += 3, n -= 3;
    else if (n == 11 && *d == '0')
        d++, n--;
    else
        return false;
    if (n != 10 || !strchr("789", *d))
        return false;
    ret_phone[0] = '0';
    memcpy(ret_phone + 1, d, 11);
    return true;
}

/* D-32: a phone form wins unless words for a meter stand near and none for a phone stands nearer. */
static bool meter_near(const struct scan *s, size_t from, size_t to)
{
    static const char *const phone_words[] = {"phone", "line", "call", "sms", "whatsapp", "sim", "mobile", "gsm"};
    static const char *const joints[] = {"and", "then", "plus", "also"};
    size_t n_joints = sizeof joints / sizeof *joints;
    for (size_t d = 1; d <= NEAR && d <= from; d++) {
        if (text_word_is(s->text, from - d, phone_words, sizeof phone_words / sizeof *phone_words))
            return false;
        if (s->meter_word[from - d])
            return true;
        if ((s->text->tokens[from - d].flags & TOKEN_SENTENCE_END) || text_word_is(s->text, from - d, joints, n_joints))
            break;
    }
    for (size_t i = to; i < s->text->n && i < to + 2 && !(s->text->tokens[i - 1].flags & TOKEN_SENTENCE_END); i++) {
        if (text_word_is(s->text, i, joints, n_joints))
            break;
        if (s->meter_word[i])
            return true;
    }
    return false;
}

/* "Send the token to 0806...": what a meter that was named is sent to. */
static bool sent_to(const struct scan *s, size_t from)
{
    return s->e->n_meters && from &&
           text_word_is(s->text, from - 1, (const char *const[]){"to", "sms", "text", "whatsapp", "via"}, 5);
}

/* Letters stand right behind: "202550117382FA". */
static bool letters_behind(const struct scan *s, size_t to)
{
    const struct text *x = s->text;
    return to < x->n && (x->tokens[to - 1].flags & TOKEN_GLUED) && x->tokens[to].kind == TOKEN_WORD;
}

static bool reference_before(const struct scan *s, size_t from)
{
    static const char *const words[] = {"ref",         "reference", "serial", "call",    "called",  "calling",
                                        "transaction", "txn",       "order",  "session", "account", "receipt",
                                        "invoice",     "id",        "nin",    "bvn"};
    for (size_t d = 1; d <= 3 && d <= from; d++) {
        if (s->meter_word[from - d])
            return false;
        if (text_word_is(s->text, from - d, words, sizeof words / sizeof *words))
            return true;
    }
    return false;
}

static void keep_text(char *list, size_t width, size_t *n, const char *value)
{
    for (size_t i = 0; i < *n; i++)
        if (!strcmp(list + i * width, value))
            return;
    if (*n < ENTITIES_MAX)
        memcpy(list + (*n)++ * width, value, strlen(value) + 1);
}

/* Takes digits standing in tokens [from, to) as a phone or a meter number, if they are one. */
static bool take_number(struct scan *s, const char *digits, size_t n, size_t from, size_t to)
{
    char phone[12];
    struct entities *e = s->e;
    bool phone_like = phone_form(digits, n, phone);
    if (phone_like && (sent_to(s, from) || !(n == 11 && meter_near(s, from, to)))) {
        if (e->n_phones < ENTITIES_MAX)
            e->phone_at[e->n_phones] = (uint16_t)from;
        keep_text(e->phones[0], sizeof e->phones[0], &e->n_phones, phone);
        return true;
    }
    if (n < 11 || n > 13 || (s->text->tokens[from].flags & TOKEN_PLUS) || letters_behind(s, to))
        return false;
    if (!meter_near(s, from, to) && (phone_like || reference_before(s, from)))
        return false; /* else: no other number of the trade has so many digits */
    if (e->n_meters < ENTITIES_MAX)
        e->meter_at[e->n_meters] = (uint16_t)from;
    keep_text(e->meters[0], sizeof e->meters[0], &e->n_meters, digits);
    return true;
}

/* "4 08031112229": the 4 is a word. */
static bool is_for(const struct text *x, size_t i)
{
    char phone[12];
    return plain_digits(x, i) && x->tokens[i].len == 1 && plain_digits(x, i + 1) && x->tokens[i + 1].len == 11 &&
           phone_form(text_word(x, i + 1), 11, phone);
}

/* Twenty digits in groups of four are a token. Returns the token after them; `i`: they are none. */
static size_t token_groups(const struct text *x, size_t i)
{
    size_t to = i;
    while (plain_digits(x, to) && x->tokens[to].len == 4 && (to == i || grouped(x, to - 1)))
        to++;
    return to - i == 5 ? to : i;
}

static void read_numbers(struct scan *s)
{
    const struct text *x = s->text;
    char digits[DIGITS_MAX + 1];
    for (size_t i = 0; i < x->n;) {
        size_t n = 0, to = token_groups(x, i);
        while (i < to)
            s->used[i++] = true;
        if (i >= x->n || is_for(x, i)) {
            i++;
            continue;
        }
        to = i;
        if (plain_digits(x, i))
            to = join_digits(x, i, 14, digits, &n);
        /* The longest joined form first; then one token alone, for "0803... 500". */
        bool taken = n && take_number(s, digits, n, i, to);
        for (size_t shorter = to; !taken && shorter > i + 1;) {
            n -= x->tokens[--shorter].len;
            digits[n] = 0;
            taken = take_number(s, digits, n, i, shorter);
            if (taken)
                to = shorter;
        }
        if (!taken) {
            to = spoken_digits(x, i, digits, &n);
            taken = to > i;
            if (taken)
                take_number(s, digits, n, i, to);
        }
        if (!taken) {
            i++;
            continue;
        }
        while (i < to)
            s->used[i++] = true;
    }
}

/* ---- sums ---------------------------------------------------------------------------------------------------------
 */

static void keep_amount(struct entities *e, int64_t kobo, size_t at)
{
    for (size_t i = 0; i < e->n_amounts; i++)
        if (e->amounts[i] == kobo)
            return;
    if (kobo <= 0 || kobo > SUM_MAX || e->n_amounts == ENTITIES_MAX)
        return;
    e->amount_at[e->n_amounts] = (uint16_t)at;
    e->amounts[e->n_amounts++] = kobo;
}

/* Kobo of a number token; -1: no sum (more than two decimals without a multiplier are still a number). */
static int64_t figure(const struct text *x, size_t i)
{
    int64_t value = 0, scale = 0;
    size_t digits = 0;
    for (const char *w = text_word(x, i); *w; w++) {
        if (*w == ',')
            continue;
        if (*w == '.') {
            if (scale)
                return -1;
            scale = 100;
            continue;
        }
        if (++digits > 13)
            return -1;
        if (!scale)
            value = value * 10 + (*w - '0') * (int64_t)100;
        else
            value += (*w - '0') * (scale /= 10);
        if (scale == 1)
            break; /* kobo read; what follows is finer */
    }
    return value;
}

static int unit_at(const struct scan *s, size_t i)
{
    return i < s->text->n ? s->unit[i] - 1 : -1;
}

static bool starts_sentence(const struct scan *s, size_t i)
{
    return !i || (s->text->tokens[i - 1].flags & TOKEN_SENTENCE_END);
}

/* "N500": the letter alone, glued before the figures; "ngn 500"; the naira sign. */
static bool naira_before(const struct scan *s, size_t i)
{
    const struct text *x = s->text;
    if (x->tokens[i].flags & TOKEN_NAIRA)
        return true;
    if (!i || starts_sentence(s, i))
        return false;
    if (unit_at(s, i - 1) == UNIT_NAIRA)
        return true;
    if ((x->tokens[i - 1].flags & TOKEN_CLAUSE_END) && x->message[x->tokens[i - 1].end] == ':' &&
        text_word_is(x, i - 1, (const char *const[]){"amount", "sum", "value", "price"}, 4)) /* a form's field */
        return true;
    return x->tokens[i - 1].len == 1 && *text_word(x, i - 1) == 'n' && x->tokens[i].start - x->tokens[i - 1].end <= 1;
}

/* A service is named within a few words, or a phone number stands beside: a number alone is then probably a sum. */
static bool service_near(const struct scan *s, size_t i)
{
    const struct text *x = s->text;
    for (size_t d = 1; d <= NEAR && d <= i; d++) {
        if (x->tokens[i - d].flags & TOKEN_SENTENCE_END)
            break;
        if (s->service[i - d] || (d == 1 && s->used[i - d]))
            return true;
    }
    for (size_t j = i + 1; j < x->n && j <= i + NEAR; j++) {
        if (x->tokens[j - 1].flags & TOKEN_SENTENCE_END)
            break;
        if (s->service[j] || (j <= i + 2 && s->used[j]))
            return true;
    }
    return false;
}

/* "members", "teachers": more than one of something, and nothing that is sold. */
static bool is_plural_thing(const struct scan *s, size_t i)
{
    static const char *const others[] = {"thanks",  "always",    "perhaps", "besides",
                                         "towards", "sometimes", "unless",  "across"};
    const struct text *x = s->text;
    const char *word = text_word(x, i);
    size_t len = x->tokens[i].len;
    char first = x->message[x->tokens[i].start];
    return x->tokens[i].kind == TOKEN_WORD && len >= 6 && word[len - 1] == 's' && word[len - 2] != 's' &&
           !(first >= 'A' && first <= 'Z') && !s->service[i] && unit_at(s, i) < 0 &&
           !text_word_is(x, i, others, sizeof others / sizeof *others);
}

/* "D-7781", "CMP-20931"; "MTN-500" is none. */
static bool is_reference(const struct scan *s, size_t i)
{
    const struct text *x = s->text;
    return i && x->tokens[i - 1].kind == TOKEN_WORD && !s->service[i - 1] &&
           x->tokens[i].start == x->tokens[i - 1].end + 1 && x->message[x->tokens[i - 1].end] == '-';
}

static bool looks_bare_amount(const struct scan *s, size_t i, int64_t kobo)
{
    static const char *const not_sums[] = {
        "at",     "by",    "on",      "number",  "no",    "code", "flat",    "block",   "house", "plot",  "room",
        "band",   "since", "error",   "phase",   "dial",  "form", "page",    "step",    "order", "ref",   "id",
        "ticket", "ping",  "channel", "reading", "shows", "show", "showing", "account", "acct",  "serial"};
    static const char *const copulas[] = {"na", "is", "be"};
    const struct text *x = s->text;
    const struct token *k = &x->tokens[i];
    bool comma = strchr(text_word(x, i), ',') != NULL;
    if (kobo < 5000 || kobo > INT64_C(500000000) || (k->flags & (TOKEN_CODE | TOKEN_PERCENT | TOKEN_JOINED)) ||
        (k->start && x->message[k->start - 1] == '+'))
        return false;
    if (k->len > 1 && *text_word(x, i) == '0')
        return false;
    if (i && ((x->tokens[i - 1].flags & TOKEN_GLUED) || is_reference(s, i))) /* "TP4471" */
        return false;
    if (i + 1 < x->n && !(k->flags & (TOKEN_SENTENCE_END | TOKEN_CLAUSE_END)) && is_plural_thing(s, i + 1))
        return false; /* "60 members" */
    if (comma)
        return true;
    if (kobo >= 190000 && kobo <= 203000 && kobo % 100 == 0 && i &&
        text_word_is(x, i - 1, (const char *const[]){"in", "of", "year", "since"}, 4))
        return false;
    if (kobo > 200000 && kobo < 204000 && kobo % 1000 && kobo % 100 == 0) /* a year, 2001 to 2039, is no round sum */
        return false;
    if (i && text_word_is(x, i - 1, (const char *const[]){"no", "ref", "acct", "id"}, 4)) /* "House No. 250" */
        return false;
    if (i && !starts_sentence(s, i) && text_word_is(x, i - 1, (const char *const[]){"amount", "below", "under"}, 3))
        return true;
    if (i && !starts_sentence(s, i) && text_word_is(x, i - 1, not_sums, sizeof not_sums / sizeof *not_sums))
        return false;
    if (i > 1 && text_word_is(x, i - 1, copulas, 3) &&
        text_word_is(x, i - 2, not_sums, sizeof not_sums / sizeof *not_sums))
        return false; /* "my application number na 2209" */
    bool round = kobo >= 10000 && kobo <= INT64_C(5000000) && kobo % 5000 == 0 && !(k->flags & TOKEN_GLUED);
    return round || service_near(s, i);
}

/* A sum in figures at token `i`: "N1,000", "1k", "2.5k", "500 naira", "1200" beside "airtime". Returns the token after.
 */
static size_t read_figure(struct scan *s, size_t i)
{
    const struct text *x = s->text;
    int64_t kobo = figure(x, i);
    size_t next = i + 1;
    bool follows = !(x->tokens[i].flags & TOKEN_SENTENCE_END) && next < x->n;
    int unit = follows ? unit_at(s, next) : -1;
    bool foreign = i && !starts_sentence(s, i) && unit_at(s, i - 1) == UNIT_FOREIGN; /* "USD 500" */
    if (kobo < 0 || foreign || x->tokens[i].len > 12 || (x->tokens[i].flags & (TOKEN_FOREIGN | TOKEN_CODE)))
        return next;
    bool sum = naira_before(s, i);
    if (sum && (x->tokens[i].flags & TOKEN_GLUED) && follows && !strcmp(text_word(x, next), "m")) /* "N4.5m" */
        unit = UNIT_MILLION;
    if (unit == UNIT_THOUSAND || unit == UNIT_MILLION) {
        kobo = kobo > SUM_MAX / 1000000 ? -1 : kobo * (unit == UNIT_THOUSAND ? 1000 : 1000000);
        sum = true;
        next++;
        follows = !(x->tokens[next - 1].flags & TOKEN_SENTENCE_END) && next < x->n;
        unit = follows ? unit_at(s, next) : -1;
        if (unit == UNIT_OTHER &&
            text_word_is(x, next, (const char *const[]){"unit", "units"}, 2)) /* units for so much */
            unit = -1;
    }
    if (unit == UNIT_NAIRA)
        sum = true;
    else if (unit == UNIT_SIZE || unit == UNIT_OTHER || unit == UNIT_FOREIGN) {
        s->e->size_named |= unit == UNIT_SIZE;
        bool lone_n = i && !(x->tokens[i].flags & TOKEN_NAIRA) &&
                      text_word_is(x, i - 1, (const char *const[]){"n"}, 1) &&
                      x->tokens[i - 1].end != x->tokens[i].start; /* "1k n 1gb" */
        if (lone_n || !naira_before(s, i))
            return next;
    }
    if (!sum && next == i + 1 && looks_bare_amount(s, i, kobo))
        s->e->bare_amount = sum = true;
    if (sum)
        keep_amount(s->e, kobo, i);
    return next;
}

/* "dubu" and "egberun" alone are a thousand; before a word that is not known here they may be any number of them. */
static bool multiplier_of_unknown(const struct scan *s, size_t next)
{
    static const char *const known[] = {"na",  "a",  "ni", "si",  "fun",    "ga",   "ka", "don",
                                        "for", "to", "on", "pls", "please", "abeg", "of"};
    return next < s->text->n && s->text->tokens[next].kind == TOKEN_WORD && !s->service[next] && unit_at(s, next) < 0 &&
           !text_word_is(s->text, next, known, sizeof known / sizeof *known);
}

/* A sum in words: "five thousand", "two hundred and fifty naira", "dubu daya", "ten k". Returns the token after. */
static size_t read_words(struct scan *s, size_t i)
{
    const struct text *x = s->text;
    static const char *const joins[] = {"and", "da", "ati", "sha", "lona"};
    int64_t total = 0, group = 0, tens_of = 0; /* tens_of: what the tens just read were multiplied by */
    bool multiplied = false, pending = false, any = false, naira = false;
    size_t start = i;
    for (; i < x->n && !s->used[i]; i++) {
        int w = number_word(x, i);
        if (w < 0) {
            bool and_more =
                any && text_word_is(x, i, joins, sizeof joins / sizeof *joins) && number_word(x, i + 1) >= 0;
            if (any && unit_at(s, i) == UNIT_THOUSAND && x->tokens[i].len == 1) {
                total += (group ? group : 1) * 1000;
                group = 0;
                multiplied = true;
                i++;
                break;
            }
            if (and_more)
                continue;
            if (pending && unit_at(s, i) == UNIT_NAIRA && number_word(x, i + 1) >= 0 &&
                !number_words[number_word(x, i + 1)].leads) { /* "puku naira ise" */
                naira = true;
                continue;
            }
            break;
        }
        int64_t value = number_words[w].value;
        any = true;
        if (number_words[w].leads) {
            bool of_that = pending && value < group; /* "dubu dari", a hundred thousand */
            total += pending && !of_that ? group : 0;
            group = of_that ? group * value : value;
            pending = multiplied = true;
        } else if (pending) {
            tens_of = value >= 10 && value % 10 == 0 ? group : 0;
            group *= value ? value : 1;
            total += group;
            group = 0;
            pending = false;
        } else if (tens_of && value < 10 && text_word_is(x, i - 1, (const char *const[]){"da", "sha"}, 2)) {
            total += tens_of * value; /* "dubu talatin da biyar" */
            tens_of = 0;
        } else if (tens_of && value > 1 && value < 10 && !strcmp(text_word(x, i - 1), "iri")) {
            total += tens_of * 10 * (value - 1); /* "puku iri ato" */
            tens_of = 0;
        } else if (value == 100) {
            group = (group ? group : 1) * 100;
            multiplied = true;
        } else if (value >= 1000) {
            total += (group ? group : 1) * value;
            group = 0;
            multiplied = true;
        } else {
            group += value;
        }
        if (total > SUM_MAX / 100 || group > SUM_MAX / 1000000000) { /* nobody's sum */
            while (number_word(x, i) >= 0)
                i++;
            return i;
        }
        if (x->tokens[i].flags & TOKEN_SENTENCE_END) {
            i++;
            break;
        }
    }
    if (!any)
        return start + 1;
    total += group;
    bool ended = x->tokens[i - 1].flags & TOKEN_SENTENCE_END;
    int after = ended ? -1 : unit_at(s, i), before = start && !starts_sentence(s, start) ? unit_at(s, start - 1) : -1;
    if (pending && !ended && multiplier_of_unknown(s, i))
        return i;
    if (before == UNIT_NAIRA && start > 1 &&
        (x->tokens[start - 2].kind == TOKEN_NUMBER || number_word(x, start - 2) >= 0))
        before = -1;                                                            /* "500 naira kan" */
    bool of_figures = !ended && i < x->n && (x->tokens[i].flags & TOKEN_GLUED); /* "one N500" */
    naira |= (after == UNIT_NAIRA && !of_figures) || before == UNIT_NAIRA;
    if (after == UNIT_SIZE || after == UNIT_OTHER || after == UNIT_FOREIGN)
        return i;
    if (naira || (multiplied && total >= 50))
        keep_amount(s->e, total * 100, start);
    return i > start ? i : start + 1;
}

/* ---- a sum for each of several ------------------------------------------------------------------------------------
 */

#define COUNT_MAX 9999

static bool is_sum(const struct scan *s, size_t i)
{
    for (size_t a = 0; a < s->e->n_amounts; a++)
        if (s->e->amount_at[a] == i)
            return true;
    return naira_before(s, i);
}

/* A number in figures or words from token `*i` on, which goes behind it; 0: none. */
static int64_t count_words(const struct text *x, size_t *i)
{
    int64_t n = 0;
    if (x->tokens[*i].kind == TOKEN_NUMBER)
        return x->tokens[*i].len <= 5 ? figure(x, (*i)++) / 100 : 0;
    for (size_t last = *i + 6; *i < last; (*i)++) {
        int w = number_word(x, *i);
        if (w < 0 && n && *i < x->n && !strcmp(text_word(x, *i), "and"))
            continue;
        if (w < 0 || number_words[w].value > 100 || number_words[w].leads)
            break;
        n = number_words[w].value == 100 ? (n ? n : 1) * 100 : n + number_words[w].value;
    }
    return n;
}

/* How many things token `i` begins to count, "42 teachers" and "three prepaid meters"; 0: none. */
static int64_t count_at(const struct scan *s, size_t i)
{
    static const char *const things[] = {"meters",   "lines",     "phones",  "numbers", "staff",   "people",
                                         "persons",  "sims",      "flats",   "houses",  "shops",   "students",
                                         "accounts", "customers", "devices", "kids",    "children"};
    const struct text *x = s->text;
    if (s->used[i] || is_sum(s, i))
        return 0;
    int64_t n = count_words(x, &i);
    for (size_t last = i + 2; n > 1 && n <= COUNT_MAX && i < last && i < x->n; i++)
        if (text_word_is(x, i, things, sizeof things / sizeof *things) || is_plural_thing(s, i))
            return n;
    return 0;
}

/* The sum that stands beside token `i`, "each": before it, or else behind. 0: none. */
static int64_t sum_beside(const struct scan *s, size_t i)
{
    const struct entities *e = s->e;
    for (int behind = 0; behind < 2; behind++)
        for (size_t d = 1; d <= NEAR + 2; d++)
            for (size_t a = 0; a < e->n_amounts; a++)
                if (behind ? e->amount_at[a] == i + d : e->amount_at[a] + d == i)
                    return e->amounts[a];
    return 0;
}

static void read_each(const struct scan *s)
{
    static const char *const times[] = {"time", "month", "week", "day", "year", "night", "morning", "other"};
    const struct text *x = s->text;
    int64_t each = 0, count = (int64_t)(s->e->n_phones > s->e->n_meters ? s->e->n_phones : s->e->n_meters);
    for (size_t i = 0; i < x->n && !each; i++)
        if (text_word_is(x, i, (const char *const[]){"each", "apiece"}, 2) &&
            (i + 1 == x->n || !text_word_is(x, i + 1, times, sizeof times / sizeof *times)))
            each = sum_beside(s, i);
    for (size_t i = 0; i < x->n && each; i++) {
        int64_t n = count_at(s, i);
        count = n > count ? n : count;
    }
    s->e->each_kobo = count > 1 ? each * count : 0; /* SUM_MAX times COUNT_MAX is an int64_t */
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static void keep_name(uint8_t *list, size_t *n, uint8_t name)
{
    for (size_t i = 0; i < *n; i++)
        if (list[i] == name)
            return;
    if (*n < ENTITIES_MAX)
        list[(*n)++] = name;
}

static void read_marks(struct scan *s, const struct vocabulary_match *matches, size_t n)
{
    int power = vocabulary_domain(s->v, "POWER");
    uint64_t paying =
        vocabulary_signal(s->v, "buy") | vocabulary_signal(s->v, "debited") | vocabulary_signal(s->v, "refund");
    for (size_t m = 0; m < n; m++) {
        for (uint32_t l = matches[m].label; l; l = s->v->labels[l - 1].next) {
            const struct vocabulary_label *label = &s->v->labels[l - 1];
            bool meter = label->group == GROUP_DISCO ||
                         (label->group == GROUP_DOMAIN && label->index == power && label->weight >= 3);
            bool service = label->group == GROUP_NETWORK || label->group == GROUP_DISCO ||
                           (label->group == GROUP_SIGNAL && (paying & UINT64_C(1) << label->index)) ||
                           (label->group == GROUP_DOMAIN && label->index != VOCABULARY_NO_DOMAIN && label->weight >= 2);
            for (size_t i = matches[m].start; i < matches[m].end; i++) {
                s->meter_word[i] |= meter;
                s->service[i] |= service;
                if (label->group == GROUP_UNIT)
                    s->unit[i] = (uint8_t)(label->index + 1);
            }
            if (label->group == GROUP_NETWORK)
                keep_name(s->e->networks, &s->e->n_networks, label->index);
            else if (label->group == GROUP_DISCO)
                keep_name(s->e->discos, &s->e->n_discos, label->index);
        }
    }
}

void entities_read(const struct vocabulary *v, const struct text *text, const struct vocabulary_match *matches,
                   size_t n_matches, struct entities *e)
{
    struct scan s = {.v = v, .text = text, .e = e};
    memset(e, 0, sizeof *e);
    read_marks(&s, matches, n_matches);
    read_numbers(&s);
    for (size_t i = 0; i < text->n;) {
        if (s.used[i])
            i++;
        else if (text->tokens[i].kind == TOKEN_NUMBER)
            i = read_figure(&s, i);
        else if (number_word(text, i) >= 0)
            i = read_words(&s, i);
        else
            i++;
    }
    read_each(&s);
}

static json_t *names_json(const char *const *names, const uint8_t *list, size_t n)
{
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, json_string(names[list[i]]));
    return array;
}

json_t *entities_json(const struct vocabulary *v, const struct entities *e)
{
    json_t *phones = json_array(), *meters = json_array(), *amounts = json_array();
    for (size_t i = 0; i < e->n_phones; i++)
        json_array_append_new(phones, json_string(e->phones[i]));
    for (size_t i = 0; i < e->n_meters; i++)
        json_array_append_new(meters, json_string(e->meters[i]));
    for (size_t i = 0; i < e->n_amounts; i++)
        json_array_append_new(amounts, json_real((double)e->amounts[i] / 100.0));
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "phone_numbers", phones, "meter_numbers", meters, "amounts", amounts,
                     "networks", names_json((const char *const *)v->networks, e->networks, e->n_networks), "discos",
                     names_json((const char *const *)v->discos, e->discos, e->n_discos));
}
