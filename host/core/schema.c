/* Checks values against compiled schemas. Owns the texts of what is wrong; knows nothing of how a schema is written
 * (schema_compile.c). Runs for every message that enters, so a value that is right costs no allocation and no text.
 * Loop thread. */
#include "core/schema_node.h"

#include <cvm/cvm.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define SHOWN_MAX_BYTES 40 /* of a string quoted in a text */

/* Where we are: a chain on the stack, read only when something is wrong. */
struct step {
    const struct step *up;
    const char *name; /* NULL: an array's index */
    size_t index;
    unsigned depth;
};

struct check {
    const struct schema *schema;
    struct schema_error *error;
    unsigned silent; /* > 0: inside an alternative, whose faults are not ours */
    unsigned steps;
    bool quote; /* strings may stand in the text */
};

static int check_node(struct check *c, const struct node *node, const json_t *value, const struct step *at);

/* ---- texts ------------------------------------------------------------------------------------------------------ */

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

static void field_text(char *buf, size_t size, const struct step *at, const char *member)
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

/* "a string, an integer or null" */
static void types_text(char *buf, size_t size, unsigned types)
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

static size_t characters(const json_t *string)
{
    const char *s = json_string_value(string);
    size_t bytes = json_string_length(string), n = 0;
    for (size_t i = 0; i < bytes; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

/* What came. Strings and long numbers may be personal (a phone number), so they are shown only where the caller said
 * that the value is no customer's. */
static const char *value_text(char *buf, size_t size, const json_t *value, bool quote)
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
        n = characters(value);
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

/* Writes "<format>, got <value>"; value NULL leaves the tail out. */
static int __attribute__((format(printf, 5, 6)))
wrong(struct check *c, const struct step *at, const char *member, const json_t *value, const char *format, ...)
{
    if (c->silent)
        return CVM_EINVAL;
    char expected[sizeof c->error->text], got[96];
    va_list args;
    va_start(args, format);
    vsnprintf(expected, sizeof expected, format, args);
    va_end(args);
    field_text(c->error->field, sizeof c->error->field, at, member);
    if (!value) {
        schema_text(c->error->text, sizeof c->error->text, 0, "%s", expected);
        return CVM_EINVAL;
    }
    const char *tail = value_text(got, sizeof got, value, c->quote);
    size_t keep = sizeof c->error->text - strlen(tail) - sizeof ", got "; /* the tail must not be what is cut */
    size_t len = schema_text(c->error->text, keep, 0, "%s", expected);
    schema_text(c->error->text, sizeof c->error->text, len, ", got %s", tail);
    return CVM_EINVAL;
}

/* Ends the whole check, also from inside an alternative. */
static int give_up(struct check *c, const struct step *at, const char *text)
{
    c->silent = 0;
    wrong(c, at, NULL, NULL, "%s", text);
    return CVM_ELIMIT;
}

/* ---- values ----------------------------------------------------------------------------------------------------- */

static unsigned type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return TYPE_OBJECT;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_INTEGER:
        return TYPE_INTEGER | TYPE_NUMBER;
    case JSON_REAL: {
        double v = json_real_value(value);
        return v == floor(v) ? TYPE_INTEGER | TYPE_NUMBER : TYPE_NUMBER;
    }
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    case JSON_NULL:
        break;
    }
    return TYPE_NULL;
}

/* Exact also where a double cannot hold the integer. */
static int compare_mixed(json_int_t a, double b)
{
    if (b >= 9223372036854775808.0)
        return -1;
    if (b < -9223372036854775808.0)
        return 1;
    json_int_t whole = (json_int_t)b;
    if (a != whole)
        return a < whole ? -1 : 1;
    double rest = b - (double)whole;
    return rest > 0 ? -1 : rest < 0 ? 1 : 0;
}

static int compare(const json_t *value, const struct bound *bound)
{
    if (json_is_integer(value)) {
        json_int_t v = json_integer_value(value);
        if (bound->real)
            return compare_mixed(v, bound->number);
        return v < bound->integer ? -1 : v > bound->integer;
    }
    double v = json_real_value(value);
    if (!bound->real)
        return -compare_mixed(bound->integer, v);
    return v < bound->number ? -1 : v > bound->number;
}

/* JSON equality: 1 equals 1.0, members in any order. */
static bool equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) {
        struct bound bound = {true, json_is_real(b), json_integer_value(b), json_real_value(b)};
        return compare(a, &bound) == 0;
    }
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_string(a))
        return json_string_length(a) == json_string_length(b) &&
               memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!equal(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    if (json_is_object(a)) {
        if (json_object_size(a) != json_object_size(b))
            return false;
        const char *name;
        json_t *member;
        json_object_foreach((json_t *)a, name, member)
        {
            const json_t *other = json_object_get(b, name);
            if (!other || !equal(member, other))
                return false;
        }
    }
    return true;
}

/* ---- keywords --------------------------------------------------------------------------------------------------- */

static int check_values(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    size_t n = json_array_size(node->values), len = 0;
    for (size_t i = 0; i < n; i++)
        if (equal(json_array_get(node->values, i), value))
            return 0;
    if (c->silent)
        return CVM_EINVAL;
    char known[200];
    known[0] = 0;
    for (size_t i = 0; i < n; i++) {
        char *text = json_dumps(json_array_get(node->values, i), JSON_ENCODE_ANY | JSON_COMPACT);
        if (!text)
            return CVM_ENOMEM;
        bool fits = len + strlen(text) + 8 < sizeof known;
        len = schema_text(known, sizeof known, len, "%s%s", i ? ", " : "", fits ? text : "..");
        free(text);
        if (!fits)
            break;
    }
    return wrong(c, at, NULL, value, "must be %s%s", node->is_const || n == 1 ? "" : "one of ", known);
}

static int check_pattern(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    PCRE2_SPTR text = (PCRE2_SPTR)json_string_value(value);
    size_t len = json_string_length(value);
    int rc = pcre2_match(node->pattern, text, len, 0, 0, c->schema->match, c->schema->match_limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(node->pattern, text, len, 0, PCRE2_NO_JIT, c->schema->match, c->schema->match_limits);
    if (rc >= 0)
        return 0;
    if (rc == PCRE2_ERROR_NOMATCH)
        return wrong(c, at, NULL, value, "%s", node->pattern_text);
    return wrong(c, at, NULL, value, "takes too long to compare: it %s", node->pattern_text);
}

static int check_string(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    size_t bytes = json_string_length(value); /* never fewer than characters, at most four to one */
    if (bytes > node->max_length || (bytes + 3) / 4 < node->min_length) {
        size_t n = characters(value);
        if (n > node->max_length)
            return wrong(c, at, NULL, NULL, "must be at most %zu character%s long, got %zu", node->max_length,
                         node->max_length == 1 ? "" : "s", n);
        if (n < node->min_length)
            return wrong(c, at, NULL, NULL, "must be at least %zu character%s long, got %zu", node->min_length,
                         node->min_length == 1 ? "" : "s", n);
    }
    return node->pattern ? check_pattern(c, node, value, at) : 0;
}

static int check_number(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    const struct bound *least = &node->minimum, *most = &node->maximum, *missed;
    if (least->set && compare(value, least) < 0)
        missed = least;
    else if (most->set && compare(value, most) > 0)
        missed = most;
    else
        return 0;
    const char *side = missed == least ? "least" : "most";
    if (missed->real)
        return wrong(c, at, NULL, value, "must be at %s %.15g", side, missed->number);
    return wrong(c, at, NULL, value, "must be at %s %" JSON_INTEGER_FORMAT, side, missed->integer);
}

static int check_array(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    size_t n = json_array_size(value);
    if (n < node->min_items)
        return wrong(c, at, NULL, NULL, "must have at least %zu item%s, got %zu", node->min_items,
                     node->min_items == 1 ? "" : "s", n);
    if (n > node->max_items)
        return wrong(c, at, NULL, NULL, "must have at most %zu item%s, got %zu", node->max_items,
                     node->max_items == 1 ? "" : "s", n);
    if (!node->items)
        return 0;
    struct step step = {.up = at, .depth = at ? at->depth + 1 : 1};
    if (step.depth > SCHEMA_DEPTH_MAX)
        return give_up(c, at, "is nested too deeply");
    for (; step.index < n; step.index++) {
        int error = check_node(c, node->items, json_array_get(value, step.index), &step);
        if (error)
            return error;
    }
    return 0;
}

static int unknown_member(struct check *c, const struct node *node, const char *name, const struct step *at)
{
    if (c->silent)
        return CVM_EINVAL;
    char known[sizeof c->error->text];
    size_t len = 0;
    known[0] = 0;
    for (size_t i = 0; i < node->n_declared; i++) {
        if (len + node->properties[i].len + 32 >= sizeof known) {
            schema_text(known, sizeof known, len, ", ..");
            break;
        }
        len = schema_text(known, sizeof known, len, "%s%s", i ? ", " : "", node->properties[i].name);
    }
    if (!node->n_declared)
        return wrong(c, at, name, NULL, "unknown field; none is allowed here");
    return wrong(c, at, name, NULL, "unknown field; known are: %s", known);
}

static int missing_member(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    for (size_t i = 0; i < node->n_properties; i++) {
        const struct property *p = &node->properties[i];
        if (!p->required || json_object_getn(value, p->name, p->len))
            continue;
        const struct node *member = p->node;
        while (member && member->types == TYPE_ANY && member->ref)
            member = member->ref;
        if (!member || member->types == TYPE_ANY || !member->types)
            return wrong(c, at, p->name, NULL, "is required, but missing");
        char types[96];
        types_text(types, sizeof types, member->types);
        return wrong(c, at, p->name, NULL, "is required (%s), but missing", types);
    }
    return CVM_EINVAL;
}

static int check_object(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    json_t *object = (json_t *)value; /* the iterator's signature; nothing is changed */
    struct step step = {.up = at, .depth = at ? at->depth + 1 : 1};
    size_t required = 0;
    if (step.depth > SCHEMA_DEPTH_MAX)
        return give_up(c, at, "is nested too deeply");
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        step.name = json_object_iter_key(it);
        const struct property *p = schema_property(node, step.name, json_object_iter_key_len(it));
        const struct node *member = node->additional;
        if (p) {
            required += p->required;
            member = p->node ? p->node : member;
        }
        if ((!p || !p->node) && node->closed)
            return unknown_member(c, node, step.name, at);
        int error = member ? check_node(c, member, json_object_iter_value(it), &step) : 0;
        if (error)
            return error;
    }
    return required == node->n_required ? 0 : missing_member(c, node, value, at);
}

/* How many of `nodes` accept the value, counting no further than `enough`; or CVM_ELIMIT. */
static int matches(struct check *c, const struct nodes *nodes, size_t enough, const json_t *value,
                   const struct step *at)
{
    size_t n = 0;
    c->silent++;
    for (size_t i = 0; i < nodes->n && n < enough; i++) {
        int error = check_node(c, nodes->at[i], value, at);
        if (error == CVM_ELIMIT)
            return error; /* give_up() ended the silence */
        n += error == 0;
    }
    c->silent--;
    return (int)n;
}

static int check_combined(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    for (size_t i = 0; i < node->all.n; i++) {
        int error = check_node(c, node->all.at[i], value, at);
        if (error)
            return error;
    }
    if (node->any.n) {
        int n = matches(c, &node->any, 1, value, at);
        if (n < 0)
            return n;
        if (n == 0)
            return wrong(c, at, NULL, value, "must match at least one of %zu alternatives, matches none", node->any.n);
    }
    if (node->one.n) {
        int n = matches(c, &node->one, node->one.n, value, at);
        if (n < 0)
            return n;
        if (n == 0)
            return wrong(c, at, NULL, value, "must match exactly one of %zu alternatives, matches none", node->one.n);
        if (n > 1)
            return wrong(c, at, NULL, value, "must match exactly one of %zu alternatives, matches %d", node->one.n, n);
    }
    return 0;
}

static int check_node(struct check *c, const struct node *node, const json_t *value, const struct step *at)
{
    if (++c->steps > SCHEMA_STEPS_MAX)
        return give_up(c, at, "takes too much work to check");
    unsigned type = type_of(value);
    if (!(node->types & type)) {
        if (!node->types)
            return wrong(c, at, NULL, value, "must not be there");
        char types[96];
        types_text(types, sizeof types, node->types);
        return wrong(c, at, NULL, value, "must be %s", types);
    }
    if (!node->has)
        return 0;
    int error = 0;
    if (node->has & HAS_REF)
        error = check_node(c, node->ref, value, at);
    if (!error && node->has & HAS_VALUES)
        error = check_values(c, node, value, at);
    if (!error && node->has & HAS_OBJECT && type == TYPE_OBJECT)
        error = check_object(c, node, value, at);
    if (!error && node->has & HAS_STRING && type == TYPE_STRING)
        error = check_string(c, node, value, at);
    if (!error && node->has & HAS_NUMBER && type & TYPE_NUMBER)
        error = check_number(c, node, value, at);
    if (!error && node->has & HAS_ARRAY && type == TYPE_ARRAY)
        error = check_array(c, node, value, at);
    if (!error && node->has & HAS_COMBINED)
        error = check_combined(c, node, value, at);
    return error;
}

static int check_value(const struct schema *schema, const json_t *value, bool quote, struct schema_error *ret_error)
{
    struct schema_error unread;
    if (!schema)
        return 0;
    struct check c = {.schema = schema, .error = ret_error ? ret_error : &unread, .quote = quote};
    int error = value ? check_node(&c, schema->root, value, NULL) : wrong(&c, NULL, NULL, NULL, "is missing");
    return error ? CVM_EINVAL : 0;
}

int schema_check(const struct schema *schema, const json_t *value, struct schema_error *ret_error)
{
    return check_value(schema, value, false, ret_error);
}

int schema_check_quoting(const struct schema *schema, const json_t *value, struct schema_error *ret_error)
{
    return check_value(schema, value, true, ret_error);
}
