/* Reads out of a customer's words which bundle is wanted: sizes ("2GB", "one point five gig"), periods, codes. Pure;
 * any thread. */
#include "data.h"

#define WORD_SIZE 24

/* ---- words ---- */

static bool part_of_word(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '*' || c == '#';
}

/* The next word in small letters, "" at the end; a number and its unit are two words. */
static const char *next_word(const char *at, char ret_word[WORD_SIZE])
{
    size_t n = 0;
    while (*at && !part_of_word(*at))
        at++;
    bool digit = isdigit((unsigned char)*at) != 0, code = *at == '*' || *at == '#';
    for (; *at && part_of_word(*at); at++) {
        bool d = isdigit((unsigned char)*at) || (*at == '.' && digit && isdigit((unsigned char)at[1]));
        if (!code && *at == '.' && !d) {
            at++;
            break;
        }
        if (!code && d != digit)
            break;
        if (n < WORD_SIZE - 1)
            ret_word[n++] = (char)tolower((unsigned char)*at);
    }
    ret_word[n] = '\0';
    return at;
}

/* ---- sizes ---- */

/* A number in figures or words, in hundredths; -1: it is none. */
static int64_t hundredths(const char *word)
{
    static const char *const names[] = {"zero",     "one",      "two",      "three",   "four",    "five",
                                        "six",      "seven",    "eight",    "nine",    "ten",     "eleven",
                                        "twelve",   "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
                                        "eighteen", "nineteen", "twenty"};
    static const struct {
        const char *name;
        int n;
    } more[] = {{"half", 50}, {"a", 100}, {"hundred", 10000}, {"thirty", 3000}, {"forty", 4000}, {"fifty", 5000}};
    int64_t n = 0;
    if (isdigit((unsigned char)*word)) {
        int decimals = -1;
        for (const char *p = word; *p; p++) {
            if (*p == '.' && decimals < 0)
                decimals = 0;
            else if (!isdigit((unsigned char)*p) || n > 100000000)
                return -1;
            else if (decimals < 2) {
                n = n * 10 + (*p - '0');
                decimals += decimals >= 0;
            }
        }
        for (int d = decimals < 0 ? 0 : decimals; d < 2; d++)
            n *= 10;
        return n;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(word, names[i]) == 0)
            return (int64_t)i * 100;
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        if (strcmp(word, more[i].name) == 0)
            return more[i].n;
    return -1;
}

static int64_t unit_mb(const char *word)
{
    static const char *const gb[] = {"gb", "gbs", "gig", "gigs", "giga", "gigabyte", "gigabytes", "g", NULL};
    static const char *const mb[] = {"mb", "mbs", "meg", "megs", "megabyte", "megabytes", NULL};
    for (const char *const *u = gb; *u; u++)
        if (strcmp(word, *u) == 0)
            return 1024;
    for (const char *const *u = mb; *u; u++)
        if (strcmp(word, *u) == 0)
            return 1;
    return 0;
}

/* The first size in the words, in MB; *ret_end is behind it. 0: there is none. */
static int64_t first_size(const char *words, const char **ret_end)
{
    char word[WORD_SIZE];
    int64_t number = -1, point = 0; /* point: the next figure's worth, after "point" */
    bool and = false;
    for (const char *at = next_word(words, word); *word; at = next_word(at, word)) {
        int64_t unit = unit_mb(word), n = hundredths(word);
        bool network = strcmp(word, "g") == 0 && number >= 300 && number <= 500; /* "4G" is no size */
        if (unit && number > 0 && !network) {
            *ret_end = at;
            return number * unit / 100;
        }
        if (strcmp(word, "point") == 0 && number >= 0) {
            point = 10;
        } else if (strcmp(word, "and") == 0 && number > 0) {
            and = true;
        } else if (strcmp(word, "half") == 0 && and) {
            number += 50;
            and = false;
        } else if (n >= 0 && point && n < 1000) {
            number += n / 100 * point;
            point /= 10;
        } else if (strcmp(word, "hundred") == 0 && number > 0 && number < 1000) {
            number *= 100;
        } else {
            number = n;
            point = 0;
        }
    }
    return 0;
}

int64_t wanted_daily_mb(const char *words)
{
    static const char *const behind[] = {"a day",     "per day",  "each day", "every day", "daily",
                                         "for a day", "in a day", "everyday", NULL};
    const char *end = words;
    for (int64_t mb; (mb = first_size(end, &end)) > 0;) {
        const char *at = end + strspn(end, " ");
        if (*at == '/' && strncasecmp(at + 1, "day", 3) == 0)
            return mb;
        if (strncasecmp(at, "of data ", 8) == 0)
            at += 8;
        else if (strncasecmp(at, "data ", 5) == 0)
            at += 5;
        for (const char *const *b = behind; *b; b++)
            if (strncasecmp(at, *b, strlen(*b)) == 0)
                return mb;
    }
    return 0;
}

/* ---- periods and codes ---- */

int64_t wanted_days(const char *type)
{
    static const struct {
        const char *type;
        int days;
    } types[] = {{"DAILY", 1}, {"WEEKLY", 7}, {"MONTHLY", 30}, {"YEARLY", 365}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].type, type) == 0)
            return types[i].days;
    return 0;
}

static const char *type_named(const char *words)
{
    static const char *const yearly[] = {"yearly", "annual",   "a year",    "one year",
                                         "1 year", "365 days", "12 months", NULL};
    static const char *const monthly[] = {"monthly", "a month", "one month",  "1 month", "30 days",
                                          "30day",   "30 day",  "month plan", NULL};
    static const char *const weekly[] = {"weekly",     "a week", "one week", "1 week", "7 days",
                                         "seven days", "7day",   "7 day",    NULL};
    static const char *const daily[] = {"daily", "one day", "1 day", "24 hours", "24hrs", "for today", "1day", NULL};
    return words_have_any(words, yearly)    ? "YEARLY"
           : words_have_any(words, monthly) ? "MONTHLY"
           : words_have_any(words, weekly)  ? "WEEKLY"
           : words_have_any(words, daily)   ? "DAILY"
                                            : "";
}

static void code_named(const char *words, char ret_code[DATA_CODE_SIZE])
{
    ret_code[0] = '\0';
    for (const char *from = strchr(words, '*'); from; from = strchr(from + 1, '*')) {
        size_t n = strspn(from, "*0123456789");
        if (from[n] != '#' || n + 2 > DATA_CODE_SIZE || n < 3)
            continue;
        memcpy(ret_code, from, n + 1);
        ret_code[n + 1] = '\0';
        return;
    }
}

void wanted_read(const char *words, const json_t *amount, struct wanted *ret_wanted)
{
    const char *end;
    struct wanted w = {.mb = first_size(words, &end)};
    snprintf(w.type, sizeof w.type, "%s", type_named(words));
    if (strcmp(w.type, "DAILY") == 0 && wanted_daily_mb(words) > 0) /* what is used daily is no plan of a day */
        w.type[0] = '\0';
    code_named(words, w.code);
    if (amount && cvm_money_from_json(amount, &w.kobo) < 0)
        w.kobo = 0;
    *ret_wanted = w;
}
