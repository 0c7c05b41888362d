/* Tells an answer to the desk's question from a new matter. Pure. */
#include "reply.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 8

static size_t words_of(const char *text)
{
    size_t n = 0;
    for (text += strspn(text, " \t\r\n"); *text; n++) {
        text += strcspn(text, " \t\r\n");
        text += strspn(text, " \t\r\n");
    }
    return n;
}

bool reply_expected(const char *rule)
{
    return !strcmp(rule, "needs_input") || !strcmp(rule, "clarify_domain") || !strcmp(rule, "confirm_network");
}

static bool is_yes(const char *text)
{
    static const char *const words[] = {"yes", "yeah", "yep", "confirm", "confirmed", "ported", "sure", "correct"};
    char word[16];
    size_t n = 0;
    text += strspn(text, " \t\r\n");
    for (; n + 1 < sizeof word && text[n] && !strchr(" \t\r\n.,!", text[n]); n++)
        word[n] = text[n] >= 'A' && text[n] <= 'Z' ? (char)(text[n] + 32) : text[n];
    word[n] = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i]))
            return true;
    return false;
}

bool reply_fits(const struct vocabulary *v, const char *rule, const char *message)
{
    struct understanding u;
    static const char *const names[] = {"own", "urgent", "terse", "amount", "phone", "meter", "size"};
    uint64_t values = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        values |= vocabulary_signal(v, names[i]);
    size_t words = words_of(message);
    if (words == 0 || words > WORDS_MAX || strchr(message, '?'))
        return false;
    understand(v, message, "", &u);
    if ((u.signals & ~values) || u.escalate || u.greeting || u.n_parts > 1)
        return false;
    const struct entities *e = &u.entities;
    bool named = e->n_phones || e->n_meters || e->n_amounts || e->n_networks || e->n_discos || e->size_named ||
                 strpbrk(message, "0123456789");
    if (!strcmp(rule, "clarify_domain"))
        return u.domain >= 0 || named;
    if (!strcmp(rule, "confirm_network"))
        return named || is_yes(message);
    return named || (u.signals & vocabulary_signal(v, "own"));
}

/* A number alone, which after an order is its sum. */
static bool is_sum(const char *message)
{
    size_t begin = strspn(message, " \t\r\n"), digits = strspn(message + begin, "0123456789,");
    size_t end = begin + digits;
    return digits >= 2 && digits <= 7 && message[begin] != '0' && !message[end + strspn(message + end, " .\t\r\n")];
}

bool reply_join(const char *order, const char *message, char *ret_text, size_t size)
{
    int n =
        snprintf(ret_text, size, "%s. %s%s", order, is_sum(message) ? "N" : "", message + strspn(message, " \t\r\n"));
    return n > 0 && (size_t)n < size;
}
