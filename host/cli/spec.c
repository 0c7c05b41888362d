/* Types what people write by the schemas of the catalogue. */
#include "cli/spec.h"

#include <stdlib.h>

#define REFS_MAX 16

enum { T_STRING = 1, T_INTEGER = 2, T_NUMBER = 4, T_BOOLEAN = 8, T_ARRAY = 16, T_OBJECT = 32, T_NULL = 64 };

static const struct {
    const char *name;
    unsigned bit;
} type_names[] = {{"string", T_STRING}, {"integer", T_INTEGER}, {"number", T_NUMBER}, {"boolean", T_BOOLEAN},
                  {"array", T_ARRAY},   {"object", T_OBJECT},   {"null", T_NULL}};

/* ---- schemas ---- */

static const json_t *pointer(const json_t *document, const char *path)
{
    char word[SPEC_NAME_MAX];
    while (document && *path == '/') {
        size_t n = 0;
        for (path++; *path && *path != '/' && n + 1 < sizeof word; path++) {
            if (path[0] == '~' && (path[1] == '0' || path[1] == '1'))
                word[n++] = *++path == '0' ? '~' : '/';
            else
                word[n++] = *path;
        }
        word[n] = 0;
        document = json_object_get(document, word);
    }
    return *path ? NULL : document;
}

const json_t *spec_resolve(const json_t *catalogue, const json_t *entry, const json_t *schema)
{
    const char *plugin = cvm_json_str(entry, "plugin", "");
    const json_t *document = json_object_get(json_object_get(catalogue, "documents"), plugin);
    for (int i = 0; schema && i < REFS_MAX; i++) {
        const char *ref = cvm_json_str(schema, "$ref", NULL);
        if (!ref)
            return schema;
        schema = ref[0] == '#' ? pointer(document, ref + 1) : NULL;
    }
    return NULL;
}

static const json_t *request_schema(const json_t *catalogue, const json_t *entry)
{
    return spec_resolve(catalogue, entry, json_object_get(entry, "request"));
}

const json_t *spec_properties(const json_t *catalogue, const json_t *entry)
{
    return json_object_get(request_schema(catalogue, entry), "properties");
}

const json_t *spec_property(const json_t *catalogue, const json_t *entry, const char *property)
{
    return spec_resolve(catalogue, entry, json_object_get(spec_properties(catalogue, entry), property));
}

bool spec_takes_any(const json_t *catalogue, const json_t *entry)
{
    const json_t *schema = request_schema(catalogue, entry);
    const json_t *more = json_object_get(schema, "additionalProperties");
    return !json_object_get(schema, "properties") ? !json_is_false(more) : more && !json_is_false(more);
}

/* ---- names ---- */

static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !((*a == '-' || *a == '_') && (*b == '-' || *b == '_')))
            return false;
    return *a == *b;
}

const char *spec_find(const json_t *catalogue, const json_t *entry, const char *name)
{
    const char *member;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)spec_properties(catalogue, entry), member,
                        value) if (same_name(member, name)) return member;
    json_object_foreach(json_object_get(json_object_get(entry, "expose"), "rename"), member,
                        value) if (same_name(member, name) && json_is_string(value)) return json_string_value(value);
    return NULL;
}

void spec_name(const json_t *entry, const char *property, char dash, char ret_name[SPEC_NAME_MAX])
{
    const char *name = property, *member;
    json_t *value;
    json_object_foreach(json_object_get(json_object_get(entry, "expose"), "rename"), member,
                        value) if (json_is_string(value) && strcmp(json_string_value(value), property) == 0)
    {
        name = member;
        break;
    }
    snprintf(ret_name, SPEC_NAME_MAX, "%s", name);
    for (char *at = ret_name; *at; at++)
        if (*at == '_' || *at == '-')
            *at = dash;
}

size_t spec_distance(const char *a, const char *b)
{
    enum { MOST = 64 };
    size_t la = strlen(a), lb = strlen(b), rows[3][MOST + 1];
    if (la > MOST || lb > MOST)
        return MOST;
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[lb];
}

/* ---- types ---- */

static unsigned types_of(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type"), *choice;
    unsigned bits = 0;
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++) {
        if (json_is_string(type) && strcmp(json_string_value(type), type_names[i].name) == 0)
            bits |= type_names[i].bit;
        for (size_t k = 0; k < json_array_size(type); k++) {
            const char *name = json_string_value(json_array_get(type, k));
            if (name && strcmp(name, type_names[i].name) == 0)
                bits |= type_names[i].bit;
        }
    }
    if (bits)
        return bits;
    static const char *const choices[] = {"oneOf", "anyOf", "allOf"};
    for (size_t i = 0; i < 3; i++) {
        choice = json_object_get(schema, choices[i]);
        for (size_t k = 0; k < json_array_size(choice); k++)
            bits |= types_of(json_array_get(choice, k)); /* as deep as the manifest's own limit */
    }
    if (!bits && json_is_string(json_array_get(json_object_get(schema, "enum"), 0)))
        bits = T_STRING;
    if (!bits && json_object_get(schema, "properties"))
        bits = T_OBJECT;
    return bits;
}

bool spec_is_flag(const json_t *schema)
{
    return (types_of(schema) & ~(unsigned)T_NULL) == T_BOOLEAN;
}

bool spec_is_array(const json_t *schema)
{
    unsigned types = types_of(schema);
    return (types & T_ARRAY) && !(types & T_STRING);
}

void spec_type_name(const json_t *schema, char *ret_text, size_t size)
{
    size_t at = 0;
    const json_t *words = json_object_get(schema, "enum");
    ret_text[0] = 0;
    for (size_t i = 0; i < json_array_size(words) && at < size; i++) {
        const char *word = json_string_value(json_array_get(words, i));
        if (word)
            at += (size_t)snprintf(ret_text + at, size - at, "%s%s", at ? "|" : "", word);
    }
    unsigned types = types_of(schema);
    for (size_t i = 0; at == 0 && i < sizeof type_names / sizeof *type_names; i++) {
        if (!(types & type_names[i].bit) || type_names[i].bit == T_NULL)
            continue;
        size_t len = strlen(ret_text);
        snprintf(ret_text + len, size - len, "%s%s", len ? " or " : "", type_names[i].name);
    }
    if (ret_text[0] == 0)
        snprintf(ret_text, size, "any value");
}

static int expected(const json_t *schema, const char *text, char *ret_error, size_t error_size)
{
    char type[160];
    spec_type_name(schema, type, sizeof type);
    snprintf(ret_error, error_size, "expected %s, got \"%.60s%s\"", type, text, strlen(text) > 60 ? "..." : "");
    return CVM_EINVAL;
}

/* A number that text means beyond doubt: "0803..." and 16 digits or more stay text where text is allowed. */
static json_t *plain_number(const char *text, unsigned types)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    size_t digits = strspn(text[0] == '-' ? text + 1 : text, "0123456789");
    bool fits = json_is_integer(value) ? (types & (T_INTEGER | T_NUMBER)) : json_is_real(value) && (types & T_NUMBER);
    if (fits && (!(types & T_STRING) || digits <= 15))
        return value;
    json_decref(value);
    return NULL;
}

static json_t *comma_list(const json_t *schema, const char *text, char *ret_error, size_t error_size)
{
    const json_t *items = json_object_get(schema, "items");
    json_t *list = json_array();
    char *word = strdup(text);
    for (char *at = word, *next; list && at; at = next) {
        next = strchr(at, ',');
        if (next)
            *next++ = 0;
        at += strspn(at, " ");
        json_t *value = NULL;
        if (*at && spec_value(items, at, &value, ret_error, error_size) < 0) {
            json_decref(list);
            list = NULL;
        } else if (value) {
            json_array_append_new(list, value);
        }
    }
    free(word);
    return list;
}

int spec_value(const json_t *schema, const char *text, json_t **ret_value, char *ret_error, size_t error_size)
{
    unsigned types = types_of(schema);
    json_t *value = NULL;
    char open = text[strspn(text, " \t\r\n")];
    bool structured = open == '{' || open == '[';
    if (types == 0 || ((types & (T_ARRAY | T_OBJECT)) && structured)) {
        value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        bool fits =
            types == 0 || (json_is_array(value) && (types & T_ARRAY)) || (json_is_object(value) && (types & T_OBJECT));
        if (value && !fits) {
            json_decref(value);
            value = NULL;
        }
        if (!value && types == 0)
            types = T_STRING;
    }
    if (!value && (types & (T_INTEGER | T_NUMBER)))
        value = plain_number(text, types);
    if (!value && (types & T_BOOLEAN) && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        value = json_boolean(text[0] == 't');
    if (!value && (types & T_STRING) && !(value = json_string(text))) {
        snprintf(ret_error, error_size, "not UTF-8 text");
        return CVM_EINVAL;
    }
    if (!value && (types & T_NULL) && strcmp(text, "null") == 0)
        value = json_null();
    if (!value && (types & T_ARRAY) && !structured && !(value = comma_list(schema, text, ret_error, error_size)))
        return CVM_EINVAL;
    const char *sign = strchr(text, '=');
    if (!value && (types & T_OBJECT) && !structured && sign && sign > text) { /* KEY=VALUE */
        const json_t *inner = json_object_get(schema, "additionalProperties");
        json_t *member = NULL;
        char name[SPEC_NAME_MAX];
        snprintf(name, sizeof name, "%.*s", (int)(sign - text), text);
        if (spec_value(json_is_object(inner) ? inner : NULL, sign + 1, &member, ret_error, error_size) < 0)
            return CVM_EINVAL;
        value = json_pack("{s:o}", name, member);
    }
    if (!value)
        return expected(schema, text, ret_error, error_size);
    *ret_value = value;
    return 0;
}
