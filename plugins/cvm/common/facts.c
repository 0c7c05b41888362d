/* See facts.h. Pure; any thread. */
#include "facts.h"

#include <math.h>
#include <stdlib.h>

enum kind { KIND_TEXT = CVM_CELL_TEXT, KIND_INT = CVM_CELL_INT, KIND_REAL = CVM_CELL_REAL };

const char *const facts_columns[FACTS_COLUMNS + 1] = {
#define CVM_X(name, kind) #name,
    FACTS(CVM_X)
#undef CVM_X
        NULL};

static const struct {
    enum kind kind;
    size_t offset;
} places[FACTS_COLUMNS] = {
#define CVM_X(name, kind) {KIND_##kind, offsetof(struct cvm_facts, name)},
    FACTS(CVM_X)
#undef CVM_X
};

static const char **text_of(struct cvm_facts *f, size_t column)
{
    return (const char **)(void *)((char *)f + places[column].offset);
}

static int64_t *int_of(struct cvm_facts *f, size_t column)
{
    return (int64_t *)(void *)((char *)f + places[column].offset);
}

static double *real_of(struct cvm_facts *f, size_t column)
{
    return (double *)(void *)((char *)f + places[column].offset);
}

void facts_clear(struct cvm_facts *f)
{
    for (size_t c = 0; c < FACTS_COLUMNS; c++)
        if (places[c].kind == KIND_TEXT)
            *text_of(f, c) = NULL;
        else if (places[c].kind == KIND_INT)
            *int_of(f, c) = FACTS_NONE;
        else
            *real_of(f, c) = NAN;
    f->sms = f->email = f->call = f->app = f->post = f->marketing = 0;
    f->attributes_json = NULL;
}

static bool whole(double r)
{
    return r > -9e15 && r < 9e15;
}

/* One value into its place; one of another kind leaves it unknown. */
static void put(struct cvm_facts *f, size_t column, const cvm_cell *cell)
{
    enum kind kind = places[column].kind;
    if (kind == KIND_TEXT && cell->kind == CVM_CELL_TEXT)
        *text_of(f, column) = cell->text;
    else if (kind == KIND_INT && cell->kind == CVM_CELL_INT)
        *int_of(f, column) = cell->i;
    else if (kind == KIND_INT && cell->kind == CVM_CELL_REAL && whole(cell->r))
        *int_of(f, column) = (int64_t)llround(cell->r);
    else if (kind == KIND_REAL && cell->kind == CVM_CELL_REAL)
        *real_of(f, column) = cell->r;
    else if (kind == KIND_REAL && cell->kind == CVM_CELL_INT)
        *real_of(f, column) = (double)cell->i;
}

void facts_from_cells(const cvm_cell *cells, struct cvm_facts *ret_facts)
{
    facts_clear(ret_facts);
    for (size_t c = 0; c < FACTS_COLUMNS; c++)
        put(ret_facts, c, &cells[c]);
}

static cvm_cell cell_of_json(const json_t *v)
{
    cvm_cell cell = {.kind = CVM_CELL_NULL};
    if (json_is_string(v))
        cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = json_string_value(v), .len = json_string_length(v)};
    else if (json_is_integer(v))
        cell = (cvm_cell){.kind = CVM_CELL_INT, .i = (int64_t)json_integer_value(v)};
    else if (json_is_real(v))
        cell = (cvm_cell){.kind = CVM_CELL_REAL, .r = json_real_value(v)};
    else if (json_is_boolean(v))
        cell = (cvm_cell){.kind = CVM_CELL_INT, .i = json_is_true(v)};
    return cell;
}

bool facts_from_json(const json_t *customer_data, struct cvm_facts *ret_facts)
{
    const json_t *inner = json_object_get(customer_data, "facts");
    const json_t *facts = json_is_object(inner) ? inner : customer_data;
    facts_clear(ret_facts);
    for (size_t c = 0; c < FACTS_COLUMNS; c++) {
        cvm_cell cell = cell_of_json(json_object_get(facts, facts_columns[c]));
        put(ret_facts, c, &cell);
    }
    const json_t *attributes = json_object_get(facts, "attributes");
    if (!attributes)
        attributes = json_object_get(customer_data, "attributes");
    ret_facts->attributes_json = json_is_object(attributes) ? attributes : NULL;
    return ret_facts->customer_id != NULL;
}

cvm_cell facts_at(const struct cvm_facts *facts, enum facts_column column)
{
    struct cvm_facts *f = (struct cvm_facts *)(uintptr_t)facts;
    cvm_cell cell = {.kind = CVM_CELL_NULL};
    size_t c = (size_t)column;
    if (places[c].kind == KIND_TEXT && *text_of(f, c))
        cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = *text_of(f, c), .len = strlen(*text_of(f, c))};
    else if (places[c].kind == KIND_INT && *int_of(f, c) != FACTS_NONE)
        cell = (cvm_cell){.kind = CVM_CELL_INT, .i = *int_of(f, c)};
    else if (places[c].kind == KIND_REAL && !isnan(*real_of(f, c)))
        cell = (cvm_cell){.kind = CVM_CELL_REAL, .r = *real_of(f, c)};
    return cell;
}

static json_t *json_of_cell(const cvm_cell *cell)
{
    switch (cell->kind) {
    case CVM_CELL_TEXT:
        return json_stringn_nocheck(cell->text, cell->len);
    case CVM_CELL_INT:
        return json_integer(cell->i);
    case CVM_CELL_REAL:
        return isfinite(cell->r) ? json_real(cell->r) : json_null();
    default:
        return json_null();
    }
}

json_t *facts_to_json(const struct cvm_facts *f)
{
    json_t *object = json_object(), *attributes = NULL;
    int failed = 0;
    for (size_t c = 0; c < FACTS_COLUMNS; c++) {
        cvm_cell cell = facts_at(f, (enum facts_column)c);
        if (c != FACTS_attributes)
            failed |= json_object_set_new(object, facts_columns[c], json_of_cell(&cell));
    }
    if (f->attributes_json)
        attributes = json_incref((json_t *)(uintptr_t)f->attributes_json);
    else if (f->attributes)
        attributes = json_loads(f->attributes, 0, NULL);
    failed |= json_object_set_new(object, "attributes", attributes ? attributes : json_object());
    if (failed) {
        json_decref(object);
        return NULL;
    }
    return object;
}

int facts_column_find(const char *name)
{
    for (int c = 0; c < FACTS_COLUMNS; c++)
        if (strcmp(facts_columns[c], name) == 0)
            return c;
    return -1;
}

/* ---- attributes: the JSON text is read in place, without a tree ---- */

static const char *space(const char *s)
{
    while (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r')
        s++;
    return s;
}

/* Behind the string that begins at `s`, NULL: it does not end. */
static const char *string_end(const char *s)
{
    for (s++; *s && *s != '"'; s++)
        if (*s == '\\' && s[1])
            s++;
    return *s ? s + 1 : NULL;
}

/* Behind any value: a string, a scalar, or what is nested. */
static const char *value_end(const char *s)
{
    size_t depth = 0;
    while (*s) {
        if (*s == '"') {
            if (!(s = string_end(s)))
                return NULL;
            if (!depth)
                return s;
            continue;
        }
        if (*s == '{' || *s == '[')
            depth++;
        else if (*s == '}' || *s == ']') {
            if (!depth)
                return s;
            if (!--depth)
                return s + 1;
        } else if (*s == ',' && !depth)
            return s;
        s++;
    }
    return s;
}

static int hex4(const char *s)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int c = s[i] | 32, digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (!s[i] || digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static size_t utf8(int point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    size_t n = point < 0x10000 ? 3 : 4;
    out[0] = (char)(n == 3 ? 0xe0 | point >> 12 : 0xf0 | point >> 18);
    for (size_t i = 1; i < n; i++)
        out[i] = (char)(0x80 | (point >> (6 * (int)(n - 1 - i)) & 0x3f));
    return n;
}

/* The escape behind a backslash at `*at`, moved behind it. Returns the bytes in `out`. */
static size_t unescape(const char **at, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *s = *at, *found = strchr(from, *s);
    if (*s && found) {
        *at = s + 1;
        out[0] = to[found - from];
        return 1;
    }
    int point = *s == 'u' ? hex4(s + 1) : -1;
    if (point <= 0)
        return 0;
    *at = s + 5;
    if (point >= 0xd800 && point < 0xdc00 && (*at)[0] == '\\' && (*at)[1] == 'u') {
        int low = hex4(*at + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
            *at += 6;
        }
    }
    return utf8(point, out);
}

/* The string at `s` (a quote) as text, cut at a character where it is longer than the room. Returns its length. */
static size_t read_string(const char *s, char *room, size_t size)
{
    size_t n = 0;
    for (s++; *s && *s != '"';) {
        char out[4];
        size_t m = 1;
        if (*s == '\\') {
            s++;
            if (!(m = unescape(&s, out)))
                break;
        } else
            out[0] = *s++;
        if (n + m >= size) {
            while (n && ((unsigned char)out[0] & 0xc0) == 0x80 && ((unsigned char)room[n - 1] & 0x80)) {
                n--; /* not half a character */
                if (((unsigned char)room[n] & 0xc0) == 0xc0)
                    break;
            }
            break;
        }
        memcpy(room + n, out, m);
        n += m;
    }
    room[n] = 0;
    return n;
}

static cvm_cell cell_of_text(const char *s, const char *end, struct facts_value *value)
{
    cvm_cell cell = {.kind = CVM_CELL_NULL};
    char *stop;
    if (*s == '"') {
        cell = (cvm_cell){.kind = CVM_CELL_TEXT, .text = value->room};
        cell.len = read_string(s, value->room, sizeof value->room);
    } else if (*s == 't' || *s == 'f') {
        cell = (cvm_cell){.kind = CVM_CELL_INT, .i = *s == 't'};
    } else if (*s == '-' || (*s >= '0' && *s <= '9')) {
        cell = (cvm_cell){.kind = CVM_CELL_INT, .i = strtoll(s, &stop, 10)};
        if (stop < end && (*stop == '.' || *stop == 'e' || *stop == 'E'))
            cell = (cvm_cell){.kind = CVM_CELL_REAL, .r = strtod(s, NULL)};
    }
    return cell;
}

/* Whether the string at `s` is the name. */
static bool is_name(const char *s, const char *end, const char *name, size_t len)
{
    char room[FACTS_TEXT_MAX + 1];
    if ((size_t)(end - s) == len + 2 && memcmp(s + 1, name, len) == 0)
        return true;
    return memchr(s, '\\', (size_t)(end - s)) && read_string(s, room, sizeof room) == len && !memcmp(room, name, len);
}

static bool find_in_text(const char *s, const char *name, struct facts_value *value)
{
    size_t len = strlen(name);
    s = space(s);
    if (*s != '{')
        return false;
    for (s = space(s + 1); *s == '"'; s = space(s + 1)) {
        const char *key = s, *key_end = string_end(s), *end;
        if (!key_end || *(s = space(key_end)) != ':')
            return false;
        s = space(s + 1);
        if (!(end = value_end(s)))
            return false;
        if (is_name(key, key_end, name, len)) {
            value->cell = cell_of_text(s, end, value);
            return value->cell.kind != CVM_CELL_NULL;
        }
        if (*(s = space(end)) != ',')
            return false;
    }
    return false;
}

bool facts_attribute(const struct cvm_facts *f, const char *name, struct facts_value *ret_value)
{
    ret_value->cell = (cvm_cell){.kind = CVM_CELL_NULL};
    if (f->attributes_json)
        ret_value->cell = cell_of_json(json_object_get(f->attributes_json, name));
    else if (f->attributes)
        return find_in_text(f->attributes, name, ret_value);
    return ret_value->cell.kind != CVM_CELL_NULL;
}

bool facts_get(const struct cvm_facts *f, const char *name, struct facts_value *ret_value)
{
    static const char prefix[] = "attributes.";
    int column = facts_column_find(name);
    if (strncmp(name, prefix, sizeof prefix - 1) == 0)
        return facts_attribute(f, name + sizeof prefix - 1, ret_value);
    ret_value->cell = (cvm_cell){.kind = CVM_CELL_NULL};
    if (column >= 0)
        ret_value->cell = facts_at(f, (enum facts_column)column);
    return ret_value->cell.kind != CVM_CELL_NULL;
}

double facts_number(const cvm_cell *cell)
{
    return cell->kind == CVM_CELL_INT ? (double)cell->i : cell->kind == CVM_CELL_REAL ? cell->r : NAN;
}
