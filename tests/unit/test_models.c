/* Text models: what is learnt, kept, refused and explained. */
#include "core/file.h"
#include "models/evaluate.h"
#include "models/features.h"
#include "models/model_file.h"

#include <check.h>
#include <cvm/cvm.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MIB (1 << 20)

static char folder[64], error[512];

static const char *const fruit[] = {"apple", "pear", "plum", "cherry", "mango"};
static const char *const stones[] = {"granite", "marble", "slate", "basalt", "flint"};
static const char *const begins[] = {"i want a",        "where is my", "give me the",
                                     "how much is one", "show me a",   "what about this"};
static const char *const ends[] = {"please", "now", "today", "for my house", "again"};

static const char *in_folder(const char *name)
{
    static char path[2][128];
    static int which;
    which = !which;
    snprintf(path[which], sizeof path[which], "%s/%s", folder, name);
    return path[which];
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/test-models-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static int delete_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

static void teardown(void)
{
    ck_assert_int_eq(nftw(folder, delete_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* 300 texts: "kind" by the noun, "asks" by how it begins; every fifth has no second label. */
static void make_examples(struct examples *e)
{
    char text[128];
    examples_init(e);
    ck_assert_int_eq(examples_head(e, "kind", NULL), 0);
    ck_assert_int_eq(examples_head(e, "asks", NULL), 0);
    for (size_t i = 0; i < 300; i++) {
        const char *noun = i % 2 ? fruit[i / 2 % 5] : stones[i / 2 % 5], *begin = begins[i / 10 % 6];
        snprintf(text, sizeof text, "%s %s %s", begin, noun, ends[i / 60 % 5]);
        const char *const labels[] = {i % 2 ? "fruit" : "stone", i % 5 == 4 ? NULL : begin};
        ck_assert_int_eq(examples_add(e, text, labels), 0);
    }
    ck_assert_int_eq(examples_sort(e), 0);
}

static const struct model_training plain = {16 * MIB, NULL, NULL};

static struct model *trained(const char *name)
{
    struct examples e;
    struct model *m = NULL;
    make_examples(&e);
    ck_assert_msg(model_train(&e, &plain, in_folder(name), error, sizeof error) == 0, "%s", error);
    examples_fini(&e);
    ck_assert_msg(model_open(in_folder(name), 16 * MIB, &m, error, sizeof error) == 0, "%s", error);
    return m;
}

static const char *best(const struct model *m, const char *text, size_t head, double *ret_probability)
{
    struct model_answer answers[EXAMPLES_HEADS][MODEL_BEST];
    ck_assert_int_eq(model_best(m, text, answers), 0);
    if (ret_probability)
        *ret_probability = answers[head][0].probability;
    return model_label(m, head, answers[head][0].label);
}

START_TEST(separates)
{
    struct model *m = trained("a.model");
    double p;
    ck_assert_uint_eq(model_heads(m), 2);
    ck_assert_uint_eq(model_examples(m), 300);
    ck_assert_str_eq(model_head(m, 1), "asks");
    ck_assert_uint_eq(model_labels(m, 1), 6);
    ck_assert_str_eq(best(m, "Please: a MANGOOO, now!", 0, &p), "fruit");
    ck_assert(p > 0.7);
    ck_assert_str_eq(best(m, "m\xC3\xA0rbl\xC3\xA9 for the house", 0, NULL), "stone");
    ck_assert_str_eq(best(m, "how much is one flint", 1, NULL), "how much is one");
    json_t *all;
    ck_assert_int_eq(model_classify(m, "give me the plum", &all), 0);
    ck_assert_uint_eq(json_array_size(json_object_get(all, "kind")), 2);
    ck_assert_uint_eq(json_array_size(json_object_get(all, "asks")), 3);
    double sum = 0;
    for (size_t i = 0; i < 2; i++)
        sum += json_real_value(json_array_get(json_array_get(json_object_get(all, "kind"), i), 1));
    ck_assert(fabs(sum - 1) < 0.001);
    json_decref(all);
    model_unref(m);
}
END_TEST

START_TEST(any_text_is_answered)
{
    struct model *m = trained("a.model");
    char *lots = malloc(100001);
    for (size_t i = 0; i < 100000; i++)
        lots[i] = (char)(i % 7 ? 'a' + i % 26 : ' ');
    lots[100000] = 0;
    const char *const texts[] = {
        "", " ", "\xFF\xFE\x80", "\xF0\x9F", "''''", "1234567890123", "\xF0\x9F\x98\xA1\xF0\x9F\x98\xA1", lots};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        double p = 0;
        ck_assert_ptr_nonnull(best(m, texts[i], 1, &p));
        ck_assert(p > 0 && p <= 1);
    }
    free(lots);
    model_unref(m);
}
END_TEST

START_TEST(same_examples_same_bytes)
{
    char *a, *b;
    size_t n_a, n_b;
    model_unref(trained("a.model"));
    rand();
    model_unref(trained("b.model"));
    ck_assert_int_eq(file_read(in_folder("a.model"), 64 * MIB, false, &a, &n_a, error, sizeof error), 0);
    ck_assert_int_eq(file_read(in_folder("b.model"), 64 * MIB, false, &b, &n_b, error, sizeof error), 0);
    ck_assert_uint_eq(n_a, n_b);
    ck_assert(memcmp(a, b, n_a) == 0);
    free(a);
    free(b);
}
END_TEST

START_TEST(another_example_is_another_id)
{
    struct examples e;
    char id[3][MODEL_ID_SIZE];
    const char *const labels[] = {"stone", NULL};
    make_examples(&e);
    ck_assert_int_eq(model_id_of(&e, id[0]), 0);
    ck_assert_int_eq(examples_add(&e, "one more", labels), 0);
    ck_assert_int_eq(model_id_of(&e, id[1]), 0);
    e.labels[0] = !e.labels[0];
    ck_assert_int_eq(model_id_of(&e, id[2]), 0);
    ck_assert_str_ne(id[0], id[1]);
    ck_assert_str_ne(id[1], id[2]);
    examples_fini(&e);
}
END_TEST

START_TEST(size_is_kept)
{
    struct examples e;
    struct model *m = NULL;
    make_examples(&e);
    struct model_training small = {30000, NULL, NULL};
    ck_assert_int_eq(model_train(&e, &small, in_folder("s.model"), error, sizeof error), 0);
    ck_assert_int_eq(model_open(in_folder("s.model"), 30000, &m, error, sizeof error), 0);
    ck_assert_uint_le(model_bytes(m), 30000);
    ck_assert_str_eq(best(m, "a mango", 0, NULL), "fruit");
    model_unref(m);
    ck_assert_int_eq(model_open(in_folder("s.model"), 20000, &m, error, sizeof error), CVM_ELIMIT);
    small.max_bytes = 300;
    ck_assert_int_eq(model_train(&e, &small, in_folder("t.model"), error, sizeof error), CVM_ELIMIT);
    ck_assert_int_ne(access(in_folder("t.model"), F_OK), 0);
    examples_fini(&e);
}
END_TEST

/* Whatever byte is another, the file is refused, and by a sentence with its name. */
START_TEST(damage_is_seen)
{
    char *bytes;
    size_t n;
    struct model *m = NULL;
    model_unref(trained("a.model"));
    ck_assert_int_eq(file_read(in_folder("a.model"), 64 * MIB, false, &bytes, &n, error, sizeof error), 0);
    for (size_t i = 0; i < n; i += i < 600 ? 1 : 4099) {
        bytes[i] = (char)(bytes[i] ^ 0x41);
        ck_assert_int_eq(file_write(in_folder("d.model"), bytes, n), 0);
        ck_assert_int_eq(model_open(in_folder("d.model"), 64 * MIB, &m, error, sizeof error), CVM_EDATA);
        ck_assert_ptr_nonnull(strstr(error, "d.model"));
        bytes[i] = (char)(bytes[i] ^ 0x41);
    }
    for (size_t cut = 0; cut < n; cut += n / 50 + 1) {
        ck_assert_int_eq(file_write(in_folder("d.model"), bytes, cut), 0);
        ck_assert_int_eq(model_open(in_folder("d.model"), 64 * MIB, &m, error, sizeof error), CVM_EDATA);
    }
    ck_assert_int_eq(model_open(in_folder("none.model"), 64 * MIB, &m, error, sizeof error), CVM_ENOENT);
    free(bytes);
}
END_TEST

/* With sums that fit: nothing in a header leads out of the file. */
START_TEST(headers_are_not_believed)
{
    char *bytes;
    size_t n;
    struct model *m = NULL;
    model_unref(trained("a.model"));
    ck_assert_int_eq(file_read(in_folder("a.model"), 64 * MIB, false, &bytes, &n, error, sizeof error), 0);
    struct model_header was;
    memcpy(&was, bytes, sizeof was);
    uint32_t seed = 1;
    for (size_t i = 0; i < 3000; i++) {
        struct model_header h = was;
        seed = seed * 1664525 + 1013904223;
        size_t at = 80 + seed / 65536 % 56;
        ((unsigned char *)&h)[at] ^= (unsigned char)(1u << (seed >> 8) % 8);
        h.header_sum = 0;
        h.header_sum = model_sum(&h, sizeof h);
        memcpy(bytes, &h, sizeof h);
        ck_assert_int_eq(file_write(in_folder("d.model"), bytes, n), 0);
        if (model_open(in_folder("d.model"), 64 * MIB, &m, error, sizeof error) == 0) {
            ck_assert_ptr_nonnull(best(m, "i want a plum", 0, NULL)); /* the count of examples may be any */
            model_unref(m);
        }
    }
    free(bytes);
}
END_TEST

START_TEST(says_why)
{
    static struct model_explanation x;
    struct model *m = trained("a.model");
    const char *text = "where is my marble, my MARBLE!";
    float scores[MODEL_OUTPUTS];
    ck_assert_int_eq(model_scores(m, text, scores), 0);
    for (size_t i = 0; i < model_outputs(m); i++) {
        ck_assert_int_eq(model_explain(m, text, i, 10, &x), 0);
        double sum = x.bias + x.rest;
        for (size_t k = 0; k < x.n; k++)
            sum += x.reasons[k].weight;
        ck_assert(fabs(sum - x.score) < 1e-9);
        ck_assert(fabs(sum - (double)scores[i]) < 1e-4);
    }
    ck_assert_int_eq(model_explain(m, text, model_first(m, 0) + 1, 10, &x), 0);
    ck_assert_ptr_nonnull(strstr(x.reasons[0].feature, "marble"));
    ck_assert(x.reasons[0].weight > 0);
    model_unref(m);
}
END_TEST

/* Labels by chance in a part of the texts: what is said with p is right in p of them. */
START_TEST(probabilities_hold)
{
    struct examples e, test;
    struct model *m = NULL;
    char text[160];
    const char *const kinds[] = {"fruit", "stone"};
    uint32_t seed = 7;
    examples_init(&e);
    examples_init(&test);
    ck_assert_int_eq(examples_head(&e, "kind", NULL), 0);
    ck_assert_int_eq(examples_head(&test, "kind", NULL), 0);
    for (size_t i = 0; i < 4000; i++) {
        seed = seed * 1664525 + 1013904223;
        bool a = seed >> 16 & 1;
        bool lies = seed / 1000 % 5 == 0; /* a fifth says the other's words */
        snprintf(text, sizeof text, "%s %s %s %u", begins[seed / 7 % 6],
                 (a != lies) ? fruit[seed / 3 % 5] : stones[seed / 3 % 5], ends[seed / 11 % 5], (unsigned)i);
        const char *const label = kinds[a];
        ck_assert_int_eq(examples_add(i % 2 ? &e : &test, text, &label), 0);
    }
    ck_assert_int_eq(examples_sort(&e), 0);
    ck_assert_int_eq(examples_sort(&test), 0);
    ck_assert_int_eq(model_train(&e, &plain, in_folder("c.model"), error, sizeof error), 0);
    ck_assert_int_eq(model_open(in_folder("c.model"), 16 * MIB, &m, error, sizeof error), 0);
    struct evaluation *v = evaluation_new(&test);
    ck_assert_int_eq(evaluation_add(v, m, &test, error, sizeof error), 0);
    json_t *all = evaluation_json(v), *head = json_array_get(json_object_get(all, "heads"), 0);
    double accuracy = json_real_value(json_object_get(head, "accuracy")),
           off = json_real_value(json_object_get(head, "calibration_error"));
    ck_assert_msg(accuracy > 0.74 && accuracy < 0.86, "accuracy %f", accuracy);
    ck_assert_msg(off < 0.08, "calibration error %f", off);
    json_decref(all);
    evaluation_free(v);
    model_unref(m);
    examples_fini(&e);
    examples_fini(&test);
}
END_TEST

START_TEST(one_label_is_none)
{
    struct examples e;
    const char *const label = "only";
    examples_init(&e);
    ck_assert_int_eq(examples_head(&e, "kind", NULL), 0);
    ck_assert_int_eq(model_train(&e, &plain, in_folder("o.model"), error, sizeof error), CVM_EINVAL);
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(examples_add(&e, fruit[i], &label), 0);
    ck_assert_int_eq(model_train(&e, &plain, in_folder("o.model"), error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "two labels"));
    examples_fini(&e);
}
END_TEST

static bool stop_at_half(void *arg, double done)
{
    *(double *)arg = done;
    return done < 0.5;
}

START_TEST(training_can_be_stopped)
{
    struct examples e;
    double done = 0;
    struct model_training how = {16 * MIB, stop_at_half, &done};
    make_examples(&e);
    ck_assert_int_eq(model_train(&e, &how, in_folder("h.model"), error, sizeof error), CVM_ESTATE);
    ck_assert(done >= 0.5 && done < 0.9);
    ck_assert_int_ne(access(in_folder("h.model"), F_OK), 0);
    examples_fini(&e);
}
END_TEST

/* ---- files of examples ---- */

static int read_text(const char *name, const char *text, struct examples *e)
{
    ck_assert_int_eq(file_write(in_folder(name), text, strlen(text)), 0);
    examples_init(e);
    return examples_read(e, in_folder(name), NULL, NULL, NULL, error, sizeof error);
}

START_TEST(tables_are_read)
{
    struct examples e;
    ck_assert_int_eq(read_text("a.csv", "text,category\r\n\"a, \"\"b\"\"\nc\",x\r\nplain text,y\n\n,z", &e), 0);
    ck_assert_uint_eq(e.n, 3);
    ck_assert_str_eq(e.texts[0], "a, \"b\"\nc");
    ck_assert_str_eq(e.texts[2], "");
    ck_assert_int_eq(examples_label(&e, 0, "y"), 1);
    ck_assert_int_eq(examples_label(&e, 0, "w"), -1);
    examples_fini(&e);
    ck_assert_int_eq(read_text("b.csv", "no header,x\nat all,y\n", &e), 0);
    ck_assert_uint_eq(e.n, 2);
    examples_fini(&e);
    ck_assert_int_eq(read_text("c.tsv", "label\tid\ttweet\nx\t1\tsay \"so\", he\n", &e), 0);
    ck_assert_str_eq(e.texts[0], "say \"so\", he");
    ck_assert_str_eq(e.heads[0].labels[0], "x");
    examples_fini(&e);
}
END_TEST

START_TEST(bad_tables_are_refused)
{
    static const struct {
        const char *text, *says;
    } bad[] = {{"a,x\n\"b,y\n", "line 2: a quote is opened"},
               {"a,x\n\nb\n", "line 3: expected 2 columns"},
               {"a,x\n\"b\"c,y\n", "line 2: text follows"},
               {"\"a\nb\",x\nc,\n", "line 3: the label is empty"},
               {"a,\xFF\xFE\n", "line 1: the label is no UTF-8"},
               {"", "no example"},
               {"text,label\n", "no example"}};
    struct examples e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(read_text("bad.csv", bad[i].text, &e), CVM_EINVAL);
        ck_assert_msg(strstr(error, bad[i].says) && strstr(error, "bad.csv"), "%s", error);
        examples_fini(&e);
    }
    examples_init(&e);
    ck_assert_int_eq(examples_read(&e, in_folder("none.csv"), NULL, NULL, NULL, error, sizeof error), CVM_ENOENT);
    ck_assert_int_eq(file_write(in_folder("h.csv"), "text,label\na,b\n", 15), 0);
    ck_assert_int_eq(examples_read(&e, in_folder("h.csv"), NULL, NULL, "kind", error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "no column \"kind\""));
    examples_fini(&e);
}
END_TEST

START_TEST(lines_are_read_by_heads)
{
    const char *text = "{\"text\": \"a\", \"intent\": \"BUY\", \"urgent\": true}\n\n"
                       "{\"text\": \"b\", \"domain\": \"PEAR\", \"intent\": \"ASK\"}\n{\"text\": \"c\", \"urgent\": "
                       "false, \"intent\": null}\n";
    json_t *heads =
        json_pack("{s:[s,s], s:[s], s:[s]}", "intent", "domain", "intent", "domain", "domain", "urgent", "urgent");
    struct examples e;
    examples_init(&e);
    ck_assert_int_eq(examples_heads(&e, heads, error, sizeof error), 0);
    ck_assert_int_eq(file_write(in_folder("a.jsonl"), text, strlen(text)), 0);
    ck_assert_int_eq(examples_read(&e, in_folder("a.jsonl"), "APPLE", NULL, NULL, error, sizeof error), 0);
    ck_assert_uint_eq(e.n, 3);
    ck_assert_str_eq(e.heads[0].labels[e.labels[0]], "APPLE/BUY");
    ck_assert_str_eq(e.heads[0].labels[e.labels[3]], "PEAR/ASK");
    ck_assert_int_eq(e.labels[6], -1);
    ck_assert_str_eq(e.heads[2].labels[e.labels[2]], "yes");
    ck_assert_int_eq(e.labels[5], -1);
    ck_assert_str_eq(e.heads[2].labels[e.labels[8]], "no");
    ck_assert_int_eq(file_write(in_folder("b.jsonl"), "{\"text\": \"a\"}\n{\"text\": 1}\n", 26), 0);
    ck_assert_int_eq(examples_read(&e, in_folder("b.jsonl"), NULL, NULL, NULL, error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "line 2: \"text\""));
    json_decref(heads);
    examples_fini(&e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("models");
    TCase *c = tcase_create("models");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, separates);
    tcase_add_test(c, any_text_is_answered);
    tcase_add_test(c, same_examples_same_bytes);
    tcase_add_test(c, another_example_is_another_id);
    tcase_add_test(c, size_is_kept);
    tcase_add_test(c, damage_is_seen);
    tcase_add_test(c, headers_are_not_believed);
    tcase_add_test(c, says_why);
    tcase_add_test(c, probabilities_hold);
    tcase_add_test(c, one_label_is_none);
    tcase_add_test(c, training_can_be_stopped);
    tcase_add_test(c, tables_are_read);
    tcase_add_test(c, bad_tables_are_refused);
    tcase_add_test(c, lines_are_read_by_heads);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
