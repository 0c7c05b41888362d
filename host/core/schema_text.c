/* The texts of what is wrong with a value: where it is, what was expected, what came. Quotes nothing that may be
 * personal unless it is told to. Loop thread. */
#include "core/schema_node.h"

#include <cvm/cvm.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN_MAX_BYTES 40 /* of a string quoted in a text */

size_t schema_text(char *buf, size_t size, size_t len, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(buf + len, size - len, format, args);
    va_end(args);
    size_t end = n < 0 ? len : len + (size_t)n;
    if (end >= size) {
        end = size - 1;
        size_t lead = end; /* the byte that would begin the cut character */
        while (lead > len && ((unsigned char)buf[lead - 1] & 0xc0) == 0x80)
            lead--;
        if (lead > len && (unsigned char)buf[lead - 1] >= 0xc0) {
            unsigned char first = (unsigned char)buf[lead - 1];
            size_t need = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
            if (lead - 1 + need > end)
                end = lead - 1;
        }
    }
    buf[end] = 0;
    for (size_t i = len; i < end; i++)
        if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7f)
            buf[i] = '?';
    return end;
}

void schema_field_text(char *buf, size_t size, const struct step *at, const char *member)
{
    const struct step *chain[SCHEMA_DEPTH_MAX + 1];
    size_t n = 0, len = 0;
    for (; at && n <= SCHEMA_DEPTH_MAX; at = at->up)
        chain[n++] = at;
    buf[0] = 0;
    while (n--) {
        if (!chain[n]->name)
            len = schema_text(buf, size, len, "[%zu]", chain[n]->index);
        else
            len = schema_text(buf, size, len, "%s%s", len ? "." : "", chain[n]->name);
    }
    if (member)
        schema_text(buf, size, len, "%s%s", len ? "." : "", member);
}

void schema_types_text(char *buf, size_t size, unsigned types)
{
    static const char *const names[] = {"null",     "true or false", "an object", "an array",
                                        "a string", "a number",      "an integer"};
    size_t len = 0;
    buf[0] = 0;
    if (types & TYPE_NUMBER)
        types &= ~(unsigned)TYPE_INTEGER;
    for (unsigned order = 0; order < 7; order++) {
        unsigned bit = 6 - order; /* null last */
        if (!(types & 1u << bit))
            continue;
        types &= ~(1u << bit);
        len = schema_text(buf, size, len, "%s%s", len == 0 ? "" : types ? ", " : " or ", names[bit]);
    }
}

size_t schema_characters(const json_t *string)
{
    const char *s = json_string_value(string);
    size_t bytes = json_string_length(string), n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

const char *schema_value_text(char *buf, size_t size, const json_t *value, bool quote)
{
    size_t n;
    switch (json_typeof(value)) {
    case JSON_NULL:
        return "null";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_INTEGER:
    case JSON_REAL:
        if (!quote && fabs(json_number_value(value)) >= 1e9)
            return "a large number";
        if (json_is_integer(value))
            schema_text(buf, size, 0, "number %" JSON_INTEGER_FORMAT, json_integer_value(value));
        else
            schema_text(buf, size, 0, "number %.15g", json_real_value(value));
        return buf;
    case JSON_STRING:
        if (quote) {
            char text[SHOWN_MAX_BYTES + 1];
            size_t len = schema_text(text, sizeof text, 0, "%s", json_string_value(value));
            schema_text(buf, size, 0, "string \"%s%s\"", text, len < json_string_length(value) ? ".." : "");
            return buf;
        }
        n = schema_characters(value);
        schema_text(buf, size, 0, "a string of %zu character%s", n, n == 1 ? "" : "s");
        return buf;
    case JSON_ARRAY:
        n = json_array_size(value);
        schema_text(buf, size, 0, "an array of %zu item%s", n, n == 1 ? "" : "s");
        return buf;
    case JSON_OBJECT:
        return "an object";
    }
    return "nothing";
}

void schema_values_text(char *buf, size_t size, const json_t *values)
{
    const json_t *value;
    size_t i, len = 0;
    buf[0] = 0;
    json_array_foreach(values, i, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        bool fits = text && len + strlen(text) + 8 < size;
        len = schema_text(buf, size, len, "%s%s", i ? ", " : "", fits ? text : "..");
        free(text);
        if (!fits)
            break;
    }
}

static void write_fault(struct check *c, const struct step *at, const char *member, const json_t *value,
                        const char *expected)
{
    char got[96];
    schema_field_text(c->error->field, sizeof c->error->field, at, member);
    if (!value) {
        schema_text(c->error->text, sizeof c->error->text, 0, "%s", expected);
        return;
    }
    const char *tail = schema_value_text(got, sizeof got, value, c->quote);
    size_t keep = sizeof c->error->text - strlen(tail) - sizeof ", got "; /* the tail must not be what is cut */
    size_t len = schema_text(c->error->text, keep, 0, "%s", expected);
    schema_text(c->error->text, sizeof c->error->text, len, ", got %s", tail);
}

int schema_wrong(struct check *c, const struct step *at, const char *member, const json_t *value, const char *format,
                 ...)
{
    if (c->silent)
        return CVM_EINVAL;
    char expected[sizeof c->error->text];
    va_list args;
    va_start(args, format);
    vsnprintf(expected, sizeof expected, format, args);
    va_end(args);
    write_fault(c, at, member, value, expected);
    return CVM_EINVAL;
}

int schema_give_up(struct check *c, const struct step *at, const char *format, ...)
{
    char text[sizeof c->error->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    write_fault(c, at, NULL, NULL, text);
    c->silent = 0;
    return CVM_ELIMIT;
}
