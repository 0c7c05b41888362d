/* JSON values as text: a writer over json_t that is several times faster than the library's and prints the shortest
 * decimal that reads back as the same double. Pure; any thread, as long as the value does not change meanwhile. */
#ifndef HOST_CORE_JSON_TEXT_H
#define HOST_CORE_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define JSON_TEXT_DEPTH_MAX 512 /* as deep as is written; what is taken from others is at most half as deep */

/* A growing buffer. A failure (no memory, limit passed, too deep) sticks: `failed` is set and later calls do nothing.
 */
struct text {
    char *at;
    size_t len, cap, limit;
    bool failed;
};

void text_init(struct text *text, size_t limit);
void text_free(struct text *text);
void text_reset(struct text *text); /* keeps the memory */
void text_add_growing(struct text *text, const char *bytes, size_t len);
void text_int(struct text *text, int64_t value);
void text_real(struct text *text, double value);         /* the shortest that reads back as the same */
void text_json(struct text *text, const json_t *value);  /* compact */
void text_string(struct text *text, const char *string); /* as a JSON string, with quotes */
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void text_add(struct text *text, const char *bytes, size_t len)
{
    if (text->len + len + 1 > text->cap) {
        text_add_growing(text, bytes, len);
        return;
    }
    memcpy(text->at + text->len, bytes, len);
    text->len += len;
    text->at[text->len] = 0;
}
static inline void text_puts(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}
static inline void text_char(struct text *text, char c)
{
    if (text->len + 1 < text->cap)
        text->at[text->len++] = c;
    else
        text_add(text, &c, 1);
}

/* Well-formed UTF-8 (RFC 3629): no stray, overlong or surrogate bytes. */
bool text_is_utf8(const char *text, size_t len);
/* Makes it so where it is not: a text that was cut, or comes from a stranger. Gives `text`. */
char *text_make_utf8(char *text);

/* The compact text of a value, for free(); NULL: out of memory or too deep. `ret_len` may be NULL. */
char *json_text(const json_t *value, size_t *ret_len);

/* The length of that text, without making it, counted up to a little over `limit`. What is more than half as deep as
 * can be written counts as over the limit: so what passes may still be put into something else. */
size_t json_text_size(const json_t *value, size_t limit);

/* The same with members in order of their names: the text of equal values is equal. (json_dumps of jansson 2.14 leaves
 * out a name for which there was no memory.) */
char *json_text_sorted(const json_t *value);

#endif
