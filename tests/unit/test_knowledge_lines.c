/* Lines that questions are compared with: what is kept of them says what the stored values do, however many there are,
 * and ranks as the lines themselves. The values are the test's. */
#include "../../plugins/service/knowledge/knowledge.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define MANY 1500 /* values, more than are kept */

static json_t *values; /* "<document>/<block>" */
static int asked;

int shelf_traced(cvm_turn *t, const char *id, int at, const json_t **ret_value)
{
    char key[DOCUMENT_ID_MAX + 24];
    (void)t;
    asked++;
    snprintf(key, sizeof key, "%s/%d", id, at / TRACE_ROWS);
    const json_t *value = json_object_get(values, key);
    if (!value)
        return CVM_ENOENT;
    *ret_value = value;
    return CVM_OK;
}

static void put(const char *id, int block, const char *head, json_t *rows)
{
    char key[DOCUMENT_ID_MAX + 24];
    snprintf(key, sizeof key, "%s/%d", id, block);
    json_object_set_new(values, key,
                        json_pack("{s:s, s:s, s:s, s:o}", "title", id, "topic", "t", "head", head, "rows", rows));
}

static void set_up(void)
{
    values = json_object();
    asked = 0;
    lines_begin();
}

static void tear_down(void)
{
    lines_drop();
    json_decref(values);
}

static struct lines_found row(const char *id, int at)
{
    struct lines_found found;
    ck_assert_int_eq(lines_row(NULL, id, at, &found), CVM_OK);
    return found;
}

/* The words that were read, where some were, are those of the line. */
static void assert_read(const struct trace_line *read, const char *line)
{
    struct trace_word w;
    size_t n = 0;
    for (; read->words && trace_next(&line, &w); n++) {
        ck_assert_uint_lt(n, read->n);
        const struct trace_word *is = &read->words[n];
        ck_assert(is->len == w.len && memcmp(is->stem, w.stem, w.len) == 0);
        ck_assert(is->common == w.common && is->n_classes == w.n_classes);
        ck_assert_mem_eq(is->classes, w.classes, w.n_classes * sizeof *w.classes);
    }
    ck_assert_uint_eq(n, read->words ? read->n : 0);
}

START_TEST(read_as_they_are_stored)
{
    put("boats", 0, "boat:1 yard", json_pack("[s, s, n]", "p0 boat:1,7 the~ yard", "q0 who~ mend"));
    put("boats", 1, "boat:1 yard", json_pack("[s]", "p16"));
    struct lines_found one = row("boats", 0), two = row("boats", 1);
    ck_assert(!one.row.question && one.row.at == 0 && two.row.question && two.row.at == 0);
    ck_assert_str_eq(one.row.line, " boat:1,7 the~ yard");
    ck_assert_uint_eq(one.row.read.n, 3);
    ck_assert_uint_eq(one.head.n, 2);
    assert_read(&one.row.read, one.row.line);
    assert_read(&two.row.read, two.row.line);
    assert_read(&one.head, "boat:1 yard");
    ck_assert_ptr_eq(one.head.words, two.head.words); /* read once */
    ck_assert_int_eq(asked, 1);
    ck_assert_ptr_null(row("boats", 2).row.line); /* no text, and no row */
    ck_assert_ptr_null(row("boats", 15).row.line);
    ck_assert_int_eq(asked, 1);
    ck_assert_uint_eq(row("boats", 16).row.read.n, 0); /* no words */
    ck_assert_int_eq(row("boats", 16).row.at, 16);
    struct lines_found none;
    ck_assert_int_eq(lines_row(NULL, "kites", 0, &none), CVM_ENOENT);
}
END_TEST

START_TEST(follow_what_is_stored)
{
    put("boats", 0, "boat", json_pack("[s]", "p0 boat yard"));
    ck_assert_str_eq(row("boats", 0).row.line, " boat yard");
    lines_begin();
    ck_assert_str_eq(row("boats", 0).row.line, " boat yard");
    ck_assert_int_eq(asked, 2); /* an answer asks for itself */
    put("boats", 0, "drum", json_pack("[s]", "p0 loud drum:4 beat"));
    lines_begin();
    struct lines_found now = row("boats", 0);
    ck_assert_str_eq(now.row.line, " loud drum:4 beat");
    ck_assert_uint_eq(now.row.read.n, 3);
    assert_read(&now.row.read, now.row.line);
    assert_read(&now.head, "drum");
    json_object_clear(values);
    lines_begin();
    struct lines_found none;
    ck_assert_int_eq(lines_row(NULL, "boats", 0, &none), CVM_ENOENT);
}
END_TEST

static const char *name_of(int i)
{
    static char name[16];
    snprintf(name, sizeof name, "d%d", i);
    return name;
}

/* What an answer was given stands until the next one, however much else it asks for. */
static void ask_all(void)
{
    static struct lines_found found[MANY];
    lines_begin();
    for (int i = 0; i < MANY; i++)
        found[i] = row(name_of(i), 1);
    for (int i = 0; i < MANY; i++) {
        const json_t *value = found[i].value;
        const char *line = json_string_value(json_array_get(json_object_get(value, "rows"), 1));
        ck_assert_str_eq(cvm_json_str(value, "title", ""), name_of(i));
        ck_assert(found[i].row.question && found[i].row.at == i % 7);
        ck_assert_str_eq(found[i].row.line, line + 2);
        assert_read(&found[i].row.read, found[i].row.line);
        assert_read(&found[i].head, cvm_json_str(value, "head", ""));
    }
}

START_TEST(more_than_are_kept)
{
    char line[64];
    for (int i = 0; i < MANY; i++) {
        snprintf(line, sizeof line, "q%d word%d:%d ~ common~ last", i % 7, i, i % TEXT_CLASSES_MAX);
        put(name_of(i), 0, line + 2, json_pack("[s, s]", "p0 a b c", line));
    }
    ask_all();
    ask_all();
}
END_TEST

/* Few values, whose words are more than are kept of all. */
START_TEST(longer_than_are_kept)
{
    static char line[TRACE_MAX_BYTES + 4];
    memcpy(line, "q0", 2);
    for (size_t i = 2; i + 2 < sizeof line; i += 2)
        memcpy(line + i, " w", 3);
    for (int i = 0; i < MANY; i++) {
        json_t *rows = json_array();
        line[1] = (char)('0' + i % 7);
        for (int k = 0; i % 50 == 0 && k < TRACE_ROWS; k++)
            json_array_append_new(rows, json_string(line));
        if (!json_array_size(rows))
            rows = (json_decref(rows), json_pack("[s, s#]", "p0", line, 4));
        put(name_of(i), 0, "head", rows);
    }
    ask_all();
    ask_all();
    lines_begin(); /* and there is room again for what is of use now */
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_nonnull(row(name_of(50 * i), 0).row.read.words);
}
END_TEST

/* ---- ranked ------------------------------------------------------------------------------------------------------ */

static const json_t *no_text(void *arg, const struct rank_row *row)
{
    (void)arg, (void)row;
    return NULL;
}

static json_t *ranked(const struct lexicon *lexicon, const struct rank_row *rows, size_t n)
{
    json_t *words = json_pack("{s:i, s:[[s, s, i], [s, s, i], [s, s, i]]}", "n", 40, "terms", "mends", "mends", 3,
                              "boatz", "boat", 9, "q0z", "q0z", 12);
    struct rank_source source = {.rows = rows, .n = n, .text = no_text};
    static struct text_words asked_words;
    text_read(lexicon, "who mends boatz and ships in the yard", &asked_words);
    json_t *ranking = rank(asked_words.at, asked_words.n, "", words, &source, 10);
    json_decref(words);
    return ranking;
}

/* The same of lines whose words were read, of lines, and of some of both. */
START_TEST(rank_alike)
{
    static const char *const names[] = {"boats", "kites", "drums"};
    struct rank_row rows[9];
    json_t *setting = json_pack("[s, s]", "boat, ship", "yard"), *all[3];
    const struct lexicon *lexicon = lexicon_of(setting);
    put("boats", 0, "boat:0 yard:1",
        json_pack("[s, s, s]", "p0 boat:0 the~ mend yard:1", "q0 who~ mend boat:0", "p2 oar"));
    put("kites", 0, "kite wind", json_pack("[s, s, s]", "p0 kite need~ wind", "p1 yard:1 mend", "q1 where~ yard:1"));
    put("drums", 0, "drum", json_pack("[s, s, s]", "p0 drum", "p1", "q0 mending drum ship:0"));
    for (int how = 0; how < 3; how++) {
        for (int i = 0; i < 9; i++) {
            struct lines_found f = row(names[i / 3], i % 3);
            bool lines = how == 1 || (how == 2 && i % 2);
            rows[i] = (struct rank_row){.document_id = names[i / 3],
                                        .about = f.value,
                                        .topic = f.topic,
                                        .head = f.head_line,
                                        .body = f.row.line,
                                        .head_read = lines ? (struct trace_line){0} : f.head,
                                        .body_read = lines ? (struct trace_line){0} : f.row.read,
                                        .question = f.row.question,
                                        .at = f.row.at,
                                        .text_score = 1.0 + i % 4,
                                        .cosine = 0.1 * (i % 5)};
        }
        all[how] = ranked(lexicon, rows, 9);
    }
    const json_t *best = json_array_get(json_object_get(all[0], "results"), 0);
    ck_assert_str_eq(cvm_json_str(best, "document_id", ""), "boats");
    ck_assert_double_gt(json_number_value(json_object_get(best, "relevance")), KB_RELEVANT);
    ck_assert_uint_eq(json_array_size(json_object_get(all[0], "results")), 3);
    ck_assert(json_equal(all[0], all[1]) && json_equal(all[0], all[2]));
    for (int how = 0; how < 3; how++)
        json_decref(all[how]);
    lexicon_drop();
    json_decref(setting);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("knowledge_lines");
    TCase *c = tcase_create("lines");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, set_up, tear_down);
    tcase_add_test(c, read_as_they_are_stored);
    tcase_add_test(c, follow_what_is_stored);
    tcase_add_test(c, more_than_are_kept);
    tcase_add_test(c, longer_than_are_kept);
    tcase_add_test(c, rank_alike);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
