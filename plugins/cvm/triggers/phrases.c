/* Phrases compiled and looked for; see words.h. Each word of a phrase is a class: a set of words and beginnings of
 * words. A text's word is marked with its classes once; a phrase is then a row of classes. Pure; any thread. */
#include "words.h"
#include <cvm/cvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLASSES_MAX 8192
#define ELEMENTS_MAX 14
#define PHRASES_MAX 16384
#define LABELS_MAX 1024
#define MEMBERS_MAX 65536

struct element {
    uint16_t class;
    uint8_t gap;   /* words that may lie before it */
    bool optional; /* it may be missing */
};

struct phrase {
    uint16_t label, n;
    uint32_t next; /* with the same first class; number + 1 */
    char *text;
    struct element element[ELEMENTS_MAX];
};

struct member { /* a word, or the beginning of one, of a class */
    uint32_t next;
    uint16_t class;
    uint8_t len;
    bool prefix;
    char word[WORDS_BYTES_MAX];
};

struct phrases {
    size_t n_classes, n, n_labels, n_members, table;
    struct member *members;
    uint32_t *buckets; /* by the hash of a whole word, or of the first three letters of a beginning; member + 1 */
    struct phrase *phrase;
    uint32_t *first; /* class -> phrase + 1 */
    char **labels;
    json_t *ids;       /* text of a class -> its number */
    size_t name_class; /* of "#name", + 1; 0: no phrase has it */
    char *error;
    size_t error_size;
};

static int wrong(struct phrases *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(p->error, p->error_size, format, args);
    va_end(args);
    return CVM_EINVAL;
}

static uint32_t hash(const char *s, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ^ h >> 15;
}

static int add_member(struct phrases *p, uint16_t class, const char *word, size_t len)
{
    bool prefix = len > 1 && word[len - 1] == '*';
    len -= prefix;
    if (!len || len >= WORDS_BYTES_MAX || (prefix && len < 3))
        return wrong(p, "\"%.*s\" is no word, or a beginning of fewer than three letters", (int)len, word);
    if (p->n_members == MEMBERS_MAX)
        return wrong(p, "more than %d words in all", MEMBERS_MAX);
    struct member *m = &p->members[p->n_members++];
    m->class = class;
    m->len = (uint8_t)len;
    m->prefix = prefix;
    memcpy(m->word, word, len);
    m->word[len] = 0;
    uint32_t *bucket = &p->buckets[hash(word, prefix ? 3 : len) & (p->table - 1)];
    m->next = *bucket;
    *bucket = (uint32_t)p->n_members;
    return 0;
}

static int class_of(struct phrases *p, const json_t *named, const char *text, size_t len, int depth, int into);

/* Puts the words of a named class into class `into`. */
static int add_named(struct phrases *p, const json_t *named, const char *name, size_t len, int depth, int into)
{
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)len, name);
    const json_t *list = json_object_get(named, key), *word;
    size_t i;
    if (!json_is_array(list) || depth > 4)
        return wrong(p, "there is no class \"%s\", or it stands in itself", key);
    json_array_foreach(list, i, word)
    {
        const char *s = json_string_value(word);
        if (!s)
            return wrong(p, "class \"%s\": words are strings", key);
        int e = class_of(p, named, s, strlen(s), depth + 1, into);
        if (e < 0)
            return e;
    }
    return 0;
}

/* The class of one element's text; `into` < 0: made if it is new, else its words go there. */
static int class_of(struct phrases *p, const json_t *named, const char *text, size_t len, int depth, int into)
{
    if (into < 0) {
        const json_t *known = json_object_getn(p->ids, text, len);
        if (known)
            return (int)json_integer_value(known);
        if (p->n_classes == CLASSES_MAX)
            return wrong(p, "more than %d classes", CLASSES_MAX);
        into = (int)p->n_classes++;
        json_object_setn_new(p->ids, text, len, json_integer(into));
    }
    const char *at = text, *end = text + len;
    if (len > 2 && *at == '(' && end[-1] == ')')
        at++, end--;
    while (at < end) {
        const char *bar = memchr(at, '|', (size_t)(end - at));
        size_t n = (size_t)((bar ? bar : end) - at);
        int e = *at == '@' ? add_named(p, named, at + 1, n - 1, depth, into) : add_member(p, (uint16_t)into, at, n);
        if (e < 0)
            return e;
        at += n + 1;
    }
    return into;
}

static int parse(struct phrases *p, const json_t *named, uint16_t label, const char *text)
{
    if (p->n == PHRASES_MAX)
        return wrong(p, "more than %d phrases", PHRASES_MAX);
    struct phrase *x = &p->phrase[p->n];
    uint8_t gap = 0;
    memset(x, 0, sizeof *x);
    x->label = label;
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, " ");
        if (n >= 2 && at[0] == '.' && at[1] == '.') {
            gap = n == 2 ? 3 : (uint8_t)strtoul(at + 2, NULL, 10);
        } else if (n) {
            bool optional = n > 1 && at[n - 1] == '?';
            if (x->n == ELEMENTS_MAX)
                return wrong(p, "\"%s\" has more than %d words", text, ELEMENTS_MAX);
            int class = class_of(p, named, at, n - optional, 0, -1);
            if (class < 0)
                return class;
            x->element[x->n++] = (struct element){(uint16_t) class, gap, optional};
            gap = 0;
        }
        at += n + (at[n] == ' ');
    }
    if (!x->n || x->element[0].optional || x->element[0].gap)
        return wrong(p, "\"%s\" does not begin with a word", text);
    x->text = strdup(text);
    if (!x->text)
        return CVM_ENOMEM;
    x->next = p->first[x->element[0].class];
    p->first[x->element[0].class] = (uint32_t)++p->n;
    return 0;
}

static int compile(struct phrases *p, const json_t *json)
{
    const json_t *named = json_object_get(json, "classes"), *labels = json_object_get(json, "labels"), *list, *text;
    const char *name;
    size_t i;
    if (!json_is_object(labels))
        return wrong(p, "\"labels\" is missing");
    json_object_foreach((json_t *)labels, name, list)
    {
        if (p->n_labels == LABELS_MAX)
            return wrong(p, "more than %d labels", LABELS_MAX);
        if (!(p->labels[p->n_labels] = strdup(name)))
            return CVM_ENOMEM;
        p->n_labels++;
        json_array_foreach(list, i, text)
        {
            if (!json_is_string(text))
                return wrong(p, "label \"%s\": phrases are strings", name);
            int e = parse(p, named, (uint16_t)(p->n_labels - 1), json_string_value(text));
            if (e < 0)
                return e;
        }
    }
    return 0;
}

int phrases_compile(const json_t *json, struct phrases **ret_phrases, char *ret_error, size_t error_size)
{
    struct phrases *p = calloc(1, sizeof *p);
    int e = CVM_ENOMEM;
    snprintf(ret_error, error_size, "out of memory");
    if (!p)
        return e;
    p->error = ret_error;
    p->error_size = error_size;
    p->table = 16384;
    p->members = calloc(MEMBERS_MAX, sizeof *p->members);
    p->buckets = calloc(p->table, sizeof *p->buckets);
    p->phrase = calloc(PHRASES_MAX, sizeof *p->phrase);
    p->first = calloc(CLASSES_MAX, sizeof *p->first);
    p->labels = calloc(LABELS_MAX, sizeof *p->labels);
    p->ids = json_object();
    if (p->members && p->buckets && p->phrase && p->first && p->labels && p->ids)
        e = compile(p, json);
    if (e < 0) {
        phrases_free(p);
        return e;
    }
    const json_t *name = json_object_get(p->ids, "#name");
    p->name_class = name ? (size_t)json_integer_value(name) + 1 : 0;
    *ret_error = 0;
    *ret_phrases = p;
    return 0;
}

void phrases_free(struct phrases *p)
{
    if (!p)
        return;
    for (size_t i = 0; p->phrase && i < p->n; i++)
        free(p->phrase[i].text);
    for (size_t i = 0; p->labels && i < p->n_labels; i++)
        free(p->labels[i]);
    free(p->members);
    free(p->buckets);
    free(p->phrase);
    free(p->first);
    free(p->labels);
    json_decref(p->ids);
    free(p);
}

size_t phrases_labels(const struct phrases *p)
{
    return p->n_labels;
}

const char *phrases_label(const struct phrases *p, size_t label)
{
    return p->labels[label];
}

int phrases_find(const struct phrases *p, const char *label)
{
    for (size_t i = 0; i < p->n_labels; i++)
        if (!strcmp(p->labels[i], label))
            return (int)i;
    return -1;
}

const char *phrases_text(const struct phrases *p, size_t phrase)
{
    return p->phrase[phrase].text;
}

/* ---- looking ---- */

static void mark_from(const struct phrases *p, struct word *w, uint32_t bucket, bool prefix)
{
    for (uint32_t i = p->buckets[bucket & (p->table - 1)]; i; i = p->members[i - 1].next) {
        const struct member *m = &p->members[i - 1];
        if (m->prefix != prefix || m->len > w->len || (!prefix && m->len != w->len) ||
            memcmp(m->word, w->folded, m->len))
            continue;
        bool known = false;
        for (size_t k = 0; k < w->n_classes; k++)
            known |= w->classes[k] == m->class;
        if (!known && w->n_classes < WORDS_CLASSES_OF)
            w->classes[w->n_classes++] = m->class;
    }
}

static void mark(const struct phrases *p, struct word *w)
{
    w->n_classes = 0;
    mark_from(p, w, hash(w->folded, w->len), false);
    if (w->len >= 3)
        mark_from(p, w, hash(w->folded, 3), true);
    if (w->name && p->name_class && w->n_classes < WORDS_CLASSES_OF)
        w->classes[w->n_classes++] = (uint16_t)(p->name_class - 1);
}

static bool in_class(const struct word *w, uint16_t class)
{
    for (size_t i = 0; i < w->n_classes; i++)
        if (w->classes[i] == class)
            return true;
    return false;
}

/* The last word of a match whose element `e` may begin at word `at`; 0: none (a match never ends at word 0 here). */
static size_t match_rest(const struct phrase *x, const struct words *w, size_t e, size_t at, size_t last)
{
    if (e == x->n)
        return last + 1;
    const struct element *el = &x->element[e];
    for (size_t skip = 0; skip <= el->gap && at + skip < w->n; skip++) {
        const struct word *word = &w->word[at + skip];
        if (word->sentence != w->word[last].sentence)
            break;
        if (!in_class(word, el->class))
            continue;
        size_t end = match_rest(x, w, e + 1, at + skip + 1, at + skip);
        if (end)
            return end;
    }
    return el->optional ? match_rest(x, w, e + 1, at, last) : 0;
}

size_t phrases_match(const struct phrases *p, struct words *w, struct words_match *ret_matches, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++)
        mark(p, &w->word[i]);
    for (size_t i = 0; i < w->n; i++) {
        for (size_t k = 0; k < w->word[i].n_classes; k++) {
            for (uint32_t f = p->first[w->word[i].classes[k]]; f; f = p->phrase[f - 1].next) {
                size_t end = match_rest(&p->phrase[f - 1], w, 1, i + 1, i);
                if (!end || n == max)
                    continue;
                ret_matches[n++] =
                    (struct words_match){p->phrase[f - 1].label, (uint16_t)i, (uint16_t)(end - 1), (uint16_t)(f - 1)};
            }
        }
    }
    return n;
}
