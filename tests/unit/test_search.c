/* Searching rows of a declared table by words and by vectors: what is found, in which order, what a change or a restart
 * makes of it, and what a question cannot do. */
#include "virtual.h"

#include <stdlib.h>
#include <string.h>

#define OUTSIDE "test.outside"

static const char *const PLUGINS[] = {"outside", NULL};
static struct virtual *v;
static struct answer_seen seen;

static void ask(const char *type, json_t *data)
{
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_call(v, OUTSIDE, type, data, &seen);
}

/* Base64 of four floats. */
static const char *vector(float a, float b, float c, float d)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static char text[32];
    float values[4] = {a, b, c, d};
    const unsigned char *bytes = (const unsigned char *)values;
    size_t at = 0;
    for (size_t i = 0; i < sizeof values; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16;
        three |= i + 1 < sizeof values ? (uint32_t)bytes[i + 1] << 8 : 0;
        three |= i + 2 < sizeof values ? bytes[i + 2] : 0;
        for (int k = 3; k >= 0; k--)
            text[at++] = digits[three >> 6 * k & 63];
    }
    memcpy(text + 22, "==", 3);
    return text;
}

static void put(const char *id, const char *kind, const char *title, const char *body, const char *near)
{
    ask("note", json_pack("{s:s, s:s, s:s, s:s, s:s?}", "text_id", id, "kind", kind, "title", title, "body", body,
                          "vector", near));
    ck_assert_int_eq(seen.outcome, CVM_REPLIED);
}

static void begin(void)
{
    v = virtual_new(PLUGINS, NULL);
    virtual_open(v);
    put("T1", "a", "Apples", "Apples and pears are fruits that grow on trees", vector(1, 0, 0, 0));
    put("T2", "a", "Trees", "A tree gives shade; an apple may fall from it", vector(1, 1, 0, 0));
    put("T3", "b", "Caf\xc3\xa9", "Where the coffee is dear, activation costs extra", vector(0, 0, 2, 0));
}

static void end(void)
{
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_free(v);
}

static json_t *search(json_t *question)
{
    json_object_set_new(question, "table", json_string("outside_texts"));
    ask("list", question);
    char *text = json_dumps(seen.data, 0);
    ck_assert_msg(json_object_get(json_object_get(seen.data, "data"), "rows") != NULL, "%s", text);
    free(text);
    return json_object_get(json_object_get(seen.data, "data"), "rows");
}

/* The ids found, in order. */
static const char *found(json_t *question)
{
    static char text[256];
    json_t *rows = search(question), *row;
    size_t i, at = 0;
    text[0] = 0;
    json_array_foreach(rows, i, row) at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? " " : "",
                                                            json_string_value(json_object_get(row, "text_id")));
    return text;
}

START_TEST(finds_by_words)
{
    begin();
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "APPLE?")), "T1 T2"); /* stemmed, the title weighs more */
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "cafe")), "T3");      /* accents are folded */
    ck_assert_str_eq(found(json_pack("{s:s, s:{s:s}}", "match", "apple coffee", "where", "kind", "b")), "T3");
    ck_assert_str_eq(found(json_pack("{s:s, s:i}", "match", "apple", "limit", 1)), "T1");
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "zebra")), "");
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "")), "");
    json_t *row = json_array_get(search(json_pack("{s:s}", "match", "pears")), 0);
    ck_assert(json_real_value(json_object_get(row, "text_score")) > 0);
    ck_assert(json_is_null(json_object_get(row, "vector_score")));
    ck_assert_ptr_null(json_object_get(row, "_words"));
    ck_assert_ptr_null(json_object_get(row, "vector"));
    end();
}
END_TEST

/* What FTS5 reads as syntax is words like any others. */
START_TEST(nothing_is_syntax)
{
    static const char *const hostile[] = {
        "apple\" OR \"coffee", "apple NOT apple", "title:apple", "apple*",
        "NEAR(apple coffee)",  "-apple",          "(apple",      "'); DROP TABLE turns; --",
        "^ apple + {",         "\"\"\""};
    begin();
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++)
        ck_assert_ptr_nonnull(search(json_pack("{s:s}", "match", hostile[i])));
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "apple NOT apple")), "T1 T2");
    end();
}
END_TEST

START_TEST(forgives_spelling)
{
    begin();
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "cofee")), "T3");
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "acitvation")), "T3");
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "toffee")), ""); /* another first letter: another word */
    search(json_pack("{s:s}", "match", "aple cofee"));
    json_t *words = json_object_get(json_object_get(seen.data, "data"), "words"),
           *term = json_array_get(json_object_get(words, "terms"), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(words, "n")), 3);
    ck_assert_str_eq(json_string_value(json_array_get(term, 0)), "cofee");
    ck_assert_int_eq(json_integer_value(json_array_get(term, 2)), 1);
    end();
}
END_TEST

START_TEST(finds_by_vector)
{
    begin();
    ck_assert_str_eq(found(json_pack("{s:s}", "near", vector(3, 0.1f, 0, 0))), "T1 T2 T3");
    json_t *row = json_array_get(search(json_pack("{s:s}", "near", vector(0, 0, 7, 0))), 0);
    ck_assert_double_eq_tol(json_real_value(json_object_get(row, "vector_score")), 1, 1e-6);
    ck_assert_str_eq(found(json_pack("{s:s, s:{s:s}}", "near", vector(1, 0, 0, 0), "where", "kind", "b")), "T3");
    ck_assert_str_eq(found(json_pack("{s:s, s:i}", "near", vector(0, 1, 0, 0), "limit", 1)), "T2");
    /* both: found either way, each with its scores */
    ck_assert_str_eq(found(json_pack("{s:s, s:s, s:i}", "match", "coffee", "near", vector(1, 0, 0, 0), "limit", 1)),
                     "T1 T3");
    /* no vector of the declared dimension */
    ask("list", json_pack("{s:s, s:s}", "table", "outside_texts", "near", "AAAA"));
    ck_assert_int_eq(json_integer_value(json_object_get(seen.data, "error")), CVM_EINVAL);
    ask("list", json_pack("{s:s}", "match", "apple")); /* a table that is not searched */
    ck_assert_int_eq(json_integer_value(json_object_get(seen.data, "error")), CVM_EINVAL);
    ask("note", json_pack("{s:s, s:s}", "text_id", "T9", "vector", "nonsense"));
    ck_assert_int_eq(seen.outcome, CVM_ERROR);
    end();
}
END_TEST

START_TEST(follows_changes)
{
    begin();
    put("T1", "a", "Plums", "Plums are stone fruits", vector(0, 0, 0, 1));
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "apple")), "T2");
    ck_assert_str_eq(found(json_pack("{s:s, s:i}", "near", vector(0, 0, 0, 1), "limit", 1)), "T1");
    put("T1", "a", "Plums", "Plums are stone fruits", NULL); /* no vector any more */
    ck_assert_str_eq(found(json_pack("{s:s}", "near", vector(0, 0, 0, 1))), "T2 T3");
    ask("note", json_pack("{s:s, s:s}", "text_id", "T2", "gone", "T2"));
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "shade")), "");
    ck_assert_str_eq(found(json_pack("{s:s}", "near", vector(0, 0, 0, 1))), "T3");
    put("T2", "a", "Trees", "shade", vector(0, 1, 0, 0));
    virtual_close(v); /* the next reader knows nothing of what was in memory */
    virtual_open(v);
    ck_assert_str_eq(found(json_pack("{s:s}", "match", "shade")), "T2");
    ck_assert_str_eq(found(json_pack("{s:s}", "near", vector(0, 1, 0.5f, 0))), "T2 T3");
    end();
}
END_TEST

/* The first rows that are read have lost their vectors: there is nothing yet that they could be taken out of. */
START_TEST(no_row_has_a_vector)
{
    begin();
    put("T1", "a", "Apples", "Apples", NULL);
    put("T2", "a", "Trees", "Trees", NULL);
    put("T3", "b", "Coffee", "Coffee", NULL);
    ck_assert_str_eq(found(json_pack("{s:s}", "near", vector(1, 0, 0, 0))), "");
    put("T3", "b", "Coffee", "Coffee", vector(0, 0, 2, 0));
    ck_assert_str_eq(found(json_pack("{s:s}", "near", vector(1, 0, 0, 0))), "T3");
    end();
}
END_TEST

/* Many changes of few keys, and many keys: the memory of vectors stays what the table is. */
START_TEST(many_changes)
{
    char id[16];
    begin();
    for (int i = 0; i < 700; i++) {
        snprintf(id, sizeof id, "M%d", i % 300);
        if (i % 7 == 3)
            ask("note", json_pack("{s:s, s:s}", "text_id", id, "gone", id));
        else
            put(id, "m", "many", "many", vector(1, (float)i, 0, 0));
        if (i % 50 == 0)
            search(json_pack("{s:s}", "near", vector(0, 1, 0, 0)));
    }
    int64_t stand = virtual_count(v, "SELECT count(*) AS n FROM outside_texts");
    ck_assert_int_eq(json_array_size(search(json_pack("{s:s, s:i}", "near", vector(1, 1, 0, 0), "limit", 1000))),
                     stand);
    ck_assert_int_eq(json_array_size(search(json_pack("{s:s, s:i}", "match", "many", "limit", 1000))), stand - 3);
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("search");
    TCase *c = tcase_create("search");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, finds_by_words);
    tcase_add_test(c, nothing_is_syntax);
    tcase_add_test(c, forgives_spelling);
    tcase_add_test(c, finds_by_vector);
    tcase_add_test(c, follows_changes);
    tcase_add_test(c, no_row_has_a_vector);
    tcase_add_test(c, many_changes);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
