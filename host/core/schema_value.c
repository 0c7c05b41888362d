/* JSON values compared as JSON Schema means it: numbers by what they are worth, objects without order. Keeps nothing.
 * Loop thread. */
#include "core/schema_node.h"

#include <float.h>
#include <math.h>

unsigned schema_type(const json_t *value)
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

int schema_compare(const json_t *value, const struct bound *bound)
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

struct bound schema_bound(const json_t *number)
{
    return (struct bound){.set = true,
                          .real = json_is_real(number),
                          .integer = json_integer_value(number),
                          .number = json_real_value(number)};
}

/* Doubles cannot hold 0.01, so the quotient may miss a whole number by what rounding costs. */
bool schema_is_multiple(const json_t *number, const struct bound *of)
{
    if (json_is_integer(number) && !of->real)
        return of->integer == 1 || json_integer_value(number) % of->integer == 0;
    double quotient = json_number_value(number) / (of->real ? of->number : (double)of->integer);
    return fabs(quotient - nearbyint(quotient)) <= 4 * DBL_EPSILON * fabs(quotient);
}

static bool equal_objects(const json_t *a, const json_t *b, unsigned *steps)
{
    const char *name;
    json_t *member;
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach((json_t *)a, name, member)
    {
        const json_t *other = json_object_get(b, name);
        if (!other || !schema_equal(member, other, steps))
            return false;
    }
    return true;
}

bool schema_equal(const json_t *a, const json_t *b, unsigned *steps)
{
    if (++*steps > SCHEMA_STEPS_MAX)
        return false;
    if (json_is_number(a) && json_is_number(b)) {
        struct bound bound = schema_bound(b);
        return schema_compare(a, &bound) == 0;
    }
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_string(a)) {
        size_t len = json_string_length(a);
        if (len != json_string_length(b))
            return false;
        *steps += (unsigned)(len / 64);
        return memcmp(json_string_value(a), json_string_value(b), len) == 0;
    }
    if (json_is_object(a))
        return equal_objects(a, b, steps);
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!schema_equal(json_array_get(a, i), json_array_get(b, i), steps))
                return false;
    }
    return true;
}
