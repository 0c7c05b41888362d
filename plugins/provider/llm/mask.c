/* See mask.h. Numbers are found by their digits: groups that one space, hyphen or dot parts count as one number, so
 * that a token in five groups is one. What is not personal and looks so is masked too; as it is put back, that harms
 * nobody. */
#include "mask.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define DIGITS_MIN 10
#define GROUP_MIN 3 /* digits of the second group and those that follow */
#define NAME_MIN 3  /* bytes: "Ada" is masked, "Jo" is not */
#define DEPTH_MAX 32

struct out {
    char *text;
    size_t len, size;
    bool failed;
};

static void put(struct out *o, const char *s, size_t n)
{
    if (o->len + n + 1 > o->size) {
        size_t size = o->size ? o->size : 256;
        while (size < o->len + n + 1)
            size *= 2;
        char *moved = realloc(o->text, size);
        if (!moved) {
            o->failed = true;
            return;
        }
        o->text = moved;
        o->size = size;
    }
    memcpy(o->text + o->len, s, n);
    o->len += n;
    o->text[o->len] = 0;
}

static char *finish(struct out *o)
{
    put(o, "", 0);
    if (!o->failed)
        return o->text;
    free(o->text);
    return NULL;
}

static void put_mark(struct out *o, const char *kind, const char *value, size_t n, json_t *map)
{
    const char *known;
    json_t *was;
    char mark[32];
    json_object_foreach(map, known, was)
    {
        if (json_string_length(was) == n && memcmp(json_string_value(was), value, n) == 0) {
            put(o, known, strlen(known));
            return;
        }
    }
    if (json_object_size(map) >= MASK_VALUES_MAX) {
        put(o, "[REMOVED]", 9);
        return;
    }
    snprintf(mark, sizeof mark, "[%s_%zu]", kind, json_object_size(map) + 1);
    json_object_set_new(map, mark, json_stringn(value, n));
    put(o, mark, strlen(mark));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

/* Digits of the group at `s`. */
static size_t group_at(const char *s)
{
    size_t n = 0;
    while (is_digit(s[n]))
        n++;
    return n;
}

/* Bytes of a long number at `s`, 0: none. */
static size_t number_at(const char *s)
{
    size_t end = *s == '+', digits = 0, n = group_at(s + end);
    while (n) {
        digits += n;
        end += n;
        n = s[end] == ' ' || s[end] == '-' || s[end] == '.' ? group_at(s + end + 1) : 0;
        if (n < GROUP_MIN)
            break;
        end++;
    }
    return digits >= DIGITS_MIN ? end : 0;
}

static bool is_mail(char c)
{
    return is_digit(c) || is_letter(c) || strchr("._%+-", c);
}

static size_t mail_at(const char *s)
{
    size_t i = 0, dots = 0, begin;
    while (s[i] && is_mail(s[i]))
        i++;
    if (!i || s[i] != '@')
        return 0;
    for (begin = ++i;
         s[i] && (is_digit(s[i]) || is_letter(s[i]) || s[i] == '-' || (s[i] == '.' && is_letter(s[i + 1]))); i++)
        dots += s[i] == '.';
    return i > begin && dots ? i : 0;
}

/* Bytes of one of the words of a name at `s`, 0: none. */
static size_t word_at(const char *s, const char *name)
{
    for (const char *w = name; *w;) {
        size_t n = strcspn(w, " ");
        if (n >= NAME_MIN && strncasecmp(s, w, n) == 0 && !is_letter(s[n]))
            return n;
        w += n + strspn(w + n, " ");
    }
    return 0;
}

static size_t name_at(const char *s, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        size_t n = name ? word_at(s, name) : 0;
        if (n)
            return n;
    }
    return 0;
}

char *mask_text(const char *text, const json_t *names, json_t *map)
{
    struct out o = {0};
    char before = 0;
    for (const char *s = text; *s;) {
        bool word = is_letter(*s) || is_digit(*s), begins = !is_letter(before) && !is_digit(before);
        size_t n = begins && (word || *s == '+') ? number_at(s) : 0;
        const char *kind = "NUMBER";
        if (!n && begins && word) {
            n = mail_at(s);
            kind = "EMAIL";
        }
        if (!n && begins && word) {
            n = name_at(s, names);
            kind = "NAME";
        }
        if (n)
            put_mark(&o, kind, s, n, map);
        else
            put(&o, s, n = 1);
        before = s[n - 1];
        s += n;
    }
    return finish(&o);
}

char *unmask_text(const char *text, const json_t *map)
{
    struct out o = {0};
    for (const char *s = text; *s;) {
        const char *close = *s == '[' ? strchr(s, ']') : NULL;
        char mark[32];
        const char *value = NULL;
        if (close && (size_t)(close - s) + 1 < sizeof mark) {
            snprintf(mark, sizeof mark, "%.*s", (int)(close - s + 1), s);
            value = json_string_value(json_object_get(map, mark));
        }
        if (value)
            put(&o, value, strlen(value));
        else
            put(&o, s, 1);
        s = value ? close + 1 : s + 1;
    }
    return finish(&o);
}

/* ---- values of JSON ---- */

struct change {
    const json_t *names;
    json_t *map;
    bool back;
};

static json_t *changed(const json_t *value, const struct change *c, int depth)
{
    const char *key;
    json_t *member, *copy;
    size_t i;
    if (depth > DEPTH_MAX)
        return json_null();
    if (json_is_string(value)) {
        char *text = c->back ? unmask_text(json_string_value(value), c->map)
                             : mask_text(json_string_value(value), c->names, c->map);
        copy = text ? json_string(text) : NULL;
        free(text);
        return copy;
    }
    if (json_is_array(value)) {
        copy = json_array();
        json_array_foreach((json_t *)(uintptr_t)value, i, member)
            json_array_append_new(copy, changed(member, c, depth + 1));
        return copy;
    }
    if (json_is_object(value)) {
        copy = json_object();
        json_object_foreach((json_t *)(uintptr_t)value, key, member)
            json_object_set_new(copy, key, changed(member, c, depth + 1));
        return copy;
    }
    return cvm_json_share(value);
}

json_t *mask_json(const json_t *value, const json_t *names, json_t *map)
{
    return changed(value, &(struct change){names, map, false}, 0);
}

json_t *unmask_json(const json_t *value, const json_t *map)
{
    return changed(value, &(struct change){NULL, (json_t *)(uintptr_t)map, true}, 0);
}
