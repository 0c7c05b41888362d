/* The parts of the knowledge base without a host: how texts are cut, read and compared, what is pruned when, and
 * vectors made by a service. The search itself is the host's: unit/test_search and flow/test_kb. */
#include "../../plugins/service/knowledge/knowledge.h"

#include <check.h>
#include <cvm/harness.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MONTH (30 * DAY_MS)
#define START INT64_C(1795000000000)

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

START_TEST(cuts_passages)
{
    char text[6000];
    size_t n = 0;
    for (int i = 0; n < 5000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "Sentence number %d says something of its own.%s", i,
                              i % 9 == 8 ? "\n\n" : " ");
    json_t *list = document_cut(text), *piece;
    size_t i;
    ck_assert_uint_ge(json_array_size(list), 6);
    json_array_foreach(list, i, piece)
    {
        const char *one = cvm_json_str(piece, "text", "");
        ck_assert_str_eq(cvm_json_str(piece, "kind", ""), "passage");
        ck_assert_uint_le(strlen(one), DOCUMENT_PASSAGE_BYTES);
        ck_assert(strchr(".", one[strlen(one) - 1])); /* whole sentences */
        if (i == 0)
            continue;
        char begin[31];
        snprintf(begin, sizeof begin, "%.30s", one); /* stands in the one before, too */
        const char *before = cvm_json_str(json_array_get(list, i - 1), "text", "");
        ck_assert_ptr_nonnull(strstr(before + strlen(before) - DOCUMENT_OVERLAP_BYTES - 10, begin));
    }
    json_decref(list);
    /* one word without end, and characters of three bytes, are cut too, never inside a character */
    for (n = 0; n + 3 < sizeof text; n += 3)
        memcpy(text + n, "\xe2\x82\xa6", 4);
    list = document_cut(text);
    ck_assert_uint_ge(json_array_size(list), 6);
    json_array_foreach(list, i, piece) ck_assert_uint_eq(strlen(cvm_json_str(piece, "text", "")) % 3, 0);
    json_decref(list);
    list = document_cut(" \n\n ");
    ck_assert_uint_eq(json_array_size(list), 0);
    json_decref(list);
}
END_TEST

START_TEST(reads_heads_and_questions)
{
    const char *text;
    json_t *head = document_head(
        "---\nid: a-1\ntitle: \"T: x\"\nkeywords: [a, b]\n---\n# T\n\nBody.\n\n## Questions people ask\n\n- Why?\n"
        "- How so?\n\n## After\n\nMore.\n",
        &text);
    ck_assert_str_eq(cvm_json_str(head, "id", ""), "a-1");
    ck_assert_str_eq(cvm_json_str(head, "title", ""), "T: x");
    ck_assert_str_eq(cvm_json_str(head, "keywords", ""), "a, b");
    json_t *list = document_cut(text);
    ck_assert_uint_eq(json_array_size(list), 4);
    ck_assert_str_eq(cvm_json_str(json_array_get(list, 1), "text", ""), "Why?");
    ck_assert_str_eq(cvm_json_str(json_array_get(list, 2), "kind", ""), "question");
    ck_assert_ptr_nonnull(strstr(cvm_json_str(json_array_get(list, 3), "text", ""), "More."));
    json_decref(list);
    json_decref(head);
    head = document_head("---\nno end", &text); /* no head at all */
    ck_assert_uint_eq(json_object_size(head), 0);
    ck_assert_int_eq(strncmp(text, "---", 3), 0);
    json_decref(head);
    ck_assert(document_is_id("kb-pow-014") && !document_is_id("") && !document_is_id("a/b") && !document_is_id("a b"));
}
END_TEST

/* ---- words and vectors ------------------------------------------------------------------------------------------- */

static double cosine(const char *a, const char *b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *texts[2] = {a, b};
    static unsigned char bytes[2][EMBED_DIMENSION * 4 + 8];
    for (int k = 0; k < 2; k++) {
        uint32_t bits = 0;
        int have = 0;
        size_t n = 0;
        for (const char *c = texts[k]; *c && *c != '='; c++) {
            bits = bits << 6 | (uint32_t)(strchr(digits, *c) - digits);
            if ((have += 6) >= 8)
                bytes[k][n++] = (unsigned char)(bits >> (have -= 8));
        }
        ck_assert_uint_eq(n, EMBED_DIMENSION * 4);
    }
    double sum = 0;
    for (size_t i = 0; i < EMBED_DIMENSION; i++) {
        float x, y;
        memcpy(&x, bytes[0] + 4 * i, 4);
        memcpy(&y, bytes[1] + 4 * i, 4);
        sum += (double)x * (double)y;
    }
    return sum;
}

/* What is written in brief: "*7;" for seven A, and for as many others as are more than six. */
static void shorten(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        size_t run = strspn(from, "A");
        char mark[16];
        if (run > 6) {
            snprintf(mark, sizeof mark, "*%zu;", run);
            memcpy(to, mark, strlen(mark));
            to += strlen(mark);
            from += run;
        } else {
            *to++ = *from++;
            for (; run > 1; run--)
                *to++ = *from++;
        }
    }
    *to = '\0';
}

/* As the whole text shortened, wherever the zeros stand. */
START_TEST(vectors_are_written_in_brief)
{
    static char brief[EMBED_TEXT_SIZE], whole[EMBED_TEXT_SIZE];
    static float v[EMBED_DIMENSION];
    embed_brief((const float[]){0, 0, 0, 1, 0, 0}, 6, brief);
    ck_assert_str_eq(brief, "*18;CAPw*10;");
    embed_brief(v, EMBED_DIMENSION, brief);
    ck_assert_str_eq(brief, "*2048;");
    srand(7);
    for (int turn = 0; turn < 500; turn++) {
        for (size_t i = 0; i < EMBED_DIMENSION; i++) /* ends of many zero bits among them */
            v[i] = rand() % (1 + turn % 9) ? 0 : rand() % 3 ? (float)(rand() % 64) / 8 : (float)rand() / 3e9F;
        embed_brief(v, EMBED_DIMENSION, brief);
        embed_base64(v, EMBED_DIMENSION, whole);
        shorten(whole);
        ck_assert_str_eq(brief, whole);
    }
}
END_TEST

/* What is stored is found under the same key by every version. */
START_TEST(keys_stay)
{
    char key[SHELF_KEY_SIZE], id[DOCUMENT_ID_MAX + 2];
    static const struct {
        int at;
        const char *key;
    } texts[] = {{0, "text/kb-1#000"},
                 {7, "text/kb-1#007"},
                 {12, "text/kb-1#012"},
                 {100, "text/kb-1#100"},
                 {1234, "text/kb-1#1234"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        shelf_text_key("kb-1", texts[i].at, key);
        ck_assert_str_eq(key, texts[i].key);
    }
    ck_assert_ptr_eq(shelf_key("seen/", "", key), key + 5);
    memset(id, 'x', sizeof id - 1);
    id[sizeof id - 1] = '\0';
    shelf_key("seen/", id, key);
    ck_assert_uint_eq(strlen(key), 5 + DOCUMENT_ID_MAX);
}
END_TEST

START_TEST(near_texts_are_near)
{
    static const char *const texts[] = {"my boat is leaking", "the ship leaks", "a recipe of rice", "my boatz leakin"};
    static char vectors[4][EMBED_TEXT_SIZE];
    static struct text_words words;
    json_t *setting = json_pack("[s, s]", "boat, ship, water craft", "rice, food");
    const struct lexicon *lexicon = lexicon_of(setting);
    for (size_t i = 0; i < 4; i++) {
        text_read(lexicon, texts[i], &words);
        ck_assert(embed_words(words.at, words.n, vectors[i]));
    }
    ck_assert_double_eq_tol(cosine(vectors[0], vectors[0]), 1, 1e-4);
    ck_assert(cosine(vectors[0], vectors[1]) > 0.35);                                  /* a synonym and a stem */
    ck_assert(cosine(vectors[0], vectors[3]) > cosine(vectors[0], vectors[2]) + 0.05); /* misspelt */
    ck_assert(fabs(cosine(vectors[0], vectors[2])) < 0.25);
    text_read(lexicon, texts[0], &words);
    ck_assert(embed_question(words.at, words.n, vectors[0]));
    ck_assert_uint_lt(strlen(vectors[0]), 800);
    ck_assert_ptr_nonnull(strchr(vectors[0], '*'));
    text_read(lexicon, "is the of", &words); /* says nothing */
    ck_assert(!embed_words(words.at, words.n, vectors[0]) && !embed_question(words.at, words.n, vectors[0]));
    text_read(lexicon, "W\xc3\xa1ter-craft's \xe1\xba\xb9k\xe1\xbb\x8d", &words); /* folded; a phrase of the lexicon */
    ck_assert_str_eq(words.at[0].text, "water");
    ck_assert_int_eq(words.at[0].classes[0], 0);
    ck_assert_str_eq(words.at[words.n - 1].text, "eko");
    lexicon_drop();
    json_decref(setting);
}
END_TEST

static void assert_reads(const struct lexicon *lexicon, const char *text, const char *match)
{
    static struct text_words words;
    static char vector[EMBED_TEXT_SIZE];
    text_read(lexicon, text, &words);
    bool any = embed_words(words.at, words.n, vector);
    shorten(vector);
    struct question *q = question_read(lexicon, text);
    ck_assert_ptr_nonnull(q);
    ck_assert_str_eq(q->text, text);
    ck_assert(!match || strcmp(q->match, match) == 0);
    ck_assert_uint_eq(q->n_words, words.n);
    for (size_t i = 0; i < words.n; i++) {
        ck_assert_str_eq(q->words[i].stem, words.at[i].stem);
        ck_assert_mem_eq(q->words[i].classes, words.at[i].classes, sizeof words.at[i].classes);
    }
    ck_assert_str_eq(question_vector(q), any ? vector : "");
    ck_assert_ptr_eq(question_read(lexicon, text), q);
}

/* However many there were, and whatever was kept, a question is what its text and the classes say. */
START_TEST(questions_are_read_once)
{
    char text[2000];
    json_t *setting = json_pack("[s]", "boat, ship"), *other = json_pack("[s, s]", "yard", "boat");
    const struct lexicon *lexicon = lexicon_of(setting);
    for (int turn = 0; turn < 2; turn++) {
        assert_reads(lexicon, "Who mends the boats?", turn ? "mends boats q1z" : "mends boats q0z");
        assert_reads(lexicon, "", "");
        assert_reads(lexicon, "is the of", "");
        for (int i = 0; i < 2000; i++) {
            snprintf(text, sizeof text, "a yard for boat %d", i);
            assert_reads(lexicon, text, NULL);
        }
        for (int k = 0; k < 2; k++) {
            size_t n = 0;
            for (int i = 0; i < 150; i++)
                n += (size_t)snprintf(text + n, sizeof text - n, "word%d boat ", i + k);
            assert_reads(lexicon, text, NULL);
        }
        assert_reads(lexicon, "Who mends the boats?", turn ? "mends boats q1z" : "mends boats q0z");
        lexicon = lexicon_of(other);
    }
    ck_assert_ptr_null(question_read(NULL, "boats"));
    question_drop();
    lexicon_drop();
    json_decref(setting);
    json_decref(other);
}
END_TEST

/* ---- pruning ----------------------------------------------------------------------------------------------------- */

static struct harness *make(void)
{
    struct harness *h = harness_new(START);
    harness_add(h, &cvm_plugin, KNOWLEDGE_MANIFEST);
    return h;
}

static void add(struct harness *h, const char *id, const char *text)
{
    const json_t *answer;
    int outcome = harness_ask(h, KB, "add", json_pack("{s:s, s:s}", "doc_id", id, "text", text), &answer);
    ck_assert_int_eq(outcome, CVM_REPLIED);
}

static const char *status(struct harness *h, const char *id)
{
    return cvm_json_str(json_object_get(harness_rows(h, "kb_documents"), id), "status", "");
}

static void retrieved(struct harness *h, const char *id, double relevance)
{
    harness_send(h, KB, "retrieved", KB_LANE,
                 json_pack("{s:[{s:s, s:f}]}", "found", "document_id", id, "relevance", relevance));
    harness_run(h, 1);
}

/* By itself, each month: what was of little use lately goes, what never was asked for after 90 days. */
START_TEST(prunes_each_month)
{
    struct harness *h = make();
    add(h, "good", "Boats are mended in the yard");
    add(h, "poor", "Kites need wind");
    add(h, "quiet", "Drums are loud");
    retrieved(h, "good", 0.1);
    retrieved(h, "good", 0.8); /* the best one counts */
    retrieved(h, "poor", 0.2);
    harness_run(h, MONTH - DAY_MS);
    ck_assert_str_eq(status(h, "poor"), "active");
    retrieved(h, "good", 0.5);
    retrieved(h, "poor", 0.29);
    harness_run(h, 2 * DAY_MS);
    ck_assert_str_eq(status(h, "good"), "active");
    ck_assert_str_eq(status(h, "poor"), "pruned");
    ck_assert_str_eq(status(h, "quiet"), "active"); /* it has 90 days */
    harness_run(h, 2 * MONTH + DAY_MS);
    ck_assert_str_eq(status(h, "quiet"), "pruned");
    ck_assert_uint_eq(json_object_size(harness_rows(h, "kb_versions")), 3); /* versions stay */
    ck_assert_uint_eq(json_array_size(harness_timers(h)), 1);               /* the next month's */
    harness_free(h);
}
END_TEST

/* ---- vectors of a service ---------------------------------------------------------------------------------------- */

static json_t *numbers(void)
{
    json_t *list = json_array();
    for (int i = 0; i < EMBED_DIMENSION; i++)
        json_array_append_new(list, json_real(i == 7 ? 1 : 0));
    return json_pack("{s:[{s:i, s:o}]}", "data", "index", 0, "embedding", list);
}

START_TEST(service_makes_vectors)
{
    struct harness *h = make();
    cvm_id call;
    json_object_set_new(harness_settings(h, KB), "embedder", json_string(EMBED_OPENAI));
    json_object_set_new(harness_settings(h, EMBED_OPENAI), "base_url", json_string("http://vectors.example"));
    harness_secret(h, "EMBED_API_KEY", "key");
    add(h, "boats", "Boats are mended in the yard");
    const json_t *sent = harness_call(h, &call);
    ck_assert_ptr_nonnull(sent);
    ck_assert(harness_answer_http(h, call, 200, numbers()));
    harness_run(h, 1);
    const json_t *row = json_object_get(harness_rows(h, "kb_chunks"), "boats#000");
    ck_assert(*cvm_json_str(row, "vector", "") && *cvm_json_str(row, "vector_model", ""));
    ck_assert_str_ne(cvm_json_str(row, "vector", ""), cvm_json_str(row, "vector_model", ""));

    /* a service that is away: the document stands, and questions are searched for all the same */
    add(h, "kites", "Kites need wind");
    ck_assert_ptr_nonnull(harness_call(h, &call));
    ck_assert(harness_answer_http(h, call, 503, NULL));
    harness_run(h, 1);
    row = json_object_get(harness_rows(h, "kb_chunks"), "kites#000");
    ck_assert(*cvm_json_str(row, "vector", "") && !*cvm_json_str(row, "vector_model", ""));
    const json_t *answer;
    cvm_id asked = harness_request(h, "", KB, "query", "enquiry", json_pack("{s:s}", "query", "who mends boats"));
    harness_run(h, 1);
    ck_assert_ptr_nonnull(harness_call(h, &call));
    ck_assert(harness_answer_http(h, call, 500, NULL));
    harness_run(h, 1);
    ck_assert_int_eq(harness_result(h, asked, &answer), CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(json_array_get(json_object_get(answer, "results"), 0), "document_id", ""), "boats");
    harness_free(h);
}
END_TEST

/* A service that takes its time with one question, while many others come and go. */
START_TEST(one_that_waits_is_not_lost)
{
    struct harness *h = make();
    const json_t *answer;
    cvm_id slow;
    add(h, "boats", "Boats are mended in the yard");
    json_object_set_new(harness_settings(h, KB), "embedder", json_string(EMBED_OPENAI));
    json_object_set_new(harness_settings(h, EMBED_OPENAI), "base_url", json_string("http://vectors.example"));
    harness_secret(h, "EMBED_API_KEY", "key");
    cvm_id asked = harness_request(h, "", KB, "query", "enquiry", json_pack("{s:s}", "query", "who mends boats"));
    harness_run(h, 1);
    ck_assert_ptr_nonnull(harness_call(h, &slow));
    json_object_set_new(harness_settings(h, KB), "embedder", json_string("")); /* the others need none */
    for (int i = 0; i < 300; i++) {
        harness_request(h, "", KB, "query", "enquiry", json_pack("{s:s, s:[s]}", "query", "a yard", "more", "boats"));
        harness_run(h, 1);
    }
    ck_assert(harness_answer_http(h, slow, 500, NULL));
    harness_run(h, 1);
    ck_assert_int_eq(harness_result(h, asked, &answer), CVM_REPLIED);
    harness_free(h);
}
END_TEST

/* ---- what a question is compared with ---------------------------------------------------------------------------- */

START_TEST(lines_say_what_texts_do)
{
    static struct text_words words;
    static char line[TRACE_MAX_BYTES + 1];
    struct trace_word w;
    size_t n = 0;
    json_t *setting = json_pack("[s, s]", "boat, ship, water craft", "rice, boat");
    const struct lexicon *lexicon = lexicon_of(setting);
    char tag[17];
    snprintf(tag, sizeof tag, "%s", lexicon_tag(lexicon));
    text_read(lexicon, "The boats and the rice; a water-craft, boats", &words);
    trace_write(&words, false, line);
    ck_assert_str_eq(line, "the~ boat:0,1 and~ the~ ric:1 a~ water:0 craft boat:0,1");
    trace_write(&words, true, line);
    ck_assert_str_eq(line, "the~ boat:0,1 and~ ric:1 a~ water:0 craft");
    for (const char *at = line; trace_next(&at, &w); n++) {
        ck_assert_int_eq(w.common, n == 0 || n == 2 || n == 4);
        ck_assert_uint_eq(w.n_classes, n == 1 ? 2 : n == 3 || n == 5 ? 1 : 0);
    }
    ck_assert_uint_eq(n, 7);
    ck_assert(n == 7 && w.len == 5 && strncmp(w.stem, "craft", 5) == 0);
    json_array_append_new(setting, json_string("kite")); /* other classes, another name */
    json_t *other = json_deep_copy(setting);
    ck_assert_str_ne(lexicon_tag(lexicon_of(other)), tag);
    lexicon_drop();
    json_decref(setting);
    json_decref(other);
}
END_TEST

static json_t *kept_by(struct harness *h, const char *key)
{
    return json_object_get(harness_state(h, KB), key);
}

static char *answer_to(struct harness *h, const char *question)
{
    const json_t *answer;
    cvm_id asked =
        harness_request(h, "", KB, "query", "enquiry", json_pack("{s:s, s:i}", "query", question, "top_k", 3));
    harness_run(h, 1);
    ck_assert_int_eq(harness_result(h, asked, &answer), CVM_REPLIED);
    return json_dumps(answer, JSON_SORT_KEYS);
}

/* What a question that met a document without lines asks for, as the harness has it: a look-up there has no lane. */
static void anew(struct harness *h, const char *id)
{
    harness_send(h, KB, "retrieved", KB_LANE, json_pack("{s:[], s:[s]}", "found", "anew", id));
    harness_run(h, 1);
}

static const char boats[] = "# Boats\n\nBoats are mended in the yard, by the water.\n\n## Questions people ask\n\n"
                            "- Who mends my boat?\n- Where is the yard for ships?\n";

/* The same whether it comes from lines or, of a document without them, from texts; which then gets its lines. */
START_TEST(answers_without_lines)
{
    struct harness *h = make();
    add(h, "boats", boats);
    add(h, "kites", "Kites need wind, and a yard to begin in");
    char *by_lines = answer_to(h, "who mends boats in a yard");
    ck_assert_ptr_nonnull(strstr(by_lines, "by the water"));
    json_t *state = (json_t *)(uintptr_t)harness_state(h, KB);
    json_t *kept = json_deep_copy(kept_by(h, "find/boats/0"));
    ck_assert_ptr_nonnull(kept);
    json_object_del(state, "find/boats/0");
    json_object_del(state, "text/boats#000");
    char *by_texts = answer_to(h, "who mends boats in a yard");
    ck_assert_str_eq(by_texts, by_lines);
    anew(h, "boats");
    ck_assert(json_equal(kept_by(h, "find/boats/0"), kept));
    free(by_texts);
    by_texts = answer_to(h, "who mends boats in a yard");
    ck_assert_str_eq(by_texts, by_lines);
    /* other classes of words: lines of the old ones are not believed */
    json_object_set_new(harness_settings(h, KB), "synonyms", json_pack("[s]", "boat, ship"));
    anew(h, "boats");
    ck_assert(!json_equal(kept_by(h, "find/boats/0"), kept));
    json_decref(kept);
    free(by_texts);
    free(by_lines);
    harness_free(h);
}
END_TEST

/* Each question of one request gets what it gets by itself; of a document the text once, with the best place of it. */
START_TEST(answers_several)
{
    struct harness *h = make();
    const json_t *answer, *alone, *one;
    add(h, "boats", boats);
    add(h, "kites", "Kites need wind, and a yard to begin in");
    cvm_id asked = harness_request(h, "", KB, "query", "enquiry",
                                   json_pack("{s:s, s:[s, s], s:i, s:{s:i}}", "query", "who mends boats", "more",
                                             "kites and wind", "a yard for boats", "text_bytes", 12, "with", "n", 7));
    harness_run(h, 1);
    ck_assert_int_eq(harness_result(h, asked, &answer), CVM_REPLIED);
    const json_t *more = json_object_get(answer, "more");
    ck_assert_uint_eq(json_array_size(more), 2);
    ck_assert_int_eq(cvm_json_int(json_object_get(answer, "with"), "n", 0), 7);
    ck_assert_int_gt(cvm_json_int(answer, "ended_ms", 0), 0);
    one = json_array_get(json_object_get(answer, "results"), 0);
    ck_assert_str_eq(cvm_json_str(one, "document_id", ""), "boats");
    ck_assert_str_eq(cvm_json_str(one, "title", ""), "Boats");
    ck_assert_str_eq(cvm_json_str(one, "text", ""), "# Boats\n\nBoa");
    one = json_array_get(json_object_get(json_array_get(more, 0), "results"), 0);
    ck_assert_str_eq(cvm_json_str(one, "document_id", ""), "kites");
    one = json_array_get(json_object_get(json_array_get(more, 1), "results"), 0);
    ck_assert_str_eq(cvm_json_str(one, "document_id", ""), "boats");
    ck_assert_ptr_null(json_object_get(one, "text"));
    asked = harness_request(h, "", KB, "query", "enquiry", json_pack("{s:s}", "query", "a yard for boats"));
    harness_run(h, 1);
    ck_assert_int_eq(harness_result(h, asked, &alone), CVM_REPLIED);
    alone = json_array_get(json_object_get(alone, "results"), 0);
    ck_assert(json_equal(json_object_get(one, "relevance"), json_object_get(alone, "relevance")));
    harness_free(h);
}
END_TEST

/* A row whose key names no passage, as a hand in the database may leave one, is no passage at all. */
START_TEST(keys_name_passages)
{
    struct harness *h = make();
    add(h, "boats", boats);
    add(h, "kites", "Kites need wind, and a yard to begin in");
    json_t *rows = (json_t *)(uintptr_t)harness_rows(h, "kb_chunks");
    json_t *row = json_deep_copy(json_object_get(rows, "boats#000"));
    ck_assert_ptr_nonnull(row);
    json_object_set_new(row, "body", json_string("Zebras graze on the plain"));
    json_object_set_new(row, "chunk_id", json_string("boats#"));
    json_object_set_new(rows, "boats#", row);
    char *answer = answer_to(h, "where do zebras graze on the plain");
    ck_assert_msg(!strstr(answer, "by the water"), "%s", answer);
    free(answer);
    harness_free(h);
}
END_TEST

/* Lines and texts follow the document: nothing of a version before, nothing of one that went. */
START_TEST(lines_follow_documents)
{
    struct harness *h = make();
    char text[6000];
    size_t n = 0;
    const char *key;
    json_t *value;
    for (int i = 0; n < 3000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "Boat number %d is mended here.%s", i,
                              i % 9 == 8 ? "\n\n" : " ");
    n += (size_t)snprintf(text + n, sizeof text - n, "\n\n## Questions people ask\n\n");
    for (int i = 0; i < 30; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "- Who mends boat %d?\n", i);
    add(h, "boats", text);
    ck_assert_ptr_nonnull(kept_by(h, "find/boats/2"));
    ck_assert_ptr_nonnull(kept_by(h, "text/boats#003"));
    add(h, "boats", "Drums are loud in the yard");
    ck_assert_ptr_nonnull(kept_by(h, "find/boats/0"));
    ck_assert_ptr_null(kept_by(h, "find/boats/1"));
    ck_assert_ptr_null(kept_by(h, "find/boats/2"));
    ck_assert_ptr_null(kept_by(h, "text/boats#003"));
    char *answer = answer_to(h, "which drums are loud");
    ck_assert_ptr_nonnull(strstr(answer, "Drums are loud"));
    ck_assert_ptr_null(strstr(answer, "mended"));
    free(answer);
    const json_t *gone;
    ck_assert_int_eq(harness_ask(h, KB, "remove", json_pack("{s:s}", "document_id", "boats"), &gone), CVM_REPLIED);
    json_object_foreach((json_t *)(uintptr_t)harness_state(h, KB), key, value)
        ck_assert_msg(strncmp(key, "find/", 5) != 0 && strncmp(key, "text/", 5) != 0, "%s is left", key);
    harness_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("knowledge");
    TCase *c = tcase_create("knowledge");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, cuts_passages);
    tcase_add_test(c, reads_heads_and_questions);
    tcase_add_test(c, vectors_are_written_in_brief);
    tcase_add_test(c, keys_stay);
    tcase_add_test(c, near_texts_are_near);
    tcase_add_test(c, prunes_each_month);
    tcase_add_test(c, service_makes_vectors);
    tcase_add_test(c, one_that_waits_is_not_lost);
    tcase_add_test(c, questions_are_read_once);
    tcase_add_test(c, lines_say_what_texts_do);
    tcase_add_test(c, answers_without_lines);
    tcase_add_test(c, answers_several);
    tcase_add_test(c, keys_name_passages);
    tcase_add_test(c, lines_follow_documents);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
