/* The knowledge base on a real host: what is found and answered, documents and their versions, domains that come and
 * go, what is pruned, and how it holds up with many documents. CVM_KB_DOCUMENTS says how many; 500 without. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static json_t *run(struct flow *f, int status, const char *const *words)
{
    struct flow_answer a;
    int got = flow_run(f, &a, words);
    ck_assert_msg(got == status, "%s %s: %d, wanted %d: %s%s", words[0], words[1], got, status, a.text, a.errors);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

#define RUN(f, status, ...) run(f, status, (const char *const[]){__VA_ARGS__, "--output", "json", NULL})

static json_t *get(struct flow *f, const char *path, int status)
{
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "GET", path, NULL, NULL, &a), status);
    json_t *json = json_incref(a.json);
    flow_answer_free(&a);
    return json;
}

static int64_t documents(struct flow *f)
{
    json_t *stats = RUN(f, 0, "kb", "stats");
    int64_t n = json_integer_value(json_object_get(stats, "documents"));
    json_decref(stats);
    return n;
}

/* Until no more of the plugins' documents come or go. */
static int64_t settled(struct flow *f)
{
    int64_t last = -1, now;
    for (int quiet = 0; quiet < 3; last = now) {
        flow_sleep_ms(300);
        now = documents(f);
        quiet = now == last ? quiet + 1 : 0;
    }
    return last;
}

static struct flow *product(void)
{
    struct flow *f = flow_new();
    flow_product(f);
    flow_start(f);
    settled(f);
    return f;
}

static struct flow *alone(int max)
{
    struct flow *f = flow_new();
    flow_plugin(f, "knowledge");
    if (max)
        flow_config(f, "agents", json_pack("{s:{s:{s:i}}}", "provider.kb.local", "settings", "max_documents", max));
    flow_start(f);
    return f;
}

/* ---- searching --------------------------------------------------------------------------------------------------- */

START_TEST(finds_and_answers)
{
    struct flow *f = product();
    json_t *body =
        get(f, "/api/v1/knowledge-base/search?query=my%20prepaid%20meter%20rejects%20the%20token&top_k=3", 200);
    ck_assert(json_is_true(json_object_get(body, "success")) && json_is_true(json_object_get(body, "found")));
    const json_t *sources = json_object_get(body, "sources"), *first = json_array_get(sources, 0);
    ck_assert_uint_ge(json_array_size(sources), 1);
    ck_assert_uint_le(json_array_size(sources), 3);
    double relevance = json_number_value(json_object_get(first, "relevance")),
           confidence = json_number_value(json_object_get(body, "confidence"));
    ck_assert(relevance >= 0.3 && relevance <= 1 && confidence >= 0.3 && confidence <= 1);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "position")), 1);
    ck_assert_ptr_nonnull(strstr(str(first, "source"), ".md"));
    char cited[96];
    snprintf(cited, sizeof cited, "(document %s)", str(first, "document_id"));
    ck_assert_ptr_nonnull(strstr(str(body, "answer"), cited));
    ck_assert_str_eq(str(body, "agent"), "ResearchAgent");
    const json_t *raw = json_object_get(body, "raw_results");
    ck_assert_uint_eq(json_array_size(json_object_get(raw, "documents")), json_array_size(sources));
    ck_assert_double_eq_tol(json_number_value(json_array_get(json_object_get(raw, "distances"), 0)), 1 - relevance,
                            0.006);
    json_decref(body);

    body = get(f, "/api/v1/knowledge-base/search?query=who%20won%20the%20chess%20olympiad%20in%20Budapest", 200);
    ck_assert(json_is_false(json_object_get(body, "found")) && *str(body, "message"));
    ck_assert_uint_eq(json_object_size(body), 3);
    json_decref(body);
    json_decref(get(f, "/api/v1/knowledge-base/search", 400));
    json_decref(get(f, "/api/v1/knowledge-base/search?query=x&top_k=51", 400));
    json_decref(get(f, "/api/v1/knowledge-base/search?query=%20", 503));
    flow_end(f);
}
END_TEST

START_TEST(filters_and_ranks)
{
    struct flow *f = product();
    json_t *body = RUN(f, 0, "kb", "search", "how do I check my balance", "--domain", "power", "--top-k", "10");
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(body, "results"), i, one) ck_assert_str_eq(str(one, "domain"), "POWER");
    json_decref(body);
    body = RUN(f, 0, "kb", "search", "i forgot the pin for sharing airtime", "--answer");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(body, "topics"), 0)), "pin-reset-procedures");
    ck_assert_ptr_nonnull(strstr(str(body, "answer"), "(document kb-"));
    json_decref(body);
    /* misspelt, and in Pidgin */
    body = RUN(f, 0, "kb", "search", "abeg my metre no gree collect tokken");
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(body, "topics"), 0)), "how-to-load-token");
    json_decref(body);
    /* several questions from a file */
    flow_write(
        f, "q.jsonl",
        "{\"id\":\"Q1\",\"query\":\"weekly automatic top up from my card\"}\n{\"id\":\"Q2\",\"query\":\"zzz\"}\n");
    char path[128];
    snprintf(path, sizeof path, "%s/q.jsonl", f->home);
    struct flow_answer a;
    FLOW_RUN(f, &a, "kb", "search", "--file", path);
    ck_assert_ptr_nonnull(strstr(a.text, "\"id\":\"Q1\""));
    ck_assert_ptr_nonnull(strstr(a.text, "\"topics\":[\"auto-recharge-setup\""));
    flow_answer_free(&a);
    /* the shipped documents cover each domain */
    static const char *const domains[] = {"AIRTIME", "POWER", "DATA", "SUPPORT"};
    for (i = 0; i < 4; i++) {
        body = RUN(f, 0, "kb", "list", "--domain", domains[i]);
        ck_assert_uint_ge(json_array_size(json_object_get(body, "documents")), 10);
        json_decref(body);
    }
    flow_end(f);
}
END_TEST

/* Meant for other things: none of them has an answer here. */
START_TEST(says_when_there_is_none)
{
    static const char *const questions[] = {"What is the capital of Australia?",
                                            "How do I bake a chocolate cake?",
                                            "Translate good evening into French",
                                            "What are the symptoms of malaria?",
                                            "Tell me the rules of volleyball",
                                            "Who wrote Purple Hibiscus?",
                                            "asdf qwer zxcv",
                                            "How do I train for a marathon?"};
    int found = 0;
    struct flow *f = product();
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        json_t *body = RUN(f, 0, "kb", "search", questions[i]);
        found += json_is_true(json_object_get(body, "found"));
        json_decref(body);
    }
    ck_assert_int_le(found, 1);
    flow_end(f);
}
END_TEST

/* ---- documents --------------------------------------------------------------------------------------------------- */

START_TEST(keeps_versions)
{
    struct flow *f = alone(0);
    json_t *body = RUN(f, 0, "kb", "add", "Solar lamps are repaired at the blue shop by the river.", "--title",
                       "Solar lamps", "--domain", "support", "--source", "shop.md");
    char id[80], path[160];
    snprintf(id, sizeof id, "%s", str(body, "document_id"));
    ck_assert_int_eq(strncmp(id, "kb-", 3), 0);
    ck_assert_str_eq(str(body, "domain"), "SUPPORT");
    json_decref(body);
    body = RUN(f, 0, "kb", "search", "where are solar lamps repaired", "--answer");
    ck_assert_ptr_nonnull(strstr(str(body, "answer"), "blue shop"));
    json_decref(body);

    snprintf(path, sizeof path, "/api/v1/knowledge-base/documents/%s", id);
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "PUT", path, "{\"text\":\"Solar lamps are repaired at the green hut.\"}", NULL, &a),
                     200);
    ck_assert_int_eq(json_integer_value(json_object_get(a.json, "version")), 2);
    flow_answer_free(&a);
    body = RUN(f, 0, "kb", "search", "where are solar lamps repaired", "--answer"); /* the newest alone */
    ck_assert_ptr_nonnull(strstr(str(body, "answer"), "green hut"));
    ck_assert_ptr_null(strstr(str(body, "answer"), "blue shop"));
    json_decref(body);
    body = RUN(f, 0, "kb", "versions", id);
    ck_assert_uint_eq(json_array_size(json_object_get(body, "versions")), 2);
    json_decref(body);
    body = RUN(f, 0, "kb", "show", id, "--version", "1");
    ck_assert_ptr_nonnull(strstr(str(body, "text"), "blue shop"));
    ck_assert_str_eq(str(body, "title"), "Solar lamps");
    json_decref(body);

    ck_assert_int_eq(flow_http(f, "DELETE", path, NULL, NULL, NULL), 200);
    ck_assert_int_eq(flow_http(f, "DELETE", path, NULL, NULL, NULL), 404);
    body = RUN(f, 0, "kb", "search", "where are solar lamps repaired");
    ck_assert(json_is_false(json_object_get(body, "found")));
    json_decref(body);
    json_decref(RUN(f, 0, "kb", "versions", id)); /* they stay */
    EXPECT(f, 4, "no document", "kb", "show", "kb-none");
    ck_assert_int_eq(
        flow_http(f, "POST", "/api/v1/knowledge-base/documents", "{\"text\":\"x y\",\"doc_id\":\"../x\"}", NULL, NULL),
        400);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/knowledge-base/documents", "{\"text\":\"  \"}", NULL, NULL), 422);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/knowledge-base/documents",
                               "{\"text\":\"A bicycle\",\"metadata\":{\"domain\":"
                               "\"DATA\",\"title\":\"B\"}}",
                               NULL, NULL),
                     201);
    flow_end(f);
}
END_TEST

START_TEST(has_a_limit)
{
    struct flow *f = alone(2);
    json_decref(RUN(f, 0, "kb", "add", "One text of some words"));
    json_decref(RUN(f, 0, "kb", "add", "Another text of other words", "--doc-id", "second"));
    EXPECT(f, 5, "full (2 documents)", "kb", "add", "A third one");
    json_decref(RUN(f, 0, "kb", "add", "Another version of it", "--doc-id", "second")); /* takes no room */
    json_decref(RUN(f, 0, "kb", "remove", "second"));
    json_decref(RUN(f, 0, "kb", "add", "A third one"));
    json_t *stats = RUN(f, 0, "kb", "stats");
    ck_assert_int_eq(json_integer_value(json_object_get(stats, "dimensions")), 384);
    ck_assert_str_eq(str(stats, "similarity"), "cosine");
    json_decref(stats);
    flow_end(f);
}
END_TEST

START_TEST(prunes)
{
    struct flow *f = alone(0);
    json_decref(RUN(f, 0, "kb", "add", "Bicycles are mended on Mondays in the yard", "--doc-id", "bicycles"));
    json_decref(RUN(f, 0, "kb", "add", "Boats are painted in the yard", "--doc-id", "boats"));
    json_decref(RUN(f, 0, "kb", "add", "Kites need wind", "--doc-id", "kites"));
    json_decref(RUN(f, 0, "kb", "search", "when are bicycles mended on Mondays by astronauts"));
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM kb_retrievals WHERE document_id = 'bicycles'") == 1);
    ck_assert_int_eq(flow_sql_int(f, "SELECT relevance >= 0.3 AND relevance < 0.95 FROM kb_retrievals"), 1);
    /* it was of use; what nobody has asked for yet has its time */
    json_t *body = RUN(f, 0, "kb", "prune", "--dry-run");
    ck_assert_int_eq(json_integer_value(json_object_get(body, "prunable")), 0);
    json_decref(body);
    body = RUN(f, 0, "kb", "prune", "--dry-run", "--below", "0.95");
    ck_assert_int_eq(json_integer_value(json_object_get(body, "prunable")), 1);
    ck_assert_str_eq(str(json_array_get(json_object_get(body, "documents"), 0), "document_id"), "bicycles");
    ck_assert(json_is_false(json_object_get(body, "removed")));
    json_decref(body);
    ck_assert_int_eq(documents(f), 3);
    body = RUN(f, 0, "kb", "prune", "--below", "0.95", "--dry-run", "--yes"); /* looking wins */
    ck_assert(json_is_false(json_object_get(body, "removed")));
    json_decref(body);
    body = RUN(f, 0, "kb", "prune", "--below", "0.95", "--yes");
    ck_assert_int_eq(json_integer_value(json_object_get(body, "prunable")), 1);
    json_decref(body);
    ck_assert_int_eq(documents(f), 2);
    flow_end(f);
}
END_TEST

/* Files of each kind; what is hostile or damaged is refused in a sentence, and nothing is added. */
START_TEST(ingests_files)
{
    static const char *const good[][3] = {
        {"canoes.docx", "where are canoes rented", "at the jetty & mill"},
        {"kites.pdf", "where is the kite festival held", "third beach"},
        {"ferry.html", "when does the ferry leave", "leaves at seven"},
    };
    static const char *const bad[][2] = {{"xxe.docx", "document type or entities"},
                                         {"bomb.docx", "unpacks to more than is allowed"},
                                         {"cut.docx", "damaged archive"},
                                         {"damaged.pdf", "is a damaged PDF"},
                                         {"none.pdf", "No such file"}};
    char path[256];
    struct flow *f = alone(0);
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(path, sizeof path, "%s/%s", flow_source("tests/flow/documents"), good[i][0]);
        json_decref(RUN(f, 0, "kb", "ingest", path, "--domain", "SUPPORT"));
        json_t *body = RUN(f, 0, "kb", "search", good[i][1], "--answer");
        ck_assert_msg(strstr(str(body, "answer"), good[i][2]) != NULL, "%s: %s", good[i][0], str(body, "answer"));
        ck_assert_str_eq(str(json_array_get(json_object_get(body, "sources"), 0), "source"), good[i][0]);
        json_decref(body);
    }
    ck_assert_int_eq(
        flow_sql_int(f, "SELECT count(*) FROM kb_documents WHERE title IN ('Kite festival', 'Ferry times')"), 2);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(path, sizeof path, "%s/%s", flow_source("tests/flow/documents"), bad[i][0]);
        EXPECT(f, 2, bad[i][1], "kb", "ingest", path);
    }
    flow_write(f, "program.bin", "MZ");
    snprintf(path, sizeof path, "%s/program.bin", f->home);
    EXPECT(f, 2, "of no known kind", "kb", "ingest", path);
    ck_assert_int_eq(documents(f), 3);
    flow_end(f);
}
END_TEST

/* A domain's documents go and come with it; a text that changed is a new version. */
START_TEST(follows_domains)
{
    struct flow *f = product();
    int64_t all = settled(f);
    EXPECT(f, 0, "", "plugin", "disable", "power");
    int64_t fewer = settled(f);
    ck_assert_int_lt(fewer, all - 10);
    json_t *body = RUN(f, 0, "kb", "list", "--domain", "POWER");
    ck_assert_uint_eq(json_array_size(json_object_get(body, "documents")), 0);
    json_decref(body);
    EXPECT(f, 0, "", "plugin", "enable", "power");
    ck_assert_int_eq(settled(f), all);
    ck_assert_int_eq(flow_sql_int(f, "SELECT max(version) FROM kb_documents"), 1); /* as they were */
    flow_write(
        f, "manifests/power/knowledge/kb-pow-999.md",
        "---\nid: kb-pow-999\ntitle: Wind turbines\ntopic: wind\ndomain: POWER\n---\n# Wind turbines\n\nWe rent wind "
        "turbines in Ogbomosho.\n");
    EXPECT(f, 0, "", "reload");
    ck_assert_int_eq(settled(f), all + 1);
    flow_write(
        f, "manifests/power/knowledge/kb-pow-999.md",
        "---\nid: kb-pow-999\ntitle: Wind turbines\ntopic: wind\ndomain: POWER\n---\n# Wind turbines\n\nWe sell wind "
        "turbines in Ogbomosho.\n");
    EXPECT(f, 0, "", "reload");
    FLOW_UNTIL(flow_sql_int(f, "SELECT version FROM kb_documents WHERE document_id = 'kb-pow-999'") == 2);
    body = RUN(f, 0, "kb", "search", "wind turbines in Ogbomosho", "--answer");
    ck_assert_ptr_nonnull(strstr(str(body, "answer"), "We sell"));
    json_decref(body);
    flow_end(f);
}
END_TEST

/* ---- many -------------------------------------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Documents of made-up words; each has one word of its own. */
static void write_many(struct flow *f, int n)
{
    static const char *const subjects[] = {"lamp", "canoe", "basket", "drum", "ladder", "kettle", "saddle", "anchor"};
    static const char *const verbs[] = {"is mended", "is painted", "is lent", "is weighed", "is stored", "is sold"};
    char path[128];
    snprintf(path, sizeof path, "%s/many.jsonl", f->home);
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    for (int i = 0; i < n; i++)
        fprintf(out,
                "{\"doc_id\":\"bulk-%05d\",\"domain\":\"SUPPORT\",\"title\":\"The %s number %d\",\"text\":\"The %s of "
                "keeper "
                "word%dx %s by hall %d. Bring it on day %d with paper %d and ask for the %s.\"}\n",
                i, subjects[i % 8], i, subjects[i % 8], i, verbs[i % 6], i % 97, i % 31, i % 53, subjects[(i + 3) % 8]);
    fclose(out);
}

START_TEST(holds_many)
{
    const char *given = getenv("CVM_KB_DOCUMENTS");
    int n = given ? (int)strtol(given, NULL, 10) : 500, questions = 60;
    int64_t us[60];
    char path[128], url[160];
    struct flow *f = alone(0);
    write_many(f, n);
    snprintf(path, sizeof path, "%s/many.jsonl", f->home);
    int64_t begun = flow_now_ms();
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "kb", "add", "--file", path, "--output-file", "/dev/null"), 0);
    flow_answer_free(&a);
    int64_t took = flow_now_ms() - begun;
    ck_assert_int_eq(documents(f), n);
    for (int i = 0; i < questions; i++) {
        int which = (int)((int64_t)i * n / questions);
        snprintf(url, sizeof url, "/api/v1/knowledge-base/search?query=which%%20hall%%20has%%20keeper%%20word%dx",
                 which);
        int64_t at = flow_now_us();
        json_t *body = get(f, url, 200);
        us[i] = flow_now_us() - at;
        char id[24];
        snprintf(id, sizeof id, "bulk-%05d", which);
        ck_assert_str_eq(str(json_array_get(json_object_get(body, "sources"), 0), "document_id"), id);
        json_decref(body);
    }
    qsort(us, (size_t)questions, sizeof *us, by_number);
    printf("%d documents in %lld ms; a search takes %lld us, the slowest %lld us\n", n, (long long)took,
           (long long)us[questions / 2], (long long)us[questions - 1]);
    if (n == 10000)
        EXPECT(f, 5, "full (10000 documents)", "kb", "add", "One too many");
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("kb");
    tcase_set_timeout(c, 240);
    tcase_add_test(c, finds_and_answers);
    tcase_add_test(c, filters_and_ranks);
    tcase_add_test(c, says_when_there_is_none);
    tcase_add_test(c, keeps_versions);
    tcase_add_test(c, has_a_limit);
    tcase_add_test(c, ingests_files);
    tcase_add_test(c, prunes);
    tcase_add_test(c, follows_domains);
    TCase *many = tcase_create("many");
    tcase_set_timeout(many, 900);
    tcase_add_test(many, holds_many);
    return flow_main("kb", (TCase *[]){c, many, NULL});
}
