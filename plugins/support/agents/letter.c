/* See letter.h. */
#include "letter.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTED_BYTES 240 /* of the customer's own words */

__attribute__((format(printf, 3, 4))) static size_t add(char *text, size_t at, const char *format, ...)
{
    va_list args;
    if (at + 1 >= LETTER_SIZE)
        return at;
    va_start(args, format);
    int n = vsnprintf(text + at, LETTER_SIZE - at, format, args);
    va_end(args);
    if (n < 0 || at + (size_t)n < LETTER_SIZE)
        return n < 0 ? at : at + (size_t)n;
    size_t end = LETTER_SIZE - 1; /* cut: no part of a character at its end */
    while (end > at && ((unsigned char)text[end - 1] & 0xc0) == 0x80)
        end--;
    end -= end > at && (unsigned char)text[end - 1] >= 0xc0;
    memset(text + end, 0, LETTER_SIZE - end);
    return LETTER_SIZE - 1;
}

/* The customer's words as one line, cut at a word. */
static void quote(const char *description, char ret[QUOTED_BYTES + 8])
{
    size_t at = 0;
    for (const char *c = description; *c && at < QUOTED_BYTES; c++)
        if (!isspace((unsigned char)*c))
            ret[at++] = *c;
        else if (at && ret[at - 1] != ' ')
            ret[at++] = ' ';
    bool whole = at < QUOTED_BYTES;
    while (!whole && at && ret[at - 1] != ' ')
        at--;
    while (at && ret[at - 1] == ' ')
        at--;
    snprintf(ret + at, 8, "%s", whole ? "" : " ...");
}

static size_t add_solution(const struct letter *l, char *text, size_t at)
{
    if (*l->solution)
        return add(text, at, "Our support team has looked into it and recommends:\n\n%s\n\n", l->solution);
    if (!l->found)
        at = add(text, at, "We have not found a documented solution yet. What happens now:\n\n");
    else
        at = add(text, at, "What we found: %s\n\nPlease do the following:\n\n", l->root_cause);
    for (size_t i = 0; i < json_array_size(l->steps); i++)
        at = add(text, at, "%zu. %s\n", i + 1, json_string_value(json_array_get(l->steps, i)));
    return add(text, at, "\n");
}

static size_t add_greeting(const struct letter *l, char *text)
{
    char quoted[QUOTED_BYTES + 8];
    size_t at = add(text, 0, "Dear %s,\n\n", *l->name ? l->name : "customer");
    quote(l->description, quoted);
    at = add(text, at, "thank you for contacting us. This is about your ticket %s", l->ticket_id);
    return *quoted ? add(text, at, ":\n\n    %s\n\n", quoted) : add(text, at, ".\n\n");
}

void letter_ask(const struct letter *l, const char *question, char ret_subject[SUBJECT_SIZE],
                char ret_text[LETTER_SIZE])
{
    snprintf(ret_subject, SUBJECT_SIZE, "Your support ticket %.64s: a question", l->ticket_id);
    size_t at = add_greeting(l, ret_text);
    at = add(ret_text, at, "To go on with it we need to know from you:\n\n%s\n\n", question);
    add(ret_text, at,
        "Please answer with the ticket's number %s. Its time stands still meanwhile.\n\nKind regards\n%s\n",
        l->ticket_id, l->sender);
}

void letter_write(const struct letter *l, char ret_subject[SUBJECT_SIZE], char ret_text[LETTER_SIZE])
{
    size_t at = add_greeting(l, ret_text);
    if (l->entitled) {
        snprintf(ret_subject, SUBJECT_SIZE, "Your support ticket %.64s: our recommendation", l->ticket_id);
        at = add_solution(l, ret_text, at);
        at = add(ret_text, at,
                 "If this does not put it right, please answer with the ticket's number %s, and tell us what you see: "
                 "we will take it up again.\n\n",
                 l->ticket_id);
    } else {
        snprintf(ret_subject, SUBJECT_SIZE, "Your support ticket %.64s", l->ticket_id);
        at = add(
            ret_text, at,
            "The plan %s%s%s does not include technical support, so we cannot work on this ticket. We are sorry that "
            "we have no better answer today.\n\nWith a plan that includes support (Professional or Enterprise) we "
            "will gladly take it up: tell us, and refer to the ticket's number %s. Our documentation stays open to "
            "you with any plan.\n\n",
            *l->plan ? l->plan : "you have", *l->company ? " of " : "", l->company, l->ticket_id);
    }
    add(ret_text, at, "Kind regards\n%s\n", l->sender);
}

/* Whether the words of `part` stand in `text`, in their order and without regard to blanks. */
static bool says(const char *text, const char *part)
{
    while (isspace((unsigned char)*part))
        part++;
    for (; *text; text++) {
        const char *a = text, *b = part;
        while (*b) {
            if (isspace((unsigned char)*b)) {
                while (isspace((unsigned char)*b))
                    b++;
                if (*b && !isspace((unsigned char)*a))
                    break;
                while (isspace((unsigned char)*a))
                    a++;
            } else if (*a++ != *b++) {
                b--;
                break;
            }
        }
        if (!*b)
            return true;
    }
    return !*part;
}

bool letter_complete(const struct letter *l, const char *text)
{
    if (strlen(text) >= LETTER_SIZE || !strstr(text, l->ticket_id) || (*l->name && !strstr(text, l->name)))
        return false;
    if (!l->entitled)
        return !*l->plan || strstr(text, l->plan) != NULL;
    if (*l->solution)
        return says(text, l->solution);
    for (size_t i = 0; i < json_array_size(l->steps); i++)
        if (!says(text, json_string_value(json_array_get(l->steps, i))))
            return false;
    return true;
}
