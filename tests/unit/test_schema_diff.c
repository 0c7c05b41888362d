/* Whether a new version of a schema takes all that the old one took: each keyword, and that "yes" is never wrong. */
#include "core/schema.h"
#include "core/schema_diff.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char why[256];

/* Texts with ' for ". */
static json_t *parse(const char *text)
{
    json_error_t error;
    char *copy = strdup(text);
    for (char *s = copy; *s; s++)
        if (*s == '\'')
            *s = '"';
    json_t *json = json_loads(copy, JSON_DECODE_ANY, &error);
    ck_assert_msg(json != NULL, "%s: %s", text, error.text);
    free(copy);
    return json;
}

static bool more(const char *old_text, const char *new_text)
{
    json_t *old_schema = parse(old_text), *new_schema = parse(new_text);
    why[0] = 0;
    int yes = schema_accepts_more(old_schema, old_schema, new_schema, new_schema, why, sizeof why);
    ck_assert_int_eq(yes == 0, why[0] != 0);
    ck_assert_int_eq(yes, schema_accepts_more(old_schema, old_schema, new_schema, new_schema, NULL, 0));
    json_decref(old_schema);
    json_decref(new_schema);
    return yes;
}

static void less(const char *old_text, const char *new_text, const char *reason)
{
    ck_assert_msg(!more(old_text, new_text), "%s to %s", old_text, new_text);
    ck_assert_str_eq(why, reason);
}

START_TEST(types)
{
    ck_assert(more("{'type':'integer'}", "{'type':'number'}"));
    ck_assert(more("{'type':'string'}", "{'type':['string','null']}"));
    ck_assert(more("{'type':'string'}", "{}"));
    ck_assert(more("false", "{'type':'string'}"));
    ck_assert(more("{}", "true"));
    less("{'type':'number'}", "{'type':'integer'}", "the message: must be an integer now, and could be a number");
    less("{}", "{'type':'object'}", "the message: must be an object now, and could be anything");
    less("{}", "false", "the message: is not allowed any more");
    less("{'properties':{'a':{'items':{'type':'string'}}}}", "{'properties':{'a':{'items':{'type':'null'}}}}",
         "a[]: must be null now, and could be a string");
}
END_TEST

START_TEST(members)
{
    const char *old_text = "{'type':'object','required':['a'],'properties':{'a':{'type':'string'},'b':{}},"
                           "'additionalProperties':false}";
    ck_assert(more(old_text, old_text));
    ck_assert(more(old_text, "{'properties':{'a':{},'b':{},'c':{'type':'null'}},'additionalProperties':false}"));
    ck_assert(more(old_text, "{'required':['a']}"));
    less(old_text, "{'required':['a','b']}", "b: is required now, and was not");
    less(old_text, "{'properties':{'a':{}},'additionalProperties':false}", "b: was known, and is not any more");
    less("{'properties':{'a':{}}}", "{'properties':{'a':{},'b':{'type':'string'}}}",
         "b: must be a string now, and could be anything");
    less("{'type':'object'}", "{'additionalProperties':false}",
         "the message: fields of other names were allowed, and are not any more");
    less("{'type':'object','properties':{'a':{'properties':{'b':{'type':'string','maxLength':10}}}}}",
         "{'properties':{'a':{'properties':{'b':{'maxLength':9}}}}}", "a.b: maxLength is 9 now, and was looser");
    ck_assert(more("{'additionalProperties':{'type':'integer'}}", "{'additionalProperties':{'type':'number'}}"));
    ck_assert(more("{'additionalProperties':{'type':'integer'}}", "{'properties':{'a':{'type':'number'}}}"));
    const char *patterns =
        "{'type':'object','patternProperties':{'^x':{'type':'string'}},'additionalProperties':false}";
    ck_assert(more(patterns, patterns));
    ck_assert(!more(patterns, "{'properties':{'xa':{'type':'null'}}}"));
    less(patterns, "{'type':'object','patternProperties':{'^y':{}}}",
         "the message: cannot be told: patternProperties is not what it was");
}
END_TEST

START_TEST(scalars)
{
    ck_assert(more("{'type':'string','minLength':2,'maxLength':5}", "{'minLength':1,'maxLength':6}"));
    ck_assert(more("{'type':'integer','minimum':1,'maximum':9}", "{'minimum':1,'maximum':9}"));
    ck_assert(more("{'type':'integer','exclusiveMinimum':1}", "{'minimum':1}"));
    ck_assert(more("{'type':'integer','minimum':2}", "{'exclusiveMinimum':1}"));
    less("{'type':'integer','minimum':1}", "{'exclusiveMinimum':1}",
         "the message: exclusiveMinimum is 1 now, and there was no bound as strict");
    less("{'type':'number','maximum':9}", "{'maximum':8.5}",
         "the message: maximum is 8.5 now, and there was no bound as strict");
    less("{'type':'string'}", "{'minLength':1}", "the message: minLength is 1 now, and was not asked for");
    ck_assert(more("{'type':'string'}", "{'minLength':0,'minimum':5}"));
    ck_assert(more("{'type':'string','pattern':'^a'}", "{'pattern':'^a','title':'b'}"));
    less("{'type':'string','pattern':'^a'}", "{'pattern':'^ab'}", "the message: pattern is not what it was");
    ck_assert(more("{'type':'integer','multipleOf':100}", "{'multipleOf':50}"));
    less("{'type':'integer','multipleOf':50}", "{'multipleOf':100}", "the message: has to be a multiple of 100 now");
    ck_assert(more("{'type':'array','uniqueItems':true,'minItems':2}", "{'uniqueItems':true,'minItems':1}"));
    less("{'type':'array'}", "{'uniqueItems':true}", "the message: uniqueItems is asked for now");
}
END_TEST

START_TEST(values)
{
    ck_assert(more("{'enum':['A','B']}", "{'enum':['A','B','C']}"));
    ck_assert(more("{'enum':['A','B']}", "{'type':'string','maxLength':1}"));
    ck_assert(more("{'const':5}", "{'type':'integer','minimum':5}"));
    less("{'properties':{'n':{'enum':['A','B']}}}", "{'properties':{'n':{'enum':['A']}}}",
         "n: a value that was allowed is not any more: must be \"A\", got string \"B\"");
    less("{'type':'string'}", "{'enum':['A']}", "the message: only certain values are allowed now");
}
END_TEST

START_TEST(combined)
{
    ck_assert(more("{'anyOf':[{'type':'string'},{'type':'null'}]}", "{'type':['string','null']}"));
    ck_assert(more("{'type':'string'}", "{'anyOf':[{'type':'null'},{'type':'string'}]}"));
    ck_assert(more("{'oneOf':[{'type':'string'},{'type':'null'}]}", "{'anyOf':[{'type':'null'},{'type':'string'}]}"));
    ck_assert(more("{'oneOf':[{'type':'string'},{'minLength':2}]}", "{'oneOf':[{'type':'string'},{'minLength':2}]}"));
    ck_assert(!more("{'oneOf':[{'type':'string'},{'minLength':2}]}", "{'oneOf':[{'type':'string'},{'minLength':3}]}"));
    ck_assert(more("{'allOf':[{'type':'object'},{'required':['a']}]}", "{'type':'object','required':['a']}"));
    ck_assert(!more("{'type':'object'}", "{'allOf':[{},{'required':['a']}]}"));
    ck_assert(more("{'type':'string','not':{'const':'x'}}", "{'not':{'const':'x'}}"));
    less("{'type':'string'}", "{'not':{'const':'x'}}", "the message: cannot be told: not is not what it was");
    ck_assert(more("{'if':{'required':['a']},'then':{'required':['b']}}",
                   "{'if':{'required':['a']},'then':{'required':['b']}}"));
    ck_assert(!more("{'if':{'required':['a']}}", "{'if':{'required':['a']},'then':{'required':['b']}}"));
}
END_TEST

START_TEST(references)
{
    const char *tree = "{'$ref':'#/schemas/T','schemas':{'T':{'type':'object','properties':{'v':{'type':'%s'},"
                       "'next':{'items':{'$ref':'#/schemas/T'}}}}}}";
    char integers[256], numbers[256];
    snprintf(integers, sizeof integers, tree, "integer");
    snprintf(numbers, sizeof numbers, tree, "number");
    json_t *a = parse(integers), *b = parse(numbers), *sa = json_object(), *sb = json_object();
    json_object_set(sa, "schemas", json_object_get(a, "schemas"));
    json_object_set(sb, "schemas", json_object_get(b, "schemas"));
    const json_t *ta = json_object_get(json_object_get(sa, "schemas"), "T");
    const json_t *tb = json_object_get(json_object_get(sb, "schemas"), "T");
    ck_assert_int_eq(schema_accepts_more(sa, ta, sb, tb, why, sizeof why), 1);
    ck_assert_int_eq(schema_accepts_more(sb, tb, sa, ta, why, sizeof why), 0);
    ck_assert_str_eq(why, "v: must be an integer now, and could be a number");
    ck_assert_int_eq(schema_accepts_more(NULL, NULL, NULL, NULL, why, sizeof why), 1);
    ck_assert_int_eq(schema_accepts_more(NULL, NULL, sa, ta, why, sizeof why), 0);
    ck_assert_int_eq(schema_accepts_more(sa, ta, NULL, NULL, why, sizeof why), 1);
    json_decref(a);
    json_decref(b);
    json_decref(sa);
    json_decref(sb);
}
END_TEST

/* ---- any schemas ------------------------------------------------------------------------------------------------ */

static uint64_t seed;

static unsigned dice(unsigned sides)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % sides;
}

static const char *const NAMES[] = {"a", "b", "xa"};
static const char *const STRINGS[] = {"", "a", "ab", "xa"};

static json_t *any_value(unsigned depth)
{
    json_t *value;
    switch (dice(depth ? 9 : 5)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(dice(2));
    case 2:
        return json_integer((int)dice(5) - 1);
    case 3:
        return json_real(dice(8) / 2.0);
    case 4:
        return json_string(STRINGS[dice(4)]);
    case 5:
        value = json_array();
        for (unsigned n = dice(4); n; n--)
            json_array_append_new(value, any_value(depth - 1));
        return value;
    default:
        value = json_object();
        for (unsigned n = dice(4); n; n--)
            json_object_set_new(value, NAMES[dice(3)], any_value(depth - 1));
        return value;
    }
}

static json_t *any_schema(unsigned depth);

static void add_list(json_t *schema, const char *keyword, unsigned depth)
{
    json_t *list = json_array();
    for (unsigned n = 1 + dice(2); n; n--)
        json_array_append_new(list, any_schema(depth - 1));
    json_object_set_new(schema, keyword, list);
}

static void add_members(json_t *schema, const char *keyword, const char *const *names, unsigned depth)
{
    json_t *of_names = json_object();
    for (unsigned n = dice(3); n; n--)
        json_object_set_new(of_names, names[dice(3)], any_schema(depth - 1));
    json_object_set_new(schema, keyword, of_names);
}

static void add_deep(json_t *schema, unsigned depth)
{
    static const char *const PATTERNS[] = {"^x", "a$", "b"};
    static const char *const LISTS[] = {"anyOf", "allOf", "oneOf"};
    static const char *const ONE[] = {"items",    "additionalProperties", "not", "if", "then",
                                      "contains", "propertyNames"};
    switch (dice(7)) {
    case 0:
    case 1:
        add_members(schema, "properties", NAMES, depth);
        break;
    case 2:
        add_list(schema, LISTS[dice(3)], depth);
        break;
    case 3:
        if (dice(3) == 0)
            add_members(schema, "patternProperties", PATTERNS, depth);
        break;
    case 4:
        json_object_set_new(schema, "additionalProperties", json_boolean(dice(2)));
        break;
    default:
        json_object_set_new(schema, ONE[dice(dice(2) ? 2 : 7)], any_schema(depth - 1));
    }
}

static json_t *any_schema(unsigned depth)
{
    static const char *const TYPES[] = {"null", "boolean", "object", "array", "string", "number", "integer"};
    static const char *const NUMBERS[] = {"minimum",       "maximum",      "exclusiveMinimum", "exclusiveMaximum",
                                          "minLength",     "maxLength",    "minItems",         "maxItems",
                                          "minProperties", "maxProperties"};
    json_t *schema = json_object();
    if (dice(20) == 0) {
        json_decref(schema);
        return json_boolean(dice(2));
    }
    for (unsigned n = dice(4); n; n--) {
        switch (dice(depth ? 9 : 5)) {
        case 0:
            json_object_set_new(schema, "type", json_string(TYPES[dice(7)]));
            break;
        case 1:
            json_object_set_new(schema, "type", json_pack("[s, s]", TYPES[dice(7)], TYPES[2 + dice(5)]));
            break;
        case 2:
            json_object_set_new(schema, NUMBERS[dice(10)], json_integer(dice(4)));
            break;
        case 3:
            if (dice(3) == 0)
                json_object_set_new(schema, "enum", json_pack("[o, o]", any_value(1), any_value(1)));
            else
                json_object_set_new(schema, "required", json_pack("[s]", NAMES[dice(3)]));
            break;
        case 4:
            if (dice(2))
                json_object_set_new(schema, "multipleOf", json_integer(1 + dice(4)));
            else
                json_object_set_new(schema, "uniqueItems", json_boolean(dice(2)));
            break;
        default:
            add_deep(schema, depth);
        }
    }
    return schema;
}

/* One keyword taken out, added, or another value: so that "yes" is not rare. */
static json_t *any_change(const json_t *schema)
{
    json_t *changed = json_deep_copy(schema), *other = any_schema(1), *inner, *member;
    const char *name;
    void *it = json_object_iter(changed);
    for (unsigned n = dice(3); it && n; n--)
        it = json_object_iter_next(changed, it);
    if (it && dice(2)) {
        json_object_del(changed, json_object_iter_key(it));
    } else if (json_is_object(changed) && dice(2)) {
        json_object_update(changed, other);
    } else if ((inner = json_object_get(changed, "properties"))) {
        json_object_foreach(inner, name, member)
        {
            json_object_set_new(inner, name, any_change(member));
        }
    }
    json_decref(other);
    return changed;
}

/* "Yes" is a promise: no value may be found that breaks it. */
START_TEST(yes_is_never_wrong)
{
    int promised = 0, held = 0;
    seed = 4711;
    for (int i = 0; i < 30000; i++) {
        json_t *a = any_schema(3), *b = dice(4) ? any_change(a) : any_schema(2);
        struct schema *compiled_a, *compiled_b;
        struct schema_error fault;
        ck_assert_msg(schema_compile(a, a, &compiled_a, &fault) == 0, "%s %s", fault.field, fault.text);
        ck_assert_msg(schema_compile(b, b, &compiled_b, &fault) == 0, "%s %s", fault.field, fault.text);
        if (schema_accepts_more(a, a, b, b, why, sizeof why)) {
            promised++;
            for (int k = 0; k < 40; k++) {
                json_t *value = any_value(3);
                bool old_takes = schema_check(compiled_a, value, NULL) == 0;
                held += old_takes;
                if (old_takes && schema_check(compiled_b, value, &fault) < 0)
                    ck_abort_msg("%s was right under %s, and under %s: %s %s", json_dumps(value, JSON_ENCODE_ANY),
                                 json_dumps(a, JSON_ENCODE_ANY), json_dumps(b, JSON_ENCODE_ANY), fault.field,
                                 fault.text);
                json_decref(value);
            }
        }
        ck_assert_msg(schema_accepts_more(a, a, a, a, why, sizeof why), "%s: %s", json_dumps(a, JSON_ENCODE_ANY), why);
        schema_free(compiled_a);
        schema_free(compiled_b);
        json_decref(a);
        json_decref(b);
    }
    ck_assert_int_gt(promised, 3000);
    ck_assert_int_gt(held, 20000);
}
END_TEST

/* However large or twisted, it ends soon. */
START_TEST(ends)
{
    json_t *doc = json_object(), *schemas = json_object();
    for (int i = 0; i < 40; i++) {
        char name[16];
        json_t *any = json_array();
        for (int k = 0; k < 40; k++)
            json_array_append_new(
                any, json_pack("{s:{s:{s:s+}}}", "properties", NAMES[k % 3], "$ref", "#/schemas/s", k % 2 ? "1" : "2"));
        snprintf(name, sizeof name, "s%d", i);
        json_object_set_new(schemas, name, json_pack("{s:o, s:s}", "anyOf", any, "type", "object"));
    }
    json_object_set_new(doc, "schemas", schemas);
    json_t *other = json_deep_copy(doc);
    json_object_set_new(json_object_get(json_object_get(other, "schemas"), "s2"), "minProperties", json_integer(1));
    const json_t *old_schema = json_object_get(json_object_get(doc, "schemas"), "s1");
    const json_t *new_schema = json_object_get(json_object_get(other, "schemas"), "s1");
    ck_assert_int_eq(schema_accepts_more(doc, old_schema, other, new_schema, why, sizeof why), 0);
    json_decref(doc);
    json_decref(other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schema_diff");
    TCase *t = tcase_create("schema_diff");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 40);
    tcase_add_test(t, types);
    tcase_add_test(t, members);
    tcase_add_test(t, scalars);
    tcase_add_test(t, values);
    tcase_add_test(t, combined);
    tcase_add_test(t, references);
    tcase_add_test(t, yes_is_never_wrong);
    tcase_add_test(t, ends);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
