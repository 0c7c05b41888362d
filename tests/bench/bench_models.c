/* A text model of the product's examples: what one answer to a message of some 60 characters costs, features and all
 * heads, beside reading the same message's words alone. */
#include "bench.h"

#include "models/features.h"
#include "models/model.h"
#include <cvm/cvm.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASKED 200000
#define SAMPLES 20000
#define MODEL_MAX_BYTES (64 << 20)
#define LEAST 50 /* characters of a message that is asked */
#define MOST 70

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_all(struct examples *e, char *error, size_t size)
{
    char folder[4096], path[4500];
    struct dirent **names = NULL;
    json_t *heads = json_pack("{s:[s], s:[s,s], s:[s], s:[s], s:[s]}", "domain", "domain", "intent", "domain", "intent",
                              "priority", "priority", "sentiment", "sentiment", "escalate", "escalate");
    int result = examples_heads(e, heads, error, size);
    snprintf(folder, sizeof folder, "%s/manifests", bench_source());
    int n = scandir(folder, &names, NULL, by_name);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s/examples.jsonl", folder, names[i]->d_name);
        if (!result && names[i]->d_name[0] != '.' && access(path, R_OK) == 0)
            result = examples_read(e, path, names[i]->d_name, NULL, NULL, error, size);
        free(names[i]);
    }
    free(names);
    json_decref(heads);
    return result ? result : examples_sort(e);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sample(struct row *row, const struct model *m, const char *const *texts, size_t n)
{
    static int64_t ns[SAMPLES];
    struct model_answer best[EXAMPLES_HEADS][MODEL_BEST];
    for (size_t i = 0; i < SAMPLES; i++) {
        int64_t begun = bench_ns();
        if (model_best(m, texts[i * 7919 % n], best) < 0)
            abort();
        ns[i] = bench_ns() - begun;
    }
    qsort(ns, SAMPLES, sizeof *ns, by_time);
    row->p50_us = (double)ns[SAMPLES / 2] / 1000;
    row->p99_us = (double)ns[SAMPLES / 100 * 99] / 1000;
}

static double per_second(const struct model *m, const char *const *texts, size_t n)
{
    struct model_answer best[EXAMPLES_HEADS][MODEL_BEST];
    struct features f;
    int64_t amount = bench_amount(ASKED), begun = bench_ns();
    for (int64_t i = 0; i < amount; i++) {
        const char *text = texts[(size_t)i * 7919 % n];
        if (m ? model_best(m, text, best) < 0 : features_init(&f, text, 0) < 0)
            abort();
        if (!m)
            features_fini(&f);
    }
    return (double)amount * 1e9 / (double)(bench_ns() - begun);
}

static void measure(struct row *row, const struct model *m, const struct examples *e)
{
    const char **texts = calloc(e->n + 1, sizeof *texts);
    double asked[BENCH_RUNS], floor[BENCH_RUNS];
    size_t n = 0;
    for (size_t i = 0; texts && i < e->n; i++)
        if (strlen(e->texts[i]) >= LEAST && strlen(e->texts[i]) <= MOST)
            texts[n++] = e->texts[i];
    if (!n)
        abort();
    for (int i = 0; i < bench_runs(); i++) {
        asked[i] = per_second(m, texts, n);
        floor[i] = per_second(NULL, texts, n);
    }
    row->value = bench_median(asked, bench_runs());
    row->floor_value = bench_median(floor, bench_runs());
    row->unit = "1/s";
    row->floor = "its features alone";
    sample(row, m, texts, n);
    free(texts);
}

int bench_classify(struct row *row)
{
    char path[] = "/tmp/cvm-bench-model-XXXXXX", error[512] = "";
    struct model_training how = {MODEL_MAX_BYTES, NULL, NULL, NULL};
    struct examples e;
    struct model *m = NULL;
    int fd = mkstemp(path);
    if (fd >= 0)
        close(fd);
    examples_init(&e);
    int result = read_all(&e, error, sizeof error);
    if (!result)
        result = model_train(&e, &how, path, error, sizeof error);
    if (!result)
        result = model_open(path, MODEL_MAX_BYTES, &m, error, sizeof error);
    if (!result)
        measure(row, m, &e);
    else
        fprintf(stderr, "classify: %s\n", error);
    model_unref(m);
    examples_fini(&e);
    unlink(path);
    return result ? -1 : 0;
}
