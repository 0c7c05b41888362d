/* See document.h. */
#include "document.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD_LINES_MAX 32

json_t *document_head(const char *whole, const char **ret_text)
{
    json_t *head = json_object();
    const char *at = whole;
    if (strncmp(at, "\xef\xbb\xbf", 3) == 0)
        at += 3;
    *ret_text = at;
    if (strncmp(at, "---\n", 4) != 0 && strncmp(at, "---\r\n", 5) != 0)
        return head;
    at = strchr(at, '\n') + 1;
    for (int i = 0; i < HEAD_LINES_MAX && *at; i++) {
        size_t n = strcspn(at, "\r\n"), name = strcspn(at, ":\r\n");
        const char *next = at + n + (at[n] == '\r') + (at[n + (at[n] == '\r')] == '\n');
        if (n == 3 && strncmp(at, "---", 3) == 0) {
            *ret_text = next;
            return head;
        }
        if (at[name] == ':' && name > 0 && name < 32) {
            char key[32];
            const char *value = at + name + 1, *end = at + n;
            snprintf(key, sizeof key, "%.*s", (int)name, at);
            while (value < end && (*value == ' ' || *value == '"' || *value == '['))
                value++;
            while (end > value && (end[-1] == ' ' || end[-1] == '"' || end[-1] == ']'))
                end--;
            json_object_set_new(head, key, json_stringn(value, (size_t)(end - value)));
        }
        at = next;
    }
    json_object_clear(head); /* it never ended: it was none */
    return head;
}

bool document_is_id(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return n > 0 && n <= DOCUMENT_ID_MAX && id[n] == '\0';
}

static const char *skip_marks(const char *line)
{
    while (*line && strchr("#*-+> \t", *line))
        line++;
    return line;
}

json_t *document_title(const char *text)
{
    const char *heading = strncmp(text, "# ", 2) == 0 ? text : strstr(text, "\n# ");
    const char *at = heading ? heading + (*heading == '\n') : text;
    at = skip_marks(at + strspn(at, "\r\n \t"));
    size_t n = strcspn(at, "\r\n");
    if (n > 120)
        for (n = 120; n > 0 && ((unsigned char)at[n] & 0xc0) == 0x80;)
            n--;
    return n ? json_stringn(at, n) : json_string("Untitled");
}

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

static int add(json_t *list, const char *kind, const char *text, size_t n)
{
    while (n && isspace((unsigned char)*text)) {
        text++;
        n--;
    }
    while (n && isspace((unsigned char)text[n - 1]))
        n--;
    if (!n)
        return 0;
    return json_array_append_new(list, json_pack("{s:s, s:s#}", "kind", kind, "text", text, (int)n));
}

static bool in_character(const char *text, size_t at)
{
    return ((unsigned char)text[at] & 0xc0) == 0x80;
}

/* Where a passage of at most `most` bytes ends best: behind a paragraph, a sentence, a word, in this order, as long as
 * half of it is used. */
static size_t best_end(const char *text, size_t n, size_t most)
{
    if (n <= most)
        return n;
    size_t paragraph = 0, sentence = 0, word = 0;
    for (size_t i = most / 2; i < most; i++) {
        if (text[i] == '\n' && text[i + 1] == '\n')
            paragraph = i + 2;
        else if (text[i] == '\n' || (strchr(".!?", text[i]) && isspace((unsigned char)text[i + 1])))
            sentence = i + 1;
        else if (text[i] == ' ')
            word = i + 1;
    }
    size_t end = paragraph ? paragraph : sentence ? sentence : word ? word : most;
    while (in_character(text, end))
        end--;
    return end;
}

/* Where the next passage begins: some way back, at a word. */
static size_t overlap(const char *text, size_t end)
{
    size_t at = end > DOCUMENT_OVERLAP_BYTES ? end - DOCUMENT_OVERLAP_BYTES : 0;
    while (at < end && !isspace((unsigned char)text[at]))
        at++;
    return at;
}

static void cut_plain(json_t *list, const char *text, size_t n)
{
    size_t from = 0;
    while (from < n && json_array_size(list) < DOCUMENT_PASSAGES_MAX) {
        size_t end = from + best_end(text + from, n - from, DOCUMENT_PASSAGE_BYTES);
        add(list, "passage", text + from, end - from);
        if (end >= n)
            break;
        size_t next = overlap(text, end);
        from = next > from ? next : end;
    }
}

static void cut_questions(json_t *list, const char *text, size_t n)
{
    int questions = 0;
    for (const char *at = text, *end = text + n; at < end && questions < DOCUMENT_QUESTIONS_MAX;) {
        size_t line = strcspn(at, "\n");
        if (at + line > end)
            line = (size_t)(end - at);
        const char *words = at;
        while (words < at + line && strchr("*-+> \t0123456789.)\"", *words))
            words++;
        size_t len = line - (size_t)(words - at);
        while (len && strchr("\"* \r", words[len - 1]))
            len--;
        if (len)
            questions++;
        add(list, "question", words, len);
        at += line + 1;
    }
}

static bool is_questions(const char *heading)
{
    static const char *const names[] = {"questions people ask", "questions customers ask", "people also ask",
                                        "frequently asked questions"};
    heading = skip_marks(heading);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncasecmp(heading, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* The line of a heading at or after `at`; NULL: none. */
static const char *next_heading(const char *at)
{
    for (; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (*at == '#' || is_questions(at))
            return at;
    return NULL;
}

json_t *document_cut(const char *text)
{
    json_t *list = json_array();
    const char *at = text, *plain = text, *heading;
    while (list && (heading = next_heading(at)) != NULL) {
        const char *line_end = heading + strcspn(heading, "\n");
        at = *line_end ? line_end + 1 : line_end;
        if (!is_questions(heading))
            continue;
        cut_plain(list, plain, (size_t)(heading - plain));
        const char *section = at;
        const char *next = section;
        while ((next = strstr(next, "#")) && next != section && next[-1] != '\n')
            next++;
        plain = next ? next : section + strlen(section);
        cut_questions(list, section, (size_t)(plain - section));
        at = plain;
    }
    if (list)
        cut_plain(list, plain, strlen(plain));
    return list;
}
