/* The figures of a customer: from a row, from JSON, and back. */
#include "../../plugins/cvm/common/facts.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

START_TEST(row_and_back)
{
    cvm_cell cells[FACTS_COLUMNS] = {0};
    struct cvm_facts f, again;
    struct facts_value v;
    cells[FACTS_customer_id] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = "U124", .len = 4};
    cells[FACTS_monthly_spend] = (cvm_cell){.kind = CVM_CELL_INT, .i = 4210};
    cells[FACTS_data_gb] = (cvm_cell){.kind = CVM_CELL_INT, .i = 7}; /* a whole real may come as an integer */
    cells[FACTS_age] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = "old", .len = 3};
    cells[FACTS_sms] = (cvm_cell){.kind = CVM_CELL_INT, .i = 1};
    cells[FACTS_attributes] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = "{\"Contract\":\"One year\",\"n\":3}"};
    facts_from_cells(cells, &f);
    ck_assert_str_eq(f.customer_id, "U124");
    ck_assert_int_eq(f.monthly_spend, 4210);
    ck_assert_double_eq(f.data_gb, 7);
    ck_assert(f.age == FACTS_NONE);
    ck_assert(isnan(f.churn_score));
    ck_assert_int_eq(f.sms, 1);
    ck_assert_int_eq(f.email, 0);
    json_t *json = facts_to_json(&f);
    ck_assert_uint_eq(json_object_size(json), FACTS_COLUMNS);
    ck_assert(json_is_null(json_object_get(json, "churn_score")));
    ck_assert(facts_from_json(json, &again));
    ck_assert_str_eq(again.customer_id, "U124");
    ck_assert_double_eq(again.data_gb, 7);
    ck_assert(again.age == FACTS_NONE);
    ck_assert(facts_get(&again, "attributes.Contract", &v));
    ck_assert_str_eq(v.cell.text, "One year");
    ck_assert(facts_get(&again, "monthly_spend", &v));
    ck_assert_double_eq(facts_number(&v.cell), 4210);
    ck_assert(!facts_get(&again, "age", &v));
    ck_assert(!facts_get(&again, "nonsense", &v));
    json_decref(json);
}
END_TEST

START_TEST(customer_data)
{
    json_t *data = json_pack("{s:{s:s,s:f,s:b}, s:{s:s, s:b}}", "facts", "customer_id", "U1", "tenure_months", 6.0,
                             "dispute_open", 1, "attributes", "Contract", "Two year", "x", 1);
    struct cvm_facts f;
    struct facts_value v;
    ck_assert(facts_from_json(data, &f));
    ck_assert_int_eq(f.tenure_months, 6);
    ck_assert_int_eq(f.dispute_open, 1);
    ck_assert(facts_attribute(&f, "x", &v));
    ck_assert_int_eq(v.cell.i, 1);
    ck_assert(facts_attribute(&f, "Contract", &v));
    ck_assert_str_eq(v.cell.text, "Two year");
    json_decref(data);
    ck_assert(!facts_from_json(NULL, &f));
    data = json_object();
    ck_assert(!facts_from_json(data, &f));
    json_decref(data);
}
END_TEST

static void has(const char *attributes, const char *name, const char *text)
{
    struct cvm_facts f;
    struct facts_value v;
    facts_clear(&f);
    f.attributes = attributes;
    bool found = facts_attribute(&f, name, &v);
    ck_assert_msg(found == (text != NULL), "%s of %s", name, attributes);
    if (text)
        ck_assert_str_eq(v.cell.text, text);
}

START_TEST(attributes_in_place)
{
    static char long_text[2048];
    struct cvm_facts f;
    struct facts_value v;
    has("{\"a\":{\"b\":\"no\"},\"c\":[1,\"]\",{}], \"b\" : \"yes\"}", "b", "yes");
    has("{\"a\\\"b\":\"q\\n\\u00e9\\ud83d\\ude00\"}", "a\"b", "q\n\xc3\xa9\xf0\x9f\x98\x80");
    has("{\"a\":\"b\"}", "b", NULL);
    has("{\"a\":null}", "a", NULL);
    has("{}", "a", NULL);
    has("", "a", NULL);
    has("{\"a", "a", NULL);
    has("{\"a\"", "a", NULL);
    has("{\"a\":", "a", NULL);
    has("{\"a\":[", "b", NULL);
    has("{\"a\\", "b", NULL);
    facts_clear(&f);
    f.attributes = "{\"i\":-42,\"r\":2.5e1,\"t\":true}";
    ck_assert(facts_attribute(&f, "i", &v) && v.cell.kind == CVM_CELL_INT && v.cell.i == -42);
    ck_assert(facts_attribute(&f, "r", &v) && v.cell.kind == CVM_CELL_REAL && v.cell.r == 25);
    ck_assert(facts_attribute(&f, "t", &v) && v.cell.i == 1);
    memcpy(long_text, "{\"a\":\"x", 7); /* cut between characters: 1 + 127 x 2 bytes */
    for (int i = 0; i < 300; i++)
        memcpy(long_text + 7 + 2 * i, "\xc3\xa9", 2);
    memcpy(long_text + 607, "\"}", 3);
    f.attributes = long_text;
    ck_assert(facts_attribute(&f, "a", &v));
    ck_assert_uint_eq(v.cell.len, 255);
    long_text[6] = '"'; /* and one byte less */
    memmove(long_text + 5, long_text + 6, 605);
    ck_assert(facts_attribute(&f, "a", &v));
    ck_assert_uint_eq(v.cell.len, 254);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("facts");
    TCase *facts = tcase_create("facts");
    tcase_add_test(facts, row_and_back);
    tcase_add_test(facts, customer_data);
    tcase_add_test(facts, attributes_in_place);
    suite_add_tcase(suite, facts);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
