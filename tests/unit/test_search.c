/* Searching rows of a declared table by words and by vectors: what is found, in which order, what a change or a restart
 * makes of it, and what a question cannot do. */
#include "core/search_memory.h"
#include "virtual.h"

#include <sqlite3.h>
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
    /* zeros in brief: the number of them */
    ck_assert_str_eq(vector(0, 1, 0, 0), "AAAAAAAAgD8AAAAAAAAAAA==");
    ck_assert_str_eq(found(json_pack("{s:s, s:i}", "near", "*8;gD8*11;==", "limit", 1)), "T2");
    static const char *const wrong[] = {"*8;gD8*10;==", "*8;gD8*12;==", "*8gD8*11;==", "*0;", "*99999999;", "*"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ask("list", json_pack("{s:s, s:s}", "table", "outside_texts", "near", wrong[i]));
        ck_assert_int_eq(json_integer_value(json_object_get(seen.data, "error")), CVM_EINVAL);
    }
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

/* Rows that are equal to what is asked for are all looked at, however many others are nearer; and as they are now. */
START_TEST(filters_before_it_takes)
{
    char id[16];
    begin();
    for (int i = 0; i < 60; i++) {
        snprintf(id, sizeof id, "M%02d", i);
        put(id, i == 17 || i == 41 ? "few" : "many", i == 17 ? "apple once" : "apple apple", "",
            vector(1, (float)i, 0, 0));
    }
    json_t *rows = search(json_pack("{s:s, s:s, s:{s:s}, s:i}", "match", "apple", "near", vector(1, 0, 0, 0), "where",
                                    "kind", "few", "limit", 5));
    ck_assert_uint_eq(json_array_size(rows), 2);
    ck_assert_str_eq(
        found(json_pack("{s:s, s:{s:s}, s:i}", "near", vector(1, 0, 0, 0), "where", "kind", "few", "limit", 1)), "M17");
    ck_assert_str_eq(
        found(json_pack("{s:s, s:{s:s, s:s}}", "match", "apple", "where", "kind", "few", "title", "apple apple")),
        "M41");
    ck_assert_str_eq(found(json_pack("{s:s, s:{s:n}}", "match", "apple", "where", "kind")), ""); /* as SQL has it */
    put("M17", "many", "apple once", "", vector(1, 17, 0, 0));
    put("M05", "few", "apple apple", "", vector(1, 5, 0, 0));
    ck_assert_str_eq(found(json_pack("{s:s, s:{s:s}}", "near", vector(1, 0, 0, 0), "where", "kind", "few")), "M05 M41");
    end();
}
END_TEST

START_TEST(gives_only_keys)
{
    begin();
    json_t *rows = search(json_pack("{s:s, s:s, s:b}", "match", "apple", "near", vector(1, 0, 0, 0), "keys_only", 1)),
           *row = json_array_get(rows, 0);
    ck_assert_uint_eq(json_array_size(rows), 3);
    ck_assert_uint_eq(json_array_size(row), 3);
    ck_assert_str_eq(json_string_value(json_array_get(row, 0)), "T1");
    ck_assert(json_is_real(json_array_get(row, 1)) && json_is_real(json_array_get(row, 2)));
    ck_assert(json_is_null(json_array_get(json_array_get(rows, 2), 1))); /* not found by words */
    ask("list", json_pack("{s:b}", "keys_only", 1));                     /* of a search alone */
    ck_assert_int_eq(json_integer_value(json_object_get(seen.data, "error")), CVM_EINVAL);
    end();
}
END_TEST

static json_t *words_of(const json_t *answer)
{
    return json_array_get(json_array_get(json_object_get(json_object_get(answer, "words"), "terms"), 0), 0);
}

/* Each as if it alone had been asked. */
START_TEST(answers_what_is_asked_also)
{
    begin();
    json_t *rows =
               search(json_pack("{s:s, s:b, s:[s, s]}", "match", "coffee", "keys_only", 1, "also", "apple", "zebra")),
           *data = json_object_get(seen.data, "data"), *also = json_object_get(data, "also"),
           *apple = json_array_get(also, 0);
    ck_assert_str_eq(json_string_value(json_array_get(json_array_get(rows, 0), 0)), "T3");
    ck_assert_str_eq(json_string_value(words_of(data)), "coffee");
    ck_assert_uint_eq(json_array_size(also), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(apple, "rows")), 2);
    ck_assert_str_eq(json_string_value(words_of(apple)), "apple");
    json_t *together = json_deep_copy(json_object_get(apple, "rows"));
    ck_assert_uint_eq(json_array_size(json_object_get(json_array_get(also, 1), "rows")), 0);
    rows = search(json_pack("{s:s, s:b}", "match", "apple", "keys_only", 1));
    ck_assert(json_equal(rows, together));
    json_decref(together);
    json_t *many = json_array();
    for (int i = 0; i <= CVM_QUESTIONS_MAX; i++)
        json_array_append_new(many, json_string("apple"));
    ask("list", json_pack("{s:s, s:s, s:O}", "table", "outside_texts", "match", "apple", "also", many));
    ck_assert_int_eq(json_integer_value(json_object_get(seen.data, "error")), CVM_EINVAL);
    json_decref(many);
    ask("list", json_pack("{s:[s]}", "also", "apple")); /* of a search alone */
    ck_assert_int_eq(json_integer_value(json_object_get(seen.data, "error")), CVM_EINVAL);
    end();
}
END_TEST

static int asked_times(const char *text, int also, int times)
{
    json_t *more = json_array();
    for (int i = 0; i < also; i++)
        json_array_append_new(more, json_string(text));
    ask("list",
        json_pack("{s:s, s:s, s:o, s:i}", "table", "outside_texts", "match", text, "also", more, "times", times));
    return (int)json_integer_value(json_object_get(seen.data, "error"));
}

/* Questions count as what the turn puts out: they stand in its record. */
START_TEST(questions_have_a_size)
{
    char text[4001];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = 0;
    begin();
    ck_assert_int_eq(asked_times(text, CVM_QUESTIONS_MAX, 2), 0);
    ck_assert_int_eq(asked_times(text, CVM_QUESTIONS_MAX, 9), CVM_ELIMIT);
    ck_assert_int_eq(asked_times(text, 0, 200), 0);
    end();
}
END_TEST

/* The score of each row by SQLite's own index of words, of the same texts. */
static double by_fts5(const char *match, const char *id)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    double score = 0;
    char path[128];
    snprintf(path, sizeof path, "%s/data/cvmhost.db", v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_exec(db,
                 "CREATE VIRTUAL TABLE temp.f USING fts5(id UNINDEXED, title, body, tokenize = 'porter unicode61"
                 " remove_diacritics 2'); INSERT INTO temp.f SELECT text_id, title, body FROM outside_texts",
                 NULL, NULL, NULL);
    ck_assert_int_eq(
        sqlite3_prepare_v2(db, "SELECT -bm25(f, 0, 3, 1) FROM temp.f WHERE f MATCH ?1 AND id = ?2", -1, &st, NULL),
        SQLITE_OK);
    sqlite3_bind_text(st, 1, match, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, id, -1, SQLITE_STATIC);
    if (sqlite3_step(st) == SQLITE_ROW)
        score = sqlite3_column_double(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return score;
}

/* Also when rows have changed and gone meanwhile. */
START_TEST(scores_as_fts5)
{
    static const char *const words[] = {"apple", "tree", "costs", "shade", "running", "caf\xc3\xa9", "extra", "grown"};
    char id[16], body[128];
    begin();
    for (int i = 0; i < 120; i++) {
        snprintf(id, sizeof id, "R%d", i % 70);
        snprintf(body, sizeof body, "%s %s %s %d", words[i % 8], words[i / 3 % 8], words[i * i % 8], i);
        if (i % 9 == 8)
            ask("note", json_pack("{s:s, s:s}", "text_id", id, "gone", id));
        else
            put(id, "r", words[i % 5], body, NULL);
        if (i % 25 == 0)
            search(json_pack("{s:s}", "match", "apple"));
    }
    json_t *rows = json_incref(search(json_pack("{s:s, s:i}", "match", "apples shade", "limit", 1000))), *row;
    size_t i;
    ck_assert_uint_ge(json_array_size(rows), 20);
    json_array_foreach(rows, i, row)
    {
        double score = json_real_value(json_object_get(row, "text_score"));
        double is = by_fts5("\"apples\" OR \"shade\"", json_string_value(json_object_get(row, "text_id")));
        ck_assert_msg(score > 0 && score < is * 1.00001 && score > is * 0.99999, "%g, not %g", score, is);
    }
    json_decref(rows);
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

/* A column that another build declared: a row that is put anew has nothing of the one before. */
START_TEST(nothing_is_left_of_a_row_before)
{
    char path[128];
    sqlite3 *db;
    begin();
    unsetenv("CVMHOST_TEST_REPLAY");
    virtual_close(v);
    snprintf(path, sizeof path, "%s/data/cvmhost.db", v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db,
                                  "ALTER TABLE outside_texts ADD COLUMN former TEXT;"
                                  "UPDATE outside_texts SET former = 'x'",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    virtual_open(v);
    put("T1", "b", "Pears", "Pears alone", NULL);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM outside_texts WHERE former IS NULL"), 1);
    end();
}
END_TEST

/* ---- what is kept in memory -------------------------------------------------------------------------------------- */

/* A table of texts as the writer keeps it, and its reader. */
static struct {
    sqlite3 *db;
    struct search_memory *memory;
} kept;

static void run_sql(const char *sql)
{
    char *error = NULL;
    ck_assert_msg(sqlite3_exec(kept.db, sql, NULL, NULL, &error) == SQLITE_OK, "%s", error);
}

static void keep_texts(void)
{
    ck_assert_int_eq(sqlite3_open(":memory:", &kept.db), SQLITE_OK);
    run_sql("CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT); CREATE TABLE t(id TEXT PRIMARY KEY, text TEXT);"
            "CREATE TABLE t__rows(seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);"
            "INSERT INTO meta VALUES('search t', '{\"form\": 2, \"key\": \"id\", \"columns\": [\"text\", \"id\"],"
            " \"texts\": [[\"text\", 1.0]], \"vectors\": []}')");
}

static void forget_texts(void)
{
    search_memory_free(kept.memory);
    kept.memory = NULL;
    sqlite3_close(kept.db);
}

static const struct search_table *read_texts(void)
{
    struct search_table *t = NULL;
    ck_assert_int_eq(search_memory_read(&kept.memory, kept.db, "t", &t), 0);
    return t;
}

/* A row that is written again and again with other words: those that no row has any more are forgotten some time. */
START_TEST(words_of_before_are_forgotten)
{
    char text[8192], sql[9000];
    uint32_t most = 0;
    keep_texts();
    for (int i = 0; i < 60; i++) {
        size_t at = 0;
        for (int k = 0; k < 500; k++)
            at += (size_t)snprintf(text + at, sizeof text - at, "w%dx%d ", i, k);
        snprintf(sql, sizeof sql,
                 "INSERT OR REPLACE INTO t VALUES('one', '%s'); INSERT OR REPLACE INTO t__rows(key) VALUES('one')",
                 text);
        run_sql(sql);
        const struct search_table *t = read_texts();
        ck_assert_uint_eq(t->n_alive, 1);
        most = t->n_terms > most ? t->n_terms : most;
    }
    ck_assert_uint_lt(most, 10000);
    forget_texts();
}
END_TEST

/* The places of rows that are gone are for others once more. */
START_TEST(places_of_before_are_used_again)
{
    uint32_t terms[SEARCH_TOKENS_MAX];
    keep_texts();
    run_sql("BEGIN; WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 131072)"
            " INSERT INTO t SELECT 'k' || i, 'same' FROM n; INSERT INTO t__rows(key) SELECT id FROM t; COMMIT");
    ck_assert_uint_eq(read_texts()->n_alive, SEARCH_ROWS_MAX);
    run_sql("BEGIN; CREATE TEMP TABLE gone AS SELECT id FROM t LIMIT 6000; DELETE FROM t WHERE id IN (SELECT id FROM"
            " gone); INSERT OR REPLACE INTO t__rows(key) SELECT id FROM gone;"
            " INSERT INTO t VALUES('late', 'latecomer'); INSERT INTO t__rows(key) VALUES('late'); COMMIT");
    read_texts();
    const struct search_table *t = read_texts();
    ck_assert_uint_eq(t->n_alive, SEARCH_ROWS_MAX - 6000 + 1);
    ck_assert_uint_eq(search_memory_terms(kept.memory, t, "latecomer", terms), 1);
    forget_texts();
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
    tcase_add_test(c, filters_before_it_takes);
    tcase_add_test(c, gives_only_keys);
    tcase_add_test(c, answers_what_is_asked_also);
    tcase_add_test(c, questions_have_a_size);
    tcase_add_test(c, scores_as_fts5);
    tcase_add_test(c, no_row_has_a_vector);
    tcase_add_test(c, nothing_is_left_of_a_row_before);
    tcase_add_test(c, words_of_before_are_forgotten);
    tcase_add_test(c, places_of_before_are_used_again);
    tcase_add_test(c, many_changes);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
