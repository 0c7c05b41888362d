/* JSON Schema: every keyword, references, limits, and the texts of what is wrong. */
#include "core/schema.h"

#include <check.h>
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>

static struct schema_error fault;

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &error);
    ck_assert_msg(json != NULL, "%s: %s", text, error.text);
    return json;
}

static struct schema *compile(const char *text)
{
    struct schema *schema = NULL;
    json_t *doc = parse(text);
    int error = schema_compile(doc, doc, &schema, &fault);
    ck_assert_msg(error == 0, "%s: %s %s", text, fault.field, fault.text);
    json_decref(doc); /* nothing of it may be needed any more */
    return schema;
}

/* Whether `value` is right; the fault stands in `fault`. */
static bool right(const char *schema_text, const char *value_text)
{
    struct schema *schema = compile(schema_text);
    json_t *value = parse(value_text);
    int error = schema_check(schema, value, &fault);
    ck_assert(error == 0 || error == CVM_EINVAL);
    json_decref(value);
    schema_free(schema);
    return error == 0;
}

static void wrong(const char *schema, const char *value, const char *field, const char *text)
{
    ck_assert_msg(!right(schema, value), "%s accepts %s", schema, value);
    ck_assert_str_eq(fault.field, field);
    ck_assert_str_eq(fault.text, text);
}

static void refused(const char *text, const char *field, const char *part)
{
    struct schema *schema = NULL;
    json_t *doc = parse(text);
    ck_assert_int_eq(schema_compile(doc, doc, &schema, &fault), CVM_EINVAL);
    ck_assert_ptr_null(schema);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.text, part) != NULL, "\"%s\" lacks \"%s\"", fault.text, part);
    json_decref(doc);
}

START_TEST(types)
{
    static const char *const names[] = {"null", "boolean", "object", "array", "string", "integer", "number"};
    static const char *const values[] = {"null", "true", "{}", "[]", "\"x\"", "1", "1.5"};
    char schema[64];
    for (int t = 0; t < 7; t++) {
        for (int v = 0; v < 7; v++) {
            snprintf(schema, sizeof schema, "{\"type\":\"%s\"}", names[t]);
            ck_assert_msg(right(schema, values[v]) == (t == v || (t == 6 && v == 5)), "%s %s", names[t], values[v]);
        }
    }
    ck_assert(right("{\"type\":\"integer\"}", "1.0"));
    ck_assert(right("{\"type\":[\"string\",\"null\"]}", "null"));
    wrong("{\"type\":[\"null\",\"string\",\"integer\"]}", "true", "", "must be an integer, a string or null, got true");
    wrong("{\"properties\":{\"a\":false}}", "{\"a\":1}", "a", "must not be there, got number 1");
}
END_TEST

START_TEST(fields)
{
    const char *schema =
        "{\"properties\":{\"recipient\":{\"properties\":{\"phones\":{\"items\":{\"type\":\"string\"}}}}}}";
    wrong(schema, "{\"recipient\":{\"phones\":[\"a\",\"b\",5]}}", "recipient.phones[2]",
          "must be a string, got number 5");
    wrong("{\"items\":{\"items\":{\"type\":\"null\"}}}", "[[],[null,\"x\"]]", "[1][1]",
          "must be null, got a string of 1 character");
    wrong("{\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"string\"}}}", "{}", "a",
          "is required (a string), but missing");
    wrong("{\"required\":[\"b\"]}", "{\"c\":1}", "b", "is required, but missing");
    wrong("{\"properties\":{\"a\":{},\"b\":{},\"c\":{}},\"additionalProperties\":false}", "{\"a\":1,\"d\":1}", "d",
          "unknown field; known are: a, b, c");
    wrong("{\"additionalProperties\":false}", "{\"d\":1}", "d", "unknown field; none is allowed here");
    wrong("{\"additionalProperties\":{\"type\":\"integer\"},\"properties\":{\"a\":{}}}", "{\"a\":\"\",\"b\":\"x\"}",
          "b", "must be an integer, got a string of 1 character");
}
END_TEST

/* required names a member that properties does not: it is still an additional one. */
START_TEST(required_is_not_declared)
{
    const char *schema = "{\"properties\":{\"a\":{}},\"required\":[\"b\"],\"additionalProperties\":false}";
    ck_assert(!right(schema, "{\"b\":1}"));
    ck_assert_str_eq(fault.field, "b");
    ck_assert(right("{\"required\":[\"a\",\"a\"],\"properties\":{\"a\":{}}}", "{\"a\":1}"));
}
END_TEST

START_TEST(many_properties)
{
    char schema[32768], value[16384];
    size_t s = 0, v = 0;
    s += (size_t)snprintf(schema + s, sizeof schema - s, "{\"additionalProperties\":false,\"properties\":{");
    v += (size_t)snprintf(value + v, sizeof value - v, "{");
    for (int i = 0; i < 500; i++) {
        s += (size_t)snprintf(schema + s, sizeof schema - s, "%s\"p%d\":{\"const\":%d}", i ? "," : "", i, i);
        v += (size_t)snprintf(value + v, sizeof value - v, "%s\"p%d\":%d", i ? "," : "", i, i);
    }
    snprintf(schema + s, sizeof schema - s, "}}");
    snprintf(value + v, sizeof value - v, "}");
    ck_assert_msg(right(schema, value), "%s: %s", fault.field, fault.text);
    ck_assert(!right(schema, "{\"p500\":1}"));
    ck_assert_uint_lt(strlen(fault.text), sizeof fault.text);
    ck_assert_str_eq(fault.text + strlen(fault.text) - 4, ", ..");
    ck_assert(!right(schema, "{\"p7\":8}"));
}
END_TEST

START_TEST(strings)
{
    ck_assert(
        right("{\"maxLength\":2,\"minLength\":2}", "\"\xc3\xa9\xf0\x9f\x98\x80\"")); /* two characters, six bytes */
    wrong("{\"maxLength\":2}", "\"abc\"", "", "must be at most 2 characters long, got 3");
    wrong("{\"minLength\":1}", "\"\"", "", "must be at least 1 character long, got 0");
    wrong("{\"minLength\":3}", "\"\xc3\xa9\xc3\xa9\"", "", "must be at least 3 characters long, got 2");
    ck_assert(right("{\"pattern\":\"b+\"}", "\"abbc\""));
    ck_assert(!right("{\"pattern\":\"^b$\"}", "\"b\\n\""));
    ck_assert(right("{\"pattern\":\"^.$\"}", "\"\xf0\x9f\x98\x80\""));
    ck_assert(right("{\"pattern\":\"b\"}", "7"));
    wrong("{\"pattern\":\"^[0-9]+$\"}", "\"08031234567x\"", "",
          "must match the pattern ^[0-9]+$, got a string of 12 characters");
    wrong("{\"pattern\":\"^[0-9]+$\",\"title\":\"digits\"}", "\"x\"", "",
          "must be digits (pattern ^[0-9]+$), got a string of 1 character");
}
END_TEST

START_TEST(runaway_pattern)
{
    char value[64];
    memset(value, 'a', sizeof value);
    value[0] = '"';
    memcpy(value + sizeof value - 3, "b\"", 3);
    ck_assert(!right("{\"pattern\":\"^(a+)+(a+)+(a+)+$\"}", value));
    ck_assert_msg(strstr(fault.text, "takes too long") != NULL, "%s", fault.text);
    /* "cannot tell" is no "no" */
    ck_assert(!right("{\"not\":{\"pattern\":\"^(a+)+(a+)+(a+)+$\"}}", value));
    ck_assert(!right("{\"if\":{\"pattern\":\"^(a+)+(a+)+(a+)+$\"},\"then\":false}", value));
}
END_TEST

START_TEST(numbers)
{
    ck_assert(right("{\"minimum\":1,\"maximum\":2}", "1"));
    ck_assert(right("{\"minimum\":1,\"maximum\":2}", "2.0"));
    wrong("{\"minimum\":1}", "0.5", "", "must be at least 1, got number 0.5");
    wrong("{\"maximum\":1.5}", "2", "", "must be at most 1.5, got number 2");
    ck_assert(!right("{\"maximum\":9007199254740992.0}", "9007199254740993")); /* a double cannot tell them apart */
    ck_assert(right("{\"minimum\":-9223372036854775808}", "-9223372036854775808"));
    ck_assert(!right("{\"maximum\":9223372036854775807}", "9223372036854775808.0"));
    wrong("{\"type\":\"string\"}", "8031234567", "", "must be a string, got a large number");
    wrong("{\"exclusiveMinimum\":0}", "0", "", "must be more than 0, got number 0");
    wrong("{\"exclusiveMaximum\":1.5}", "1.5", "", "must be less than 1.5, got number 1.5");
    /* of both, the stricter, in either order */
    wrong("{\"minimum\":5,\"exclusiveMinimum\":5}", "5", "", "must be more than 5, got number 5");
    wrong("{\"exclusiveMinimum\":5,\"minimum\":5}", "5", "", "must be more than 5, got number 5");
    wrong("{\"exclusiveMinimum\":5,\"minimum\":6}", "5.5", "", "must be at least 6, got number 5.5");
    wrong("{\"maximum\":7,\"exclusiveMaximum\":6}", "6", "", "must be less than 6, got number 6");
    wrong("{\"multipleOf\":50}", "120", "", "must be a multiple of 50, got number 120");
    wrong("{\"multipleOf\":0.01}", "0.125", "", "must be a multiple of 0.01, got number 0.125");
    ck_assert(right("{\"multipleOf\":0.01}", "0.29")); /* whose quotient is 28.999999999999996 */
    ck_assert(right("{\"multipleOf\":1}", "-9223372036854775808"));
}
END_TEST

START_TEST(values)
{
    ck_assert(right("{\"const\":1}", "1.0"));
    ck_assert(right("{\"const\":{\"a\":[1,{\"b\":null}],\"c\":\"x\"}}", "{\"c\":\"x\",\"a\":[1.0,{\"b\":null}]}"));
    ck_assert(!right("{\"const\":[1,2]}", "[2,1]"));
    ck_assert(!right("{\"const\":false}", "0"));
    ck_assert(!right("{\"const\":{\"a\":1}}", "{\"a\":1,\"b\":1}"));
    ck_assert(right("{\"enum\":[\"A\",null,3]}", "null"));
    wrong("{\"enum\":[\"A\",null,3]}", "\"B\"", "", "must be one of \"A\", null, 3, got a string of 1 character");
    wrong("{\"const\":1}", "2", "", "must be 1, got number 2");
}
END_TEST

START_TEST(arrays)
{
    wrong("{\"minItems\":1}", "[]", "", "must have at least 1 item, got 0");
    wrong("{\"maxItems\":2}", "[1,2,3]", "", "must have at most 2 items, got 3");
    ck_assert(right("{\"items\":{\"type\":\"integer\"},\"maxItems\":2}", "[1,2]"));
    wrong("{\"properties\":{\"a\":{\"uniqueItems\":true}}}", "{\"a\":[1,{\"b\":2},{\"b\":2.0}]}", "a",
          "must have no item twice, [2] is equal to [1]");
    ck_assert(right("{\"uniqueItems\":false}", "[1,1]"));
    wrong("{\"contains\":{\"const\":1}}", "[2,3]", "", "must have an item of the kind it has to contain, none of 2 is");
}
END_TEST

/* Comparing each with each is bounded by work, however large the array. */
START_TEST(many_items)
{
    struct schema *schema = compile("{\"uniqueItems\":true}");
    json_t *value = json_array();
    for (int i = 0; i < 2000; i++)
        json_array_append_new(value, json_integer(i));
    ck_assert_msg(schema_check(schema, value, &fault) == 0, "%s", fault.text);
    for (int i = 2000; i < 20000; i++)
        json_array_append_new(value, json_integer(i));
    ck_assert_int_eq(schema_check(schema, value, &fault), CVM_EINVAL);
    ck_assert_str_eq(fault.text, "takes too much work to check");
    json_decref(value);
    schema_free(schema);
}
END_TEST

START_TEST(members)
{
    wrong("{\"minProperties\":1}", "{}", "", "must have at least 1 field, got 0");
    wrong("{\"maxProperties\":1}", "{\"a\":1,\"b\":1}", "", "must have at most 1 field, got 2");
    wrong("{\"patternProperties\":{\"^x-\":{\"type\":\"string\"}},\"properties\":{\"x-a\":{\"minLength\":2}}}",
          "{\"x-b\":1}", "x-b", "must be a string, got number 1");
    wrong("{\"patternProperties\":{\"^x-\":{}},\"additionalProperties\":false}", "{\"x-b\":1,\"y\":1}", "y",
          "unknown field; none is allowed here");
    wrong("{\"propertyNames\":{\"maxLength\":3}}", "{\"abcd\":1}", "abcd",
          "the name itself must be at most 3 characters long, got 4");
    wrong("{\"dependentRequired\":{\"card\":[\"address\"]}}", "{\"card\":1}", "address",
          "is required beside card, but missing");
    wrong("{\"dependentSchemas\":{\"card\":{\"properties\":{\"city\":{\"type\":\"string\"}}}}}",
          "{\"card\":1,\"city\":2}", "city", "must be a string, got number 2");
    wrong("{\"dependencies\":{\"a\":[\"b\"]},\"dependentRequired\":{\"a\":[\"c\"]}}", "{\"a\":1,\"b\":1}", "c",
          "is required beside a, but missing");
}
END_TEST

START_TEST(conditions)
{
    const char *schema = "{\"if\":{\"required\":[\"card\"]},\"then\":{\"required\":[\"pin\"]},\"else\":{\"properties\":"
                         "{\"pin\":{\"type\":\"null\"}}}}";
    wrong(schema, "{\"card\":1}", "pin", "is required, but missing");
    wrong(schema, "{\"pin\":1}", "pin", "must be null, got number 1");
    ck_assert(right(schema, "{}"));
    wrong("{\"not\":{\"type\":\"string\"}}", "\"x\"", "",
          "must not be what is ruled out here (not), got a string of 1 character");
}
END_TEST

START_TEST(combined)
{
    const char *one = "{\"oneOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}";
    ck_assert(right(one, "1"));
    ck_assert(right(one, "2.5"));
    wrong(one, "3", "", "must match exactly one of 2 alternatives, matches 2, got number 3");
    wrong(one, "1.5", "", "must match exactly one of 2 alternatives, matches none, got number 1.5");
    wrong("{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"array\"}]}", "1", "",
          "must match at least one of 2 alternatives, matches none, got number 1");
    wrong("{\"properties\":{\"a\":{\"allOf\":[{\"type\":\"integer\"},{\"minimum\":2}]}}}", "{\"a\":1}", "a",
          "must be at least 2, got number 1");
    ck_assert(right("{\"anyOf\":[{\"items\":{\"type\":\"null\"}},true]}", "[1]"));
}
END_TEST

START_TEST(references)
{
    const char *tree = "{\"$defs\":{\"node\":{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"integer\"},"
                       "\"children\":{\"items\":{\"$ref\":\"#/$defs/node\"}}}}},\"$ref\":\"#/$defs/node\"}";
    ck_assert(right(tree, "{\"value\":1,\"children\":[{\"value\":2},{\"children\":[]}]}"));
    wrong(tree, "{\"children\":[{},{\"children\":[{\"value\":\"x\"}]}]}", "children[1].children[0].value",
          "must be an integer, got a string of 1 character");
    /* a keyword beside $ref counts too */
    ck_assert(!right("{\"$defs\":{\"x\":{\"type\":\"string\"}},\"$ref\":\"#/$defs/x\",\"maxLength\":1}", "\"ab\""));
    ck_assert(right("{\"$defs\":{\"a/b\":{\"const\":1},\"c~d%\":{\"const\":2}},"
                    "\"oneOf\":[{\"$ref\":\"#/$defs/a~1b\"},{\"$ref\":\"#/$defs/c~0d%25\"}]}",
                    "2"));
    ck_assert(right("{\"anyOf\":[{\"const\":7},{\"type\":\"array\",\"items\":{\"$ref\":\"#/anyOf/0\"}}]}", "[7,7]"));
}
END_TEST

START_TEST(node_of_a_document)
{
    struct schema *schema = NULL;
    json_t *doc =
        parse("{\"name\":1,\"schemas\":{\"A\":{\"items\":{\"$ref\":\"#/schemas/B\"}},\"B\":{\"type\":\"null\"},"
              "\"C\":{\"items\":{\"tpye\":1}},\"D\":{\"$ref\":\"#/schemas/C\"}}}");
    json_t *schemas = json_object_get(doc, "schemas"), *value = parse("[null,1]");
    ck_assert_int_eq(schema_compile(doc, json_object_get(schemas, "A"), &schema, &fault), 0);
    ck_assert_int_eq(schema_check(schema, value, &fault), CVM_EINVAL);
    ck_assert_str_eq(fault.field, "[1]");
    schema_free(schema);
    /* the pointer is the document's, also through a reference */
    ck_assert_int_eq(schema_compile(doc, json_object_get(schemas, "C"), &schema, &fault), CVM_EINVAL);
    ck_assert_str_eq(fault.field, "/schemas/C/items/tpye");
    ck_assert_int_eq(schema_compile(doc, json_object_get(schemas, "D"), &schema, &fault), CVM_EINVAL);
    ck_assert_str_eq(fault.field, "/schemas/C/items/tpye");
    ck_assert_ptr_eq(schema_resolve(doc, json_object_get(schemas, "D")), json_object_get(schemas, "C"));
    json_decref(value);
    json_decref(doc);
}
END_TEST

START_TEST(faulty_schemas)
{
    refused("{\"properties\":{\"a\":{\"minItms\":1}}}", "/properties/a/minItms", "unknown keyword");
    refused("{\"type\":\"strin\"}", "/type", "must be one of");
    refused("{\"type\":[]}", "/type", "must be one of");
    refused("{\"type\":[\"string\",7]}", "/type", "must be one of");
    refused("{\"enum\":[]}", "/enum", "at least one value");
    refused("{\"minLength\":-1}", "/minLength", "whole number");
    refused("{\"maxItems\":1.5}", "/maxItems", "whole number");
    refused("{\"minimum\":\"1\"}", "/minimum", "must be a number");
    refused("{\"pattern\":\"(\"}", "/pattern", "no regular expression");
    refused("{\"pattern\":7}", "/pattern", "regular expression");
    refused("{\"items\":[{}]}", "/items", "must be a schema");
    refused("{\"anyOf\":[]}", "/anyOf", "at least one schema");
    refused("{\"allOf\":[{},7]}", "/allOf/1", "must be a schema");
    refused("{\"properties\":7}", "/properties", "object of schemas");
    refused("{\"required\":\"a\"}", "/required", "array of names");
    refused("{\"required\":[7]}", "/required", "array of names");
    refused("{\"$ref\":\"#/nowhere\"}", "/$ref", "does not have");
    refused("{\"$ref\":\"http://example.org/x\"}", "/$ref", "JSON pointer");
    refused("{\"properties\":{\"a/b\":7}}", "/properties/a~1b", "must be a schema");
    refused("7", "", "must be a schema");
    refused("{\"not\":7}", "/not", "must be a schema");
    refused("{\"then\":7}", "/then", "must be a schema");
    refused("{\"multipleOf\":0}", "/multipleOf", "above 0");
    refused("{\"exclusiveMinimum\":true}", "/exclusiveMinimum", "must be a number");
    refused("{\"uniqueItems\":1}", "/uniqueItems", "true or false");
    refused("{\"patternProperties\":{\"(\":{}}}", "/patternProperties/(", "no regular expression");
    refused("{\"patternProperties\":{\"a\":7}}", "/patternProperties/a", "must be a schema");
    refused("{\"dependencies\":{\"a\":[7]}}", "/dependencies/a", "array of names");
    refused("{\"dependentRequired\":{\"a\":{}}}", "/dependentRequired/a", "array of names");
    refused("{\"dependentSchemas\":{\"a\":[]}}", "/dependentSchemas/a", "must be a schema");
    refused("{\"minProperties\":-1}", "/minProperties", "whole number");
}
END_TEST

/* References that never step into the value cannot be checked in finite time. */
START_TEST(loops)
{
    refused("{\"$ref\":\"#\"}", "", "leads back to itself");
    refused("{\"$defs\":{\"a\":{\"allOf\":[{\"$ref\":\"#/$defs/b\"}]},\"b\":{\"anyOf\":[{},{\"$ref\":\"#/$defs/a\"}]}},"
            "\"$ref\":\"#/$defs/a\"}",
            "", "leads back to itself");
    refused("{\"not\":{\"$ref\":\"#\"}}", "", "leads back to itself");
    refused("{\"if\":{},\"else\":{\"$ref\":\"#\"}}", "", "leads back to itself");
    refused("{\"dependencies\":{\"a\":{\"$ref\":\"#\"}}}", "", "leads back to itself");
    ck_assert(right("{\"contains\":{\"$ref\":\"#\"}}", "[1]")); /* a step into the value each time */
}
END_TEST

static char *repeat(const char *before, const char *middle, const char *after, int times)
{
    size_t size = (strlen(before) + strlen(after)) * (size_t)times + strlen(middle) + 1, at = 0;
    char *text = malloc(size);
    for (int i = 0; i < times; i++)
        at += (size_t)snprintf(text + at, size - at, "%s", before);
    at += (size_t)snprintf(text + at, size - at, "%s", middle);
    for (int i = 0; i < times; i++)
        at += (size_t)snprintf(text + at, size - at, "%s", after);
    return text;
}

START_TEST(depths)
{
    char *deep = repeat("{\"items\":", "{}", "}", SCHEMA_DEPTH_MAX + 1);
    json_t *doc = parse(deep);
    struct schema *schema;
    ck_assert_int_eq(schema_compile(doc, doc, &schema, &fault), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(fault.text, "nested deeper"));
    json_decref(doc);
    free(deep);
    deep = repeat("[", "1", "]", SCHEMA_DEPTH_MAX);
    ck_assert(right("{\"items\":{\"$ref\":\"#\"}}", deep));
    free(deep);
    deep = repeat("[", "1", "]", SCHEMA_DEPTH_MAX + 1);
    ck_assert(!right("{\"anyOf\":[{\"items\":{\"$ref\":\"#\"}}]}", deep));
    ck_assert_str_eq(fault.text, "is nested too deeply"); /* not: "matches none" */
    free(deep);
}
END_TEST

/* Two alternatives at every level: 2^60 ways to look at the value. */
START_TEST(multiplying_alternatives)
{
    char *deep = repeat("[", "1", "]", 60);
    ck_assert(
        !right("{\"type\":\"array\",\"oneOf\":[{\"items\":{\"$ref\":\"#\"}},{\"items\":{\"$ref\":\"#\"}}]}", deep));
    ck_assert_str_eq(fault.text, "takes too much work to check");
    free(deep);
}
END_TEST

START_TEST(too_many_nodes)
{
    json_t *doc = json_object(), *properties = json_object();
    struct schema *schema;
    char name[16];
    for (int i = 0; i <= SCHEMA_NODES_MAX; i++) {
        snprintf(name, sizeof name, "p%d", i);
        json_object_set_new(properties, name, json_object());
    }
    json_object_set_new(doc, "properties", properties);
    ck_assert_int_eq(schema_compile(doc, doc, &schema, &fault), CVM_EINVAL);
    json_decref(doc);
}
END_TEST

/* Texts may be logged: no string of the value, control characters of member names made harmless, cut in whole
 * characters. */
START_TEST(texts_are_safe)
{
    struct schema *schema = compile("{\"properties\":{\"a\":{\"enum\":[1]}},\"additionalProperties\":false}");
    json_t *value = parse("{\"a\":\"secret\"}");
    ck_assert_int_eq(schema_check(schema, value, &fault), CVM_EINVAL);
    ck_assert_ptr_null(strstr(fault.text, "secret"));
    ck_assert_int_eq(schema_check_quoting(schema, value, &fault), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(fault.text, "got string \"secret\""));
    ck_assert_int_eq(schema_check(schema, value, NULL), CVM_EINVAL);
    json_decref(value);
    value = parse("{\"x\\n\\u001b[2J\":1}");
    ck_assert_int_eq(schema_check(schema, value, &fault), CVM_EINVAL);
    ck_assert_str_eq(fault.field, "x??[2J");
    json_decref(value);
    char name[400];
    for (size_t i = 0; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xa9", 3);
    value = json_pack("{s:i}", name + 0, 1);
    ck_assert_int_eq(schema_check(schema, value, &fault), CVM_EINVAL);
    ck_assert_uint_eq(strlen(fault.field), sizeof fault.field - 2); /* the last byte would be half a character */
    json_decref(value);
    schema_free(schema);
    ck_assert_int_eq(schema_check(NULL, NULL, &fault), 0);
    schema_free(NULL);
}
END_TEST

START_TEST(invalid_utf8)
{
    struct schema *schema = compile("{\"pattern\":\"^a\",\"maxLength\":9}");
    json_t *value = json_string_nocheck("\xff\xfe");
    ck_assert_int_eq(schema_check(schema, value, &fault), CVM_EINVAL);
    json_decref(value);
    schema_free(schema);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema");
    TCase *t = tcase_create("schema");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 20);
    tcase_add_test(t, types);
    tcase_add_test(t, fields);
    tcase_add_test(t, required_is_not_declared);
    tcase_add_test(t, many_properties);
    tcase_add_test(t, strings);
    tcase_add_test(t, runaway_pattern);
    tcase_add_test(t, numbers);
    tcase_add_test(t, values);
    tcase_add_test(t, arrays);
    tcase_add_test(t, many_items);
    tcase_add_test(t, members);
    tcase_add_test(t, conditions);
    tcase_add_test(t, combined);
    tcase_add_test(t, references);
    tcase_add_test(t, node_of_a_document);
    tcase_add_test(t, faulty_schemas);
    tcase_add_test(t, loops);
    tcase_add_test(t, depths);
    tcase_add_test(t, multiplying_alternatives);
    tcase_add_test(t, too_many_nodes);
    tcase_add_test(t, texts_are_safe);
    tcase_add_test(t, invalid_utf8);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
